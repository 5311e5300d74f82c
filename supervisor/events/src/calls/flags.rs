//! Flags and numbers that have names.

use nix::errno::Errno;

/// Names of bits, and of values under a mask.
#[derive(Debug)]
pub struct Set {
    /// (mask, value, name): of one mask the first that is equal counts.
    pub values: &'static [(u64, u64, &'static str)],
    pub bits: &'static [(u64, &'static str)],
}

impl Set {
    /// As strace(1) writes them: values, then bits, then what has no name.
    pub fn text(&self, raw: u64) -> String {
        let mut rest = raw & u64::from(u32::MAX);
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

macro_rules! bits {
    ($($name:ident)*) => { &[$((libc::$name as u64, stringify!($name))),*] };
}

pub static OPEN: Set = Set {
    values: &[(3, 0, "O_RDONLY"), (3, 1, "O_WRONLY"), (3, 2, "O_RDWR")],
    bits: bits!(O_CREAT O_EXCL O_NOCTTY O_TRUNC O_APPEND O_NONBLOCK O_SYNC O_DSYNC O_ASYNC O_DIRECT
        O_TMPFILE O_DIRECTORY O_NOFOLLOW O_NOATIME O_CLOEXEC O_PATH),
};

pub static AT: Set = Set {
    values: &[],
    bits: bits!(AT_SYMLINK_NOFOLLOW AT_REMOVEDIR AT_SYMLINK_FOLLOW AT_NO_AUTOMOUNT AT_EMPTY_PATH),
};

pub static ACCESS: Set = Set {
    values: &[(7, 0, "F_OK")],
    bits: bits!(R_OK W_OK X_OK),
};

pub fn signal(number: u32) -> String {
    i32::try_from(number)
        .ok()
        .and_then(|n| nix::sys::signal::Signal::try_from(n).ok())
        .map_or_else(|| number.to_string(), |s| s.as_str().into())
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
