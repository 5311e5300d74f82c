//! Makes the calls that no program makes: every number, high bits, files of other processes, what a
//! file has besides its content. A line each: what was tried, and `ok` or the errno's name.
#![allow(unsafe_code, reason = "calls that no library wraps, one each")]

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

type Tried = Result<(), Errno>;
type Arguments = [u64; 6];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["numbers", ref ranges @ ..] => ranges.iter().for_each(|r| every_number(r)),
        ["refused", ref calls @ ..] => calls.iter().for_each(|c| with_high_bits(number(c))),
        ["compared"] => compared(),
        ["process", ref pids @ ..] => pids.iter().for_each(|p| of_a_process(p)),
        ["besides", path] => besides(path),
        ["steal", path, until] => steal(path, until),
        ["datagram", family, port] => say("datagram", datagram(family, number(port))),
        ["queue", what, name] => say(what, queue(what, name)),
        _ => std::process::exit(2),
    }
}

fn say(what: impl std::fmt::Display, tried: Tried) {
    match tried {
        Ok(()) => println!("{what} ok"),
        Err(errno) => println!("{what} {errno:?}"),
    }
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or(-1)
}

fn raw(call: i64, [a, b, c, d, e, f]: Arguments) -> Tried {
    // SAFETY: what the callers pass points nowhere or to a constant: the kernel answers EFAULT.
    let result = unsafe { libc::syscall(call, a, b, c, d, e, f) };
    Errno::result(result).map(drop)
}

/// A call with zeros is about the first descriptor: never the caller's, which may be a device of the machine.
fn own_streams() -> nix::Result<()> {
    let (read, write) = nix::unistd::pipe()?;
    nix::unistd::dup2_stdin(&read)?;
    nix::unistd::dup2_stdout(&write)?;
    nix::unistd::dup2_stderr(&write)
}

/// What becomes of a call that may end, stop or copy the process that makes it.
fn in_a_child(call: i64, arguments: Arguments) -> String {
    // SAFETY: this process has one thread.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            nix::unistd::alarm::set(1);
            let tried = own_streams().and_then(|()| raw(call, arguments));
            let status = match tried {
                Err(Errno::EPERM) => 1,
                Err(Errno::ENOSYS) => 2,
                Ok(()) | Err(_) => 0,
            };
            // SAFETY: ends this process alone, with nothing of the parent's run again.
            unsafe { libc::_exit(status) }
        }
        Ok(ForkResult::Parent { child }) => match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 1)) => "EPERM".to_owned(),
            Ok(WaitStatus::Exited(_, 2)) => "ENOSYS".to_owned(),
            Ok(WaitStatus::Signaled(_, nix::sys::signal::Signal::SIGSYS, _)) => "SIGSYS".to_owned(),
            // it was let through: what it did to a process that means nothing by it is its own
            Ok(_) => "let".to_owned(),
            Err(errno) => format!("{errno:?}"),
        },
        Err(errno) => format!("{errno:?}"),
    }
}

/// `FIRST:LAST`: number, answer with arguments of zeros, answer with arguments of ones.
fn every_number(range: &str) {
    let (first, last) = range.split_once(':').unwrap_or((range, range));
    for call in number(first)..=number(last) {
        let [zeros, ones] = [0, u64::MAX].map(|word| in_a_child(call, [word; 6]));
        println!("{call} {zeros} {ones}");
    }
}

/// A call that is refused by its number, with each high bit of each argument and of the number.
fn with_high_bits(call: i64) {
    for bit in (32..64).map(|n| 1_u64 << n) {
        for argument in 0..6 {
            let mut all = [0; 6];
            all[argument] = bit;
            if raw(call, all) != Err(Errno::EPERM) {
                println!("{call} argument {argument} {bit:#x} {:?}", raw(call, all));
            }
        }
        let called = raw(call | bit.cast_signed(), [0; 6]);
        if called != Err(Errno::EPERM) {
            println!("{call} number {bit:#x} {called:?}");
        }
    }
    println!("{call} done");
}

