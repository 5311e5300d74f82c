//! What the kernel side records, read by a thread of its own and handed to sinks by another.
//!
//! The reader does nothing but copy, so that the ring does not fill while a sink is slow; where the queue between
//! both is full, it waits, and what then finds no room in the ring is counted by the kernel side.

pub mod begin;
mod classes;
mod selection;

use crate::exit::Failure;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};
pub use selection::Selection;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, SendError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use stockade_abi::{Count, CountKey, Filter, Tally};
use stockade_bpf::{Missed, Options, Probes, Records};
use stockade_events::sink::Sink;
use stockade_events::{Clock, Kind, Missing, Tracker, calls};
use zerocopy::FromZeros;

/// Below the fill level nobody is woken: so often it is looked by itself.
const LOOK: Duration = Duration::from_millis(100);

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
    selection: Selection,
    loaded_in: Duration,
    begun: Instant,
}

/// What is needed to begin.
pub struct Wanted {
    pub selection: Selection,
    pub options: Options,
    pub session: String,
    /// The process that is to execute the command.
    pub begins: Option<u32>,
    pub sinks: Vec<Box<dyn Sink>>,
    /// The agent's executable.
    pub agent: Option<(u64, u64)>,
}

struct Writer {
    tracker: Tracker,
    sinks: Vec<Box<dyn Sink>>,
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
}

impl Tracing {
    pub fn begin(wanted: Wanted) -> Result<Self, Failure> {
        let filter = wanted.selection.filter(wanted.agent);
        let before = Instant::now();
        let probes = Probes::load(wanted.options, &filter, &calls::shapes())?;
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
        let (told, over) = std::io::pipe().map_err(Failure::Output)?;
        let writer = Writer {
            tracker: Tracker::new(&wanted.session, clock(), wanted.begins),
            sinks: wanted.sinks,
        };
        let ring = wanted.options.ring as usize;
        let (to, from) = sync_channel(LOADS);
        Ok(Self {
            probes,
            reader: thread("records", move || read(records, ring, &to, &told))?,
            writer: thread("events", move || writer.write(&from))?,
            over,
            selection: wanted.selection,
            loaded_in: Duration::ZERO,
            begun: Instant::now(),
        })
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

fn clock() -> Clock {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
    let now = u64::try_from(now.unwrap_or_default().as_nanos()).unwrap_or(0);
    Clock::at(now, SystemTime::now())
}

/// Whether the writer still listens; one that ended early is seen when it is joined.
type Listens = Result<(), SendError<Vec<u8>>>;

fn read(mut records: Records, ring: usize, to: &SyncSender<Vec<u8>>, over: &PipeReader) -> Listens {
    let mut last = false;
    loop {
        // no more than there is room for: what is traced may write faster than this reads
        let size = pass(&mut records, ring, to)?;
        if last {
            return Ok(());
        }
        let mut fds = [records.descriptor(), over.as_fd()]
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN | PollFlags::POLLHUP));
        let wait = if size < ring { LOOK } else { Duration::ZERO };
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        // an error is looked through at once, as a time-out is
        poll(&mut fds, timeout).map(drop).unwrap_or(());
        // what came until then is in the ring, and read once more
        last = fds[1].revents().is_some_and(|r| !r.is_empty());
    }
}

/// What is there, up to `most` bytes, each record with its size before it.
fn pass(
    records: &mut Records,
    most: usize,
    to: &SyncSender<Vec<u8>>,
) -> Result<usize, SendError<Vec<u8>>> {
    let mut passed = 0;
    let mut load = Vec::new();
    while passed < most
        && let Some(record) = records.one()
    {
        if load.capacity() == 0 {
            load.reserve(LOAD + LOAD / 8);
        }
        let size = u32::try_from(record.len()).unwrap_or(u32::MAX);
        load.extend(size.to_ne_bytes());
        load.extend_from_slice(&record);
        passed += record.len();
        if load.len() >= LOAD {
            to.send(std::mem::take(&mut load))?;
        }
    }
    if !load.is_empty() {
        to.send(load)?;
    }
    Ok(passed)
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
    fn write(mut self, from: &Receiver<Vec<u8>>) -> Self {
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
            let Self { tracker, sinks } = &mut self;
            for record in each(&load) {
                tracker.take(record, |event| {
                    sinks.iter_mut().for_each(|sink| sink.event(event));
                });
            }
        }
    }

    fn end(
        &mut self,
        missing: Missing,
        counts: &[(CountKey, Count)],
    ) -> Vec<(u64, Option<String>)> {
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
