//! The names that a pattern speaks of, as they stand now.

use super::settle;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;
use stockade_enforce::{HostTree, Kind, Snapshot, Tree, doubt, holds_all_of};
use stockade_policy::Glob;

/// Names looked at below one pattern.
pub const LOOK_AT: usize = 100_000;
/// A directory that was there and has more new names than this is dealt with as a whole.
const CROWD: usize = 1_000;

#[derive(Debug, Default)]
pub struct Found {
    /// Covered by the pattern; of a directory that is new only itself, and of `X/*` that is new X.
    pub names: Vec<PathBuf>,
    /// What leads to covered names: directories, and links or files that stand in their place.
    pub ways: Vec<PathBuf>,
    /// Directories that can't be listed.
    pub closed: Vec<PathBuf>,
    /// Directories with more new names than are looked at.
    pub crowded: Vec<PathBuf>,
    pub looked: usize,
}

/// Directories with up to this many entries are listed once for all patterns.
const FEW: usize = 500;
/// And so many entries of them are remembered.
const REMEMBERED: usize = 50_000;

/// Names as they were when they were first looked at: most patterns speak of the same directories.
#[derive(Debug, Default)]
pub struct Seen {
    pub tree: Snapshot,
    /// How the user's sessions were before anything was looked at: [`super::settle::changed`].
    pub sessions: Option<SystemTime>,
    entries: RefCell<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    of: HashMap<OsString, Option<Rc<[PathBuf]>>>,
    number: usize,
}

impl Seen {
    pub fn begin(state: &Path) -> Self {
        Self {
            sessions: settle::changed(state),
            ..Self::default()
        }
    }

    /// Looks at every name again.
    pub fn forget(&self) {
        self.tree.forget();
        *self.entries.borrow_mut() = Entries::default();
    }

    /// None where it can't be listed. What holds more than a few is read while it is looked at.
    fn entries(&self, folder: &Path) -> Option<Box<dyn Iterator<Item = PathBuf>>> {
        let all = |few: Rc<[PathBuf]>| (0..few.len()).map(move |n| few[n].clone());
        if let Some(known) = self.entries.borrow().of.get(folder.as_os_str()) {
            return Some(Box::new(all(known.clone()?)));
        }
        let found = doubt::answer(folder, std::fs::read_dir(folder));
        let at = folder.to_owned();
        let mut rest = found.map(|entries| {
            let entries = entries.filter_map(move |e| doubt::answer(&at, e));
            entries.map(|e| e.path())
        });
        let first: Option<Rc<[PathBuf]>> = rest.as_mut().map(|rest| rest.take(FEW).collect());
        let number = first.as_ref().map_or(0, |first| first.len());
        let mut entries = self.entries.borrow_mut();
        if number < FEW && entries.number + number <= REMEMBERED {
            entries.number += number + 1;
            entries.of.insert(folder.into(), first.clone());
        }
        Some(Box::new(all(first?).chain(rest?)))
    }
}

/// `base` is the workspace or the home: nothing at or above it is a way. Below what is not
/// `known` and covered nothing is looked at.
pub fn walk(seen: &Seen, glob: &Glob, base: &Path, known: &dyn Fn(&Path) -> bool) -> Found {
    let kind = |path: &Path| seen.tree.kind(path);
    let (root, mut found) = (glob.root(), Found::default());
    let literal = glob.literal().is_some();
    let above = root.ancestors().skip(usize::from(literal));
    let below_base = above.take_while(|a| *a != base && a.starts_with(base));
    found.ways = below_base.map(Path::to_owned).collect();
    found.ways.retain(|way| kind(way).is_some());
    found.ways.reverse();
    let directory = kind(&root) == Some(Kind::Directory);
    if literal && kind(&root).is_some() {
        found.names.push(root.clone());
    }
    let mut open = Vec::new();
    if directory && root != base && !known(&root) && (literal || holds_all_of(glob, &root)) {
        if !literal {
            found.names.push(root);
        }
    } else if directory {
        open.push(root);
    }
    while let Some(folder) = open.pop() {
        if found.looked > LOOK_AT {
            found.crowded.push(folder);
            break;
        }
        list(seen, glob, base, &folder, known, &mut found, &mut open);
    }
    found.names.sort();
    found
}

fn list(
    seen: &Seen,
    glob: &Glob,
    base: &Path,
    folder: &Path,
    known: &dyn Fn(&Path) -> bool,
    found: &mut Found,
    open: &mut Vec<PathBuf>,
) {
    let Some(entries) = seen.entries(folder) else {
        found.closed.push(folder.into());
        return;
    };
    let mut fresh = 0;
    for path in entries {
        found.looked += 1;
        let covered = glob.covers(&path);
        if !covered && !glob.reaches_below(&path) {
            continue;
        }
        let (kind, old) = (seen.tree.kind(&path), known(&path));
        fresh += usize::from(!old);
        if folder != base && (fresh > CROWD || found.looked > LOOK_AT) {
            found.crowded.push(folder.into());
            return;
        }
        let directory = kind == Some(Kind::Directory);
        if covered {
            if directory && old {
                open.push(path.clone());
            }
            found.names.push(path);
        } else if directory {
            if holds_all_of(glob, &path) && !old {
                found.names.push(path.clone());
            } else {
                open.push(path.clone());
            }
            found.ways.push(path);
        } else if kind == Some(Kind::Link) && leads_away(&path, &glob.root(), base) {
            found.ways.push(path);
        }
    }
}

/// Whether names below the link are not found by their real names. Where a pattern speaks of the
/// whole workspace a link that leads nowhere is an everyday thing.
fn leads_away(link: &Path, root: &Path, base: &Path) -> bool {
    match doubt::answer(link, link.canonicalize()) {
        Some(real) => HostTree.kind(&real) == Some(Kind::Directory) && !real.starts_with(root),
        None => root != base,
    }
}