const NONE: u64 = u64::MAX;
/// No process has this number (PID_MAX_LIMIT is lower), nor has any user's group.
const NOBODY: u64 = 0x3fff_fff0;
const HERE: u64 = libc::AT_FDCWD as u64;
/// Stands for the address of an empty name, for which nothing is found.
const EMPTY: u64 = 1 << 62;
/// No kind of socket.
const NO_KIND: u64 = 0x7ff0;
const FAST: u64 = libc::MSG_FASTOPEN as u64;
const CORE: u64 = libc::RLIMIT_CORE as u64;
/// With it and without SIGHAND no kernel makes a process.
const THREAD: u64 = libc::CLONE_THREAD as u64;
const MAKES: u64 = libc::O_CREAT as u64;
const UNNAMED: u64 = libc::O_TMPFILE as u64 | 2;
const SETS: u64 = 0o4755;
const PLAIN: u64 = 0o755;

/// A call one of whose arguments is compared: a value that is refused, one that is not, and the arguments
/// that the kernel reads as `int`. Where it is let through it does nothing.
struct Compared {
    name: &'static str,
    call: i64,
    refused: Arguments,
    allowed: Arguments,
    ints: &'static [usize],
}

type Words<const N: usize> = [u64; N];

const fn six<const N: usize>(words: Words<N>) -> Arguments {
    let mut all = [0; 6];
    let mut at = 0;
    while at < N {
        all[at] = words[at];
        at += 1;
    }
    all
}

const fn row<const N: usize>(
    name: &'static str,
    call: i64,
    refused: Words<N>,
    allowed: Words<N>,
    ints: &'static [usize],
) -> Compared {
    Compared {
        name,
        call,
        refused: six(refused),
        allowed: six(allowed),
        ints,
    }
}

const fn ioctl(request: u64) -> Compared {
    let other = [NONE, libc::TCGETS];
    row("ioctl", libc::SYS_ioctl, [NONE, request], other, &[0, 1])
}

const fn clone(space: i32) -> Compared {
    let all = [THREAD | space as u64];
    row("clone", libc::SYS_clone, all, [THREAD], &[0])
}

const fn socket(family: i32) -> Compared {
    let netlink = [libc::AF_NETLINK as u64, NO_KIND, 0];
    let other = [family as u64, NO_KIND, 0];
    row("socket", libc::SYS_socket, other, netlink, &[0, 1, 2])
}

const fn openat(makes: u64) -> Compared {
    let [sets, plain] = [[HERE, EMPTY, makes, SETS], [HERE, EMPTY, makes, PLAIN]];
    row("openat", libc::SYS_openat, sets, plain, &[0, 2, 3])
}

const fn at(name: &'static str, call: i64) -> Compared {
    row(
        name,
        call,
        [HERE, EMPTY, SETS],
        [HERE, EMPTY, PLAIN],
        &[0, 2],
    )
}

const fn send(
    name: &'static str,
    call: i64,
    refused: Words<4>,
    ints: &'static [usize],
) -> Compared {
    row(name, call, refused, [NONE, 0, 0, 0], ints)
}

#[cfg(target_arch = "x86_64")]
const fn old(name: &'static str, call: i64) -> Compared {
    row(name, call, [EMPTY, SETS], [EMPTY, PLAIN], &[1])
}

