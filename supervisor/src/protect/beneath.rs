//! Moving a name out of a tree that hostile code wrote: by descriptor, through no link.

use crate::remove;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2, renameat};
use nix::sys::stat::{Mode, SFlag, fstat, fstatat, mkdirat};
use nix::unistd::symlinkat;
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const NO_LINKS: ResolveFlag = ResolveFlag::RESOLVE_NO_SYMLINKS;

/// The directory `path`, no component of which below `root` is a link.
pub fn directory(root: &Path, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags).resolve(NO_LINKS);
    let top = openat2(AT_FDCWD, root, how)?;
    let below = path.strip_prefix(root).unwrap_or(path);
    if below.as_os_str().is_empty() {
        return Ok(top);
    }
    let inside = NO_LINKS | ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    openat2(top, below, OpenHow::new().flags(flags).resolve(inside))
}

/// The same, and by way of a link in a workspace that leads within it: when the session is over and
/// `root` is that workspace.
pub fn real_directory(root: &Path, path: &Path) -> Result<OwnedFd, Errno> {
    match directory(root, path) {
        Err(Errno::ELOOP) if root != Path::new("/") => {
            let real = path.canonicalize().ok().filter(|r| r.starts_with(root));
            directory(root, &real.ok_or(Errno::ELOOP)?)
        }
        other => other,
    }
}

/// What is copied from one file system to another at most.
struct Budget {
    depth: u32,
    entries: u32,
    bytes: u64,
}

const BUDGET: Budget = Budget {
    depth: 32,
    entries: 10_000,
    bytes: 64 << 20,
};

impl Budget {
    fn spend(&mut self, bytes: i64) -> Result<(), Errno> {
        let entries = self.entries.checked_sub(1).ok_or(Errno::EFBIG)?;
        let bytes = u64::try_from(bytes).map_err(|_| Errno::EFBIG)?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Errno::EFBIG)?;
        self.entries = entries;
        Ok(())
    }
}

/// A file, link or directory from one directory to another; across file systems by copy, and where
/// that is too much not at all. A copy has the name `way` until it is whole.
pub fn move_name(
    from: BorrowedFd<'_>,
    name: &OsStr,
    to: BorrowedFd<'_>,
    way: &OsStr,
    as_name: &OsStr,
) -> Result<(), Errno> {
    let moved = match renameat(from, name, to, as_name) {
        // what changes its parent is itself written: `..`
        Err(Errno::EACCES) => {
            open_up(from, name)?;
            renameat(from, name, to, as_name)
        }
        other => other,
    };
    match moved {
        Err(Errno::EXDEV) => move_copy(from, name, to, way, as_name),
        other => other,
    }
}

/// The same, always by copy.
pub fn move_copy(
    from: BorrowedFd<'_>,
    name: &OsStr,
    to: BorrowedFd<'_>,
    way: &OsStr,
    as_name: &OsStr,
) -> Result<(), Errno> {
    if let Err(error) = copy(from, name, to, way, &mut { BUDGET }) {
        // what somebody else has just made there is theirs
        if error != Errno::EEXIST {
            remove::tree_at(to, way)?;
        }
        return Err(error);
    }
    renameat(to, way, to, as_name)?;
    remove::tree_at(from, name)
}

/// Lets the user look into a directory of theirs again, whatever its mode was made.
pub fn open_up(at: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let found = openat(at, name, flags, Mode::empty())?;
    let mode = Mode::from_bits_truncate(fstat(&found)?.st_mode);
    if mode.contains(Mode::S_IRWXU) {
        return Ok(());
    }
    // fchmod takes no descriptor of this kind
    let itself = format!("/proc/self/fd/{}", found.as_raw_fd());
    std::fs::set_permissions(
        itself,
        Permissions::from_mode((mode | Mode::S_IRWXU).bits()),
    )
    .map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)))
}

/// The same for every directory above `path`, up to `root`.
pub fn open_all(root: &Path, path: &Path) -> Result<(), Errno> {
    let above = path.ancestors().skip(1).take_while(|a| *a != root);
    let mut folders: Vec<_> = above.collect();
    folders.reverse();
    for folder in folders {
        if let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) {
            open_up(directory(root, parent)?.as_fd(), name)?;
        }
    }
    Ok(())
}

/// A directory with that mode in place of one that was moved away.
pub fn make(at: BorrowedFd<'_>, name: &OsStr, mode: u32) -> Result<(), Errno> {
    mkdirat(at, name, Mode::S_IRWXU)?;
    let made = open(at, name, OFlag::O_DIRECTORY)?;
    nix::sys::stat::fchmod(made, Mode::from_bits_truncate(mode & 0o777))
}

