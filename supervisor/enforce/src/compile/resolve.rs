//! The rules in the order in which they decide, so that the first that covers a name is the
//! answer. Separate code from the reference semantics on purpose: a test sees them disagree.

use super::names::{HELD, holds_all_of};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use stockade_policy::{Glob, Policy};

/// How a name may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    No,
    /// The host's file.
    Host,
    Private,
    Overlay,
}

struct Row<'p> {
    glob: &'p Glob,
    key: &'p str,
    rank: usize,
}

impl Row<'_> {
    /// Of a directory that is held also what denies everything in it.
    fn speaks_of(&self, path: &Path) -> bool {
        self.glob.covers(path) || (HELD.contains(&self.key) && holds_all_of(self.glob, path))
    }
}

/// The rows of some keys, the deciding one first, and by the directory that all names of a
/// pattern lie below: only those of a name's own directories can cover it.
struct Rows<'p> {
    rows: Vec<Row<'p>>,
    below: HashMap<PathBuf, Vec<usize>>,
}

impl<'p> Rows<'p> {
    /// `denials` come first among equals.
    fn of(policy: &'p Policy, table: &str, keys: &[&str], denials: &[&str]) -> Self {
        let mut rows: Vec<Row<'p>> = policy
            .rules()
            .iter()
            .filter(|r| r.key.table == table && keys.contains(&r.key.name) && !r.report)
            .flat_map(|r| {
                r.globs.iter().map(|glob| Row {
                    glob,
                    key: r.key.name,
                    rank: r.rank,
                })
            })
            .collect();
        rows.sort_by_cached_key(|r| {
            std::cmp::Reverse((r.glob.specificity(), r.rank, denials.contains(&r.key)))
        });
        let mut below: HashMap<PathBuf, Vec<usize>> = HashMap::new();
        for (n, row) in rows.iter().enumerate() {
            below.entry(row.glob.root()).or_default().push(n);
        }
        Self { rows, below }
    }

    fn first(&self, path: &Path) -> Option<&Row<'p>> {
        let near = path.ancestors().filter_map(|a| self.below.get(a));
        let first = near
            .filter_map(|at| at.iter().find(|n| self.rows[**n].speaks_of(path)))
            .min();
        first.map(|n| &self.rows[*n])
    }
}

pub struct Resolver<'p> {
    read: Rows<'p>,
    shown: Rows<'p>,
    write: Rows<'p>,
    exec: Rows<'p>,
    exec_default: bool,
    /// Private directories by their own name.
    private: HashSet<PathBuf>,
}

impl<'p> Resolver<'p> {
    pub fn new(policy: &'p Policy) -> Self {
        let files = |keys, denials| Rows::of(policy, "filesystem", keys, denials);
        Self {
            read: files(
                &["read", "write", "private", "overlay", "deny_read"],
                &["deny_read"],
            ),
            shown: files(&["read"], &[]),
            write: files(
                &["write", "private", "overlay", "deny_write", "protect"],
                &["deny_write", "protect"],
            ),
            // ask needs somebody who could answer: for exec it is deny (D16)
            exec: Rows::of(policy, "exec", &["allow", "ask", "deny"], &["ask", "deny"]),
            exec_default: policy
                .setting("exec.default")
                .is_some_and(|s| s.value == "allow"),
            private: policy
                .of("filesystem", "private")
                .flat_map(|r| &r.globs)
                .filter_map(Glob::literal)
                .collect(),
        }
    }

    /// Whether a rule makes exactly this name a private directory.
    pub fn is_private(&self, path: &Path) -> bool {
        self.private.contains(path)
    }

    pub fn read(&self, path: &Path) -> bool {
        self.read.first(path).is_some_and(|r| r.key != "deny_read")
    }

    /// Whether what stands there is the host's: not hidden, not a directory of the session's own.
    pub fn shows(&self, path: &Path) -> bool {
        self.read
            .first(path)
            .is_some_and(|r| r.key != "deny_read" && r.key != "private")
    }

    /// Whether any rule says who may read or execute it.
    pub fn is_named(&self, path: &Path) -> bool {
        self.read.first(path).or(self.exec.first(path)).is_some()
    }

    /// Whether a rule hides the name, rather than none showing it.
    pub fn hidden(&self, path: &Path) -> bool {
        self.read.first(path).is_some_and(|r| r.key == "deny_read")
    }

    pub fn write(&self, path: &Path) -> Write {
        let Some(row) = self.write.first(path).filter(|_| self.read(path)) else {
            return Write::No;
        };
        // what a read rule shows inside a private or overlaid directory is the host's, read-only
        let shown = self
            .shown
            .first(path)
            .is_some_and(|r| (r.glob.specificity(), r.rank) > (row.glob.specificity(), row.rank));
        match row.key {
            "write" => Write::Host,
            "private" if !shown => Write::Private,
            "overlay" if !shown => Write::Overlay,
            _ => Write::No,
        }
    }

    pub fn exec(&self, path: &Path) -> bool {
        self.read(path)
            && self
                .exec
                .first(path)
                .map_or(self.exec_default, |r| r.key == "allow")
    }
}

/// Where a session could write the host's files if nothing were protected: what the end of the
/// session is compared with the start for.
pub struct Reach<'p>(Rows<'p>);

impl<'p> Reach<'p> {
    pub fn new(policy: &'p Policy) -> Self {
        let keys = ["write", "private", "overlay", "deny_write"];
        Self(Rows::of(policy, "filesystem", &keys, &["deny_write"]))
    }

    pub fn host(&self, path: &Path) -> bool {
        self.0.first(path).is_some_and(|r| r.key == "write")
    }
}
