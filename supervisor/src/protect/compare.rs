//! What the session made of protected names, and what is done about it. Nothing of the session
//! runs any more: what is looked at here stands still.

use super::beneath;
use super::quarantine::{Quarantine, Taken, What, put_back};
use super::record::{KEPT, Mark, Record, covers};
use super::settle::Settled;
use super::stamp::Stamp;
use super::walk::{Found, Seen, walk};
use crate::exit::Failure;
use crate::finding::Finding;
use crate::git::config;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::ops::Bound;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use stockade_enforce::{Kind, Tree, doubt};
use stockade_policy::Glob;

const BACK: &str = "; it is as it was again";

pub struct Comparison<'a> {
    pub record: &'a Record,
    /// Of the session, where originals lie.
    pub folder: &'a Path,
    pub quarantine: &'a Quarantine,
    /// What programs outside made of names that they replaced.
    pub outside: &'a BTreeMap<PathBuf, Stamp>,
    /// Each name is dealt with once, whichever rules speak of it.
    dealt: BTreeSet<PathBuf>,
    opened: BTreeSet<PathBuf>,
    /// Until something is moved.
    seen: Seen,
    pub findings: Vec<Finding>,
    /// For the other sessions.
    settled: Settled,
}

impl<'a> Comparison<'a> {
    pub fn new(
        record: &'a Record,
        folder: &'a Path,
        quarantine: &'a Quarantine,
        outside: &'a BTreeMap<PathBuf, Stamp>,
    ) -> Self {
        Self {
            record,
            folder,
            quarantine,
            outside,
            dealt: BTreeSet::new(),
            opened: BTreeSet::new(),
            seen: Seen::default(),
            findings: Vec::new(),
            settled: Settled::default(),
        }
    }

    pub fn mark(&mut self, mark: &Mark) -> Result<(), Failure> {
        let glob = Glob::absolute(&mark.glob).map_err(|e| Failure::Usage(e.to_string()))?;
        let now = self.settled(&glob, mark);
        for name in self.topmost_new(&now, mark) {
            self.appeared(&name, mark);
        }
        let record = self.record;
        let root = glob.root();
        // sorted: what lies below a directory follows it
        let from = record
            .seen
            .range::<Path, _>((Bound::Included(&*root), Bound::Unbounded));
        let below = from.take_while(|(name, _)| name.starts_with(&root));
        for (name, was) in below.filter(|(name, _)| glob.covers(name)) {
            if !except(mark, name) {
                self.compared(name, was, mark);
            }
        }
        Ok(())
    }

    /// The names of a pattern, when nothing that hides some of them is left.
    fn settled(&mut self, glob: &Glob, mark: &Mark) -> Vec<PathBuf> {
        let record = self.record;
        let base = record.root(&glob.root());
        loop {
            let Found {
                names,
                ways,
                closed,
                crowded,
                looked: _,
            } = walk(&self.seen, glob, base, &|path| record.is_known(path));
            let mut acted = false;
            for way in ways {
                acted |= self.way(&way, mark);
            }
            for folder in closed {
                acted |= self.closed(&folder, base, mark);
            }
            for folder in crowded {
                acted |= self.crowded(&folder, base, mark);
            }
            // each turn deals with one more name
            if !acted {
                return names;
            }
        }
    }

    /// A link, or for `.git` a file, that stands where a directory would hold protected names.
    pub fn way(&mut self, path: &Path, mark: &Mark) -> bool {
        let Some(found) = self.seen.tree.kind(path) else {
            return false;
        };
        let (link, git) = (found == Kind::Link, path.ends_with(".git"));
        let leads = link || (git && found == Kind::File);
        let same = leads && Stamp::of(path).as_ref() == self.record.ways.get(path);
        if !leads || same || !self.dealt.insert(path.into()) {
            return false;
        }
        let what = if link {
            "is a link now"
        } else {
            "is a file now that leads git elsewhere"
        };
        if mark.report {
            self.note(format!("{} {what} ({})", path.display(), mark.because));
            return false;
        }
        let taken = self.take(path, what, mark);
        if taken && self.put_back(path).is_ok() {
            self.note(format!("{} is as it was again", path.display()));
        }
        taken
    }

