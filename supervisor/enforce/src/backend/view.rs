//! The session's view: a new tmpfs as root, each visible tree attached to it by descriptor.
//! Mount points are made in the session's own file systems only, never in the user's tree.

use super::{Hold, Host, NOT_MINE};
use crate::plan::{Item, Level, Source};
use crate::sys;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, fchdir, pivot_root, symlinkat, unlinkat};
use std::collections::{BTreeMap, HashSet};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use stockade_policy::Requirement as R;

const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;

/// Which item failed, and how; `None` is the root itself.
pub type Failed = (Option<usize>, Errno);

/// Of a new /proc: unwritable, and empty, as container runtimes do.
const PROC_READ_ONLY: &[&str] = &["bus", "fs", "irq", "sys", "sysrq-trigger"];
const PROC_MASKED: &[&str] = &[
    "acpi",
    "asound",
    "kcore",
    "keys",
    "key-users",
    "kmsg",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];
pub const SYS_MASKED: &[&str] = &[
    "firmware",
    "kernel/debug",
    "kernel/tracing",
    "kernel/security",
    "fs/bpf",
    "fs/cgroup",
];

pub fn hold(requirement: &R, host: &Host<'_>) -> Hold {
    if host.level != Level::Namespaces {
        return NOT_MINE;
    }
    match requirement {
        R::NoWriteOutside | R::NoMetadataOutside | R::Private { .. } | R::Overlay { .. } => {
            Hold::Full
        }
        // what no rule names is not there at all
        R::Hidden { inside } if inside.is_empty() => Hold::Full,
        R::Hidden { .. } | R::ReadOnlyInside { .. } | R::ProtectedPresent { .. } => Hold::Partial(
            "replaced",
            "a rename by a host program, or of a directory above, uncovers a mounted name",
        ),
        R::ExecWritten { .. } => Hold::Partial(
            "written",
            "private and overlaid directories are mounted noexec; the workspace is not",
        ),
        R::UnixSockets { .. } => Hold::Partial(
            "unix",
            "sockets bound later, in another network namespace, or renamed in a tree that is only read can be connected to",
        ),
        R::ProtectedAbsent { .. }
        | R::ExecByPath { .. }
        | R::NoNetwork { .. }
        | R::Network { .. }
        | R::Processes
        | R::NothingLeft
        | R::NoUserNamespaces { .. }
        | R::SystemCalls { .. }
        | R::Limit { .. } => NOT_MINE,
    }
}

struct View {
    root: OwnedFd,
    /// What is mounted where, and whether it is the host's: nothing is made in that.
    host: BTreeMap<PathBuf, bool>,
    /// Directories that were made for others below them.
    made: HashSet<PathBuf>,
    masks: Option<Masks>,
}

/// In the root until the view is complete: only what is attached can be copied.
struct Masks {
    file: OwnedFd,
    directory: OwnedFd,
}

const MASK_FILE: &str = ".stockade-mask-file";
const MASK_DIRECTORY: &str = ".stockade-mask-directory";

/// What of the host an item needs, opened before the new root hides part of the old tree.
#[derive(Debug, Default)]
pub struct Opened {
    main: Option<OwnedFd>,
    /// Upper and work directory of an overlay.
    own: Option<(OwnedFd, OwnedFd)>,
}

pub fn open_sources(view: &[Item]) -> Result<Vec<Opened>, Failed> {
    let resolved = |path: &Path, flags: OFlag, resolve: ResolveFlag| {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW)
            .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS | resolve);
        openat2(AT_FDCWD, path, how)
    };
    // a link that came since the plan was made would lead elsewhere
    let open = |path: &Path, flags| resolved(path, flags, ResolveFlag::RESOLVE_NO_SYMLINKS);
    let one = |item: &Item| {
        let main = |path: &Path| open(path, OFlag::O_PATH).map(Some);
        // the user's own folder, which no session sees
        let kept = |path: &Path| resolved(path, OFlag::O_PATH, ResolveFlag::empty());
        Ok(match &item.source {
            Source::Host { path, .. } | Source::Device { path } => Opened {
                main: main(path)?,
                own: None,
            },
            Source::Copy { path, .. } => Opened {
                main: Some(open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?),
                own: None,
            },
            Source::Overlay {
                lower, upper, work, ..
            } => Opened {
                main: main(lower)?,
                own: Some((kept(upper)?, kept(work)?)),
            },
            Source::Private { .. }
            | Source::Content { .. }
            | Source::Symlink { .. }
            | Source::Masked { .. }
            | Source::Proc
            | Source::Sys
            | Source::DevPts => Opened::default(),
        })
    };
    let numbered = |(n, item): (usize, &Item)| one(item).map_err(|e| (Some(n), e));
    view.iter().enumerate().map(numbered).collect()
}

