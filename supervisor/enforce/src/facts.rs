//! What is known of the host before a launch: only what costs microseconds is asked; the rest is
//! found by doing.

use crate::sockets::{Socket, sockets};
use crate::{backend, diag, sys};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// From here on Landlock has a right for sockets of processes outside.
pub const UNIX_ABI: u32 = 9;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    X86_64,
    Aarch64,
}

impl Architecture {
    pub const HOST: Self = if cfg!(target_arch = "aarch64") {
        Self::Aarch64
    } else {
        Self::X86_64
    };
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cgroup {
    /// No cgroup file system that this process sees.
    None,
    /// Version 1 alone, or version 2 without controllers beside it.
    WithoutControllers,
    /// Version 2 with controllers, in a group that belongs to somebody else.
    NotDelegated,
    /// Version 2: a group may be made below this directory.
    Delegated(PathBuf),
}

/// Whether the supervisor can perform calls for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notify {
    Possible,
    /// The kernel is older than Linux 5.19, or its seccomp is not to be had.
    Missing,
    /// Somebody above listens already, and there can be one only.
    Taken,
    /// The kernel doesn't say whose a socket is: CONFIG_INET_DIAG, CONFIG_UNIX_DIAG.
    NoList,
    /// The supervisor may not look into processes that it started.
    NoPtrace,
}

impl Notify {
    /// None where it is possible.
    pub fn why_not(self) -> Option<&'static str> {
        match self {
            Self::Possible => None,
            Self::Missing => Some("the kernel is older than 5.19"),
            Self::Taken => Some(
                "a sandbox or container around this one listens to system calls already, and only one can",
            ),
            Self::NoList => Some(
                "the kernel doesn't say whose a socket is: it has no modules tcp_diag and unix_diag, or may not load them",
            ),
            Self::NoPtrace => Some("kernel.yama.ptrace_scope is 2 or more"),
        }
    }

    fn ask() -> Result<Self, Errno> {
        let scope = match std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope") {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Errno::from_raw(e.raw_os_error().unwrap_or(0)));
            }
            scope => scope.unwrap_or_default(),
        };
        // 1 leaves a process what it started, and what that started
        Ok(if !matches!(scope.trim(), "" | "0" | "1") {
            Self::NoPtrace
        } else if !sys::notify::known()? {
            Self::Missing
        } else if !diag::answers()? {
            Self::NoList
        } else if sys::notify::filtered() && !listener_is_free()? {
            Self::Taken
        } else {
            Self::Possible
        })
    }
}

/// By a thread that takes it and ends, and its filter with it.
fn listener_is_free() -> Result<bool, Errno> {
    let listen = || {
        nix::sys::prctl::set_no_new_privs()?;
        match sys::notify::listen_with(&backend::notify::filter(false)) {
            Err(Errno::EBUSY) => Ok(false),
            listener => listener.map(|_| true),
        }
    };
    let thread = std::thread::Builder::new().spawn(listen);
    let thread = thread.map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)))?;
    thread.join().unwrap_or(Err(Errno::EIO))
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    pub architecture: Architecture,
    /// 0 where the kernel has no Landlock or it is switched off.
    pub landlock_abi: u32,
    /// False where the kernel has none or allows none; whether one really can be made is found by doing.
    pub user_namespaces: bool,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub cgroup: Cgroup,
    pub notify: Notify,
    /// Unix sockets that are bound now; none are asked for where Landlock holds them.
    pub sockets: Vec<Socket>,
}

/// A host that doesn't answer is not taken for one that has less.
#[derive(Debug, thiserror::Error)]
#[error("cannot ask the kernel for {what}: {errno}")]
pub struct FactsError {
    what: &'static str,
    errno: Errno,
}

impl HostFacts {
    pub fn ask() -> Result<Self, FactsError> {
        let no = |what| move |errno| FactsError { what, errno };
        let landlock_abi = sys::landlock_abi().map_err(no("Landlock"))?;
        let most = std::fs::read_to_string("/proc/sys/user/max_user_namespaces");
        Ok(Self {
            architecture: Architecture::HOST,
            landlock_abi,
            // an unreadable limit says nothing; a missing namespace file does
            user_namespaces: std::path::Path::new("/proc/self/ns/user").exists()
                && most.map_or(true, |n| n.trim() != "0"),
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            groups: nix::unistd::getgroups()
                .map_err(no("the groups"))?
                .into_iter()
                .map(nix::unistd::Gid::as_raw)
                .collect(),
            cgroup: cgroup(),
            notify: Notify::ask().map_err(no("notifications of system calls"))?,
            sockets: if landlock_abi < UNIX_ABI {
                sockets().map_err(no("the Unix sockets that are bound"))?
            } else {
                Vec::new()
            },
        })
    }
}

fn cgroup() -> Cgroup {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let Some(path) = own.lines().find_map(|l| l.strip_prefix("0::")) else {
        return if own.is_empty() {
            Cgroup::None
        } else {
            Cgroup::WithoutControllers
        };
    };
    let point = mounts.lines().find_map(|line| {
        let (head, tail) = line.split_once(" - ")?;
        tail.starts_with("cgroup2 ")
            .then(|| head.split(' ').nth(4).map(PathBuf::from))?
    });
    let Some(point) = point else {
        return Cgroup::None;
    };
    let folder = point.join(path.trim_start_matches('/'));
    let controllers =
        std::fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
    if !["memory", "pids"]
        .iter()
        .all(|c| controllers.split_ascii_whitespace().any(|x| x == *c))
    {
        return Cgroup::WithoutControllers;
    }
    let writable =
        |path: &std::path::Path| nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).is_ok();
    // as cgroups(7) defines delegation: the directory and these two of its files
    let files = ["cgroup.procs", "cgroup.subtree_control"].map(|f| folder.join(f));
    if writable(&folder) && files.iter().all(|f| writable(f)) {
        Cgroup::Delegated(folder)
    } else {
        Cgroup::NotDelegated
    }
}
