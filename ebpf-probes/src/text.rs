//! What pointers lead to: paths and where they begin, socket addresses, buffers.

use crate::kernel::{add, ids, reserved, tally};
use crate::walk::base;
use aya_ebpf::helpers::generated as helper;
use core::ffi::c_void;
use stockade_abi::{
    Head, LONG, LongText, PICKS, PIECE, PIECES, Pick, Piece, Shape, TEXT, Work, flag, kind, pick,
    piece,
};

/// The most strings of an argument vector that are read.
const STRINGS: u64 = 16;
/// sizeof(struct sockaddr_storage)
const LONGEST_ADDRESS: u32 = 128;
const AF_UNIX: u16 = 1;

/// Whether the call is looked at before or after it was made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    After,
    /// Before was not seen.
    Only,
}

/// On the stack of who reads; the kernel calls [`step`] with it.
#[repr(C)]
struct Reading {
    work: *mut Work,
    shape: *const Shape,
    when: When,
}

/// A loop of the kernel's: the verifier looks at it once, and not as often as there are picks.
#[inline(always)]
pub fn pieces(work: &mut Work, shape: &Shape, when: When) {
    if shape.picks[0].what == pick::NONE {
        return;
    }
    let mut reading = Reading { work, shape, when };
    // SAFETY: `step` takes what it is given here, which lives longer than the loop.
    unsafe {
        helper::bpf_loop(
            PICKS as u32,
            step as *mut c_void,
            core::ptr::from_mut(&mut reading).cast(),
            0,
        )
    };
}

/// One pick; 1 ends the loop.
#[inline(never)]
extern "C" fn step(n: u64, reading: *mut c_void) -> i64 {
    // SAFETY: what `pieces` gave.
    let reading = unsafe { &*reading.cast::<Reading>() };
    // SAFETY: the work's storage, and an element of an array.
    let (work, shape) = unsafe { (&mut *reading.work, &*reading.shape) };
    let when = reading.when;
    if n as usize >= PICKS {
        return 1;
    }
    let n = masked::<{ PICKS.next_power_of_two() }>(n as u32) as usize;
    if n >= PICKS {
        return 1;
    }
    // SAFETY: less than PICKS.
    let pick = unsafe { *shape.picks.get_unchecked(n) };
    if pick.what == pick::NONE {
        return 1;
    }
    if pick.when != pick::ALWAYS && argument(work, pick.when) as u32 & pick.mask != pick.is {
        return 0;
    }
    let after = matches!(
        pick.what,
        pick::ADDRESS_OUT
            | pick::BYTES_OUT
            | pick::RESULT_OUT
            | pick::STRINGS
            | pick::MESSAGE_OUT
            | pick::SIZED_OUT
    );
    let now = match when {
        When::Before => !after,
        When::After => after || pick.what == pick::IN_OUT,
        When::Only => true,
    };
    if now || when == When::After && missing(work, pick) {
        one(work, pick, when == When::After, now);
    }
    0
}

#[inline(always)]
pub fn argument(work: &Work, number: u8) -> u64 {
    let number = number as usize;
    if number < 6 {
        work.call.arguments[number]
    } else {
        0
    }
}

#[inline(always)]
fn one(work: &mut Work, pick: Pick, after: bool, first: bool) {
    let at = argument(work, pick.argument);
    let done = work.call.result >= 0;
    match pick.what {
        pick::PATH => path(work, pick, at, first),
        pick::TEXT => {
            string(work, pick.argument, piece::PATH, at);
        }
        pick::ADDRESS => {
            let size = argument(work, pick.with) as u32;
            address(work, pick.argument, at, size, true);
        }
        pick::ADDRESS_OUT if done => {
            let size = user(argument(work, pick.with), 0u32);
            address(work, pick.argument, at, size.unwrap_or(0), false);
        }
        pick::MESSAGE => message(work, pick.argument, at, true),
        pick::MESSAGE_OUT if done => message(work, pick.argument, at, false),
        pick::BYTES => {
            let mut size = pick.size as u32;
            if pick.with != pick::ALL {
                size = limited(work, argument(work, pick.with) as u32, size);
            }
            bytes(work, pick.argument, piece::BYTES, at, size);
        }
        pick::BYTES_OUT if done => {
            bytes(work, pick.argument, piece::BYTES, at, pick.size as u32);
        }
        pick::SIZED_OUT if done => {
            let size = user(argument(work, pick.with), 0u32).unwrap_or(0);
            let size = limited(work, size, pick.size as u32);
            bytes(work, pick.argument, piece::BYTES, at, size);
        }
        pick::IN_OUT if done || !after => {
            bytes(work, pick.argument, piece::BYTES, at, pick.size as u32);
        }
        pick::RESULT_OUT if work.call.result > 0 => result(work, pick.argument, at),
        pick::STRINGS if !done => strings(work, pick.argument, at),
        _ => {}
    }
}

