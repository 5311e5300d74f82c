//! A host program that saves by rename over a mounted name detaches the mount in the session too
//! (fs/namespace.c, detach_mounts). The supervisor sees the session's mount table change, and a
//! fresh single-threaded process, which alone may enter a mount namespace, mounts it again.

use super::Session;
use crate::backend::view;
use crate::plan::{Item, Plan, Source};
use crate::sys;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// First argument of the fresh process's own exec; not for users.
pub const REMOUNT: &str = "__remount";

/// The session's namespaces and its mount table, from before the agent was confined.
#[derive(Debug)]
pub struct Mounts {
    pub table: OwnedFd,
    pub user: OwnedFd,
    pub mount: OwnedFd,
}

impl Mounts {
    /// Where something is mounted in the session now, and the id of what lies on top there.
    fn points(&self) -> std::io::Result<BTreeMap<PathBuf, u64>> {
        let mut table = std::fs::File::from(self.table.try_clone()?);
        table.rewind()?;
        let mut text = Vec::new();
        table.read_to_end(&mut text)?;
        let point = |line: &[u8]| {
            let mut fields = line.split(|b| *b == b' ');
            let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
            let field = fields.nth(3)?;
            Some((PathBuf::from(OsString::from_vec(unescaped(field))), id))
        };
        Ok(text.split(|b| *b == b'\n').filter_map(point).collect())
    }
}

/// Space, tab, newline and backslash stand as three octal digits (proc_pid_mountinfo(5)).
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|_| *first == b'\\');
        let value = digits
            .and_then(|d| std::str::from_utf8(d).ok())
            .and_then(|d| u8::from_str_radix(d, 8).ok());
        match value {
            Some(byte) => {
                out.push(byte);
                rest = &tail[3..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

/// The mounts that hold names of the view, while the session runs.
#[derive(Debug)]
pub struct Watched {
    mounts: Mounts,
    names: BTreeMap<PathBuf, Held>,
}

#[derive(Debug)]
struct Held {
    /// Rather than read-only.
    hidden: bool,
    /// Of its mount, when it was last seen there.
    id: Option<u64>,
    /// Not there when it was last looked for, or not to be mounted on.
    missing: bool,
}

/// A program that saves again and again is met between two of its renames.
const TRIES: usize = 100;

/// What became of a name whose mount went away.
#[derive(Debug, PartialEq, Eq)]
pub enum Again {
    Mounted,
    /// A directory above has another name, from inside or outside: the comparison at the end is for that.
    Moved,
    /// The name is gone, so there is nothing to mount on.
    Gone,
    Failed(String),
}

impl Session {
    /// The names to watch, before the agent starts; none at a level without mounts. One that a program
    /// outside replaced since the view was made is missing from the start.
    pub fn watched(&self, plan: &Plan) -> std::io::Result<Option<Watched>> {
        let Some(Mounts { table, user, mount }) = &self.descriptors.mounts else {
            return Ok(None);
        };
        let mounts = Mounts {
            table: table.try_clone()?,
            user: user.try_clone()?,
            mount: mount.try_clone()?,
        };
        let points = mounts.points()?;
        let hidden = |item: &Item| match &item.source {
            Source::Host {
                writable: false, ..
            } => Some(false),
            Source::Masked { .. } => Some(true),
            _ => None,
        };
        // on a tree of the host alone a program outside can replace what is mounted on
        let trees: BTreeMap<&Path, bool> = plan
            .view
            .iter()
            .map(|i| (i.at.as_path(), matches!(i.source, Source::Host { .. })))
            .collect();
        let on_the_hosts = |at: &Path| {
            let mut above = at.ancestors().skip(1);
            above.find_map(|a| trees.get(a)).copied().unwrap_or(false)
        };
        let held = |item: &Item| {
            let hidden = hidden(item)?;
            let id = points.get(&item.at).copied();
            let missing = id.is_none();
            let held = Held {
                hidden,
                id,
                missing,
            };
            (!missing || on_the_hosts(&item.at)).then(|| (item.at.clone(), held))
        };
        let names = plan.view.iter().filter_map(held).collect();
        Ok(Some(Watched { mounts, names }))
    }
}

impl Watched {
    /// Polls with POLLPRI when a mount went or came.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.mounts.table.as_fd()
    }

    /// Whether a name is missing, whose return no event of the mounts tells.
    pub fn misses(&self) -> bool {
        self.names.values().any(|held| held.missing)
    }

    /// Mounts again what is gone since; each name with what became of it, a missing one once.
    pub fn mount_again(&mut self) -> std::io::Result<Vec<(PathBuf, Again)>> {
        let points = self.mounts.points()?;
        let ids: BTreeSet<u64> = points.values().copied().collect();
        let mut out = Vec::new();
        for (name, held) in &mut self.names {
            if let Some(id) = points.get(name) {
                held.id = Some(*id);
                held.missing = false;
                continue;
            }
            if held.id.is_some_and(|id| ids.contains(&id)) {
                out.push((name.clone(), Again::Moved));
                continue;
            }
            let again = try_again(&self.mounts, name, held.hidden);
            let known = std::mem::replace(&mut held.missing, again != Again::Mounted);
            if !(known && held.missing) {
                out.push((name.clone(), again));
            }
        }
        Ok(out)
    }
}

fn try_again(mounts: &Mounts, name: &Path, hidden: bool) -> Again {
    for _ in 0..TRIES {
        match remount(mounts, name, hidden) {
            Ok(()) => return Again::Mounted,
            // replaced once more since it was opened
            Err(Errno::ENOENT) if name.symlink_metadata().is_ok() => {}
            Err(Errno::ENOENT) => return Again::Gone,
            Err(errno) => return Again::Failed(errno.to_string()),
        }
    }
    Again::Failed("it is replaced all the time".into())
}

fn remount(mounts: &Mounts, name: &Path, masked: bool) -> Result<(), Errno> {
    let of = |e: std::io::Error| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO));
    let pass = |fd: &OwnedFd| {
        let copy = fd.try_clone().map_err(of)?;
        let flags = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty());
        nix::fcntl::fcntl(&copy, flags)?;
        Ok::<_, Errno>(copy)
    };
    let (user, mount) = (pass(&mounts.user)?, pass(&mounts.mount)?);
    let status = Command::new("/proc/self/exe")
        .arg(REMOUNT)
        .arg(user.as_raw_fd().to_string())
        .arg(mount.as_raw_fd().to_string())
        .arg(if masked { "mask" } else { "read-only" })
        .arg(name)
        .env_clear()
        .status()
        .map_err(of)?;
    match status.code() {
        Some(0) => Ok(()),
        Some(errno) => Err(Errno::from_raw(errno)),
        None => Err(Errno::EINTR),
    }
}

