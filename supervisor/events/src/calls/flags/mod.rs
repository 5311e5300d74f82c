//! Flags and numbers that have names: strace(1)'s, in the order in which it writes them.

pub mod events;
pub mod files;
pub mod memory;
pub mod network;
pub mod processes;
pub mod requests;
pub mod system;

use nix::errno::Errno;

/// Names of bits, and of values under a mask.
#[derive(Debug)]
pub struct Set {
    /// (mask, value, name): of one mask the first that is equal counts.
    pub values: &'static [(u64, u64, &'static str)],
    pub bits: &'static [(u64, &'static str)],
}

/// All that an `int` holds.
const ALL: u64 = u32::MAX as u64;

impl Set {
    /// As strace(1) writes them: values, then bits, then what has no name.
    pub fn text(&self, raw: u64) -> String {
        let mut rest = raw;
        let mut out: Vec<String> = Vec::new();
        let mut masks: Vec<u64> = Vec::new();
        for (mask, value, name) in self.values {
            if !masks.contains(mask) && raw & mask == *value {
                out.push((*name).into());
                masks.push(*mask);
                rest &= !mask;
            }
        }
        for (bits, name) in self.bits {
            if rest & bits == *bits {
                out.push((*name).into());
                rest &= !bits;
            }
        }
        if rest != 0 {
            out.push(format!("{rest:#x}"));
        }
        if out.is_empty() {
            return "0".into();
        }
        out.join("|")
    }
}

/// The library's number of a name, or the one that is written where the library has none.
macro_rules! numbered {
    ($name:ident) => {
        // some are negative as an `int`
        libc::$name as u64 & $crate::calls::flags::ALL
    };
    ($name:ident $value:literal) => {
        $value
    };
}
use numbered;

macro_rules! bits {
    ($($name:ident $(= $value:literal)?)*) => {
        &[$(($crate::calls::flags::numbered!($name $($value)?), stringify!($name))),*]
    };
}
use bits;

macro_rules! values {
    ($mask:expr; $($name:ident $(= $value:literal)?)*) => {
        &[$(($mask, $crate::calls::flags::numbered!($name $($value)?) & $mask, stringify!($name))),*]
    };
}
use values;

/// Those without a name of their own count from the first of the kernel's, as strace(1) has them.
pub fn signal(number: u32) -> String {
    const FIRST: u32 = 32;
    const LAST: u32 = 64;
    let known = i32::try_from(number).ok();
    let known = known.and_then(|n| nix::sys::signal::Signal::try_from(n).ok());
    match known {
        Some(signal) => signal.as_str().into(),
        None if number == FIRST => "SIGRTMIN".into(),
        None if (FIRST..=LAST).contains(&number) => format!("SIGRT_{}", number - FIRST),
        None => number.to_string(),
    }
}

pub fn errno(number: i32) -> &'static str {
    // the names that strace(1) prints are those of the variants
    static NAMES: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
        (0..256)
            .map(|n| match Errno::from_raw(n) {
                Errno::UnknownErrno => format!("errno_{n}"),
                known => format!("{known:?}"),
            })
            .collect()
    });
    usize::try_from(number)
        .ok()
        .and_then(|n| NAMES.get(n))
        .map_or("errno", String::as_str)
}

/// In the order of enum io_uring_op (include/uapi/linux/io_uring.h).
const URING: &[&str] = &[
    "NOP",
    "READV",
    "WRITEV",
    "FSYNC",
    "READ_FIXED",
    "WRITE_FIXED",
    "POLL_ADD",
    "POLL_REMOVE",
    "SYNC_FILE_RANGE",
    "SENDMSG",
    "RECVMSG",
    "TIMEOUT",
    "TIMEOUT_REMOVE",
    "ACCEPT",
    "ASYNC_CANCEL",
    "LINK_TIMEOUT",
    "CONNECT",
    "FALLOCATE",
    "OPENAT",
    "CLOSE",
    "FILES_UPDATE",
    "STATX",
    "READ",
    "WRITE",
    "FADVISE",
    "MADVISE",
    "SEND",
    "RECV",
    "OPENAT2",
    "EPOLL_CTL",
    "SPLICE",
    "PROVIDE_BUFFERS",
    "REMOVE_BUFFERS",
    "TEE",
    "SHUTDOWN",
    "RENAMEAT",
    "UNLINKAT",
    "MKDIRAT",
    "SYMLINKAT",
    "LINKAT",
    "MSG_RING",
    "FSETXATTR",
    "SETXATTR",
    "FGETXATTR",
    "GETXATTR",
    "SOCKET",
    "URING_CMD",
    "SEND_ZC",
    "SENDMSG_ZC",
    "READ_MULTISHOT",
    "WAITID",
    "FUTEX_WAIT",
    "FUTEX_WAKE",
    "FUTEX_WAITV",
    "FIXED_FD_INSTALL",
    "FTRUNCATE",
    "BIND",
    "LISTEN",
    "RECV_ZC",
    "EPOLL_WAIT",
    "READV_FIXED",
    "WRITEV_FIXED",
    "PIPE",
    "NOP128",
    "URING_CMD128",
];

pub fn uring(operation: u32) -> String {
    URING
        .get(operation as usize)
        .map_or_else(|| format!("operation_{operation}"), |name| (*name).into())
}
