//! What exists on the host, as the compiler of a plan asks for it.

use crate::doubt;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Directory,
    File,
    Link,
    /// Device, socket, pipe.
    Special,
}

pub trait Tree {
    /// Of the name itself, not of what a link leads to.
    fn kind(&self, path: &Path) -> Option<Kind>;
    fn target(&self, link: &Path) -> Option<PathBuf>;
    /// Where the name leads, every link resolved.
    fn real(&self, path: &Path) -> Option<PathBuf>;
    /// Names in a directory; none where it can't be listed: then the session sees none either.
    fn list(&self, directory: &Path) -> Rc<[(PathBuf, Kind)]>;
    /// The low half of a socket's inode number, and how many names it has.
    fn socket(&self, path: &Path) -> Option<(u32, u64)>;
}

/// The file system of this machine.
#[derive(Debug)]
pub struct HostTree;

fn kind(found: std::fs::FileType) -> Kind {
    if found.is_dir() {
        Kind::Directory
    } else if found.is_symlink() {
        Kind::Link
    } else if found.is_file() {
        Kind::File
    } else {
        Kind::Special
    }
}

impl Tree for HostTree {
    fn kind(&self, path: &Path) -> Option<Kind> {
        let found = doubt::answer(path, path.symlink_metadata())?;
        Some(kind(found.file_type()))
    }

    fn target(&self, link: &Path) -> Option<PathBuf> {
        doubt::answer(link, link.read_link())
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        doubt::answer(path, path.canonicalize())
    }

    fn list(&self, directory: &Path) -> Rc<[(PathBuf, Kind)]> {
        let entries = doubt::answer(directory, std::fs::read_dir(directory));
        let one = |entry| {
            let entry: std::fs::DirEntry = doubt::answer(directory, entry)?;
            let found = doubt::answer(&entry.path(), entry.file_type())?;
            Some((entry.path(), kind(found)))
        };
        let mut out: Vec<_> = entries.into_iter().flatten().filter_map(one).collect();
        out.sort_by(|a, b| a.0.cmp(&b.0));
        out.into()
    }

    fn socket(&self, path: &Path) -> Option<(u32, u64)> {
        let found = doubt::answer(path, path.symlink_metadata())?;
        let inode = u32::try_from(found.ino() & u64::from(u32::MAX)).ok()?;
        found
            .file_type()
            .is_socket()
            .then(|| (inode, found.nlink()))
    }
}

type Known<T> = RefCell<HashMap<OsString, T>>;

/// The file system of this machine, each name as it was when it was first looked at: rules speak
/// of the same names and directories many times.
#[derive(Debug, Default)]
pub struct Snapshot {
    // by the bytes of the name: hashing a path goes through its components
    kinds: Known<Option<Kind>>,
    real: Known<Option<PathBuf>>,
    lists: Known<Rc<[(PathBuf, Kind)]>>,
}

impl Snapshot {
    /// Looks at every name again.
    pub fn forget(&self) {
        self.kinds.borrow_mut().clear();
        self.real.borrow_mut().clear();
        self.lists.borrow_mut().clear();
    }
}

impl Tree for Snapshot {
    fn kind(&self, path: &Path) -> Option<Kind> {
        if let Some(known) = self.kinds.borrow().get(path.as_os_str()) {
            return *known;
        }
        // in what is no directory nothing is; a link may lead to one
        let above = path.parent().map(|above| self.kind(above));
        let found = match above {
            Some(None | Some(Kind::File | Kind::Special)) => None,
            Some(Some(Kind::Directory | Kind::Link)) | None => HostTree.kind(path),
        };
        self.kinds.borrow_mut().insert(path.into(), found);
        found
    }

    fn target(&self, link: &Path) -> Option<PathBuf> {
        HostTree.target(link)
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        if let Some(known) = self.real.borrow().get(path.as_os_str()) {
            return known.clone();
        }
        let found = match (path.parent(), path.file_name()) {
            (Some(above), Some(name)) => self.real(above).and_then(|above| {
                let at = above.join(name);
                match self.kind(&at)? {
                    Kind::Link => HostTree.real(&at),
                    Kind::Directory | Kind::File | Kind::Special => Some(at),
                }
            }),
            // the root, or `..` at the end
            _ => HostTree.real(path),
        };
        self.real.borrow_mut().insert(path.into(), found.clone());
        found
    }

    fn list(&self, directory: &Path) -> Rc<[(PathBuf, Kind)]> {
        let known = self.lists.borrow().get(directory.as_os_str()).cloned();
        known.unwrap_or_else(|| {
            let found = HostTree.list(directory);
            let name = directory.into();
            self.lists.borrow_mut().insert(name, found.clone());
            found
        })
    }

    fn socket(&self, path: &Path) -> Option<(u32, u64)> {
        HostTree.socket(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_snapshot_says_what_the_host_says_until_it_forgets() {
        let place = std::env::temp_dir().join(format!("stockade-tree-{}", std::process::id()));
        fs::create_dir_all(place.join("d/e")).unwrap();
        fs::write(place.join("d/f"), "").unwrap();
        symlink("d", place.join("l")).unwrap();
        symlink("l/e", place.join("d/two")).unwrap();
        symlink("nowhere", place.join("dead")).unwrap();
        symlink("loop", place.join("loop")).unwrap();
        let names = [
            "", "d", "d/f", "d/f/x", "d/e", "d/none", "d/none/x", "l", "l/f", "l/e", "l/two",
            "d/two", "dead", "dead/x", "loop", "loop/x", "none", "none/x/y", "d/../l/f", "./d",
        ];
        let same = |snapshot: &Snapshot| {
            for path in names.map(|name| place.join(name)) {
                let shown = path.display();
                assert_eq!(snapshot.kind(&path), HostTree.kind(&path), "{shown}");
                assert_eq!(snapshot.real(&path), HostTree.real(&path), "{shown}");
                assert_eq!(snapshot.list(&path), HostTree.list(&path), "{shown}");
            }
        };
        let snapshot = Snapshot::default();
        same(&snapshot);
        same(&snapshot);
        for odd in ["/", "", "relative", "/.."].map(Path::new) {
            assert_eq!(snapshot.kind(odd), HostTree.kind(odd), "{odd:?}");
            assert_eq!(snapshot.real(odd), HostTree.real(odd), "{odd:?}");
        }
        fs::remove_file(place.join("d/f")).unwrap();
        fs::write(place.join("none"), "").unwrap();
        assert_eq!(snapshot.kind(&place.join("d/f")), Some(Kind::File));
        assert_eq!(snapshot.kind(&place.join("none")), None);
        snapshot.forget();
        same(&snapshot);
        fs::remove_dir_all(&place).unwrap();
    }
}
