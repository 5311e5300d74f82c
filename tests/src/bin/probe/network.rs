//! One access by a socket each.

use super::{Errno, Tried, call, number, of_io};
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, UnixAddr, bind, connect, sendto,
    socket,
};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU8, Ordering};

pub fn inet(kind: SockType) -> nix::Result<std::os::fd::OwnedFd> {
    socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, None)
}

pub fn port_of(text: &str) -> u16 {
    u16::try_from(number(text)).unwrap_or(0)
}

pub fn tcp([a, b, c, d]: [u8; 4], port: &str) -> Tried {
    let to = SockaddrIn::new(a, b, c, d, port_of(port));
    connect(inet(SockType::Stream)?.as_raw_fd(), &to)
}

pub fn datagram([a, b, c, d]: [u8; 4], port: &str, flags: MsgFlags) -> Tried {
    let kind = if flags.is_empty() {
        SockType::Datagram
    } else {
        SockType::Stream
    };
    let to = SockaddrIn::new(a, b, c, d, port_of(port));
    sendto(inet(kind)?.as_raw_fd(), b"x", &to, flags).map(drop)
}

pub fn family_of(family: i32, kind: i32, protocol: i32) -> Tried {
    // SAFETY: no pointers; the descriptor ends with the process.
    Errno::result(unsafe { libc::socket(family, kind, protocol) }).map(drop)
}

pub fn unix_socket() -> nix::Result<std::os::fd::OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Unix, SockType::Stream, flags, None)
}

pub fn unix(address: UnixAddr) -> Tried {
    connect(unix_socket()?.as_raw_fd(), &address)
}

pub fn listen(path: &str) -> Tried {
    bind(unix_socket()?.as_raw_fd(), &UnixAddr::new(path)?)
}

/// An address that one thread changes while another makes a call with it.
static SHARED: [AtomicU8; 110] = [const { AtomicU8::new(0) }; 110];

pub fn share(bytes: &[u8]) {
    let padded = bytes.iter().chain(std::iter::repeat(&0));
    for (shared, byte) in SHARED.iter().zip(padded) {
        shared.store(*byte, Ordering::Relaxed);
    }
}

pub fn with_shared(call: unsafe extern "C" fn(i32, *const libc::sockaddr, u32) -> i32) -> Tried {
    let family = [&SHARED[0], &SHARED[1]].map(|b| b.load(Ordering::Relaxed));
    let inet = i32::from(u16::from_ne_bytes(family)) == libc::AF_INET;
    let (socket, length) = if inet {
        (inet_socket()?, 16)
    } else {
        (unix_socket()?, SHARED.len() as u32)
    };
    // SAFETY: the kernel reads `length` bytes of the array, whatever another thread writes there.
    Errno::result(unsafe { call(socket.as_raw_fd(), SHARED.as_ptr().cast(), length) }).map(drop)
}

pub fn inet_socket() -> nix::Result<std::os::fd::OwnedFd> {
    inet(SockType::Stream)
}

/// As the kernel reads it: family and path, or family, port and 127.0.0.1.
pub fn bytes_of(object: &str) -> Vec<u8> {
    let family = |n: i32| (n as u16).to_ne_bytes().to_vec();
    match object.parse::<u16>() {
        Ok(port) => [
            family(libc::AF_INET),
            port.to_be_bytes().to_vec(),
            vec![127, 0, 0, 1],
        ]
        .concat(),
        Err(_) => [family(libc::AF_UNIX), object.as_bytes().to_vec()].concat(),
    }
}

/// The kernel reads an `int` of descriptor and length, whatever stands above.
pub fn high(path: &str) -> Tried {
    let server = std::os::unix::net::UnixListener::bind(path).map_err(of_io)?;
    let socket = unix_socket()?;
    share(&bytes_of(path));
    let (fd, length) = (i64::from(socket.as_raw_fd()), SHARED.len() as i64);
    let (fd, length) = (fd | 1 << 32, length | 1 << 32);
    // SAFETY: the kernel reads as many bytes as the array has.
    Errno::result(unsafe { libc::syscall(libc::SYS_connect, fd, SHARED.as_ptr(), length) })?;
    server.accept().map(drop).map_err(of_io)
}

pub fn option(level: i32, name: i32) -> Tried {
    let socket = inet(SockType::Stream)?;
    let value = 1_i32;
    // SAFETY: the kernel reads one int.
    call(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            4,
        )
    })
}
