//! Structures that pointers lead to, and arguments that another argument gives its meaning.

use super::Kind::{
    Flags, Half, Hexadecimal, Int, Long, Mode, Nothing, Pointer, Signal, Struct, Text, Unsigned,
    Wide,
};
use super::flags::{events, files, network, processes, system};
use super::{Case, Cases, Field, Layout};
use libc::c_int;

const fn field(name: &'static str, at: u8, size: u8, kind: super::Kind) -> Field {
    Field {
        name,
        at,
        size,
        kind,
    }
}

macro_rules! layout {
    ($name:ident: $size:literal { $($field:tt: $at:literal $bytes:literal $kind:expr),* $(,)? }) => {
        pub static $name: Layout = Layout {
            size: $size,
            fields: &[$(field(stringify!($field), $at, $bytes, $kind)),*],
        };
    };
}

layout! { OPEN_HOW: 24 { flags: 0 8 Wide(&files::OPEN), mode: 8 8 Mode, resolve: 16 8 Wide(&files::RESOLVE) } }
layout! { CLONE_ARGS: 88 {
    flags: 0 8 Wide(&processes::CLONE3), pidfd: 8 8 Pointer, child_tid: 16 8 Pointer, parent_tid: 24 8 Pointer,
    exit_signal: 32 8 Signal, stack: 40 8 Pointer, stack_size: 48 8 Unsigned, tls: 56 8 Hexadecimal,
    set_tid: 64 8 Pointer, set_tid_size: 72 8 Unsigned, cgroup: 80 8 Unsigned,
} }
layout! { RLIMIT: 16 { current: 0 8 Unsigned, maximum: 8 8 Unsigned } }
layout! { TIMESPEC: 16 { seconds: 0 8 Long, nanoseconds: 8 8 Long } }
#[cfg(target_arch = "x86_64")]
layout! { TIMEVAL: 16 { seconds: 0 8 Long, microseconds: 8 8 Long } }
layout! { TIMES: 32 {
    access: 0 8 Long, access_nanoseconds: 8 8 Long, change: 16 8 Long, change_nanoseconds: 24 8 Long,
} }
layout! { ITIMERSPEC: 32 {
    interval: 0 8 Long, interval_nanoseconds: 8 8 Long, value: 16 8 Long, value_nanoseconds: 24 8 Long,
} }
layout! { ITIMERVAL: 32 {
    interval: 0 8 Long, interval_microseconds: 8 8 Long, value: 16 8 Long, value_microseconds: 24 8 Long,
} }
layout! { FLOCK: 32 {
    type: 0 2 Flags(&files::LOCK), whence: 2 2 Flags(&files::WHENCE), start: 8 8 Long, length: 16 8 Long,
} }
layout! { MOUNT_ATTRIBUTES: 32 {
    set: 0 8 Wide(&files::MOUNT_ATTR), clear: 8 8 Wide(&files::MOUNT_ATTR),
    propagation: 16 8 Wide(&files::PROPAGATION), user_namespace: 24 8 Unsigned,
} }
layout! { ACTION: 32 {
    handler: 0 8 Pointer, flags: 8 8 Wide(&processes::SIGACTION), restorer: 16 8 Pointer, mask: 24 8 Hexadecimal,
} }
layout! { RULESET: 24 {
    files: 0 8 Wide(&system::LANDLOCK_FS), network: 8 8 Wide(&system::LANDLOCK_NET),
    scoped: 16 8 Wide(&system::LANDLOCK_SCOPE),
} }
layout! { PATH_BENEATH: 12 { allowed: 0 8 Wide(&system::LANDLOCK_FS), parent: 8 4 Int } }
layout! { NET_PORT: 16 { allowed: 0 8 Wide(&system::LANDLOCK_NET), port: 8 8 Unsigned } }

// packed there alone (include/uapi/linux/eventpoll.h)
#[cfg(target_arch = "x86_64")]
layout! { EPOLL_EVENT: 12 { events: 0 4 Flags(&events::EPOLL_EVENTS), data: 4 8 Hexadecimal } }
#[cfg(not(target_arch = "x86_64"))]
layout! { EPOLL_EVENT: 16 { events: 0 4 Flags(&events::EPOLL_EVENTS), data: 8 8 Hexadecimal } }

const fn case(is: c_int, kind: super::Kind) -> Case {
    Case {
        mask: u32::MAX,
        is: is.cast_unsigned(),
        kind,
    }
}

/// All of these bits.
const fn bits(bits: c_int, kind: super::Kind) -> Case {
    Case {
        mask: bits.cast_unsigned(),
        is: bits.cast_unsigned(),
        kind,
    }
}

