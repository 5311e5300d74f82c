//! Landlock: what may be opened, made, executed, by the directories that a path leads through.

use super::{Hold, Host, NOT_MINE};
use crate::plan::{Landlock, Level};
use crate::sys;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use std::os::fd::{AsFd, OwnedFd};
use stockade_policy::Requirement as R;

/// Rights of include/uapi/linux/landlock.h, with the ABI that has them.
pub mod right {
    pub const EXECUTE: u64 = 1;
    pub const WRITE_FILE: u64 = 1 << 1;
    pub const READ_FILE: u64 = 1 << 2;
    pub const READ_DIR: u64 = 1 << 3;
    /// REMOVE_DIR to MAKE_SYM but the devices, which nobody may make.
    pub const ENTRIES: u64 =
        (1 << 4) | (1 << 5) | (1 << 7) | (1 << 8) | (1 << 9) | (1 << 10) | (1 << 12);
    /// MAKE_CHAR, MAKE_BLOCK.
    pub const DEVICES: u64 = (1 << 6) | (1 << 11);
    /// ABI 2; without it each rename across directories is refused.
    pub const REFER: u64 = 1 << 13;
    /// ABI 3.
    pub const TRUNCATE: u64 = 1 << 14;
    /// ABI 5.
    pub const IOCTL_DEV: u64 = 1 << 15;
    /// ABI 9.
    pub const RESOLVE_UNIX: u64 = 1 << 16;
    /// What may be said of a file that is not a directory.
    pub const OF_FILES: u64 =
        EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV | RESOLVE_UNIX;
}

/// LANDLOCK_ACCESS_NET_BIND_TCP and CONNECT_TCP, ABI 4: where no rule gives a port, none is.
pub const TCP: u64 = 3;

/// LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET and LANDLOCK_SCOPE_SIGNAL, ABI 6.
pub const SCOPES: u64 = 3;

/// The file system rights that a kernel of this ABI knows.
pub fn known(abi: u32) -> u64 {
    let since = |least: u32, rights: u64| if abi >= least { rights } else { 0 };
    since(1, (1 << 13) - 1)
        | since(2, right::REFER)
        | since(3, right::TRUNCATE)
        | since(5, right::IOCTL_DEV)
        | since(9, right::RESOLVE_UNIX)
}

/// Below, cutting a file by its name needs no right.
pub fn holds_truncate(abi: u32) -> bool {
    known(abi) & right::TRUNCATE != 0
}

pub fn hold(requirement: &R, host: &Host<'_>) -> Hold {
    let abi = host.facts.landlock_abi;
    if abi == 0 {
        return match host.level {
            Level::Landlock => {
                Hold::None("this kernel has no Landlock, or it is switched off (lsm=)")
            }
            Level::Namespaces => NOT_MINE,
        };
    }
    match host.level {
        Level::Namespaces => beside_mounts(requirement, abi),
        Level::Landlock => alone(requirement, abi),
    }
}

const LOADER: Hold = Hold::Partial(
    "loader",
    "the dynamic loader runs a program that may be read but not executed",
);

fn beside_mounts(requirement: &R, abi: u32) -> Hold {
    match requirement {
        R::ExecByPath { .. } => LOADER,
        R::UnixSockets { .. } if abi >= 9 => Hold::Full,
        R::UnixSockets { .. }
        | R::NoWriteOutside
        | R::NoMetadataOutside
        | R::Hidden { .. }
        | R::ReadOnlyInside { .. }
        | R::Private { .. }
        | R::Overlay { .. }
        | R::ProtectedPresent { .. }
        | R::ProtectedAbsent { .. }
        | R::ExecWritten { .. }
        | R::NoNetwork { .. }
        | R::Network { .. }
        | R::Processes
        | R::NothingLeft
        | R::NoUserNamespaces { .. }
        | R::SystemCalls { .. }
        | R::Limit { .. } => NOT_MINE,
    }
}

/// Where there are no mounts beside it.
fn alone(requirement: &R, abi: u32) -> Hold {
    const INSIDE: Hold = Hold::Partial(
        "inside",
        "Landlock can't take back inside a directory what it gives for the directory",
    );
    match requirement {
        R::NoWriteOutside if holds_truncate(abi) => Hold::Full,
        // whatever cuts a file without opening it for writing is refused everywhere
        R::NoWriteOutside => Hold::FullWith("seccomp"),
        R::NoMetadataOutside => Hold::Partial(
            "metadata",
            "Landlock has no right for chmod, chown, times and xattr",
        ),
        R::Hidden { inside } if inside.is_empty() => Hold::Full,
        R::Hidden { .. } | R::ReadOnlyInside { .. } | R::ProtectedPresent { .. } => INSIDE,
        R::Private { .. } => Hold::Partial(
            "private",
            "writes there are refused; folders of the session stand in, named by variables",
        ),
        R::Overlay { .. } => Hold::Partial(
            "overlay",
            "writes there are refused; folders of the session stand in, named by variables",
        ),
        R::ExecByPath { .. } => LOADER,
        R::UnixSockets { .. } if abi >= 9 => Hold::Full,
        R::UnixSockets { .. } => {
            Hold::Partial("unix", "pathname sockets are not held below Landlock ABI 9")
        }
        R::Processes if abi >= 6 => Hold::Full,
        R::Processes => Hold::Partial(
            "signals",
            "signals to other processes of the user are not held below Landlock ABI 6",
        ),
        R::ProtectedAbsent { .. }
        | R::ExecWritten { .. }
        | R::NoNetwork { .. }
        | R::Network { .. }
        | R::NothingLeft
        | R::NoUserNamespaces { .. }
        | R::SystemCalls { .. }
        | R::Limit { .. } => NOT_MINE,
    }
}

/// The calling thread, for good; the ruleset is returned. Paths are opened as the session sees them;
/// one that is gone since the plan was made, or that the view hides, gives nothing.
pub fn restrict(plan: &Landlock) -> Result<OwnedFd, (Option<usize>, Errno)> {
    let whole = |e| (None, e);
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    let ruleset = sys::landlock_ruleset(plan.files, plan.network, plan.scopes).map_err(whole)?;
    for (n, rule) in plan.rules.iter().enumerate() {
        let at = |e| (Some(n), e);
        let fd = match openat2(AT_FDCWD, &rule.path, how) {
            Err(Errno::ENOENT | Errno::EACCES) => continue,
            other => other.map_err(at)?,
        };
        sys::landlock_allow(ruleset.as_fd(), fd.as_fd(), rule.rights).map_err(at)?;
    }
    sys::landlock_restrict(ruleset.as_fd()).map_err(whole)?;
    Ok(ruleset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Architecture, Cgroup, HostFacts, Notify};

    fn held(abi: u32) -> (Hold, &'static str) {
        let facts = HostFacts {
            architecture: Architecture::HOST,
            landlock_abi: abi,
            user_namespaces: false,
            uid: 1000,
            gid: 1000,
            groups: Vec::new(),
            cgroup: Cgroup::None,
            notify: Notify::Possible,
            sockets: Vec::new(),
        };
        let level = Level::Landlock;
        let host = Host {
            facts: &facts,
            level,
            performed: false,
        };
        super::super::best(&R::NoWriteOutside, &host)
    }

    #[test]
    fn no_write_outside_needs_the_filter_below_abi_3() {
        assert!(matches!(held(0), (Hold::None(_), "Landlock")));
        for abi in [1, 2] {
            assert_eq!(held(abi), (Hold::FullWith("seccomp"), "Landlock"));
        }
        for abi in [3, 9] {
            assert_eq!(held(abi), (Hold::Full, "Landlock"));
        }
    }
}
