//! Addresses that a session may not reach.

use super::change;
use super::judge::Refusal;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use stockade_policy::{Access, Protocol, RuleId, Verdict};

pub fn judged(
    policy: &stockade_policy::Policy,
    host: &str,
    port: u16,
    datagram: bool,
) -> Option<(Refusal, Verdict)> {
    let address: IpAddr = host.parse().ok()?;
    let decision = policy.decide(&Access::Connect {
        name: None,
        address: Some(address),
        port,
        protocol: if datagram {
            Protocol::Udp
        } else {
            Protocol::Tcp
        },
    });
    let object = match address {
        IpAddr::V4(_) => format!("{host}:{port}"),
        IpAddr::V6(_) => format!("[{host}]:{port}"),
    };
    let line = change::line("network", "allow", &object);
    let refusal = Refusal {
        verb: "connect",
        object,
        rule: decision.rule,
        change: Some(line),
        hidden: false,
    };
    Some((refusal, decision.verdict))
}

pub fn refused(
    policy: &stockade_policy::Policy,
    host: &str,
    port: u16,
    datagram: bool,
) -> Option<Refusal> {
    judged(policy, host, port, datagram)
        .filter(|(_, verdict)| *verdict != Verdict::Allow)
        .map(|(refusal, _)| refusal)
}

pub fn of_the_host() -> RuleId {
    RuleId::new("built-in", "network.unix", "a socket of the host's")
}

pub fn refused_abstract(name: &str) -> Refusal {
    Refusal {
        verb: "connect",
        object: format!("@{name}"),
        rule: of_the_host(),
        change: None,
        hidden: false,
    }
}

/// As /proc/net/unix writes it, with `@` for each NUL (net/unix/af_unix.c, unix_seq_show).
pub fn in_abstract(name: &[u8]) -> Vec<u8> {
    let bytes = name.iter().map(|b| if *b == 0 { b'@' } else { *b });
    std::iter::once(b'@').chain(bytes).collect()
}

pub fn in_tree(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

/// Whether a socket of this name is bound in the supervisor's network namespace.
pub fn host_listens(name: &[u8]) -> bool {
    let table = std::fs::read("/proc/net/unix").unwrap_or_default();
    table.split(|b| *b == b'\n').skip(1).any(|line| {
        // seven fields, and the name as it is
        let mut rest = line;
        for _ in 0..7 {
            rest = rest.trim_ascii_start();
            let Some(end) = rest.iter().position(u8::is_ascii_whitespace) else {
                return false;
            };
            rest = &rest[end..];
        }
        rest.strip_prefix(b" ") == Some(name)
    })
}
