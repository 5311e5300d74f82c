//! Loads and attaches the eBPF programs, and talks to their maps.

#![deny(unsafe_code)]

mod kernel;
mod load;
mod offsets;
#[allow(unsafe_code, reason = "each call argues")]
mod sys;
mod types;

pub use kernel::Kernel;
pub use load::{Labels, LoadError, Missed, Options, Probes, Records, privileged};
