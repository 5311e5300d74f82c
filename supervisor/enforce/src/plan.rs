//! Everything decided before the first fork: plain data, printable, comparable.

use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::PathBuf;

/// What the host allows, the weaker first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Landlock and seccomp: no privilege, no user namespace.
    Landlock,
    /// Namespaces and mounts besides.
    Namespaces,
}

impl Level {
    /// The stronger first, as they are tried.
    pub const ALL: [Self; 2] = [Self::Namespaces, Self::Landlock];
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Landlock => "landlock",
            Self::Namespaces => "namespaces",
        })
    }
}

/// What stands at one path of the session's view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The host's file or tree.
    Host {
        #[serde(with = "crate::bytes::path")]
        path: PathBuf,
        writable: bool,
    },
    /// An empty tmpfs of the session's own.
    Private {
        mode: u32,
        /// Nothing in it may be executed.
        noexec: bool,
    },
    /// The host's directory below, writes in `upper`.
    Overlay {
        #[serde(with = "crate::bytes::path")]
        lower: PathBuf,
        #[serde(with = "crate::bytes::path")]
        upper: PathBuf,
        #[serde(with = "crate::bytes::path")]
        work: PathBuf,
        noexec: bool,
    },
    /// A read-only file with this text.
    Content {
        text: String,
    },
    /// A file of the session's own that starts as a copy of the host's; empty when there is none.
    Copy {
        #[serde(with = "crate::bytes::path")]
        path: PathBuf,
        mode: u32,
    },
    Symlink {
        #[serde(with = "crate::bytes::path")]
        target: PathBuf,
    },
    /// What exists there answers EACCES.
    Masked {
        directory: bool,
    },
    Device {
        #[serde(with = "crate::bytes::path")]
        path: PathBuf,
    },
    Proc,
    Sys,
    DevPts,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Absolute, as the session sees it.
    #[serde(with = "crate::bytes::path")]
    pub at: PathBuf,
    pub source: Source,
    /// The rule or reason, for `plan` and for errors.
    pub because: String,
}

/// One Landlock ruleset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landlock {
    /// Rights of the file system that are refused where no rule gives them.
    pub files: u64,
    /// Rights of TCP that are refused; no rule gives any.
    pub network: u64,
    pub scopes: u64,
    pub rules: Vec<Beneath>,
}

/// Rights beneath a path, as the session sees it, no link in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beneath {
    #[serde(with = "crate::bytes::path")]
    pub path: PathBuf,
    pub rights: u64,
    pub because: String,
}

/// The control group whose limits hold for the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The delegated group that the supervisor is started in.
    pub within: PathBuf,
    /// Below it: everything that the session runs.
    pub session: PathBuf,
    /// Beside it: the supervisor itself, because a group that limits others holds no process.
    pub supervisor: PathBuf,
}

/// Who decides what a socket is bound and connected to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sockets {
    /// The kernel: by namespaces, or nothing is asked of it.
    Kernel,
    /// The supervisor, which performs the call.
    Supervisor {
        /// A compiled seccomp program that sends it these calls.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        filter: Vec<u8>,
        /// Unix sockets of the host that may be connected to, and directories of such.
        unix: Vec<PathBuf>,
        /// Those of AF_UNIX are the kernel's to decide nevertheless.
        unix_by_landlock: bool,
    },
    /// Those that have names are not made, because of this.
    Refused(String),
}

/// Who has the terminal's signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Terminal {
    /// Nobody: a process group of its own, the supervisor passes signals on.
    None,
    /// The agent alone: its own process group becomes the terminal's foreground.
    Foreground,
    /// The agent is part of a pipeline and stays in its process group; `kill(0, …)`, which would
    /// reach the others in it, is refused.
    Shared,
}

/// A requirement that nothing holds: the launch stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmet {
    pub requirement: String,
    pub rule: String,
    pub why: String,
}

/// A requirement that is held in part, as the policy accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    pub name: String,
    pub requirement: String,
    pub backend: String,
    pub why: String,
}

/// A requirement that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub requirement: String,
    pub backend: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub level: Level,
    /// Parents first; empty at level `landlock`.
    pub view: Vec<Item>,
    /// Whose descriptor the supervisor gets, to copy back what the session replaced there.
    pub private_home: Option<PathBuf>,
    pub own_network: bool,
    pub landlock: Option<Landlock>,
    /// A compiled seccomp program, eight bytes an instruction.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub filter: Vec<u8>,
    pub sockets: Sockets,
    pub limits: Vec<(Limit, u64)>,
    /// Seconds until the session is ended.
    pub wall: Option<u64>,
    /// Memory in bytes and number of processes, held by a cgroup.
    pub memory: Option<u64>,
    pub processes: Option<u64>,
    /// None where there is nothing for it to hold.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub group: Option<Group>,
    pub terminal: Terminal,
    #[serde(with = "crate::bytes::pairs")]
    pub environment: Vec<(OsString, OsString)>,
    pub dropped: Vec<String>,
    #[serde(with = "crate::bytes::path")]
    pub directory: PathBuf,
    #[serde(with = "crate::bytes::path")]
    pub executable: PathBuf,
    #[serde(with = "crate::bytes::list")]
    pub arguments: Vec<OsString>,
    pub held: Vec<Held>,
    pub partial: Vec<Partial>,
    pub unmet: Vec<Unmet>,
    /// Destinations of presets and agents that no backend can open yet.
    pub not_reachable: Vec<String>,
    /// Supplementary groups that can't be given up; their files stay open to the agent.
    pub groups: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    Cpu,
    Files,
    FileSize,
}
