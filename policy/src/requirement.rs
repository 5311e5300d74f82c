//! What rules ask the kernel to guarantee: a small closed set. No `match` on it has a wildcard
//! arm, so that a new requirement breaks the build of every backend until each has answered.

use crate::glob::Glob;
use crate::policy::{Policy, Rule, RuleId};
use crate::rule;

/// A pattern with the rule it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRule {
    pub glob: Glob,
    pub id: RuleId,
    pub rank: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    Memory,
    Processes,
    Cpu,
    Wall,
    Files,
    FileSize,
}

/// The name of each, for messages, `plan` and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequirementKind {
    NoWriteOutside,
    NoMetadataOutside,
    Hidden,
    ReadOnlyInside,
    Private,
    Overlay,
    ProtectedPresent,
    ProtectedAbsent,
    ExecByPath,
    ExecWritten,
    NoNetwork,
    Network,
    UnixSockets,
    Processes,
    NothingLeft,
    NoUserNamespaces,
    SystemCalls,
    Limit,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// No write, create, remove, rename outside what is named writable.
    NoWriteOutside,
    /// No chmod, chown, times, xattr there.
    NoMetadataOutside,
    /// Unreadable: what no rule names, and these inside what is named.
    Hidden {
        inside: Vec<PathRule>,
    },
    /// Not writable inside a writable tree; also what is to be private or overlaid there.
    ReadOnlyInside {
        paths: Vec<PathRule>,
    },
    Private {
        paths: Vec<PathRule>,
    },
    Overlay {
        paths: Vec<PathRule>,
    },
    ProtectedPresent {
        paths: Vec<PathRule>,
    },
    /// The same of names that do not exist, and of those that other denials name in a writable tree.
    ProtectedAbsent {
        paths: Vec<PathRule>,
    },
    /// Execution by path, where something is denied.
    ExecByPath {
        default: RuleId,
    },
    ExecWritten {
        rule: RuleId,
    },
    /// Nothing but the session's own loopback.
    NoNetwork {
        rule: RuleId,
    },
    /// Destinations, ports, published ports.
    Network {
        rules: Vec<RuleId>,
    },
    UnixSockets {
        allowed: Vec<PathRule>,
    },
    /// Signals, ptrace and /proc of processes outside.
    Processes,
    NothingLeft,
    NoUserNamespaces {
        rule: RuleId,
    },
    SystemCalls {
        denied: Vec<(String, RuleId)>,
    },
    Limit {
        limit: Limit,
        amount: u64,
        rule: RuleId,
    },
}

impl Requirement {
    pub fn kind(&self) -> RequirementKind {
        use RequirementKind as K;
        match self {
            Self::NoWriteOutside => K::NoWriteOutside,
            Self::NoMetadataOutside => K::NoMetadataOutside,
            Self::Hidden { .. } => K::Hidden,
            Self::ReadOnlyInside { .. } => K::ReadOnlyInside,
            Self::Private { .. } => K::Private,
            Self::Overlay { .. } => K::Overlay,
            Self::ProtectedPresent { .. } => K::ProtectedPresent,
            Self::ProtectedAbsent { .. } => K::ProtectedAbsent,
            Self::ExecByPath { .. } => K::ExecByPath,
            Self::ExecWritten { .. } => K::ExecWritten,
            Self::NoNetwork { .. } => K::NoNetwork,
            Self::Network { .. } => K::Network,
            Self::UnixSockets { .. } => K::UnixSockets,
            Self::Processes => K::Processes,
            Self::NothingLeft => K::NothingLeft,
            Self::NoUserNamespaces { .. } => K::NoUserNamespaces,
            Self::SystemCalls { .. } => K::SystemCalls,
            Self::Limit { .. } => K::Limit,
        }
    }
}

const LIMITS: &[(&str, Limit)] = &[
    ("limits.memory", Limit::Memory),
    ("limits.processes", Limit::Processes),
    ("limits.cpu", Limit::Cpu),
    ("limits.wall", Limit::Wall),
    ("limits.files", Limit::Files),
    ("limits.file_size", Limit::FileSize),
];

impl Policy {
    /// The path rules of one key of [filesystem], a row for each pattern.
    pub fn paths(&self, table: &str, name: &str) -> Vec<PathRule> {
        let rows = |r: &crate::policy::Rule| {
            let (id, rank) = (r.id.clone(), r.rank);
            r.globs
                .iter()
                .map(move |glob| PathRule {
                    glob: glob.clone(),
                    id: id.clone(),
                    rank,
                })
                .collect::<Vec<_>>()
        };
        self.rules()
            .iter()
            .filter(|r| r.key.table == table && r.key.name == name && !r.report)
            .flat_map(rows)
            .collect()
    }

