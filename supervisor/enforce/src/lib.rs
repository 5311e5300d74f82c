//! From a policy to a confined process: `compile` makes the [`Plan`], plain data; `launch`
//! carries it out in a fresh single-threaded process. Unsafe code lives in `sys` alone.
#![deny(unsafe_code)]

mod backend;
mod compile;
mod launch;
mod plan;
mod sys;

pub use compile::{CompileError, Request, compile};
pub use launch::{Exit, LaunchError, STAGE, Session, launch, stage};
pub use plan::{Item, Level, Plan, Source, Unmet};
