//! System calls that are performed for others: seccomp_unotify(2) and what it takes to act on a
//! descriptor of another process.

use super::{check, owned};
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

type Result<T> = std::result::Result<T, Errno>;

const NEW_LISTENER: libc::c_ulong = 1 << 3;
/// Linux 5.19. Without it a signal ends a call that is being performed, which is then made twice.
const WAIT_KILLABLE: libc::c_ulong = 1 << 5;

/// Whether the kernel knows what [`listen_with`] asks.
pub fn known() -> Result<bool> {
    let null = std::ptr::null::<libc::sock_fprog>();
    let flags = NEW_LISTENER | WAIT_KILLABLE;
    // SAFETY: there is no program to read: flags that are known end in EFAULT, others in EINVAL.
    let answer = check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            null,
        )
    });
    match answer {
        Err(Errno::EFAULT) => Ok(true),
        Err(Errno::EINVAL | Errno::ENOSYS) => Ok(false),
        other => other.map(|_| false),
    }
}

/// Whether this thread has a filter already, and with it perhaps a listener.
pub fn filtered() -> bool {
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) != 0 }
}

/// Installs a classic BPF program for this thread and returns the listener of its notifications.
pub fn listen_with(program: &[u8]) -> Result<OwnedFd> {
    let flags = NEW_LISTENER | WAIT_KILLABLE;
    owned(super::set_filter(program, flags)?)
}

/// One call that waits: struct seccomp_notif.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification {
    pub id: u64,
    /// The thread, as this process's pid namespace numbers it.
    pub thread: i32,
    pub call: i32,
    pub arguments: [u64; 6],
}

/// _IOWR('!', 0, struct seccomp_notif), which is ten words, and its answer's three.
const RECEIVE: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;
const VALID: libc::c_ulong = 0x4008_2102;

/// Waits for the next. ENOENT: the one that was there is gone.
pub fn receive(listener: BorrowedFd<'_>) -> Result<Notification> {
    let mut words = [0_u64; 10];
    // SAFETY: the request's number carries the size of what the kernel writes, 80 bytes.
    check(i64::from(unsafe {
        libc::ioctl(listener.as_raw_fd(), RECEIVE as _, words.as_mut_ptr())
    }))?;
    let [id, who, data, _, arguments @ ..] = words;
    Ok(Notification {
        id,
        // pid and flags, number and architecture: the first of each is the lower half
        thread: (who & u64::from(u32::MAX)) as i32,
        call: (data & u64::from(u32::MAX)) as i32,
        arguments,
    })
}

/// Whether the thread still waits: what was read of it until now was its own.
pub fn valid(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads one u64.
    unsafe { libc::ioctl(listener.as_raw_fd(), VALID as _, &raw const id) == 0 }
}

/// ENOENT: the thread is gone.
pub fn answer(listener: BorrowedFd<'_>, id: u64, outcome: Result<()>) -> Result<()> {
    let error = outcome.map_or_else(|errno| -(errno as i32), |()| 0);
    send(listener, [id, 0, u64::from(error.cast_unsigned())])
}

/// Lets the call go on: only where the kernel decides it whatever its arguments are by then.
pub fn go_on(listener: BorrowedFd<'_>, id: u64) -> Result<()> {
    // SECCOMP_USER_NOTIF_FLAG_CONTINUE
    send(listener, [id, 0, 1 << 32])
}

fn send(listener: BorrowedFd<'_>, words: [u64; 3]) -> Result<()> {
    // SAFETY: the request's number carries the size of what the kernel reads, 24 bytes.
    check(i64::from(unsafe {
        libc::ioctl(listener.as_raw_fd(), SEND as _, words.as_ptr())
    }))?;
    Ok(())
}

/// A thread that need not lead its process: PIDFD_THREAD, Linux 6.9.
pub fn pidfd_of_thread(thread: i32) -> Result<OwnedFd> {
    // SAFETY: no pointers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, thread, libc::O_EXCL) })
}

/// A descriptor of another process, as one of this one's.
pub fn take(process: BorrowedFd<'_>, fd: i32) -> Result<OwnedFd> {
    // SAFETY: no pointers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0) })
}

/// Whether two threads have one table of descriptors.
pub fn same_files(one: i32, other: i32) -> Result<bool> {
    const KCMP_FILES: libc::c_int = 2;
    // SAFETY: no pointers.
    let order = check(unsafe { libc::syscall(libc::SYS_kcmp, one, other, KCMP_FILES, 0, 0) })?;
    Ok(order == 0)
}

/// bind(2) with the bytes of an address.
pub fn bind(socket: BorrowedFd<'_>, address: &[u8]) -> Result<()> {
    let length = libc::socklen_t::try_from(address.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the kernel reads `length` bytes of the address.
    check(i64::from(unsafe {
        libc::bind(socket.as_raw_fd(), address.as_ptr().cast(), length)
    }))?;
    Ok(())
}

/// connect(2) with the bytes of an address.
pub fn connect(socket: BorrowedFd<'_>, address: &[u8]) -> Result<()> {
    let length = libc::socklen_t::try_from(address.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the kernel reads `length` bytes of the address.
    check(i64::from(unsafe {
        libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), length)
    }))?;
    Ok(())
}

/// listen(2) with any backlog.
pub fn listen(socket: BorrowedFd<'_>, backlog: i32) -> Result<()> {
    // SAFETY: no pointers.
    check(i64::from(unsafe {
        libc::listen(socket.as_raw_fd(), backlog)
    }))?;
    Ok(())
}

/// getsockopt(2) of an option whose value is one `int` or, for SO_COOKIE, one u64; of a longer one
/// the first four bytes. Both architectures have the lower byte first.
pub fn option(socket: BorrowedFd<'_>, level: i32, name: i32) -> Result<u64> {
    let mut value = 0_u64;
    let mut length = if (level, name) == (libc::SOL_SOCKET, libc::SO_COOKIE) {
        8
    } else {
        4
    };
    // SAFETY: the kernel writes at most `length` bytes, which `value` has.
    check(i64::from(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    }))?;
    Ok(value)
}

/// A signal that does nothing but interrupt the call that a thread is in.
pub fn interrupts(which: nix::sys::signal::Signal) -> Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, sigaction};
    let handler = SigHandler::Handler(nothing);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler touches nothing.
    unsafe { sigaction(which, &action) }.map(drop)
}