/// O_TMPFILE without O_DIRECTORY.
const TMPFILE: c_int = libc::O_TMPFILE & !libc::O_DIRECTORY;

const CREATES: &[Case] = &[bits(libc::O_CREAT, Mode), bits(TMPFILE, Mode)];
pub static OPEN_MODE: Cases = cases(1, CREATES, &Nothing);
pub static OPENAT_MODE: Cases = cases(2, CREATES, &Nothing);

const fn cases(argument: u8, cases: &'static [Case], otherwise: &'static super::Kind) -> Cases {
    Cases {
        argument,
        cases,
        otherwise: *otherwise,
    }
}

pub static FCNTL_ARGUMENT: Cases = cases(
    1,
    &[
        case(libc::F_DUPFD, Int),
        case(libc::F_DUPFD_CLOEXEC, Int),
        case(libc::F_GETFD, Nothing),
        case(libc::F_SETFD, Flags(&files::FD)),
        case(libc::F_GETFL, Nothing),
        case(libc::F_SETFL, Flags(&files::OPEN)),
        case(libc::F_SETLK, Struct(&FLOCK)),
        case(libc::F_SETLKW, Struct(&FLOCK)),
        case(libc::F_OFD_SETLK, Struct(&FLOCK)),
        case(libc::F_OFD_SETLKW, Struct(&FLOCK)),
        case(libc::F_SETOWN, Int),
        case(libc::F_GETOWN, Nothing),
        case(SETSIG, Signal),
        case(GETSIG, Nothing),
        case(libc::F_SETLEASE, Flags(&files::LOCK)),
        case(libc::F_GETLEASE, Nothing),
        case(libc::F_NOTIFY, Flags(&files::NOTIFY)),
        case(libc::F_SETPIPE_SZ, Int),
        case(libc::F_GETPIPE_SZ, Nothing),
        case(libc::F_ADD_SEALS, Flags(&files::SEALS)),
        case(libc::F_GET_SEALS, Nothing),
    ],
    &Hexadecimal,
);
const SETSIG: c_int = 10;
const GETSIG: c_int = 11;

pub static PROTOCOL: Cases = cases(
    0,
    &[
        case(libc::AF_INET, Flags(&network::INET_PROTOCOL)),
        case(libc::AF_INET6, Flags(&network::INET_PROTOCOL)),
        case(libc::AF_NETLINK, Flags(&network::NETLINK_PROTOCOL)),
    ],
    &Int,
);

pub static OPTION: Cases = cases(
    1,
    &[
        case(libc::SOL_SOCKET, Flags(&network::SO)),
        case(libc::IPPROTO_IP, Flags(&network::IP)),
        case(libc::IPPROTO_TCP, Flags(&network::TCP)),
        case(libc::IPPROTO_UDP, Flags(&network::UDP)),
        case(libc::IPPROTO_IPV6, Flags(&network::IPV6)),
        case(libc::SOL_NETLINK, Flags(&network::NETLINK)),
        case(libc::SOL_PACKET, Flags(&network::PACKET)),
    ],
    &Int,
);

const fn operation(is: c_int, kind: super::Kind) -> Case {
    Case {
        mask: 127,
        is: is.cast_unsigned(),
        kind,
    }
}

pub static FUTEX_3: Cases = cases(
    1,
    &[
        operation(libc::FUTEX_WAIT, Struct(&TIMESPEC)),
        operation(libc::FUTEX_WAIT_BITSET, Struct(&TIMESPEC)),
        operation(libc::FUTEX_LOCK_PI, Struct(&TIMESPEC)),
        operation(libc::FUTEX_WAIT_REQUEUE_PI, Struct(&TIMESPEC)),
        operation(libc::FUTEX_REQUEUE, Half),
        operation(libc::FUTEX_CMP_REQUEUE, Half),
        operation(libc::FUTEX_CMP_REQUEUE_PI, Half),
        operation(libc::FUTEX_WAKE_OP, Half),
    ],
    &Nothing,
);
pub static FUTEX_4: Cases = cases(
    1,
    &[
        operation(libc::FUTEX_REQUEUE, Pointer),
        operation(libc::FUTEX_CMP_REQUEUE, Pointer),
        operation(libc::FUTEX_CMP_REQUEUE_PI, Pointer),
        operation(libc::FUTEX_WAIT_REQUEUE_PI, Pointer),
        operation(libc::FUTEX_WAKE_OP, Pointer),
    ],
    &Nothing,
);
pub static FUTEX_5: Cases = cases(
    1,
    &[
        operation(libc::FUTEX_WAIT_BITSET, Flags(&processes::BITSET)),
        operation(libc::FUTEX_WAKE_BITSET, Flags(&processes::BITSET)),
        operation(libc::FUTEX_CMP_REQUEUE, Half),
        operation(libc::FUTEX_CMP_REQUEUE_PI, Half),
        operation(libc::FUTEX_WAKE_OP, Hexadecimal),
    ],
    &Nothing,
);

