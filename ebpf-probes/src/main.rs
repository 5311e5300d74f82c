//! What watches: system calls, processes and io_uring submissions of the tasks that carry a label.
//!
//! Nothing here decides. A program that the kernel skips is counted by it (`recursion_misses`). No per-CPU memory is
//! used: since 6.12 another task may run on the same CPU between two instructions; what is collected of a call
//! lies in the task's own storage.
#![no_std]
#![no_main]
// the bpf target declares no compare-and-swap, so core hides fetch_add although the machine has it
#![feature(core_intrinsics)]
#![allow(internal_features)]

mod calls;
mod kernel;
mod processes;
mod text;
mod walk;

use aya_ebpf::macros::{btf_tracepoint, fentry};
use aya_ebpf::programs::{BtfTracePointContext, FEntryContext};

#[btf_tracepoint(function = "sys_enter")]
pub fn enter(ctx: BtfTracePointContext) -> i32 {
    calls::enter(ctx.arg(0), ctx.arg(1));
    0
}

#[btf_tracepoint(function = "sys_exit")]
pub fn leave(ctx: BtfTracePointContext) -> i32 {
    calls::leave(ctx.arg(0), ctx.arg(1));
    0
}

#[btf_tracepoint(function = "sched_process_fork")]
pub fn fork(ctx: BtfTracePointContext) -> i32 {
    processes::fork(ctx.arg(0), ctx.arg(1));
    0
}

#[btf_tracepoint(function = "sched_process_exec")]
pub fn exec(ctx: BtfTracePointContext) -> i32 {
    processes::exec(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

#[fentry(function = "security_bprm_check")]
pub fn choose(ctx: FEntryContext) -> i32 {
    processes::choose(ctx.arg(0));
    0
}

#[btf_tracepoint(function = "sched_process_exit")]
pub fn exit(ctx: BtfTracePointContext) -> i32 {
    processes::exit(ctx.arg(0));
    0
}

/// Before 6.3 the tracepoint is called io_uring_submit_sqe; both get the request first.
#[btf_tracepoint(function = "io_uring_submit_req")]
pub fn submit(ctx: BtfTracePointContext) -> i32 {
    processes::submit(ctx.arg(0));
    0
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
