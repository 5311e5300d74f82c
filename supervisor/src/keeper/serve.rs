//! The keeper: root, and nothing but one control group. What comes over the socket is one byte; whom
//! it is for says the kernel.

use super::{BEGIN, END};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::socket::sockopt::{PeerCredentials, SockType};
use nix::sys::socket::{MsgFlags, SockType as Kind, getsockopt, recv, send};
use nix::unistd::{Gid, Uid, chown};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The controllers that limits need.
const CONTROLLERS: &[&str] = &["memory", "pids"];
/// What a delegated group belongs to the user with (cgroups(7)).
const DELEGATED: &[&str] = &["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];
/// A killed process goes soon.
const PATIENCE: Duration = Duration::from_secs(10);

/// The process at the other end, as the kernel knows it.
#[derive(Debug, Clone, Copy)]
struct Peer {
    pid: i32,
    uid: Uid,
    gid: Gid,
}

/// The user's group, and where its process was before.
#[derive(Debug)]
struct Kept {
    group: PathBuf,
    before: PathBuf,
}

/// Body of `stockade __keeper`, its socket as descriptor 0; returns when the session is over, or
/// the other side gone.
pub fn serve() -> u8 {
    if !nix::unistd::geteuid().is_root() {
        crate::output::complain(
            "stockade: the keeper is for root; `stockade run --sudo` starts it",
        );
        return crate::exit::FAILED;
    }
    // the terminal's signals are the agent's; this ends with its socket
    for signal in [
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTSTP,
        Signal::SIGHUP,
        Signal::SIGTERM,
    ] {
        if stockade_enforce::ignore(signal).is_err() {
            return crate::exit::FAILED;
        }
    }
    let mut kept = None;
    while let Some(asked) = receive() {
        let outcome = match (asked, kept.take()) {
            (BEGIN, None) => begin().map(|k| kept = Some(k)),
            (END, Some(k)) => end(&k, true),
            (_, other) => {
                kept = other;
                Err(io::Error::other("not asked in this order"))
            }
        };
        let last = asked == END || outcome.is_err();
        let text = outcome.map_or_else(|e| e.to_string(), |()| String::new());
        answer(&text);
        if last {
            break;
        }
    }
    // the other side is gone without a word: what it left is ended
    match kept.map(|k| end(&k, false)) {
        None | Some(Ok(())) => 0,
        Some(Err(_)) => crate::exit::FAILED,
    }
}

fn receive() -> Option<u8> {
    let mut byte = [0; 1];
    loop {
        match recv(io::stdin().as_raw_fd(), &mut byte, MsgFlags::empty()) {
            Err(Errno::EINTR) => {}
            Ok(1) => return Some(byte[0]),
            Ok(_) | Err(_) => return None,
        }
    }
}

fn answer(text: &str) {
    let mut bytes = b"a".to_vec();
    bytes.extend(text.bytes().take(super::LONGEST - 1));
    let sent = send(io::stdin().as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL);
    // the other side gone is seen by the next receive
    sent.map(drop).unwrap_or(());
}

fn said(what: &Path) -> impl Fn(io::Error) -> io::Error + '_ {
    move |e| io::Error::new(e.kind(), format!("{}: {e}", what.display()))
}

/// A socket may be somebody else's, who connected or made it and handed it on: sudo says who calls.
fn is_the_callers(uid: Uid, sudo_uid: Option<&OsStr>) -> bool {
    sudo_uid.is_none_or(|text| text == uid.to_string().as_str())
}

