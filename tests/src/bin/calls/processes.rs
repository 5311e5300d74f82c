//! Processes, threads, signals, limits.
#![forbid(unsafe_code)]

use super::*;

const SIGCHLD: u64 = libc::SIGCHLD as u64;

pub fn signals() {
    let own = made(libc::SYS_getpid, &[]);
    let thread = made(libc::SYS_gettid, &[]);
    let out = buffer();
    call(libc::SYS_kill, &[own, 0]);
    call(libc::SYS_kill, &[own, 99]);
    call(libc::SYS_tkill, &[thread, 0]);
    call(libc::SYS_tgkill, &[own, thread, 0]);
    call(libc::SYS_tgkill, &[own, own, 0]);
    call(libc::SYS_rt_sigqueueinfo, &[own, 99, BAD]);
    call(libc::SYS_rt_tgsigqueueinfo, &[own, thread, 99, BAD]);
    let ignore = words(&[1, 0x1400_0000, 0, 0x4200]);
    call(libc::SYS_rt_sigaction, &[12, ignore, out, 8]);
    call(libc::SYS_rt_sigaction, &[12, 0, out, 8]);
    call(libc::SYS_rt_sigaction, &[9, ignore, 0, 8]);
    call(libc::SYS_kill, &[own, 12]);
    call(libc::SYS_rt_sigprocmask, &[0, words(&[0x800]), out, 8]);
    call(libc::SYS_rt_sigprocmask, &[1, words(&[0x800]), 0, 8]);
    call(libc::SYS_rt_sigprocmask, &[9, words(&[0x800]), 0, 8]);
    call(libc::SYS_rt_sigpending, &[out, 8]);
    call(
        libc::SYS_rt_sigtimedwait,
        &[words(&[0x200]), out, words(&[0, 1]), 8],
    );
    call(libc::SYS_rt_sigsuspend, &[BAD, 8]);
    call(libc::SYS_sigaltstack, &[0, out]);
    let held = made(libc::SYS_pidfd_open, &[own, 0]);
    call(libc::SYS_pidfd_open, &[own, 77]);
    call(libc::SYS_pidfd_send_signal, &[held, 0, 0, 0]);
    call(libc::SYS_pidfd_getfd, &[held, NO, 0]);
    call(libc::SYS_close, &[held]);
    let word = memory(&7_u32.to_ne_bytes());
    call(libc::SYS_futex, &[word, 129, 1]);
    call(libc::SYS_futex, &[word, 0, 6, words(&[0, 5])]);
    call(libc::SYS_futex, &[word, 128, 7, words(&[0, 5])]);
    call(
        libc::SYS_futex,
        &[word, 128 | 256 | 9, 7, words(&[1, 5]), 0, 0xffff_ffff],
    );
    call(libc::SYS_futex, &[word, 131, 1, 2, word]);
    call(libc::SYS_futex, &[word, 132, 1, 2, word, 8]);
    call(libc::SYS_futex_waitv, &[BAD, 0, 0, 0, 0]);
    call(libc::SYS_set_robust_list, &[out, 1]);
    call(libc::SYS_get_robust_list, &[0, out, buffer()]);
}

pub fn limits() {
    let out = buffer();
    let own = made(libc::SYS_getpid, &[]);
    call(libc::SYS_prlimit64, &[0, 7, words(&[512, 1024]), out]);
    call(libc::SYS_prlimit64, &[own, 3, 0, out]);
    call(libc::SYS_prlimit64, &[0, 99, 0, out]);
    call(libc::SYS_getrlimit, &[4, out]);
    call(libc::SYS_setrlimit, &[4, words(&[0, MINUS])]);
    call(libc::SYS_getrusage, &[0, out]);
    call(libc::SYS_getpriority, &[0, 0]);
    call(libc::SYS_setpriority, &[0, 0, 0]);
    call(libc::SYS_setpriority, &[9, 0, 0]);
    call(libc::SYS_ioprio_get, &[1, 0]);
    call(libc::SYS_ioprio_set, &[9, 0, 0]);
    call(libc::SYS_sched_yield, &[]);
    call(libc::SYS_sched_getscheduler, &[0]);
    call(libc::SYS_sched_setscheduler, &[0, 0, memory(&[0; 4])]);
    call(libc::SYS_sched_setscheduler, &[0, 3 | 0x4000_0000, BAD]);
    call(libc::SYS_sched_getparam, &[0, out]);
    call(libc::SYS_sched_setparam, &[0, BAD]);
    call(libc::SYS_sched_get_priority_max, &[1]);
    call(libc::SYS_sched_get_priority_min, &[77]);
    call(libc::SYS_sched_rr_get_interval, &[0, out]);
    call(libc::SYS_sched_getaffinity, &[0, 128, out]);
    call(libc::SYS_sched_setaffinity, &[0, 0, out]);
    call(libc::SYS_sched_setattr, &[0, 0, 0]);
    call(libc::SYS_sched_getattr, &[0, out, 48, 0]);
    call(libc::SYS_getcpu, &[out, buffer(), 0]);
    for number in [
        libc::SYS_getuid,
        libc::SYS_geteuid,
        libc::SYS_getgid,
        libc::SYS_getegid,
        libc::SYS_getppid,
        libc::SYS_getpgrp,
    ] {
        call(number, &[]);
    }
    call(libc::SYS_getpgid, &[0]);
    call(libc::SYS_getsid, &[0]);
    call(libc::SYS_setpgid, &[MINUS, 0]);
    call(libc::SYS_setreuid, &[MINUS, 0]);
    call(libc::SYS_setregid, &[0, MINUS]);
    call(libc::SYS_setresuid, &[MINUS, MINUS, 0]);
    call(libc::SYS_setresgid, &[0, 0, 0]);
    call(libc::SYS_getresuid, &[out, out, out]);
    call(libc::SYS_getresgid, &[out, out, BAD]);
    call(libc::SYS_setfsuid, &[MINUS]);
    call(libc::SYS_setfsgid, &[0]);
    call(libc::SYS_setuid, &[0]);
    call(libc::SYS_setgid, &[0]);
    call(libc::SYS_getgroups, &[64, out]);
    call(libc::SYS_setgroups, &[100_000, out]);
    call(libc::SYS_capget, &[BAD, 0]);
    call(libc::SYS_capset, &[BAD, 0]);
    options();
}

