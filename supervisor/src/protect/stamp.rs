//! What one name was at the start of a session.

use crate::git::config;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use stockade_enforce::doubt;

/// Hashed up to this size; above it size and time of change decide.
const HASHED: u64 = 16 << 20;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stamp {
    mode: u32,
    /// Of a directory nothing: what is in it has stamps of its own.
    content: Content,
    /// Of a git configuration: the keys that make git run programs.
    #[serde(default)]
    pub keys: BTreeMap<String, Vec<String>>,
    file: Identity,
}

/// A file with the same content is no change, whichever it is.
impl PartialEq for Stamp {
    fn eq(&self, other: &Self) -> bool {
        (self.mode, &self.content) == (other.mode, &other.content)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    device: u64,
    inode: u64,
    links: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Content {
    Directory,
    Link(#[serde(with = "stockade_enforce::bytes::path")] PathBuf),
    Hash(String),
    /// Too large to be hashed, or not for the user to read.
    Unread {
        inode: u64,
        size: u64,
        changed: (i64, i64),
    },
    Special,
}

impl Content {
    fn unread(found: &Metadata) -> Self {
        Self::Unread {
            inode: found.ino(),
            size: found.len(),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

impl Stamp {
    /// None when it is not there.
    pub fn of(path: &Path) -> Option<Self> {
        let found = doubt::answer(path, path.symlink_metadata())?;
        let content = if found.is_dir() {
            Content::Directory
        } else if found.is_symlink() {
            Content::Link(doubt::answer(path, path.read_link())?)
        } else if !found.is_file() {
            Content::Special
        } else if found.len() > HASHED {
            Content::unread(&found)
        } else {
            hash(path).map_or_else(|| Content::unread(&found), Content::Hash)
        };
        Some(Self::new(&found, content, config::keys(path)))
    }

    /// Of a directory that can't be listed: its own times are all that is known.
    pub fn closed(path: &Path) -> Option<Self> {
        let found = doubt::answer(path, path.symlink_metadata())?;
        let content = Content::unread(&found);
        Some(Self::new(&found, content, BTreeMap::new()))
    }

    fn new(found: &Metadata, content: Content, keys: BTreeMap<String, Vec<String>>) -> Self {
        Self {
            mode: found.mode(),
            content,
            keys,
            file: Identity {
                device: found.dev(),
                inode: found.ino(),
                links: found.nlink(),
            },
        }
    }

    pub fn is_file(&self) -> bool {
        matches!(self.content, Content::Hash(_))
    }

    pub fn is_directory(&self) -> bool {
        self.content == Content::Directory
    }

    /// The same file, which never had another name: whoever changed it used this one.
    pub fn is_alone_in(&self, other: &Self) -> bool {
        self.file == other.file && self.file.links == 1
    }
}

/// Not through a link, and not waiting for a pipe.
pub fn open(path: &Path) -> std::io::Result<File> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
}

pub fn hash(path: &Path) -> Option<String> {
    let mut hash = Sha256::new();
    let file = doubt::answer(path, open(path))?;
    // one that grows while it is read has no hash
    let copied = std::io::copy(&mut file.take(HASHED + 1), &mut hash);
    let read = doubt::answer(path, copied)?;
    (read <= HASHED).then_some(())?;
    Some(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}
