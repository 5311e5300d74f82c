//! What the policy says of a call that went through, or of one that nothing holds.

use super::access::{Attempt, Operation, attempts};
use super::judge::{Judge, Refusal, of, replaced, verb};
use super::view::{Thing, is};
use super::{change, sockets};
use nix::sys::stat::SFlag;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;
use stockade_events::{Address, Argument};
use stockade_policy::{Access, Decision, FileOperation, RuleId, Verdict};

type Judged = (Refusal, Verdict);

fn judged(verb: &'static str, object: &Path, decision: Decision, change: String) -> Judged {
    let Decision { verdict, rule } = decision;
    let refusal = Refusal {
        verb,
        object: object.to_string_lossy().into_owned(),
        rule,
        change: Some(change),
        hidden: false,
    };
    (refusal, verdict)
}

fn made_before(path: &Path, begun: SystemTime) -> bool {
    let made = path.symlink_metadata().and_then(|m| m.created());
    made.is_ok_and(|made| made < begun)
}

impl Judge {
    /// The strictest of its parts.
    pub fn verdict(&self, call: &str, arguments: &[Argument]) -> Option<Judged> {
        let all = attempts(call, arguments);
        let mut out: Option<Judged> = None;
        for one in all.iter().filter_map(|attempt| self.of_attempt(attempt)) {
            if out.as_ref().is_none_or(|(_, verdict)| one.1 > *verdict) {
                out = Some(one);
            }
        }
        out
    }

    fn of_attempt(&self, attempt: &Attempt<'_>) -> Option<Judged> {
        match attempt {
            Attempt::File {
                operation,
                path,
                follow,
            } => self.of_file(*operation, path, *follow),
            Attempt::Move { link, from, to } => self.of_move(*link, from, to),
            Attempt::Connect { address, datagram } => match address {
                Address::Inet { host, port } | Address::Inet6 { host, port } => {
                    sockets::judged(&self.policy, host, *port, *datagram)
                }
                Address::Unix { path, absolute } => {
                    let path = absolute.as_ref().unwrap_or(path);
                    self.of_unix(Path::new(OsStr::from_bytes(&path.0)))
                }
                _ => None,
            },
            Attempt::Process { .. } => None,
        }
    }

    fn of_file(&self, operation: Operation, path: &Path, follow: bool) -> Option<Judged> {
        let found = self.view.find(path, follow)?;
        let device = |t: &Thing| is(&t.stat, SFlag::S_IFCHR) || is(&t.stat, SFlag::S_IFBLK);
        // opened with O_CREAT, and never made by that
        if operation == Operation::Create && found.there.as_ref().is_some_and(device) {
            return None;
        }
        let path = found.real.as_path();
        let decision = self.decide(operation, path);
        if self.own.has(path) || replaced(&self.policy, &decision) {
            return Some(self.of_its_own(operation, path, decision));
        }
        let line = match operation {
            Operation::Exec => change::exec(&self.policy, path),
            other => change::file(&self.policy, of(other), path),
        };
        Some(judged(verb(operation), path, decision, line))
    }

    /// In a place of the session's own: what it made there is its own, and the host's things are not there.
    fn of_its_own(&self, operation: Operation, path: &Path, decision: Decision) -> Judged {
        let reads = matches!(
            operation,
            Operation::Look | Operation::Read | Operation::Exec
        );
        let hidden = |begun| {
            let names = path.ancestors().take_while(|a| !self.own.is_place(a));
            // what is written may be made anew
            let mut names = names.skip(usize::from(!reads));
            names.any(|name| made_before(name, begun))
        };
        let denied = self.audited.is_some_and(hidden);
        let (verdict, key) = if denied {
            (Verdict::Deny, "the host's things are not there")
        } else {
            (Verdict::Allow, "its own")
        };
        let rule =
            if decision.verdict == Verdict::Deny && denied || replaced(&self.policy, &decision) {
                decision.rule
            } else {
                RuleId::new("built-in", "session", key)
            };
        let line = if reads {
            change::path("filesystem", "read", path)
        } else {
            change::file(&self.policy, of(operation), path)
        };
        judged(verb(operation), path, Decision { verdict, rule }, line)
    }

    fn of_move(&self, link: bool, from: &Path, to: &Path) -> Option<Judged> {
        let (old, new) = (self.view.find(from, false)?, self.view.find(to, false)?);
        let (from, to) = (old.real.as_path(), new.real.as_path());
        // below, what is made there is made by other calls
        if self.own.has(from) && self.own.has(to) {
            return None;
        }
        let (verb, access) = if link {
            ("link", Access::Link { from, to })
        } else {
            ("rename", Access::Rename { from, to })
        };
        let line = change::file(&self.policy, FileOperation::Remove, to);
        Some(judged(verb, to, self.policy.decide(&access), line))
    }

    fn of_unix(&self, path: &Path) -> Option<Judged> {
        let found = self.view.find(path, true).filter(|_| path.is_absolute())?;
        let path = found.real.as_path();
        let line = change::path("network", "unix", path);
        let decision = self.policy.decide(&Access::Unix { path });
        Some(judged("connect", path, decision, line))
    }
}
