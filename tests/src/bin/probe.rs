//! Tries one access and prints `ok` or the errno's name: what the kernel answers, with no program's
//! own handling in between.
#![allow(unsafe_code, reason = "calls that no library wraps, one each")]

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, UnixAddr, bind, connect, sendto,
    socket,
};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, UnlinkatFlags};
use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;

#[path = "probe/network.rs"]
mod network;
#[path = "probe/sockets.rs"]
mod sockets;

use network::*;

type Tried = Result<(), Errno>;

fn main() {
    let name = std::env::args_os().next().unwrap_or_default();
    if std::path::Path::new(&name).ends_with("sudo") {
        elevate();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["each", list] = *words {
        return each(list);
    }
    if let ["in-domain", program, ref rest @ ..] = *words {
        let Err(error) = in_domain(program, rest);
        return eprintln!("{error}");
    }
    match attempt(&words) {
        Ok(()) => println!("ok"),
        Err(errno) => println!("{errno:?}"),
    }
}

/// A command in a Landlock domain that refuses nothing but block devices.
fn in_domain(program: &str, rest: &[&str]) -> std::io::Result<std::convert::Infallible> {
    use std::os::unix::process::CommandExt;
    let handled: u64 = 1 << 11;
    nix::sys::prctl::set_no_new_privs()?;
    // SAFETY: the kernel reads eight bytes, which live across the call.
    let ruleset =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const handled, 8, 0) };
    let ruleset = Errno::result(ruleset)?;
    // SAFETY: no pointers.
    Errno::result(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) })?;
    Err(std::process::Command::new(program).args(rest).exec())
}

/// Every line of a file, in this process, each with its answer.
fn each(list: &str) {
    for line in std::fs::read_to_string(list).unwrap_or_default().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match state(&words) {
            Some(state) => state,
            None => attempt(&words).map_or_else(|e| format!("{e:?}"), |()| "ok".into()),
        };
        println!("{line}: {answer}");
    }
}

/// What this process is and has, rather than may.
fn state(words: &[&str]) -> Option<String> {
    Some(match *words {
        ["status"] => {
            let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let wanted = |l: &&str| {
                ["Uid", "Gid", "Cap", "NoNew", "Seccomp"]
                    .iter()
                    .any(|w| l.starts_with(w))
            };
            let lines: Vec<_> = text.lines().filter(wanted).collect();
            lines.join(" ").replace('\t', " ")
        }
        ["descriptors"] => {
            // one more is the directory that is read
            let all = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
            format!("{}", all.count())
        }
        ["limit-files"] => {
            let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
            format!("{limit:?}")
        }
        ["variable", name] => format!("{:?}", std::env::var_os(name)),
        ["processes"] => {
            let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
            let named = |e: std::fs::DirEntry| e.file_name().to_str()?.parse::<u32>().ok();
            let all: Vec<_> = all.filter_map(named).collect();
            if all.len() > 4 {
                "many".into()
            } else {
                "few".into()
            }
        }
        _ => return None,
    })
}

/// Under the name `sudo`, and set-user-id, it stands in for that program: `sudo -- COMMAND`.
fn elevate() -> ! {
    use std::os::unix::process::CommandExt;
    let root = nix::unistd::setuid(nix::unistd::Uid::from_raw(0));
    let words: Vec<_> = std::env::args_os().skip(2).collect();
    if let (Ok(()), Some((program, rest))) = (root, words.split_first()) {
        let failed = std::process::Command::new(program).args(rest).exec();
        eprintln!("{failed}");
    }
    std::process::exit(1)
}

