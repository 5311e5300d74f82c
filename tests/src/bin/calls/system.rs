//! What changes the system, in ways that it refuses, and what only a process in its own namespaces may do.
#![forbid(unsafe_code)]

use super::*;

pub fn refused() {
    let out = buffer();
    let absent = text("/absent/file");
    call(libc::SYS_uname, &[out]);
    call(libc::SYS_sysinfo, &[out]);
    call(libc::SYS_getrandom, &[out, 16, 1]);
    call(libc::SYS_getrandom, &[out, 16, 0x80]);
    call(libc::SYS_syslog, &[99, 0, 0]);
    call(libc::SYS_sethostname, &[BAD, 65]);
    call(libc::SYS_setdomainname, &[text("name"), MINUS]);
    call(libc::SYS_reboot, &[0, 0, 0, 0]);
    call(libc::SYS_swapon, &[absent, 0]);
    call(libc::SYS_swapoff, &[absent]);
    call(libc::SYS_acct, &[absent]);
    call(libc::SYS_chroot, &[absent]);
    call(libc::SYS_pivot_root, &[absent, absent]);
    call(libc::SYS_uselib, &[absent]);
    call(libc::SYS_quotactl, &[MINUS, absent, 0, 0]);
    call(libc::SYS_delete_module, &[text("stockade_absent"), 0x800]);
    call(libc::SYS_finit_module, &[NO, text("a=b"), 0]);
    call(libc::SYS_init_module, &[BAD, 0, text("")]);
    call(libc::SYS_kexec_load, &[0, 0, 0, 0xff]);
    call(libc::SYS_iopl, &[9]);
    call(libc::SYS_ioperm, &[MINUS, 1, 0]);
    call(libc::SYS_modify_ldt, &[99, BAD, 1]);
    call(libc::SYS_bpf, &[0, BAD, 8]);
    call(libc::SYS_bpf, &[5, BAD, 100]);
    call(libc::SYS_perf_event_open, &[BAD, 0, MINUS, MINUS, 8]);
    call(libc::SYS_seccomp, &[1, 0x80, BAD]);
    call(
        libc::SYS_seccomp,
        &[2, 0, memory(&0x7fff_0000_u32.to_ne_bytes())],
    );
    call(libc::SYS_ptrace, &[2, 0, 0, 0]);
    call(
        libc::SYS_process_vm_readv,
        &[0x7fff_fff0, BAD, 1, BAD, 1, 0],
    );
    call(
        libc::SYS_process_vm_writev,
        &[0x7fff_fff0, BAD, 1, BAD, 1, 0],
    );
    call(libc::SYS_kcmp, &[0x7fff_fff0, 0x7fff_fff0, 0, 0, 0]);
    let (kind, name) = (text("user"), text("stockade:absent"));
    call(libc::SYS_request_key, &[kind, name, 0, MINUS]);
    call(
        libc::SYS_add_key,
        &[text("no-such-type"), name, text("x"), 1, wide(-3)],
    );
    call(libc::SYS_keyctl, &[99, 0, 0, 0, 0]);
    landlock();
    call(libc::SYS_unshare, &[0x8000_0000]);
    call(libc::SYS_setns, &[NO, 0x2000_0000]);
    call(libc::SYS_setns, &[NO, 0]);
}

fn landlock() {
    call(libc::SYS_landlock_create_ruleset, &[0, 0, 1]);
    let ruleset = made(libc::SYS_landlock_create_ruleset, &[words(&[0xd]), 8, 0]);
    call(
        libc::SYS_landlock_create_ruleset,
        &[words(&[1 << 63 | 0x1fff]), 8, 0],
    );
    let mut beneath = 4_u64.to_ne_bytes().to_vec();
    beneath.extend(999_u32.to_ne_bytes());
    call(
        libc::SYS_landlock_add_rule,
        &[ruleset, 1, memory(&beneath), 0],
    );
    call(libc::SYS_landlock_add_rule, &[ruleset, 1, BAD, 0]);
    call(libc::SYS_landlock_restrict_self, &[NO, 0]);
    call(libc::SYS_close, &[ruleset]);
}