    pub fn requirements(&self) -> Vec<Requirement> {
        let mut out = vec![
            Requirement::NoWriteOutside,
            Requirement::NoMetadataOutside,
            Requirement::Hidden {
                inside: self.paths("filesystem", "deny_read"),
            },
            Requirement::Processes,
            Requirement::NothingLeft,
            Requirement::UnixSockets {
                allowed: self.paths("network", "unix"),
            },
        ];
        let mut some = |paths: Vec<PathRule>, make: fn(Vec<PathRule>) -> Requirement| {
            if !paths.is_empty() {
                out.push(make(paths));
            }
        };
        some(self.taken_back(), |paths| Requirement::ReadOnlyInside {
            paths,
        });
        some(self.paths("filesystem", "private"), |paths| {
            Requirement::Private { paths }
        });
        some(self.paths("filesystem", "overlay"), |paths| {
            Requirement::Overlay { paths }
        });
        some(self.paths("filesystem", "protect"), |paths| {
            Requirement::ProtectedPresent { paths }
        });
        some(self.absent(), |paths| Requirement::ProtectedAbsent {
            paths,
        });
        let denied = |key: &str| {
            self.setting(key)
                .filter(|s| s.value != "allow")
                .map(|s| s.id.clone())
        };
        let exec_rules = self
            .of("exec", "deny")
            .next()
            .or_else(|| self.of("exec", "ask").next())
            .map(|r| r.id.clone());
        if let Some(default) = denied("exec.default").or(exec_rules) {
            out.push(Requirement::ExecByPath { default });
        }
        if let Some(rule) = denied("exec.written") {
            out.push(Requirement::ExecWritten { rule });
        }
        if let Some(rule) = denied("process.user_namespaces") {
            out.push(Requirement::NoUserNamespaces { rule });
        }
        out.extend(self.network());
        out.extend(self.system_calls());
        out.extend(self.limits());
        out
    }

    /// What is not to be written within a tree that is: denied, or the session's own there.
    fn taken_back(&self) -> Vec<PathRule> {
        let writable = self.paths("filesystem", "write");
        let inside = |rule: &PathRule| {
            let root = rule.glob.root();
            let mut trees = writable.iter().map(|write| write.glob.root());
            trees.any(|tree| root != tree && root.starts_with(tree))
        };
        let mut out = self.paths("filesystem", "deny_write");
        for key in ["private", "overlay"] {
            let own = self.paths("filesystem", key);
            out.extend(own.into_iter().filter(&inside));
        }
        out
    }

    /// Names that need not exist to be denied where the session writes.
    fn absent(&self) -> Vec<PathRule> {
        let writable = self.paths("filesystem", "write");
        let meets = |rule: &PathRule| {
            let root = rule.glob.root();
            writable.iter().any(|write| {
                let tree = write.glob.root();
                root.starts_with(&tree) || tree.starts_with(&root)
            })
        };
        let denied = ["deny_read", "deny_write"].map(|key| self.paths("filesystem", key));
        let mut out = self.paths("filesystem", "protect");
        out.extend(denied.into_iter().flatten().filter(meets));
        out
    }

    fn system_calls(&self) -> Option<Requirement> {
        let denied: Vec<_> = self
            .of("syscalls", "deny")
            .map(|r| (r.text.clone(), r.id.clone()))
            .collect();
        (!denied.is_empty()).then_some(Requirement::SystemCalls { denied })
    }

    fn limits(&self) -> impl Iterator<Item = Requirement> {
        LIMITS.iter().filter_map(|(key, limit)| {
            let setting = self.setting(key)?;
            let amount = rule::bytes(&setting.value).or_else(|| rule::seconds(&setting.value))?;
            Some(Requirement::Limit {
                limit: *limit,
                amount,
                rule: setting.id.clone(),
            })
        })
    }

    fn destinations(&self) -> impl Iterator<Item = &Rule> {
        let of_network = |r: &&Rule| r.key.table == "network" && r.key.name != "unix";
        self.rules().iter().filter(of_network)
    }

    /// The host's network, nothing in between.
    fn unfiltered(&self) -> bool {
        let is = |key, value| self.setting(key).is_some_and(|s| s.value == value);
        is("network.namespace", "host") && is("network.default", "allow")
    }

    /// What presets and agents would reach: listed, and no reason to stop, while no backend can
    /// open destinations.
    pub fn supplied_destinations(&self) -> Vec<&Rule> {
        let supplied = |r: &&Rule| r.supplied && !self.unfiltered() && r.key.name == "allow";
        self.destinations().filter(supplied).collect()
    }

    fn network(&self) -> Vec<Requirement> {
        let mut out = Vec::new();
        let asked = |r: &&Rule| !(r.supplied || self.unfiltered() && r.key.name == "allow");
        let rules: Vec<_> = self
            .destinations()
            .filter(asked)
            .map(|r| r.id.clone())
            .collect();
        let default = self.setting("network.default");
        let private = self
            .setting("network.namespace")
            .is_none_or(|s| s.value == "private");
        if let Some(setting) = default {
            match (setting.value.as_str(), private) {
                // the host's network unfiltered asks nothing of the kernel
                ("allow", false) => {}
                ("allow", true) | ("ask", _) => out.push(Requirement::Network {
                    rules: vec![setting.id.clone()],
                }),
                (_, true) => out.push(Requirement::NoNetwork {
                    rule: setting.id.clone(),
                }),
                // no default may be dropped in silence: the host's namespace with a denial needs a filter
                (_, false) => out.push(Requirement::Network {
                    rules: vec![setting.id.clone()],
                }),
            }
        }
        if !rules.is_empty() {
            out.push(Requirement::Network { rules });
        }
        out
    }
}
