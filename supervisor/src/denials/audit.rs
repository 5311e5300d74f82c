//! What a policy would deny of a command that runs without it.

use super::judge::Judge;
use super::own::Own;
use super::view::View;
use super::word;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use stockade_abi::{Count, CountKey};
use stockade_enforce::{Level, Plan};
use stockade_events::sink::{Sink, Unwritten};
use stockade_events::{Event, Kind};
use stockade_policy::{Access, Policy, Verdict};

/// One kind of access.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct What {
    pub rule: String,
    pub verb: &'static str,
    pub object: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Would {
    pub times: u64,
    pub change: Option<String>,
    pub verdict: &'static str,
}

pub type Found = BTreeMap<What, Would>;

#[derive(Clone, Default)]
pub struct Audit(Arc<Mutex<Found>>);

impl Audit {
    pub fn sink(&self, policy: Policy, plan: &Plan) -> std::io::Result<Box<dyn Sink>> {
        // nothing is confined: names are the host's
        let own = Own::of(plan, Path::new("/nonexistent"));
        let judge = Judge::new(policy, Level::Landlock, false, View::host()?, own)?.audits();
        let found = self.clone();
        Ok(Box::new(Auditing {
            judge,
            found,
            unwritten: Unwritten::default(),
        }))
    }

    pub fn found(&self) -> Found {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn add(&self, what: What, verdict: Verdict, change: Option<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let would = all.entry(what).or_insert(Would {
            times: 0,
            change,
            verdict: word(verdict),
        });
        would.times += 1;
    }
}

/// The calls that it needs, as `-e` takes them.
pub fn calls(policy: &Policy) -> String {
    let mut names = vec!["%file".to_owned(), "%network".into()];
    let denied = policy.of("syscalls", "deny").map(|r| r.text.clone());
    names.extend(denied.filter(|name| stockade_events::calls::number(name).is_some()));
    names.join(",")
}

struct Auditing {
    judge: Judge,
    found: Audit,
    unwritten: Unwritten,
}

impl Sink for Auditing {
    fn event(&mut self, event: &Event) {
        let Kind::Call {
            call,
            arguments,
            result,
            errno,
            ..
        } = &event.kind
        else {
            return;
        };
        let closed = self.judge.policy.decide(&Access::SystemCall { name: call });
        if closed.verdict != Verdict::Allow {
            let what = What {
                rule: closed.rule.as_str().into(),
                verb: "call",
                object: call.clone().into_owned(),
            };
            let line = super::change::call(&self.judge.policy, &closed);
            self.found.add(what, closed.verdict, line);
            return;
        }
        // what failed by itself needs no permission; a connection is asked for before it is there
        let done = result.is_some_and(|r| r >= 0) || *errno == Some("EINPROGRESS");
        if !done && call != "connect" {
            return;
        }
        if let Some((said, verdict)) = self.judge.verdict(call, arguments)
            && verdict != Verdict::Allow
        {
            let what = What {
                rule: said.rule.as_str().into(),
                verb: said.verb,
                object: said.object,
            };
            self.found.add(what, verdict, said.change);
        }
    }

    fn flush(&mut self) {}

    fn end(&mut self, _: &[(CountKey, Count)]) {}

    fn unwritten(&self) -> &Unwritten {
        &self.unwritten
    }
}
