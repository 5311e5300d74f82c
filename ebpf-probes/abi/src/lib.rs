//! What the eBPF programs and the user side share; nothing else defines these structs.
//!
//! A record is a [`Head`] and what its kind says, in the byte order of the machine. Sizes are bytes, times are
//! nanoseconds of CLOCK_MONOTONIC, ids of processes and threads those of the first pid namespace.
#![no_std]
#![forbid(unsafe_code)]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// System call numbers that are known to filters and counters.
pub const CALLS: usize = 512;
/// Errnos that a filter knows.
pub const ERRNOS: usize = 256;
/// What is read of one call's arguments besides their values.
pub const PICKS: usize = 6;
/// Text of a call that fits beside it; longer pieces come in a [`LongText`] of their own.
pub const TEXT: usize = 3072;
/// The most of one piece that is kept beside the call.
pub const PIECE: usize = 256;
/// The most of one piece in a [`LongText`]: PATH_MAX.
pub const LONG: usize = 4096;
/// Of an executed file's name, its arguments and its environment.
pub const EXEC_FILE: usize = 512;
pub const EXEC_ARGUMENTS: usize = 4096;
pub const EXEC_ENVIRONMENT: usize = 4096;
/// Each bucket holds twice the time of the one before; the first one less than 256 ns.
pub const BUCKETS: usize = 32;
pub const FIRST_BUCKET_BITS: u32 = 8;

/// [`Head::kind`]. A number that is none of these is an event of its own on the user side.
pub mod kind {
    pub const CALL: u16 = 1;
    pub const LONG_TEXT: u16 = 2;
    pub const FORK: u16 = 3;
    pub const EXEC: u16 = 4;
    pub const EXIT: u16 = 5;
    pub const URING: u16 = 6;
}

/// [`Head::flags`].
pub mod flag {
    /// Nothing was seen of the call's begin: a filter refused it, or tracing began in it.
    pub const NO_ENTRY: u16 = 1;
    /// The process ended in the call.
    pub const NO_RESULT: u16 = 2;
    /// Of another architecture's table (i386 on x86_64): the number alone is known.
    pub const FOREIGN: u16 = 4;
    /// Something of the text did not fit or was not walked to its end.
    pub const CUT: u16 = 8;
    /// The process that makes it is the agent's own.
    pub const AGENT: u16 = 16;
    /// A thread, and no process of its own.
    pub const THREAD: u16 = 32;
    /// The last thread of its process.
    pub const LAST: u16 = 64;
}

/// [`Piece::what`].
pub mod piece {
    /// A path as it was passed.
    pub const PATH: u8 = 1;
    /// Names from the directory that a relative path begins at up to the root of the process, each with a NUL. There is
    /// none where the directory lies outside of that root or is too deep.
    pub const BASE: u8 = 2;
    /// A socket address.
    pub const ADDRESS: u8 = 3;
    /// A structure or a buffer.
    pub const BYTES: u8 = 4;
    /// The strings of an argument vector, each with a NUL.
    pub const STRING: u8 = 5;
    /// The pointer led nowhere.
    pub const UNREADABLE: u8 = 6;
    /// What would be here is in a [`super::LongText`](super::LongText) of the same call.
    pub const ELSEWHERE: u8 = 7;
    /// [`BASE`] of a directory that was removed.
    pub const BASE_DELETED: u8 = 8;
}

/// [`Pick::what`]: how an argument is read.
pub mod pick {
    pub const NONE: u8 = 0;
    /// A path; `with` is the argument that holds the directory's descriptor, [`CWD`] without.
    pub const PATH: u8 = 1;
    /// A path that begins nowhere: a link's text, a name of an attribute.
    pub const TEXT: u8 = 2;
    /// A socket address of `with`'s length.
    pub const ADDRESS: u8 = 3;
    /// One that the kernel wrote; `with` points to its length.
    pub const ADDRESS_OUT: u8 = 4;
    /// `size` bytes, or as many as the argument `with` says where that is less; [`ALL`] without.
    pub const BYTES: u8 = 5;
    /// `size` bytes that the kernel wrote.
    pub const BYTES_OUT: u8 = 6;
    /// As many bytes as the result says.
    pub const RESULT_OUT: u8 = 7;
    /// The address in a struct msghdr.
    pub const MESSAGE: u8 = 8;
    /// The first strings of a vector, where the call failed.
    pub const STRINGS: u8 = 9;
    /// The address in one that the kernel filled.
    pub const MESSAGE_OUT: u8 = 10;
    /// At most `size` bytes that the kernel wrote; `with` points to their length.
    pub const SIZED_OUT: u8 = 11;
    /// `size` bytes before and after.
    pub const IN_OUT: u8 = 12;

    pub const CWD: u8 = 0xff;
    pub const ALL: u8 = 0xff;
    pub const ALWAYS: u8 = 0xff;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Pick {
    pub what: u8,
    pub argument: u8,
    pub with: u8,
    pub size: u8,
    /// Only where this argument, under `mask`, is `is`; [`pick::ALWAYS`] without.
    pub when: u8,
    pub padding: [u8; 3],
    pub mask: u32,
    pub is: u32,
}

impl Pick {
    pub const NONE: Self = Self {
        what: pick::NONE,
        argument: 0,
        with: 0,
        size: 0,
        when: pick::ALWAYS,
        padding: [0; 3],
        mask: 0,
        is: 0,
    };
}

/// What is read of a call, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Shape {
    pub picks: [Pick; PICKS],
}

