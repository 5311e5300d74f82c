//! What is written before a session starts, so that the next one can finish it.

use super::stamp::{self, Stamp};
use crate::exit::Failure;
use crate::folder::Folder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use stockade_enforce::{Group, doubt};
use stockade_policy::Policy;

const NAME: &str = "record.json";
/// The same file before all of it is written, and when the session is finished: nothing is to be
/// compared, and the folder is whoever's who can lock it to remove.
pub const DONE: &str = ".record";
/// Locked while something of the session lives.
const LIVING: &str = "living";
/// Looked for so often, two milliseconds apart.
const ENDS: u32 = 1_000;
/// Larger files are compared but not kept.
pub const KEPT: u64 = 1 << 20;
/// A directory of examples has no more.
const EXAMPLES: usize = 100;

#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    pub session: String,
    /// Workspaces and home: where quarantined names are taken from by descriptor.
    roots: Vec<PathBuf>,
    /// The session's cgroup, where its policy limits something that needs one.
    pub group: Option<Group>,
    /// Files of an agent's that are written while the session runs.
    #[serde(default)]
    pub copies: Vec<PathBuf>,
    pub marks: Vec<Mark>,
    #[serde(with = "stockade_enforce::bytes::map")]
    pub seen: BTreeMap<PathBuf, Stamp>,
    /// Those of them that a pattern denies: only known where the record is made.
    #[serde(skip)]
    pub denied: BTreeSet<PathBuf>,
    /// What led to protected names.
    #[serde(with = "stockade_enforce::bytes::map")]
    pub ways: BTreeMap<PathBuf, Stamp>,
    /// Directories that could not be listed.
    #[serde(with = "stockade_enforce::bytes::map")]
    pub closed: BTreeMap<PathBuf, Stamp>,
    /// Whether all directories were looked at for nested repositories, whose `.git` are ways too.
    pub all_looked_at: bool,
    /// Mounts held what was there: only through another name could the session change a file.
    pub mounts: bool,
}

/// One pattern of a protect rule.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mark {
    pub glob: String,
    pub rule: String,
    pub because: String,
    pub report: bool,
    /// Patterns that decide before this one and let the session write.
    pub except: Vec<String>,
}

impl Record {
    pub fn new(session: &str, policy: &Policy, group: Option<Group>, mounts: bool) -> Self {
        let mut roots = policy.context.workspaces.clone();
        roots.push(policy.context.home.clone());
        Self {
            session: session.to_owned(),
            roots,
            group,
            copies: Vec::new(),
            marks: Vec::new(),
            seen: BTreeMap::new(),
            denied: BTreeSet::new(),
            ways: BTreeMap::new(),
            closed: BTreeMap::new(),
            all_looked_at: true,
            mounts,
        }
    }

