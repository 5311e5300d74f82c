//! What pointers lead to: paths and where they begin, socket addresses, buffers.

use crate::kernel::{
    DENTRY_NAME, DENTRY_PARENT, FILE_PATH, FILES_TABLE, FS_PWD, FS_ROOT, MNT_ROOT, MOUNT_MNT,
    MOUNT_PARENT, MOUNT_POINT, PATH_DENTRY, PATH_MNT, TABLE_FILES, TABLE_SIZE, TASK_FILES, TASK_FS,
    add, current, offset, pointer, probe, reserved, tally,
};
use aya_ebpf::helpers::generated as helper;
use core::ffi::c_void;
use stockade_abi::{
    Head, LONG, LongText, PICKS, PIECE, PIECES, Pick, Piece, Shape, TEXT, Task, flag, kind, pick,
    piece,
};

/// The deepest directory that is walked to its root.
const DEEPEST: u32 = 128;
const AT_FDCWD: i32 = -100;

/// Whether the call is looked at before or after it was made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    After,
    /// Before was not seen.
    Only,
}

#[inline(always)]
pub fn pieces(task: &mut Task, shape: &Shape, when: When) {
    let mut all = All {
        task: core::ptr::from_mut(task),
        shape,
        when,
    };
    let all_at: *mut All = &mut all;
    // verified once, and not once for each pick (Linux 5.17)
    // SAFETY: `each` is what the helper calls, with a pointer to all.
    unsafe {
        helper::bpf_loop(
            PICKS as u32,
            each as extern "C" fn(u32, *mut All) -> u64 as *mut c_void,
            all_at.cast(),
            0,
        )
    };
}

struct All {
    task: *mut Task,
    shape: *const Shape,
    when: When,
}

extern "C" fn each(n: u32, all: *mut All) -> u64 {
    // SAFETY: the helper passes what it was given; a task's storage and an element of a map are there as long as the
    // program runs.
    let (task, shape, when) = unsafe {
        let Some(all) = all.as_ref() else { return STOP };
        let (Some(task), Some(shape)) = (all.task.as_mut(), all.shape.as_ref()) else {
            return STOP;
        };
        (task, shape, all.when)
    };
    let Some(pick) = shape.picks.get(n as usize).copied() else {
        return STOP;
    };
    if pick.what == pick::NONE {
        return STOP;
    }
    let after = matches!(
        pick.what,
        pick::ADDRESS_OUT | pick::BYTES_OUT | pick::RESULT_OUT | pick::STRINGS
    );
    if when == When::Only || after != (when == When::Before) {
        one(task, pick);
    } else if when == When::After && !after {
        // what was not there before is read after
        again(task, pick);
    }
    NEXT
}

#[inline(always)]
fn argument(task: &Task, number: u8) -> u64 {
    let number = number as usize;
    if number < 6 {
        task.call.arguments[number]
    } else {
        0
    }
}

#[inline(always)]
fn one(task: &mut Task, pick: Pick) {
    let at = argument(task, pick.argument);
    match pick.what {
        pick::PATH => path(task, pick, at),
        pick::TEXT => {
            string(task, pick.argument, piece::PATH, at);
        }
        pick::ADDRESS => {
            let size = argument(task, pick.with) as u32;
            bytes(task, pick.argument, piece::ADDRESS, at, size);
        }
        pick::BYTES | pick::BYTES_OUT => {
            bytes(task, pick.argument, piece::BYTES, at, pick.size as u32);
        }
        pick::ADDRESS_OUT if task.call.result >= 0 => {
            let size = user(argument(task, pick.with), 0u32);
            bytes(task, pick.argument, piece::ADDRESS, at, size);
        }
        pick::RESULT_OUT if task.call.result > 0 => {
            bytes(
                task,
                pick.argument,
                piece::BYTES,
                at,
                task.call.result as u32,
            );
        }
        pick::MESSAGE => {
            // struct msghdr: void *msg_name; int msg_namelen; …
            let (name, size) = (user(at, 0u64), user(at + 8, 0u32));
            if name != 0 {
                bytes(task, pick.argument, piece::ADDRESS, name, size);
            }
        }
        pick::STRINGS if task.call.result < 0 => {
            for n in 0..3u64 {
                let text = user(at + 8 * n, 0u64);
                if text == 0 {
                    break;
                }
                string(task, pick.argument, piece::STRING, text);
            }
        }
        pick::DIRECTORY => base(task, pick.argument, pick.argument),
        _ => {}
    }
}