/// In the new mount namespace: builds the view and makes it the root.
pub fn enter(view: &[Item], sources: &[Opened]) -> Result<(), Failed> {
    let whole = |e| (None, e);
    // nothing done here may reach the host, nor later mounts of the host come in
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .map_err(whole)?;
    let root = sys::new_mount(
        c"tmpfs",
        &[(c"mode", c"0755"), (c"size", c"16m")],
        NOSUID | NODEV,
    )
    .map_err(whole)?;
    let at = open(
        "/tmp",
        OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_DIRECTORY,
        Mode::empty(),
    )
    .map_err(whole)?;
    sys::attach(root.as_fd(), at.as_fd()).map_err(whole)?;
    let mut view_root = View {
        root,
        host: BTreeMap::new(),
        made: HashSet::new(),
        masks: None,
    };
    for (n, (item, source)) in view.iter().zip(sources).enumerate() {
        view_root.place(item, source).map_err(|e| (Some(n), e))?;
    }
    view_root.let_masks_go().map_err(whole)?;
    let root = view_root.root;
    sys::restrict_mount(root.as_fd(), RDONLY, false).map_err(whole)?;
    fchdir(&root).map_err(whole)?;
    pivot_root(".", ".").map_err(whole)?;
    umount2(".", MntFlags::MNT_DETACH).map_err(whole)?;
    nix::unistd::chdir("/").map_err(whole)
}

impl View {
    fn place(&mut self, item: &Item, source: &Opened) -> Result<(), Errno> {
        let at = item.at.strip_prefix("/").unwrap_or(&item.at);
        match (&item.source, source.main.as_ref()) {
            (Source::Host { path: _, writable }, Some(fd)) => {
                self.bind(at, fd, *writable)?;
                self.host.insert(item.at.clone(), true);
                Ok(())
            }
            (Source::Device { path: _ }, Some(fd)) => {
                let tree = sys::clone_tree(fd.as_fd())?;
                // a device is written through it all the same; its mode, owner and times are the host's
                sys::restrict_mount(tree.as_fd(), RDONLY | NOSUID | NOEXEC, false)?;
                sys::attach(tree.as_fd(), self.point(at, false)?.as_fd())
            }
            (Source::Overlay { noexec, .. }, Some(lower)) => {
                let (upper, work) = source.own.as_ref().ok_or(Errno::EINVAL)?;
                self.overlay(at, lower, upper, work, *noexec)?;
                self.host.insert(item.at.clone(), true);
                Ok(())
            }
            (Source::Private { mode, noexec }, None) => {
                let mode = CString::new(format!("{mode:o}")).map_err(|_| Errno::EINVAL)?;
                let flags = NOSUID | NODEV | if *noexec { NOEXEC } else { 0 };
                self.fresh(at, c"tmpfs", &[(c"mode", mode.as_c_str())], flags)?;
                self.host.insert(item.at.clone(), false);
                Ok(())
            }
            (Source::Copy { path: _, mode }, Some(fd)) => self.copy(at, fd, *mode),
            (Source::Content { text }, None) => self.content(at, text),
            (Source::Symlink { target }, None) => {
                self.parents(at)?;
                match symlinkat(target, &self.root, at) {
                    Err(Errno::EEXIST) => Ok(()),
                    other => other,
                }
            }
            (Source::Masked { directory: _ }, None) => self.mask(at),
            (Source::Proc, None) => self.proc(at),
            (Source::Sys, None) => {
                self.fresh(at, c"sysfs", &[], NOSUID | NODEV | NOEXEC | RDONLY)?;
                let mut names = SYS_MASKED.iter();
                names.try_for_each(|name| self.mask(&at.join(name)))
            }
            (Source::DevPts, None) => self
                .fresh(
                    at,
                    c"devpts",
                    &[(c"ptmxmode", c"0666"), (c"mode", c"0620")],
                    NOSUID | NOEXEC,
                )
                .map(drop),
            // open_sources opens exactly the first three
            _ => Err(Errno::EINVAL),
        }
    }