const TABLE: &[Compared] = &[
    ioctl(libc::TIOCSTI),
    ioctl(libc::TIOCLINUX),
    clone(libc::CLONE_NEWNS),
    clone(libc::CLONE_NEWCGROUP),
    clone(libc::CLONE_NEWUTS),
    clone(libc::CLONE_NEWIPC),
    clone(libc::CLONE_NEWUSER),
    clone(libc::CLONE_NEWPID),
    clone(libc::CLONE_NEWNET),
    socket(libc::AF_PACKET),
    socket(libc::AF_VSOCK),
    socket(libc::AF_ALG),
    socket(libc::AF_BLUETOOTH),
    row(
        "fchmod",
        libc::SYS_fchmod,
        [NONE, SETS],
        [NONE, PLAIN],
        &[0, 1],
    ),
    at("fchmodat", libc::SYS_fchmodat),
    at("fchmodat2", 452),
    at("mknodat", libc::SYS_mknodat),
    openat(MAKES),
    openat(UNNAMED),
    send("sendto", libc::SYS_sendto, [NONE, 0, 0, FAST], &[0, 3, 5]),
    send("sendmsg", libc::SYS_sendmsg, [NONE, 0, FAST, 0], &[0, 2]),
    send(
        "sendmmsg",
        libc::SYS_sendmmsg,
        [NONE, 0, 0, FAST],
        &[0, 2, 3],
    ),
    // a new limit at an address where nothing is
    row(
        "others-prlimit64",
        libc::SYS_prlimit64,
        [NOBODY, CORE, 1],
        [0, CORE, 1],
        &[0, 1],
    ),
    row(
        "others-setpriority",
        libc::SYS_setpriority,
        [0, NOBODY, 19],
        [0, 0, 0],
        &[0, 1],
    ),
    row(
        "others-ioprio_set",
        libc::SYS_ioprio_set,
        [1, NOBODY, 0],
        [1, 0, 0],
        &[0, 1],
    ),
    #[cfg(target_arch = "x86_64")]
    old("chmod", libc::SYS_chmod),
    #[cfg(target_arch = "x86_64")]
    old("creat", libc::SYS_creat),
    #[cfg(target_arch = "x86_64")]
    old("mknod", libc::SYS_mknod),
    #[cfg(target_arch = "x86_64")]
    row(
        "open",
        libc::SYS_open,
        [EMPTY, MAKES, SETS],
        [EMPTY, MAKES, PLAIN],
        &[1, 2],
    ),
];

/// Name, how the refused value was answered and how the other, over all high bits of all arguments.
fn compared() {
    let empty = c"".as_ptr() as u64;
    for row in TABLE {
        let all = |of: Arguments| {
            let mut answers = std::collections::BTreeSet::new();
            let bits = (32..64).map(|n| 1_u64 << n);
            let flips = bits.flat_map(|b| row.ints.iter().map(move |at| (*at, b)));
            for (at, bit) in std::iter::once((0, 0)).chain(flips) {
                let mut arguments = of.map(|word| if word == EMPTY { empty } else { word });
                arguments[at] ^= bit;
                let refused = raw(row.call, arguments) == Err(Errno::EPERM);
                answers.insert(if refused { "EPERM" } else { "let" });
            }
            answers.into_iter().collect::<Vec<_>>().join(",")
        };
        println!("{} {} {}", row.name, all(row.refused), all(row.allowed));
    }
}

fn opened(path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
    open(path, flags | OFlag::O_CLOEXEC, Mode::empty())
}

fn first_byte(path: &str) -> Tried {
    let file = opened(path, OFlag::O_RDONLY)?;
    nix::unistd::read(&file, &mut [0; 8]).map(drop)
}

/// What /proc and the calls by number give of a process.
fn of_a_process(pid: &str) {
    let process = Pid::from_raw(pid.parse().unwrap_or(-1));
    for file in ["environ", "mem", "maps", "auxv"] {
        let tried = opened(&format!("/proc/{pid}/{file}"), OFlag::O_RDONLY);
        say(file, tried.map(drop));
    }
    // asked when they are read
    for file in ["io", "syscall", "personality", "pagemap"] {
        say(file, first_byte(&format!("/proc/{pid}/{file}")));
    }
    say(
        "mem-write",
        opened(&format!("/proc/{pid}/mem"), OFlag::O_RDWR).map(drop),
    );
    for link in ["exe", "root", "cwd", "fd/0", "ns/mnt"] {
        let path = format!("/proc/{pid}/{link}");
        say(link, nix::fcntl::readlink(path.as_str()).map(drop));
        let through = opened(&path, OFlag::O_PATH).map(drop);
        say(format!("{link}-through"), through);
    }
    of_its_memory(process);
    of_a_descriptor(process);
    for file in ["oom_score_adj", "comm", "coredump_filter", "timerslack_ns"] {
        let tried = opened(&format!("/proc/{pid}/{file}"), OFlag::O_WRONLY);
        say(file, tried.map(drop));
    }
}