/// What is recorded; written by the user side alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Filter {
    /// Calls that are recorded whatever comes of them.
    pub always: [u64; CALLS / 64],
    /// Calls that are recorded where they fail with one of `errnos`.
    pub failed: [u64; CALLS / 64],
    /// Calls that are recorded where their flags (see `writing_argument`) say that they write or make.
    pub writing: [u64; CALLS / 64],
    pub errnos: [u64; ERRNOS / 64],
    /// Whether calls are counted.
    pub counted: u32,
    /// Whether forks, execs, exits and submissions are recorded.
    pub processes: u32,
    /// The agent's executable; none where the first process is the agent.
    pub agent_device: u32,
    pub padding: u32,
    pub agent_inode: u64,
}

/// What the kernel side counts of a whole session; written by it alone.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Tally {
    pub next_action: u64,
    /// Records that were put into the ring.
    pub kept: u64,
    /// Records that found no room there.
    pub lost: u64,
    /// Processes and threads for which no storage was to be had: they are not seen.
    pub unlabelled: u64,
    /// Calls whose begin was seen and whose end was not.
    pub no_exit: u64,
    /// Counters that found no room: calls that are counted nowhere else.
    pub uncounted: u64,
    /// Arguments that could not be read at all.
    pub unreadable: u64,
}

#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
)]
#[repr(C)]
pub struct CountKey {
    pub action: u32,
    pub call: u32,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Count {
    pub calls: u64,
    pub failed: u64,
    /// Nanoseconds from begin to end, together.
    pub time: u64,
    pub times: [u32; BUCKETS],
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Head {
    pub kind: u16,
    pub flags: u16,
    /// Of the whole record.
    pub size: u32,
    pub action: u32,
    pub process: u32,
    pub thread: u32,
    pub padding: u32,
    pub time: u64,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Piece {
    pub what: u8,
    pub argument: u8,
    pub size: u16,
}

/// One system call, when it returned; the text of its pieces follows, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Call {
    pub head: Head,
    pub call: u32,
    /// Counts the calls of one thread; the same in what belongs to one.
    pub serial: u32,
    pub result: i64,
    /// Nanoseconds; 0 where the begin was not seen.
    pub duration: u64,
    pub arguments: [u64; 6],
    pub pieces: [Piece; PIECES],
}

pub const PIECES: usize = 8;

/// A piece that is longer than [`PIECE`], before the call that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct LongText {
    pub head: Head,
    pub serial: u32,
    pub piece: Piece,
    pub text: [u8; LONG],
}

/// A process or a thread begins; the head is the new one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Fork {
    pub head: Head,
    pub parent_process: u32,
    pub parent_thread: u32,
    pub parent_action: u32,
    /// As the innermost pid namespace numbers it.
    pub inside: u32,
}

/// A process executes another program; arguments and environment are as the new program has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Exec {
    pub head: Head,
    /// The thread's number before: another where a thread of many executes.
    pub thread_before: u32,
    pub device: u32,
    pub inode: u64,
    pub inside: u32,
    pub file_size: u32,
    /// As long as they are; what is kept of them is less where they are longer than there is room.
    pub arguments_size: u64,
    pub environment_size: u64,
    pub file: [u8; EXEC_FILE],
    pub arguments: [u8; EXEC_ARGUMENTS],
    pub environment: [u8; EXEC_ENVIRONMENT],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Exit {
    pub head: Head,
    /// As wait(2) says it.
    pub status: u32,
    pub padding: u32,
}

/// A request that was submitted to an io_uring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Uring {
    pub head: Head,
    pub operation: u32,
    pub flags: u32,
    pub user_data: u64,
}

/// In task storage: whose a task is, and since when it is in which call. Small, because there must be room for it at
/// each fork, and the kernel takes that without waiting.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Task {
    pub action: u32,
    pub flags: u32,
    pub serial: u32,
    pub call: u32,
    pub time: u64,
}

/// In another one, where a call is recorded: what was collected of it.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Work {
    pub action: u32,
    pub serial: u32,
    /// Of `text`.
    pub used: u32,
    /// Pieces so far.
    pub pieces: u32,
    pub call: Call,
    pub text: [u8; TEXT + PIECE],
}

/// [`Task::flags`].
pub mod task {
    /// The agent's own executable runs: what it starts are actions.
    pub const AGENT: u32 = 1;
    /// In a call whose begin was seen.
    pub const INSIDE: u32 = 2;
    /// Has not returned from the call that made it.
    pub const NEW: u32 = 4;
    /// What the call is given was read at its begin.
    pub const COLLECTED: u32 = 16;
    /// In an exec of the agent's own executable.
    pub const CHOSEN: u32 = 8;
    /// Has not executed the command yet: what it does is stockade's own, and counted for nobody.
    pub const BEGINS: u32 = 1 << 8;
}

/// The flags argument of the calls that [`Filter::writing`] can name: open(2) and openat(2).
pub const O_WRITES: u64 = 0o3 | 0o100 | 0o1000 | 0o2000;
