//! What comes beside the ring: processes that run already, claims.

use super::{Told, claims, monotonic};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use stockade_bpf::Labels;
use stockade_events::{Clock, Known, claim};

pub struct Beside {
    claims: Option<claims::Socket>,
    running: Option<Receiver<Known>>,
    labels: Labels,
    clock: Clock,
    told: Arc<Told>,
    /// It was taken until then, by CLOCK_MONOTONIC.
    pub taken: u64,
}

/// What was there.
pub struct Sent {
    pub at: u64,
    pub known: Vec<Known>,
    pub claims: Vec<claim::Sent>,
}

impl Beside {
    /// None where nothing can come.
    pub fn new(
        claims: Option<claims::Socket>,
        running: Option<Receiver<Known>>,
        labels: Labels,
        clock: Clock,
        told: &Arc<Told>,
    ) -> Option<Self> {
        let some = claims.is_some() || running.is_some();
        some.then(|| Self {
            claims,
            running,
            labels,
            clock,
            told: Arc::clone(told),
            taken: 0,
        })
    }

    pub fn labelled(&self) -> bool {
        self.told.labelled.load(Ordering::Acquire)
    }

    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.claims.as_ref().map(claims::Socket::descriptor)
    }

    /// What came until now.
    pub fn take(&mut self) -> Option<Sent> {
        self.taken = monotonic();
        let running = self.running.iter();
        let known: Vec<Known> = running.flat_map(Receiver::try_iter).collect();
        let claims = self.claims.as_ref();
        let claims = claims.map(|c| c.receive(self.clock, &self.labels));
        let (claims, more) = claims.unwrap_or_default();
        // what is left there may have been sent at once after the last
        let last = claims.last().map(|sent| sent.time);
        self.taken = last.filter(|_| more).unwrap_or(self.taken);
        (!known.is_empty() || !claims.is_empty()).then_some(Sent {
            at: self.taken,
            known,
            claims,
        })
    }
}
