//! Processes that come and go in each way that there is.

use super::{call, calls, own};
use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

/// A child by clone(2) with these flags that does this and no more.
fn child(flags: i32, does: impl FnOnce()) -> Pid {
    let flags = i64::from(flags) | i64::from(libc::SIGCHLD);
    // a copy of this single-threaded process, on a copy of its stack
    match call(libc::SYS_clone, [flags, 0, 0, 0]) {
        Ok(0) => {
            does();
            end()
        }
        Ok(pid) => Pid::from_raw(i32::try_from(pid).expect("a pid")),
        Err(errno) => panic!("clone: {errno}"),
    }
}

fn end() -> ! {
    // SAFETY: nothing of the parent's is flushed or dropped.
    unsafe { libc::_exit(0) }
}

fn ended(pid: Pid) {
    assert_eq!(waitpid(pid, None), Ok(WaitStatus::Exited(pid, 0)));
}

pub fn one(does: impl FnOnce()) {
    ended(child(0, does));
}

/// One after the other.
pub fn short(times: u64) {
    for _ in 0..times {
        one(|| ());
    }
    println!("forks {times}");
}

/// Each executes this program with another number of calls.
pub fn actions(many: u64) {
    // the library's own way is clone(2) with CLONE_VFORK
    let words = |n: u64| ["calls".to_owned(), (10 + n).to_string()];
    let all: Vec<_> = (1..=many)
        .map(|n| {
            own(&words(n).each_ref().map(String::as_str))
                .spawn()
                .expect("spawned")
        })
        .collect();
    for mut one in all {
        println!("pid {}", one.id());
        assert!(one.wait().expect("waited").success());
    }
}

/// What the library does not call by itself in between.
fn users(times: u64) {
    for _ in 0..times {
        call(libc::SYS_getuid, [0; 4]).unwrap_or(0);
    }
}

/// A child whose own child outlives it and makes calls then.
pub fn tree() {
    let (read, write) = nix::unistd::pipe().expect("a pipe");
    one(|| {
        let parent = std::process::id();
        child(0, || {
            call(libc::SYS_setsid, [0; 4]).unwrap_or(0);
            while std::os::unix::process::parent_id() == parent {
                std::thread::yield_now();
            }
            users(7);
        });
    });
    // its end is held by the grandchild too, and closed when that is over
    drop(write);
    nix::unistd::read(&read, &mut [0]).expect("read");
}

/// A child's child that is its sibling.
pub fn sibling() {
    let own = std::process::id();
    one(|| {
        child(libc::CLONE_PARENT, || {
            if std::os::unix::process::parent_id() == own {
                users(5);
            }
        });
    });
    // the sibling is this process's to wait for
    let status = nix::sys::wait::wait();
    assert!(matches!(status, Ok(WaitStatus::Exited(_, 0))), "{status:?}");
}

/// A child, one thread of which executes another program while the first one waits.
pub fn thread_exec() {
    one(|| {
        let thread = std::thread::spawn(|| {
            use std::os::unix::process::CommandExt;
            println!("thread {}", nix::unistd::gettid());
            own(&["calls", "3"]).exec()
        });
        thread.join().map(drop).unwrap_or(());
    });
}

/// struct clone_args (linux/sched.h), as far as `set_tid`.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
}

/// A process, and when it has ended another one of the same number.
pub fn again() {
    for _ in 0..100 {
        let first = child(0, || calls(2));
        ended(first);
        let number = first.as_raw();
        let arguments = CloneArguments {
            exit_signal: libc::SIGCHLD.unsigned_abs().into(),
            set_tid: (&raw const number) as u64,
            set_tid_size: 1,
            ..CloneArguments::default()
        };
        let size = size_of::<CloneArguments>() as i64;
        match call(
            libc::SYS_clone3,
            [(&raw const arguments) as i64, size, 0, 0],
        ) {
            Ok(0) => {
                calls(4);
                end();
            }
            Ok(pid) => {
                assert_eq!(pid, i64::from(number));
                ended(first);
                println!("pid {number}");
                return;
            }
            // somebody else was given it
            Err(Errno::EEXIST) => {}
            Err(errno) => panic!("clone3: {errno}"),
        }
    }
    panic!("the number was never free");
}
