//! A file beside others' hands: read whole, replaced whole, and never over what somebody else saved.

use crate::finding::Finding;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, RenameFlags, ResolveFlag, openat2, renameat, renameat2};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A file of settings is smaller; a session can't fill the user's disk with one.
pub const MAX_BYTES: u64 = 64 << 20;

/// No link is followed, neither out of the directory nor within it.
pub fn beneath(directory: BorrowedFd<'_>, name: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    let making = flags.contains(OFlag::O_CREAT);
    let mode = if making { 0o600 } else { 0 };
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK)
        .mode(Mode::from_bits_truncate(mode))
        .resolve(
            ResolveFlag::RESOLVE_BENEATH
                | ResolveFlag::RESOLVE_NO_SYMLINKS
                | ResolveFlag::RESOLVE_NO_MAGICLINKS,
        );
    openat2(directory, name, how)
}

/// The content; none when it is not there or no regular file of a sensible size.
pub fn content(directory: BorrowedFd<'_>, name: &Path) -> Result<Option<Vec<u8>>, Errno> {
    let fd = match beneath(directory, name, OFlag::O_RDONLY) {
        Err(Errno::ENOENT | Errno::ELOOP | Errno::ENXIO) => return Ok(None),
        other => other?,
    };
    let stat = fstat(&fd)?;
    let regular = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits();
    if !regular || u64::try_from(stat.st_size).unwrap_or(u64::MAX) > MAX_BYTES {
        return Ok(None);
    }
    let mut out = Vec::new();
    let read = File::from(fd).take(MAX_BYTES).read_to_end(&mut out);
    read.map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)))?;
    Ok(Some(out))
}

pub fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Where the session's stands when both sides have changed.
pub fn beside(file: &Path, session: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".stockade-{session}"));
    name.into()
}

fn on_the_way(session: &str) -> PathBuf {
    format!(".stockade-copy-{session}").into()
}

pub enum Replaced {
    Yes,
    /// By another program: its version stands, whatever is beside it is to be written again.
    ChangedMeanwhile,
}

/// What is ready beside the file takes its place, if that still holds what was `expected`: the two are
/// exchanged, so that a version that somebody saved in between comes out and is put back.
pub fn replace(
    directory: BorrowedFd<'_>,
    file: &Path,
    ready: &Path,
    expected: Option<[u8; 32]>,
    ours: [u8; 32],
) -> Result<Replaced, Errno> {
    let now = || content(directory, ready).map(|text| text.map(|text| hash(&text)));
    let swap = |flags| renameat2(directory, ready, directory, file, flags);
    if expected.is_none() {
        return match swap(RenameFlags::RENAME_NOREPLACE) {
            Ok(()) => Ok(Replaced::Yes),
            Err(Errno::EEXIST) => Ok(Replaced::ChangedMeanwhile),
            // a file system that has neither
            Err(Errno::EINVAL) => {
                renameat(directory, ready, directory, file).map(|()| Replaced::Yes)
            }
            Err(other) => Err(other),
        };
    }
    match swap(RenameFlags::RENAME_EXCHANGE) {
        Ok(()) => {}
        Err(Errno::ENOENT) => return Ok(Replaced::ChangedMeanwhile),
        Err(Errno::EINVAL) => {
            return renameat(directory, ready, directory, file).map(|()| Replaced::Yes);
        }
        Err(other) => return Err(other),
    }
    let (mut placed, mut out) = (Some(ours), now()?);
    if out == expected {
        return unlinkat(directory, ready, UnlinkatFlags::NoRemoveDir).map(|()| Replaced::Yes);
    }
    // until what comes out is what was put in: nobody saved in between
    loop {
        match swap(RenameFlags::RENAME_EXCHANGE) {
            // removed meanwhile, and so it stays
            Err(Errno::ENOENT) => return Ok(Replaced::ChangedMeanwhile),
            other => other?,
        }
        let came = now()?;
        if came == placed {
            return Ok(Replaced::ChangedMeanwhile);
        }
        placed = std::mem::replace(&mut out, came);
    }
}

/// The file that `path` is, links resolved.
pub fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// What a session that was killed left beside the file: half a copy goes, a whole one is said.
pub fn finish_killed(file: &Path, session: &str) -> Option<Finding> {
    let (parent, name) = (file.parent()?, file.file_name()?);
    let (half, whole) = (
        parent.join(on_the_way(session)),
        parent.join(beside(Path::new(name), session)),
    );
    drop(std::fs::remove_file(half));
    let left = std::fs::read(&whole).ok()?;
    if std::fs::read(file).is_ok_and(|text| text == left) {
        drop(std::fs::remove_file(whole));
        return None;
    }
    Some(Finding::grave(format!(
        "{}: what the session wrote, or what stood there before, is beside it as {}",
        file.display(),
        whole.display()
    )))
}

/// Whole or not at all: another program never reads half of it.
pub fn write_whole(
    directory: BorrowedFd<'_>,
    name: &Path,
    bytes: &[u8],
    session: &str,
) -> Result<(), Errno> {
    let fresh = on_the_way(session);
    // of a copy that could not be finished
    match unlinkat(directory, &fresh, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(e) => return Err(e),
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
    let mut file = File::from(beneath(directory, &fresh, flags)?);
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written {
        unlinkat(directory, &fresh, UnlinkatFlags::NoRemoveDir)?;
        return Err(Errno::from_raw(error.raw_os_error().unwrap_or(0)));
    }
    renameat(directory, &fresh, directory, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::AsFd;

    #[test]
    fn what_is_saved_between_the_look_and_the_exchange_is_put_back() {
        let place = std::env::temp_dir().join(format!("stockade-between-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        let home = File::open(&place).unwrap();
        let names = (Path::new("f"), Path::new("ready"));
        for (stands, expected) in [("outside", Some(hash(b"start"))), ("new", None)] {
            fs::write(place.join("f"), stands).unwrap();
            fs::write(place.join("ready"), "ours").unwrap();
            let ours = hash(b"ours");
            let done = replace(home.as_fd(), names.0, names.1, expected, ours).unwrap();
            assert!(matches!(done, Replaced::ChangedMeanwhile));
            assert_eq!(fs::read_to_string(place.join("f")).unwrap(), stands);
            let done = replace(
                home.as_fd(),
                names.0,
                names.1,
                Some(hash(stands.as_bytes())),
                ours,
            );
            assert!(matches!(done, Ok(Replaced::Yes)));
            assert_eq!(fs::read_to_string(place.join("f")).unwrap(), "ours");
            assert!(!place.join("ready").exists());
        }
        fs::remove_dir_all(&place).unwrap();
    }
}
