//! Protected names, compared at the end of a session with what they were at its start: what no
//! mount could hold because it did not exist, and what a level without mounts can't hold.

mod again;
mod beneath;
mod compare;
mod entry;
mod nested;
pub mod quarantine;
pub mod record;
mod settle;
mod stamp;
mod walk;

pub use again::MountsAgain;
pub use beneath::open_up;

use crate::agents::exchange;
use crate::exit::Failure;
use crate::finding::Finding;
use crate::folder::Folder;
use crate::git;
use compare::Comparison;
use quarantine::Quarantine;
use record::{Left, Locks, Mark, Record};
use stamp::Stamp;
pub use stamp::open;
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use stockade_enforce::{Group, Level, Reach, doubt};
use stockade_policy::{Glob, Policy, Rule};
pub use walk::Seen;
use walk::{Found, walk};

/// Stands from before the start until what changed is dealt with.
#[derive(Debug)]
pub struct Guard {
    record: Record,
    folder: PathBuf,
    state: PathBuf,
    /// While they are held, no later run takes the session for a killed one.
    locks: Locks,
    /// By the session itself; else by a later run, because it was killed or could not compare.
    own: bool,
}

/// Before the start: a session whose record can't be written does not begin.
pub fn begin(
    policy: &Policy,
    state: &Path,
    folder: &Folder,
    group: Option<Group>,
    level: Level,
    seen: &Seen,
    copies: &[PathBuf],
) -> Result<Guard, Failure> {
    let Folder { id, path: folder } = folder;
    let _turn = settle::turn(state)?;
    if settle::changed(state) != seen.sessions {
        seen.forget();
    }
    let reach = Reach::new(policy);
    let mut record = Record::new(id, policy, group, level == Level::Namespaces);
    record.copies = copies.iter().map(|path| exchange::real(path)).collect();
    for rule in policy.of("filesystem", "protect") {
        for glob in &rule.globs {
            let found = walk(seen, glob, record.root(&glob.root()), &|_| true);
            if !found.crowded.is_empty() {
                return Err(Failure::Usage(format!(
                    "{}: more than {} names to compare",
                    rule.id,
                    walk::LOOK_AT
                )));
            }
            // what the session can't reach, the host may change as it likes
            let reached = reach.host(&glob.root().join("\u{1}any"))
                || found.names.iter().any(|n| reach.host(n));
            if reached {
                record.marks.push(mark(policy, rule, glob));
                if !rule.report {
                    record.denied.extend(found.names.iter().cloned());
                }
                remember(&mut record, found);
            }
        }
    }
    for workspace in &policy.context.workspaces {
        let (nested, all) = git::repositories(workspace);
        add(&mut record.ways, nested, Stamp::of);
        record.all_looked_at &= all;
    }
    let locks = record.write(folder)?;
    record.keep_originals(folder)?;
    Ok(Guard {
        locks,
        own: true,
        record,
        folder: folder.into(),
        state: state.into(),
    })
}

fn mark(policy: &Policy, rule: &Rule, glob: &Glob) -> Mark {
    let root = glob.root();
    let ours = (glob.specificity(), rule.rank);
    let writes = policy.of("filesystem", "write");
    let trusted = writes.filter(|r| !r.restricted);
    let all = trusted.flat_map(|r| r.globs.iter().map(move |g| (g, r.rank)));
    let except = all.filter(|(g, rank)| {
        let near = g.root().starts_with(&root) || root.starts_with(g.root());
        near && (g.specificity(), *rank) > ours
    });
    Mark {
        glob: glob.to_string(),
        rule: rule.id.to_string(),
        because: rule.because.clone().unwrap_or_default(),
        report: rule.report,
        except: except.map(|(g, _)| g.to_string()).collect(),
    }
}

fn remember(record: &mut Record, found: Found) {
    let Found {
        names,
        ways,
        closed,
        crowded: _,
        looked: _,
    } = found;
    add(&mut record.seen, names, Stamp::of);
    add(&mut record.ways, ways, Stamp::of);
    add(&mut record.closed, closed, Stamp::closed);
}