/// Of a size that the caller says, as much as is kept.
#[inline(always)]
fn limited(work: &mut Work, size: u32, most: u32) -> u32 {
    if size <= most {
        return size;
    }
    work.call.head.flags |= flag::CUT;
    most
}

/// Less than N, a power of two. The compiler would leave out the mask where it knows better than the verifier.
#[inline(always)]
pub fn masked<const N: usize>(size: u32) -> u32 {
    core::hint::black_box(size) & (N as u32 - 1)
}

/// Memory of the caller's; none where it can't be read.
#[inline(always)]
fn user<T: Copy>(at: u64, zero: T) -> Option<T> {
    let mut value = zero;
    // SAFETY: writes a T to a T.
    let result = unsafe {
        helper::bpf_probe_read_user(
            core::ptr::from_mut(&mut value).cast(),
            size_of::<T>() as u32,
            at as *const _,
        )
    };
    (result == 0).then_some(value)
}

/// Whether it could not be read before: it is read again.
#[inline(always)]
fn missing(work: &mut Work, pick: Pick) -> bool {
    let mut missing = false;
    for n in 0..PIECES {
        let piece = &mut work.call.pieces[n];
        if piece.what == piece::UNREADABLE && piece.argument == pick.argument {
            // taken out: another piece follows
            piece.what = 0;
            missing = true;
        }
    }
    missing
}

/// The next piece; its text is in place already.
#[inline(always)]
pub fn put(work: &mut Work, what: u8, argument: u8, size: u32) {
    let at = work.pieces as usize;
    if at >= PIECES {
        work.call.head.flags |= flag::CUT;
        return;
    }
    work.call.pieces[at] = Piece {
        what,
        argument,
        size: size as u16,
    };
    work.pieces += 1;
    work.used += size;
}

#[inline(always)]
fn unreadable(work: &mut Work, argument: u8) {
    put(work, piece::UNREADABLE, argument, 0);
}

/// Where the next piece goes; none where all is used.
#[inline(always)]
pub fn room(work: &mut Work) -> Option<*mut u8> {
    let used = work.used as usize;
    if used >= TEXT {
        work.call.head.flags |= flag::CUT;
        return None;
    }
    // SAFETY: behind TEXT one more PIECE is there.
    Some(unsafe { work.text.as_mut_ptr().add(used) })
}

/// Where they are; none where nothing was read.
#[inline(always)]
fn bytes(work: &mut Work, argument: u8, what: u8, at: u64, size: u32) -> Option<*const u8> {
    if at == 0 || size == 0 {
        return None;
    }
    let kept = limited(work, size, PIECE as u32 - 1);
    let to = room(work)?;
    // SAFETY: less than PIECE bytes are written.
    let result =
        unsafe { helper::bpf_probe_read_user(to.cast(), masked::<PIECE>(kept), at as *const _) };
    if result < 0 {
        unreadable(work, argument);
        return None;
    }
    put(work, what, argument, kept);
    Some(to)
}

#[inline(always)]
fn address(work: &mut Work, argument: u8, at: u64, size: u32, callers: bool) {
    let size = if size > LONGEST_ADDRESS {
        LONGEST_ADDRESS
    } else {
        size
    };
    let Some(to) = bytes(work, argument, piece::ADDRESS, at, size) else {
        return;
    };
    if !callers || size < 3 {
        return;
    }
    // SAFETY: three bytes were just written.
    let (family, first) = unsafe { (to.cast::<u16>().read_unaligned(), *to.add(2)) };
    if family == AF_UNIX && first != 0 && first != b'/' {
        base(work, argument, pick::CWD);
    }
}

#[inline(always)]
fn message(work: &mut Work, argument: u8, at: u64, callers: bool) {
    if at == 0 {
        return;
    }
    // struct msghdr: void *msg_name; int msg_namelen; …
    let Some((name, size)) = user(at, (0u64, 0u32)) else {
        return unreadable(work, argument);
    };
    if name != 0 {
        address(work, argument, name, size, callers);
    }
}

