//! From a policy to a confined process: `compile` makes the [`Plan`], plain data; `launch`
//! carries it out in a fresh single-threaded process. Unsafe code lives in `sys` alone.
#![deny(unsafe_code)]

mod backend;
pub mod bytes;
mod compile;
mod diag;
pub mod doubt;
mod facts;
mod launch;
pub mod performing;
mod plan;
mod sockets;
mod sys;

pub use backend::seccomp::{Filters, NoFilters};
pub use backend::{BACKENDS, Backend, Hold, Host, cgroup::remove_left as remove_group};
pub use compile::{
    CompileError, Environment, HostTree, Kind, OWN, Reach, Request, Snapshot, Tree, environment,
    holds_all_of,
};
pub use diag::{UnixFile, tcp_listener, unix_file, unix_files};
pub use facts::{Architecture, Cgroup, FactsError, HostFacts, Notify};
pub use launch::{
    Again, Event, Exit, LaunchError, Listener, REMOUNT, STAGE, Session, Watched, launch,
    remount_stage, stage,
};
pub use plan::{
    Beneath, Group, Held, Item, Landlock, Level, Partial, Plan, Sockets, Source, Terminal, Unmet,
};
pub use sockets::Socket;
pub use sys::{default_action, ignore, pidfd};