/// Memory of the caller's; `zero` where it can't be read.
#[inline(always)]
fn user<T: Copy>(at: u64, zero: T) -> T {
    let mut value = zero;
    // SAFETY: writes a T to a T.
    unsafe {
        helper::bpf_probe_read_user(
            core::ptr::from_mut(&mut value).cast(),
            size_of::<T>() as u32,
            at as *const _,
        )
    };
    value
}

#[inline(always)]
fn again(task: &mut Task, pick: Pick) {
    let mut missing = false;
    for n in 0..PIECES {
        let piece = &mut task.call.pieces[n];
        if piece.what == piece::UNREADABLE && piece.argument == pick.argument {
            // taken out: another piece follows
            piece.what = 0;
            missing = true;
        }
    }
    if missing {
        one(task, pick);
    }
}

/// The next piece; its text is in place already.
#[inline(always)]
fn put(task: &mut Task, what: u8, argument: u8, size: u32) {
    let at = task.pieces as usize;
    if at >= PIECES {
        task.call.head.flags |= flag::CUT;
        return;
    }
    task.call.pieces[at] = Piece {
        what,
        argument,
        size: size as u16,
    };
    task.pieces += 1;
    task.used += size;
}

#[inline(always)]
fn unreadable(task: &mut Task, argument: u8) {
    put(task, piece::UNREADABLE, argument, 0);
}

/// Where the next piece goes; none where all is used.
#[inline(always)]
fn room(task: &mut Task) -> Option<*mut u8> {
    let used = task.used as usize;
    if used >= TEXT {
        task.call.head.flags |= flag::CUT;
        return None;
    }
    // SAFETY: behind TEXT one more PIECE is there.
    Some(unsafe { task.text.as_mut_ptr().add(used) })
}

#[inline(always)]
fn bytes(task: &mut Task, argument: u8, what: u8, at: u64, size: u32) {
    if at == 0 || size == 0 {
        return;
    }
    let mut kept = size;
    if kept > PIECE as u32 - 1 {
        kept = PIECE as u32 - 1;
        task.call.head.flags |= flag::CUT;
    }
    let Some(to) = room(task) else { return };
    // SAFETY: less than PIECE bytes are written.
    let result = unsafe {
        helper::bpf_probe_read_user(to.cast(), kept & (PIECE as u32 - 1), at as *const _)
    };
    if result < 0 {
        return unreadable(task, argument);
    }
    put(task, what, argument, kept);
}

/// Its first byte, none where it could not be read.
#[inline(always)]
fn string(task: &mut Task, argument: u8, what: u8, at: u64) -> Option<u8> {
    if at == 0 {
        return None;
    }
    let to = room(task)?;
    // SAFETY: at most PIECE bytes are written, with the NUL.
    let size = unsafe { helper::bpf_probe_read_user_str(to.cast(), PIECE as u32, at as *const _) };
    if size <= 0 {
        unreadable(task, argument);
        return None;
    }
    // SAFETY: it was just written.
    let first = unsafe { *to };
    if size >= PIECE as i64 {
        long(task, argument, what, at);
        put(task, piece::ELSEWHERE, argument, 0);
    } else {
        put(task, what, argument, size as u32);
    }
    Some(first)
}

#[inline(always)]
fn long(task: &mut Task, argument: u8, what: u8, at: u64) {
    let head = Head {
        kind: kind::LONG_TEXT,
        size: size_of::<LongText>() as u32,
        ..task.call.head
    };
    let serial = task.serial;
    reserved::<LongText>(|record| {
        // SAFETY: reads at most LONG bytes into LONG bytes.
        let size = unsafe {
            helper::bpf_probe_read_user_str(
                record.text.as_mut_ptr().cast(),
                LONG as u32,
                at as *const _,
            )
        };
        record.head = head;
        record.serial = serial;
        record.piece = Piece {
            what,
            argument,
            size: if size > 0 { size as u16 } else { 0 },
        };
    });
}

#[inline(always)]
fn path(task: &mut Task, pick: Pick, at: u64) {
    match string(task, pick.argument, piece::PATH, at) {
        Some(b'/') | None => {}
        Some(_) => base(task, pick.argument, pick.with),
    }
}

