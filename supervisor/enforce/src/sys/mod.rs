//! System calls that no library of ours wraps: one call each.
#![allow(unsafe_code, reason = "the only module that may; each call argues")]

pub mod notify;

use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

type Result<T> = std::result::Result<T, Errno>;

fn check(result: libc::c_long) -> Result<libc::c_long> {
    Errno::result(result)
}

fn owned(result: libc::c_long) -> Result<OwnedFd> {
    let fd = check(result)?;
    // SAFETY: the kernel just returned this descriptor to us alone; descriptors fit an int.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// A descriptor that was handed to this process by its number.
pub fn inherited(fd: i32) -> Result<OwnedFd> {
    // SAFETY: F_GETFD reads only the descriptor table.
    check(i64::from(unsafe { libc::fcntl(fd, libc::F_GETFD) }))?;
    // SAFETY: the number was given to this process at exec and nothing else here owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: F_SETFD changes only the descriptor's flags.
    check(i64::from(unsafe {
        libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC)
    }))?;
    Ok(fd)
}

/// `open_tree(fd, "", OPEN_TREE_CLONE | AT_RECURSIVE)`: a detached copy of the mounts there.
pub fn clone_tree(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = libc::OPEN_TREE_CLONE
        | libc::OPEN_TREE_CLOEXEC
        | (libc::AT_EMPTY_PATH | libc::AT_RECURSIVE) as u32;
    // SAFETY: the path is a NUL-terminated constant; the kernel copies it.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, fd.as_raw_fd(), c"".as_ptr(), flags) })
}

/// `move_mount(2)` by two descriptors.
pub fn attach(mount: BorrowedFd<'_>, at: BorrowedFd<'_>) -> Result<()> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both paths are NUL-terminated constants; the kernel copies them.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            at.as_raw_fd(),
            c"".as_ptr(),
            flags,
        )
    })?;
    Ok(())
}

#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// `mount_setattr(2)` that only adds restrictions.
pub fn restrict_mount(mount: BorrowedFd<'_>, set: u64, recursive: bool) -> Result<()> {
    let attributes = MountAttributes {
        set,
        clear: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let size = size_of::<MountAttributes>();
    // SAFETY: `attributes` lives across the call and `size` is its size.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size,
        )
    })?;
    Ok(())
}

/// A new file system, not yet attached: `fsopen`, `fsconfig`, `fsmount`.
pub fn new_mount(kind: &CStr, options: &[(&CStr, &CStr)], attributes: u64) -> Result<OwnedFd> {
    // SAFETY: `kind` is NUL-terminated; the kernel copies it.
    let context = owned(unsafe {
        libc::syscall(libc::SYS_fsopen, kind.as_ptr(), 1 /* FSOPEN_CLOEXEC */)
    })?;
    for (key, value) in options {
        // SAFETY: key and value are NUL-terminated; the kernel copies them.
        check(unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                context.as_raw_fd(),
                1, /* FSCONFIG_SET_STRING */
                key.as_ptr(),
                value.as_ptr(),
                0,
            )
        })?;
    }
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: FSCONFIG_CMD_CREATE takes no pointers.
    check(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            6, /* FSCONFIG_CMD_CREATE */
            null,
            null,
            0,
        )
    })?;
    // SAFETY: no pointers.
    owned(unsafe {
        libc::syscall(
            libc::SYS_fsmount,
            context.as_raw_fd(),
            1, /* FSMOUNT_CLOEXEC */
            attributes,
        )
    })
}

pub enum Fork {
    Child,
    Parent(nix::unistd::Pid),
}

/// `clone(2)` without a stack of its own, as fork: only from a single-threaded process.
pub fn fork_into(namespaces: libc::c_int) -> Result<Fork> {
    let flags = (namespaces | libc::SIGCHLD) as libc::c_ulong;
    // SAFETY: without CLONE_VM the child has its own memory and, with a null stack, goes on where
    // the parent stands; the caller is single-threaded, so no lock is held by another thread.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    Ok(if pid == 0 {
        Fork::Child
    } else {
        Fork::Parent(nix::unistd::Pid::from_raw(pid as i32))
    })
}

/// Every descriptor from `first` on is closed at exec.
pub fn close_from_at_exec(first: u32) -> Result<()> {
    // SAFETY: no pointers; CLOEXEC leaves the descriptors usable until exec.
    check(unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    })?;
    Ok(())
}

/// Closes every descriptor from 3 on but these. What owns one of the others must not close it again:
/// only for a process that ends without running destructors.
pub fn close_all_but(keep: &[BorrowedFd<'_>]) -> Result<()> {
    let mut kept: Vec<u32> = keep
        .iter()
        .filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok())
        .collect();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept.into_iter().chain([u32::MAX]) {
        let last = if fd == u32::MAX {
            fd
        } else {
            fd.saturating_sub(1)
        };
        if first <= last {
            // SAFETY: no pointers; nothing in this process uses what is closed any more.
            check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
        }
        first = fd.saturating_add(1);
    }
    Ok(())
}

/// Installs a classic BPF program as this thread's seccomp filter.
pub fn install_filter(program: &[u8]) -> Result<()> {
    set_filter(program, 0).map(drop)
}

fn set_filter(program: &[u8], flags: libc::c_ulong) -> Result<libc::c_long> {
    let mut instructions: Vec<libc::sock_filter> = program
        .chunks_exact(8)
        .map(|b| libc::sock_filter {
            code: u16::from_ne_bytes([b[0], b[1]]),
            jt: b[2],
            jf: b[3],
            k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
        })
        .collect();
    let len = u16::try_from(instructions.len()).map_err(|_| Errno::E2BIG)?;
    let program = libc::sock_fprog {
        len,
        filter: instructions.as_mut_ptr(),
    };
    // SAFETY: `program` points to `len` instructions that live across the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    })
}