fn of_its_memory(process: Pid) {
    say(
        "seize",
        nix::sys::ptrace::seize(process, nix::sys::ptrace::Options::empty()),
    );
    let mut byte = [0; 1];
    let mut local = [std::io::IoSliceMut::new(&mut byte)];
    let remote = [nix::sys::uio::RemoteIoVec {
        base: 0x1000,
        len: 1,
    }];
    // EFAULT where it is let through: nothing lies there
    let read = match nix::sys::uio::process_vm_readv(process, &mut local, &remote) {
        Err(Errno::EFAULT) => Ok(()),
        other => other.map(drop),
    };
    say("vm-read", read);
}

/// By a descriptor of it, and by its number.
fn of_a_descriptor(process: Pid) {
    let id = process.as_raw().cast_unsigned();
    // SAFETY: no pointers; the descriptor ends with the process.
    let held = unsafe { libc::syscall(libc::SYS_pidfd_open, id, 0) };
    let held = u64::try_from(held).unwrap_or(u64::MAX);
    say(
        "descriptor",
        raw(libc::SYS_pidfd_getfd, [held, 0, 0, 0, 0, 0]),
    );
    let advice = libc::MADV_COLD as u64;
    let none = c"".as_ptr() as u64;
    say(
        "advise",
        raw(libc::SYS_process_madvise, [held, none, 0, advice, 0, 0]),
    );
    let own = u64::from(std::process::id());
    say(
        "compare",
        raw(libc::SYS_kcmp, [u64::from(id), own, 0, 0, 0, 0]),
    );
    let (mut head, mut length) = (0_u64, 0_u64);
    let asked = [
        u64::from(id),
        &raw mut head as u64,
        &raw mut length as u64,
        0,
        0,
        0,
    ];
    say("futexes", raw(libc::SYS_get_robust_list, asked));
    for (name, signal) in [("signal", libc::SIGURG), ("exists", 0)] {
        let kill = [u64::from(id), signal as u64, 0, 0, 0, 0];
        say(name, raw(libc::SYS_kill, kill));
        say(format!("{name}-thread"), raw(libc::SYS_tkill, kill));
        say(
            format!("{name}-descriptor"),
            raw(
                libc::SYS_pidfd_send_signal,
                [held, signal as u64, 0, 0, 0, 0],
            ),
        );
    }
}

/// FS_IOC_SETFLAGS and FS_IOC_FSSETXATTR of linux/fs.h, with what is set already; an access list that
/// says what the mode says.
fn besides(path: &str) {
    const SET_FLAGS: u64 = 0x4008_6602;
    const GET_FLAGS: u64 = 0x8008_6601;
    const SET_PROJECT: u64 = 0x401c_5820;
    const GET_PROJECT: u64 = 0x801c_581f;
    let file = match opened(path, OFlag::O_RDONLY) {
        Ok(file) => file,
        Err(errno) => return say("open", Err(errno)),
    };
    let fd = file.as_raw_fd() as u64;
    let mut buffer = [0_u64; 8];
    let at = buffer.as_mut_ptr() as u64;
    let both = |get, set| {
        raw(libc::SYS_ioctl, [fd, get, at, 0, 0, 0])?;
        raw(libc::SYS_ioctl, [fd, set, at, 0, 0, 0])
    };
    say("flags", both(GET_FLAGS, SET_FLAGS));
    say("project", both(GET_PROJECT, SET_PROJECT));
    attributes(path, fd);
    let by = |name: &str, call, arguments| say(format!("{name}-descriptor"), raw(call, arguments));
    let user = u64::from(nix::unistd::geteuid().as_raw());
    by("mode", libc::SYS_fchmod, [fd, 0o644, 0, 0, 0, 0]);
    by("owner", libc::SYS_fchown, [fd, user, NONE, 0, 0, 0]);
    by("times", libc::SYS_utimensat, [fd, 0, 0, 0, 0, 0]);
    let through = CString::new(format!("/proc/self/fd/{fd}")).unwrap_or_default();
    let through = [HERE, through.as_ptr() as u64, 0o644, 0, 0, 0];
    say("mode-through", raw(libc::SYS_fchmodat, through));
}

