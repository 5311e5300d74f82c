//! The one schema of what happened, for every sink.

use crate::value::{Argument, Bytes};
use serde::Serialize;

/// Raised when a field is renamed, removed or means something else; a new field does not raise it.
pub const VERSION: u32 = 1;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    pub version: u32,
    /// Nanoseconds of CLOCK_MONOTONIC: when it began.
    pub time: u64,
    /// Nanoseconds since 1970, by the clock's difference when tracing began.
    pub wall: u64,
    pub session: String,
    /// Stamped by the kernel.
    pub action: u32,
    /// What a hook said that this is; never the kernel's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed: Option<String>,
    /// The action's first process has ended.
    #[serde(skip_serializing_if = "is_false")]
    pub late: bool,
    pub pid: u32,
    pub tid: u32,
    /// The process as its own pid namespace numbers it.
    pub inside: u32,
    pub exe: Bytes,
    #[serde(flatten)]
    pub kind: Kind,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    Call {
        call: String,
        arguments: Vec<Argument>,
        /// None where the process ended in the call.
        result: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        errno: Option<&'static str>,
        /// Nanoseconds; none where the begin was not seen.
        duration: Option<u64>,
        /// Refused by a system call filter before the kernel looked at it.
        #[serde(skip_serializing_if = "is_false")]
        filtered: bool,
        /// Something of the arguments was too long to keep.
        #[serde(skip_serializing_if = "is_false")]
        cut: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        verdict: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
    },
    /// A process begins.
    Fork {
        parent: u32,
        thread: bool,
    },
    Exec {
        file: Bytes,
        arguments: Vec<Bytes>,
        /// Names alone: values are secrets.
        environment: Vec<Bytes>,
        #[serde(skip_serializing_if = "is_false")]
        cut: bool,
    },
    /// A process has ended.
    Exit {
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<i32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
    },
    Uring {
        operation: String,
        user_data: u64,
    },
    /// A new action, named by what its first process executes.
    Action {
        name: ActionName,
    },
    /// A claim that was not true, or that came too often.
    FalseClaim {
        of: u32,
        says: String,
    },
    /// Of a kind that this version does not know, or too short for its kind.
    Unknown {
        number: u16,
        size: usize,
    },
    /// What was not kept.
    Missing {
        /// Records that found no room in the ring.
        lost: u64,
        /// Program and how often the kernel skipped it.
        skipped: Vec<(String, u64)>,
        /// Calls whose end was not seen, arguments that no memory was behind, processes without room for a label.
        unfinished: u64,
        unreadable: u64,
        unlabelled: u64,
        /// What a sink could not take.
        unwritten: u64,
    },
}

/// How an action is called: the arguments of the first program that its first process executes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct ActionName(pub Vec<Bytes>);
