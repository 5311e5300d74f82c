//! Connections that are not made at once, because whoever listens has as many as it takes: they
//! wait without a thread.

use super::tcp::{Connection, End};
use super::{INTERRUPT, Shared, lock, told, unix};
use nix::errno::Errno;
use nix::sys::signal::{SigEvent, SigevNotify};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use std::cell::RefCell;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use stockade_enforce::performing;

/// Each holds a descriptor.
const MOST: usize = 1024;
/// As long as the kernel tries by itself (tcp(7), tcp_syn_retries).
const PATIENCE: Duration = Duration::from_secs(127);

/// What is tried until it comes to an end.
pub enum Tried {
    /// The kernel tries by itself; it is watched.
    Tcp(Connection),
    Unix {
        socket: OwnedFd,
        file: OwnedFd,
    },
}

struct Entry {
    /// The call; none where it is answered already.
    call: Option<u64>,
    tried: Tried,
    until: Instant,
}

#[derive(Default)]
pub struct Waiting(Vec<Entry>);

impl Waiting {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Entry {
    /// Once more; none where it has not come to an end.
    fn again(&self, shared: &Shared, interrupter: &Interrupter) -> Option<Result<(), Errno>> {
        let gone = |id| !performing::valid(shared.notifications.as_fd(), id);
        let over = self.call.is_some_and(gone) || Instant::now() >= self.until;
        match &self.tried {
            Tried::Tcp(connection) => match connection.look(&shared.tcp) {
                End::NotYet if over => {
                    connection.abort();
                    Some(Err(Errno::ETIMEDOUT))
                }
                End::NotYet => None,
                End::Made => Some(Ok(())),
                End::Aborted => Some(Err(Errno::ECONNREFUSED)),
                // the reason is the caller's to read where it has its answer
                End::Closed if self.call.is_none() => Some(Ok(())),
                End::Closed => Some(Err(connection.error())),
            },
            Tried::Unix { .. } if over => Some(Err(Errno::ETIMEDOUT)),
            Tried::Unix { socket, file } => {
                unix::connect(socket.as_fd(), file.as_fd(), interrupter)
            }
        }
    }
}

/// To be looked at until it ends, or ended at once where too many are: false.
pub fn add(shared: &Shared, call: Option<u64>, tried: Tried) -> bool {
    let mut waiting = lock(&shared.waiting);
    if waiting.0.len() >= MOST {
        if let Tried::Tcp(connection) = &tried {
            connection.abort();
        }
        return false;
    }
    waiting.0.push(Entry {
        call,
        tried,
        until: Instant::now() + PATIENCE,
    });
    if waiting.0.len() == 1 {
        // a byte that has room: one is read for each time that nothing waited before
        (&shared.wake).write_all(&[1]).unwrap_or(());
    }
    true
}

/// Answers what came to an end and lets go of whose caller is gone.
pub fn look(shared: &Shared, interrupter: &Interrupter) {
    let entries = std::mem::take(&mut lock(&shared.waiting).0);
    let mut left = Vec::with_capacity(entries.len());
    for entry in entries {
        match (entry.again(shared, interrupter), entry.call) {
            (None, _) => left.push(entry),
            (Some(outcome), Some(id)) => {
                // a caller that is gone wants no answer
                told(shared, || {
                    performing::answer(shared.notifications.as_fd(), id, outcome)
                });
            }
            (Some(_), None) => {}
        }
    }
    // what came meanwhile stands there already
    lock(&shared.waiting).0.extend(left);
}

/// Ends the call that the thread is in after some milliseconds, again and again: one signal alone
/// might come before the call.
pub struct Interrupter(RefCell<Timer>);

impl Interrupter {
    /// For the calling thread.
    pub fn new() -> Result<Self, Errno> {
        let thread = nix::unistd::gettid();
        let event = SigEvent::new(SigevNotify::SigevThreadId {
            signal: INTERRUPT,
            thread_id: thread.as_raw(),
            si_value: 0,
        });
        Timer::new(ClockId::CLOCK_MONOTONIC, event).map(|timer| Self(RefCell::new(timer)))
    }

    /// EINTR where the call took longer.
    pub fn within<T>(
        &self,
        time: Duration,
        call: impl FnOnce() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let time = TimeSpec::from_duration(time);
        let none = TimeSpec::from_duration(Duration::ZERO);
        let flags = TimerSetTimeFlags::empty();
        let mut timer = self.0.borrow_mut();
        timer.set(Expiration::IntervalDelayed(time, time), flags)?;
        let outcome = call();
        timer.set(Expiration::OneShot(none), flags)?;
        outcome
    }
}
