//! Calls that the supervisor performs for the session at level `landlock`, because a filter can't
//! look at what they name: bind, connect and listen. What it may not look at either, sockets that
//! take an address with each message, is not made. Installed beside the filter of `seccomp`, which
//! allows what this one is about.

use super::{Hold, Host, NOT_MINE};
use crate::facts::UNIX_ABI;
use nix::libc;
use stockade_policy::Requirement as R;

/// Options that would lead a connection elsewhere than to its address, or later than it was judged.
const OPTIONS: &[(i32, &[i32])] = &[
    // the last, SO_BINDTOIFINDEX, is in few libraries; SO_REUSEPORT would share a port of the host's
    (
        libc::SOL_SOCKET,
        &[libc::SO_REUSEPORT, libc::SO_BINDTODEVICE, 62],
    ),
    // IP_OPTIONS: a source route
    (libc::IPPROTO_IP, &[4]),
    // IPV6_2292PKTOPTIONS, IPV6_PKTINFO, IPV6_RTHDR
    (libc::IPPROTO_IPV6, &[6, 50, 57]),
    (libc::IPPROTO_TCP, &[TCP_FASTOPEN_CONNECT]),
];
const TCP_FASTOPEN_CONNECT: i32 = 30;

pub fn hold(requirement: &R, host: &Host<'_>) -> Hold {
    match requirement {
        R::UnixSockets { .. } if host.performed && host.facts.landlock_abi < UNIX_ABI => {
            Hold::FullWith("seccomp")
        }
        R::UnixSockets { .. }
        // with the filter, which says so
        | R::NoNetwork { .. }
        | R::Network { .. }
        | R::NoWriteOutside
        | R::NoMetadataOutside
        | R::Hidden { .. }
        | R::ReadOnlyInside { .. }
        | R::Private { .. }
        | R::Overlay { .. }
        | R::ProtectedPresent { .. }
        | R::ProtectedAbsent { .. }
        | R::ExecByPath { .. }
        | R::ExecWritten { .. }
        | R::Processes
        | R::NothingLeft
        | R::NoUserNamespaces { .. }
        | R::SystemCalls { .. }
        | R::Limit { .. } => NOT_MINE,
    }
}

type Instruction = (u16, u8, u8, u32);

/// Classic BPF as seccomp filters use it; `struct seccomp_data` has the call's number first.
const NUMBER: Instruction = (0x20, 0, 0, 0);
const ALLOW: Instruction = (0x06, 0, 0, libc::SECCOMP_RET_ALLOW);
const NOTIFY: Instruction = (0x06, 0, 0, libc::SECCOMP_RET_USER_NOTIF);

fn refuse(errno: i32) -> Instruction {
    (0x06, 0, 0, libc::SECCOMP_RET_ERRNO | errno.unsigned_abs())
}

/// The lower half of an argument, which is all that the kernel reads of an `int`. It comes first on
/// both architectures.
fn argument(n: u32) -> Instruction {
    (0x20, 0, 0, 16 + 8 * n)
}

fn and(mask: u32) -> Instruction {
    (0x54, 0, 0, mask)
}

/// `block`, which ends the program, where the accumulator has this value.
fn when(value: i32, block: &[Instruction]) -> Vec<Instruction> {
    let over = u8::try_from(block.len()).unwrap_or(u8::MAX);
    let mut out = vec![(0x15, 0, over, value.cast_unsigned())];
    out.extend(block);
    out
}

/// The second filter. With `unix_by_landlock` each AF_UNIX socket may be made: the kernel itself
/// decides what its names reach.
pub fn filter(unix_by_landlock: bool) -> Vec<u8> {
    let eperm = refuse(libc::EPERM);
    let call = |number: libc::c_long, block: &[Instruction]| {
        when(i32::try_from(number).unwrap_or(-1), block)
    };
    let mut program = vec![NUMBER];
    for number in [libc::SYS_bind, libc::SYS_connect, libc::SYS_listen] {
        program.extend(call(number, &[NOTIFY]));
    }
    program.extend(call(libc::SYS_socket, &sockets(unix_by_landlock)));
    if !unix_by_landlock {
        // SOCK_STREAM 1, SOCK_SEQPACKET 5: pairs of datagram sockets send to any name
        let mut pairs = vec![argument(1), and(0b1011)];
        pairs.extend(when(1, &[ALLOW]));
        pairs.push(eperm);
        program.extend(call(libc::SYS_socketpair, &pairs));
    }
    let mut options = vec![argument(1)];
    for (level, names) in OPTIONS {
        let mut block = vec![argument(2)];
        for name in *names {
            block.extend(when(*name, &[refuse(libc::ENOPROTOOPT)]));
        }
        block.push(ALLOW);
        options.extend(when(*level, &block));
    }
    options.push(ALLOW);
    program.extend(call(libc::SYS_setsockopt, &options));
    program.push(ALLOW);
    program.into_iter().flat_map(bytes).collect()
}