    /// A directory that can't be listed holds what programs can reach by name.
    fn closed(&mut self, folder: &Path, base: &Path, mark: &Mark) -> bool {
        if let Some(was) = self.record.closed.get(folder) {
            if Stamp::closed(folder).as_ref() != Some(was) && self.dealt.insert(folder.into()) {
                let why = "was changed, and what is in it can't be seen";
                self.grave(format!("{} {why} ({})", folder.display(), mark.because));
            }
            return false;
        }
        if self.opened.insert(folder.into()) && open_up(base, folder).is_some() {
            self.seen.forget();
            let why = "could not be listed any more: its mode was changed to see what is in it";
            self.grave(format!("{} {why}", folder.display()));
            return true;
        }
        self.new_whole(folder, base, "can't be listed", mark)
    }

    fn crowded(&mut self, folder: &Path, base: &Path, mark: &Mark) -> bool {
        let what = "holds more new names than can be looked at";
        if mark.report {
            if self.dealt.insert(folder.into()) {
                self.note(format!("{} {what} ({})", folder.display(), mark.because));
            }
            return false;
        }
        if !self.record.is_known(folder) {
            return self.new_whole(folder, base, what, mark);
        }
        if !self.dealt.insert(folder.into()) {
            return false;
        }
        let mode = folder.symlink_metadata().map_or(0o700, |m| m.mode());
        let Some(id) = self.taken(folder, what, mark) else {
            return false;
        };
        let Record { seen, ways, .. } = self.record;
        let inside = seen.keys().chain(ways.keys());
        let names: BTreeSet<&OsStr> = inside
            .filter(|p| p.parent() == Some(folder))
            .filter_map(|p| p.file_name())
            .collect();
        let names: Vec<&OsStr> = names.into_iter().collect();
        let (path, root) = (folder, self.record.root(folder));
        let back = self.quarantine.give_back(&id, root, folder, mode, &names);
        self.seen.forget();
        let folder = folder.display();
        match back {
            Ok(()) => {
                self.settled.again(path, self.record);
                self.note(format!("{folder} holds what it held before, and no more"));
            }
            Err(error) => self.grave(format!("{folder} could not be made again: {error}")),
        }
        true
    }

    /// The topmost directory above `folder` that was not there, with all that is in it.
    fn new_whole(&mut self, folder: &Path, base: &Path, what: &str, mark: &Mark) -> bool {
        let above = folder.ancestors().take_while(|a| *a != base);
        let new = above.filter(|a| !self.record.is_known(a)).last();
        let top = new.unwrap_or(folder);
        if !self.dealt.insert(top.into()) {
            return false;
        }
        if new.is_none() || mark.report {
            self.grave(format!("{} {what} ({})", top.display(), mark.because));
            return false;
        }
        self.take(top, what, mark)
    }

    /// Names that were not there; of a new directory only itself.
    fn topmost_new(&self, now: &[PathBuf], mark: &Mark) -> Vec<PathBuf> {
        let mut out: Vec<PathBuf> = Vec::new();
        for name in now.iter().filter(|n| !self.record.is_known(n)) {
            // sorted: what is below a name follows it
            let below = out.last().is_some_and(|o| name.starts_with(o));
            if !below && !except(mark, name) {
                out.push(name.clone());
            }
        }
        out
    }

    fn appeared(&mut self, name: &Path, mark: &Mark) {
        let risks = config::risks(name, &BTreeMap::new());
        if mark.report {
            self.note(format!("{} was made ({})", name.display(), mark.because));
        } else if !Record::is_harmless(name) && self.dealt.insert(name.into()) {
            self.take(name, "appeared", mark);
        }
        self.findings.extend(risks);
    }

    fn compared(&mut self, name: &Path, was: &Stamp, mark: &Mark) {
        let is = Stamp::of(name);
        if is.is_none() && name.symlink_metadata().is_ok() {
            return; // not removed: it could not be looked at a moment ago, and is compared again
        }
        let outside = is.is_some() && is.as_ref() == self.outside.get(name);
        if is.as_ref() == Some(was) || outside || !self.dealt.insert(name.into()) {
            return;
        }
        let shown = name.display();
        let because = &mark.because;
        let risks = config::risks(name, &was.keys);
        match is {
            None if mark.report => self.note(format!("{shown} was removed ({because})")),
            Some(_) if mark.report => self.note(format!("{shown} was changed ({because})")),
            None => {
                let back = match self.put_back(name) {
                    Ok(()) => BACK.into(),
                    Err(error) => self.unless_again(name, error, mark),
                };
                self.grave(format!(
                    "{shown} was removed ({because}) though it is protected{back}"
                ));
            }
            // a mount held this very file
            Some(is) if self.record.mounts && is.is_file() && was.is_alone_in(&is) => {
                self.note(format!("{shown} was changed outside ({because})"));
            }
            Some(is) if is.is_directory() && was.is_directory() => self.grave(format!(
                "{shown} has another mode ({because}) though it is protected"
            )),
            Some(_) => self.undo(name, mark),
        }
        self.findings.extend(risks);
    }

