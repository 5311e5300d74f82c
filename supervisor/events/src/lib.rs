//! What happened: records of the eBPF programs decoded, attributed to processes and actions, written to sinks.
#![forbid(unsafe_code)]

pub mod calls;
pub mod claim;
mod event;
mod record;
mod schema;
pub mod sink;
mod tracker;
mod value;

pub use event::{ActionName, Event, Exe, Kind, Missing, VERSION};
pub use record::{Decoded, Pieces, Record, decode};
pub use schema::json_schema;
pub use tracker::{Clock, Known, Tracker};
pub use value::{Address, Argument, Bytes, PathText, Value};
