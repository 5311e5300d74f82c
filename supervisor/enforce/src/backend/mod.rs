//! The kernel mechanisms, each with what it holds of a requirement. No `match` on a requirement
//! has a wildcard arm: a new one breaks the build until each backend has answered.

pub mod cgroup;
pub mod comparison;
pub mod landlock;
pub mod namespaces;
pub mod notify;
pub mod rlimits;
pub mod seccomp;
pub mod view;

use crate::facts::HostFacts;
use crate::plan::Level;
use stockade_policy::Requirement;

/// How well one backend holds one requirement here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    Full,
    /// In full, with the part that the backend of this name does for it.
    FullWith(&'static str),
    /// The name that `enforcement.accept_partial` takes, and what is missing.
    Partial(&'static str, &'static str),
    /// What would hold it, where this backend could elsewhere.
    None(&'static str),
}

/// Nothing of this backend's business.
pub const NOT_MINE: Hold = Hold::None("");

pub struct Host<'a> {
    pub facts: &'a HostFacts,
    pub level: Level,
    /// Whether the supervisor performs the calls that name what a socket is to reach.
    pub performed: bool,
}

pub struct Backend {
    pub name: &'static str,
    pub hold: fn(&Requirement, &Host<'_>) -> Hold,
}

/// In the order in which a launch applies them.
pub const BACKENDS: &[Backend] = &[
    Backend {
        name: "cgroup",
        hold: cgroup::hold,
    },
    Backend {
        name: "namespaces",
        hold: namespaces::hold,
    },
    Backend {
        name: "mounts",
        hold: view::hold,
    },
    Backend {
        name: "rlimits",
        hold: rlimits::hold,
    },
    Backend {
        name: "Landlock",
        hold: landlock::hold,
    },
    Backend {
        name: "seccomp",
        hold: seccomp::hold,
    },
    Backend {
        name: "notification",
        hold: notify::hold,
    },
    Backend {
        name: "comparison",
        hold: comparison::hold,
    },
];

/// The best answer, and whose it is. Where nobody holds it, the reason that says most.
pub fn best(requirement: &Requirement, host: &Host<'_>) -> (Hold, &'static str) {
    let strength = |hold: &Hold| match hold {
        Hold::Full => 4,
        Hold::FullWith(_) => 3,
        Hold::Partial(..) => 2,
        Hold::None(why) => u8::from(!why.is_empty()),
    };
    let mut best = (NOT_MINE, "");
    for backend in BACKENDS {
        let hold = (backend.hold)(requirement, host);
        if strength(&hold) > strength(&best.0) {
            best = (hold, backend.name);
        }
    }
    best
}
