//! Names as a session or the host resolves them, links followed by hand: nothing leads out of the root.

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::sys::stat::{FileStat, SFlag, fstat};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// As many as the kernel follows (fs/namei.c, MAXSYMLINKS).
const LINKS: usize = 40;

/// A tree, from its root.
pub struct View {
    root: OwnedFd,
    /// As long as it is open the tree stays as it was when the session's last process ended.
    _mounts: Option<File>,
}

/// What a name leads to.
pub struct Found {
    /// Without links, as far as it exists.
    pub real: PathBuf,
    pub there: Option<Thing>,
}

pub struct Thing {
    pub stat: FileStat,
    /// On a mount where nothing is executed.
    pub noexec: bool,
}

impl View {
    pub fn host() -> std::io::Result<Self> {
        Ok(Self {
            root: open(Path::new("/"))?,
            _mounts: None,
        })
    }

    /// As a process sees it.
    pub fn of(process: nix::unistd::Pid) -> std::io::Result<Self> {
        let folder = PathBuf::from(format!("/proc/{process}"));
        Ok(Self {
            root: open(&folder.join("root"))?,
            _mounts: Some(File::open(folder.join("ns/mnt"))?),
        })
    }

    /// None where the kernel would not come to an end either, or where only the caller knows what is meant.
    pub fn find(&self, path: &Path, follow: bool) -> Option<Found> {
        let mut rest: VecDeque<OsString> = names(path)?;
        let mut real = PathBuf::from("/");
        let (mut links, mut missing) = (0, false);
        let mut there = None;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                real.pop();
                there = None;
                continue;
            }
            real.push(&name);
            if missing {
                continue;
            }
            let last = rest.is_empty();
            match self.look(&real) {
                Ok((fd, stat)) if is(&stat, SFlag::S_IFLNK) && (!last || follow) => {
                    // what it says depends on who asks
                    if real.starts_with("/proc") {
                        return None;
                    }
                    links += 1;
                    if links > LINKS {
                        return None;
                    }
                    let target = PathBuf::from(readlinkat(&fd, "").ok()?);
                    real.pop();
                    if target.is_absolute() {
                        real = PathBuf::from("/");
                    }
                    for name in names(&target)?.into_iter().rev() {
                        rest.push_front(name);
                    }
                }
                Ok((fd, stat)) => {
                    let noexec =
                        fstatvfs(&fd).is_ok_and(|v| v.flags().contains(FsFlags::ST_NOEXEC));
                    there = last.then_some(Thing { stat, noexec });
                }
                Err(Errno::ENOENT | Errno::ENOTDIR) => missing = true,
                Err(_) => return None,
            }
        }
        if there.is_none() && !missing {
            there = self.thing(&real);
        }
        Some(Found { real, there })
    }

    /// Of a path without links.
    pub fn thing(&self, real: &Path) -> Option<Thing> {
        let (fd, stat) = self.look(real).ok()?;
        let noexec = fstatvfs(&fd).is_ok_and(|v| v.flags().contains(FsFlags::ST_NOEXEC));
        Some(Thing { stat, noexec })
    }

    fn look(&self, real: &Path) -> Result<(OwnedFd, FileStat), Errno> {
        let below = real.strip_prefix("/").unwrap_or(real);
        let below = if below.as_os_str().is_empty() {
            Path::new(".")
        } else {
            below
        };
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let resolve = ResolveFlag::RESOLVE_IN_ROOT
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(flags).resolve(resolve);
        let fd = openat2(self.root.as_fd(), below, how)?;
        let stat = fstat(&fd)?;
        Ok((fd, stat))
    }
}

pub fn is(stat: &FileStat, kind: SFlag) -> bool {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == kind
}

fn open(path: &Path) -> std::io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let opened = File::options()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)?;
    Ok(opened.into())
}

/// The names of a path; a process's own root is the root.
fn names(path: &Path) -> Option<VecDeque<OsString>> {
    let own = ["/proc/self/root", "/proc/thread-self/root"];
    let path = own
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix).ok())
        .unwrap_or(path);
    let name = |c: Component<'_>| match c {
        Component::RootDir | Component::CurDir => None,
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::Normal(name) => Some(name.to_owned()),
        Component::Prefix(_) => None,
    };
    let out: VecDeque<OsString> = path.components().filter_map(name).collect();
    (out.len() < 1024).then_some(out)
}
