//! Sessions beside each other: what one of them, or the user, has put right is no change of another's.

use super::beneath;
use super::record::{self, Record};
use super::stamp::Stamp;
use crate::exit::Failure;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// In the folder of a session that goes on: `settled-ID` of the one that did it.
const PREFIX: &str = "settled-";
/// Looked for so often, so long apart: somebody may have stopped the session whose turn it is.
const TRIES: u32 = 3_000;
const APART: Duration = Duration::from_millis(10);

/// What one session's comparison did to names.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Settled {
    /// Taken or put back; with everything below.
    #[serde(with = "stockade_enforce::bytes::map")]
    touched: BTreeMap<PathBuf, ()>,
    /// What stands there again.
    #[serde(with = "stockade_enforce::bytes::map")]
    seen: BTreeMap<PathBuf, Stamp>,
    #[serde(with = "stockade_enforce::bytes::map")]
    ways: BTreeMap<PathBuf, Stamp>,
}

/// One of the user's sessions at a time looks at names before it starts, or compares them: none takes
/// for the user's what another is about to move away.
pub fn turn(state: &Path) -> Result<File, Failure> {
    let sessions = state.join("sessions");
    let fail = |e| Failure::file("take a turn in", &sessions, e);
    let mut directory = opened(&sessions);
    if directory
        .as_ref()
        .is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied)
    {
        // a session without mounts can change modes of whatever is the user's
        open_up(state).and_then(|()| open_up(&sessions));
        directory = opened(&sessions);
    }
    let directory = directory.map_err(fail)?;
    for _ in 0..TRIES {
        match directory.try_lock() {
            Ok(()) => return Ok(directory),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        std::thread::sleep(APART);
    }
    Err(Failure::Usage(format!(
        "another stockade of yours holds {} and does not go on: continue it or end it",
        sessions.display()
    )))
}

/// When a session began, was removed, or put something right; what was seen before is no longer so.
pub fn changed(state: &Path) -> Option<SystemTime> {
    let sessions = state.join("sessions").symlink_metadata();
    sessions.and_then(|m| m.modified()).ok()
}

fn opened(sessions: &Path) -> std::io::Result<File> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(sessions)?;
    File::open(sessions)
}

fn open_up(folder: &Path) -> Option<()> {
    let parent = beneath::directory(folder.parent()?, folder.parent()?).ok()?;
    beneath::open_up(parent.as_fd(), folder.file_name()?).ok()
}

impl Settled {
    pub fn touch(&mut self, path: &Path) {
        self.touched.insert(path.into(), ());
    }

    /// What this session knew of the name, and of what lies below, stands there again.
    pub fn again(&mut self, path: &Path, record: &Record) {
        self.touch(path);
        let below =
            |(p, s): (&PathBuf, &Stamp)| p.starts_with(path).then(|| (p.clone(), s.clone()));
        self.seen.extend(record.seen.iter().filter_map(below));
        self.ways.extend(record.ways.iter().filter_map(below));
    }

    fn touches(&self, path: &Path) -> bool {
        self.touched.keys().any(|t| path.starts_with(t))
    }

    /// To every other session that lives or is still to be finished. While it is this one's turn.
    pub fn tell(&self, state: &Path, session: &str) -> std::io::Result<()> {
        if self.touched.is_empty() {
            return Ok(());
        }
        let text = serde_json::to_vec(self)?;
        let sessions = state.join("sessions");
        // also to one that is about to begin
        File::open(&sessions)?.set_modified(SystemTime::now())?;
        for entry in std::fs::read_dir(sessions)? {
            let folder = entry?.path();
            let Some(other) = Record::read(&folder).filter(|r| r.session != session) else {
                continue;
            };
            self.renew_originals(&other, &folder)?;
            let fresh = folder.join(".settled");
            std::fs::write(&fresh, &text)?;
            std::fs::rename(fresh, folder.join(format!("{PREFIX}{session}")))?;
        }
        Ok(())
    }

    /// What that session kept may be what was moved away now.
    fn renew_originals(&self, other: &Record, folder: &Path) -> std::io::Result<()> {
        let known: BTreeSet<&PathBuf> = other.seen.keys().chain(other.ways.keys()).collect();
        for path in known.into_iter().filter(|p| self.touches(p)) {
            match std::fs::remove_file(other.original(folder, path)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        for (path, stamp) in self.seen.iter().chain(&self.ways) {
            let to = other.original(folder, path);
            if !stamp.is_file() {
                continue;
            }
            // that session may be changing it at this moment
            match record::keep(path, folder, &to) {
                Ok(true) if Stamp::of(&to).as_ref() != Some(stamp) => std::fs::remove_file(to)?,
                Err(error) if Stamp::of(path).as_ref() == Some(stamp) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// What others settled since this session began is how it was at its start.
pub fn apply(record: &mut Record, folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = entries.filter(|e| e.file_name().to_string_lossy().starts_with(PREFIX));
    let mut files: Vec<_> = ours
        .map(|e| (e.metadata().and_then(|m| m.modified()).ok(), e.path()))
        .collect();
    files.sort();
    for (_, file) in files {
        let text = std::fs::read(file).unwrap_or_default();
        let Ok(settled) = serde_json::from_slice::<Settled>(&text) else {
            continue;
        };
        for known in [&mut record.seen, &mut record.ways, &mut record.closed] {
            known.retain(|path, _| !settled.touches(path));
        }
        record.seen.extend(settled.seen);
        record.ways.extend(settled.ways);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_about_to_begin_sees_that_something_was_put_right() {
        let state = std::env::temp_dir().join(format!("stockade-settle-{}", std::process::id()));
        drop(turn(&state).unwrap());
        let before = changed(&state);
        Settled::default().tell(&state, "one").unwrap();
        assert_eq!(changed(&state), before, "nothing was touched");
        let mut settled = Settled::default();
        settled.touch(Path::new("/w/.git/hooks/pre-commit"));
        settled.tell(&state, "one").unwrap();
        assert_ne!(changed(&state), before);
        std::fs::remove_dir_all(&state).unwrap();
    }
}
