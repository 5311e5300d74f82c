//! The one schema of what happened, for every sink.

use crate::claim::Says;
use crate::value::{Argument, Bytes, as_text};
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;

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
    pub session: Arc<str>,
    /// Stamped by the kernel.
    pub action: u32,
    /// What a hook said that this is; never the kernel's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed: Option<String>,
    /// Another thing is claimed of it at the same time.
    #[serde(skip_serializing_if = "is_false")]
    pub overlaps: bool,
    /// The action's first process has ended.
    #[serde(skip_serializing_if = "is_false")]
    pub late: bool,
    pub pid: u32,
    pub tid: u32,
    /// The process as its own pid namespace numbers it.
    pub inside: u32,
    pub exe: Exe,
    #[serde(flatten)]
    pub kind: Kind,
}

/// The path of a process's program, as its exec named it; empty where that was not seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exe(pub Arc<[u8]>);

impl Serialize for Exe {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        as_text(&self.0, to)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    Call {
        call: Cow<'static, str>,
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
    /// A new action, named by what its first process executes; again where that was too long to keep and what it executes
    /// then is not.
    Action {
        name: ActionName,
    },
    /// What a hook says, sent by a process of the event's action.
    Claim {
        says: Says,
        id: String,
        label: String,
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
    /// What was not kept; the last event of a trace that came to its end, all zero where nothing is missing.
    Missing(Missing),
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Missing {
    /// Records that found room in the ring.
    pub kept: u64,
    /// Records that found none.
    pub lost: u64,
    /// Programs that the kernel skipped, and how often.
    pub skipped: Vec<(String, u64)>,
    /// Calls whose end was not seen.
    pub unfinished: u64,
    /// Arguments that no memory was behind.
    pub unreadable: u64,
    /// Processes and threads that there was no room to label: nothing of them is seen.
    pub unlabelled: u64,
    /// Calls that are in no counter.
    pub uncounted: u64,
    /// Events that could not be written.
    pub unwritten: u64,
}

impl Missing {
    /// An argument that can't be read is the caller's doing, and said in its call.
    pub fn is_nothing(&self) -> bool {
        let Self {
            kept: _,
            unreadable: _,
            lost,
            skipped,
            unfinished,
            unlabelled,
            uncounted,
            unwritten,
        } = self;
        skipped.is_empty() && [lost, unfinished, unlabelled, uncounted, unwritten] == [&0; 5]
    }
}

/// How an action is called: the arguments of the first program that its first process executes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct ActionName(pub Vec<Bytes>);