/// Sets the loopback device of this network namespace up.
pub fn loopback_up() -> Result<()> {
    // SAFETY: no pointers.
    let socket = owned(i64::from(unsafe {
        libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)
    }))?;
    // SAFETY: ifreq is plain data; all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq.
    check(i64::from(unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)
    }))?;
    Ok(())
}

/// Ignores a signal.
pub fn ignore(which: nix::sys::signal::Signal) -> Result<()> {
    // SAFETY: SIG_IGN installs no handler code.
    unsafe { nix::sys::signal::signal(which, nix::sys::signal::SigHandler::SigIgn) }.map(drop)
}

/// Leaves without running anything of the parent's (atexit handlers, buffers).
pub fn leave(code: i32) -> ! {
    // SAFETY: _exit only ends the process.
    unsafe { libc::_exit(code) }
}

#[repr(C)]
struct RulesetAttributes {
    files: u64,
    network: u64,
    scopes: u64,
}

/// The ABI of the running kernel; 0 where Landlock is missing or switched off.
pub fn landlock_abi() -> Result<u32> {
    let null = std::ptr::null::<RulesetAttributes>();
    // SAFETY: with LANDLOCK_CREATE_RULESET_VERSION the kernel reads no attributes.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, null, 0, 1) };
    match check(abi) {
        Ok(abi) => Ok(u32::try_from(abi).unwrap_or(u32::MAX)),
        Err(Errno::ENOSYS | Errno::EOPNOTSUPP) => Ok(0),
        Err(other) => Err(other),
    }
}

/// `landlock_create_ruleset(2)`. What is not asked for is left out of the size, so that a kernel
/// that is too old for it takes the rest.
pub fn landlock_ruleset(files: u64, network: u64, scopes: u64) -> Result<OwnedFd> {
    let attributes = RulesetAttributes {
        files,
        network,
        scopes,
    };
    let words = match (network, scopes) {
        (0, 0) => 1,
        (_, 0) => 2,
        (_, _) => 3,
    };
    let size = words * size_of::<u64>();
    // SAFETY: `attributes` lives across the call and is at least `size` long.
    owned(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const attributes,
            size,
            0,
        )
    })
}

#[repr(C, packed)]
struct PathBeneath {
    rights: u64,
    parent: i32,
}

/// `landlock_add_rule(2)` for what lies beneath the path.
pub fn landlock_allow(ruleset: BorrowedFd<'_>, path: BorrowedFd<'_>, rights: u64) -> Result<()> {
    let rule = PathBeneath {
        rights,
        parent: path.as_raw_fd(),
    };
    // SAFETY: `rule` lives across the call and is what LANDLOCK_RULE_PATH_BENEATH (1) reads.
    check(unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            1,
            &raw const rule,
            0,
        )
    })?;
    Ok(())
}

/// `landlock_restrict_self(2)`.
pub fn landlock_restrict(ruleset: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) })?;
    Ok(())
}

/// A descriptor of a process, by which it can be signalled whatever its id means elsewhere.
pub fn pidfd(pid: nix::unistd::Pid) -> Result<OwnedFd> {
    // SAFETY: no pointers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })
}

/// `pidfd_send_signal(2)`.
pub fn signal_by(process: BorrowedFd<'_>, signal: i32) -> Result<()> {
    let null = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: without siginfo the kernel fills it in as kill(2) does.
    check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal,
            null,
            0,
        )
    })?;
    Ok(())
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityHalf {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// _LINUX_CAPABILITY_VERSION_3, of the calling thread.
const CAPABILITIES: CapabilityHeader = CapabilityHeader {
    version: 0x2008_0522,
    pid: 0,
};
const SETPCAP: u32 = 1 << 8;

/// Whether this thread may take capabilities out of its bounding set.
pub fn may_drop_bounding() -> Result<bool> {
    let mut header = CAPABILITIES;
    let mut halves = [CapabilityHalf::default(); 2];
    // SAFETY: version 3 makes the kernel write exactly two halves; both live across the call.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) })?;
    Ok(halves[0].effective & SETPCAP != 0)
}

/// Takes everything out of the bounding set.
pub fn drop_bounding() -> Result<()> {
    for capability in 0..64 {
        // SAFETY: PR_CAPBSET_DROP takes no pointers.
        match check(i64::from(unsafe {
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0)
        })) {
            Ok(_) => {}
            // the kernel knows no more
            Err(Errno::EINVAL) if capability > 0 => break,
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Empties the ambient, effective, permitted and inheritable sets.
pub fn drop_capabilities() -> Result<()> {
    // SAFETY: PR_CAP_AMBIENT takes no pointers.
    check(i64::from(unsafe {
        libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_CLEAR_ALL,
            0,
            0,
            0,
        )
    }))?;
    let mut header = CAPABILITIES;
    let halves = [CapabilityHalf::default(); 2];
    // SAFETY: version 3 makes the kernel read exactly two halves; both live across the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) })?;
    Ok(())
}

/// Gives a signal its default action.
pub fn default_action(which: nix::sys::signal::Signal) -> Result<()> {
    // SAFETY: SIG_DFL installs no handler code.
    unsafe { nix::sys::signal::signal(which, nix::sys::signal::SigHandler::SigDfl) }.map(drop)
}
