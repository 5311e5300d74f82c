//! System calls, from their begin to their end.
//!
//! A call that a filter refuses has no begin (kernel/entry/common.c, syscall_trace_enter: seccomp comes first) and an
//! end like all others.

use crate::kernel::{
    COUNTS, FOREIGN_BITS, OPEN_CALL, REGISTER_0, REGISTER_1, REGISTER_2, REGISTER_3, REGISTER_4,
    REGISTER_5, REGISTER_CALL, SHAPES, TASK_STATUS, WORK, add, add32, current, field, filter, has,
    ids, kept, label, now, offset, output, tally,
};
use crate::text::{self, When};
use stockade_abi::{
    BUCKETS, Call, Count, CountKey, FIRST_BUCKET_BITS, Filter, Head, O_WRITES, PIECES, Piece, TEXT,
    Task, Work, flag, kind, task,
};

#[inline(always)]
pub fn enter(registers: *const u8, number: i64) {
    let Some(task) = label() else { return };
    if task.flags & task::INSIDE != 0
        && let Some(tally) = tally()
    {
        add(&mut tally.no_exit, 1);
    }
    task.flags = (task.flags | task::INSIDE) & !(task::NEW | task::COLLECTED);
    let number = number as u32;
    task.serial = task.serial.wrapping_add(1);
    task.call = number;
    let Some(filter) = filter() else { return };
    let always = has(&filter.always, number);
    if always || filter.counted != 0 || has(&filter.failed, number) || has(&filter.writing, number)
    {
        task.time = now();
    }
    // what is recorded only where it fails is read then
    if always && let Some(work) = collect(task, registers) {
        task.flags |= task::COLLECTED;
        if !foreign(&mut work.call) {
            read(work, When::Before);
        }
    }
}

/// Room for what is collected of a call, with its arguments; counted as lost where there is none. The registers hold
/// them until the call returns, but where it executes another program.
#[inline(always)]
fn collect(task: &Task, registers: *const u8) -> Option<&'static mut Work> {
    let Some(work) = WORK.create(current()) else {
        kept(false);
        return None;
    };
    work.action = task.action;
    work.serial = task.serial;
    work.used = 0;
    work.pieces = 0;
    work.call.call = task.call;
    work.call.result = 0;
    work.call.head.flags = 0;
    work.call.head.time = task.time;
    work.call.pieces = [Piece::default(); PIECES];
    // SAFETY: fields of the registers that the kernel passes.
    work.call.arguments = unsafe {
        [
            field(registers, &REGISTER_0),
            field(registers, &REGISTER_1),
            field(registers, &REGISTER_2),
            field(registers, &REGISTER_3),
            field(registers, &REGISTER_4),
            field(registers, &REGISTER_5),
        ]
    };
    Some(work)
}

#[inline(always)]
fn foreign(call: &mut Call) -> bool {
    let bits = offset(&FOREIGN_BITS) as u32;
    if bits == 0 {
        return false;
    }
    // SAFETY: a field of the current task.
    let status: u32 = unsafe { field(current(), &TASK_STATUS) };
    if status & bits != 0 {
        call.head.flags |= flag::FOREIGN;
        return true;
    }
    false
}

#[inline(always)]
fn read(work: &mut Work, when: When) {
    if let Some(shape) = SHAPES.get(work.call.call) {
        text::pieces(work, shape, when);
    }
}

#[inline(always)]
pub fn leave(registers: *const u8, result: i64) {
    let Some(task) = label() else { return };
    let seen = task.flags & task::INSIDE != 0;
    if !seen {
        if task.flags & task::NEW != 0 {
            // the call that made it is its parent's
            task.flags &= !task::NEW;
            return;
        }
        // SAFETY: a field of the registers that the kernel passes.
        let number: i64 = unsafe { field(registers, &REGISTER_CALL) };
        task.serial = task.serial.wrapping_add(1);
        task.call = number as u32;
        task.time = now();
    }
    let collected = seen && task.flags & task::COLLECTED != 0;
    task.flags &= !(task::INSIDE | task::COLLECTED);
    let Some(filter) = filter() else { return };
    let always = has(&filter.always, task.call);
    let failed = result < 0 && fails(filter, task.call, result);
    let may_write = result >= 0 && has(&filter.writing, task.call);
    if !always && !failed && !may_write && filter.counted == 0 {
        return;
    }
    let duration = if seen { now() - task.time } else { 0 };
    if filter.counted != 0 && task.flags & task::BEGINS == 0 {
        count(task, result < 0, duration);
    }
    if collected {
        if let Some(work) = WORK.get(current()) {
            finish(task, work, result, duration, When::After);
        }
        return;
    }
    // where there was no room at its begin it is counted already
    if !failed && !may_write && (!always || seen) {
        return;
    }
    let Some(work) = collect(task, registers) else {
        return;
    };
    if always || failed || writes(&work.call) {
        if !seen {
            work.call.head.flags = flag::NO_ENTRY;
        }
        foreign(&mut work.call);
        finish(task, work, result, duration, When::Only);
    }
}

