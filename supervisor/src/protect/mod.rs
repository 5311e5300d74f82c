//! Protected names, compared at the end of a session with what they were at its start: what no
//! mount could hold because it did not exist, and what a level without mounts can't hold.

mod again;
mod beneath;
pub mod quarantine;
mod record;
mod stamp;

pub use again::MountsAgain;

use crate::exit::Failure;
use crate::finding::Finding;
use crate::folder::Folder;
use crate::git::config;
use quarantine::{Quarantine, What};
use record::{Mark, Record};
use stamp::Stamp;
pub use stamp::open;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use stockade_enforce::{Group, HostTree, Kind, Reach, Tree, expand};
use stockade_policy::{Glob, Policy};

/// Names looked at below one pattern; a pattern that needs more is an error, never cut short.
const LOOK_AT: usize = 100_000;

/// Stands from before the start until what changed is dealt with.
#[derive(Debug)]
pub struct Guard {
    record: Record,
    folder: PathBuf,
    state: PathBuf,
}

/// Before the start: a session whose record can't be written does not begin.
pub fn begin(
    policy: &Policy,
    state: &Path,
    folder: &Folder,
    group: Option<Group>,
) -> Result<Guard, Failure> {
    let Folder { id, path: folder } = folder;
    let reach = Reach::new(policy);
    let mut marks = Vec::new();
    for rule in policy.of("filesystem", "protect") {
        for glob in &rule.globs {
            let mark = Mark {
                glob: glob.to_string(),
                rule: rule.id.to_string(),
                because: rule.because.clone().unwrap_or_default(),
                report: rule.report,
            };
            // what the session can't reach, the host may change as it likes
            let names = names(glob, &mark.rule)?;
            let reached =
                reach.host(&glob.root().join("\u{1}any")) || names.iter().any(|n| reach.host(n));
            if reached {
                marks.push((mark, names));
            }
        }
    }
    let mut record = Record::new(id, policy, group);
    for (mark, names) in marks {
        for name in names {
            if let Some(stamp) = Stamp::of(&name) {
                record.seen.entry(name).or_insert(stamp);
            }
        }
        record.marks.push(mark);
    }
    record.write(folder)?;
    record.keep_originals(folder)?;
    Ok(Guard {
        record,
        folder: folder.into(),
        state: state.into(),
    })
}

/// Topmost existing names that the pattern covers, and all below those that are directories.
fn names(glob: &Glob, rule: &str) -> Result<Vec<PathBuf>, Failure> {
    let mut out = Vec::new();
    let mut open = expand(glob, rule, &HostTree)?;
    while let Some(path) = open.pop() {
        if out.len() > LOOK_AT {
            return Err(Failure::Usage(format!(
                "{rule}: more than {LOOK_AT} names to compare"
            )));
        }
        if HostTree.kind(&path) == Some(Kind::Directory) {
            open.extend(HostTree.list(&path).into_iter().map(|(p, _)| p));
        }
        if glob.covers(&path) && HostTree.kind(&path).is_some() {
            out.push(path);
        }
    }
    out.sort();
    Ok(out)
}

impl Guard {
    /// When nothing of the session runs any more. `outside` is what programs outside made of names
    /// that they replaced: that is no change of the session's.
    pub fn finish(self, outside: &BTreeMap<PathBuf, Stamp>) -> Vec<Finding> {
        let quarantine = Quarantine::new(&self.state, &self.record.session);
        let mut findings = Vec::new();
        for mark in &self.record.marks {
            let outcome = compare(&self.record, &self.folder, mark, &quarantine, outside);
            match outcome {
                Ok(found) => findings.extend(found),
                Err(failure) => findings.push(Finding::grave(format!(
                    "{} could not be compared: {failure}",
                    mark.glob
                ))),
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        findings.retain(|f| seen.insert(f.text.clone()));
        findings
    }
}

fn compare(
    record: &Record,
    folder: &Path,
    mark: &Mark,
    quarantine: &Quarantine,
    outside: &BTreeMap<PathBuf, Stamp>,
) -> Result<Vec<Finding>, Failure> {
    let glob = Glob::absolute(&mark.glob).map_err(|e| Failure::Usage(e.to_string()))?;
    let now = names(&glob, &mark.rule)?;
    let mut findings = Vec::new();
    for name in topmost_new(record, &now) {
        if mark.report {
            findings.push(Finding::note(format!(
                "{} was made ({})",
                name.display(),
                mark.because
            )));
        } else if !record.is_harmless(&name) {
            findings.push(quarantined(quarantine, record, mark, &name));
        }
        findings.extend(config::risks(&name, &BTreeMap::new()));
    }
    for (name, was) in record.seen.iter().filter(|(n, _)| glob.covers(n)) {
        let is = Stamp::of(name);
        if is.as_ref() == Some(was) || (is.is_some() && is.as_ref() == outside.get(name)) {
            continue;
        }
        let verb = if is.is_none() { "removed" } else { "changed" };
        let text = format!("{} was {verb} ({})", name.display(), mark.because);
        if mark.report {
            findings.push(Finding::note(text));
        } else {
            let kept = quarantine.keep(&record.original(folder, name), name, mark, What::Original);
            let restore = kept.map_or(String::new(), |id| {
                format!("; as it was: `stockade quarantine restore {id}`")
            });
            findings.push(Finding::grave(format!(
                "{text} though it is protected{restore}"
            )));
        }
        findings.extend(config::risks(name, &was.keys));
    }
    Ok(findings)
}

/// Names that were not there; of a new directory only itself.
fn topmost_new(record: &Record, now: &[PathBuf]) -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = Vec::new();
    for name in now.iter().filter(|n| !record.seen.contains_key(*n)) {
        if !out.iter().any(|o| name.starts_with(o)) {
            out.push(name.clone());
        }
    }
    out
}

fn quarantined(quarantine: &Quarantine, record: &Record, mark: &Mark, name: &Path) -> Finding {
    match quarantine.take(record.root(name), name, mark) {
        Ok(id) => Finding::grave(format!(
            "{} appeared and is in the quarantine ({}); `stockade quarantine show {id}`",
            name.display(),
            mark.because
        )),
        Err(error) => Finding::grave(format!(
            "{} appeared ({}) and could not be moved to the quarantine: {error}",
            name.display(),
            mark.because
        )),
    }
}

/// Sessions of this user whose supervisor is gone are finished now.
pub fn finish_killed(state: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, record) in record::left_behind(state) {
        let session = record.session.clone();
        // first: nothing of the session runs while names are compared
        if let Some(Err(left)) = record.group.as_ref().map(stockade_enforce::remove_group) {
            findings.push(Finding::note(format!(
                "session {session} was killed: {left}"
            )));
        }
        let guard = Guard {
            record,
            folder: folder.path.clone(),
            state: state.into(),
        };
        let found = guard.finish(&BTreeMap::new());
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
