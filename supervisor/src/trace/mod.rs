//! What the kernel side records, read by a thread of its own and handed to sinks by another.
//!
//! The reader does nothing but copy, so that the ring does not fill while a sink is slow; where the queue between
//! both is full, it waits, and what then finds no room in the ring is counted by the kernel side.

pub mod begin;
mod beside;
pub mod claims;
mod classes;
pub mod running;
mod selection;

use crate::exit::Failure;
use beside::{Beside, Sent};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};
pub use selection::Selection;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SendError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use stockade_abi::{Count, CountKey, Filter, Head, Tally};
use stockade_bpf::{Missed, Options, Probes, Records};
use stockade_events::sink::Sink;
use stockade_events::{Clock, Event, Kind, Known, Missing, Tracker, calls};
use zerocopy::{FromBytes, FromZeros};

/// Below the fill level nobody is woken: so often it is looked by itself.
const LOOK: Duration = Duration::from_millis(100);

/// A record that is still being written hides those after it: so long, in nanoseconds, nothing is concluded from what
/// is not there.
const PATIENCE: u64 = 1_000_000_000;
/// So often it is looked whether processes are there.
const A_WHILE: Duration = Duration::from_secs(1);

/// Of records on their way between the threads: so large is one load, and so many may wait (512 MiB).
const LOAD: usize = 1 << 20;
const LOADS: usize = 512;

/// Loaded programs, and the threads that read and write what they record.
pub struct Tracing {
    probes: Probes,
    reader: JoinHandle<Listens>,
    writer: JoinHandle<Writer>,
    /// Closed: the reader looks once more and ends.
    over: PipeWriter,
    told: Arc<Told>,
    selection: Selection,
    loaded_in: Duration,
    begun: Instant,
}

/// Between the threads and who waits for them.
#[derive(Default)]
struct Told {
    /// All that ran is labelled: from here on it is counted.
    labelled: AtomicBool,
    /// Nothing that is traced lives.
    all_ended: AtomicBool,
}

/// What is needed to begin.
pub struct Wanted {
    pub selection: Selection,
    pub session: String,
    /// The process that is to execute the command.
    pub begins: Option<u32>,
    pub sinks: Vec<Box<dyn Sink>>,
    /// The agent's executable.
    pub agent: Option<(u64, u64)>,
    /// Where hooks claim something.
    pub claims: Option<claims::Socket>,
    /// What runs already, as it is found.
    pub running: Option<Receiver<Known>>,
    /// The last action that runs already.
    pub last_action: u32,
}

impl Wanted {
    /// Of a command of which nothing else is known.
    pub fn new(selection: Selection, session: String, sinks: Vec<Box<dyn Sink>>) -> Self {
        Self {
            selection,
            session,
            begins: None,
            sinks,
            agent: None,
            claims: None,
            running: None,
            last_action: 0,
        }
    }
}

/// From the reader to the writer.
enum Load {
    /// Each with its size before it.
    Records(Vec<u8>),
    /// What came beside the ring, before the records that follow.
    Beside(Sent),
    /// Nothing that was recorded before `until` is still to come.
    Drained { until: u64, labelled: bool },
}

struct Writer {
    tracker: Tracker,
    sinks: Vec<Box<dyn Sink>>,
    told: Arc<Told>,
    /// When it was last looked who is there.
    looked: Instant,
}

/// What a session's tracing came to.
pub struct Ended {
    pub missing: Missing,
    /// Of each sink: events that it did not write, and the first reason.
    pub unwritten: Vec<(u64, Option<String>)>,
    /// How long it took to load and attach the programs.
    pub loaded_in: Duration,
    /// From then until the end.
    pub lasted: Duration,
    /// The agent's own executable was executed.
    pub agent_began: bool,
}

impl Tracing {
    pub fn begin(options: Options, wanted: Wanted) -> Result<Self, Failure> {
        let filter = wanted.selection.filter(wanted.agent);
        let before = Instant::now();
        let probes = Probes::load(options, &filter, &calls::shapes())?;
        let loaded_in = before.elapsed();
        let tracing = Self::with(probes, wanted)?;
        Ok(Self {
            loaded_in,
            ..tracing
        })
    }

