//! TCP between the session's own programs. The loopback is the host's: what the session binds is
//! reached from the host too, and what it connects to must listen for the session itself.

use super::caller::{Caller, Kind};
use super::waiting::{self, Interrupter, Tried};
use super::{Outcome, Shared, lock};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{Shutdown, shutdown};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Mutex;
use std::time::Duration;
use stockade_enforce::performing;
use stockade_enforce::tcp_listener;

/// AF_UNSPEC: ends what a socket was connected to.
const UNSPECIFIED: [u8; 16] = [0; 16];
const LOOPBACK_4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOOPBACK_6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
/// Connecting takes microseconds, or whoever listens has as many as it takes.
const AT_ONCE: Duration = Duration::from_millis(20);
/// The oldest are forgotten then, and refused as if they were of others.
const MOST: usize = 1 << 16;

/// The session's own sockets, by the cookie that no other socket ever has.
#[derive(Default)]
pub struct Own {
    bound: Mutex<BTreeMap<u64, Bound>>,
    listening: Mutex<BTreeMap<u64, Bound>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bound {
    /// Asked to be reached by IPv6 and IPv4, of which it got IPv4's loopback.
    both: bool,
}

impl Own {
    fn note(of: &Mutex<BTreeMap<u64, Bound>>, cookie: u64, bound: Bound) {
        let mut all = lock(of);
        all.insert(cookie, bound);
        if all.len() > MOST {
            // cookies only grow
            all.pop_first();
        }
    }

    fn listens(&self, cookie: u64) -> Option<Bound> {
        lock(&self.listening).get(&cookie).copied()
    }
}

/// A connection that the kernel tries to make.
pub struct Connection {
    socket: OwnedFd,
    to: SocketAddr,
}

pub fn perform(shared: &Shared, caller: Caller, domain: i32, interrupter: &Interrupter) -> Outcome {
    match caller.kind {
        Kind::Bind => bind(&shared.tcp, &caller, domain).map(Some),
        Kind::Listen { backlog } => listen(&shared.tcp, &caller, domain, backlog).map(Some),
        Kind::Connect => connect(shared, caller, domain, interrupter),
    }
}

/// None for AF_UNSPEC.
fn address(bytes: &[u8], domain: i32) -> Result<Option<SocketAddr>, Errno> {
    let at = |from: usize, to: usize| bytes.get(from..to).ok_or(Errno::EINVAL);
    let [a, b] = at(0, 2)?.try_into().map_err(|_| Errno::EINVAL)?;
    let family = i32::from(u16::from_ne_bytes([a, b]));
    if family == libc::AF_UNSPEC {
        return Ok(None);
    }
    // struct sockaddr_in has 16 bytes, struct sockaddr_in6 24 without its scope
    at(0, if domain == libc::AF_INET { 16 } else { 24 })?;
    if family != domain {
        return Err(Errno::EAFNOSUPPORT);
    }
    let [a, b] = at(2, 4)?.try_into().map_err(|_| Errno::EINVAL)?;
    let port = u16::from_be_bytes([a, b]);
    let ip: IpAddr = if domain == libc::AF_INET {
        let octets: [u8; 4] = at(4, 8)?.try_into().map_err(|_| Errno::EINVAL)?;
        octets.into()
    } else {
        let octets: [u8; 16] = at(8, 24)?.try_into().map_err(|_| Errno::EINVAL)?;
        octets.into()
    };
    Ok(Some(SocketAddr::new(ip, port)))
}

/// The address as the socket's family writes it.
fn written(address: SocketAddr, domain: i32) -> Vec<u8> {
    let (ip, port) = (address.ip(), address.port());
    let mapped = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut out = u16::try_from(domain).unwrap_or(0).to_ne_bytes().to_vec();
    out.extend(port.to_be_bytes());
    match (ip, domain) {
        (IpAddr::V4(ip), libc::AF_INET) => {
            out.extend(ip.octets());
            out.extend([0; 8]);
        }
        (ip, _) => {
            out.extend([0; 4]); // flow
            out.extend(mapped(ip).octets());
            out.extend([0; 4]); // scope
        }
    }
    out
}

fn only_v6(caller: &Caller) -> bool {
    let name = libc::IPV6_V6ONLY;
    performing::option(caller.socket.as_fd(), libc::IPPROTO_IPV6, name).is_ok_and(|v| v != 0)
}

/// Where every address is asked for, of which only the loopback's is given.
fn every(caller: &Caller, domain: i32) -> (IpAddr, Bound) {
    match domain {
        libc::AF_INET => (LOOPBACK_4, Bound { both: false }),
        _ if only_v6(caller) => (LOOPBACK_6, Bound { both: false }),
        _ => (LOOPBACK_4, Bound { both: true }),
    }
}

fn cookie(caller: &Caller) -> Result<u64, Errno> {
    performing::option(caller.socket.as_fd(), libc::SOL_SOCKET, libc::SO_COOKIE)
}

fn bind(own: &Own, caller: &Caller, domain: i32) -> Result<(), Errno> {
    let asked = address(&caller.address, domain)?.ok_or(Errno::EAFNOSUPPORT)?;
    let (ip, bound) = match asked.ip() {
        ip if ip.is_unspecified() => every(caller, domain),
        ip if ip.to_canonical().is_loopback() => (ip.to_canonical(), Bound { both: false }),
        _ => return Err(Errno::EADDRNOTAVAIL),
    };
    bind_to(
        own,
        caller,
        domain,
        SocketAddr::new(ip, asked.port()),
        bound,
    )
}

fn bind_to(
    own: &Own,
    caller: &Caller,
    domain: i32,
    address: SocketAddr,
    bound: Bound,
) -> Result<(), Errno> {
    performing::bind(caller.socket.as_fd(), &written(address, domain))?;
    Own::note(&own.bound, cookie(caller)?, bound);
    Ok(())
}

/// Only of what was bound here, to an address that stays whatever the caller does: the kernel would
/// bind anything else to every address.
fn listen(own: &Own, caller: &Caller, domain: i32, backlog: i32) -> Result<(), Errno> {
    let cookie = cookie(caller)?;
    let known = lock(&own.bound).get(&cookie).copied();
    let bound = match known {
        Some(bound) => bound,
        None => {
            let (ip, bound) = every(caller, domain);
            bind_to(own, caller, domain, SocketAddr::new(ip, 0), bound)?;
            bound
        }
    };
    // before it listens: nobody takes it for another's
    Own::note(&own.listening, cookie, bound);
    performing::listen(caller.socket.as_fd(), backlog)
}

/// What would take the connection, if it is the session's own.
fn own_listener(own: &Own, asked: SocketAddr, domain: i32) -> Option<SocketAddr> {
    let of = |address| tcp_listener(address).and_then(|cookie| own.listens(cookie));
    if of(asked).is_some() {
        return Some(asked);
    }
    // one that asked to be reached by both is reached by both
    let other = SocketAddr::new(LOOPBACK_4, asked.port());
    let both = domain == libc::AF_INET6 && asked.ip() == LOOPBACK_6;
    (both && of(other).is_some_and(|b| b.both)).then_some(other)
}

fn connect(shared: &Shared, caller: Caller, domain: i32, interrupter: &Interrupter) -> Outcome {
    let Some(asked) = address(&caller.address, domain)? else {
        return performing::connect(caller.socket.as_fd(), &UNSPECIFIED).map(Some);
    };
    let ip = match asked.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => LOOPBACK_4,
        IpAddr::V6(ip) if ip.is_unspecified() => LOOPBACK_6,
        ip if ip.is_loopback() => ip,
        _ => return Err(Errno::ENETUNREACH),
    };
    let asked = SocketAddr::new(ip, asked.port());
    let to = own_listener(&shared.tcp, asked, domain).ok_or(Errno::ECONNREFUSED)?;
    let bytes = written(to, domain);
    let outcome = interrupter.within(AT_ONCE, || {
        performing::connect(caller.socket.as_fd(), &bytes)
    });
    let connection = Connection {
        socket: caller.socket,
        to,
    };
    let (call, answer) = match outcome {
        // the kernel goes on trying
        Err(Errno::EINTR) => (Some(caller.id), Ok(None)),
        outcome => (None, outcome.map(Some)),
    };
    match connection.look(&shared.tcp) {
        // too many wait: as the kernel says it where it has no room
        End::NotYet => match waiting::add(shared, call, Tried::Tcp(connection)) {
            true => answer,
            false => Err(Errno::EAGAIN),
        },
        End::Aborted => Err(Errno::ECONNREFUSED),
        End::Made if call.is_some() => Ok(Some(())),
        End::Closed if call.is_some() => Err(connection.error()),
        // what the kernel said, and SO_ERROR is the caller's to read
        End::Made | End::Closed => answer,
    }
}