/// Mounts and roots, in a process that has its own.
pub fn namespaces() {
    call(libc::SYS_mkdir, &[text("mnt"), 0o755]);
    child(|| {
        call(
            libc::SYS_unshare,
            &[wide(libc::CLONE_NEWNS | libc::CLONE_NEWUTS)],
        );
        let private = libc::MS_REC | libc::MS_PRIVATE;
        if call(libc::SYS_mount, &[text("none"), text("/"), 0, private, 0]) != 0 {
            return;
        }
        mounts();
        roots();
    });
}

fn mounts() {
    let (mnt, tmpfs) = (text("mnt"), text("tmpfs"));
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    call(
        libc::SYS_mount,
        &[tmpfs, mnt, tmpfs, flags, text("size=64k,mode=755")],
    );
    call(libc::SYS_mount, &[tmpfs, text("absent"), tmpfs, 0, 0]);
    call(
        libc::SYS_mount,
        &[text("dir"), mnt, text("no-such-type"), 0, 0],
    );
    let within = made(libc::SYS_openat, &[CWD, mnt, wide(libc::O_PATH)]);
    call(libc::SYS_mkdirat, &[within, text("sub"), 0o755]);
    let sub = made(libc::SYS_openat, &[within, text("sub"), wide(libc::O_PATH)]);
    // across the mount
    call(libc::SYS_mkdirat, &[sub, text("deeper"), 0o755]);
    call(
        libc::SYS_mount,
        &[text("dir"), text("mnt/sub"), 0, libc::MS_BIND, 0],
    );
    let bound = made(
        libc::SYS_openat,
        &[CWD, text("mnt/sub"), wide(libc::O_PATH)],
    );
    call(libc::SYS_openat, &[bound, text("new"), 0]);
    let tree = made(
        libc::SYS_open_tree,
        &[CWD, text("dir"), wide(libc::O_CLOEXEC) | 1],
    );
    // attached nowhere: it has no absolute path
    call(libc::SYS_openat, &[tree, text("new"), 0]);
    let attributes = words(&[1, 0, libc::MS_PRIVATE, 0]);
    call(
        libc::SYS_mount_setattr,
        &[tree, text(""), 0x1000, attributes, 32],
    );
    call(
        libc::SYS_mount_setattr,
        &[tree, text(""), 0x9000, words(&[0, 0x70, 0, 0]), 32],
    );
    call(
        libc::SYS_move_mount,
        &[tree, text(""), within, text("sub"), 4],
    );
    call(
        libc::SYS_move_mount,
        &[tree, text(""), CWD, text("absent"), 4],
    );
    made_new();
    call(libc::SYS_umount2, &[mnt, wide(libc::MNT_DETACH)]);
    call(libc::SYS_umount2, &[mnt, 0x10]);
    // detached below it
    call(libc::SYS_openat, &[sub, text("deeper"), 0]);
    call(libc::SYS_sethostname, &[text("stockade"), 8]);
}

fn made_new() {
    let new = made(libc::SYS_fsopen, &[text("tmpfs"), 1]);
    call(libc::SYS_fsopen, &[text("no-such-type"), 0]);
    call(libc::SYS_fsconfig, &[new, 1, text("size"), text("64k"), 0]);
    call(libc::SYS_fsconfig, &[new, 6, 0, 0, 0]);
    call(libc::SYS_fsmount, &[new, 1, 3]);
    call(libc::SYS_fspick, &[CWD, text("mnt"), 1]);
}

/// What is outside of a root has no path in it.
fn roots() {
    let outside = made(libc::SYS_openat, &[CWD, text("dir"), wide(libc::O_PATH)]);
    call(libc::SYS_mkdir, &[text("root"), 0o755]);
    call(libc::SYS_mkdir, &[text("root/in"), 0o755]);
    call(libc::SYS_chroot, &[text("root")]);
    call(libc::SYS_openat, &[CWD, text("dir/new"), 0]);
    call(libc::SYS_openat, &[outside, text("new"), 0]);
    call(libc::SYS_chdir, &[text("/in")]);
    call(
        libc::SYS_openat,
        &[CWD, text("file"), wide(libc::O_CREAT | libc::O_RDWR), 0o600],
    );
    call(libc::SYS_openat, &[CWD, text("../../file"), 0]);
    call(libc::SYS_getcwd, &[buffer(), 100]);
}
