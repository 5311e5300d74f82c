//! Removing a tree that hostile code wrote: of any depth and any modes, with three descriptors.

use crate::protect::open_up;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Entries taken from a directory at a time.
const BATCH: usize = 1024;

/// Nothing there is no error.
pub fn tree(path: &Path) -> Result<(), Errno> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::EINVAL);
    };
    match openat(AT_FDCWD, parent, FOLDER, Mode::empty()) {
        Err(Errno::ENOENT) => Ok(()),
        parent => tree_at(parent?.as_fd(), name),
    }
}

/// The same, the entry `last` after all others: while it is there, so may be the rest. Another run
/// may be removing it too.
pub fn tree_with_last(path: &Path, last: &OsStr) -> Result<(), Errno> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::EINVAL);
    };
    let parent = match openat(AT_FDCWD, parent, FOLDER, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(()),
        parent => parent?,
    };
    loop {
        match tree_with_last_at(parent.as_fd(), name, last) {
            Err(Errno::ENOENT) => match is_directory(parent.as_fd(), name) {
                Err(Errno::ENOENT) => return Ok(()),
                there => there.map(drop)?,
            },
            other => return other,
        }
    }
}

fn tree_with_last_at(at: BorrowedFd<'_>, name: &OsStr, last: &OsStr) -> Result<(), Errno> {
    let top = folder(at, name)?;
    loop {
        let mut batch = entries(&top)?;
        batch.retain(|entry| entry != last);
        if batch.is_empty() {
            break;
        }
        for entry in batch {
            tree_at(top.as_fd(), &entry)?;
        }
    }
    tree_at(top.as_fd(), last)?;
    unlinkat(at, name, UnlinkatFlags::RemoveDir)
}

/// What lies deeper is lifted to the top, so that no walk goes down further than one directory.
pub fn tree_at(at: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    match is_directory(at, name) {
        Ok(true) => {}
        Ok(false) => return unlinkat(at, name, UnlinkatFlags::NoRemoveDir),
        Err(Errno::ENOENT) => return Ok(()),
        Err(other) => return Err(other),
    }
    let top = folder(at, name)?;
    let mut lifted = 0_u64;
    loop {
        let batch = entries(&top)?;
        if batch.is_empty() {
            break;
        }
        for entry in batch {
            if is_directory(top.as_fd(), &entry)? {
                empty(&top, &entry, &mut lifted)?;
                unlinkat(&top, entry.as_os_str(), UnlinkatFlags::RemoveDir)?;
            } else {
                unlinkat(&top, entry.as_os_str(), UnlinkatFlags::NoRemoveDir)?;
            }
        }
    }
    unlinkat(at, name, UnlinkatFlags::RemoveDir)
}

fn empty(top: &OwnedFd, name: &OsStr, lifted: &mut u64) -> Result<(), Errno> {
    let inside = folder(top.as_fd(), name)?;
    loop {
        let batch = entries(&inside)?;
        if batch.is_empty() {
            return Ok(());
        }
        for entry in batch {
            if is_directory(inside.as_fd(), &entry)? {
                // what changes its parent is itself written
                open_up(inside.as_fd(), &entry)?;
                lift(&inside, &entry, top, lifted)?;
            } else {
                unlinkat(&inside, entry.as_os_str(), UnlinkatFlags::NoRemoveDir)?;
            }
        }
    }
}

/// To a name that is free at the top.
fn lift(from: &OwnedFd, name: &OsStr, top: &OwnedFd, lifted: &mut u64) -> Result<(), Errno> {
    loop {
        *lifted += 1;
        let free = CString::new(format!(".lifted-{lifted}")).map_err(|_| Errno::EINVAL)?;
        match fstatat(top, free.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => return renameat(from, name, top, free.as_c_str()),
            Ok(_) => {}
            Err(other) => return Err(other),
        }
    }
}

const FOLDER: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// Opened, whatever its mode was made.
fn folder(at: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    open_up(at, name)?;
    openat(at, name, FOLDER, Mode::empty())
}

fn is_directory(at: BorrowedFd<'_>, name: &OsStr) -> Result<bool, Errno> {
    let mode = fstatat(at, name, AtFlags::AT_SYMLINK_NOFOLLOW)?.st_mode;
    Ok(mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits())
}

/// The next few.
fn entries(directory: &OwnedFd) -> Result<Vec<OsString>, Errno> {
    listed(directory.as_fd())?.take(BATCH).collect()
}

/// Every name in a directory. An error ends no list as if it were whole, which it does by
/// readdir_r(3) as nix calls it.
pub fn listed(
    directory: BorrowedFd<'_>,
) -> Result<impl Iterator<Item = Result<OsString, Errno>>, Errno> {
    let errno = |e: std::io::Error| Errno::from_raw(e.raw_os_error().unwrap_or(0));
    // opened anew: read from its beginning
    let itself = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let entries = std::fs::read_dir(itself).map_err(errno)?;
    Ok(entries.map(move |entry| entry.map(|e| e.file_name()).map_err(errno)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn any_depth_and_any_mode_goes_and_links_are_not_followed() {
        let place = std::env::temp_dir().join(format!("stockade-remove-{}", std::process::id()));
        fs::create_dir_all(place.join("gone/closed/.lifted-1")).unwrap();
        fs::write(place.join("kept"), "kept").unwrap();
        std::os::unix::fs::symlink(&place, place.join("gone/closed/link")).unwrap();
        // deeper than there are descriptors, and than a path can be long
        let mut at = openat(AT_FDCWD, &place.join("gone"), FOLDER, Mode::empty()).unwrap();
        for _ in 0..5_000 {
            nix::sys::stat::mkdirat(&at, c"d", Mode::S_IRWXU).unwrap();
            at = openat(&at, c"d", FOLDER, Mode::empty()).unwrap();
        }
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o000);
        fs::set_permissions(place.join("gone/closed"), closed).unwrap();
        tree(&place.join("gone")).unwrap();
        assert!(place.join("gone").symlink_metadata().is_err());
        assert_eq!(fs::read_to_string(place.join("kept")).unwrap(), "kept");
        assert_eq!(tree(&place.join("gone")), Ok(()));
        fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn what_can_not_be_listed_is_not_empty() {
        let place = std::env::temp_dir().join(format!("stockade-listed-{}", std::process::id()));
        fs::create_dir_all(place.join("a")).unwrap();
        for name in ["a/file", "last"] {
            fs::write(place.join(name), "x").unwrap();
        }
        let last = |path: &Path| tree_with_last(path, OsStr::new("last"));
        let path = place.clone();
        let refused = crate::refused::with("getdents64", nix::libc::ENOMEM, move || last(&path));
        assert_eq!(refused, Err(Errno::ENOMEM));
        assert!(place.join("last").exists() && place.join("a/file").exists());
        assert_eq!(last(&place), Ok(()));
        assert!(!place.exists());
    }
}
