//! The system call allow-list, compiled before the first fork; the stage only installs bytes.

mod filter;

pub use filter::{Filters, NoFilters};

use super::{Hold, Host, NOT_MINE};
use crate::facts::Architecture;
use crate::plan::Level;
use filter::Filter;
use libseccomp::{ScmpAction, ScmpArgCompare, ScmpCompareOp, ScmpSyscall};
use std::collections::BTreeMap;
use stockade_policy::Requirement as R;

/// What programs need, by name.
const ALLOWED: &str = include_str!("allowed.txt");
/// Known and refused: EPERM. Whatever stands in neither list is ENOSYS, so that programs fall back.
const REFUSED: &str = include_str!("refused.txt");

/// Name and number on each architecture: a C library's own list may be older than the kernel.
const NUMBERS: &str = include_str!("numbers.txt");

/// Bits of an `int`, which is what the kernel reads of these arguments: `TIOCSTI | 1 << 32` is TIOCSTI.
const INT: u64 = 0xffff_ffff;
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
/// A lease on a file that may only be read delays whoever writes it, outside, by up to 45 s each time
/// (fs.lease-break-time).
const F_SETLEASE: u64 = 0x400;
/// CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
const NAMESPACES: &[u64] = &[
    0x80,
    0x0002_0000,
    0x0200_0000,
    0x0400_0000,
    0x0800_0000,
    0x1000_0000,
    0x2000_0000,
    0x4000_0000,
];
const AF_UNIX: u64 = 1;
const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;
/// Interface look-ups of C libraries.
const AF_NETLINK: u64 = 16;
/// S_ISUID | S_ISGID: such a file in the workspace would run as the user for others on the host.
const SET_ID: u64 = 0o6000;
/// O_CREAT and the bit of O_TMPFILE: only then has open(2) a mode.
const MAKES: u64 = 0o100 | 0o20_000_000;
const O_TRUNC: u64 = 0o1000;
const O_ACCMODE: u64 = 3;
const MSG_FASTOPEN: u64 = 0x2000_0000;

/// Objects with numbers that every process of the user may guess, or names that are in no directory; no
/// right of Landlock is about them. A queue of POSIX that is refused to be opened is made or removed (do_mq_open).
const SHARED: &[&str] = &[
    "mq_open",
    "mq_unlink",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
];

pub struct Rules<'a> {
    pub user_namespaces: bool,
    pub ptrace: bool,
    /// Sockets of IPv4 and IPv6.
    pub inet: bool,
    /// Sockets of AF_UNIX that have names or may send to one; connected pairs are always allowed.
    pub unix: bool,
    /// Every netlink protocol, not only the one of routes and addresses.
    pub netlink: bool,
    /// Whether the agent's process group is the session's alone.
    pub own_group: bool,
    /// Whether a file may be cut by its name without being opened for writing: where nothing else
    /// asks for the right to do so.
    pub cut_by_name: bool,
    /// Whether processes and System V objects and queues of others are out of reach by themselves.
    pub own_processes: bool,
    pub denied: &'a [String],
}

pub fn hold(requirement: &R, host: &Host<'_>) -> Hold {
    match requirement {
        R::NoUserNamespaces { .. } | R::SystemCalls { .. } => Hold::Full,
        // at the level without a network namespace no inet socket is made, or what it names is
        // looked at
        R::NoNetwork { .. } if host.performed => Hold::FullWith("notification"),
        R::NoNetwork { .. } => Hold::Full,
        R::UnixSockets { allowed }
            if host.level == Level::Landlock && allowed.is_empty() && !host.performed =>
        {
            Hold::Full
        }
        R::UnixSockets { .. } => NOT_MINE,
        R::Network { .. } => Hold::None(
            "destinations are not reachable yet: a session has its own loopback and nothing else, or the host's network unfiltered",
        ),
        // below Landlock ABI 3 the part that is named there: cutting by name
        R::NoWriteOutside => NOT_MINE,
        R::NoMetadataOutside
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
        | R::Limit { .. } => NOT_MINE,
    }
}

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.lines()
        .map(|l| l.split('#').next().unwrap_or("").trim())
        .filter(|l| !l.is_empty())
}

