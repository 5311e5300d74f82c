//! Loads and attaches the eBPF programs, and talks to their maps.

mod kernel;
mod load;
mod offsets;
mod sys;

pub use kernel::Kernel;
pub use load::{LoadError, Missed, Options, Probes, Records};
