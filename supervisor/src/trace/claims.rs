//! Where hooks say what an action is: a socket that takes records and answers nothing.

use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, bind, recvmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;
use stockade_bpf::Labels;
use stockade_events::Clock;
use stockade_events::claim::{Claim, SIZE, Sent};

/// The variable by which hooks find the socket.
pub const VARIABLE: &str = "STOCKADE_ACTION_SOCKET";
/// Taken at once: what is left comes with the next record.
const AT_ONCE: usize = 256;

/// The socket in a directory of its own, which goes with it.
pub struct Socket {
    descriptor: OwnedFd,
    folder: PathBuf,
}

impl Socket {
    /// Every user of the session may send to it.
    pub fn new() -> std::io::Result<Self> {
        // a tracer that was killed may have left one of the same number
        let (process, time) = (std::process::id(), super::monotonic());
        let name = format!("stockade-action-{process}-{time:x}");
        let folder = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o711).create(&folder)?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let descriptor = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        let own = Self { descriptor, folder };
        bind(own.descriptor.as_raw_fd(), &UnixAddr::new(&own.path())?)?;
        std::fs::set_permissions(own.path(), PermissionsExt::from_mode(0o666))?;
        // who sends, and when: the kernel's word
        setsockopt(&own.descriptor, sockopt::PassCred, &true)?;
        setsockopt(&own.descriptor, sockopt::ReceiveTimestampns, &true)?;
        Ok(own)
    }

    fn path(&self) -> PathBuf {
        self.folder.join("socket")
    }

    pub fn variable(&self) -> (OsString, OsString) {
        (VARIABLE.into(), self.path().into())
    }

    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// What came until now, in its order, and whether there may be more.
    pub fn receive(&self, clock: Clock, labels: &Labels) -> (Vec<Sent>, bool) {
        let next = std::iter::from_fn(|| self.one(clock, labels));
        let all: Vec<Sent> = next.take(AT_ONCE).collect();
        let more = all.len() == AT_ONCE;
        (all, more)
    }

    fn one(&self, clock: Clock, labels: &Labels) -> Option<Sent> {
        // a byte more: what is longer is no record
        let mut bytes = [0; SIZE + 1];
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let mut control = nix::cmsg_space!(nix::libc::ucred, TimeSpec);
        let message = recvmsg::<UnixAddr>(
            self.descriptor.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )
        .ok()?;
        let (mut process, mut wall) = (0, None);
        for part in message.cmsgs().ok()? {
            match part {
                ControlMessageOwned::ScmCredentials(of) => process = of.pid(),
                ControlMessageOwned::ScmTimestampns(time) => wall = Some(Duration::from(time)),
                _ => {}
            }
        }
        let size = message.bytes;
        let wall = u64::try_from(wall?.as_nanos()).ok()?;
        Some(Sent {
            time: clock.monotonic(wall),
            process: process.cast_unsigned(),
            action: action(process, labels),
            claim: bytes.get(..size).and_then(Claim::decode),
        })
    }
}

fn action(process: i32, labels: &Labels) -> Option<u32> {
    let pidfd = stockade_enforce::pidfd(Pid::from_raw(process)).ok()?;
    labels.action(pidfd.as_fd())
}

impl Drop for Socket {
    fn drop(&mut self) {
        // nothing of it is anybody's
        drop(std::fs::remove_file(self.path()));
        drop(std::fs::remove_dir(&self.folder));
    }
}
