//! What waits: polls, timers, watches, rings.
#![forbid(unsafe_code)]

use super::*;

pub fn all() {
    waiting();
    watching();
    timers();
    rings();
}

fn waiting() {
    let epoll = made(libc::SYS_epoll_create1, &[wide(libc::EPOLL_CLOEXEC)]);
    call(libc::SYS_epoll_create, &[1]);
    call(libc::SYS_epoll_create, &[0]);
    call(libc::SYS_epoll_create1, &[5]);
    let event = made(
        libc::SYS_eventfd2,
        &[3, wide(libc::EFD_NONBLOCK | libc::EFD_SEMAPHORE)],
    );
    call(libc::SYS_eventfd, &[0]);
    call(libc::SYS_eventfd2, &[0, 0x100]);
    let mut wanted = 0x8000_0005_u32.to_ne_bytes().to_vec();
    wanted.extend(0x1234_5678_9abc_u64.to_ne_bytes());
    let wanted = memory(&wanted);
    call(libc::SYS_epoll_ctl, &[epoll, 1, event, wanted]);
    call(libc::SYS_epoll_ctl, &[epoll, 3, event, wanted]);
    call(libc::SYS_epoll_ctl, &[epoll, 2, event, 0]);
    call(libc::SYS_epoll_ctl, &[epoll, 9, event, wanted]);
    call(libc::SYS_epoll_wait, &[epoll, buffer(), 5, 0]);
    call(libc::SYS_epoll_wait, &[epoll, buffer(), 0, 0]);
    call(libc::SYS_epoll_pwait, &[epoll, buffer(), 5, 1, 0, 8]);
    call(
        libc::SYS_epoll_pwait2,
        &[epoll, buffer(), 5, words(&[0, 1]), 0, 8],
    );
    let polled = memory(&[&0_u32.to_ne_bytes()[..], &[1, 0, 0, 0]].concat());
    call(libc::SYS_poll, &[polled, 0, 1]);
    call(libc::SYS_poll, &[BAD, 1, 0]);
    call(libc::SYS_ppoll, &[polled, 0, words(&[0, 1000]), 0, 8]);
    call(libc::SYS_select, &[0, 0, 0, 0, words(&[0, 10])]);
    call(libc::SYS_pselect6, &[0, 0, 0, 0, words(&[0, 10]), 0]);
    call(libc::SYS_close, &[epoll]);
    call(libc::SYS_close, &[event]);
    let mask = words(&[0x200]);
    call(libc::SYS_signalfd, &[MINUS, mask, 8]);
    call(
        libc::SYS_signalfd4,
        &[MINUS, mask, 8, wide(libc::SFD_CLOEXEC)],
    );
    call(libc::SYS_signalfd4, &[MINUS, mask, 8, 1]);
}

fn watching() {
    let watch = made(libc::SYS_inotify_init1, &[wide(libc::IN_NONBLOCK)]);
    call(libc::SYS_inotify_init, &[]);
    call(libc::SYS_inotify_init1, &[1]);
    call(libc::SYS_inotify_add_watch, &[watch, text("dir"), 0x306]);
    call(
        libc::SYS_inotify_add_watch,
        &[watch, text("absent"), 0x100_0002],
    );
    call(libc::SYS_inotify_rm_watch, &[watch, 1]);
    call(libc::SYS_inotify_rm_watch, &[watch, 77]);
    call(libc::SYS_fanotify_init, &[0x1000_0000, 0]);
    call(libc::SYS_fanotify_mark, &[NO, 1, 0x8, CWD, text("dir")]);
    call(
        libc::SYS_fanotify_mark,
        &[NO, 0x11, 0x4000_0003, CWD, text("dir")],
    );
    call(libc::SYS_close, &[watch]);
}

fn timers() {
    let timer = made(libc::SYS_timerfd_create, &[1, wide(libc::TFD_NONBLOCK)]);
    call(libc::SYS_timerfd_create, &[99, 0]);
    call(
        libc::SYS_timerfd_settime,
        &[timer, 1, words(&[1, 2, 3, 4]), buffer()],
    );
    call(
        libc::SYS_timerfd_settime,
        &[timer, 0, words(&[0, 0, 0, 0]), 0],
    );
    call(libc::SYS_timerfd_gettime, &[timer, buffer()]);
    call(libc::SYS_close, &[timer]);
    call(libc::SYS_nanosleep, &[words(&[0, 1000]), 0]);
    call(libc::SYS_nanosleep, &[words(&[0, 2_000_000_000]), 0]);
    call(libc::SYS_clock_nanosleep, &[1, 0, words(&[0, 1000]), 0]);
    call(libc::SYS_clock_nanosleep, &[0, 1, words(&[1, 1000]), 0]);
    call(libc::SYS_clock_gettime, &[1, buffer()]);
    call(libc::SYS_clock_gettime, &[77, buffer()]);
    call(libc::SYS_clock_getres, &[0, buffer()]);
    call(libc::SYS_clock_settime, &[1, words(&[0, 0])]);
    call(libc::SYS_clock_adjtime, &[77, BAD]);
    call(libc::SYS_adjtimex, &[BAD]);
    call(libc::SYS_gettimeofday, &[buffer(), 0]);
    call(libc::SYS_settimeofday, &[BAD, 0]);
    call(libc::SYS_time, &[0]);
    call(libc::SYS_times, &[buffer()]);
    call(libc::SYS_setitimer, &[0, words(&[0, 0, 100, 0]), 0]);
    call(libc::SYS_setitimer, &[0, words(&[0, 0, 0, 0]), buffer()]);
    call(libc::SYS_getitimer, &[2, buffer()]);
    call(libc::SYS_alarm, &[0]);
    let id = buffer();
    call(libc::SYS_timer_create, &[1, 0, id]);
    call(libc::SYS_timer_create, &[1, BAD, id]);
    call(libc::SYS_timer_settime, &[0, 1, words(&[0, 0, 0, 0]), 0]);
    call(libc::SYS_timer_gettime, &[0, buffer()]);
    call(libc::SYS_timer_getoverrun, &[0]);
    call(libc::SYS_timer_delete, &[0]);
    call(libc::SYS_timer_delete, &[77]);
}

fn rings() {
    call(libc::SYS_io_uring_setup, &[0, buffer()]);
    call(libc::SYS_io_uring_enter, &[NO, 1, 2, 1, 0, 0]);
    call(libc::SYS_io_uring_register, &[NO, 2, BAD, 1]);
    call(libc::SYS_io_setup, &[0, buffer()]);
    call(libc::SYS_io_destroy, &[BAD]);
    call(libc::SYS_io_submit, &[BAD, 1, BAD]);
    call(libc::SYS_io_cancel, &[BAD, BAD, BAD]);
    call(libc::SYS_io_getevents, &[BAD, 1, 1, BAD, 0]);
}