    /// The host's tree, with what is mounted below it.
    fn bind(&mut self, at: &Path, fd: &OwnedFd, writable: bool) -> Result<(), Errno> {
        let tree = sys::clone_tree(fd.as_fd())?;
        let read_only = if writable { 0 } else { RDONLY };
        sys::restrict_mount(tree.as_fd(), NOSUID | NODEV | read_only, true)?;
        let directory = is_directory(fd.as_fd())?;
        sys::attach(tree.as_fd(), self.point(at, directory)?.as_fd())
    }

    fn overlay(
        &mut self,
        at: &Path,
        lower: &OwnedFd,
        upper: &OwnedFd,
        work: &OwnedFd,
        noexec: bool,
    ) -> Result<(), Errno> {
        // by descriptor, so that no character of a path can end an option; userxattr is a flag
        // without value, which new_mount's strings can't say: mount(2) can
        let name = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
        let text = format!(
            "lowerdir={},upperdir={},workdir={},userxattr",
            name(lower),
            name(upper),
            name(work)
        );
        let flags = MsFlags::MS_NOSUID
            | MsFlags::MS_NODEV
            | if noexec {
                MsFlags::MS_NOEXEC
            } else {
                MsFlags::empty()
            };
        let point = self.point(at, true)?;
        mount(
            Some("overlay"),
            fd_path(&point).as_c_str(),
            Some("overlay"),
            flags,
            Some(text.as_str()),
        )
    }

    fn copy(&mut self, at: &Path, from: &OwnedFd, mode: u32) -> Result<(), Errno> {
        self.parents(at)?;
        let flags =
            OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let to = openat(&self.root, at, flags, Mode::from_bits_truncate(mode))?;
        let mut block = [0; 1 << 16];
        loop {
            let n = nix::unistd::read(from, &mut block)?;
            if n == 0 {
                return Ok(());
            }
            write_all(&to, &block[..n])?;
        }
    }

    fn fresh(
        &mut self,
        at: &Path,
        kind: &std::ffi::CStr,
        options: &[(&std::ffi::CStr, &std::ffi::CStr)],
        attributes: u64,
    ) -> Result<OwnedFd, Errno> {
        let mounted = sys::new_mount(kind, options, attributes)?;
        sys::attach(mounted.as_fd(), self.point(at, true)?.as_fd())?;
        Ok(mounted)
    }

    fn content(&mut self, at: &Path, text: &str) -> Result<(), Errno> {
        self.parents(at)?;
        let flags = OFlag::O_CREAT
            | OFlag::O_WRONLY
            | OFlag::O_TRUNC
            | OFlag::O_NOFOLLOW
            | OFlag::O_CLOEXEC;
        let file = openat(&self.root, at, flags, Mode::from_bits_truncate(0o444))?;
        write_all(&file, text.as_bytes())
    }

    fn proc(&mut self, at: &Path) -> Result<(), Errno> {
        self.fresh(at, c"proc", &[], NOSUID | NODEV | NOEXEC)?;
        for name in PROC_READ_ONLY {
            let Some(fd) = self.existing(&at.join(name))? else {
                continue;
            };
            let tree = sys::clone_tree(fd.as_fd())?;
            sys::restrict_mount(tree.as_fd(), RDONLY | NOSUID | NODEV | NOEXEC, true)?;
            sys::attach(tree.as_fd(), fd.as_fd())?;
        }
        let mut names = PROC_MASKED.iter();
        names.try_for_each(|name| self.mask(&at.join(name)))
    }

    /// A directory is covered by an empty one without permissions, a file by an empty file without.
    fn mask(&mut self, at: &Path) -> Result<(), Errno> {
        let Some(point) = self.existing(at)? else {
            return Ok(());
        };
        let masks = match self.masks.take() {
            Some(masks) => masks,
            None => self.make_masks()?,
        };
        let Masks { file, directory } = self.masks.insert(masks);
        let mask = if is_directory(point.as_fd())? {
            directory
        } else {
            file
        };
        let tree = sys::clone_tree(mask.as_fd())?;
        sys::restrict_mount(tree.as_fd(), RDONLY | NOSUID | NODEV | NOEXEC, false)?;
        sys::attach(tree.as_fd(), point.as_fd())
    }

