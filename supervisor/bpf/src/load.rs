//! From the object to programs that run, and what of it is missing.

use crate::kernel::{Kernel, KernelError};
use crate::offsets;
use crate::sys::{self, Bytes};
use aya::maps::{Array, HashMap, Map, MapData, RingBuf};
use aya::programs::{BtfTracePoint, FEntry, ProgramError};
use aya::{Btf, Ebpf, EbpfLoader};
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use stockade_abi::{Count, CountKey, Filter, Shape, Tally, Task};
use zerocopy::FromZeros;

#[cfg(not(feature = "build-probes"))]
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../ebpf-probes/prebuilt/trace.bpf.o");
#[cfg(feature = "build-probes")]
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/trace.bpf.o"));

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error("loading eBPF programs is refused ({0}): it takes root, or CAP_BPF and CAP_PERFMON")]
    Refused(Errno),
    #[error("the eBPF object can't be loaded: {0}")]
    Object(String),
    #[error("{program}: {why}")]
    Program { program: &'static str, why: String },
    #[error(
        "the agent is a script, and this kernel refuses to have its execution watched ({0}): --agent-exe can name its interpreter instead"
    )]
    Script(String),
    #[error("the thread {thread} can't be labelled: {errno}")]
    Label { thread: i32, errno: Errno },
}

/// How the programs are loaded.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Of the ring, in bytes: a power of two, at least a page.
    pub ring: u32,
    /// Running processes are traced: a thread without a label takes its leader's.
    pub ask_leader: bool,
    /// Whether calls are looked at, and not only processes.
    pub calls: bool,
    /// The agent's file is no program: the kernel executes the one that its first line names.
    pub agent_is_script: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ring: 16 << 20,
            ask_leader: false,
            calls: true,
            agent_is_script: false,
        }
    }
}

/// What the kernel skipped, by program: it runs none while another runs on the same CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    pub program: &'static str,
    pub times: u64,
}

/// (program, tracepoint, whether calls are what it is for, whether it may be missing)
const PROGRAMS: &[(&str, &[&str], bool, bool)] = &[
    ("fork", &["sched_process_fork"], false, false),
    ("exec", &["sched_process_exec"], false, false),
    ("exit", &["sched_process_exit"], false, false),
    // before 6.3 it has the second name
    (
        "submit",
        &["io_uring_submit_req", "io_uring_submit_sqe"],
        false,
        true,
    ),
    ("leave", &["sys_exit"], true, false),
    ("enter", &["sys_enter"], true, false),
];

/// Where the agent is a script, and only there: before its interpreter is looked at. No tracepoint sees that; a kernel
/// may refuse programs that are no tracepoint's.
const CHOOSE: (&str, &str) = ("choose", "security_bprm_check");

pub struct Probes {
    object: Ebpf,
    attached: Vec<&'static str>,
    /// Tracepoints that this kernel does not have.
    pub without: Vec<&'static str>,
    /// Of the ring, in bytes.
    pub ring: u32,
}

impl Probes {
    /// Loaded, attached, and seeing nothing until a process is labelled.
    pub fn load(
        options: Options,
        filter: &Filter,
        shapes: &[(usize, Shape)],
    ) -> Result<Self, LoadError> {
        if !privileged() {
            return Err(LoadError::Refused(Errno::EPERM));
        }
        let kernel = Kernel::running()?;
        let table = offsets::all(&kernel)?;
        let mut loader = EbpfLoader::new();
        // task storage
        loader.allow_unsupported_maps();
        for (name, value) in &table {
            loader.override_global(name, value, true);
        }
        let wake_at = u64::from(options.ring / 4);
        let leader = u64::from(options.ask_leader);
        let open = open_call();
        loader.override_global("WAKE_AT", &wake_at, true);
        loader.override_global("ASK_LEADER", &leader, true);
        loader.override_global("OPEN_CALL", &open, true);
        loader.map_max_entries("RECORDS", options.ring);
        let object = loader.load(OBJECT).map_err(|error| of_maps(&error))?;
        let mut probes = Self {
            object,
            attached: Vec::new(),
            without: Vec::new(),
            ring: options.ring,
        };
        probes.set(filter)?;
        let mut map: Array<_, Bytes<{ size_of::<Shape>() }>> = probes.array("SHAPES")?;
        for (call, shape) in shapes {
            let index = u32::try_from(*call).unwrap_or(u32::MAX);
            map.set(index, Bytes::of(shape), 0)
                .map_err(|e| LoadError::Object(e.to_string()))?;
        }
        probes.attach_all(options, &kernel)?;
        Ok(probes)
    }

