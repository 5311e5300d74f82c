//! The reference semantics: for one access, the verdict and the rule that decided. Naive on
//! purpose: every rule is looked at, nothing is compiled.

use crate::glob::Specificity;
use crate::hostname::{Hostname, Protocol};
use crate::policy::{Policy, Rule, RuleId};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

/// By strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Allow,
    Ask,
    Deny,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileOperation {
    Read,
    Write,
    Create,
    Remove,
    /// chmod, chown, times, xattr.
    Metadata,
}

/// One attempted operation on one object. Paths are absolute, as the host names them.
#[derive(Debug, Clone)]
pub enum Access<'a> {
    File {
        operation: FileOperation,
        path: &'a Path,
    },
    Rename {
        from: &'a Path,
        to: &'a Path,
    },
    Link {
        from: &'a Path,
        to: &'a Path,
    },
    /// `execve`, or mapping the file executable.
    Exec {
        path: &'a Path,
        written: bool,
    },
    Connect {
        name: Option<&'a Hostname>,
        address: Option<IpAddr>,
        port: u16,
        protocol: Protocol,
    },
    Bind {
        address: IpAddr,
        port: u16,
    },
    Unix {
        path: &'a Path,
    },
    /// Signals, ptrace, /proc of another process.
    Process {
        inside: bool,
        ptrace: bool,
    },
    UserNamespace,
    SystemCall {
        name: &'a str,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Decision {
    pub verdict: Verdict,
    pub rule: RuleId,
}

impl Decision {
    fn built_in(verdict: Verdict, key: &str, text: &str) -> Self {
        Self {
            verdict,
            rule: RuleId::new("built-in", key, text),
        }
    }

    /// The stricter; of equals the first.
    fn stricter(self, other: Self) -> Self {
        if other.verdict > self.verdict {
            other
        } else {
            self
        }
    }
}

type Best<'p> = Option<(Specificity, usize, Verdict, &'p Rule)>;

impl Policy {
    pub fn verdict(&self, access: &Access<'_>) -> Verdict {
        self.decide(access).verdict
    }

    pub fn decide(&self, access: &Access<'_>) -> Decision {
        match access {
            Access::File {
                operation: FileOperation::Read,
                path,
            } => self.read(path),
            Access::File {
                operation: FileOperation::Write | FileOperation::Metadata,
                path,
            } => self.write(path),
            Access::File {
                operation: FileOperation::Create | FileOperation::Remove,
                path,
            } => self.entry(path),
            Access::Rename { from, to } | Access::Link { from, to } => self
                .entry(from)
                .stricter(self.entry(to))
                .stricter(self.no_more(from, to)),
            Access::Exec { path, written } => self.exec(path, *written),
            Access::Connect {
                name,
                address,
                port,
                protocol,
            } => self.connect(*name, *address, *port, *protocol),
            Access::Bind { .. } => {
                Decision::built_in(Verdict::Allow, "network.bind", "own namespace")
            }
            Access::Unix { path } => self.unix(path),
            Access::Process { inside: false, .. } => {
                Decision::built_in(Verdict::Deny, "process", "outside the session")
            }
            Access::Process {
                inside: true,
                ptrace: true,
            } => self.mode("process.ptrace"),
            Access::Process {
                inside: true,
                ptrace: false,
            } => Decision::built_in(Verdict::Allow, "process", "inside the session"),
            Access::UserNamespace => self.mode("process.user_namespaces"),
            Access::SystemCall { name } => self.system_call(name),
        }
    }

