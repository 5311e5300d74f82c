//! The way that a path leads, link by link, on the tree as it is at first.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// No part of it is a link but, where the last is not followed, the last.
    pub real: PathBuf,
    /// Every link that was followed, by its own name.
    pub links: Vec<PathBuf>,
    /// False where it ends before: through what is no directory, or round and round.
    pub leads: bool,
}

impl Way {
    pub fn of(path: &Path, follow_last: bool) -> Self {
        let mut way = Self {
            real: "/".into(),
            links: Vec::new(),
            leads: true,
        };
        way.leads = way.follow(path, follow_last);
        way
    }

    fn follow(&mut self, path: &Path, follow_last: bool) -> bool {
        let mut parts = path.components().peekable();
        // a name with a slash at its end is followed, whatever is asked
        let slash = path.as_os_str().as_bytes().ends_with(b"/");
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            match part {
                Component::RootDir => self.real = "/".into(),
                Component::ParentDir => {
                    self.real.pop();
                }
                Component::CurDir | Component::Prefix(_) => {}
                Component::Normal(name) => {
                    let at = self.real.join(name);
                    let found = at.symlink_metadata();
                    let link = found.as_ref().is_ok_and(|m| m.is_symlink());
                    if link && (!last || follow_last || slash) {
                        self.links.push(at.clone());
                        let target = at.read_link().unwrap_or_default();
                        if self.links.len() > 40 || !self.follow(&target, true) {
                            return false;
                        }
                    } else {
                        self.real = at;
                    }
                    let directory = self.real.symlink_metadata().is_ok_and(|m| m.is_dir());
                    if !last && !directory {
                        return false;
                    }
                }
            }
        }
        true
    }
}
