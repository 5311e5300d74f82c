//! Where processes come from, what they execute, how they end.

use crate::calls;
use crate::kernel::{
    BPRM_FILE, BPRM_FILENAME, BPRM_INTERP, FILE_INODE, INODE_NUMBER, INODE_SB, MM_ARG_END,
    MM_ARG_START, MM_ENV_END, MM_ENV_START, PID_LEVEL, PID_NUMBERS, REQUEST_DATA, REQUEST_FLAGS,
    REQUEST_OPERATION, SB_DEVICE, SIGNAL_LIVE, TASK_EXIT_CODE, TASK_LEADER, TASK_MM, TASK_PID,
    TASK_SIGNAL, TASK_TGID, TASK_THREAD_PID, TASKS, add, current, fetch_add, field, filter, ids,
    label, now, offset, pointer, probe, reserved, tally,
};
use aya_ebpf::helpers::generated as helper;
use stockade_abi::{
    EXEC_ARGUMENTS, EXEC_ENVIRONMENT, EXEC_FILE, Exec, Exit, Fork, Head, Task, Uring, flag, kind,
    task,
};

#[inline(always)]
fn head(kind: u16, flags: u16, size: usize, action: u32, process: u32, thread: u32) -> Head {
    Head {
        kind,
        flags,
        size: size as u32,
        action,
        process,
        thread,
        padding: 0,
        time: now(),
    }
}

#[inline(always)]
fn flags(of: u32) -> u16 {
    if of & task::AGENT != 0 {
        flag::AGENT
    } else {
        0
    }
}

/// Before the new one runs.
#[inline(always)]
pub fn fork(parent: *const u8, child: *const u8) {
    let Some(label) = label() else { return };
    let (own, of_agent) = (label.action, label.flags & task::AGENT != 0);
    // SAFETY: fields of tasks that the kernel passes.
    let (process, thread, parent_process, parent_thread): (u32, u32, u32, u32) = unsafe {
        (
            field(child, &TASK_TGID),
            field(child, &TASK_PID),
            field(parent, &TASK_TGID),
            field(parent, &TASK_PID),
        )
    };
    let is_thread = process == parent_process;
    let mut action = own;
    let mut agent = of_agent;
    if of_agent && !is_thread {
        // each process that the agent itself starts is an action
        agent = false;
        if let Some(tally) = tally() {
            action = fetch_add(&mut tally.next_action, 1) as u32 + 1;
        }
    }
    let Some(new) = TASKS.create(child) else {
        if let Some(tally) = tally() {
            add(&mut tally.unlabelled, 1);
        }
        return;
    };
    new.action = action;
    new.flags = task::NEW | if agent { task::AGENT } else { 0 };
    let mut say = flags(new.flags);
    if is_thread {
        say |= flag::THREAD;
    }
    if !wanted() {
        return;
    }
    let inside = inside(child);
    reserved::<Fork>(|record| {
        record.head = head(kind::FORK, say, size_of::<Fork>(), action, process, thread);
        record.parent_process = parent_process;
        record.parent_thread = parent_thread;
        record.parent_action = own;
        record.inside = inside;
    });
}

#[inline(always)]
fn wanted() -> bool {
    filter().is_some_and(|f| f.processes != 0)
}

/// As the innermost pid namespace numbers a task.
#[inline(always)]
fn inside(task: *const u8) -> u32 {
    // struct upid { int nr; struct pid_namespace *ns; }
    const UPID: usize = 16;
    let pid = pointer(task, &TASK_THREAD_PID);
    let level: u32 = probe(pid.wrapping_add(offset(&PID_LEVEL)), 0);
    let numbers = pid.wrapping_add(offset(&PID_NUMBERS));
    probe(numbers.wrapping_add(level as usize * UPID), 0)
}

/// Device and inode of the file that is executed.
#[inline(always)]
fn executed(bprm: *const u8) -> (u32, u64) {
    let file = pointer(bprm, &BPRM_FILE);
    let inode = pointer(file, &FILE_INODE);
    let number: u64 = probe(inode.wrapping_add(offset(&INODE_NUMBER)), 0);
    let sb = pointer(inode, &INODE_SB);
    (probe(sb.wrapping_add(offset(&SB_DEVICE)), 0), number)
}

/// Before each program of an exec is looked at: a script, then its interpreter, whose memory is the new one's. Only here
/// the script is known by its file.
#[inline(always)]
pub fn choose(bprm: *const u8) {
    let Some(label) = label() else { return };
    let Some(filter) = filter() else { return };
    if label.action != 0 || filter.agent_inode == 0 {
        return;
    }
    // the same until a script's first line names another
    if pointer(bprm, &BPRM_FILENAME) == pointer(bprm, &BPRM_INTERP) {
        label.flags &= !task::CHOSEN;
    }
    if executed(bprm) == (filter.agent_device, filter.agent_inode) {
        label.flags |= task::CHOSEN;
    }
}

