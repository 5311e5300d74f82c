//! Each call, one after the other.
#[path = "events.rs"]
mod events;
#[path = "files.rs"]
mod files;
#[path = "memory.rs"]
mod memory;
#[path = "processes.rs"]
mod processes;
#[path = "sockets.rs"]
mod sockets;
#[path = "system.rs"]
mod system;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

/// No memory is ever behind it.
const BAD: u64 = 16;
const CWD: u64 = libc::AT_FDCWD as u64;
/// No descriptor.
const NO: u64 = 999;
const MINUS: u64 = u64::MAX;

/// The result, or the errno below zero.
fn call(number: libc::c_long, arguments: &[u64]) -> i64 {
    let all: [u64; 6] = std::array::from_fn(|n| arguments.get(n).copied().unwrap_or(0));
    let [a, b, c, d, e, f] = all;
    // SAFETY: what is passed lives until the process ends, or leads nowhere.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 {
        return -i64::from(nix::errno::Errno::last_raw());
    }
    result
}

/// For a call that makes a descriptor.
fn made(number: libc::c_long, arguments: &[u64]) -> u64 {
    call(number, arguments).cast_unsigned()
}

/// As C has it; it is never given back.
fn text(bytes: impl AsRef<[u8]>) -> u64 {
    let text = CString::new(bytes.as_ref()).expect("no NUL within");
    CString::into_raw(text) as u64
}

/// Bytes at a fixed place.
fn memory(bytes: &[u8]) -> u64 {
    Vec::leak(bytes.to_vec()).as_mut_ptr() as u64
}

fn words(words: &[u64]) -> u64 {
    Vec::leak(words.to_vec()).as_mut_ptr() as u64
}

fn buffer() -> u64 {
    memory(&[0; 8192])
}

/// Two descriptors that the kernel wrote to a buffer.
fn written(to: u64) -> [u64; 2] {
    // SAFETY: a buffer of this program, and two numbers are in it whatever the kernel did.
    let pair = unsafe { *(to as *const [i32; 2]) };
    pair.map(wide)
}

fn wide(number: libc::c_int) -> u64 {
    i64::from(number).cast_unsigned()
}

/// Runs `within` in a process of its own and waits for it.
fn child(within: impl FnOnce()) {
    let pid = call(libc::SYS_fork, &[]);
    if pid == 0 {
        within();
        call(libc::SYS_exit_group, &[7]);
    }
    let status = buffer();
    call(libc::SYS_wait4, &[pid.cast_unsigned(), status, 0, 0]);
}

pub fn main() {
    let place = std::env::args_os().nth(1).expect("a directory");
    std::env::set_current_dir(&place).expect("a directory");
    let place = place.as_bytes();
    files::names(place);
    files::places();
    files::metadata();
    files::attributes();
    files::contents();
    files::descriptors();
    files::odd_pointers(place);
    memory::all();
    sockets::internet();
    sockets::local();
    sockets::netlink();
    sockets::options();
    events::all();
    processes::signals();
    processes::limits();
    processes::children();
    system::refused();
    system::namespaces();
    processes::thread();
    call(libc::SYS_exit_group, &[3]);
}
