//! Tries one access and prints `ok` or the errno's name: what the kernel answers, with no program's
//! own handling in between.
#![allow(unsafe_code, reason = "calls that no library wraps, one each")]

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, UnixAddr, bind, connect, sendto,
    socket,
};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use std::ffi::CString;
use std::os::fd::AsRawFd;

type Tried = Result<(), Errno>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match attempt(&words) {
        Ok(()) => println!("ok"),
        Err(errno) => println!("{errno:?}"),
    }
}

fn attempt(words: &[&str]) -> Tried {
    match *words {
        ["read", path] => opened(path, OFlag::O_RDONLY),
        ["list", path] => std::fs::read_dir(path).map(drop).map_err(of_io),
        ["write", path] => opened(path, OFlag::O_WRONLY),
        ["truncate-open", path] => opened(path, OFlag::O_RDONLY | OFlag::O_TRUNC),
        ["truncate", path] => nix::unistd::truncate(path, 0),
        ["create", path] => opened(path, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL),
        ["mkdir", path] => nix::unistd::mkdir(path, Mode::from_bits_truncate(0o700)),
        ["mkfifo", path] => nix::unistd::mkfifo(path, Mode::from_bits_truncate(0o600)),
        ["symlink", path] => nix::unistd::symlinkat("/etc/passwd", AT_FDCWD, path),
        ["remove", path] => nix::unistd::unlink(path),
        ["rename", from, to] => nix::fcntl::renameat(AT_FDCWD, from, AT_FDCWD, to),
        ["link", from, to] => nix::unistd::linkat(AT_FDCWD, from, AT_FDCWD, to, AtFlags::empty()),
        ["chmod", path, mode] => chmod(path, mode),
        ["times", path] => utimes(path),
        ["xattr", path] => setxattr(path),
        ["exec", path] => exec(path),
        ["signal", pid] => signal(pid),
        ["ptrace", pid] => nix::sys::ptrace::seize(
            Pid::from_raw(number(pid)),
            nix::sys::ptrace::Options::empty(),
        ),
        ["environ", pid] => opened(&format!("/proc/{pid}/environ"), OFlag::O_RDONLY),
        ["connect", port] => tcp(port),
        ["datagram", port] => datagram(port),
        ["unix", path] => unix(UnixAddr::new(path)?),
        ["abstract", name] => unix(UnixAddr::new_abstract(name.as_bytes())?),
        ["listen", path] => listen(path),
        ["user-namespace"] => nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER),
        ["call", call] => system_call(number(call)),
        ["tiocsti", high] => tiocsti(high == "high"),
        _ => Err(Errno::EINVAL),
    }
}

fn of_io(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

fn number(text: &str) -> i32 {
    text.parse().unwrap_or(-1)
}

fn opened(path: &str, flags: OFlag) -> Tried {
    open(
        path,
        flags | OFlag::O_CLOEXEC,
        Mode::from_bits_truncate(0o600),
    )
    .map(drop)
}

fn chmod(path: &str, mode: &str) -> Tried {
    let mode = Mode::from_bits_truncate(u32::from_str_radix(mode, 8).unwrap_or(0));
    nix::sys::stat::fchmodat(
        AT_FDCWD,
        path,
        mode,
        nix::sys::stat::FchmodatFlags::FollowSymlink,
    )
}

fn utimes(path: &str) -> Tried {
    let time = nix::sys::time::TimeSpec::new(1, 0);
    let follow = nix::sys::stat::UtimensatFlags::FollowSymlink;
    nix::sys::stat::utimensat(AT_FDCWD, path, &time, &time, follow)
}

fn setxattr(path: &str) -> Tried {
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    // SAFETY: both names are NUL-terminated and the value is one byte long.
    let result = unsafe {
        libc::setxattr(
            path.as_ptr(),
            c"user.stockade".as_ptr(),
            b"x".as_ptr().cast(),
            1,
            0,
        )
    };
    Errno::result(result).map(drop)
}

fn exec(path: &str) -> Tried {
    let out = std::process::Command::new(path).output().map_err(of_io)?;
    if out.status.success() {
        Ok(())
    } else {
        Err(Errno::UnknownErrno)
    }
}

fn signal(pid: &str) -> Tried {
    nix::sys::signal::kill(Pid::from_raw(number(pid)), nix::sys::signal::Signal::SIGURG)
}

fn tcp(port: &str) -> Tried {
    let family = AddressFamily::Inet;
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let port = u16::try_from(number(port)).unwrap_or(0);
    connect(fd.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port))
}

fn datagram(port: &str) -> Tried {
    let family = AddressFamily::Inet;
    let fd = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let port = u16::try_from(number(port)).unwrap_or(0);
    // an address of a documentation network: no host has it (RFC 5737)
    let to = SockaddrIn::new(192, 0, 2, 1, port);
    sendto(fd.as_raw_fd(), b"x", &to, MsgFlags::empty()).map(drop)
}

fn unix_socket() -> nix::Result<std::os::fd::OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Unix, SockType::Stream, flags, None)
}

fn unix(address: UnixAddr) -> Tried {
    connect(unix_socket()?.as_raw_fd(), &address)
}

fn listen(path: &str) -> Tried {
    bind(unix_socket()?.as_raw_fd(), &UnixAddr::new(path)?)
}

/// With arguments that do nothing where the call is let through: EFAULT, EINVAL or EBADF then.
fn system_call(call: i32) -> Tried {
    // SAFETY: every argument is -1 or null-like; no system call writes through such a pointer.
    let result = unsafe { libc::syscall(i64::from(call), -1, -1, -1, -1, -1, -1) };
    match Errno::result(result) {
        Err(refused @ (Errno::EPERM | Errno::ENOSYS)) => Err(refused),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn tiocsti(high: bool) -> Tried {
    let request = libc::TIOCSTI | if high { 1 << 32 } else { 0 };
    // SAFETY: descriptor -1 is never open, so the kernel gets to no pointer.
    let result = unsafe { libc::syscall(libc::SYS_ioctl, -1, request, 0) };
    match Errno::result(result) {
        Err(Errno::EBADF) => Ok(()),
        other => other.map(drop),
    }
}
