//! `run --sudo`: what root is needed for, in a process of its own. At these levels that is a control
//! group with the memory and pids controllers, delegated to the user (cgroups(7)). Policy, terminal,
//! files and the agent stay with the user's side.

mod serve;

pub use serve::serve;

use crate::exit::Failure;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};

/// First argument of the keeper's own exec; not for users.
pub const KEEPER: &str = "__keeper";

/// One answer at most.
const LONGEST: usize = 4096;

/// What the user's side asks, one byte a message.
const BEGIN: u8 = b'b';
const END: u8 = b'e';

/// A group that is the user's while this lives.
#[derive(Debug)]
pub struct Keeper {
    socket: OwnedFd,
    sudo: Child,
}

impl Keeper {
    /// sudo asks for its password on the terminal. When this returns, this process is in a group
    /// that it may divide.
    pub fn start() -> Result<Self, Failure> {
        let usage = |what: &str, why: String| Failure::Usage(format!("--sudo: {what}: {why}"));
        let (socket, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .map_err(|e| usage("no socket pair", e.to_string()))?;
        let program = std::env::current_exe()
            .map_err(|e| usage("stockade's own executable is not found", e.to_string()))?;
        let sudo = Command::new("sudo")
            .arg("--")
            .arg(program)
            .arg(KEEPER)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| usage("sudo does not start", e.to_string()))?;
        let mut keeper = Self { socket, sudo };
        let answer = keeper.ask(BEGIN);
        match answer.as_deref() {
            Some("") => Ok(keeper),
            Some(why) => {
                let why = why.to_owned();
                keeper.reap();
                Err(usage("no cgroup", why))
            }
            None => {
                let ended = keeper.reap();
                Err(usage("the keeper did not answer", format!("sudo: {ended}")))
            }
        }
    }

    /// The empty text is a yes; none where the keeper is gone.
    fn ask(&mut self, what: u8) -> Option<String> {
        send(self.socket.as_raw_fd(), &[what], MsgFlags::MSG_NOSIGNAL).ok()?;
        let mut bytes = [0; LONGEST];
        loop {
            return match recv(self.socket.as_raw_fd(), &mut bytes, MsgFlags::empty()) {
                Err(nix::errno::Errno::EINTR) => continue,
                Err(_) | Ok(0) => None,
                // the first byte says that it is an answer
                Ok(n) => Some(String::from_utf8_lossy(&bytes[1..n]).into_owned()),
            };
        }
    }

    fn reap(&mut self) -> String {
        self.sudo
            .wait()
            .map_or_else(|e| e.to_string(), |status| status.to_string())
    }

    /// When nothing of the session runs any more: back to where this process was, the group removed.
    pub fn end(mut self) -> Result<(), Failure> {
        let answer = self.ask(END);
        self.reap();
        match answer.as_deref() {
            Some("") => Ok(()),
            Some(why) => Err(Failure::Usage(format!("--sudo: {why}"))),
            None => Err(Failure::Usage(
                "--sudo: the keeper ended before the session".into(),
            )),
        }
    }
}