fn options() {
    let options: [(libc::c_int, [u64; 4]); 14] = [
        (libc::PR_SET_NAME, [text("a name"), 0, 0, 0]),
        (libc::PR_SET_NAME, [BAD, 0, 0, 0]),
        (libc::PR_GET_NAME, [buffer(), 0, 0, 0]),
        (libc::PR_SET_PDEATHSIG, [0, 0, 0, 0]),
        (libc::PR_SET_PDEATHSIG, [15, 0, 0, 0]),
        (libc::PR_GET_PDEATHSIG, [buffer(), 0, 0, 0]),
        (libc::PR_GET_DUMPABLE, [0, 0, 0, 0]),
        (libc::PR_SET_DUMPABLE, [1, 0, 0, 0]),
        (libc::PR_SET_KEEPCAPS, [0, 0, 0, 0]),
        (libc::PR_GET_KEEPCAPS, [0, 0, 0, 0]),
        (libc::PR_SET_NO_NEW_PRIVS, [9, 0, 0, 0]),
        (libc::PR_GET_NO_NEW_PRIVS, [0, 0, 0, 0]),
        (libc::PR_SET_CHILD_SUBREAPER, [0, 0, 0, 0]),
        (libc::PR_GET_TIMERSLACK, [0, 0, 0, 0]),
    ];
    for (option, [a, b, c, d]) in options {
        call(libc::SYS_prctl, &[wide(option), a, b, c, d]);
    }
    call(libc::SYS_arch_prctl, &[0x1003, buffer()]);
    call(libc::SYS_personality, &[0xffff_ffff]);
}

pub fn children() {
    child(|| {
        call(libc::SYS_getcwd, &[buffer(), 4096]);
    });
    let status = buffer();
    let cloned = made(libc::SYS_clone, &[SIGCHLD | 0x100_0000, 0, 0, status, 0]);
    if cloned == 0 {
        call(libc::SYS_exit, &[4]);
    }
    call(
        libc::SYS_wait4,
        &[cloned, status, wide(libc::__WALL), buffer()],
    );
    let arguments = words(&[0, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, 0]);
    let third = made(libc::SYS_clone3, &[arguments, 88]);
    if third == 0 {
        call(libc::SYS_exit_group, &[0]);
    }
    call(libc::SYS_waitid, &[1, third, buffer(), 4, 0]);
    call(
        libc::SYS_clone3,
        &[words(&[0x2_0000_0000, 0, 0, 0, 99, 0, 0, 0]), 64],
    );
    call(libc::SYS_clone3, &[BAD, 88]);
    call(libc::SYS_wait4, &[MINUS, status, 1, 0]);
    call(libc::SYS_wait4, &[MINUS, status, 0x1000_0000, 0]);
    call(libc::SYS_waitid, &[0, 0, 0, 77, 0]);
    executing();
}

fn executing() {
    let environment = words(&[text("A=secret"), 0]);
    let run = |path: u64, arguments: &[u64]| {
        child(|| {
            call(libc::SYS_execve, &[path, words(arguments), environment]);
        });
    };
    run(
        text("absent"),
        &[text("one"), text("two words"), text(b"\xff\x1b"), 0],
    );
    run(text("plain"), &[text("x".repeat(100)), text(""), 0]);
    run(text("dir"), &[0]);
    run(BAD, &[text("x"), 0]);
    run(text("/bin/true"), &[text("true"), text("an argument"), 0]);
    let dir = made(libc::SYS_openat, &[CWD, text("dir"), wide(libc::O_RDONLY)]);
    child(|| {
        call(libc::SYS_execve, &[text("absent"), BAD, environment]);
        call(
            libc::SYS_execveat,
            &[
                dir,
                text("absent"),
                words(&[text("a"), 0]),
                environment,
                0x1000,
            ],
        );
        call(libc::SYS_execveat, &[dir, text("new"), words(&[0]), 0, 0]);
    });
    let status = std::process::Command::new("/bin/true").status();
    assert!(status.is_ok_and(|s| s.success()));
}

/// It has a sequence of its own; whether it makes its last call before the process ends is left open.
pub fn thread() {
    let pair = buffer();
    call(libc::SYS_pipe2, &[pair, 0]);
    let [read, write] = written(pair);
    std::thread::spawn(move || {
        call(libc::SYS_gettid, &[]);
        call(libc::SYS_openat, &[CWD, text("of a thread"), 0]);
        call(libc::SYS_write, &[write, text("x"), 1]);
        call(libc::SYS_exit, &[0]);
    });
    call(libc::SYS_read, &[read, buffer(), 1]);
}