/// Body of `stockade __remount USER MOUNT KIND NAME`: the exit status is 0 or the errno.
pub fn remount_stage(arguments: &[OsString]) -> ! {
    let errno = match inside(arguments) {
        Ok(()) => 0,
        Err(errno) => errno as i32,
    };
    sys::leave(errno)
}

fn inside(arguments: &[OsString]) -> Result<(), Errno> {
    let [user, mount, kind, name] = arguments else {
        return Err(Errno::EINVAL);
    };
    let fd = |text: &OsString| {
        let number = text.to_str().and_then(|t| t.parse().ok());
        sys::inherited(number.ok_or(Errno::EINVAL)?)
    };
    let (user, mount) = (fd(user)?, fd(mount)?);
    let name = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
    setns(user.as_fd(), CloneFlags::CLONE_NEWUSER)?;
    let cover = if kind == "mask" {
        // made where no process of the session sees it
        unshare(CloneFlags::CLONE_NEWNS)?;
        let root = nix::fcntl::open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
        Some(view::empty_file(root.as_fd())?)
    } else {
        None
    };
    setns(mount.as_fd(), CloneFlags::CLONE_NEWNS)?;
    view::cover(name, cover)
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn a_mount_point_with_a_space_is_read_as_it_is() {
        assert_eq!(unescaped(b"/a\\040b\\134c"), b"/a b\\c");
        assert_eq!(unescaped(b"/a\\9"), b"/a\\9");
    }
}