fn attempt(words: &[&str]) -> Tried {
    match *words {
        ["read", path] => opened(path, OFlag::O_RDONLY),
        ["list", path] => std::fs::read_dir(path).map(drop).map_err(of_io),
        ["write", path] => opened(path, OFlag::O_WRONLY),
        ["truncate-open", path] => opened(path, OFlag::O_RDONLY | OFlag::O_TRUNC),
        ["truncate-write", path] => opened(path, OFlag::O_WRONLY | OFlag::O_TRUNC),
        // access mode 3, for ioctl alone: the file is neither readable nor writable, yet it is cut
        ["truncate-neither", path] => opened(path, OFlag::O_ACCMODE | OFlag::O_TRUNC),
        ["truncate", path] => nix::unistd::truncate(path, 0),
        ["create", path] => opened(path, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL),
        ["tmpfile", path] => opened(path, OFlag::O_WRONLY | OFlag::O_TMPFILE),
        ["mkdir", path] => nix::unistd::mkdir(path, Mode::from_bits_truncate(0o700)),
        ["mkfifo", path] => nix::unistd::mkfifo(path, Mode::from_bits_truncate(0o600)),
        ["symlink", path] => nix::unistd::symlinkat("/etc/passwd", AT_FDCWD, path),
        ["remove", path] => nix::unistd::unlink(path),
        ["rmdir", path] => nix::unistd::unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir),
        ["exchange", from, to] => exchange(from, to),
        ["rename", from, to] => nix::fcntl::renameat(AT_FDCWD, from, AT_FDCWD, to),
        ["link", from, to] => nix::unistd::linkat(AT_FDCWD, from, AT_FDCWD, to, AtFlags::empty()),
        ["chmod", path, mode] => chmod(path, mode),
        ["chown", path] => nix::unistd::chown(path, Some(nix::unistd::geteuid()), None),
        ["times", path] => utimes(path),
        ["xattr", path] => setxattr(path),
        ["exec", path] => exec(path, &[]),
        ["loader", path] => exec(LOADER, &[path]),
        ["signal", pid] => signal(pid),
        ["ptrace", pid] => nix::sys::ptrace::seize(
            Pid::from_raw(number(pid)),
            nix::sys::ptrace::Options::empty(),
        ),
        ["environ", pid] => opened(&format!("/proc/{pid}/environ"), OFlag::O_RDONLY),
        ["connect", port] => tcp([127, 0, 0, 1], port),
        // an address of a documentation network, which no host has (RFC 5737)
        ["connect-elsewhere", port] => tcp([192, 0, 2, 1], port),
        ["datagram-elsewhere", port] => datagram([192, 0, 2, 1], port, MsgFlags::empty()),
        ["fastopen", port] => datagram(
            [127, 0, 0, 1],
            port,
            MsgFlags::from_bits_retain(libc::MSG_FASTOPEN),
        ),
        ["bind", port] => inet(SockType::Stream).and_then(|fd| {
            bind(
                fd.as_raw_fd(),
                &SockaddrIn::new(127, 0, 0, 1, port_of(port)),
            )
        }),
        ["family", family, kind, protocol] => {
            family_of(number(family), number(kind), number(protocol))
        }
        ["pair"] => nix::sys::socket::socketpair(
            AddressFamily::Unix,
            SockType::Stream,
            None,
            SockFlag::empty(),
        )
        .map(drop),
        ["pair-sends", path] => {
            let (one, _other) = nix::sys::socket::socketpair(
                AddressFamily::Unix,
                SockType::Datagram,
                None,
                SockFlag::empty(),
            )?;
            let to = UnixAddr::new(path)?;
            sendto(one.as_raw_fd(), b"x", &to, MsgFlags::empty()).map(drop)
        }
        ["unix", path] => unix(UnixAddr::new(path)?),
        ["unix-own", path] => {
            let server = std::os::unix::net::UnixListener::bind(path).map_err(of_io)?;
            unix(UnixAddr::new(path)?)?;
            server.accept().map(drop).map_err(of_io)
        }
        ["abstract", name] => unix(UnixAddr::new_abstract(name.as_bytes())?),
        ["listen", path] => listen(path),
        ["race", what, tries, own, other] => sockets::race(what, number(tries), own, other),
        ["high", path] => high(path),
        ["not-dumpable", path] => {
            nix::sys::prctl::set_dumpable(false)?;
            listen(path)
        }
        ["flood", path] => sockets::flood(path),
        ["waiting", how] => sockets::waiting(how),
        ["crowd", count] => sockets::crowd(number(count)),
        ["every-address", port] => sockets::every_address(port_of(port)),
        ["unbound"] => sockets::unbound(),
        ["option", level, name] => option(number(level), number(name)),
        ["memory", megabytes] => memory(megabytes),
        ["forks", count] => forks(number(count)),
        ["prlimit", pid] => prlimit(number(pid)),
        ["nice", pid] => nicer(number(pid)),
        ["shm"] => shared_memory(),
        ["user-namespace"] => nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER),
        ["call32"] => in_a_child(call_of_32_bits),
        ["call", call] => system_call(number(call)),
        ["mount", path] => {
            let (none, flags) = (None::<&str>, nix::mount::MsFlags::empty());
            nix::mount::mount(none, path, Some("tmpfs"), flags, none)
        }
        ["daemon"] => daemon(),
        ["lease", path] => lease(path),
        ["bad-descriptor"] => {
            // SAFETY: the name is NUL-terminated.
            call(unsafe { libc::openat(1 << 20, c"file".as_ptr(), 0) })
        }
        ["tiocsti", high] => tiocsti(high == "high"),
        _ => Err(Errno::EINVAL),
    }
}