    fn put_back(&mut self, name: &Path) -> Result<(), nix::errno::Errno> {
        let kept = self.record.original(self.folder, name);
        self.seen.forget();
        put_back(&kept, self.record.root(name), name)?;
        self.settled.again(name, self.record);
        Ok(())
    }

    /// What the session made of a protected name goes, and what was there comes back.
    fn undo(&mut self, name: &Path, mark: &Mark) {
        let what = "was changed though it is protected,";
        if !self.take(name, what, mark) {
            return;
        }
        let shown = name.display();
        let kept = self.record.original(self.folder, name);
        let found = match kept.metadata() {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                self.grave(format!("{shown} can't be put back: {error}"));
                doubt::note(name, error);
                return;
            }
            other => other,
        };
        if !found.is_ok_and(|m| m.is_file()) {
            let why = format!("only files up to {KEPT} bytes that can be read are kept");
            self.grave(format!("{shown} can't be put back as it was: {why}"));
        } else if let Err(error) = self.put_back(name) {
            let restore = self.unless_again(name, error, mark);
            self.grave(format!("{shown} can't be put back: {error}{restore}"));
        } else {
            self.note(format!("{shown} is as it was again"));
        }
    }

    /// The next comparison puts it back where only memory or the like was missing for it.
    fn unless_again(&self, name: &Path, error: nix::errno::Errno, mark: &Mark) -> String {
        if doubt::note(name, error.into()) {
            String::new()
        } else {
            self.original(name, mark)
        }
    }

    /// How to have back what was there.
    fn original(&self, name: &Path, mark: &Mark) -> String {
        let kept = self.record.original(self.folder, name);
        let kept = self.quarantine.keep(&kept, name, mark, What::Original);
        kept.map_or(String::new(), |id| {
            format!("; as it was: `stockade quarantine restore {id}`")
        })
    }

    pub fn take(&mut self, name: &Path, what: &str, mark: &Mark) -> bool {
        self.taken(name, what, mark).is_some()
    }

    fn taken(&mut self, name: &Path, what: &str, mark: &Mark) -> Option<String> {
        let (shown, because) = (name.display(), &mark.because);
        self.seen.forget();
        match self.quarantine.take(self.record.root(name), name, mark) {
            Ok(Taken { id, unlisted }) => {
                self.settled.touch(name);
                self.grave(match unlisted {
                    None => format!(
                        "{shown} {what} and is in the quarantine ({because}); `stockade quarantine show {id}`"
                    ),
                    Some((aside, error)) => format!(
                        "{shown} {what} ({because}) and is {} now: the quarantine can't be written: {error}; look at it and remove it",
                        aside.display()
                    ),
                });
                Some(id)
            }
            Err(error) => {
                doubt::note(
                    name,
                    std::io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(0)),
                );
                self.grave(format!(
                    "{shown} {what} ({because}) and could not be moved to the quarantine: {error}; look at it before anything runs it"
                ));
                None
            }
        }
    }

    pub fn over(self) -> (Vec<Finding>, Settled) {
        (self.findings, self.settled)
    }

    pub fn note(&mut self, text: String) {
        self.findings.push(Finding::note(text));
    }

    pub fn grave(&mut self, text: String) {
        self.findings.push(Finding::grave(text));
    }
}

/// A rule that decides before the mark's lets the session write the name.
fn except(mark: &Mark, name: &Path) -> bool {
    mark.except.iter().any(|glob| covers(glob, name))
}

fn open_up(base: &Path, folder: &Path) -> Option<()> {
    let (parent, name) = match (folder.parent(), folder.file_name()) {
        // the workspace itself: its own parent is not below it
        (Some(parent), Some(name)) if folder == base => {
            (beneath::directory(parent, parent).ok()?, name)
        }
        (Some(parent), Some(name)) => (beneath::directory(base, parent).ok()?, name),
        _ => return None,
    };
    beneath::open_up(parent.as_fd(), name).ok()
}
