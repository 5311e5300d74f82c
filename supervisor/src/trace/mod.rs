//! What the kernel side records, read by a thread of its own and handed to sinks.

pub mod begin;
mod selection;

use crate::exit::Failure;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};
pub use selection::Selection;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use stockade_abi::Tally;
use stockade_bpf::{Missed, Options, Probes, Records};
use stockade_events::sink::Sink;
use stockade_events::{Clock, Event, Kind, Tracker, calls};

/// Below the fill level nobody is woken: so often it is looked by itself.
const LOOK: Duration = Duration::from_millis(100);

/// Loaded programs, and the thread that reads what they record.
pub struct Tracing {
    probes: Probes,
    reader: JoinHandle<Reader>,
    /// Closed: the reader looks once more and ends.
    over: PipeWriter,
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

struct Reader {
    tracker: Tracker,
    sinks: Vec<Box<dyn Sink>>,
    /// Events that a sink did not take.
    unwritten: u64,
}

/// What a session's tracing came to.
#[expect(dead_code, reason = "the summary reads it")]
pub struct Ended {
    pub tally: Tally,
    pub missed: Vec<Missed>,
    pub unwritten: u64,
}

impl Tracing {
    pub fn begin(wanted: Wanted) -> Result<Self, Failure> {
        let filter = wanted.selection.filter(wanted.agent);
        let probes = Probes::load(wanted.options, &filter, &calls::shapes())?;
        Self::with(probes, wanted)
    }

    /// With programs that are loaded already.
    pub fn with(mut probes: Probes, wanted: Wanted) -> Result<Self, Failure> {
        let records = probes.records()?;
        let (told, over) = std::io::pipe().map_err(Failure::Output)?;
        let mut reader = Reader {
            tracker: Tracker::new(wanted.session, clock(), wanted.begins),
            sinks: wanted.sinks,
            unwritten: 0,
        };
        let reader = std::thread::Builder::new()
            .name("events".into())
            .spawn(move || {
                reader.read(records, &told);
                reader
            })
            .map_err(Failure::Output)?;
        Ok(Self {
            probes,
            reader,
            over,
        })
    }

    pub fn probes(&self) -> &Probes {
        &self.probes
    }

    /// Everything that was recorded until now is written.
    pub fn end(mut self) -> Result<Ended, Failure> {
        drop(self.over);
        let mut reader = self
            .reader
            .join()
            .map_err(|_| Failure::Usage("the thread that reads events ended early".into()))?;
        let tally = self.probes.tally()?;
        let missed = self.probes.missed()?;
        reader.missing(&tally, &missed);
        for sink in &mut reader.sinks {
            sink.end().map_err(Failure::Output)?;
        }
        Ok(Ended {
            tally,
            missed,
            unwritten: reader.unwritten,
        })
    }
}

fn clock() -> Clock {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
    let now = u64::try_from(now.unwrap_or_default().as_nanos()).unwrap_or(0);
    Clock::at(now, SystemTime::now())
}

impl Reader {
    fn read(&mut self, mut records: Records, over: &PipeReader) {
        let mut last = false;
        loop {
            let Self {
                tracker,
                sinks,
                unwritten,
            } = self;
            while let Some(record) = records.one() {
                tracker.take(&record, |event| write(sinks, unwritten, event));
            }
            if last {
                return;
            }
            let mut fds = [
                PollFd::new(records.descriptor(), PollFlags::POLLIN),
                PollFd::new(over.as_fd(), PollFlags::POLLIN),
            ];
            let timeout = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::MAX);
            // an error is looked through at once, as a time-out is
            poll(&mut fds, timeout).map(drop).unwrap_or(());
            // what came until then is read once more
            last = fds[1].revents().is_some_and(|r| !r.is_empty());
        }
    }

    /// As the last event, where something is missing.
    fn missing(&mut self, tally: &Tally, missed: &[Missed]) {
        let skipped: Vec<_> = missed
            .iter()
            .filter(|m| m.times != 0)
            .map(|m| (m.program.to_owned(), m.times))
            .collect();
        let kind = Kind::Missing {
            lost: tally.lost,
            skipped,
            unfinished: tally.no_exit,
            unreadable: tally.unreadable,
            unlabelled: tally.unlabelled,
            unwritten: self.unwritten,
        };
        let nothing = Kind::Missing {
            lost: 0,
            skipped: Vec::new(),
            unfinished: 0,
            unreadable: 0,
            unlabelled: 0,
            unwritten: 0,
        };
        if kind != nothing {
            let event = self.tracker.own(kind);
            write(&mut self.sinks, &mut self.unwritten, &event);
        }
    }
}

fn write(sinks: &mut [Box<dyn Sink>], unwritten: &mut u64, event: &Event) {
    for sink in sinks {
        if sink.event(event).is_err() {
            *unwritten += 1;
        }
    }
}
