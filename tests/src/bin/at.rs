//! `at WHO CALL TEXT WHOM,… -- COMMAND…`: runs stockade traced, and ends by SIGKILL whoever is named when
//! `WHO` begins the system call `CALL` on a name that holds `TEXT`: a state of a session, reached each
//! time and without waiting. Ends as the command did; 98 where the state was never reached.
#![forbid(unsafe_code)]

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

type Done<T> = Result<T, Box<dyn std::error::Error>>;

const NEVER: i32 = 98;

/// Name, number, and which argument is the name that it is about.
const CALLS: &[(&str, libc::c_long, usize)] = &[
    #[cfg(target_arch = "x86_64")]
    ("rename", libc::SYS_rename, 1),
    ("rename", libc::SYS_renameat, 3),
    ("rename", libc::SYS_renameat2, 3),
    #[cfg(target_arch = "x86_64")]
    ("mkdir", libc::SYS_mkdir, 0),
    ("mkdir", libc::SYS_mkdirat, 1),
    #[cfg(target_arch = "x86_64")]
    ("remove", libc::SYS_unlink, 0),
    #[cfg(target_arch = "x86_64")]
    ("remove", libc::SYS_rmdir, 0),
    ("remove", libc::SYS_unlinkat, 1),
    ("open", libc::SYS_openat, 1),
    ("open", libc::SYS_openat2, 1),
    ("exec", libc::SYS_execve, 0),
    ("memory", libc::SYS_memfd_create, 0),
    ("clone", libc::SYS_clone, NONE),
    ("prctl", libc::SYS_prctl, NONE),
    ("hostname", libc::SYS_sethostname, NONE),
    ("pivot", libc::SYS_pivot_root, NONE),
    ("group", libc::SYS_setpgid, NONE),
    ("seccomp", libc::SYS_seccomp, NONE),
    ("exit", libc::SYS_exit_group, NONE),
];
const NONE: usize = usize::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Supervisor,
    Stage,
    Init,
    Agent,
}

impl Who {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "supervisor" => Self::Supervisor,
            "stage" => Self::Stage,
            "init" => Self::Init,
            "agent" => Self::Agent,
            _ => return None,
        })
    }

    fn child(self, namespaces: bool) -> Option<Self> {
        match self {
            Self::Supervisor => Some(Self::Stage),
            Self::Stage if namespaces => Some(Self::Init),
            Self::Stage | Self::Init => Some(Self::Agent),
            Self::Agent => None,
        }
    }
}

struct Wanted {
    who: Who,
    call: String,
    text: String,
    whom: Vec<Who>,
}

struct Trace {
    wanted: Wanted,
    namespaces: bool,
    root: Pid,
    /// The first of each.
    known: BTreeMap<Who, Pid>,
    seen: Vec<Pid>,
    reached: bool,
}

fn main() -> Done<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [who, call, text, whom, _, command @ ..] = arguments.as_slice() else {
        return Err("at WHO CALL TEXT WHOM,… -- COMMAND…".into());
    };
    let wanted = Wanted {
        who: Who::of(who).ok_or("nobody of this name")?,
        call: call.clone(),
        text: text.clone(),
        whom: whom.split(',').filter_map(Who::of).collect(),
    };
    if !CALLS.iter().any(|(name, _, _)| name == call) || wanted.whom.is_empty() {
        return Err("no call, or nobody, of this name".into());
    }
    // it waits until it is traced
    let mut child = Command::new("sh")
        .args(["-c", "read -r go; exec \"$@\"", "sh"])
        .args(command)
        .stdin(Stdio::piped())
        .spawn()?;
    let root = Pid::from_raw(i32::try_from(child.id())?);
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC;
    ptrace::seize(root, options)?;
    ptrace::interrupt(root)?;
    child.stdin.take().ok_or("no pipe")?.write_all(b"\n")?;
    let mut trace = Trace {
        wanted,
        namespaces: command.iter().any(|word| word == "namespaces"),
        root,
        known: [(Who::Supervisor, root)].into(),
        seen: vec![root],
        reached: false,
    };
    let code = trace.run()?;
    std::process::exit(if trace.reached { code } else { NEVER })
}

impl Trace {
    fn run(&mut self) -> Done<i32> {
        loop {
            let (pid, signal) = match waitpid(None, Some(WaitPidFlag::__WALL))? {
                WaitStatus::Exited(pid, code) if pid == self.root => return Ok(code),
                WaitStatus::Signaled(pid, signal, _) if pid == self.root => {
                    return Ok(128 + signal as i32);
                }
                WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
                WaitStatus::PtraceSyscall(pid) => {
                    self.call(pid);
                    (pid, None)
                }
                WaitStatus::PtraceEvent(pid, _, _) => (pid, None),
                _ => continue,
            };
            self.meet(pid);
            let of_interest = self.known.values().any(|known| *known == pid) && !self.reached;
            let gone_on = if of_interest {
                ptrace::syscall(pid, signal)
            } else {
                ptrace::cont(pid, signal)
            };
            // ended meanwhile
            gone_on.or_else(|e| if e == Errno::ESRCH { Ok(()) } else { Err(e) })?;
        }
    }

    /// Whose child it is says who it is.
    fn meet(&mut self, pid: Pid) {
        if self.seen.contains(&pid) {
            return;
        }
        self.seen.push(pid);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|l| l.strip_prefix("PPid:"));
        let parent = parent
            .and_then(|p| p.trim().parse().ok())
            .map(Pid::from_raw);
        let of = self.known.iter().find(|(_, known)| Some(**known) == parent);
        if let Some(who) = of.and_then(|(who, _)| who.child(self.namespaces)) {
            self.known.entry(who).or_insert(pid);
        }
    }

    /// At the beginning of a call and at its end alike: the first of both is the beginning.
    fn call(&mut self, pid: Pid) {
        if self.reached || self.known.get(&self.wanted.who) != Some(&pid) || !self.is_wanted(pid) {
            return;
        }
        self.reached = true;
        for who in &self.wanted.whom {
            match self.known.get(who).map(|pid| kill(*pid, Signal::SIGKILL)) {
                Some(Ok(())) => {}
                other => eprintln!("at: {who:?} can't be ended: {other:?}"),
            }
        }
    }

    fn is_wanted(&self, pid: Pid) -> bool {
        // number and arguments, or `running`
        let text = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        let mut words = text.split_ascii_whitespace();
        let number = words.next().and_then(|n| n.parse().ok());
        let arguments: Vec<u64> = words
            .filter_map(|w| u64::from_str_radix(w.trim_start_matches("0x"), 16).ok())
            .collect();
        CALLS.iter().any(|(name, call, argument)| {
            *name == self.wanted.call
                && Some(*call) == number
                && (*argument == NONE
                    || arguments
                        .get(*argument)
                        .and_then(|at| string(pid, *at))
                        .is_some_and(|name| name.contains(&self.wanted.text)))
        })
    }
}

fn string(pid: Pid, at: u64) -> Option<String> {
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut bytes = [0; 512];
    let read = memory.read_at(&mut bytes, at).ok()?;
    let end = bytes[..read].iter().position(|b| *b == 0).unwrap_or(read);
    Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
}
