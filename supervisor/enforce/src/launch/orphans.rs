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
        // what can't be read now is read the next time
        let Ok(children) = children() else {
            continue;
        };
        let pids: Vec<Pid> = children.into_iter().filter(|pid| ours(*pid)).collect();
        if pids.is_empty() {
            return;
        }
        let ends = |pid: &Pid| match kill(*pid, Signal::SIGKILL) {
            // gone already is as good
            Ok(()) | Err(Errno::ESRCH) => true,
            Err(_) => false,
        };
        let ended: Vec<Pid> = pids.into_iter().filter(ends).collect();
        ended.into_iter().for_each(wait_for);
    }
}

/// Of every thread of this process.
fn children() -> std::io::Result<Vec<Pid>> {
    let mut out = Vec::new();
    for thread in std::fs::read_dir("/proc/self/task")? {
        let text = match std::fs::read_to_string(thread?.path().join("children")) {
            // the thread has ended: its children are another's
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => continue,
            text => text?,
        };
        let pids = text.split_ascii_whitespace().filter_map(|p| p.parse().ok());
        out.extend(pids.map(Pid::from_raw));
    }
    Ok(out)
}

/// The supervisor stands behind the subreaper: what that one leaves when it is killed comes to it.
#[derive(Debug)]
pub struct Behind {
    /// Children that it had before.
    before: Vec<Pid>,
}

impl Behind {
    pub fn stand() -> std::io::Result<Self> {
        prctl::set_child_subreaper(true)?;
        Ok(Self {
            before: children()?,
        })
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
