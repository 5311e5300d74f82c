//! Processes that run already: found, labelled, watched until the last ends.

use super::{Ended, Tracing, Wanted};
use crate::agents::executable::Executable;
use crate::exit::Failure;
use crate::output::escaped;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use stockade_bpf::{LoadError, Options};
use stockade_events::Known;

/// Looked so often whether all have ended.
const LOOK: u16 = 100;
/// What was started while the others were labelled: each round finds less.
const ROUNDS: usize = 100;
/// Actions of what was started while its parent had no label yet: the kernel counts from below.
const BETWEEN: u32 = 1 << 31;

/// One process as /proc has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    parent: u32,
    /// Since the machine's start, in ticks.
    begun: u64,
}

type Processes = BTreeMap<u32, Process>;

fn processes() -> Processes {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|e| e.file_name().to_str()?.parse().ok());
    numbers
        .filter_map(|n: u32| Some((n, process(n)?)))
        .collect()
}

fn process(number: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // after the name, which may hold anything: state, parent, …, the 22nd of all is the start
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    Some(Process {
        parent: fields.get(1)?.parse().ok()?,
        begun: fields.get(19)?.parse().ok()?,
    })
}

/// Not there, by its number in the first pid namespace; in another nobody can say it.
pub fn is_gone(process: u32) -> bool {
    const FIRST: &str = "pid:[4026531836]"; // include/uapi/linux/nsfs.h, PID_NS_INIT_INO
    let own = std::fs::read_link("/proc/self/ns/pid");
    own.is_ok_and(|own| own == Path::new(FIRST)) && !Path::new(&format!("/proc/{process}")).exists()
}

/// Where the tracing begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// The agents, or their wrappers.
    agents: BTreeSet<u32>,
    /// What an agent started and whose own parent has ended: as if its parent were the agent.
    left: BTreeSet<u32>,
}

/// Those that were named.
pub fn of(named: &[u32]) -> Result<Roots, Failure> {
    let all = processes();
    let mut own = std::process::id();
    let above: BTreeSet<u32> = std::iter::from_fn(|| {
        let this = own;
        own = all.get(&own)?.parent;
        Some(this)
    })
    .collect();
    for process in named {
        if above.contains(process) {
            return Err(Failure::Usage(format!(
                "process {process} started this stockade, which would trace itself: trace it from another terminal"
            )));
        }
        if !all.contains_key(process) {
            return Err(Failure::Usage(format!("there is no process {process}")));
        }
    }
    Ok(Roots {
        agents: named.iter().copied().collect(),
        left: BTreeSet::new(),
    })
}

/// The agent of a session, below its supervisor and stockade's own processes there.
pub fn of_session(id: &str) -> Result<Roots, Failure> {
    let missing = || {
        Failure::Usage(format!(
            "no session {} runs here; the names of those that run are in `sessions` of stockade's state folder",
            escaped(id)
        ))
    };
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(missing());
    }
    let all = processes();
    let record = format!("sessions/{id}/record.json");
    let supervisor = all.keys().copied().find(|p| holds(*p, Path::new(&record)));
    let supervisor = supervisor.ok_or_else(missing)?;
    let own = executable(supervisor);
    let mut layer = vec![supervisor];
    // stage, init, and below them what is not stockade's
    while !layer.is_empty() {
        let below = children(&all, &layer);
        let (stages, others): (Vec<u32>, Vec<u32>) =
            below.into_iter().partition(|p| executable(*p) == own);
        let agent = others.iter().copied().min_by_key(|p| all[p].begun);
        if let Some(agent) = agent {
            let left = others.into_iter().filter(|p| *p != agent).collect();
            return Ok(Roots {
                agents: [agent].into(),
                left,
            });
        }
        layer = stages;
    }
    Err(missing())
}

/// Whether it is the supervisor that holds the session's record.
fn holds(process: u32, record: &Path) -> bool {
    let files = std::fs::read_dir(format!("/proc/{process}/fd"));
    let mut files = files.into_iter().flatten().flatten();
    files.any(|f| f.path().read_link().is_ok_and(|to| to.ends_with(record)))
}

fn executable(process: u32) -> Option<(u64, u64)> {
    let file = Executable::at(Path::new(&format!("/proc/{process}/exe")));
    file.ok().map(|file| file.numbers())
}

fn children(all: &Processes, of: &[u32]) -> Vec<u32> {
    let below = all.iter().filter(|(_, p)| of.contains(&p.parent));
    below.map(|(number, _)| *number).collect()
}

/// What a process is labelled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Label {
    action: u32,
    agent: bool,
}

/// Labels by parentage, each action with a number of its own; what has one keeps it.
struct Labels {
    /// Known by its file; else each root is the agent.
    agent: Option<(u64, u64)>,
    labels: BTreeMap<u32, Label>,
    next: u32,
}

impl Labels {
    /// Of what is new since the last time, parents first.
    fn assign(&mut self, all: &Processes, roots: &Roots) -> Vec<u32> {
        let mut new = Vec::new();
        let mut layer: Vec<u32> = Vec::new();
        for root in roots.agents.iter().filter(|r| all.contains_key(r)) {
            layer.push(*root);
            self.add(*root, None, &mut new);
        }
        for left in roots.left.iter().filter(|r| all.contains_key(r)) {
            let of_agent = Label {
                action: 0,
                agent: true,
            };
            layer.push(*left);
            self.add(*left, Some(of_agent), &mut new);
        }
        while !layer.is_empty() {
            let below = children(all, &layer);
            for process in &below {
                let parent = self.labels.get(&all[process].parent).copied();
                self.add(*process, parent, &mut new);
            }
            layer = below;
        }
        new
    }

