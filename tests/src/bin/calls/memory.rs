//! Mappings.
#![forbid(unsafe_code)]

use super::*;

const PAGE: u64 = 4096;

pub fn all() {
    let anonymous = wide(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let at = made(libc::SYS_mmap, &[0, 8 * PAGE, 3, anonymous, MINUS, 0]);
    let everybody = wide(libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
    call(libc::SYS_mmap, &[0, PAGE, 0, everybody, MINUS, 0]);
    call(libc::SYS_mmap, &[0, 0, 5, anonymous, MINUS, 0]);
    call(
        libc::SYS_mmap,
        &[0, PAGE, 1, wide(libc::MAP_PRIVATE), NO, 8192],
    );
    let file = made(libc::SYS_openat, &[CWD, text("plain"), 0]);
    call(
        libc::SYS_mmap,
        &[
            0,
            PAGE,
            1,
            wide(libc::MAP_SHARED | libc::MAP_POPULATE),
            file,
            PAGE,
        ],
    );
    call(libc::SYS_close, &[file]);
    call(libc::SYS_mprotect, &[at, PAGE, 1]);
    call(libc::SYS_mprotect, &[at + 1, PAGE, 7]);
    call(libc::SYS_pkey_mprotect, &[at, PAGE, 1, MINUS]);
    call(libc::SYS_pkey_alloc, &[0, 99]);
    call(libc::SYS_pkey_free, &[77]);
    call(libc::SYS_madvise, &[at, PAGE, 4]);
    call(libc::SYS_madvise, &[at, PAGE, 200]);
    call(libc::SYS_msync, &[at, PAGE, 4]);
    call(libc::SYS_mincore, &[at, PAGE, buffer()]);
    call(libc::SYS_mlock, &[at, PAGE]);
    call(libc::SYS_mlock2, &[at, PAGE, 1]);
    call(libc::SYS_munlock, &[at, PAGE]);
    call(libc::SYS_mlockall, &[0]);
    call(libc::SYS_munlockall, &[]);
    let to = made(libc::SYS_mremap, &[at, 8 * PAGE, 16 * PAGE, 1, 0]);
    call(libc::SYS_mremap, &[to, PAGE, PAGE, 3, at + 1]);
    call(libc::SYS_munmap, &[to, 16 * PAGE]);
    call(libc::SYS_munmap, &[1, PAGE]);
    call(libc::SYS_remap_file_pages, &[1, PAGE, 0, 0, 0]);
    call(libc::SYS_brk, &[0]);
    call(libc::SYS_membarrier, &[0, 0, 0]);
    call(libc::SYS_membarrier, &[0, 77, 0]);
    call(libc::SYS_mbind, &[1, PAGE, 0, 0, 0, 0]);
    call(libc::SYS_set_mempolicy, &[0, 0, 0]);
    call(libc::SYS_get_mempolicy, &[buffer(), 0, 0, 0, 0]);
    call(libc::SYS_migrate_pages, &[0, 0, BAD, BAD]);
    call(libc::SYS_process_madvise, &[NO, BAD, 1, 3, 0]);
    call(libc::SYS_process_mrelease, &[NO, 0]);
    shared();
}

fn shared() {
    call(libc::SYS_memfd_create, &[text("name in memory"), 3]);
    call(libc::SYS_memfd_create, &[text("x"), 0x4000]);
    call(libc::SYS_memfd_create, &[BAD, 0]);
    call(libc::SYS_userfaultfd, &[0x4000]);
    call(libc::SYS_shmget, &[0, 0, 0o600]);
    call(libc::SYS_shmat, &[MINUS, 0, 0]);
    call(libc::SYS_shmdt, &[1]);
    call(libc::SYS_shmctl, &[MINUS, 0, 0]);
    call(libc::SYS_semget, &[0, MINUS, 0]);
    call(libc::SYS_semop, &[MINUS, BAD, 1]);
    call(libc::SYS_semctl, &[MINUS, 0, 0, 0]);
    call(libc::SYS_msgget, &[77_777, 0]);
    call(libc::SYS_msgsnd, &[MINUS, BAD, 1, 0]);
    call(libc::SYS_msgrcv, &[MINUS, BAD, 1, 0, 0]);
    call(libc::SYS_msgctl, &[MINUS, 0, 0]);
    call(libc::SYS_mq_unlink, &[text("stockade-absent")]);
    call(libc::SYS_mq_open, &[text("stockade-absent"), 0, 0, 0]);
    call(libc::SYS_mq_timedsend, &[NO, BAD, 0, 0, 0]);
    call(libc::SYS_mq_timedreceive, &[NO, BAD, 0, 0, 0]);
    call(libc::SYS_mq_notify, &[NO, 0]);
    call(libc::SYS_mq_getsetattr, &[NO, 0, 0]);
}
