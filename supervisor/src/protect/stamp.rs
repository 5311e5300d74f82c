//! What one name was at the start of a session.

use crate::git::config;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Hashed up to this size; above it size and time of change decide.
const HASHED: u64 = 16 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    mode: u32,
    /// Of a directory nothing: what is in it has stamps of its own.
    content: Content,
    /// Of a git configuration: the keys that make git run programs.
    #[serde(default)]
    pub keys: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Content {
    Directory,
    Link(#[serde(with = "stockade_enforce::bytes::path")] PathBuf),
    Hash(String),
    Large { size: u64, changed: i64 },
    Special,
}

impl Stamp {
    /// None when it is not there.
    pub fn of(path: &Path) -> Option<Self> {
        let found = path.symlink_metadata().ok()?;
        let content = if found.is_dir() {
            Content::Directory
        } else if found.is_symlink() {
            Content::Link(path.read_link().ok()?)
        } else if !found.is_file() {
            Content::Special
        } else if found.len() > HASHED {
            Content::Large {
                size: found.len(),
                changed: found.ctime(),
            }
        } else {
            Content::Hash(hash(path)?)
        };
        Some(Self {
            mode: found.mode(),
            content,
            keys: config::keys(path),
        })
    }

    pub fn is_file(&self) -> bool {
        matches!(self.content, Content::Hash(_))
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
    let mut file = open(path).ok()?;
    std::io::copy(&mut file, &mut hash).ok()?;
    Some(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}