    fn add(&mut self, process: u32, parent: Option<Label>, new: &mut Vec<u32>) {
        if self.labels.contains_key(&process) {
            return;
        }
        let action = match parent {
            Some(Label { agent: true, .. }) => {
                self.next += 1;
                self.next
            }
            Some(label) => label.action,
            None => 0,
        };
        let is_agents = || match self.agent {
            Some(file) => executable(process) == Some(file),
            None => parent.is_none(),
        };
        let agent = action == 0 && is_agents();
        self.labels.insert(process, Label { action, agent });
        new.push(process);
    }
}

fn known(process: u32, label: Label) -> Known {
    let at = |name: &str| format!("/proc/{process}/{name}");
    let exe = std::fs::read_link(at("exe")).unwrap_or_default();
    let arguments = std::fs::read(at("cmdline")).unwrap_or_default();
    let status = std::fs::read_to_string(at("status")).unwrap_or_default();
    let numbers = status.lines().find_map(|l| l.strip_prefix("NSpid:"));
    let inside = numbers.and_then(|n| n.split_whitespace().next_back()?.parse().ok());
    let text = arguments.strip_suffix(&[0]).unwrap_or(&arguments);
    Known {
        process,
        exe: exe.into_os_string().into_encoded_bytes(),
        inside: inside.unwrap_or(process),
        action: label.action,
        arguments: text.split(|b| *b == 0).map(<[u8]>::to_vec).collect(),
    }
}

/// Until Ctrl-C, or until the last has ended.
pub fn trace(options: Options, wanted: Wanted, roots: &Roots) -> Result<Ended, Failure> {
    let signals = signals().map_err(|e| Failure::Output(e.into()))?;
    let mut labels = Labels {
        agent: wanted.agent,
        labels: BTreeMap::new(),
        next: 0,
    };
    // before the first label: from there on the kernel counts
    let first = labels.assign(&processes(), roots);
    let (to, running) = channel();
    let options = Options {
        ask_leader: true,
        ..options
    };
    let wanted = Wanted {
        running: Some(running),
        last_action: labels.next,
        ..wanted
    };
    let tracing = Tracing::begin(options, wanted)?;
    labels.next = BETWEEN;
    // nobody has a label yet, so all of it is so; and what they do from here on is known to be theirs
    for process in &first {
        // the reader may be gone, which its end says
        drop(to.send(known(*process, labels.labels[process])));
    }
    label(&tracing, &labels, &first, None)?;
    for _ in 0..ROUNDS {
        let new = labels.assign(&processes(), roots);
        if label(&tracing, &labels, &new, Some(&to))? == 0 {
            break;
        }
    }
    tracing.all_labelled();
    while !tracing.all_ended() {
        let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        let came = poll(&mut fds, PollTimeout::from(LOOK)).is_ok_and(|n| n > 0);
        if came && signals.read_signal().is_ok() {
            break;
        }
    }
    // what is left to write may take long
    ending().thread_unblock().unwrap_or(());
    tracing.end()
}

fn ending() -> SigSet {
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .collect()
}

/// In every thread: they only end the tracing.
fn signals() -> nix::Result<SignalFd> {
    let set = ending();
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)
}

/// How many had no label yet: what a labelled one starts has one from the kernel.
fn label(
    tracing: &Tracing,
    labels: &Labels,
    processes: &[u32],
    to: Option<&Sender<Known>>,
) -> Result<usize, Failure> {
    let mut new = 0;
    for process in processes {
        let label = labels.labels[process];
        let number = process.cast_signed();
        // one that has ended meanwhile needs none
        let Ok(pidfd) = stockade_enforce::pidfd(Pid::from_raw(number)) else {
            continue;
        };
        let known = known(*process, label);
        match tracing
            .probes()
            .label(pidfd.as_fd(), number, label.action, label.agent)
        {
            Ok(true) => {
                new += 1;
                if let Some(to) = to {
                    drop(to.send(known));
                }
            }
            Ok(false) => {}
            Err(LoadError::Label {
                errno: Errno::ESRCH | Errno::ENOENT,
                ..
            }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(rows: &[(u32, u32)]) -> Processes {
        let row = |(number, parent): &(u32, u32)| {
            let process = Process {
                parent: *parent,
                begun: 0,
            };
            (*number, process)
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn what_runs_already_has_the_actions_that_it_would_have_had() {
        let roots = Roots {
            agents: [10].into(),
            left: [50].into(),
        };
        let mut labels = Labels {
            agent: None,
            labels: BTreeMap::new(),
            next: 0,
        };
        let all = tree(&[
            (1, 0),
            (10, 1),
            (11, 10),
            (12, 10),
            (13, 11),
            (50, 1),
            (51, 50),
        ]);
        assert_eq!(labels.assign(&all, &roots), [10, 50, 11, 12, 51, 13]);
        let action = |labels: &Labels, process: u32| labels.labels[&process].action;
        let found: Vec<u32> = [10, 11, 12, 13, 50, 51].map(|p| action(&labels, p)).into();
        assert_eq!(found, [0, 2, 3, 2, 1, 1]);
        assert!(labels.labels[&10].agent && !labels.labels[&11].agent);
        let more = tree(&[(1, 0), (10, 1), (12, 10), (14, 12), (15, 10)]);
        assert_eq!(labels.assign(&more, &roots), [15, 14]);
        assert_eq!((action(&labels, 14), action(&labels, 15)), (3, 4));
    }

    #[test]
    fn a_tracer_does_not_trace_itself() {
        let parent = nix::unistd::getppid().as_raw().cast_unsigned();
        assert!(of(&[parent]).is_err());
        assert!(of(&[std::process::id()]).is_err());
        assert!(of(&[u32::MAX]).is_err());
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        assert!(of(&[child.id()]).is_ok());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