/// Name and number of each call that the architecture has.
fn numbers(architecture: Architecture) -> impl Iterator<Item = (&'static str, i32)> {
    let column = match architecture {
        Architecture::X86_64 => 0,
        Architecture::Aarch64 => 1,
    };
    names(NUMBERS).filter_map(move |line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.nth(column)?.parse().ok()?))
    })
}

/// Whether the name is one of a system call at all; a denial of an unknown one must not be skipped.
pub fn known(name: &str) -> bool {
    names(NUMBERS).any(|line| line.split(' ').next() == Some(name))
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

pub fn compile(rules: &Rules<'_>, filters: &dyn Filters) -> Result<Vec<u8>> {
    let mut filter = Filter::default();
    let refuse = ScmpAction::Errno(libc::EPERM);
    let numbers: BTreeMap<&str, i32> = numbers(Architecture::HOST).collect();
    let number = |name: &str| numbers.get(name).copied().map(ScmpSyscall::from);
    for name in names(ALLOWED).filter(|n| !rules.denied.iter().any(|d| d == n)) {
        let Some(call) = number(name) else {
            continue; // of another architecture
        };
        match name {
            "clone" if !rules.user_namespaces => clone(&mut filter, call)?,
            "unshare" if !rules.user_namespaces => plain(&mut filter, refuse, call)?,
            "ptrace" | "process_vm_readv" | "process_vm_writev" if !rules.ptrace => {
                plain(&mut filter, refuse, call)?
            }
            name if !rules.own_processes && SHARED.contains(&name) => {
                plain(&mut filter, refuse, call)?
            }
            "prlimit64" if !rules.own_processes => own_limits(&mut filter, call)?,
            "setpriority" | "ioprio_set" if !rules.own_processes => {
                own_priority(&mut filter, call)?
            }
            "ioctl" => ioctl(&mut filter, call)?,
            "fcntl" => fcntl(&mut filter, call)?,
            "socket" => socket(&mut filter, call, rules)?,
            "socketpair" if !rules.unix => pairs(&mut filter, call)?,
            "kill" if !rules.own_group => kill(&mut filter, call)?,
            "chmod" | "fchmod" | "creat" | "mknod" => bits(&mut filter, call, 1, SET_ID)?,
            "fchmodat" | "fchmodat2" | "mknodat" => bits(&mut filter, call, 2, SET_ID)?,
            "open" => opens(&mut filter, call, 1, rules.cut_by_name)?,
            "openat" => opens(&mut filter, call, 2, rules.cut_by_name)?,
            "truncate" if !rules.cut_by_name => plain(&mut filter, refuse, call)?,
            "sendto" => bits(&mut filter, call, 3, MSG_FASTOPEN)?,
            "sendmsg" => bits(&mut filter, call, 2, MSG_FASTOPEN)?,
            "sendmmsg" => bits(&mut filter, call, 3, MSG_FASTOPEN)?,
            _ => plain(&mut filter, ScmpAction::Allow, call)?,
        }
    }
    for name in names(REFUSED).chain(rules.denied.iter().map(String::as_str)) {
        if let Some(call) = number(name) {
            filter.add_rule(refuse, call)?;
        }
    }
    filter.program(filters)
}

fn plain(filter: &mut Filter, action: ScmpAction, call: ScmpSyscall) -> Result<()> {
    filter.add_rule(action, call)?;
    Ok(())
}

fn masked(argument: u32, mask: u64, value: u64) -> ScmpArgCompare {
    ScmpArgCompare::new(argument, ScmpCompareOp::MaskedEqual(mask), value)
}

/// Allowed with none of the namespace bits.
fn clone(filter: &mut Filter, call: ScmpSyscall) -> Result<()> {
    let all = NAMESPACES
        .iter()
        .filter(|b| **b != 0x80)
        .fold(0, |a, b| a | b);
    filter.add_rule_conditional(ScmpAction::Allow, call, &[masked(0, all, 0)])?;
    for bit in NAMESPACES.iter().filter(|b| **b != 0x80) {
        filter.add_rule_conditional(
            ScmpAction::Errno(libc::EPERM),
            call,
            &[masked(0, *bit, *bit)],
        )?;
    }
    Ok(())
}

/// All but the two that type into the terminal. libseccomp can't say "not equal under a mask", so
/// the comparison is a range on each side of the two, in the low 32 bits by bit.
fn ioctl(filter: &mut Filter, call: ScmpSyscall) -> Result<()> {
    for request in [TIOCSTI, TIOCLINUX] {
        filter.add_rule_conditional(
            ScmpAction::Errno(libc::EPERM),
            call,
            &[masked(1, INT, request)],
        )?;
    }
    // allowed: some of the 32 bits differs from each; a bit where both agree splits the cases
    let (both, differing) = (!(TIOCSTI ^ TIOCLINUX) & INT, (TIOCSTI ^ TIOCLINUX) & INT);
    let bits = |mask: u64| (0..32).map(|n| 1 << n).filter(move |b| mask & b != 0);
    for bit in bits(both) {
        filter.add_rule_conditional(ScmpAction::Allow, call, &[masked(1, bit, !TIOCSTI & bit)])?;
    }
    let low: Vec<u64> = bits(differing).collect();
    // the remaining: equal in all shared bits, differing pattern neither of the two
    for n in 0..(1_u64 << low.len()) {
        let pattern = low
            .iter()
            .enumerate()
            .filter(|(i, _)| n & (1 << i) != 0)
            .fold(0, |a, (_, b)| a | b);
        if pattern != TIOCSTI & differing && pattern != TIOCLINUX & differing {
            filter.add_rule_conditional(
                ScmpAction::Allow,
                call,
                &[masked(1, INT, (TIOCSTI & both) | pattern)],
            )?;
        }
    }
    Ok(())
}

/// All but leases. Commands are small numbers or a few above 1024: two cases, and the bits of the rest.
fn fcntl(filter: &mut Filter, call: ScmpSyscall) -> Result<()> {
    let refuse = ScmpAction::Errno(libc::EPERM);
    filter.add_rule_conditional(refuse, call, &[masked(1, INT, F_SETLEASE)])?;
    let above = !(F_SETLEASE - 1) & INT;
    filter.add_rule_conditional(ScmpAction::Allow, call, &[masked(1, above, 0)])?;
    for bit in (0..32).map(|n| 1_u64 << n) {
        let differs = if bit < F_SETLEASE {
            masked(1, above | bit, F_SETLEASE | bit)
        } else if bit > F_SETLEASE {
            masked(1, bit, bit)
        } else {
            continue;
        };
        filter.add_rule_conditional(ScmpAction::Allow, call, &[differs])?;
    }
    Ok(())
}

fn socket(filter: &mut Filter, call: ScmpSyscall, rules: &Rules<'_>) -> Result<()> {
    let families = [
        (AF_UNIX, rules.unix),
        (AF_INET, rules.inet),
        (AF_INET6, rules.inet),
        (AF_NETLINK, rules.netlink),
    ];
    // the families there are, one by one; numbers above stay at ENOSYS
    for family in 0..64_u64 {
        let action = if families.contains(&(family, true)) {
            ScmpAction::Allow
        } else {
            ScmpAction::Errno(libc::EPERM)
        };
        if family == AF_NETLINK && !rules.netlink {
            // the protocol: 0 is NETLINK_ROUTE
            filter.add_rule_conditional(
                ScmpAction::Allow,
                call,
                &[masked(0, INT, family), masked(2, INT, 0)],
            )?;
            for bit in (0..32).map(|n| 1 << n) {
                filter.add_rule_conditional(
                    action,
                    call,
                    &[masked(0, INT, family), masked(2, bit, bit)],
                )?;
            }
            continue;
        }
        filter.add_rule_conditional(action, call, &[masked(0, INT, family)])?;
    }
    Ok(())
}

/// Of streams and packets in sequence: a datagram socket, paired or not, sends to any name.
fn pairs(filter: &mut Filter, call: ScmpSyscall) -> Result<()> {
    // SOCK_STREAM is 1 and SOCK_SEQPACKET 5; the kernel reads the type from four bits
    filter.add_rule_conditional(ScmpAction::Allow, call, &[masked(1, 0b1011, 1)])?;
    for (bit, value) in [(1, 0), (2, 2), (8, 8)] {
        let refuse = ScmpAction::Errno(libc::EPERM);
        filter.add_rule_conditional(refuse, call, &[masked(1, bit, value)])?;
    }
    Ok(())
}

/// Limits of the calling process may be set, those of others only read: `prlimit(2)` on a process
/// outside asks nothing but the same user.
fn own_limits(filter: &mut Filter, call: ScmpSyscall) -> Result<()> {
    filter.add_rule_conditional(ScmpAction::Allow, call, &[masked(0, INT, 0)])?;
    let new = |compare, bit| [masked(0, bit, bit), ScmpArgCompare::new(2, compare, 0)];
    for bit in (0..32).map(|n| 1 << n) {
        filter.add_rule_conditional(ScmpAction::Allow, call, &new(ScmpCompareOp::Equal, bit))?;
        let refuse = ScmpAction::Errno(libc::EPERM);
        filter.add_rule_conditional(refuse, call, &new(ScmpCompareOp::NotEqual, bit))?;
    }
    Ok(())
}

/// `which` is a process (0 is PRIO_PROCESS, 1 IOPRIO_WHO_PROCESS) and `who` the caller itself.
fn own_priority(filter: &mut Filter, call: ScmpSyscall) -> Result<()> {
    let process = masked(0, INT & !1, 0);
    filter.add_rule_conditional(ScmpAction::Allow, call, &[process, masked(1, INT, 0)])?;
    for bit in (0..32).map(|n| 1 << n) {
        let refuse = ScmpAction::Errno(libc::EPERM);
        filter.add_rule_conditional(refuse, call, &[masked(1, bit, bit)])?;
        if bit != 1 {
            filter.add_rule_conditional(refuse, call, &[masked(0, bit, bit), masked(1, INT, 0)])?;
        }
    }
    Ok(())
}

/// Allowed where no bit of `refused` is set in the argument.
fn bits(filter: &mut Filter, call: ScmpSyscall, argument: u32, refused: u64) -> Result<()> {
    filter.add_rule_conditional(ScmpAction::Allow, call, &[masked(argument, refused, 0)])?;
    for bit in (0..32).map(|n| 1 << n).filter(|b| refused & b != 0) {
        filter.add_rule_conditional(
            ScmpAction::Errno(libc::EPERM),
            call,
            &[masked(argument, bit, bit)],
        )?;
    }
    Ok(())
}

/// `flags` is an argument, the mode the next: it counts only where the call makes a file.
fn opens(filter: &mut Filter, call: ScmpSyscall, flags: u32, cut_by_name: bool) -> Result<()> {
    const CUT: u64 = O_TRUNC | O_ACCMODE;
    // mask and value of each way to open that is allowed, whatever the mode: not cut, or cut where
    // WRITE_FILE is asked, which access mode 3 (neither read nor write, do_dentry_open) goes past
    let ways: &[(u64, u64)] = if cut_by_name {
        &[(0, 0)]
    } else {
        &[(O_TRUNC, 0), (CUT, O_TRUNC | 1), (CUT, O_TRUNC | 2)]
    };
    let refuse = ScmpAction::Errno(libc::EPERM);
    for (mask, value) in ways {
        let makes_none = masked(flags, MAKES | mask, *value);
        filter.add_rule_conditional(ScmpAction::Allow, call, &[makes_none])?;
        let no_set_id = masked(flags + 1, SET_ID, 0);
        if *mask == 0 {
            filter.add_rule_conditional(ScmpAction::Allow, call, &[no_set_id])?;
        } else {
            let way = masked(flags, *mask, *value);
            filter.add_rule_conditional(ScmpAction::Allow, call, &[way, no_set_id])?;
        }
    }
    if !cut_by_name {
        for access in [0, 3] {
            let cut = masked(flags, CUT, O_TRUNC | access);
            filter.add_rule_conditional(refuse, call, &[cut])?;
        }
    }
    for makes in [0o100, 0o20_000_000] {
        for bit in [0o4000, 0o2000] {
            filter.add_rule_conditional(
                refuse,
                call,
                &[masked(flags, makes, makes), masked(flags + 1, bit, bit)],
            )?;
        }
    }
    Ok(())
}

/// All but the caller's own process group, in which others stand too.
fn kill(filter: &mut Filter, call: ScmpSyscall) -> Result<()> {
    filter.add_rule_conditional(ScmpAction::Errno(libc::EPERM), call, &[masked(0, INT, 0)])?;
    for bit in (0..32).map(|n| 1 << n) {
        filter.add_rule_conditional(ScmpAction::Allow, call, &[masked(0, bit, bit)])?;
    }
    Ok(())
}

#[cfg(test)]
pub mod tests;
