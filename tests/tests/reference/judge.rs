//! Whether what the kernel did is what the reference semantics say.

use super::case::{Operation, path_of};
use super::session::Outcome;
use super::tree::{Snapshot, State};
use super::way::Way;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use stockade_enforce::{Level, Plan};
use stockade_policy::{Access, Decision, FileOperation, Policy, Rule, Verdict};

pub struct Judge {
    place: PathBuf,
    pub policy: Policy,
    pub plan: Plan,
    pub base: Snapshot,
    /// Names that the session made in directories of its own.
    pub made: RefCell<BTreeSet<PathBuf>>,
}

/// What an operation asks of the policy.
pub struct Asked {
    /// None where the paths lead nowhere: nobody can do it.
    pub decision: Option<Decision>,
    /// Links in them followed as the operation does, as far as they lead.
    pub paths: Vec<PathBuf>,
    /// Those that were followed.
    pub links: Vec<PathBuf>,
}

impl Asked {
    pub fn denied(&self) -> bool {
        self.decision
            .as_ref()
            .is_some_and(|d| d.verdict != Verdict::Allow)
    }
}

pub enum Judged {
    Agree,
    Excused(&'static str),
    Disagree(String),
}

/// Of names, not of what they lead to.
pub const NOT_FOLLOWED: &[&str] = &[
    "create",
    "mkdir",
    "mkfifo",
    "symlink",
    "unlink",
    "rmdir",
    "rename",
    "rename-new",
    "exchange",
    "link",
];
pub const METADATA: &[&str] = &["chmod", "chown", "times", "xattr"];

/// Of keys that take back what others give.
pub const HELD: &[&str] = &["deny_read", "deny_write", "protect"];

fn stricter(a: Decision, b: Decision) -> Decision {
    if b.verdict > a.verdict { b } else { a }
}

impl Judge {
    pub fn new(place: &Path, policy: Policy, plan: Plan, base: Snapshot) -> Self {
        Self {
            place: place.to_owned(),
            policy,
            plan,
            base,
            made: RefCell::default(),
        }
    }

    /// None where a link on the way is not part of the session's view: then what it leads to is not
    /// what the session is refused.
    pub fn verdict(&self, operation: &Operation) -> Option<Asked> {
        let follow = !NOT_FOLLOWED.contains(&operation.name.as_str());
        let named = [&operation.path, &operation.to];
        let named = named.into_iter().filter(|n| !n.is_empty());
        let ways: Vec<_> = named
            .map(|name| Way::of(&self.place.join(path_of(name)), follow))
            .collect();
        if !ways.iter().all(|w| w.leads) {
            return Some(Asked {
                decision: None,
                links: ways.iter().flat_map(|w| w.links.clone()).collect(),
                paths: ways.into_iter().map(|w| w.real).collect(),
            });
        }
        let seen = |link: &PathBuf| {
            let read = self.read(link);
            read.verdict == Verdict::Allow && self.key(&read) != "private"
        };
        let mounts = self.plan.level == Level::Namespaces;
        if mounts && !ways.iter().flat_map(|w| &w.links).all(seen) {
            return None;
        }
        let links = ways.iter().flat_map(|w| w.links.clone()).collect();
        let paths: Vec<PathBuf> = ways.into_iter().map(|w| w.real).collect();
        // a name given to itself, or to what is the same file, is no access: the kernel does nothing
        let state = |p: &PathBuf| self.base.get(p.as_os_str());
        let same = |to: &PathBuf| match (state(&paths[0]), state(to)) {
            (Some(from), Some(to)) => operation.name != "link" && from.is_same(to),
            _ => false,
        };
        if paths.len() == 2 && (paths[0] == paths[1] || same(&paths[1])) {
            return None;
        }
        let pipe = self
            .base
            .get(paths[0].as_os_str())
            .is_some_and(State::is_pipe);
        // a pipe is not cut: what is left of the access is to open it, for nothing at all or to read
        if pipe && operation.name == "cut-neither" {
            return None;
        }
        Some(Asked {
            decision: Some(self.decide(&operation.name, &paths)),
            paths,
            links,
        })
    }

