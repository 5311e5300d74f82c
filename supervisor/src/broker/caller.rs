//! Who calls and with what: everything of the calling thread is read before it is asked whether
//! that thread still waits, so that none of it can be of another that has its number now.

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::libc;
use nix::sys::stat::Mode;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use stockade_enforce::performing::{self, Notification};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bind,
    Connect,
    Listen { backlog: i32 },
}

pub struct Caller {
    pub id: u64,
    pub kind: Kind,
    /// The caller's socket itself: what is done to it is done to the caller's.
    pub socket: OwnedFd,
    /// As the caller gave it, copied once.
    pub address: Vec<u8>,
    /// What a relative name is relative to.
    pub directory: OwnedFd,
    pub umask: Mode,
    /// Of process and thread.
    pub numbers: (i32, i32),
}

/// struct sockaddr_storage, more than which the kernel takes of nobody.
const LONGEST: usize = 128;

impl Caller {
    pub fn of(listener: BorrowedFd<'_>, call: &Notification) -> Result<Self, Errno> {
        let thread = call.thread;
        let kind = match libc::c_long::from(call.call) {
            libc::SYS_bind => Kind::Bind,
            libc::SYS_connect => Kind::Connect,
            libc::SYS_listen => Kind::Listen {
                backlog: int(call.arguments[1]),
            },
            _ => return Err(Errno::ENOSYS),
        };
        let (process, umask) = status(thread)?;
        let socket = take(process, thread, int(call.arguments[0]));
        let address = match kind {
            Kind::Listen { .. } => Ok(Vec::new()),
            Kind::Bind | Kind::Connect => copy(thread, call.arguments[1], int(call.arguments[2])),
        };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let here = format!("/proc/{thread}/cwd");
        let directory = openat(AT_FDCWD, here.as_str(), flags, Mode::empty());
        if !performing::valid(listener, call.id) {
            return Err(Errno::EINTR);
        }
        Ok(Self {
            id: call.id,
            kind,
            socket: socket?,
            address: address?,
            directory: directory?,
            umask,
            numbers: (process, thread),
        })
    }
}

/// The lower half, which is all that the kernel reads of an `int`.
fn int(argument: u64) -> i32 {
    (argument & u64::from(u32::MAX)) as i32
}

/// Process and umask of a thread.
fn status(thread: i32) -> Result<(i32, Mode), Errno> {
    let gone = |_| Errno::ESRCH;
    let text = std::fs::read(format!("/proc/{thread}/status")).map_err(gone)?;
    // the name comes first, and may hold anything but an end of line
    let text = String::from_utf8_lossy(&text);
    let value = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|l| l.strip_prefix(name)).map(str::trim)
    };
    let process = value("Tgid:").and_then(|v| v.parse().ok());
    let umask = value("Umask:").and_then(|v| u32::from_str_radix(v, 8).ok());
    match (process, umask) {
        (Some(process), Some(umask)) => Ok((process, Mode::from_bits_truncate(umask))),
        _ => Err(Errno::ESRCH),
    }
}

/// From the table of the calling thread, which need not be its process's.
fn take(process: i32, thread: i32, fd: i32) -> Result<OwnedFd, Errno> {
    let pidfd = match performing::pidfd_of_thread(thread) {
        Ok(pidfd) => pidfd,
        // before Linux 6.9 a process is named by its first thread alone
        Err(_) if process == thread || performing::same_files(process, thread)? => {
            performing::pidfd(Pid::from_raw(process))?
        }
        Err(_) => return Err(Errno::EPERM),
    };
    performing::take(pidfd.as_fd(), fd)
}

fn copy(thread: i32, address: u64, length: i32) -> Result<Vec<u8>, Errno> {
    let length = usize::try_from(length).map_err(|_| Errno::EINVAL)?;
    if length > LONGEST {
        return Err(Errno::EINVAL);
    }
    let mut bytes = vec![0; length];
    if length == 0 {
        return Ok(bytes);
    }
    let base = usize::try_from(address).map_err(|_| Errno::EFAULT)?;
    let remote = [RemoteIoVec { base, len: length }];
    let mut local = [IoSliceMut::new(&mut bytes)];
    let got = process_vm_readv(Pid::from_raw(thread), &mut local, &remote)?;
    if got == length {
        Ok(bytes)
    } else {
        Err(Errno::EFAULT)
    }
}