    /// With programs that are loaded already.
    pub fn with(mut probes: Probes, wanted: Wanted) -> Result<Self, Failure> {
        let records = probes.records()?;
        if wanted.last_action != 0 {
            probes.first_action_after(wanted.last_action)?;
        }
        let clock = clock();
        let labels = probes.labels()?;
        let told = Arc::new(Told::default());
        let beside = Beside::new(wanted.claims, wanted.running, labels, clock, &told);
        let (asked, over) = std::io::pipe().map_err(Failure::Output)?;
        let writer = Writer {
            tracker: Tracker::new(&wanted.session, clock, wanted.begins),
            sinks: wanted.sinks,
            told: Arc::clone(&told),
            looked: Instant::now(),
        };
        let ring = probes.ring as usize;
        let (to, from) = sync_channel(LOADS);
        Ok(Self {
            probes,
            reader: thread("records", move || read(records, beside, ring, &to, &asked))?,
            writer: thread("events", move || writer.write(&from))?,
            over,
            told,
            selection: wanted.selection,
            loaded_in: Duration::ZERO,
            begun: Instant::now(),
        })
    }

    /// Nothing else that runs already is to be labelled.
    pub fn all_labelled(&self) {
        self.told.labelled.store(true, Ordering::Release);
    }

    /// Of what was labelled, and what that started.
    pub fn all_ended(&self) -> bool {
        self.told.all_ended.load(Ordering::Acquire)
    }

    pub fn probes(&self) -> &Probes {
        &self.probes
    }

    /// Everything that was recorded until now is written.
    pub fn end(mut self) -> Result<Ended, Failure> {
        let lasted = self.begun.elapsed();
        // what still runs is not looked at any more
        self.probes.set(&Filter::new_zeroed())?;
        drop(self.over);
        let early = || Failure::Usage("a thread that reads events ended early".into());
        let listened = self.reader.join().map_err(|_| early())?;
        listened.map_err(|_| early())?;
        let mut writer = self.writer.join().map_err(|_| early())?;
        let tally = self.probes.tally()?;
        let skipped = self.probes.missed()?;
        let mut counts = Vec::new();
        if self.selection.counted {
            counts = self.probes.counts()?;
            counts.retain(|(key, count)| {
                self.selection.contains(key.call)
                    && (!self.selection.failed_only || count.failed != 0)
            });
        }
        let missing = missing(&tally, &skipped, &writer.sinks);
        Ok(Ended {
            unwritten: writer.end(missing.clone(), &counts),
            missing,
            loaded_in: self.loaded_in,
            lasted,
            agent_began: writer.tracker.agent_began(),
        })
    }
}

fn thread<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Failure> {
    let builder = std::thread::Builder::new().name(name.into());
    builder.spawn(run).map_err(Failure::Output)
}

fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
    u64::try_from(now.unwrap_or_default().as_nanos()).unwrap_or(0)
}

fn clock() -> Clock {
    Clock::at(monotonic(), SystemTime::now())
}

/// Whether the writer still listens; one that ended early is seen when it is joined.
type Listens = Result<(), SendError<Load>>;

fn read(
    mut records: Records,
    mut beside: Option<Beside>,
    ring: usize,
    to: &SyncSender<Load>,
    over: &PipeReader,
) -> Listens {
    let mut last = false;
    loop {
        let labelled = beside.as_ref().is_some_and(Beside::labelled);
        let until = take(beside.as_mut(), to)?;
        // no more than there is room for: what is traced may write faster than this reads
        let size = pass(&mut records, beside.as_mut(), ring, to)?;
        if let Some(until) = until
            && size < ring
        {
            to.send(Load::Drained { until, labelled })?;
        }
        if last {
            return Ok(());
        }
        let mut fds = vec![records.descriptor(), over.as_fd()];
        fds.extend(beside.as_ref().and_then(Beside::descriptor));
        let fds = fds.into_iter();
        let mut fds: Vec<_> = fds
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN | PollFlags::POLLHUP))
            .collect();
        let wait = if size < ring { LOOK } else { Duration::ZERO };
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        // an error is looked through at once, as a time-out is
        poll(&mut fds, timeout).map(drop).unwrap_or(());
        // what came until then is in the ring, and read once more
        last = fds[1].revents().is_some_and(|r| !r.is_empty());
    }
}

/// Passes on what came beside the ring until now; until when all of that is there.
fn take(
    beside: Option<&mut Beside>,
    to: &SyncSender<Load>,
) -> Result<Option<u64>, SendError<Load>> {
    let Some(beside) = beside else {
        return Ok(None);
    };
    if let Some(sent) = beside.take() {
        to.send(Load::Beside(sent))?;
    }
    Ok(Some(beside.taken.saturating_sub(PATIENCE)))
}