pub static PRCTL_2: Cases = cases(
    0,
    &[
        case(libc::PR_SET_NAME, Text),
        case(libc::PR_GET_NAME, Pointer),
        case(libc::PR_SET_PDEATHSIG, Signal),
        case(libc::PR_GET_PDEATHSIG, Pointer),
        case(libc::PR_SET_DUMPABLE, Flags(&processes::DUMPABLE)),
        case(libc::PR_GET_DUMPABLE, Nothing),
        case(libc::PR_SET_KEEPCAPS, Unsigned),
        case(libc::PR_GET_KEEPCAPS, Nothing),
        case(libc::PR_SET_NO_NEW_PRIVS, Unsigned),
        case(libc::PR_GET_NO_NEW_PRIVS, Unsigned),
        case(libc::PR_SET_CHILD_SUBREAPER, Unsigned),
        case(libc::PR_GET_CHILD_SUBREAPER, Pointer),
        case(libc::PR_SET_TIMERSLACK, Unsigned),
        case(libc::PR_GET_TIMERSLACK, Nothing),
        case(libc::PR_GET_SECCOMP, Nothing),
        case(libc::PR_GET_SECUREBITS, Nothing),
    ],
    &Hexadecimal,
);

/// Of options that have one argument, or none.
const ONE: &[Case] = &[
    case(libc::PR_SET_NAME, Nothing),
    case(libc::PR_GET_NAME, Nothing),
    case(libc::PR_SET_PDEATHSIG, Nothing),
    case(libc::PR_GET_PDEATHSIG, Nothing),
    case(libc::PR_SET_DUMPABLE, Nothing),
    case(libc::PR_GET_DUMPABLE, Nothing),
    case(libc::PR_SET_KEEPCAPS, Nothing),
    case(libc::PR_GET_KEEPCAPS, Nothing),
    case(libc::PR_SET_CHILD_SUBREAPER, Nothing),
    case(libc::PR_GET_CHILD_SUBREAPER, Nothing),
    case(libc::PR_SET_TIMERSLACK, Nothing),
    case(libc::PR_GET_TIMERSLACK, Nothing),
    case(libc::PR_GET_SECCOMP, Nothing),
    case(libc::PR_CAPBSET_READ, Nothing),
    case(libc::PR_CAPBSET_DROP, Nothing),
    case(libc::PR_GET_SECUREBITS, Nothing),
    case(libc::PR_SET_SECUREBITS, Nothing),
];
pub static PRCTL_3: Cases = cases(0, ONE, &Hexadecimal);
pub static PRCTL_4: Cases = cases(0, ONE, &Hexadecimal);
pub static PRCTL_5: Cases = cases(0, ONE, &Hexadecimal);

const fn device(kind: libc::mode_t) -> Case {
    Case {
        mask: libc::S_IFMT,
        is: kind,
        kind: Hexadecimal,
    }
}

const DEVICES: &[Case] = &[device(libc::S_IFCHR), device(libc::S_IFBLK)];
#[cfg(target_arch = "x86_64")]
pub static MKNOD_DEVICE: Cases = cases(1, DEVICES, &Nothing);
pub static MKNODAT_DEVICE: Cases = cases(2, DEVICES, &Nothing);

pub static QUEUE: Cases = cases(1, &[bits(libc::O_CREAT, Pointer)], &Nothing);

/// With MEMBARRIER_CMD_FLAG_CPU.
pub static MEMBARRIER_CPU: Cases = cases(1, &[bits(1, Int)], &Nothing);

pub static RESTART: Cases = cases(2, &[case(libc::LINUX_REBOOT_CMD_RESTART2, Text)], &Nothing);

pub static MREMAP_TO: Cases = cases(3, &[bits(libc::MREMAP_FIXED, Pointer)], &Nothing);

pub static SECCOMP_FLAGS: Cases = cases(
    0,
    &[Case {
        mask: u32::MAX,
        is: libc::SECCOMP_SET_MODE_FILTER,
        kind: Flags(&system::SECCOMP_FILTER),
    }],
    &Hexadecimal,
);

const BENEATH: c_int = 1;
const PORT: c_int = 2;
pub static LANDLOCK_ATTR: Cases = cases(
    1,
    &[
        case(BENEATH, Struct(&PATH_BENEATH)),
        case(PORT, Struct(&NET_PORT)),
    ],
    &Pointer,
);
