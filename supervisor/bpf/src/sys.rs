//! bpf(2) where the library has no way to it, and what the library has to be promised.

use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// `union bpf_attr` of BPF_MAP_UPDATE_ELEM and BPF_MAP_LOOKUP_ELEM.
#[repr(C)]
#[derive(Default)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

const MAP_LOOKUP_ELEM: libc::c_int = 1;
const MAP_UPDATE_ELEM: libc::c_int = 2;
/// EEXIST where there is one.
const BPF_NOEXIST: u64 = 1;

/// Storage of the task that a pidfd stands for, where it has none yet (kernel/bpf/bpf_task_storage.c,
/// bpf_pid_task_storage_update_elem).
pub fn update<T: IntoBytes + Immutable>(
    map: BorrowedFd<'_>,
    task: BorrowedFd<'_>,
    value: &T,
) -> Result<(), Errno> {
    let key = task.as_raw_fd();
    let attr = Element {
        map: map.as_raw_fd().cast_unsigned(),
        key: (&raw const key) as u64,
        value: std::ptr::from_ref(value) as u64,
        flags: BPF_NOEXIST,
        ..Element::default()
    };
    // SAFETY: the map's keys are descriptors and its values are as long as T; both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            MAP_UPDATE_ELEM,
            &raw const attr,
            size_of::<Element>(),
        )
    };
    Errno::result(result).map(drop)
}

/// What is in the storage of the task that a pidfd stands for; ENOENT where it has none, or is gone.
pub fn lookup<T: FromBytes + IntoBytes>(
    map: BorrowedFd<'_>,
    task: BorrowedFd<'_>,
) -> Result<T, Errno> {
    let key = task.as_raw_fd();
    let mut value = T::new_zeroed();
    let attr = Element {
        map: map.as_raw_fd().cast_unsigned(),
        key: (&raw const key) as u64,
        value: (&raw mut value) as u64,
        ..Element::default()
    };
    // SAFETY: the map's keys are descriptors and its values are as long as T, of which every byte may be anything.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            MAP_LOOKUP_ELEM,
            &raw const attr,
            size_of::<Element>(),
        )
    };
    Errno::result(result).map(|_| value)
}

/// What a map holds, as the bytes that it is.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Bytes<const N: usize>([u8; N]);

// SAFETY: bytes are bytes.
unsafe impl<const N: usize> aya::Pod for Bytes<N> {}

impl<const N: usize> Bytes<N> {
    pub fn of<T: IntoBytes + Immutable>(value: &T) -> Self {
        let mut bytes = [0; N];
        let from = value.as_bytes();
        let size = from.len().min(N);
        bytes[..size].copy_from_slice(&from[..size]);
        Self(bytes)
    }

    pub fn to<T: FromBytes + FromZeros>(&self) -> T {
        T::read_from_bytes(&self.0).unwrap_or_else(|_| T::new_zeroed())
    }
}