/// What is there, up to `most` bytes, each record with its size before it.
fn pass(
    records: &mut Records,
    mut beside: Option<&mut Beside>,
    most: usize,
    to: &SyncSender<Load>,
) -> Result<usize, SendError<Load>> {
    let mut passed = 0;
    let mut load = Vec::new();
    while passed < most
        && let Some(record) = records.one()
    {
        // a claim comes before what is done under it
        if let Some(beside) = beside.as_deref_mut()
            && beside.taken <= time_of(&record)
            && let Some(sent) = beside.take()
        {
            if !load.is_empty() {
                to.send(Load::Records(std::mem::take(&mut load)))?;
            }
            to.send(Load::Beside(sent))?;
        }
        if load.capacity() == 0 {
            load.reserve(LOAD + LOAD / 8);
        }
        let size = u32::try_from(record.len()).unwrap_or(u32::MAX);
        load.extend(size.to_ne_bytes());
        load.extend_from_slice(&record);
        passed += record.len();
        if load.len() >= LOAD {
            to.send(Load::Records(std::mem::take(&mut load)))?;
        }
    }
    if !load.is_empty() {
        to.send(Load::Records(load))?;
    }
    Ok(passed)
}

/// Of any kind of record.
fn time_of(record: &[u8]) -> u64 {
    Head::read_from_prefix(record).map_or(0, |(head, _)| head.time)
}

/// The records of a load.
fn each(load: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = load;
    std::iter::from_fn(move || {
        let (size, after) = rest.split_first_chunk::<4>()?;
        let (record, after) = after.split_at_checked(u32::from_ne_bytes(*size) as usize)?;
        rest = after;
        Some(record)
    })
}

impl Writer {
    fn write(mut self, from: &Receiver<Load>) -> Self {
        loop {
            let load = match from.try_recv() {
                Ok(load) => load,
                Err(TryRecvError::Disconnected) => return self,
                Err(TryRecvError::Empty) => {
                    // whoever looks on sees everything
                    self.sinks.iter_mut().for_each(|sink| sink.flush());
                    match from.recv() {
                        Ok(load) => load,
                        Err(_) => return self,
                    }
                }
            };
            self.load(load);
        }
    }

    fn load(&mut self, load: Load) {
        let Self { tracker, sinks, .. } = self;
        let mut to = |event: &Event| sinks.iter_mut().for_each(|sink| sink.event(event));
        match load {
            Load::Records(records) => {
                each(&records).for_each(|record| tracker.take(record, &mut to));
            }
            Load::Beside(Sent { at, known, claims }) => {
                for known in known {
                    tracker.know(known, at, &mut to);
                }
                for claim in claims {
                    tracker.claim(claim, &mut to);
                }
            }
            Load::Drained { until, labelled } => {
                tracker.settle(until, &mut to);
                // an end that found no room in the ring is seen so
                if labelled && self.looked.elapsed() > A_WHILE {
                    self.looked = Instant::now();
                    tracker.forget(running::is_gone);
                }
                let ended = labelled && tracker.alive() == 0;
                self.told.all_ended.store(ended, Ordering::Release);
            }
        }
    }

    fn end(
        &mut self,
        missing: Missing,
        counts: &[(CountKey, Count)],
    ) -> Vec<(u64, Option<String>)> {
        let Self { tracker, sinks, .. } = self;
        let mut to = |event: &Event| sinks.iter_mut().for_each(|sink| sink.event(event));
        tracker.settle(u64::MAX, &mut to);
        tracker.dropped_claims(&mut to);
        let last = self.tracker.own(Kind::Missing(missing));
        let ends = self.sinks.iter_mut().map(|sink| {
            sink.event(&last);
            sink.end(counts);
            let unwritten = sink.unwritten();
            let why = unwritten.first.as_ref().map(ToString::to_string);
            (unwritten.events, why)
        });
        ends.collect()
    }
}

fn missing(tally: &Tally, skipped: &[Missed], sinks: &[Box<dyn Sink>]) -> Missing {
    let skipped = skipped.iter().filter(|m| m.times != 0);
    Missing {
        kept: tally.kept,
        lost: tally.lost,
        skipped: skipped.map(|m| (m.program.to_owned(), m.times)).collect(),
        unfinished: tally.no_exit,
        unreadable: tally.unreadable,
        unlabelled: tally.unlabelled,
        uncounted: tally.uncounted,
        unwritten: sinks.iter().map(|s| s.unwritten().events).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::each;

    #[test]
    fn a_load_is_its_records() {
        let mut load = Vec::new();
        for record in [&b"one"[..], b"", b"three"] {
            load.extend(u32::try_from(record.len()).expect("short").to_ne_bytes());
            load.extend(record);
        }
        let all: Vec<_> = each(&load).collect();
        assert_eq!(all, [&b"one"[..], b"", b"three"]);
        // not whole: nobody writes such, and nothing is made of it
        assert_eq!(each(&load[..load.len() - 1]).count(), 2);
        assert_eq!(each(&[1, 0]).count(), 0);
    }
}