/// As many bytes as the call says that it wrote.
#[inline(always)]
fn result(work: &mut Work, argument: u8, at: u64) {
    let size = work.call.result as u32;
    if size < PIECE as u32 {
        bytes(work, argument, piece::BYTES, at, size);
        return;
    }
    let kept = limited(work, size, LONG as u32 - 1);
    long(work, argument, piece::BYTES, |to| {
        // SAFETY: less than LONG bytes are written.
        let result =
            unsafe { helper::bpf_probe_read_user(to.cast(), masked::<LONG>(kept), at as *const _) };
        if result < 0 { 0 } else { kept }
    });
    put(work, piece::ELSEWHERE, argument, 0);
}

#[inline(always)]
fn strings(work: &mut Work, argument: u8, at: u64) {
    if at == 0 {
        return;
    }
    let begin = work.used;
    for n in 0..=STRINGS {
        let Some(text) = user(at + 8 * n, 0u64) else {
            work.used = begin;
            return unreadable(work, argument);
        };
        if text == 0 {
            break;
        }
        if n == STRINGS {
            work.call.head.flags |= flag::CUT;
            break;
        }
        let Some(to) = room(work) else { break };
        // SAFETY: at most PIECE bytes are written, with the NUL.
        let size =
            unsafe { helper::bpf_probe_read_user_str(to.cast(), PIECE as u32, text as *const _) };
        if size <= 0 {
            work.used = begin;
            return unreadable(work, argument);
        }
        if size == PIECE as i64 {
            work.call.head.flags |= flag::CUT;
        }
        work.used += masked::<{ 2 * PIECE }>(size as u32);
    }
    let size = work.used - begin;
    work.used = begin;
    put(work, piece::STRING, argument, size);
}

/// Its first byte, 0 where it could not be read: with an option the compiler looks at what was never written.
#[inline(always)]
fn string(work: &mut Work, argument: u8, what: u8, at: u64) -> u8 {
    if at == 0 {
        return 0;
    }
    let Some(to) = room(work) else { return 0 };
    // SAFETY: at most PIECE bytes are written, with the NUL.
    let size = unsafe { helper::bpf_probe_read_user_str(to.cast(), PIECE as u32, at as *const _) };
    if size <= 0 {
        unreadable(work, argument);
        return 0;
    }
    // SAFETY: it was just written.
    let first = unsafe { *to };
    if size >= PIECE as i64 {
        let kept = long(work, argument, what, |to| {
            // SAFETY: at most LONG bytes are written.
            let size =
                unsafe { helper::bpf_probe_read_user_str(to.cast(), LONG as u32, at as *const _) };
            if size > 0 { size as u32 } else { 0 }
        });
        // as long as a path may be, or cut
        if kept == LONG as u32 && user(at + LONG as u64 - 1, 0u8) != Some(0) {
            work.call.head.flags |= flag::CUT;
        }
        put(work, piece::ELSEWHERE, argument, 0);
    } else {
        put(work, what, argument, size as u32);
    }
    first
}

/// A record of its own; `fill` says how much of it is used, which is 0 without room for one.
#[inline(always)]
fn long(work: &mut Work, argument: u8, what: u8, fill: impl FnOnce(*mut u8) -> u32) -> u32 {
    // the call's own head is written when it is sent
    let (process, thread) = ids();
    let head = Head {
        kind: kind::LONG_TEXT,
        size: size_of::<LongText>() as u32,
        action: work.action,
        process,
        thread,
        ..work.call.head
    };
    let serial = work.serial;
    let mut kept = 0;
    reserved::<LongText>(|record| {
        record.head = head;
        record.serial = serial;
        kept = fill(record.text.as_mut_ptr());
        record.piece = Piece {
            what,
            argument,
            size: kept as u16,
        };
    });
    kept
}

/// `first`: where it begins was not read yet. It is read before, because the call may change it.
#[inline(always)]
fn path(work: &mut Work, pick: Pick, at: u64, first: bool) {
    if at != 0 && string(work, pick.argument, piece::PATH, at) != b'/' && first {
        base(work, pick.argument, pick.with);
    }
}

#[inline(always)]
pub fn count_unreadable(work: &Work) {
    for n in 0..PIECES {
        if work.call.pieces[n].what == piece::UNREADABLE
            && let Some(tally) = tally()
        {
            add(&mut tally.unreadable, 1);
        }
    }
}
