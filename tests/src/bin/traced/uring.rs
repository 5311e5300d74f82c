//! Requests through an io_uring, without a library.

use super::{at, call, text};
use nix::errno::Errno;

/// struct io_uring_params (linux/io_uring.h).
#[repr(C)]
#[derive(Default)]
struct Parameters {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    cpu: u32,
    idle: u32,
    features: u32,
    worker: u32,
    reserved: [u32; 3],
    submissions: Submissions,
    completions: [u32; 10],
}

/// struct io_sqring_offsets
#[repr(C)]
#[derive(Default)]
struct Submissions {
    head: u32,
    tail: u32,
    mask: u32,
    entries: u32,
    flags: u32,
    dropped: u32,
    array: u32,
    reserved: u32,
    address: u64,
}

/// struct io_uring_sqe, as far as these requests need it.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Request {
    operation: u8,
    flags: u8,
    priority: u16,
    descriptor: i32,
    offset: u64,
    address: u64,
    size: u32,
    operation_flags: u32,
    user_data: u64,
    rest: [u64; 3],
}

const NOP: u8 = 0;
const OPENAT: u8 = 18;
/// To a worker at once: who submits it does not perform it.
const ASYNC: u8 = 1 << 4;
const REQUESTS: i64 = 0x1000_0000;
const WAIT: i64 = 1;

/// Three requests in one call: nothing, an open here, an open in a worker.
pub fn submit(path: &str) {
    let mut parameters = Parameters::default();
    let size = (&raw mut parameters) as i64;
    let ring = call(libc::SYS_io_uring_setup, [4, size, 0, 0]).expect("io_uring_setup");
    let descriptor = i32::try_from(ring).expect("a descriptor");
    let map = |offset: i64| {
        let read_write = libc::PROT_READ | libc::PROT_WRITE;
        let (nowhere, shared) = (std::ptr::null_mut(), libc::MAP_SHARED);
        // SAFETY: new memory, which the kernel shares.
        let at = unsafe { libc::mmap(nowhere, 4096, read_write, shared, descriptor, offset) };
        assert_ne!(at, libc::MAP_FAILED, "{}", Errno::last());
        at
    };
    let (rings, requests) = (map(0).cast::<u32>(), map(REQUESTS).cast::<Request>());
    let path = text(path);
    let open = Request {
        operation: OPENAT,
        descriptor: libc::AT_FDCWD,
        address: at(&path).cast_unsigned(),
        ..Request::default()
    };
    let nothing = Request {
        operation: NOP,
        user_data: 11,
        ..Request::default()
    };
    let all = [
        nothing,
        Request {
            user_data: 12,
            ..open
        },
        Request {
            user_data: 13,
            flags: ASYNC,
            ..open
        },
    ];
    let word = |offset: u32, n: usize| rings.wrapping_add(offset as usize / 4 + n);
    for (n, request) in all.into_iter().enumerate() {
        // SAFETY: the second mapping has room for four requests.
        let at = unsafe { requests.add(n) };
        // SAFETY: as above.
        unsafe { at.write(request) };
        let index = u32::try_from(n).expect("small");
        // SAFETY: within the first mapping, as the kernel said.
        unsafe { word(parameters.submissions.array, n).write(index) };
    }
    // SAFETY: within the first mapping; the kernel looks at it in the call below.
    unsafe { word(parameters.submissions.tail, 0).write_volatile(3) };
    // SAFETY: no pointer is passed.
    let entered = unsafe { libc::syscall(libc::SYS_io_uring_enter, ring, 3, 3, WAIT, 0, 0) };
    assert_eq!(entered, 3);
}
