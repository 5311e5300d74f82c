//! Everything decided before the first fork: plain data, printable, comparable.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Namespaces,
}

/// What stands at one path of the session's view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The host's file or tree.
    Host {
        path: PathBuf,
        writable: bool,
    },
    /// An empty tmpfs of the session's own.
    Private {
        mode: u32,
    },
    /// The host's directory below, writes in `upper`.
    Overlay {
        lower: PathBuf,
        upper: PathBuf,
        work: PathBuf,
    },
    /// A read-only file with this text.
    Content {
        text: String,
    },
    Symlink {
        target: PathBuf,
    },
    /// What exists there answers EACCES.
    Masked {
        directory: bool,
    },
    Device {
        path: PathBuf,
    },
    Proc,
    Sys,
    DevPts,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Absolute, as the session sees it.
    pub at: PathBuf,
    pub source: Source,
    /// The rule or reason, for `plan` and for errors.
    pub because: String,
}

/// A requirement that nothing holds: the launch stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmet {
    pub requirement: String,
    pub rule: String,
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub level: Level,
    /// Parents first.
    pub view: Vec<Item>,
    pub own_network: bool,
    /// A compiled seccomp program, eight bytes an instruction.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub filter: Vec<u8>,
    pub limits: Vec<(Limit, u64)>,
    pub environment: Vec<(String, String)>,
    pub dropped: Vec<String>,
    pub directory: PathBuf,
    pub executable: PathBuf,
    pub arguments: Vec<String>,
    pub unmet: Vec<Unmet>,
    /// What is held in part and accepted by the policy, by name.
    pub partial: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    Cpu,
    Files,
    FileSize,
}