/// The process ends in a call.
#[inline(always)]
pub fn abandon(task: &mut Task) {
    if task.flags & task::INSIDE == 0 {
        return;
    }
    let collected = task.flags & task::COLLECTED != 0;
    task.flags &= !(task::INSIDE | task::COLLECTED);
    let Some(filter) = filter() else { return };
    let duration = now() - task.time;
    if filter.counted != 0 && task.flags & task::BEGINS == 0 {
        count(task, false, duration);
    }
    if collected && let Some(work) = WORK.get(current()) {
        work.call.head.flags |= flag::NO_RESULT;
        work.call.duration = duration;
        text::count_unreadable(work);
        send(task, work);
    }
}

#[inline(always)]
fn fails(filter: &Filter, number: u32, result: i64) -> bool {
    has(&filter.failed, number) && has(&filter.errnos, result.wrapping_neg() as u32)
}

/// open(2) has its flags one argument before openat(2).
#[inline(always)]
fn writes(call: &Call) -> bool {
    let flags = if call.call == offset(&OPEN_CALL) as u32 {
        call.arguments[1]
    } else {
        call.arguments[2]
    };
    flags & O_WRITES != 0
}

#[inline(always)]
fn finish(task: &Task, work: &mut Work, result: i64, duration: u64, when: When) {
    work.call.result = result;
    work.call.duration = duration;
    if work.call.head.flags & flag::FOREIGN == 0 {
        read(work, when);
        text::count_unreadable(work);
    }
    send(task, work);
}

#[inline(always)]
fn send(task: &Task, work: &mut Work) {
    let (process, thread) = ids();
    let used = if work.used as usize > TEXT {
        TEXT as u32
    } else {
        work.used
    };
    let size = size_of::<Call>() as u32 + used;
    let agent = if task.flags & task::AGENT != 0 {
        flag::AGENT
    } else {
        0
    };
    work.call.serial = work.serial;
    work.call.head = Head {
        kind: kind::CALL,
        flags: work.call.head.flags | agent,
        size,
        action: work.action,
        process,
        thread,
        padding: 0,
        time: work.call.head.time,
    };
    output(core::ptr::from_ref(&work.call).cast(), size);
}

#[inline(always)]
fn count(task: &Task, failed: bool, duration: u64) {
    let key = CountKey {
        action: task.action,
        call: task.call,
    };
    let failed = u64::from(failed);
    // no branches: the verifier would follow each
    let rest = duration >> FIRST_BUCKET_BITS;
    let bucket = (u64::BITS - rest.leading_zeros()) as usize;
    if !counted(&key, failed, duration, bucket) {
        let new = Count::default();
        const NOEXIST: u64 = 1;
        // another task may have been first
        COUNTS.insert(&key, &new, NOEXIST).unwrap_or(());
        if !counted(&key, failed, duration, bucket)
            && let Some(tally) = tally()
        {
            add(&mut tally.uncounted, 1);
        }
    }
}

#[inline(always)]
fn counted(key: &CountKey, failed: u64, time: u64, bucket: usize) -> bool {
    let Some(count) = COUNTS.get_ptr_mut(key) else {
        return false;
    };
    // SAFETY: an element of a map that nothing is removed from.
    let Some(count) = (unsafe { count.as_mut() }) else {
        return false;
    };
    add(&mut count.calls, 1);
    if failed != 0 {
        add(&mut count.failed, 1);
    }
    add(&mut count.time, time);
    let most = BUCKETS - 1;
    let bucket = core::hint::black_box(if bucket > most { most } else { bucket }) & most;
    // SAFETY: less than BUCKETS, a power of two.
    add32(unsafe { count.times.get_unchecked_mut(bucket) }, 1);
    true
}
