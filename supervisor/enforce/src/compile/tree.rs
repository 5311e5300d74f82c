//! What exists on the host, as the compiler of a plan asks for it.

use crate::doubt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

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
    fn list(&self, directory: &Path) -> Vec<(PathBuf, Kind)>;
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

    fn list(&self, directory: &Path) -> Vec<(PathBuf, Kind)> {
        let entries = doubt::answer(directory, std::fs::read_dir(directory));
        let one = |entry| {
            let entry: std::fs::DirEntry = doubt::answer(directory, entry)?;
            let found = doubt::answer(&entry.path(), entry.file_type())?;
            Some((entry.path(), kind(found)))
        };
        let mut out: Vec<_> = entries.into_iter().flatten().filter_map(one).collect();
        out.sort_by(|a, b| a.0.cmp(&b.0));
        out
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
