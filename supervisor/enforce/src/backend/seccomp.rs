//! The system call allow-list, compiled before the first fork; the stage only installs bytes.

use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};
use std::io::{Read, Seek};

/// What programs need, by name.
const ALLOWED: &str = include_str!("seccomp-allowed.txt");
/// Known and refused: EPERM. Whatever stands in neither list is ENOSYS, so that programs fall back.
const REFUSED: &str = include_str!("seccomp-refused.txt");

/// Bits of an `int`, which is what the kernel reads of these arguments: `TIOCSTI | 1 << 32` is TIOCSTI.
const INT: u64 = 0xffff_ffff;
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
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
/// Unix, IPv4, IPv6 and netlink (interface look-ups of C libraries).
const FAMILIES: &[u64] = &[1, 2, 10, 16];
const MSG_FASTOPEN: u64 = 0x2000_0000;

pub struct Rules<'a> {
    pub user_namespaces: bool,
    pub ptrace: bool,
    pub denied: &'a [String],
}

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.lines()
        .map(|l| l.split('#').next().unwrap_or("").trim())
        .filter(|l| !l.is_empty())
}

/// Whether the name is one of a system call at all; a denial of an unknown one must not be skipped.
pub fn known(name: &str) -> bool {
    names(ALLOWED).chain(names(REFUSED)).any(|n| n == name) || ScmpSyscall::from_name(name).is_ok()
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

pub fn compile(rules: &Rules<'_>) -> Result<Vec<u8>> {
    let mut filter = ScmpFilterContext::new(ScmpAction::Errno(libc::ENOSYS))?;
    filter.set_act_badarch(ScmpAction::KillProcess)?;
    filter.set_ctl_nnp(false)?;
    filter.set_ctl_optimize(2)?;
    debug_assert!(filter.is_arch_present(ScmpArch::Native)?);
    let refuse = ScmpAction::Errno(libc::EPERM);
    for name in names(ALLOWED).filter(|n| !rules.denied.iter().any(|d| d == n)) {
        // a name that this libseccomp does not know stays at ENOSYS: an allow-list has no hole there
        let Ok(call) = ScmpSyscall::from_name(name) else {
            continue;
        };
        match name {
            "clone" if !rules.user_namespaces => clone(&mut filter, call)?,
            "unshare" if !rules.user_namespaces => plain(&mut filter, refuse, call)?,
            "ptrace" | "process_vm_readv" | "process_vm_writev" if !rules.ptrace => {
                plain(&mut filter, refuse, call)?
            }
            "ioctl" => ioctl(&mut filter, call)?,
            "socket" => socket(&mut filter, call)?,
            "sendto" => flags(&mut filter, call, 3)?,
            "sendmsg" => flags(&mut filter, call, 2)?,
            "sendmmsg" => flags(&mut filter, call, 3)?,
            _ => plain(&mut filter, ScmpAction::Allow, call)?,
        }
    }
    for name in names(REFUSED).chain(rules.denied.iter().map(String::as_str)) {
        if let Ok(call) = ScmpSyscall::from_name(name) {
            filter.add_rule(refuse, call)?;
        }
    }
    let memory =
        nix::sys::memfd::memfd_create("stockade-seccomp", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
    let mut file = std::fs::File::from(memory);
    filter.export_bpf(&mut file)?;
    file.rewind()?;
    let mut program = Vec::new();
    file.read_to_end(&mut program)?;
    Ok(program)
}

fn plain(filter: &mut ScmpFilterContext, action: ScmpAction, call: ScmpSyscall) -> Result<()> {
    filter.add_rule(action, call)?;
    Ok(())
}

fn masked(argument: u32, mask: u64, value: u64) -> ScmpArgCompare {
    ScmpArgCompare::new(argument, ScmpCompareOp::MaskedEqual(mask), value)
}

/// Allowed with none of the namespace bits.
fn clone(filter: &mut ScmpFilterContext, call: ScmpSyscall) -> Result<()> {
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
fn ioctl(filter: &mut ScmpFilterContext, call: ScmpSyscall) -> Result<()> {
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

fn socket(filter: &mut ScmpFilterContext, call: ScmpSyscall) -> Result<()> {
    for family in FAMILIES {
        filter.add_rule_conditional(ScmpAction::Allow, call, &[masked(0, INT, *family)])?;
    }
    // every other family by bit: above 63 at once, below one by one
    for family in (0..64_u64).filter(|f| !FAMILIES.contains(f)) {
        filter.add_rule_conditional(
            ScmpAction::Errno(libc::EPERM),
            call,
            &[masked(0, INT, family)],
        )?;
    }
    Ok(())
}

fn flags(filter: &mut ScmpFilterContext, call: ScmpSyscall, argument: u32) -> Result<()> {
    filter.add_rule_conditional(
        ScmpAction::Allow,
        call,
        &[masked(argument, MSG_FASTOPEN, 0)],
    )?;
    filter.add_rule_conditional(
        ScmpAction::Errno(libc::EPERM),
        call,
        &[masked(argument, MSG_FASTOPEN, MSG_FASTOPEN)],
    )?;
    Ok(())
}