fn add(to: &mut BTreeMap<PathBuf, Stamp>, paths: Vec<PathBuf>, of: fn(&Path) -> Option<Stamp>) {
    for path in paths {
        if let Some(stamp) = of(&path) {
            to.entry(path).or_insert(stamp);
        }
    }
}

impl Guard {
    /// For what must end before another run may finish the session.
    pub fn lock(&self) -> BorrowedFd<'_> {
        self.locks.session()
    }

    /// When nothing of the session runs any more. `outside` is what programs outside made of names
    /// that they replaced: that is no change of the session's. Says whether all was compared; where
    /// not, the record stays and the next run compares again, once.
    pub fn finish(mut self, outside: &BTreeMap<PathBuf, Stamp>) -> (Vec<Finding>, bool) {
        let opened = entry::open(&self.record, &self.folder, &self.state);
        let turn = settle::turn(&self.state);
        settle::apply(&mut self.record, &self.folder);
        let quarantine = Quarantine::new(&self.state, &self.record.session);
        let mut comparison = Comparison::new(&self.record, &self.folder, &quarantine, outside);
        // what is only reported may hold what is denied
        let (report, deny): (Vec<_>, Vec<_>) = self.record.marks.iter().partition(|m| m.report);
        for mark in deny.into_iter().chain(report) {
            if let Err(failure) = comparison.mark(mark) {
                comparison.grave(format!("{} could not be compared: {failure}", mark.glob));
            }
        }
        if let Err(failure) = nested::compare(&mut comparison) {
            comparison.grave(format!("new repositories could not be compared: {failure}"));
        }
        let (mut findings, settled) = comparison.over();
        findings.extend(opened);
        if let Err(error) = settled.tell(&self.state, &self.record.session) {
            findings.push(Finding::grave(format!(
                "sessions that go on could not be told what was moved: what they say of it at their end may be wrong: {error}"
            )));
        }
        if let Err(failure) = turn {
            findings.push(Finding::grave(format!("compared beside others: {failure}")));
        }
        let open = doubt::take();
        let compared = open.is_none();
        if let Some((path, error)) = open {
            let next = if self.own {
                "the next `stockade` compares again"
            } else {
                "look at it before anything runs it"
            };
            findings.push(Finding::grave(format!(
                "{} could not be compared: {error}; {next}",
                path.display()
            )));
        }
        if compared || !self.own {
            Record::finished(&self.folder);
        }
        let mut seen = std::collections::BTreeSet::new();
        findings.retain(|f| seen.insert(f.text.clone()));
        (findings, compared)
    }
}

/// Sessions of this user of which nothing lives are finished now. Killed in between, this is begun
/// again by the next run: what is done already is found done.
pub fn finish_killed(state: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    for left in record::left_behind(state) {
        let Left {
            folder,
            record,
            locks,
        } = left;
        let session = &folder.id;
        let Some(locks) = locks else {
            findings.push(Finding::grave(format!(
                "session {session} was killed, and something of it goes on, confined as it was: what it left is dealt with when that has ended"
            )));
            continue;
        };
        let found = finish_one(&folder, record, locks, state);
        if !found.is_empty() {
            findings.push(Finding::note(format!(
                "session {session} was killed; it left:"
            )));
        }
        findings.extend(found);
        if let Err(failure) = folder.remove() {
            findings.push(Finding::note(failure.to_string()));
        }
    }
    findings
}

fn finish_one(folder: &Folder, record: Option<Record>, locks: Locks, state: &Path) -> Vec<Finding> {
    let Some(record) = record else {
        return vec![Finding::grave(
            "a record that can't be read: what it changed of protected names is not known",
        )];
    };
    let mut findings = Vec::new();
    // first: nothing of the session runs while names are compared
    if let Some(Err(left)) = record.group.as_ref().map(stockade_enforce::remove_group) {
        findings.push(Finding::note(left.to_string()));
    }
    Quarantine::new(state, &record.session).tidy();
    let copies = record.copies.iter();
    findings.extend(copies.filter_map(|file| exchange::finish_killed(file, &record.session)));
    let guard = Guard {
        locks,
        own: false,
        record,
        folder: folder.path.clone(),
        state: state.into(),
    };
    findings.extend(guard.finish(&BTreeMap::new()).0);
    findings
}