fn peer() -> io::Result<Peer> {
    let of_socket = getsockopt(&io::stdin(), PeerCredentials)?;
    let peer = Peer {
        pid: of_socket.pid(),
        uid: Uid::from_raw(of_socket.uid()),
        gid: Gid::from_raw(of_socket.gid()),
    };
    let kind = getsockopt(&io::stdin(), SockType)?;
    let caller = std::env::var_os("SUDO_UID");
    if kind != Kind::SeqPacket || !is_the_callers(peer.uid, caller.as_deref()) {
        return Err(io::Error::other("the socket is not of whoever called sudo"));
    }
    // the id must still be that process's
    let status = fs::read_to_string(format!("/proc/{}/status", peer.pid))?;
    let ids = status
        .lines()
        .find_map(|l| l.strip_prefix("Uid:"))
        .unwrap_or("");
    let all: Vec<&str> = ids.split_ascii_whitespace().collect();
    let own = peer.uid.to_string();
    if all.len() == 4 && all.iter().all(|id| *id == own) {
        Ok(peer)
    } else {
        Err(io::Error::other("the user's process has changed its ids"))
    }
}

/// The top of the version 2 hierarchy, when it has the controllers.
fn top() -> io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let point = mounts.lines().find_map(|line| {
        let (head, tail) = line.split_once(" - ")?;
        let whole = head.split(' ').nth(3) == Some("/");
        (tail.starts_with("cgroup2 ") && whole)
            .then(|| head.split(' ').nth(4).map(PathBuf::from))?
    });
    let point = point.ok_or_else(|| io::Error::other("this host mounts no cgroup (version 2)"))?;
    let there = fs::read_to_string(point.join("cgroup.controllers"))?;
    match CONTROLLERS
        .iter()
        .find(|c| !there.split_ascii_whitespace().any(|t| t == **c))
    {
        Some(missing) => Err(io::Error::other(format!(
            "the {missing} controller is not in this host's cgroup version 2 (systemd.unified_cgroup_hierarchy=1 puts it there)"
        ))),
        None => Ok(point),
    }
}

fn begin() -> io::Result<Kept> {
    let peer = peer()?;
    let top = top()?;
    let own = fs::read_to_string(format!("/proc/{}/cgroup", peer.pid))?;
    let before = own
        .lines()
        .find_map(|l| l.strip_prefix("0::/"))
        .map(|path| top.join(path))
        .ok_or_else(|| io::Error::other("the user's process is in no cgroup (version 2)"))?;
    let control = top.join("cgroup.subtree_control");
    for controller in CONTROLLERS {
        fs::write(&control, format!("+{controller}")).map_err(said(&control))?;
    }
    let group = top.join(format!("stockade-{}-{}", peer.uid, peer.pid));
    fs::create_dir(&group).map_err(said(&group))?;
    let kept = Kept { group, before };
    let outcome = delegate(&kept.group, peer);
    if outcome.is_err() {
        // the reason is the first failure's
        drop(end(&kept, false));
    }
    outcome.map(|()| kept)
}

fn delegate(group: &Path, peer: Peer) -> io::Result<()> {
    let give = |path: &Path| chown(path, Some(peer.uid), Some(peer.gid));
    give(group)?;
    for name in DELEGATED {
        give(&group.join(name))?;
    }
    let procs = group.join("cgroup.procs");
    fs::write(&procs, peer.pid.to_string()).map_err(said(&procs))
}

/// Everything in it is ended and the group removed; first the user's own process goes back, unless
/// it is gone.
fn end(kept: &Kept, back: bool) -> io::Result<()> {
    if back {
        let procs = kept.before.join("cgroup.procs");
        fs::write(&procs, peer()?.pid.to_string()).map_err(said(&procs))?;
    }
    let kill = kept.group.join("cgroup.kill");
    if kill.exists() {
        fs::write(&kill, "1").map_err(said(&kill))?;
    }
    let until = Instant::now() + PATIENCE;
    loop {
        match remove(&kept.group) {
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other.map_err(said(&kept.group)),
        }
    }
}

/// A group and those below, which hold no process any more.
fn remove(group: &Path) -> io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_somebody_else_is_not_the_callers() {
        let uid = Uid::from_raw(1000);
        let is = |text: &str| is_the_callers(uid, Some(OsStr::new(text)));
        assert!(is("1000") && is_the_callers(uid, None));
        assert!(!is("0") && !is("1001") && !is("") && !is("01000"));
    }
}
