//! Protected names that a program outside replaces by rename: mounted again at once, and said.

use super::stamp::Stamp;
use crate::finding::Finding;
use crate::session::Watch;
use nix::poll::PollFlags;
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use stockade_enforce::{Again, Watched};

#[derive(Debug)]
pub struct MountsAgain {
    watched: Watched,
    again: BTreeMap<PathBuf, Replaced>,
    findings: Vec<Finding>,
}

/// How often a name was mounted again, and what stood there the last time.
#[derive(Debug, Default)]
struct Replaced {
    times: usize,
    stamp: Option<Stamp>,
}

impl MountsAgain {
    pub fn new(watched: Watched) -> Self {
        Self {
            watched,
            again: BTreeMap::new(),
            findings: Vec::new(),
        }
    }

    /// What is to be said, and what the comparison at the end finds as the outside made it.
    pub fn finish(self) -> (Vec<Finding>, BTreeMap<PathBuf, Stamp>) {
        let Self {
            watched: _,
            again,
            mut findings,
        } = self;
        let mut stamps = BTreeMap::new();
        for (name, Replaced { times, stamp }) in again {
            let often = if times == 1 {
                String::new()
            } else {
                format!(" {times} times")
            };
            findings.push(Finding::note(format!(
                "{} was replaced outside{often} and held again each time; it stood open for a moment",
                name.display()
            )));
            stamps.extend(stamp.map(|stamp| (name, stamp)));
        }
        (findings, stamps)
    }
}

impl Watch for MountsAgain {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.watched.descriptor()
    }

    fn flags(&self) -> PollFlags {
        PollFlags::POLLPRI
    }

    fn due(&self) -> bool {
        self.watched.misses()
    }

    fn ready(&mut self) {
        let outcome = match self.watched.mount_again() {
            Ok(outcome) => outcome,
            Err(error) => {
                let text = format!("the session's mounts can't be watched: {error}");
                self.findings.push(Finding::grave(text));
                return;
            }
        };
        for (name, again) in outcome {
            let name_of = name.display().to_string();
            match again {
                Again::Mounted => {
                    let stamp = Stamp::of(&name);
                    let replaced = self.again.entry(name).or_default();
                    replaced.times += 1;
                    replaced.stamp = stamp;
                }
                Again::Moved => {}
                Again::Gone => self.findings.push(Finding::note(format!(
                    "{name_of} is gone: a new one is held when it is seen, and compared at the end"
                ))),
                Again::Failed(why) => self.findings.push(Finding::grave(format!(
                    "{name_of} was replaced outside and could not be held again: {why}"
                ))),
            }
        }
    }
}