/// What became of a connection.
pub enum End {
    NotYet,
    Made,
    /// Refused or given up by the kernel, which keeps the reason with this socket.
    Closed,
    /// Not the session's any more.
    Aborted,
}

impl Connection {
    pub fn look(&self, own: &Own) -> End {
        const SYN_SENT: u64 = 2;
        const SYN_RECEIVED: u64 = 3;
        const CLOSE: u64 = 7;
        let socket = self.socket.as_fd();
        // struct tcp_info begins with the state
        let state = performing::option(socket, libc::IPPROTO_TCP, libc::TCP_INFO);
        match state.map(|s| s & 0xff) {
            Ok(SYN_SENT | SYN_RECEIVED) if self.is_own(own) => End::NotYet,
            Ok(SYN_SENT | SYN_RECEIVED) | Err(_) => {
                self.abort();
                End::Aborted
            }
            Ok(CLOSE) => End::Closed,
            // whoever accepted it may have stopped listening; somebody else was never meant
            Ok(_) if self.taken_over(own) => {
                shutdown(self.socket.as_raw_fd(), Shutdown::Both).unwrap_or(());
                End::Aborted
            }
            Ok(_) => End::Made,
        }
    }

    /// The kernel stops trying: nobody else takes the connection later.
    pub fn abort(&self) {
        // what has no connection needs no end
        performing::connect(self.socket.as_fd(), &UNSPECIFIED).unwrap_or(());
    }

    /// Why it was closed.
    pub fn error(&self) -> Errno {
        let error = performing::option(self.socket.as_fd(), libc::SOL_SOCKET, libc::SO_ERROR);
        match error.map(|e| i32::try_from(e).unwrap_or(0)) {
            Ok(0) | Err(_) => Errno::ECONNREFUSED,
            Ok(error) => Errno::from_raw(error),
        }
    }

    fn is_own(&self, own: &Own) -> bool {
        tcp_listener(self.to).is_some_and(|cookie| own.listens(cookie).is_some())
    }

    fn taken_over(&self, own: &Own) -> bool {
        tcp_listener(self.to).is_some_and(|cookie| own.listens(cookie).is_none())
    }
}
