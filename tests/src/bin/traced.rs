//! Does what is to be traced: known calls, processes and threads. What it made it prints, one `NAME NUMBER` a line.
#![allow(
    unsafe_code,
    reason = "calls that no library makes as they are meant here, one each"
)]

use nix::errno::Errno;
use std::ffi::CString;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

#[path = "traced/processes.rs"]
mod processes;
#[path = "traced/uring.rs"]
mod uring;

type Tried = Result<i64, Errno>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if words.first() == Some(&"stop") {
        // until somebody has labelled it
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP).expect("stopped");
        words.remove(0);
    }
    match *words {
        ["nothing"] => {}
        ["calls", n] => calls(number(n)),
        ["files", folder] => files(folder),
        ["sockets", path] => sockets(path),
        ["fixed", folder] => fixed(folder),
        ["short", n] => processes::short(number(n)),
        ["storm", milliseconds] => storm(number(milliseconds)),
        ["actions", n] => processes::actions(number(n)),
        ["tree"] => processes::tree(),
        ["sibling"] => processes::sibling(),
        ["thread-exec"] => processes::thread_exec(),
        ["again"] => processes::again(),
        ["uring", path] => uring::submit(path),
        _ => panic!("no such deed: {words:?}"),
    }
}

fn number(word: &str) -> u64 {
    word.parse().expect("a number")
}

fn call(number: i64, arguments: [i64; 4]) -> Tried {
    let [a, b, c, d] = arguments;
    // SAFETY: pointers among the arguments are of C strings and structures that outlive the call.
    Errno::result(unsafe { libc::syscall(number, a, b, c, d, 0, 0) })
}

fn text(of: &str) -> CString {
    CString::new(of).expect("no NUL")
}

fn at(text: &CString) -> i64 {
    text.as_ptr() as i64
}

const HERE: i64 = libc::AT_FDCWD as i64;

/// One that no library makes by itself and that the kernel always answers.
fn calls(times: u64) {
    for _ in 0..times {
        call(libc::SYS_getppid, [0; 4]).expect("getppid");
    }
}

fn open(directory: i64, path: &str, flags: i32) -> Tried {
    let path = text(path);
    call(
        libc::SYS_openat,
        [directory, at(&path), flags.into(), 0o600],
    )
}

fn close(descriptor: i64) {
    call(libc::SYS_close, [descriptor, 0, 0, 0]).expect("closed");
}

/// Each with its result, in this order; `files` of the suite has the same list.
fn files(folder: &str) {
    let directory = open(HERE, folder, libc::O_DIRECTORY).expect("the folder");
    let made = open(directory, "made", libc::O_CREAT | libc::O_WRONLY).expect("made");
    close(made);
    let (below, other) = (text("below"), text("below/other"));
    call(libc::SYS_mkdirat, [directory, at(&below), 0o700, 0]).expect("mkdirat");
    let made = text("made");
    let moved = [directory, at(&made), directory, at(&other)];
    call(libc::SYS_renameat2, moved).expect("renameat2");
    assert_eq!(open(directory, "made", libc::O_RDONLY), Err(Errno::ENOENT));
    call(libc::SYS_chdir, [at(&text(folder)), 0, 0, 0]).expect("chdir");
    close(open(HERE, "below/../below/other", libc::O_RDONLY).expect("from here"));
    assert_eq!(
        open(HERE, &"n".repeat(255), libc::O_RDONLY),
        Err(Errno::ENOENT)
    );
    assert_eq!(
        open(HERE, &"n".repeat(256), libc::O_RDONLY),
        Err(Errno::ENAMETOOLONG)
    );
    assert_eq!(
        open(HERE, &"n/".repeat(2047), libc::O_RDONLY),
        Err(Errno::ENOENT)
    );
    call(libc::SYS_unlinkat, [directory, at(&other), 0, 0]).expect("unlinkat");
    let folder_of_it = [directory, at(&below), libc::AT_REMOVEDIR.into(), 0];
    call(libc::SYS_unlinkat, folder_of_it).expect("unlinkat");
    // SAFETY: no memory is there, which is what the kernel is to find.
    let nowhere = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, 8, 0) };
    assert_eq!(Errno::result(nowhere), Err(Errno::EFAULT));
    close(directory);
}

fn socket(family: i32, kind: i32) -> i64 {
    call(libc::SYS_socket, [family.into(), kind.into(), 0, 0]).expect("a socket")
}

/// A socket address as the kernel takes it: at most 32 bytes.
fn connect(socket: i64, address: &[u8]) -> Tried {
    let arguments = [socket, address.as_ptr() as i64, address.len() as i64, 0];
    call(libc::SYS_connect, arguments)
}

fn inet(port: u16) -> Vec<u8> {
    let family = u16::try_from(libc::AF_INET)
        .expect("a family")
        .to_ne_bytes();
    [&family[..], &port.to_be_bytes(), &[127, 0, 0, 1], &[0; 8]].concat()
}

fn sockets(path: &str) {
    let of_unix = socket(libc::AF_UNIX, libc::SOCK_STREAM);
    let family = u16::try_from(libc::AF_UNIX)
        .expect("a family")
        .to_ne_bytes();
    let named = [&family[..], path.as_bytes(), &[0]].concat();
    assert_eq!(connect(of_unix, &named), Err(Errno::ENOENT));
    let without = [&family[..], b"\0stockade-nobody"].concat();
    assert_eq!(connect(of_unix, &without), Err(Errno::ECONNREFUSED));
    close(of_unix);
    let of_inet = socket(libc::AF_INET, libc::SOCK_STREAM);
    // port 1 of the loopback: nobody listens there
    assert_eq!(connect(of_inet, &inet(1)), Err(Errno::ECONNREFUSED));
    close(of_inet);
}

/// The same calls whenever it runs; the suite and strace(1) count them.
fn fixed(folder: &str) {
    calls(1000);
    for n in 0..100 {
        assert_eq!(
            open(HERE, &format!("{folder}/none-{n}"), 0),
            Err(Errno::ENOENT)
        );
    }
    let folder = text(folder);
    for _ in 0..50 {
        assert_eq!(
            call(libc::SYS_mkdirat, [HERE, at(&folder), 0o700, 0]),
            Err(Errno::EEXIST)
        );
    }
    processes::short(20);
}

/// Forks, opens and connects on two threads' worth of processes for so long, and counts each.
fn storm(milliseconds: u64) {
    let end = Instant::now() + Duration::from_millis(milliseconds);
    let path = text("/nonexistent/storm");
    let (mut forks, mut opens, mut connects) = (0_u64, 0_u64, 0_u64);
    let socket = socket(libc::AF_INET, libc::SOCK_STREAM);
    let address = inet(1);
    while Instant::now() < end {
        for _ in 0..50 {
            let opened = call(libc::SYS_openat, [HERE, at(&path), 0, 0]);
            assert_eq!(opened, Err(Errno::ENOENT));
            opens += 1;
        }
        assert_eq!(connect(socket, &address), Err(Errno::ECONNREFUSED));
        connects += 1;
        // each child opens twice and connects once
        processes::one(|| {
            for _ in 0..2 {
                call(libc::SYS_openat, [HERE, at(&path), 0, 0]).unwrap_or(0);
            }
            connect(socket, &address).unwrap_or(0);
        });
        forks += 1;
    }
    println!(
        "forks {forks}\nopens {}\nconnects {}",
        opens + 2 * forks,
        connects + forks
    );
}

/// This program, again, with other words.
fn own(words: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("traced").args(words);
    command
}