/// Names from a directory up to the root of the process: `with` is the argument that holds its descriptor.
#[inline(always)]
fn base(task: &mut Task, argument_number: u8, with: u8) {
    let me = current();
    let fs = pointer(me, &TASK_FS);
    let descriptor = if with == pick::CWD {
        AT_FDCWD
    } else {
        argument(task, with) as i32
    };
    let from = if descriptor == AT_FDCWD {
        fs.wrapping_add(offset(&FS_PWD))
    } else {
        let files = pointer(me, &TASK_FILES);
        let table = pointer(files, &FILES_TABLE);
        let size: u32 = probe(table.wrapping_add(offset(&TABLE_SIZE)), 0);
        if descriptor < 0 || descriptor as u32 >= size {
            return;
        }
        let all = pointer(table, &TABLE_FILES);
        let file: *const u8 = probe(all.wrapping_add(descriptor as usize * 8), core::ptr::null());
        if file.is_null() {
            return;
        }
        file.wrapping_add(offset(&FILE_PATH))
    };
    let root = fs.wrapping_add(offset(&FS_ROOT));
    let mnt = pointer(from, &PATH_MNT);
    let begin = task.used;
    let mut walk = Walk {
        root: (pointer(root, &PATH_MNT), pointer(root, &PATH_DENTRY)),
        mnt,
        dentry: pointer(from, &PATH_DENTRY),
        top: pointer(mnt, &MNT_ROOT),
        task: core::ptr::from_mut(task),
        whole: false,
    };
    let walk_at: *mut Walk = &mut walk;
    // verified once, and not once for each step (Linux 5.17)
    // SAFETY: `up` is what the helper calls, with a pointer to the walk.
    unsafe {
        helper::bpf_loop(
            DEEPEST,
            up as extern "C" fn(u32, *mut Walk) -> u64 as *mut c_void,
            walk_at.cast(),
            0,
        )
    };
    if !walk.whole {
        task.call.head.flags |= flag::CUT;
    }
    let size = task.used - begin;
    task.used = begin;
    put(task, piece::BASE, argument_number, size);
}

struct Walk {
    root: (*const u8, *const u8),
    mnt: *const u8,
    dentry: *const u8,
    /// The root of the mount.
    top: *const u8,
    task: *mut Task,
    whole: bool,
}

const NEXT: u64 = 0;
const STOP: u64 = 1;

/// From a directory to the one above it.
extern "C" fn up(_: u32, walk: *mut Walk) -> u64 {
    // SAFETY: the helper passes what it was given.
    let Some(walk) = (unsafe { walk.as_mut() }) else {
        return STOP;
    };
    let (mnt, dentry) = (walk.mnt, walk.dentry);
    if (mnt, dentry) == walk.root {
        walk.whole = true;
        return STOP;
    }
    let parent = pointer(dentry, &DENTRY_PARENT);
    if dentry == walk.top || dentry == parent {
        let mount = mnt.wrapping_sub(offset(&MOUNT_MNT));
        let above = pointer(mount, &MOUNT_PARENT);
        if above == mount || above.is_null() {
            // it lies outside of the process's root
            walk.whole = true;
            return STOP;
        }
        walk.dentry = pointer(mount, &MOUNT_POINT);
        walk.mnt = above.wrapping_add(offset(&MOUNT_MNT));
        walk.top = pointer(walk.mnt, &MNT_ROOT);
        return NEXT;
    }
    let name = pointer(dentry, &DENTRY_NAME);
    // SAFETY: a task's storage, as long as the program runs.
    let Some(task) = (unsafe { walk.task.as_mut() }) else {
        return STOP;
    };
    let Some(to) = room(task) else { return STOP };
    // SAFETY: at most PIECE bytes are written, with the NUL.
    let size = unsafe { helper::bpf_probe_read_kernel_str(to.cast(), PIECE as u32, name.cast()) };
    if size <= 0 {
        return STOP;
    }
    task.used += size as u32 & (2 * PIECE as u32 - 1);
    walk.dentry = parent;
    NEXT
}

#[inline(always)]
pub fn count_unreadable(task: &Task) {
    for n in 0..PIECES {
        if task.call.pieces[n].what == piece::UNREADABLE
            && let Some(tally) = tally()
        {
            add(&mut tally.unreadable, 1);
        }
    }
}