fn of_io(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

fn number(text: &str) -> i32 {
    text.parse().unwrap_or(-1)
}

fn opened(path: &str, flags: OFlag) -> Tried {
    open(
        path,
        flags | OFlag::O_CLOEXEC,
        Mode::from_bits_truncate(0o600),
    )
    .map(drop)
}

fn chmod(path: &str, mode: &str) -> Tried {
    let mode = Mode::from_bits_truncate(u32::from_str_radix(mode, 8).unwrap_or(0));
    nix::sys::stat::fchmodat(
        AT_FDCWD,
        path,
        mode,
        nix::sys::stat::FchmodatFlags::FollowSymlink,
    )
}

fn utimes(path: &str) -> Tried {
    let time = nix::sys::time::TimeSpec::new(1, 0);
    let follow = nix::sys::stat::UtimensatFlags::FollowSymlink;
    nix::sys::stat::utimensat(AT_FDCWD, path, &time, &time, follow)
}

fn setxattr(path: &str) -> Tried {
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    // SAFETY: both names are NUL-terminated and the value is one byte long.
    let result = unsafe {
        libc::setxattr(
            path.as_ptr(),
            c"user.stockade".as_ptr(),
            b"x".as_ptr().cast(),
            1,
            0,
        )
    };
    Errno::result(result).map(drop)
}

#[cfg(target_arch = "x86_64")]
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
#[cfg(target_arch = "aarch64")]
const LOADER: &str = "/lib/ld-linux-aarch64.so.1";

fn exec(path: &str, arguments: &[&str]) -> Tried {
    let out = std::process::Command::new(path)
        .args(arguments)
        .output()
        .map_err(of_io)?;
    if out.status.success() {
        Ok(())
    } else {
        Err(Errno::UnknownErrno)
    }
}

fn exchange(from: &str, to: &str) -> Tried {
    let flags = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
    nix::fcntl::renameat2(AT_FDCWD, from, AT_FDCWD, to, flags)
}

/// Prints what becomes of a child that makes the call: it may be killed for it.
fn in_a_child(call: fn()) -> Tried {
    // SAFETY: this process has one thread.
    match unsafe { nix::unistd::fork()? } {
        nix::unistd::ForkResult::Child => {
            call();
            std::process::exit(0)
        }
        nix::unistd::ForkResult::Parent { child } => match nix::sys::wait::waitpid(child, None)? {
            nix::sys::wait::WaitStatus::Exited(_, 0) => Ok(()),
            status => {
                println!("{status:?}");
                std::process::exit(0)
            }
        },
    }
}

/// getpid(2) of the 32-bit table.
#[cfg(target_arch = "x86_64")]
fn call_of_32_bits() {
    // SAFETY: the call has no arguments and changes no register but the result's.
    unsafe { std::arch::asm!("int 0x80", inout("eax") 20 => _) }
}

#[cfg(not(target_arch = "x86_64"))]
fn call_of_32_bits() {}

fn signal(pid: &str) -> Tried {
    nix::sys::signal::kill(Pid::from_raw(number(pid)), nix::sys::signal::Signal::SIGURG)
}

/// Every page of it written.
fn memory(megabytes: &str) -> Tried {
    let bytes = usize::try_from(number(megabytes)).unwrap_or(0) << 20;
    std::hint::black_box(vec![1_u8; bytes]);
    Ok(())
}

/// So many children at once; they are ended before it answers.
fn forks(count: i32) -> Tried {
    let mut children = Vec::new();
    let mut outcome = Ok(());
    for _ in 0..count {
        match std::process::Command::new("/bin/sleep").arg("600").spawn() {
            Ok(child) => children.push(child),
            Err(error) => outcome = outcome.and(Err(of_io(error))),
        }
    }
    for mut child in children {
        child.kill().map_err(of_io)?;
        child.wait().map_err(of_io)?;
    }
    outcome
}

/// Which needs no right, to the lowest there is.
fn nicer(pid: i32) -> Tried {
    let who = libc::id_t::try_from(pid).unwrap_or(0);
    // SAFETY: no pointers.
    call(unsafe { libc::setpriority(libc::PRIO_PROCESS, who, 19) })
}

/// In a process group of its own, and nobody waits for it.
fn daemon() -> Tried {
    use std::os::unix::process::CommandExt;
    use std::process::Stdio;
    let mut command = std::process::Command::new("/bin/sleep");
    command.arg("60").process_group(0).stdin(Stdio::null());
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(drop).map_err(of_io)
}

fn shared_memory() -> Tried {
    // SAFETY: no pointers.
    let made = unsafe { libc::shmget(libc::IPC_PRIVATE, 1, 0o600) };
    call(made)?;
    // SAFETY: no pointers; the segment is nobody else's.
    call(unsafe { libc::shmctl(made, libc::IPC_RMID, std::ptr::null_mut()) })
}

fn call(result: i32) -> Tried {
    Errno::result(result).map(drop)
}

/// Of core files, which no test makes: set to what it is.
fn prlimit(pid: i32) -> Tried {
    let mut now = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one rlimit.
    call(unsafe { libc::prlimit(pid, libc::RLIMIT_CORE, std::ptr::null(), &raw mut now) })?;
    // SAFETY: the kernel reads one rlimit.
    call(unsafe { libc::prlimit(pid, libc::RLIMIT_CORE, &raw const now, std::ptr::null_mut()) })
}

/// With arguments that do nothing where the call is let through: EFAULT, EINVAL or EBADF then.
fn system_call(call: i32) -> Tried {
    // SAFETY: every argument is -1 or null-like; no system call writes through such a pointer.
    let result = unsafe { libc::syscall(i64::from(call), -1, -1, -1, -1, -1, -1) };
    match Errno::result(result) {
        Err(refused @ (Errno::EPERM | Errno::ENOSYS)) => Err(refused),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// For reading, of the user's own file, given back at the end.
fn lease(path: &str) -> Tried {
    let file = open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    // SAFETY: F_SETLEASE takes a number.
    call(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) })
}

fn tiocsti(high: bool) -> Tried {
    let request = libc::TIOCSTI | if high { 1 << 32 } else { 0 };
    // SAFETY: descriptor -1 is never open, so the kernel gets to no pointer.
    let result = unsafe { libc::syscall(libc::SYS_ioctl, -1, request, 0) };
    match Errno::result(result) {
        Err(Errno::EBADF) => Ok(()),
        other => other.map(drop),
    }
}