    fn attach_all(&mut self, options: Options, kernel: &Kernel) -> Result<(), LoadError> {
        let types = Btf::from_sys_fs().map_err(|e| LoadError::Object(e.to_string()))?;
        for (name, tracepoints, of_calls, may_be_missing) in PROGRAMS {
            if *of_calls && !options.calls {
                continue;
            }
            let there = tracepoints
                .iter()
                .find(|t| kernel.has(&format!("btf_trace_{t}")));
            let Some(tracepoint) = there else {
                if *may_be_missing {
                    self.without.push(tracepoints[0]);
                    continue;
                }
                return Err(LoadError::Program {
                    program: name,
                    why: format!("this kernel has no tracepoint {}", tracepoints[0]),
                });
            };
            let program = self.program(name)?;
            program
                .load(tracepoint, &types)
                .and_then(|()| program.attach().map(drop))
                .map_err(|error| of_program(name, &error))?;
            self.attached.push(name);
        }
        if options.agent_is_script {
            self.attach_choose(&types)?;
        }
        Ok(())
    }

    fn attach_choose(&mut self, types: &Btf) -> Result<(), LoadError> {
        let (name, function) = CHOOSE;
        let missing = || LoadError::Program {
            program: name,
            why: "not in the object".into(),
        };
        let program = self.object.program_mut(name).ok_or_else(missing)?;
        let program: Result<&mut FEntry, ProgramError> = program.try_into();
        program
            .and_then(|p| {
                p.load(function, types)?;
                p.attach().map(drop)
            })
            .map_err(|error| {
                LoadError::Script(match of_program(name, &error) {
                    LoadError::Refused(errno) => errno.to_string(),
                    other => other.to_string(),
                })
            })?;
        self.attached.push(name);
        Ok(())
    }

    fn program(&mut self, name: &'static str) -> Result<&mut BtfTracePoint, LoadError> {
        let missing = || LoadError::Program {
            program: name,
            why: "not in the object".into(),
        };
        let program = self.object.program_mut(name).ok_or_else(missing)?;
        program
            .try_into()
            .map_err(|error: ProgramError| of_program(name, &error))
    }

    fn array<const N: usize>(
        &mut self,
        name: &str,
    ) -> Result<Array<&mut MapData, Bytes<N>>, LoadError> {
        let map = self.object.map_mut(name);
        map.ok_or_else(|| LoadError::Object(format!("no map {name}")))
            .and_then(|map| {
                map.try_into()
                    .map_err(|e: aya::maps::MapError| LoadError::Object(e.to_string()))
            })
    }

    /// What is recorded from here on.
    pub fn set(&mut self, filter: &Filter) -> Result<(), LoadError> {
        let mut map: Array<_, Bytes<{ size_of::<Filter>() }>> = self.array("FILTER")?;
        map.set(0, Bytes::of(filter), 0)
            .map_err(|e| LoadError::Object(e.to_string()))
    }

    fn tasks(&self) -> Result<BorrowedFd<'_>, LoadError> {
        match self.object.map("TASKS") {
            Some(Map::Unsupported(map)) => Ok(map.fd().as_fd()),
            _ => Err(LoadError::Object("no map TASKS".into())),
        }
    }

    /// The process that is to execute the command: the first of action 0.
    pub fn label_first(
        &self,
        task: BorrowedFd<'_>,
        thread: i32,
        agent: bool,
    ) -> Result<(), LoadError> {
        let mut value = Task::new_zeroed();
        value.flags = stockade_abi::task::BEGINS;
        if agent {
            value.flags |= stockade_abi::task::AGENT;
        }
        sys::update(self.tasks()?, task, &value).map_err(|errno| LoadError::Label { thread, errno })
    }

    /// From here on what the task does is seen, and what it starts. False where it has a label.
    pub fn label(
        &self,
        task: BorrowedFd<'_>,
        thread: i32,
        action: u32,
        agent: bool,
    ) -> Result<bool, LoadError> {
        let mut value = Task::new_zeroed();
        value.action = action;
        value.flags = if agent { stockade_abi::task::AGENT } else { 0 };
        match sys::update(self.tasks()?, task, &value) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(errno) => Err(LoadError::Label { thread, errno }),
        }
    }

    /// What the kernel says of who is labelled, for another thread.
    pub fn labels(&self) -> Result<Labels, LoadError> {
        let map = self.tasks()?.try_clone_to_owned();
        map.map(|map| Labels { map })
            .map_err(|e| LoadError::Object(e.to_string()))
    }

    /// Actions up to this one are there already. Before anything is labelled.
    pub fn first_action_after(&mut self, action: u32) -> Result<(), LoadError> {
        let tally = Tally {
            next_action: action.into(),
            ..Tally::default()
        };
        let mut map: Array<_, Bytes<{ size_of::<Tally>() }>> = self.array("TALLY")?;
        map.set(0, Bytes::of(&tally), 0)
            .map_err(|e| LoadError::Object(e.to_string()))
    }

    pub fn records(&mut self) -> Result<Records, LoadError> {
        let map = self
            .object
            .take_map("RECORDS")
            .ok_or_else(|| LoadError::Object("no map RECORDS".into()))?;
        let ring = RingBuf::try_from(map).map_err(|e| LoadError::Object(e.to_string()))?;
        Ok(Records { ring })
    }

    pub fn tally(&mut self) -> Result<Tally, LoadError> {
        let map: Array<_, Bytes<{ size_of::<Tally>() }>> = self.array("TALLY")?;
        let bytes = map
            .get(&0, 0)
            .map_err(|e| LoadError::Object(e.to_string()))?;
        Ok(bytes.to())
    }

    /// Exact, whatever became of the records.
    pub fn counts(&self) -> Result<Vec<(CountKey, Count)>, LoadError> {
        let map = self
            .object
            .map("COUNTS")
            .ok_or_else(|| LoadError::Object("no map COUNTS".into()))?;
        let map: HashMap<_, Bytes<{ size_of::<CountKey>() }>, Bytes<{ size_of::<Count>() }>> =
            HashMap::try_from(map).map_err(|e| LoadError::Object(e.to_string()))?;
        map.iter()
            .map(|entry| {
                let (key, count) = entry.map_err(|e| LoadError::Object(e.to_string()))?;
                Ok((key.to(), count.to()))
            })
            .collect()
    }

    /// How often the kernel skipped each program.
    pub fn missed(&self) -> Result<Vec<Missed>, LoadError> {
        let names = self.attached.clone();
        names
            .into_iter()
            .map(|name| {
                let missing = || LoadError::Program {
                    program: name,
                    why: "not in the object".into(),
                };
                let program = self.object.program(name).ok_or_else(missing)?;
                let fd = program.fd().map_err(|error| of_program(name, &error))?;
                let times = misses(fd.as_fd().as_raw_fd());
                Ok(Missed {
                    program: name,
                    times,
                })
            })
            .collect()
    }
}