fn kind(at: BorrowedFd<'_>, name: &OsStr) -> Result<(SFlag, Mode, i64), Errno> {
    let stat = fstatat(at, name, nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let bits = stat.st_mode & SFlag::S_IFMT.bits();
    Ok((
        SFlag::from_bits_truncate(bits),
        Mode::from_bits_truncate(stat.st_mode),
        stat.st_size,
    ))
}

fn open(at: BorrowedFd<'_>, name: &OsStr, flags: OFlag) -> Result<OwnedFd, Errno> {
    let all = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    openat(at, name, all, Mode::empty())
}

fn copy(
    from: BorrowedFd<'_>,
    name: &OsStr,
    to: BorrowedFd<'_>,
    as_name: &OsStr,
    budget: &mut Budget,
) -> Result<(), Errno> {
    let (kind, mode, size) = kind(from, name)?;
    let permissions = Mode::S_IRWXU | Mode::S_IRWXG | Mode::S_IRWXO;
    budget.spend(size)?;
    if kind == SFlag::S_IFLNK {
        let target = nix::fcntl::readlinkat(from, name)?;
        return symlinkat(target.as_os_str(), to, as_name);
    }
    if kind == SFlag::S_IFDIR {
        mkdirat(to, as_name, Mode::S_IRWXU)?;
        let (source, target) = (
            open(from, name, OFlag::O_DIRECTORY)?,
            open(to, as_name, OFlag::O_DIRECTORY)?,
        );
        budget.depth = budget.depth.checked_sub(1).ok_or(Errno::EFBIG)?;
        for entry in remove::listed(source.as_fd())? {
            let entry = entry?;
            copy(source.as_fd(), &entry, target.as_fd(), &entry, budget)?;
        }
        budget.depth += 1;
        return nix::sys::stat::fchmod(target, mode & permissions);
    }
    if kind != SFlag::S_IFREG {
        return Ok(()); // a pipe or a socket holds nothing to keep
    }
    let mut source = File::from(open(from, name, OFlag::O_RDONLY)?);
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let mut target = File::from(openat(to, as_name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
    // as large as it was counted: something may be writing to it
    let size = u64::try_from(size).map_err(|_| Errno::EFBIG)?;
    std::io::copy(&mut Read::by_ref(&mut source).take(size), &mut target)
        .map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)))?;
    // whatever the umask takes away
    nix::sys::stat::fchmod(&target, mode & permissions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_copy_takes_links_as_links_and_leaves_nothing() {
        let place = std::env::temp_dir().join(format!("stockade-move-{}", std::process::id()));
        fs::create_dir_all(place.join("a/d")).unwrap();
        fs::create_dir_all(place.join("b")).unwrap();
        fs::write(place.join("a/d/f"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", place.join("a/d/l")).unwrap();
        let (a, b) = (
            directory(&place, &place.join("a")).unwrap(),
            directory(&place, &place.join("b")).unwrap(),
        );
        let (name, kept) = (OsStr::new("d"), OsStr::new("kept"));
        copy(a.as_fd(), name, b.as_fd(), kept, &mut { BUDGET }).unwrap();
        remove::tree_at(a.as_fd(), name).unwrap();
        assert_eq!(fs::read_to_string(place.join("b/kept/f")).unwrap(), "x");
        assert!(place.join("b/kept/l").is_symlink() && !place.join("a/d").exists());
        std::os::unix::fs::symlink("b", place.join("link")).unwrap();
        assert_eq!(
            directory(&place, &place.join("link/kept")).unwrap_err(),
            Errno::ELOOP
        );
        fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn a_copy_that_lacks_something_takes_nothing_away() {
        let place = std::env::temp_dir().join(format!("stockade-part-{}", std::process::id()));
        fs::create_dir_all(place.join("a/d")).unwrap();
        fs::create_dir_all(place.join("b")).unwrap();
        fs::write(place.join("a/d/f"), "x").unwrap();
        let moved = |place: &Path| {
            let (a, b) = (place.join("a"), place.join("b"));
            let (a, b) = (directory(&a, &a).unwrap(), directory(&b, &b).unwrap());
            let (name, way) = (OsStr::new("d"), OsStr::new("part"));
            move_copy(a.as_fd(), name, b.as_fd(), way, name)
        };
        let path = place.clone();
        let refused = crate::refused::with("getdents64", nix::libc::EIO, move || moved(&path));
        assert_eq!(refused, Err(Errno::EIO));
        assert_eq!(fs::read_to_string(place.join("a/d/f")).unwrap(), "x");
        assert!(!place.join("b/d").exists());
        remove::tree(&place.join("b/part")).unwrap();
        assert_eq!(moved(&place), Ok(()));
        assert_eq!(fs::read_to_string(place.join("b/d/f")).unwrap(), "x");
        assert!(!place.join("a/d").exists());
        fs::remove_dir_all(&place).unwrap();
    }
}