    fn make_masks(&self) -> Result<Masks, Errno> {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        drop(openat(&self.root, MASK_FILE, flags, Mode::empty())?);
        mkdirat(&self.root, MASK_DIRECTORY, Mode::empty())?;
        let open = |name| {
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            openat(&self.root, name, flags, Mode::empty())
        };
        Ok(Masks {
            file: open(MASK_FILE)?,
            directory: open(MASK_DIRECTORY)?,
        })
    }

    /// Their copies stay.
    fn let_masks_go(&self) -> Result<(), Errno> {
        if self.masks.is_none() {
            return Ok(());
        }
        unlinkat(&self.root, MASK_FILE, UnlinkatFlags::NoRemoveDir)?;
        unlinkat(&self.root, MASK_DIRECTORY, UnlinkatFlags::RemoveDir)
    }

    fn existing(&self, at: &Path) -> Result<Option<OwnedFd>, Errno> {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS);
        match openat2(&self.root, at, how) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The mount point at `at`: what exists, else made, but never below a tree of the host. First
    /// is looked: that goes through no link, as making would.
    fn point(&mut self, at: &Path, directory: bool) -> Result<OwnedFd, Errno> {
        if let Some(fd) = self.existing(at)? {
            return Ok(fd);
        }
        self.parents(at)?;
        if directory {
            mkdirat(&self.root, at, Mode::from_bits_truncate(0o755))?;
        } else {
            drop(openat(
                &self.root,
                at,
                OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC,
                Mode::from_bits_truncate(0o444),
            )?);
        }
        self.existing(at)?.ok_or(Errno::ENOENT)
    }

    fn parents(&mut self, at: &Path) -> Result<(), Errno> {
        let whole = Path::new("/").join(at);
        let mut above = whole.ancestors();
        if above.find_map(|a| self.host.get(a)) == Some(&true) {
            return Err(Errno::EROFS);
        }
        let above = at.parent().unwrap_or(at);
        if self.made.contains(above) {
            return Ok(());
        }
        let mut made = PathBuf::new();
        for part in above {
            made.push(part);
            match mkdirat(&self.root, &made, Mode::from_bits_truncate(0o755)) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(e) => return Err(e),
            }
        }
        self.made.insert(made);
        Ok(())
    }
}

fn empty_directory() -> Result<OwnedFd, Errno> {
    sys::new_mount(
        c"tmpfs",
        &[(c"mode", c"0000"), (c"size", c"4k")],
        RDONLY | NOSUID | NODEV | NOEXEC,
    )
}

/// A detached file without content or permissions. A detached tree can be copied only where the
/// kernel attached it: by way of `at`, which is free again afterwards.
pub fn empty_file(at: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let holder = sys::new_mount(
        c"tmpfs",
        &[(c"mode", c"0700"), (c"size", c"4k")],
        NOSUID | NODEV | NOEXEC,
    )?;
    let flags = OFlag::O_CREAT | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    drop(openat(&holder, "mask", flags, Mode::empty())?);
    sys::attach(holder.as_fd(), at)?;
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let file = openat(&holder, "mask", flags, Mode::empty())?;
    let tree = sys::clone_tree(file.as_fd())?;
    sys::restrict_mount(tree.as_fd(), RDONLY | NOSUID | NODEV | NOEXEC, false)?;
    umount2(fd_path(&holder).as_c_str(), MntFlags::MNT_DETACH)?;
    Ok(tree)
}

/// In a session that runs: `name` read-only as it is now, or hidden by `empty`.
pub fn cover(name: &Path, empty: Option<OwnedFd>) -> Result<(), Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    let point = openat2(AT_FDCWD, name, how)?;
    let tree = match empty {
        Some(_) if is_directory(point.as_fd())? => empty_directory()?,
        Some(file) => file,
        None => {
            let tree = sys::clone_tree(point.as_fd())?;
            sys::restrict_mount(tree.as_fd(), RDONLY | NOSUID | NODEV, true)?;
            tree
        }
    };
    sys::attach(tree.as_fd(), point.as_fd())
}

fn is_directory(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    let stat = nix::sys::stat::fstat(fd)?;
    Ok(stat.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

fn fd_path(fd: &OwnedFd) -> CString {
    CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap_or_default()
}

fn write_all(to: &OwnedFd, mut rest: &[u8]) -> Result<(), Errno> {
    while !rest.is_empty() {
        rest = &rest[nix::unistd::write(to, rest)?..];
    }
    Ok(())
}
