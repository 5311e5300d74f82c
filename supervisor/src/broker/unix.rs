//! Unix sockets with names in files. A name is bound by a thread that has the session's own rights;
//! what is connected to is opened first, decided on by its inode, and reached by that descriptor.

use super::caller::{Caller, Kind};
use super::waiting::{self, Interrupter, Tried};
use super::{Outcome, Shared, lock, plain};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, umask};
use nix::unistd::fchdir;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::Duration;
use stockade_enforce::performing;
use stockade_enforce::{unix_file, unix_files};

/// struct sockaddr_un: family and name.
const LONGEST: usize = 110;
/// Device and inode.
type File = (u64, u64);
const MOST: usize = 1 << 14;
/// Connecting takes microseconds, or whoever listens has as many as it takes.
const AT_ONCE: Duration = Duration::from_millis(5);

pub struct Own {
    /// Files that the session's own sockets are bound to.
    bound: Mutex<HashMap<File, Socket>>,
    /// What rules name, as it was at the start.
    named: HashSet<File>,
    confined: OnceLock<Option<mpsc::SyncSender<ToBind>>>,
    ruleset: OwnedFd,
}

/// Inode and cookie of a socket, as unix_diag knows it.
#[derive(Debug, Clone, Copy)]
struct Socket {
    inode: u32,
    cookie: u64,
}

impl Own {
    pub fn new(ruleset: OwnedFd, named: &[PathBuf]) -> Self {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
        let file = |path: &PathBuf| {
            let opened = openat2(AT_FDCWD, path.as_path(), how).ok()?;
            fstat(&opened).ok().map(|stat| id(&stat))
        };
        Self {
            bound: Mutex::default(),
            named: named.iter().filter_map(file).collect(),
            confined: OnceLock::new(),
            ruleset,
        }
    }
}

fn id(stat: &FileStat) -> File {
    (stat.st_dev, stat.st_ino)
}

pub fn perform(shared: &Shared, caller: Caller, interrupter: &Interrupter) -> Outcome {
    match caller.kind {
        Kind::Listen { .. } => plain(&caller),
        Kind::Bind => bind(&shared.unix, caller).map(Some),
        Kind::Connect => to_name(shared, caller, interrupter),
    }
}

/// The name of a file; abstract ones are everybody's on the host, and refused.
fn name(address: &[u8]) -> Result<&Path, Errno> {
    let (family, name) = address.split_at_checked(2).ok_or(Errno::EINVAL)?;
    if family != u16::try_from(libc::AF_UNIX).unwrap_or(0).to_ne_bytes() || address.len() > LONGEST
    {
        return Err(Errno::EINVAL);
    }
    // nothing at all asks the kernel for an abstract one
    match name.split(|b| *b == 0).next() {
        None | Some([]) => Err(Errno::EPERM),
        Some(name) => Ok(Path::new(OsStr::from_bytes(name))),
    }
}

/// The caller's own entry of /proc is not this process's.
fn of_the_caller(name: &Path, (process, thread): (i32, i32)) -> PathBuf {
    if let Ok(rest) = name.strip_prefix("/proc/self") {
        return Path::new("/proc").join(process.to_string()).join(rest);
    }
    match name.strip_prefix("/proc/thread-self") {
        Ok(rest) => Path::new("/proc").join(thread.to_string()).join(rest),
        Err(_) => name.into(),
    }
}

fn open(caller: &Caller, name: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC | flags);
    openat2(caller.directory.as_fd(), name, how)
}

fn to_name(shared: &Shared, caller: Caller, interrupter: &Interrupter) -> Outcome {
    let name = of_the_caller(name(&caller.address)?, caller.numbers);
    let file = open(&caller, &name, OFlag::empty())?;
    allowed(&shared.unix, &file)?;
    match connect(caller.socket.as_fd(), file.as_fd(), interrupter) {
        Some(outcome) => outcome.map(Some),
        None => {
            let socket = caller.socket;
            if waiting::add(shared, Some(caller.id), Tried::Unix { socket, file }) {
                Ok(None)
            } else {
                Err(Errno::EAGAIN)
            }
        }
    }
}

/// None where it did not come to an end: nothing of it is left then.
pub fn connect(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    interrupter: &Interrupter,
) -> Option<Result<(), Errno>> {
    // the inode that was decided on, whatever stands at its name now
    let name = format!("/proc/self/fd/{}\0", file.as_raw_fd());
    let mut address = u16::try_from(libc::AF_UNIX)
        .unwrap_or(0)
        .to_ne_bytes()
        .to_vec();
    address.extend(name.bytes());
    match interrupter.within(AT_ONCE, || performing::connect(socket, &address)) {
        Err(Errno::EINTR) => None,
        outcome => Some(outcome),
    }
}

/// A socket file is bound once in its life, so while this descriptor holds the inode nobody else's
/// socket takes its place.
fn allowed(own: &Own, file: &OwnedFd) -> Result<(), Errno> {
    let stat = fstat(file)?;
    if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFSOCK.bits() {
        return Err(Errno::ECONNREFUSED);
    }
    let known = lock(&own.bound).get(&id(&stat)).copied();
    let half = (stat.st_ino & u64::from(u32::MAX)) as u32;
    if let Some(socket) = known {
        return match unix_file(socket.inode, socket.cookie) {
            Some(bound) if bound.inode == half => Ok(()),
            // it has been closed: the file's number may be another's by now, of which nothing is known
            Some(_) | None => Err(refusal(half)),
        };
    }
    if own.named.contains(&id(&stat)) || below_named(own, file, &stat) {
        return Ok(());
    }
    Err(refusal(half))
}