/// The new program's memory is there.
#[inline(always)]
pub fn exec(me: *const u8, before: i32, bprm: *const u8) {
    let Some(label) = label() else { return };
    let (device, number) = executed(bprm);
    let Some(filter) = filter() else { return };
    let is_agents = filter.agent_inode == number && filter.agent_device == device && number != 0;
    if label.action == 0 && (is_agents || label.flags & task::CHOSEN != 0) {
        label.flags |= task::AGENT;
    }
    label.flags &= !(task::CHOSEN | task::BEGINS);
    if filter.processes == 0 {
        return;
    }
    let (process, thread) = ids();
    let (action, say) = (label.action, flags(label.flags));
    let mm = pointer(me, &TASK_MM);
    let arguments = span(mm, &MM_ARG_START, &MM_ARG_END);
    let environment = span(mm, &MM_ENV_START, &MM_ENV_END);
    let name = pointer(bprm, &BPRM_FILENAME);
    let inside = inside(me);
    reserved::<Exec>(|record| {
        record.head = head(kind::EXEC, say, size_of::<Exec>(), action, process, thread);
        record.thread_before = before as u32;
        record.device = device;
        record.inode = number;
        record.inside = inside;
        record.arguments_size = arguments.1;
        record.environment_size = environment.1;
        // SAFETY: each reads at most as much as there is room for.
        unsafe {
            let size = helper::bpf_probe_read_kernel_str(
                record.file.as_mut_ptr().cast(),
                EXEC_FILE as u32,
                name.cast(),
            );
            record.file_size = if size > 0 { size as u32 } else { 0 };
            read(record.arguments.as_mut_ptr(), EXEC_ARGUMENTS, arguments);
            read(
                record.environment.as_mut_ptr(),
                EXEC_ENVIRONMENT,
                environment,
            );
        }
    });
}

/// Where it begins, and how long it is.
#[inline(always)]
fn span(mm: *const u8, start: &'static u64, end: &'static u64) -> (u64, u64) {
    let start: u64 = probe(mm.wrapping_add(offset(start)), 0);
    let end: u64 = probe(mm.wrapping_add(offset(end)), 0);
    (start, end.wrapping_sub(start))
}

/// # Safety
/// `to` has room for `most` bytes, a power of two.
#[inline(always)]
unsafe fn read(to: *mut u8, most: usize, (start, size): (u64, u64)) {
    let size = if size >= most as u64 {
        most as u64 - 1
    } else {
        size
    };
    // SAFETY: less than `most` bytes.
    unsafe {
        helper::bpf_probe_read_user(
            to.cast(),
            size as u32 & (most as u32 - 1),
            start as *const _,
        )
    };
}

#[inline(always)]
pub fn exit(me: *const u8) {
    let Some(label) = label() else { return };
    calls::abandon(label);
    if !wanted() {
        return;
    }
    let (process, thread) = ids();
    let (action, mut say) = (label.action, flags(label.flags));
    // SAFETY: fields of the task that the kernel passes.
    let status: u32 = unsafe { field(me, &TASK_EXIT_CODE) };
    let signal = pointer(me, &TASK_SIGNAL);
    let live: u32 = probe(signal.wrapping_add(offset(&SIGNAL_LIVE)), 0);
    if live == 0 {
        say |= flag::LAST;
    }
    reserved::<Exit>(|record| {
        record.head = head(kind::EXIT, say, size_of::<Exit>(), action, process, thread);
        record.status = status;
        record.padding = 0;
    });
}

/// The workers of an io_uring are no process of anybody's: they count as their leader.
#[inline(always)]
fn label_or_leaders() -> Option<&'static mut Task> {
    let me = current();
    if let Some(own) = TASKS.get(me) {
        return Some(own);
    }
    // SAFETY: a field of the current task.
    let leader: *const u8 = unsafe { field(me, &TASK_LEADER) };
    TASKS.get(leader)
}

#[inline(always)]
pub fn submit(request: *const u8) {
    let Some(label) = label_or_leaders() else {
        return;
    };
    if !wanted() {
        return;
    }
    let (process, thread) = ids();
    let (action, say) = (label.action, flags(label.flags));
    let operation: u8 = probe(request.wrapping_add(offset(&REQUEST_OPERATION)), 0);
    let request_flags: u32 = probe(request.wrapping_add(offset(&REQUEST_FLAGS)), 0);
    let user_data: u64 = probe(request.wrapping_add(offset(&REQUEST_DATA)), 0);
    reserved::<Uring>(|record| {
        record.head = head(
            kind::URING,
            say,
            size_of::<Uring>(),
            action,
            process,
            thread,
        );
        record.operation = operation as u32;
        record.flags = request_flags;
        record.user_data = user_data;
    });
}
