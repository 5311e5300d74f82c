//! What a session made under a protected name, kept where nothing runs it.

use super::beneath;
use super::record::{KEPT, Mark};
use crate::exit::Failure;
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const CONTENT: &str = "content";
/// What is not wholly copied yet.
const PART: &str = "part";
const MANIFEST: &str = "manifest.json";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Made by the session under a protected name.
    Appeared,
    /// What stood there before the session changed it.
    Original,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Entry {
    pub id: String,
    #[serde(with = "stockade_enforce::bytes::path")]
    pub path: PathBuf,
    pub what: What,
    pub rule: String,
    pub because: String,
    /// Seconds since 1970.
    pub time: u64,
    /// Where it is instead of in the quarantine: too much to be copied from another file system.
    #[serde(default)]
    pub aside: Option<String>,
}

/// What became of a name that was taken away.
#[derive(Debug)]
pub struct Taken {
    pub id: String,
    /// Where it is, and why there is no entry of it.
    pub unlisted: Option<(PathBuf, std::io::Error)>,
}

#[derive(Debug)]
pub struct Quarantine {
    folder: PathBuf,
    session: String,
    next: Cell<usize>,
}

impl Quarantine {
    pub fn new(state: &Path, session: &str) -> Self {
        Self {
            folder: state.join("quarantine"),
            session: session.into(),
            next: Cell::new(1),
        }
    }

    fn entry(
        &self,
        path: &Path,
        mark: &Mark,
        what: What,
    ) -> Result<(Entry, PathBuf), std::io::Error> {
        let (id, folder) = self.made()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let entry = Entry {
            id: id.clone(),
            path: path.into(),
            what,
            rule: mark.rule.clone(),
            because: mark.because.clone(),
            time: now.unwrap_or_default().as_secs(),
            aside: None,
        };
        if let Err(error) = write(&folder, &entry) {
            crate::remove::tree(&folder).unwrap_or(());
            return Err(error);
        }
        Ok((entry, folder))
    }

    /// A folder that no other entry has: a run that was killed may have made some for this session.
    fn made(&self) -> Result<(String, PathBuf), std::io::Error> {
        use std::io::ErrorKind::{AlreadyExists, NotFound, PermissionDenied};
        let mut opened = false;
        loop {
            let id = format!("{}-{}", self.session, self.next.get());
            let folder = self.folder.join(&id);
            let made = std::fs::DirBuilder::new().mode(0o700).create(&folder);
            match made.as_ref().map_err(std::io::Error::kind) {
                Err(AlreadyExists) => {}
                Err(NotFound) if !self.folder.is_dir() => {
                    let mut builder = std::fs::DirBuilder::new();
                    builder.recursive(true).mode(0o700).create(&self.folder)?;
                    continue;
                }
                // a session without mounts can change modes of whatever is the user's
                Err(PermissionDenied) if !opened => {
                    opened = true;
                    let (state, name) = split(&self.folder)?;
                    beneath::open_up(beneath::directory(state, state)?.as_fd(), name)?;
                    continue;
                }
                _ => {}
            }
            self.next.set(self.next.get() + 1);
            if matches!(&made, Err(error) if error.kind() == AlreadyExists) {
                continue;
            }
            return made.map(|()| (id, folder));
        }
    }

    /// Entries of the session's into which nothing was moved before the run was killed.
    pub fn tidy(&self) {
        let entries = std::fs::read_dir(&self.folder);
        let ours = format!("{}-", self.session);
        for entry in entries.into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            if !name.to_string_lossy().starts_with(&ours) {
                continue;
            }
            let text = std::fs::read_to_string(path.join(MANIFEST)).unwrap_or_default();
            let aside = serde_json::from_str::<Entry>(&text)
                .ok()
                .and_then(|entry| entry.aside);
            let holds = |path: &Path| path.symlink_metadata().is_ok();
            if !holds(&path.join(CONTENT)) && !aside.is_some_and(|a| holds(Path::new(&a))) {
                // what is left is listed, and can be dropped by its name
                crate::remove::tree(&path).unwrap_or(());
            }
        }
    }

    /// Moves a name here, through no link.
    pub fn take(&self, root: &Path, path: &Path, mark: &Mark) -> Result<Taken, std::io::Error> {
        let (mut entry, folder) = match self.entry(path, mark, What::Appeared) {
            Ok(made) => made,
            Err(error) => return self.take_unlisted(root, path, error),
        };
        let mut taken = moved(root, path, &folder);
        if taken == Err(Errno::EACCES) {
            taken = beneath::open_all(root, path).and_then(|()| moved(root, path, &folder));
        }
        // not below "/": there is no directory that is the workspace's own
        if taken.is_err() && root != Path::new("/") {
            let aside = aside(root, &entry.id);
            // said before it is so: a run that is killed in between leaves nothing unsaid
            entry.aside = aside.to_str().map(str::to_owned);
            if write(&folder, &entry).is_ok() && put_back(path, root, &aside).is_ok() {
                taken = Ok(());
            }
        }
        if let Err(errno) = taken {
            crate::remove::tree(&folder)?;
            return Err(errno.into());
        }
        Ok(Taken {
            id: entry.id,
            unlisted: None,
        })
    }

    /// Where no entry can be written, a full disk for one: out of its place all the same.
    fn take_unlisted(
        &self,
        root: &Path,
        path: &Path,
        error: std::io::Error,
    ) -> Result<Taken, std::io::Error> {
        let id = format!("{}-{}", self.session, self.next.get());
        self.next.set(self.next.get() + 1);
        let aside = aside(root, &id);
        // not below "/": there is no directory that is the workspace's own
        if root == Path::new("/") || put_back(path, root, &aside).is_err() {
            return Err(error);
        }
        Ok(Taken {
            id,
            unlisted: Some((aside, error)),
        })
    }

    /// Out of a directory that was taken whole: what was there before, into a new one in its place.
    pub fn give_back(
        &self,
        id: &str,
        root: &Path,
        path: &Path,
        mode: u32,
        names: &[&OsStr],
    ) -> Result<(), Errno> {
        let (parent, name) = split(path)?;
        let aside = aside(root, id);
        let taken = if aside.is_dir() {
            aside
        } else {
            self.folder.join(id).join(CONTENT)
        };
        beneath::make(beneath::directory(root, parent)?.as_fd(), name, mode)?;
        let (from, to) = (
            beneath::directory(&taken, &taken)?,
            beneath::directory(root, path)?,
        );
        for name in names {
            match beneath::move_name(from.as_fd(), name, to.as_fd(), name, name) {
                // compared like any other name
                Err(Errno::ENOENT) | Ok(()) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// Keeps a copy that lies elsewhere; none when there is none.
    pub fn keep(&self, copy: &Path, path: &Path, mark: &Mark, what: What) -> Option<String> {
        if !copy.is_file() {
            return None;
        }
        let (entry, folder) = self.entry(path, mark, what).ok()?;
        std::fs::rename(copy, folder.join(CONTENT)).ok()?;
        Some(entry.id)
    }
}

/// In the workspace, under a name that nothing acts on.
fn aside(root: &Path, id: &str) -> PathBuf {
    root.join(format!(".stockade-quarantine-{id}"))
}

fn split(path: &Path) -> Result<(&Path, &OsStr), Errno> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent, name)),
        _ => Err(Errno::EINVAL),
    }
}