    pub fn decide(&self, name: &str, paths: &[PathBuf]) -> Decision {
        use FileOperation::{Create, Metadata, Read, Remove, Write};
        let path = paths[0].as_path();
        let file = |operation| self.policy.decide(&Access::File { operation, path });
        let to = paths.get(1).map_or(path, PathBuf::as_path);
        match name {
            "read" | "list" => file(Read),
            "cut-reading" if self.base.get(path.as_os_str()).is_some_and(State::is_pipe) => {
                file(Read)
            }
            "write" | "append" | "cut" | "cut-reading" | "cut-neither" | "truncate" => file(Write),
            "open-or-create" if self.base.contains_key(path.as_os_str()) => file(Write),
            "create" | "mkdir" | "mkfifo" | "symlink" | "open-or-create" => file(Create),
            "unlink" | "rmdir" => file(Remove),
            "exec" => self.policy.decide(&Access::Exec {
                path,
                written: false,
            }),
            "rename" | "rename-new" => self.policy.decide(&Access::Rename { from: path, to }),
            "exchange" => stricter(
                self.policy.decide(&Access::Rename { from: path, to }),
                self.policy.decide(&Access::Rename { from: to, to: path }),
            ),
            "link" => self.policy.decide(&Access::Link { from: path, to }),
            name if METADATA.contains(&name) => file(Metadata),
            name => panic!("no operation {name}"),
        }
    }

    pub fn read(&self, path: &Path) -> Decision {
        self.policy.decide(&Access::File {
            operation: FileOperation::Read,
            path,
        })
    }

    pub fn write(&self, path: &Path) -> Decision {
        self.policy.decide(&Access::File {
            operation: FileOperation::Write,
            path,
        })
    }

    pub fn rule(&self, decision: &Decision) -> Option<&Rule> {
        self.policy.rules().iter().find(|r| r.id == decision.rule)
    }

    pub fn key(&self, decision: &Decision) -> &'static str {
        self.rule(decision).map_or("", |r| r.key.name)
    }

    pub fn judge(
        &self,
        operation: &Operation,
        asked: &Asked,
        native: &Outcome,
        outcome: &Outcome,
    ) -> Judged {
        let refused = outcome.errno != 0 && outcome.effect.is_empty();
        let opens = ["read", "list", "exec"].contains(&operation.name.as_str());
        // done, and not to the host's tree
        let own = |p: &PathBuf| self.plan.level == Level::Namespaces && self.is_own_place(p);
        let elsewhere = outcome != native || asked.paths.iter().all(own);
        if outcome.errno == 0 && outcome.effect.is_empty() && elsewhere && !opens {
            self.made.borrow_mut().extend(asked.paths.iter().cloned());
        }
        let lexically = |name: &String| {
            let at = self.place.join(path_of(name));
            outcome.effect.is_empty() && self.is_own_place(&at)
        };
        let agree = match &asked.decision {
            // a link that leads nowhere, and in the session's view is not there
            None if self.plan.level == Level::Namespaces && !refused => {
                if lexically(&operation.path) {
                    return Judged::Excused("own");
                }
                false
            }
            None => refused,
            Some(_) if asked.denied() => {
                let documented = self.refusals().contains(&outcome.errno);
                refused && (documented || outcome.errno == native.errno)
            }
            Some(_) => outcome == native,
        };
        if agree {
            return Judged::Agree;
        }
        let excuse = match asked.denied() {
            true => self.excuse_denied(&operation.name, asked, native, outcome),
            false => self.excuse_allowed(&operation.name, asked, native, outcome),
        };
        match excuse {
            Some(name) => Judged::Excused(name),
            None => Judged::Disagree(self.report(operation, asked, native, outcome)),
        }
    }

    /// As docs/errors.md has them.
    pub fn refusals(&self) -> &'static [i32] {
        match self.plan.level {
            Level::Namespaces => &[
                libc::EROFS,
                libc::EACCES,
                libc::ENOENT,
                libc::EXDEV,
                libc::EBUSY,
            ],
            Level::Landlock => &[libc::EACCES, libc::EXDEV],
        }
    }

    pub fn declared(&self, name: &str) -> bool {
        self.plan.partial.iter().any(|p| p.name == name)
    }

    fn report(
        &self,
        operation: &Operation,
        asked: &Asked,
        native: &Outcome,
        outcome: &Outcome,
    ) -> String {
        let errno = |o: &Outcome| match o.errno {
            0 => "ok".to_owned(),
            n => format!("{:?}", nix::errno::Errno::from_raw(n)),
        };
        let decision = asked.decision.as_ref().map_or("leads nowhere".into(), |d| {
            format!("{:?} by {}", d.verdict, d.rule)
        });
        let paths: Vec<_> = asked
            .paths
            .iter()
            .map(|p| p.display().to_string())
            .collect();
        format!(
            "{} {} {}: {decision}; natively {}, here {}{}; {}",
            operation.name,
            operation.path,
            operation.to,
            errno(native),
            errno(outcome),
            if outcome.effect == native.effect {
                ""
            } else {
                ", other effect"
            },
            paths.join(" ")
        )
    }
}