fn attributes(path: &str, fd: u64) {
    const NOFOLLOW: u64 = libc::AT_SYMLINK_NOFOLLOW as u64;
    let name = CString::new(path).unwrap_or_default();
    let path = name.as_ptr() as u64;
    // version 2; user, group, others: tag, permissions, no id (linux/posix_acl_xattr.h)
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions) in [(1_u16, 6_u16), (4, 4), (32, 4)] {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(u32::MAX.to_le_bytes());
    }
    let (value, long) = (list.as_ptr() as u64, list.len() as u64);
    let access = c"system.posix_acl_access".as_ptr() as u64;
    let own = c"user.besides".as_ptr() as u64;
    let user = u64::from(nix::unistd::geteuid().as_raw());
    for (what, call, arguments) in [
        (
            "list",
            libc::SYS_setxattr,
            [path, access, value, long, 0, 0],
        ),
        ("attribute", libc::SYS_fsetxattr, [fd, own, value, 1, 0, 0]),
        (
            "attribute-link",
            libc::SYS_lsetxattr,
            [path, own, value, 1, 0, 0],
        ),
        (
            "attribute-removed",
            libc::SYS_fremovexattr,
            [fd, own, 0, 0, 0, 0],
        ),
        (
            "owner-link",
            libc::SYS_fchownat,
            [HERE, path, user, NONE, NOFOLLOW, 0],
        ),
    ] {
        say(what, raw(call, arguments));
    }
}

/// To the loopback; with family 0 an address of IPv4 says that it is of none (AF_UNSPEC).
fn datagram(family: &str, port: i64) -> Tried {
    let six = family == "6";
    let kind = if six { libc::AF_INET6 } else { libc::AF_INET };
    // SAFETY: no pointers; the descriptor ends with the process.
    let made = unsafe { libc::socket(kind, libc::SOCK_DGRAM, 0) };
    let socket = u64::try_from(Errno::result(made)?).unwrap_or(NONE);
    let mut address = vec![0_u8; if six { 28 } else { 16 }];
    let said = if family == "0" { 0 } else { kind };
    address[..2].copy_from_slice(&u16::try_from(said).unwrap_or(0).to_ne_bytes());
    address[2..4].copy_from_slice(&u16::try_from(port).unwrap_or(0).to_be_bytes());
    if six {
        address[23] = 1;
    } else {
        address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    }
    let (at, long) = (address.as_ptr() as u64, address.len() as u64);
    let text = c"x".as_ptr() as u64;
    raw(libc::SYS_sendto, [socket, text, 1, 0, at, long])
}

/// Opens to read and to write until `until` is there: how often it was tried, read, written.
fn steal(path: &str, until: &str) {
    let (mut tries, mut read, mut written) = (0_u32, 0_u32, 0_u32);
    println!("started");
    while !std::path::Path::new(until).exists() {
        tries += 1;
        read += u32::from(first_byte(path).is_ok());
        let open = opened(path, OFlag::O_WRONLY);
        let wrote = open.is_ok_and(|file| nix::unistd::write(&file, b"AGENT").is_ok());
        written += u32::from(wrote);
    }
    println!("{tries} {read} {written}");
}

/// A queue of messages, by a name without its slash, as the kernel takes it.
fn queue(what: &str, name: &str) -> Tried {
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    let at = name.as_ptr() as u64;
    let make = (libc::O_CREAT | libc::O_EXCL) as u64;
    match what {
        "make" => raw(libc::SYS_mq_open, [at, make | 2, 0o600, 0, 0, 0]),
        "open" => raw(libc::SYS_mq_open, [at, 2, 0, 0, 0, 0]),
        "remove" => raw(libc::SYS_mq_unlink, [at, 0, 0, 0, 0, 0]),
        _ => Err(Errno::EINVAL),
    }
}
