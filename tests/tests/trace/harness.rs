//! A program that waits to be labelled, and everything that is recorded of it.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};
use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use stockade_abi::{Call, Count, CountKey, Filter, Tally};
use stockade_bpf::{Options, Probes, Records};
use stockade_events::{Clock, Event, Record, Tracker, calls, decode};
use zerocopy::FromZeros;

/// Whatever takes longer hangs.
pub const MOST: Duration = Duration::from_secs(300);

pub const SMALLEST: u32 = 4096;

pub fn program() -> &'static str {
    static NAMED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let named = NAMED.get_or_init(|| std::env::var("STOCKADE_TRACED").ok());
    named.as_deref().unwrap_or(env!("CARGO_BIN_EXE_traced"))
}

pub fn number(call: &str) -> u32 {
    calls::number(call).expect(call)
}

/// Everything of these calls, of processes, and counters.
pub fn filter(names: &[&str]) -> Filter {
    let mut filter = Filter::new_zeroed();
    for name in names {
        let n = number(name) as usize;
        filter.always[n / 64] |= 1 << (n % 64);
    }
    filter.processes = 1;
    filter.counted = 1;
    filter
}

pub struct Session {
    probes: Probes,
    records: Records,
}

/// What is known of a program when it has ended.
pub struct Seen {
    pub pid: u32,
    pub records: Vec<Vec<u8>>,
    pub tally: Tally,
    pub counts: BTreeMap<CountKey, Count>,
    /// Of all programs together, for everything on the host.
    pub missed: u64,
    said: String,
}

impl Session {
    pub fn new(names: &[&str], ring: u32) -> Self {
        let options = Options {
            ring,
            ..Options::default()
        };
        let mut probes =
            Probes::load(options, &filter(names), &calls::shapes()).expect("programs are loaded");
        let records = probes.records().expect("a ring");
        Self { probes, records }
    }

    /// Stopped, labelled, and let go.
    pub fn start(&self, agent: bool, words: &[&str]) -> Child {
        let mut command = Command::new(program());
        let command = command.arg("stop").args(words).stdout(Stdio::piped());
        let child = command.spawn().expect("the program starts");
        let pid = Pid::from_raw(child.id().cast_signed());
        let stopped = waitpid(pid, Some(WaitPidFlag::WUNTRACED));
        assert!(
            matches!(stopped, Ok(WaitStatus::Stopped(..))),
            "{stopped:?}"
        );
        let process = rustix::process::Pid::from_raw(pid.as_raw()).expect("a pid");
        let pidfd = pidfd_open(process, PidfdFlags::empty()).expect("a pidfd");
        self.probes
            .label(pidfd.as_fd(), pid.as_raw(), 0, agent)
            .expect("labelled");
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).expect("continued");
        child
    }

    fn drain(&mut self, records: &mut Vec<Vec<u8>>) {
        while let Some(record) = self.records.one() {
            records.push(record.to_vec());
        }
    }

    /// Reads until the program has ended.
    pub fn read(mut self, mut child: Child) -> Seen {
        let (mut records, began) = (Vec::new(), Instant::now());
        loop {
            let ended = child.try_wait().expect("waited");
            self.drain(&mut records);
            if let Some(status) = ended {
                assert!(status.success(), "{status}");
                break;
            }
            if began.elapsed() > MOST {
                child.kill().expect("killed");
                panic!("not done after {MOST:?}");
            }
            let mut fds = [PollFd::new(self.records.descriptor(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::from(20_u8)).expect("polled");
        }
        self.seen(child, records)
    }

    /// Reads nothing until the program has ended.
    pub fn read_late(mut self, mut child: Child) -> Seen {
        assert!(child.wait().expect("waited").success());
        let mut records = Vec::new();
        self.drain(&mut records);
        self.seen(child, records)
    }

    fn seen(mut self, mut child: Child, records: Vec<Vec<u8>>) -> Seen {
        let mut said = String::new();
        let mut stdout = child.stdout.take().expect("an output");
        stdout.read_to_string(&mut said).expect("text");
        let missed = self.probes.missed().expect("programs");
        Seen {
            pid: child.id(),
            records,
            tally: self.probes.tally().expect("a tally"),
            counts: self
                .probes
                .counts()
                .expect("counters")
                .into_iter()
                .collect(),
            missed: missed.iter().map(|m| m.times).sum(),
            said,
        }
    }
}

/// With a ring that is large enough, read all the time: nothing may be missing. Where the kernel skipped a program, which it
/// says, it is done again.
pub fn whole(names: &[&str], words: &[&str]) -> Seen {
    let mut tries = (0..20).map(|_| once(names, words));
    let seen = tries
        .find(|seen| seen.missed == 0)
        .expect("a run in which the kernel skips no program");
    let Tally {
        kept,
        lost,
        unlabelled,
        no_exit,
        uncounted,
        ..
    } = seen.tally;
    assert_eq!((lost, unlabelled, no_exit, uncounted), (0, 0, 0, 0));
    assert_eq!(kept, seen.records.len() as u64);
    seen
}

fn once(names: &[&str], words: &[&str]) -> Seen {
    let session = Session::new(names, 16 << 20);
    let child = session.start(true, words);
    session.read(child)
}

impl Seen {
    /// The numbers that the program printed under a name.
    pub fn said(&self, name: &str) -> Vec<u64> {
        let of = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        self.said.lines().filter_map(of).collect()
    }

    pub fn each(&self) -> impl Iterator<Item = Record<'_>> {
        self.records.iter().map(|r| decode(r).expect("a record"))
    }

    pub fn calls(&self, name: &str) -> Vec<Call> {
        let number = number(name);
        let of = |record| match record {
            Record::Call(call, _) if call.call == number => Some(*call),
            _ => None,
        };
        self.each().filter_map(of).collect()
    }

    pub fn counted(&self, action: u32, call: &str) -> u64 {
        let call = number(call);
        self.counts
            .get(&CountKey { action, call })
            .map_or(0, |count| count.calls)
    }

    /// Over all actions.
    pub fn total(&self, call: &str) -> u64 {
        let number = number(call);
        let of = |(key, count): (&CountKey, &Count)| (key.call == number).then_some(count.calls);
        self.counts.iter().filter_map(of).sum()
    }

    pub fn events(&self) -> Vec<Event> {
        let clock = Clock::at(0, std::time::SystemTime::UNIX_EPOCH);
        let mut tracker = Tracker::new("test".into(), clock, None);
        let mut events = Vec::new();
        for record in &self.records {
            tracker.take(record, |event| events.push(event.clone()));
        }
        events
    }
}
