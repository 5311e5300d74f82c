//! Where events go. A sink that fails blocks nobody: what it could not write is counted.

mod chrome;
mod json;
mod line;
mod out;
mod summary;
mod terminal;

use crate::event::Event;
pub use out::{Out, Unwritten};
use stockade_abi::{Count, CountKey};

pub trait Sink: Send {
    fn event(&mut self, event: &Event);

    /// Nothing more is there for now: what is kept back is written.
    fn flush(&mut self);

    /// Nothing comes after it. Counts are there where calls were counted.
    fn end(&mut self, counts: &[(CountKey, Count)]);

    fn unwritten(&self) -> &Unwritten;
}

/// How people see it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    pub colour: bool,
    /// Columns of the screen; without, no line is cut.
    pub width: Option<usize>,
}

pub struct Format {
    pub name: &'static str,
    pub about: &'static str,
    /// Needs counters alone, and no event of a call.
    pub counts: bool,
    pub open: fn(Out, Look) -> Box<dyn Sink>,
}

/// For other programs, whatever else there is.
pub fn json(out: Out) -> Box<dyn Sink> {
    (json::FORMAT.open)(out, Look::default())
}

pub static SINKS: &[Format] = &[
    terminal::FORMAT,
    json::FORMAT,
    summary::FORMAT,
    chrome::FORMAT,
];