/// Where nobody has the socket any more that is what is said, and programs remove the file.
fn refusal(inode: u32) -> Errno {
    match unix_files() {
        Some(all) if all.iter().all(|f| f.inode != inode) => Errno::ECONNREFUSED,
        Some(_) | None => Errno::EACCES,
    }
}

/// Whether a directory that a rule names leads to the file through no link.
fn below_named(own: &Own, file: &OwnedFd, stat: &FileStat) -> bool {
    if own.named.is_empty() {
        return false;
    }
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    let Ok(path) = std::fs::read_link(link) else {
        return false;
    };
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC);
    let how = how.resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    path.ancestors().skip(1).any(|above| {
        let Ok(directory) = openat2(AT_FDCWD, above, how) else {
            return false;
        };
        let Ok(rest) = path.strip_prefix(above) else {
            return false;
        };
        fstat(&directory).is_ok_and(|s| own.named.contains(&id(&s)))
            && openat2(&directory, rest, how)
                .and_then(|same| fstat(&same))
                .is_ok_and(|same| id(&same) == id(stat))
    })
}

struct ToBind {
    socket: OwnedFd,
    address: Vec<u8>,
    directory: OwnedFd,
    umask: Mode,
    done: mpsc::SyncSender<(Result<(), Errno>, OwnedFd, OwnedFd)>,
}

fn bind(own: &Own, caller: Caller) -> Result<(), Errno> {
    let named = name(&caller.address)?.to_owned();
    // by a number of this process the name would lead elsewhere
    if named != of_the_caller(&named, caller.numbers) {
        return Err(Errno::EACCES);
    }
    let Some(confined) = own.confined.get_or_init(|| confined(&own.ruleset)) else {
        return Err(Errno::EPERM);
    };
    make_room(own)?;
    let (done, outcome) = mpsc::sync_channel(1);
    let to_bind = ToBind {
        socket: caller.socket,
        address: caller.address,
        directory: caller.directory,
        umask: caller.umask,
        done,
    };
    confined.send(to_bind).map_err(|_| Errno::EPERM)?;
    let (outcome, socket, directory) = outcome.recv().map_err(|_| Errno::EPERM)?;
    outcome?;
    if let Some((file, socket)) = made(&socket, &directory, &named) {
        lock(&own.bound).insert(file, socket);
    }
    Ok(())
}

/// The thread that binds: whatever a name leads to, the kernel asks it for the session's rights.
fn confined(ruleset: &OwnedFd) -> Option<mpsc::SyncSender<ToBind>> {
    let ruleset = ruleset.try_clone().ok()?;
    let (sender, receiver) = mpsc::sync_channel::<ToBind>(0);
    let serve = move || {
        if performing::as_the_session(ruleset.as_fd()).is_err() {
            return; // and with it ends what can be bound
        }
        for to_bind in receiver {
            umask(to_bind.umask);
            let outcome = fchdir(&to_bind.directory)
                .and_then(|()| performing::bind(to_bind.socket.as_fd(), &to_bind.address));
            // who asked waits
            let told = (outcome, to_bind.socket, to_bind.directory);
            to_bind.done.send(told).unwrap_or(());
        }
    };
    // with the signals blocked as in the thread that starts it
    let thread = std::thread::Builder::new().name("names".into());
    let spawned = thread.stack_size(256 << 10).spawn(serve);
    spawned.ok().map(|_| sender)
}

/// The file that a socket was just bound to, if it can be told for certain: the name may lead to
/// another's by now.
fn made(socket: &OwnedFd, directory: &OwnedFd, name: &Path) -> Option<(File, Socket)> {
    let cookie = performing::option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_COOKIE).ok()?;
    let all = unix_files()?;
    let own = all.iter().find(|f| f.cookie == cookie)?;
    let alike = |f: &&stockade_enforce::UnixFile| (f.inode, f.device) == (own.inode, own.device);
    if all.iter().filter(alike).count() != 1 {
        return None;
    }
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC);
    let file = openat2(directory, name, how).ok()?;
    let stat = fstat(&file).ok()?;
    let is_socket = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFSOCK.bits();
    let half = stat.st_ino & u64::from(u32::MAX);
    let device = (libc::major(stat.st_dev), libc::minor(stat.st_dev));
    let same = is_socket
        && half == u64::from(own.inode)
        && (device == own.device || mount(&file) == Some(own.device));
    let inode = u32::try_from(fstat(socket).ok()?.st_ino).ok()?;
    same.then(|| (id(&stat), Socket { inode, cookie }))
}

/// The device of the mount that a file lies on, which is not the file's own on btrfs and overlayfs.
fn mount(file: &OwnedFd) -> Option<(u32, u32)> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    let id = text.lines().find_map(|l| l.strip_prefix("mnt_id:"))?.trim();
    let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = table.lines().find(|l| l.split(' ').next() == Some(id))?;
    let (major, minor) = line.split(' ').nth(2)?.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Forgets what was closed.
fn make_room(own: &Own) -> Result<(), Errno> {
    let mut bound = lock(&own.bound);
    if bound.len() >= MOST {
        bound.retain(|_, socket| unix_file(socket.inode, socket.cookie).is_some());
        if bound.len() >= MOST {
            return Err(Errno::ENOBUFS);
        }
    }
    Ok(())
}
