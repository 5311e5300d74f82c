//! What happened: records of the eBPF programs decoded, attributed to processes and actions, written to sinks.
#![forbid(unsafe_code)]

pub mod calls;
mod event;
mod record;
pub mod sink;
mod tracker;
mod value;

pub use event::{ActionName, Event, Kind, VERSION};
pub use record::{Decoded, Pieces, Record, decode};
pub use tracker::{Clock, Tracker};
pub use value::{Address, Argument, PathText, Value};