/// TCP, and of AF_UNIX what takes no name with a message; the first filter has judged the family.
fn sockets(unix_by_landlock: bool) -> Vec<Instruction> {
    let eperm = refuse(libc::EPERM);
    // the kernel reads the type from four bits and refuses others but two
    let kind = [argument(1), and(0xf)];
    let mut tcp = vec![argument(2)];
    tcp.extend(when(0, &[ALLOW]));
    tcp.extend(when(libc::IPPROTO_TCP, &[ALLOW]));
    tcp.push(eperm);
    let mut inet = kind.to_vec();
    inet.extend(when(libc::SOCK_STREAM, &tcp));
    inet.push(eperm);
    let mut out = vec![argument(0)];
    out.extend(when(libc::AF_INET, &inet));
    out.extend(when(libc::AF_INET6, &inet));
    if !unix_by_landlock {
        let mut unix = kind.to_vec();
        unix.extend(when(libc::SOCK_STREAM, &[ALLOW]));
        unix.extend(when(libc::SOCK_SEQPACKET, &[ALLOW]));
        unix.push(eperm);
        out.extend(when(libc::AF_UNIX, &unix));
    }
    out.push(ALLOW);
    out
}

fn bytes((code, yes, no, k): Instruction) -> [u8; 8] {
    let ([a, b], [w, x, y, z]) = (code.to_ne_bytes(), k.to_ne_bytes());
    [a, b, yes, no, w, x, y, z]
}

#[cfg(test)]
mod tests {
    use super::super::seccomp::tests::{ALLOW, EPERM, answer};
    use super::*;

    const PERFORMED: u32 = libc::SECCOMP_RET_USER_NOTIF;
    const NO_OPTION: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOPROTOOPT as u32;

    #[test]
    fn what_names_something_is_performed_and_the_rest_is_not_made() {
        for by_landlock in [false, true] {
            let program = filter(by_landlock);
            for name in ["bind", "connect", "listen"] {
                assert_eq!(answer(&program, name, [u64::MAX; 4]), PERFORMED);
            }
            for name in ["read", "execve", "sendto", "accept4", "getsockname"] {
                assert_eq!(answer(&program, name, [0; 4]), ALLOW, "{name}");
            }
            for high in [0, 1 << 32] {
                for (family, kind, protocol) in every_socket() {
                    let inet = matches!(family, 2 | 10);
                    let allowed = match kind & 0xf {
                        1 => !inet || matches!(protocol, 0 | 6),
                        5 => !inet,
                        _ => !inet && (family != 1 || by_landlock),
                    };
                    let words = [family | high, kind | high, protocol | high, 0];
                    let expected = if allowed { ALLOW } else { EPERM };
                    assert_eq!(answer(&program, "socket", words), expected, "{words:x?}");
                    let pair = by_landlock || matches!(kind & 0xf, 1 | 5);
                    let expected = if pair { ALLOW } else { EPERM };
                    assert_eq!(answer(&program, "socketpair", words), expected);
                }
            }
        }
    }

    /// Families that there are, with each type and its flags, and the protocols of TCP's kin.
    fn every_socket() -> impl Iterator<Item = (u64, u64, u64)> {
        let flags = [0, 0o2_000_000, 0o4000, 0o2_004_000];
        let kinds = (0..16).flat_map(move |kind| flags.map(|f| kind | f));
        // 132 SCTP, 262 MPTCP, 256 + 6 and 6 with a bit that only a longer compare would see
        let protocols = [0, 1, 2, 4, 6, 17, 132, 262, 256, 1 << 31 | 6];
        kinds.flat_map(move |kind| {
            let of = move |family| protocols.map(|protocol| (family, kind, protocol));
            [1, 2, 10, 16].into_iter().flat_map(of)
        })
    }

    #[test]
    fn options_that_lead_elsewhere_are_not_there() {
        let program = filter(false);
        for high in [0, 1 << 32] {
            for level in 0..300 {
                for name in 0..100 {
                    let listed = OPTIONS
                        .iter()
                        .any(|(l, names)| *l == level && names.contains(&name));
                    let words = [0, level as u64 | high, name as u64 | high, 0];
                    let expected = if listed { NO_OPTION } else { ALLOW };
                    assert_eq!(
                        answer(&program, "setsockopt", words),
                        expected,
                        "{words:x?}"
                    );
                }
            }
        }
    }
}
