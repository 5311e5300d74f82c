//! bpf(2) where the library has no way to it.

use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};
use zerocopy::{Immutable, IntoBytes};

/// `union bpf_attr` of BPF_MAP_UPDATE_ELEM.
#[repr(C)]
#[derive(Default)]
struct Update {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

const MAP_UPDATE_ELEM: libc::c_int = 2;

/// Storage of the task that a pidfd stands for (kernel/bpf/bpf_task_storage.c, bpf_pid_task_storage_update_elem).
pub fn update<T: IntoBytes + Immutable>(
    map: BorrowedFd<'_>,
    task: BorrowedFd<'_>,
    value: &T,
) -> Result<(), Errno> {
    let key = task.as_raw_fd();
    let attr = Update {
        map: map.as_raw_fd().cast_unsigned(),
        key: (&raw const key) as u64,
        value: std::ptr::from_ref(value) as u64,
        ..Update::default()
    };
    // SAFETY: the map's keys are descriptors and its values are as long as T; both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            MAP_UPDATE_ELEM,
            &raw const attr,
            size_of::<Update>(),
        )
    };
    Errno::result(result).map(drop)
}
