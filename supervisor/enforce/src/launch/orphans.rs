//! At level `landlock`: processes that no pid namespace ends.

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

/// Something may fork as fast as it is ended.
const TURNS: u32 = 10_000;

pub fn wait_for(pid: Pid) {
    while waitpid(pid, None) == Err(Errno::EINTR) {}
}

/// What the agent left behind is a child of this process by now, or of one that is. Ends those that
/// `ours` says.
pub fn end(ours: impl Fn(Pid) -> bool) {
    for _ in 0..TURNS {
        let pids: Vec<Pid> = children().into_iter().filter(|pid| ours(*pid)).collect();
        if pids.is_empty() {
            return;
        }
        for pid in &pids {
            // gone already is as good
            kill(*pid, Signal::SIGKILL).unwrap_or(());
        }
        for pid in pids {
            wait_for(pid);
        }
    }
}

/// Of every thread of this process.
fn children() -> Vec<Pid> {
    let threads = std::fs::read_dir("/proc/self/task");
    let mut out = Vec::new();
    for thread in threads.into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        let pids = text.split_ascii_whitespace().filter_map(|p| p.parse().ok());
        out.extend(pids.map(Pid::from_raw));
    }
    out
}

/// The supervisor stands behind the subreaper: what that one leaves when it is killed comes to it.
#[derive(Debug)]
pub struct Behind {
    /// Children that it had before.
    before: Vec<Pid>,
}

impl Behind {
    pub fn stand() -> Result<Self, Errno> {
        prctl::set_child_subreaper(true)?;
        Ok(Self { before: children() })
    }

    /// When the subreaper is gone: whoever was started before, or is not confined, is somebody else's.
    pub fn end(&self) {
        end(|pid| !self.before.contains(&pid) && confined(pid));
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        // a kernel that took it takes it back
        prctl::set_child_subreaper(false).unwrap_or(());
    }
}

fn confined(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let is = |wanted: &str| status.lines().any(|line| line == wanted);
    is("NoNewPrivs:\t1") && is("Seccomp:\t2")
}