/// Every entry, the oldest first.
pub fn list(state: &Path) -> Vec<Entry> {
    let entries = std::fs::read_dir(state.join("quarantine"));
    let read = |e: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(e.ok()?.path().join(MANIFEST)).ok()?;
        serde_json::from_str::<Entry>(&text).ok()
    };
    let mut out: Vec<Entry> = entries.into_iter().flatten().filter_map(read).collect();
    out.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
    out
}

pub fn find(state: &Path, id: &str) -> Result<(Entry, PathBuf), Failure> {
    let entry = list(state).into_iter().find(|e| e.id == id);
    let entry = entry.ok_or_else(|| {
        Failure::Usage(format!(
            "no entry `{}` is in the quarantine; `stockade quarantine list` names them",
            crate::output::escaped(id)
        ))
    })?;
    let content = match &entry.aside {
        Some(aside) => aside.into(),
        None => folder(state, &entry).join(CONTENT),
    };
    Ok((entry, content))
}

fn write(folder: &Path, entry: &Entry) -> Result<(), std::io::Error> {
    std::fs::write(folder.join(MANIFEST), serde_json::to_string(entry)?)
}

fn moved(root: &Path, path: &Path, folder: &Path) -> Result<(), Errno> {
    let (parent, name) = split(path)?;
    let from = beneath::real_directory(root, parent)?;
    let to = beneath::directory(folder, folder)?;
    let (way, content) = (OsStr::new(PART), OsStr::new(CONTENT));
    // who has a small file open, or another name of it, can't change what is kept
    let small = path
        .symlink_metadata()
        .is_ok_and(|m| m.is_file() && m.len() <= KEPT);
    if small && beneath::move_copy(from.as_fd(), name, to.as_fd(), way, content).is_ok() {
        return Ok(());
    }
    beneath::move_name(from.as_fd(), name, to.as_fd(), way, content)
}

/// A file that lies in one of stockade's own folders to where it was; nothing stands there now.
pub fn put_back(file: &Path, root: &Path, path: &Path) -> Result<(), Errno> {
    let ((folder, name), (parent, as_name)) = (split(file)?, split(path)?);
    if path.symlink_metadata().is_ok() {
        return Err(Errno::EEXIST);
    }
    let to = beneath::real_directory(root, parent)?;
    let from = beneath::directory(folder, folder)?;
    beneath::move_name(from.as_fd(), name, to.as_fd(), as_name, as_name)
}

/// Back to where it was, through no link. What stands there now is not overwritten, but for what
/// replaced an original: that becomes an entry, whose id is given.
pub fn restore(state: &Path, id: &str) -> Result<Option<String>, Failure> {
    let (entry, content) = find(state, id)?;
    let path = &entry.path;
    let mut replaced = None;
    if path.symlink_metadata().is_ok() {
        if entry.what == What::Appeared {
            return Err(Failure::Usage(format!(
                "cannot restore {}: something stands there now; move it away first",
                crate::output::escaped(&path.to_string_lossy())
            )));
        }
        let mark = Mark {
            glob: String::new(),
            rule: entry.rule.clone(),
            because: entry.because.clone(),
            report: false,
            except: Vec::new(),
        };
        let taken = Quarantine::new(state, id).take(Path::new("/"), path, &mark);
        replaced = Some(taken.map_err(|e| Failure::file("move away", path, e))?.id);
    }
    put_back(&content, Path::new("/"), path)
        .map_err(|errno| Failure::file("restore", path, errno.into()))?;
    drop_entry(state, id)?;
    Ok(replaced)
}

pub fn drop_entry(state: &Path, id: &str) -> Result<(), Failure> {
    let (entry, content) = find(state, id)?;
    for path in [&content, &folder(state, &entry)] {
        crate::remove::tree(path).map_err(|e| Failure::file("drop", path, e.into()))?;
    }
    Ok(())
}

fn folder(state: &Path, entry: &Entry) -> PathBuf {
    state.join("quarantine").join(&entry.id)
}