    /// Workspaces and home.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    pub fn workspaces(&self) -> &[PathBuf] {
        self.roots.split_last().map_or(&[], |(_home, rest)| rest)
    }

    pub fn is_known(&self, path: &Path) -> bool {
        self.seen.contains_key(path) || self.ways.contains_key(path)
    }

    /// Locked for as long as something of the session lives, which a process in another pid
    /// namespace sees too.
    pub fn write(&self, folder: &Path) -> Result<Locks, Failure> {
        let fail = |e| Failure::file("write the session's record", &folder.join(NAME), e);
        let text = serde_json::to_vec(self).map_err(|e| fail(e.into()))?;
        let mut tries = 0;
        loop {
            use std::io::ErrorKind::{AlreadyExists, NotFound, WouldBlock};
            tries += 1;
            match written(folder, &text) {
                // another run took it for what a killed one left: a folder, or a file, without a lock
                Err(e)
                    if tries < 100 && matches!(e.kind(), NotFound | WouldBlock | AlreadyExists) => {
                }
                other => {
                    return other.map_err(|e| {
                        // a folder without a record is never finished
                        crate::remove::tree_with_last(folder, OsStr::new(DONE)).unwrap_or(());
                        fail(e)
                    });
                }
            }
        }
    }

    /// Of a session that lives or is still to be finished.
    pub fn read(folder: &Path) -> Option<Self> {
        let file = File::open(folder.join(NAME)).ok()?;
        serde_json::from_reader(std::io::BufReader::new(file)).ok()
    }

    /// Nothing is to be compared any more, whatever else of its folder can't be removed.
    pub fn finished(folder: &Path) {
        // not there where the session did not get so far, or is finished
        drop(std::fs::rename(folder.join(NAME), folder.join(DONE)));
    }

    /// Small protected files as they were: a level that can't hold them can give them back.
    pub fn keep_originals(&self, folder: &Path) -> Result<(), Failure> {
        for (path, stamp) in self.seen.iter().chain(&self.ways) {
            let denied = self.ways.contains_key(path) || self.denied.contains(path);
            let found = doubt::answer(path, path.symlink_metadata());
            let small = found.is_some_and(|m| m.len() <= KEPT);
            if !(denied && stamp.is_file() && small) || sample(path) {
                continue;
            }
            keep(path, folder, &self.original(folder, path))
                .map_err(|e| Failure::file("keep the original of", path, e))?;
        }
        Ok(())
    }

    /// Where the original of this name is, if it is kept.
    pub fn original(&self, folder: &Path, path: &Path) -> PathBuf {
        let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
        let name: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        folder.join(format!("original-{name}"))
    }

    /// The deepest root that holds the name.
    pub fn root(&self, name: &Path) -> &Path {
        let holds = self.roots.iter().filter(|r| name.starts_with(r));
        holds
            .max_by_key(|r| r.as_os_str().len())
            .map_or(Path::new("/"), PathBuf::as_path)
    }

    /// Examples that git never runs, hooks that are the user's own templates, what git itself makes.
    pub fn is_harmless(name: &Path) -> bool {
        if !name.is_symlink() && name.is_dir() {
            // a new repository's hooks: harmless when all in it is
            let harmless =
                |e: std::io::Result<std::fs::DirEntry>| e.is_ok_and(|e| examples(&e.path()));
            let entries = std::fs::read_dir(name);
            return entries.is_ok_and(|all| {
                let few: Vec<_> = all.take(EXAMPLES + 1).collect();
                few.len() <= EXAMPLES && few.into_iter().all(harmless)
            });
        }
        examples(name)
    }
}

/// Whole or not at all.
fn written(folder: &Path, text: &[u8]) -> std::io::Result<Locks> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let fresh = folder.join(DONE);
    let mut file = File::create_new(&fresh)?;
    let lock = |path: &Path| -> std::io::Result<File> {
        // what the session's first process holds can't be written through
        let locked = File::open(path)?;
        locked.try_lock()?;
        Ok(locked)
    };
    let supervisor = lock(&fresh)?;
    let living = folder.join(LIVING);
    File::create(&living)?;
    let session = lock(&living)?;
    file.write_all(text)?;
    std::fs::rename(&fresh, folder.join(NAME))?;
    Ok(Locks {
        _supervisor: supervisor,
        session,
    })
}

/// Whole or not at all; whether it is kept.
pub fn keep(path: &Path, folder: &Path, to: &Path) -> std::io::Result<bool> {
    let mut from = match stamp::open(path) {
        // unreadable to the user: the agent is the user. EPERM says no such thing
        Err(e) if e.raw_os_error() == Some(nix::libc::EACCES) => return Ok(false),
        other => other?,
    };
    let fresh = folder.join(".original");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut copy = options.open(&fresh)?;
    let kept = std::io::copy(&mut Read::by_ref(&mut from).take(KEPT + 1), &mut copy)?;
    if kept > KEPT {
        return std::fs::remove_file(fresh).map(|()| false);
    }
    let mode = from.metadata()?.mode() & 0o777;
    copy.set_permissions(Permissions::from_mode(mode))?;
    std::fs::rename(fresh, to).map(|()| true)
}

fn examples(name: &Path) -> bool {
    let regular = name.symlink_metadata().is_ok_and(|m| m.is_file());
    regular && (sample(name) || template(name) || as_git_adds_worktrees(name))
}

/// `.git/worktrees/NAME/commondir` as `git worktree add` writes it: it leads back here.
fn as_git_adds_worktrees(path: &Path) -> bool {
    let folder = path.parent().and_then(Path::parent);
    let place = path.ends_with("commondir") && folder.is_some_and(|f| f.ends_with("worktrees"));
    place && crate::git::line(path).as_deref() == Some("../..")
}

