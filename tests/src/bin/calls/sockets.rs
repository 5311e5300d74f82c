//! Sockets and their addresses.
#![forbid(unsafe_code)]

use super::*;

const INET: u64 = libc::AF_INET as u64;
const INET6: u64 = libc::AF_INET6 as u64;
const UNIX: u64 = libc::AF_UNIX as u64;
const NETLINK: u64 = libc::AF_NETLINK as u64;
const STREAM: u64 = libc::SOCK_STREAM as u64;
const DATAGRAM: u64 = libc::SOCK_DGRAM as u64;
const NONBLOCK: u64 = (libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) as u64;

fn inet(port: u16) -> u64 {
    let mut bytes = vec![2, 0];
    bytes.extend(port.to_be_bytes());
    bytes.extend([127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    memory(&bytes)
}

fn inet6(port: u16) -> u64 {
    let mut bytes = vec![10, 0];
    bytes.extend(port.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    bytes.extend([0; 4]);
    memory(&bytes)
}

/// The address, and how long it is.
fn unix(name: &[u8]) -> (u64, u64) {
    let bytes = [&[1, 0], name].concat();
    (memory(&bytes), bytes.len() as u64)
}

fn length(is: u32) -> u64 {
    memory(&is.to_ne_bytes())
}

/// struct msghdr, with one vector.
fn message(name: u64, size: u64, data: u64, count: u64) -> u64 {
    words(&[name, size, words(&[data, count]), 1, 0, 0, 0])
}

/// Both families do the same.
pub fn internet() {
    of(INET, inet, 16);
    of(INET6, inet6, 28);
}

fn of(family: u64, address: fn(u16) -> u64, size: u64) {
    let (data, out) = (text("data"), buffer());
    let server = made(libc::SYS_socket, &[family, STREAM, 0]);
    call(
        libc::SYS_setsockopt,
        &[server, 1, 2, memory(&1_u32.to_ne_bytes()), 4],
    );
    call(libc::SYS_bind, &[server, address(0), size]);
    call(libc::SYS_bind, &[server, address(0), 3]);
    call(libc::SYS_bind, &[NO, address(9), size]);
    call(libc::SYS_listen, &[server, 5]);
    let own = buffer();
    call(libc::SYS_getsockname, &[server, own, length(128)]);
    call(libc::SYS_getsockname, &[server, buffer(), length(4)]);
    call(libc::SYS_getpeername, &[server, buffer(), length(128)]);
    let client = made(libc::SYS_socket, &[family, STREAM | NONBLOCK, 6]);
    call(libc::SYS_connect, &[client, own, size]);
    let got = made(
        libc::SYS_accept4,
        &[server, out, length(128), wide(libc::SOCK_CLOEXEC)],
    );
    call(libc::SYS_connect, &[client, own, size]);
    call(libc::SYS_getpeername, &[client, buffer(), length(128)]);
    call(
        libc::SYS_sendto,
        &[client, data, 4, wide(libc::MSG_NOSIGNAL), 0, 0],
    );
    call(
        libc::SYS_recvfrom,
        &[got, out, 100, wide(libc::MSG_NOSIGNAL), 0, 0],
    );
    call(
        libc::SYS_recvfrom,
        &[
            got,
            out,
            100,
            wide(libc::MSG_DONTWAIT | libc::MSG_PEEK),
            0,
            0,
        ],
    );
    call(libc::SYS_sendmsg, &[client, message(0, 0, data, 4), 0]);
    call(libc::SYS_shutdown, &[client, 1]);
    call(libc::SYS_shutdown, &[server, 9]);
    call(libc::SYS_accept, &[NO, out, length(128)]);
    let refused = made(libc::SYS_socket, &[family, STREAM, 0]);
    call(libc::SYS_connect, &[refused, address(1), size]);
    call(libc::SYS_connect, &[refused, BAD, size]);
    call(libc::SYS_connect, &[refused, address(1), 1]);
    for socket in [server, client, got, refused] {
        call(libc::SYS_close, &[socket]);
    }
    datagrams(family, address, size);
}

fn datagrams(family: u64, address: fn(u16) -> u64, size: u64) {
    let (data, out) = (text("data"), buffer());
    let one = made(libc::SYS_socket, &[family, DATAGRAM, 17]);
    let two = made(libc::SYS_socket, &[family, DATAGRAM, 0]);
    call(libc::SYS_bind, &[one, address(0), size]);
    call(libc::SYS_bind, &[two, address(0), size]);
    let own = buffer();
    call(libc::SYS_getsockname, &[one, own, length(128)]);
    call(libc::SYS_sendto, &[two, data, 4, 0, own, size]);
    call(
        libc::SYS_recvfrom,
        &[one, out, 100, 0, buffer(), length(128)],
    );
    call(
        libc::SYS_recvfrom,
        &[
            one,
            out,
            100,
            wide(libc::MSG_DONTWAIT),
            buffer(),
            length(128),
        ],
    );
    call(libc::SYS_sendmsg, &[two, message(own, size, data, 3), 0]);
    call(
        libc::SYS_recvmsg,
        &[one, message(buffer(), 128, out, 100), wide(libc::MSG_TRUNC)],
    );
    call(
        libc::SYS_recvmsg,
        &[
            one,
            message(buffer(), 128, out, 100),
            wide(libc::MSG_DONTWAIT),
        ],
    );
    call(libc::SYS_sendmsg, &[two, BAD, 0]);
    let several = words(&[own, size, words(&[data, 2]), 1, 0, 0, 0, 0]);
    call(libc::SYS_sendmmsg, &[two, several, 1, 0]);
    call(libc::SYS_recvmmsg, &[one, several, 1, 0, 0]);
    call(libc::SYS_sendto, &[NO, data, 4, 0, address(7), size]);
    call(libc::SYS_close, &[one]);
    call(libc::SYS_close, &[two]);
}

pub fn local() {
    let out = buffer();
    let server = made(libc::SYS_socket, &[UNIX, STREAM, 0]);
    let (name, size) = unix(b"socket\0");
    call(libc::SYS_bind, &[server, name, size]);
    call(libc::SYS_listen, &[server, 1]);
    call(libc::SYS_getsockname, &[server, buffer(), length(128)]);
    let client = made(libc::SYS_socket, &[UNIX, STREAM, 0]);
    call(libc::SYS_connect, &[client, name, size]);
    let got = made(libc::SYS_accept, &[server, out, length(128)]);
    call(libc::SYS_getpeername, &[client, buffer(), length(128)]);
    let (hidden, hidden_size) = unix(b"\0stockade-calls-\x01test");
    let named = made(libc::SYS_socket, &[UNIX, DATAGRAM | NONBLOCK, 0]);
    call(libc::SYS_bind, &[named, hidden, hidden_size]);
    call(libc::SYS_getsockname, &[named, buffer(), length(128)]);
    call(
        libc::SYS_sendto,
        &[named, text("x"), 1, 0, hidden, hidden_size],
    );
    call(
        libc::SYS_recvfrom,
        &[named, out, 10, 0, buffer(), length(128)],
    );
    for path in [
        &b"absent/socket\0"[..],
        b"/absent\0",
        b"odd\x1b\xff name\0",
        &[b'l'; 108],
    ] {
        let (name, size) = unix(path);
        let socket = made(libc::SYS_socket, &[UNIX, STREAM | NONBLOCK, 0]);
        call(libc::SYS_connect, &[socket, name, size]);
        call(
            libc::SYS_sendmsg,
            &[socket, message(name, size, text("x"), 1), 0],
        );
        call(libc::SYS_close, &[socket]);
    }
    let pair = buffer();
    call(libc::SYS_socketpair, &[UNIX, DATAGRAM, 0, pair]);
    call(libc::SYS_socketpair, &[INET, STREAM, 0, pair]);
    call(libc::SYS_socketpair, &[UNIX, STREAM | NONBLOCK, 0, pair]);
    for socket in [server, client, got, named] {
        call(libc::SYS_close, &[socket]);
    }
}

pub fn netlink() {
    let socket = made(libc::SYS_socket, &[NETLINK, libc::SOCK_RAW as u64, 0]);
    let address = |groups: u32| {
        let mut bytes = vec![16, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(groups.to_ne_bytes());
        memory(&bytes)
    };
    call(libc::SYS_bind, &[socket, address(0x11), 12]);
    call(libc::SYS_getsockname, &[socket, buffer(), length(12)]);
    call(libc::SYS_connect, &[socket, address(0), 12]);
    call(libc::SYS_connect, &[socket, address(0), 4]);
    call(
        libc::SYS_setsockopt,
        &[socket, 270, 1, memory(&2_u32.to_ne_bytes()), 4],
    );
    call(libc::SYS_close, &[socket]);
    call(libc::SYS_socket, &[NETLINK, DATAGRAM, 99]);
    call(libc::SYS_socket, &[77, 9, 0]);
}

pub fn options() {
    let socket = made(libc::SYS_socket, &[INET, STREAM, 0]);
    let one = memory(&1_u32.to_ne_bytes());
    for (level, option) in [
        (1, 9),
        (1, 8),
        (6, 1),
        (6, 4),
        (0, 1),
        (41, 26),
        (1, 999),
        (17, 1),
    ] {
        call(libc::SYS_setsockopt, &[socket, level, option, one, 4]);
        call(
            libc::SYS_getsockopt,
            &[socket, level, option, buffer(), length(4)],
        );
    }
    call(libc::SYS_setsockopt, &[socket, 1, 2, BAD, 4]);
    call(libc::SYS_getsockopt, &[socket, 1, 4, buffer(), length(4)]);
    call(libc::SYS_getsockopt, &[NO, 1, 4, buffer(), length(4)]);
    call(libc::SYS_close, &[socket]);
}
