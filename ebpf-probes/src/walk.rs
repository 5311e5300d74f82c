//! From a directory up to the root of the process.

use crate::kernel::{
    DENTRY_HASHED, DENTRY_NAME, DENTRY_PARENT, FILE_PATH, FILES_TABLE, FS_PWD, FS_ROOT, MNT_ROOT,
    MOUNT_MNT, MOUNT_PARENT, MOUNT_POINT, PATH_DENTRY, PATH_MNT, TABLE_FILES, TABLE_SIZE,
    TASK_FILES, TASK_FS, current, offset, pointer, probe,
};
use crate::text::{argument, masked, put, room};
use aya_ebpf::helpers::generated as helper;
use core::ffi::c_void;
use stockade_abi::{PIECE, Work, flag, pick, piece};

/// Names and mounts that are walked at most.
const DEEPEST: u32 = 1024;
const AT_FDCWD: i32 = -100;

/// On the stack of who walks; the kernel calls [`step`] with it.
#[repr(C)]
struct Walk {
    work: *mut Work,
    mnt: *const u8,
    dentry: *const u8,
    /// Of `mnt`.
    top: *const u8,
    root_mnt: *const u8,
    root_dentry: *const u8,
    end: u64,
}

const NONE: u64 = 0;
const ROOT: u64 = 1;
/// It lies outside of the process's root.
const OUTSIDE: u64 = 2;

/// `struct path` of the directory; none where the descriptor is none.
#[inline(always)]
fn directory(work: &Work, with: u8, fs: *const u8) -> Option<*const u8> {
    let descriptor = if with == pick::CWD {
        AT_FDCWD
    } else {
        argument(work, with) as i32
    };
    if descriptor == AT_FDCWD {
        return Some(fs.wrapping_add(offset(&FS_PWD)));
    }
    let files = pointer(current(), &TASK_FILES);
    let table = pointer(files, &FILES_TABLE);
    let size: u32 = probe(table.wrapping_add(offset(&TABLE_SIZE)), 0);
    if descriptor < 0 || descriptor as u32 >= size {
        return None;
    }
    let all = pointer(table, &TABLE_FILES);
    let file: *const u8 = probe(all.wrapping_add(descriptor as usize * 8), core::ptr::null());
    (!file.is_null()).then_some(file.wrapping_add(offset(&FILE_PATH)))
}

/// Names from a directory up to the root of the process: `with` is the argument that holds its descriptor.
#[inline(always)]
pub fn base(work: &mut Work, argument_number: u8, with: u8) {
    let fs = pointer(current(), &TASK_FS);
    let Some(from) = directory(work, with, fs) else {
        return;
    };
    let root = fs.wrapping_add(offset(&FS_ROOT));
    let (mnt, dentry) = (pointer(from, &PATH_MNT), pointer(from, &PATH_DENTRY));
    let top = pointer(mnt, &MNT_ROOT);
    // fs/dcache.c, d_unlinked
    let hashed = pointer(dentry, &DENTRY_HASHED);
    let deleted = hashed.is_null() && pointer(dentry, &DENTRY_PARENT) != dentry;
    let begin = work.used;
    let mut walk = Walk {
        work,
        mnt,
        dentry,
        top,
        root_mnt: pointer(root, &PATH_MNT),
        root_dentry: pointer(root, &PATH_DENTRY),
        end: NONE,
    };
    // SAFETY: `step` takes what it is given here, which lives longer than the loop.
    unsafe {
        helper::bpf_loop(
            DEEPEST,
            step as *mut c_void,
            core::ptr::from_mut(&mut walk).cast(),
            0,
        )
    };
    let size = work.used - begin;
    work.used = begin;
    match walk.end {
        ROOT if deleted => put(work, piece::BASE_DELETED, argument_number, size),
        ROOT => put(work, piece::BASE, argument_number, size),
        OUTSIDE => {}
        _ => work.call.head.flags |= flag::CUT,
    }
}

/// One name, or one mount; 1 ends the loop.
#[inline(never)]
extern "C" fn step(_: u64, walk: *mut c_void) -> i64 {
    // SAFETY: what `base` gave.
    let walk = unsafe { &mut *walk.cast::<Walk>() };
    // SAFETY: the work's storage.
    let work = unsafe { &mut *walk.work };
    let (mnt, dentry) = (walk.mnt, walk.dentry);
    if dentry == walk.root_dentry && mnt == walk.root_mnt {
        walk.end = ROOT;
        return 1;
    }
    let parent = pointer(dentry, &DENTRY_PARENT);
    if dentry == walk.top || dentry == parent {
        let mount = mnt.wrapping_sub(offset(&MOUNT_MNT));
        let above = pointer(mount, &MOUNT_PARENT);
        if above == mount || above.is_null() {
            walk.end = OUTSIDE;
            return 1;
        }
        walk.dentry = pointer(mount, &MOUNT_POINT);
        walk.mnt = above.wrapping_add(offset(&MOUNT_MNT));
        walk.top = pointer(walk.mnt, &MNT_ROOT);
        return 0;
    }
    let name = pointer(dentry, &DENTRY_NAME);
    let Some(to) = room(work) else { return 1 };
    // SAFETY: at most PIECE bytes are written, with the NUL.
    let size = unsafe { helper::bpf_probe_read_kernel_str(to.cast(), PIECE as u32, name.cast()) };
    if size <= 0 {
        return 1;
    }
    work.used += masked::<{ 2 * PIECE }>(size as u32);
    walk.dentry = parent;
    0
}