pub fn covers(glob: &str, path: &Path) -> bool {
    stockade_policy::Glob::absolute(glob).is_ok_and(|g| g.covers(path))
}

fn sample(path: &Path) -> bool {
    let in_hooks = path.parent().is_some_and(|p| p.ends_with("hooks"));
    in_hooks && path.extension().is_some_and(|e| e == "sample")
}

/// Equal to the file of the same name in the system's templates.
fn template(path: &Path) -> bool {
    let Some(name) = path.file_name() else {
        return false;
    };
    let theirs = Path::new("/usr/share/git-core/templates/hooks").join(name);
    let size = |p: &Path| p.symlink_metadata().ok().map(|m| m.len());
    // the session's may have any size
    theirs.is_file() && size(&theirs) == size(path) && stamp::hash(&theirs) == stamp::hash(path)
}

/// A session that was killed, taken by this finisher alone for as long as it holds the lock: where it
/// is killed too, the next begins again.
pub struct Left {
    pub folder: Folder,
    /// None where it can't be read.
    pub record: Option<Record>,
    /// None while something of the session lives on.
    pub locks: Option<Locks>,
}

/// Of the record, and of a file beside it that whoever has something of the session below it holds too.
#[derive(Debug)]
pub struct Locks {
    _supervisor: File,
    session: File,
}

impl Locks {
    pub fn session(&self) -> BorrowedFd<'_> {
        self.session.as_fd()
    }

    /// What was killed may take a moment to end.
    fn of_dead(supervisor: File, folder: &Path) -> Option<Self> {
        let path = folder.join(LIVING);
        for _ in 0..ENDS {
            match unlocked(&path) {
                Some(session) => {
                    return Some(Self {
                        _supervisor: supervisor,
                        session,
                    });
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        None
    }
}

/// Sessions of which nothing lives; what they left without anything to compare is removed.
pub fn left_behind(state: &Path) -> Vec<Left> {
    let entries = std::fs::read_dir(state.join("sessions"));
    let mut out = Vec::new();
    for entry in entries.into_iter().flatten().flatten() {
        let folder = Folder {
            id: entry.file_name().to_string_lossy().into_owned(),
            path: entry.path(),
        };
        if let Some(lock) = unlocked(&folder.path.join(NAME)) {
            let record = Record::read(&folder.path);
            out.push(Left {
                locks: Locks::of_dead(lock, &folder.path),
                folder,
                record,
            });
        } else if let Some(lock) = unlocked(&folder.path.join(DONE)) {
            // what can't be removed was said by the session itself, or holds nothing
            drop((folder.remove(), lock));
        } else {
            // only what is empty goes
            drop(std::fs::remove_dir(&folder.path));
        }
    }
    out
}

/// The file, locked, if nothing that lives has locked it and it is still there then.
fn unlocked(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    file.try_lock().ok()?;
    let (locked, there) = (file.metadata().ok()?, path.symlink_metadata().ok()?);
    ((locked.dev(), locked.ino()) == (there.dev(), there.ino())).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::libc::{EACCES, EPERM};

    #[test]
    fn an_original_is_kept_unless_the_user_may_not_read_it() {
        let place = std::env::temp_dir().join(format!("stockade-keep-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        let (path, to) = (place.join("file"), place.join("kept"));
        std::fs::write(&path, "text").unwrap();
        let refused = |errno| {
            let (path, folder, to) = (path.clone(), place.clone(), to.clone());
            let kept = move || keep(&path, &folder, &to).map_err(|e| e.raw_os_error());
            crate::refused::with("openat", errno, kept)
        };
        assert_eq!(refused(EACCES), Ok(false));
        assert_eq!(refused(EPERM), Err(Some(EPERM)));
        assert!(!to.exists());
        assert!(keep(&path, &place, &to).unwrap());
        assert_eq!(std::fs::read_to_string(&to).unwrap(), "text");
        let large = vec![b'x'; usize::try_from(KEPT).unwrap() + 1];
        std::fs::write(&path, large).unwrap();
        assert!(!keep(&path, &place, &to).unwrap());
        std::fs::remove_dir_all(&place).unwrap();
    }
}