/// As the kernel shows it (kernel/bpf/syscall.c, bpf_prog_show_fdinfo; since 5.12).
fn misses(fd: RawFd) -> u64 {
    std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}"))
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("recursion_misses:"))
        .and_then(|n| n.trim().parse().ok())
        .unwrap_or(0)
}

fn open_call() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        libc::SYS_open.cast_unsigned()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        u64::MAX
    }
}

/// Asked for first: without, some kernels say EINVAL of a map (seen on 6.12 and 7.2), as of one that is wrong.
pub fn privileged() -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    const CAP_PERFMON: u64 = 1 << 38;
    const CAP_BPF: u64 = 1 << 39;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
    let held = line.and_then(|l| u64::from_str_radix(l.trim(), 16).ok());
    held.is_some_and(|c| {
        c & CAP_SYS_ADMIN != 0 || c & (CAP_BPF | CAP_PERFMON) == CAP_BPF | CAP_PERFMON
    })
}

fn refused(error: &(dyn std::error::Error + 'static)) -> Option<Errno> {
    let mut at = Some(error);
    while let Some(error) = at {
        let errno = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::raw_os_error);
        if let Some(errno @ (libc::EPERM | libc::EACCES)) = errno {
            return Some(Errno::from_raw(errno));
        }
        at = error.source();
    }
    None
}

fn of_maps(error: &aya::EbpfError) -> LoadError {
    refused(error).map_or_else(|| LoadError::Object(chain(error)), LoadError::Refused)
}

fn of_program(program: &'static str, error: &ProgramError) -> LoadError {
    // what the verifier says is at the end of its log
    if let ProgramError::LoadError {
        io_error,
        verifier_log,
    } = error
    {
        let log = verifier_log.to_string();
        if log.is_empty() && io_error.raw_os_error() == Some(libc::EPERM) {
            return LoadError::Refused(Errno::EPERM);
        }
        let last: Vec<&str> = log.lines().rev().take(6).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        let why = format!("{io_error}: {}", last.join("; "));
        return LoadError::Program { program, why };
    }
    LoadError::Program {
        program,
        why: chain(error),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(error) = at {
        text = format!("{text}: {error}");
        at = error.source();
    }
    text
}

/// Who carries which label.
pub struct Labels {
    map: OwnedFd,
}

impl Labels {
    /// The action of the task that a pidfd stands for.
    pub fn action(&self, task: BorrowedFd<'_>) -> Option<u32> {
        let task: Result<Task, Errno> = sys::lookup(self.map.as_fd(), task);
        task.ok().map(|task| task.action)
    }
}

/// The records, in the order in which they were begun.
pub struct Records {
    ring: RingBuf<MapData>,
}

impl Records {
    /// The next one, if one is there.
    pub fn one(&mut self) -> Option<impl std::ops::Deref<Target = [u8]> + '_> {
        self.ring.next()
    }

    /// Polls readable where the fill level is passed; below it nobody is woken.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}