    /// The most specific rule that covers `path` among the keys of [filesystem]; for equal
    /// patterns the higher layer, within one layer the stricter verdict.
    fn best<'p>(&'p self, table: &str, keys: &[(&str, Verdict)], path: &Path) -> Best<'p> {
        let mut best: Best<'p> = None;
        for rule in self.rules() {
            let Some((_, verdict)) = keys
                .iter()
                .find(|(k, _)| rule.key.table == table && rule.key.name == *k)
            else {
                continue;
            };
            if rule.report {
                continue;
            }
            for glob in rule.globs.iter().filter(|g| g.covers(path)) {
                let candidate = (glob.specificity(), rule.rank, *verdict);
                if best
                    .as_ref()
                    .is_none_or(|(s, r, v, _)| candidate > (*s, *r, *v))
                {
                    best = Some((candidate.0, candidate.1, candidate.2, rule));
                }
            }
        }
        best
    }

    fn read(&self, path: &Path) -> Decision {
        use Verdict::{Allow, Deny};
        let keys = [
            ("read", Allow),
            ("write", Allow),
            ("private", Allow),
            ("overlay", Allow),
            ("deny_read", Deny),
        ];
        match self.best("filesystem", &keys, path) {
            Some((_, _, verdict, rule)) => Decision {
                verdict,
                rule: rule.id.clone(),
            },
            None => Decision::built_in(Deny, "filesystem.read", "nothing names it"),
        }
    }

    fn write(&self, path: &Path) -> Decision {
        use Verdict::{Allow, Deny};
        let read = self.read(path);
        let keys = [
            ("write", Allow),
            ("private", Allow),
            ("overlay", Allow),
            ("deny_write", Deny),
            ("protect", Deny),
        ];
        let Some((specificity, rank, verdict, rule)) = self.best("filesystem", &keys, path) else {
            // a rule that hides the name says more than the absence of one
            let hidden = !read.rule.as_str().starts_with("built-in:") && read.verdict == Deny;
            return if hidden {
                read
            } else {
                Decision::built_in(Deny, "filesystem.write", "nothing names it")
            };
        };
        let decided = Decision {
            verdict,
            rule: rule.id.clone(),
        };
        // the host's file shown in a private or overlaid directory is the host's: read-only
        if matches!(rule.key.name, "private" | "overlay")
            && let Some((s, r, _, shown)) = self.best("filesystem", &[("read", Allow)], path)
            && (s, r) > (specificity, rank)
        {
            return Decision {
                verdict: Deny,
                rule: shown.id.clone(),
            };
        }
        decided.stricter(read)
    }

    /// A name is an entry of its directory: who makes, moves or removes one writes that too. So
    /// does who links one: what is only read could be written by its new name.
    fn entry(&self, path: &Path) -> Decision {
        let directory = path.parent().map(|above| self.write(above));
        let own = self.write(path);
        directory.map_or(own.clone(), |directory| own.stricter(directory))
    }

    /// A name may not be had where more is allowed than before (D8, as Landlock's REFER).
    fn no_more(&self, from: &Path, to: &Path) -> Decision {
        let (before, after) = (self.read(from), self.read(to));
        if after.verdict < before.verdict {
            before
        } else {
            after
        }
    }

    fn exec(&self, path: &Path, written: bool) -> Decision {
        use Verdict::{Allow, Ask, Deny};
        let by_path = match self.best(
            "exec",
            &[("allow", Allow), ("ask", Ask), ("deny", Deny)],
            path,
        ) {
            // no kernel answer can wait for a person: ask is deny (D16)
            Some((_, _, Ask, rule)) => Decision {
                verdict: Deny,
                rule: rule.id.clone(),
            },
            Some((_, _, verdict, rule)) => Decision {
                verdict,
                rule: rule.id.clone(),
            },
            None => self.mode("exec.default"),
        };
        let by_path = by_path.stricter(self.read(path));
        if written {
            by_path.stricter(self.mode("exec.written"))
        } else {
            by_path
        }
    }

    fn connect(
        &self,
        name: Option<&Hostname>,
        address: Option<IpAddr>,
        port: u16,
        protocol: Protocol,
    ) -> Decision {
        let private = self
            .setting("network.namespace")
            .is_none_or(|s| s.value == "private");
        if private && address.is_some_and(|a| a.to_canonical().is_loopback()) {
            return Decision::built_in(Verdict::Allow, "network", "the session's own loopback");
        }
        let peer = |rule: &Rule| {
            let peer = rule.peer.as_ref()?;
            peer.matches(name, address, port, protocol)
                .then(|| peer.specificity())
        };
        let own = self.rules().iter().filter(|r| !r.restricted);
        let mut decided = best_peer(own, peer).unwrap_or_else(|| self.mode("network.default"));
        // a layer that may only tighten has no say in what the others decided: its `ask` does not
        // soften their `deny`, however specific
        let restricted = self.rules().iter().filter(|r| r.restricted);
        let ranks: BTreeSet<usize> = restricted.map(|r| r.rank).collect();
        for rank in ranks {
            let layer = self.rules().iter().filter(|r| r.rank == rank);
            if let Some(tighter) = best_peer(layer, peer) {
                decided = decided.stricter(tighter);
            }
        }
        decided
    }

    /// A socket in a tree that the session may write is its own; others need their rule.
    fn unix(&self, path: &Path) -> Decision {
        match self.best("network", &[("unix", Verdict::Allow)], path) {
            Some((_, _, verdict, rule)) => Decision {
                verdict,
                rule: rule.id.clone(),
            },
            None => self.write(path),
        }
    }

    fn system_call(&self, name: &str) -> Decision {
        match self.of("syscalls", "deny").find(|r| r.text == name) {
            Some(rule) => Decision {
                verdict: Verdict::Deny,
                rule: rule.id.clone(),
            },
            None => Decision::built_in(Verdict::Allow, "syscalls", "not denied"),
        }
    }

    fn mode(&self, key: &str) -> Decision {
        let Some(setting) = self.setting(key) else {
            return Decision::built_in(Verdict::Deny, key, "not set");
        };
        let verdict = match setting.value.as_str() {
            "allow" => Verdict::Allow,
            "ask" => Verdict::Ask,
            _ => Verdict::Deny,
        };
        Decision {
            verdict,
            rule: setting.id.clone(),
        }
    }
}

/// The decision of the most specific network rule; of equals the higher layer's, then the stricter.
fn best_peer<'p, S: Ord>(
    rules: impl Iterator<Item = &'p Rule>,
    specificity: impl Fn(&Rule) -> Option<S>,
) -> Option<Decision> {
    let mut best: Option<(S, usize, Verdict, &Rule)> = None;
    for rule in rules.filter(|r| r.key.table == "network") {
        let verdict = match rule.key.name {
            "allow" => Verdict::Allow,
            "ask" => Verdict::Ask,
            "deny" => Verdict::Deny,
            _ => continue,
        };
        let Some(specific) = specificity(rule) else {
            continue;
        };
        if best
            .as_ref()
            .is_none_or(|(s, r, v, _)| (&specific, rule.rank, verdict) > (s, *r, *v))
        {
            best = Some((specific, rule.rank, verdict, rule));
        }
    }
    best.map(|(_, _, verdict, rule)| Decision {
        verdict,
        rule: rule.id.clone(),
    })
}
