//! Names, what is known of files, what is in them, descriptors.
#![forbid(unsafe_code)]

use super::*;
use libc::{O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY};

const O_PATH: u64 = libc::O_PATH as u64;

pub fn names(place: &[u8]) {
    let absolute = text([place, b"/absolute"].concat());
    let make = wide(O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC);
    let names = [
        absolute,
        text("plain"),
        text("./dot/../dotted"),
        text(b"not\xff\xfeutf8"),
        text(b"esc\x1b[31mred\x07\n\t\"\\q"),
        text("wide-\u{e9}\u{4e16}"),
        text("l".repeat(200)),
        text([b"l".repeat(200), b"/".to_vec(), b"m".repeat(150)].concat()),
        text(["./".repeat(1200), "far".into()].concat()),
        text(["./".repeat(2047), "x".into()].concat()),
        text(["./".repeat(2100), "too-far".into()].concat()),
        text("n".repeat(256)),
        text(""),
        0,
        BAD,
        text("absent/deeper"),
    ];
    for name in names {
        call(libc::SYS_open, &[name, make, 0o640]);
        call(libc::SYS_openat, &[CWD, name, make, 0o604]);
        call(libc::SYS_openat, &[CWD, name, wide(O_RDONLY), 0]);
        call(libc::SYS_stat, &[name, buffer()]);
        call(libc::SYS_access, &[name, 6]);
    }
    call(libc::SYS_creat, &[text("created"), 0o600]);
    call(
        libc::SYS_openat,
        &[CWD, text("created"), wide(O_CREAT | O_EXCL | O_RDWR), 0o777],
    );
    call(
        libc::SYS_openat,
        &[CWD, text("."), wide(libc::O_TMPFILE | O_RDWR), 0o600],
    );
    let how = |flags: libc::c_int, mode, resolve| words(&[wide(flags), mode, resolve]);
    call(
        libc::SYS_openat2,
        &[CWD, text("plain"), how(O_RDONLY | O_CLOEXEC, 0, 0), 24],
    );
    call(
        libc::SYS_openat2,
        &[CWD, text("by2"), how(O_CREAT | O_RDWR, 0o640, 8), 24],
    );
    call(
        libc::SYS_openat2,
        &[CWD, text("/etc"), how(O_RDONLY, 0, 0xc), 24],
    );
    call(
        libc::SYS_openat2,
        &[CWD, text("/etc"), how(O_RDONLY, 0, 0), 8],
    );
    call(libc::SYS_openat2, &[CWD, text("/etc"), BAD, 24]);
}

/// Relative to the current directory, to a directory's descriptor, to what was removed.
pub fn places() {
    call(libc::SYS_mkdir, &[text("dir"), 0o755]);
    call(libc::SYS_mkdir, &[text("dir"), 0o700]);
    call(libc::SYS_mkdirat, &[CWD, text("dir/in"), 0o711]);
    let dir = made(
        libc::SYS_openat,
        &[CWD, text("dir"), wide(O_RDONLY | O_DIRECTORY)],
    );
    let path = made(libc::SYS_openat, &[dir, text("in"), O_PATH]);
    call(
        libc::SYS_openat,
        &[dir, text("new"), wide(O_CREAT | O_RDWR), 0o644],
    );
    call(libc::SYS_openat, &[path, text("../new"), wide(O_RDONLY)]);
    call(libc::SYS_openat, &[NO, text("new"), wide(O_RDONLY)]);
    call(libc::SYS_openat, &[NO, text("/etc/passwd"), wide(O_RDONLY)]);
    call(libc::SYS_mknodat, &[dir, text("fifo"), wide(0o010_600), 0]);
    call(libc::SYS_mknod, &[text("dir/fifo"), wide(0o010_600), 0]);
    call(libc::SYS_symlink, &[text("dir/new"), text("link")]);
    call(
        libc::SYS_symlinkat,
        &[text("nowhere \x1b"), dir, text("loose")],
    );
    call(
        libc::SYS_symlinkat,
        &[text("l".repeat(1000)), CWD, text("long-link")],
    );
    call(libc::SYS_readlink, &[text("link"), buffer(), 100]);
    call(libc::SYS_readlink, &[text("link"), buffer(), 3]);
    call(libc::SYS_readlink, &[text("plain"), buffer(), 100]);
    call(libc::SYS_readlinkat, &[dir, text("loose"), buffer(), 4096]);
    call(
        libc::SYS_readlinkat,
        &[CWD, text("long-link"), buffer(), 4096],
    );
    renamed(dir, path);
    removed(dir, path);
    deep();
}

fn renamed(dir: u64, path: u64) {
    call(libc::SYS_link, &[text("dir/new"), text("hard")]);
    call(libc::SYS_linkat, &[dir, text("new"), CWD, text("hard2"), 0]);
    call(
        libc::SYS_linkat,
        &[
            CWD,
            text("link"),
            dir,
            text("hard3"),
            wide(libc::AT_SYMLINK_FOLLOW),
        ],
    );
    call(libc::SYS_rename, &[text("hard"), text("moved")]);
    call(
        libc::SYS_renameat,
        &[CWD, text("moved"), dir, text("moved")],
    );
    call(
        libc::SYS_renameat2,
        &[dir, text("moved"), path, text("m"), 1],
    );
    call(
        libc::SYS_renameat2,
        &[dir, text("moved"), dir, text("new"), 3],
    );
    call(libc::SYS_rename, &[text("absent"), text("never")]);
}

fn removed(dir: u64, path: u64) {
    call(libc::SYS_unlink, &[text("hard2")]);
    call(libc::SYS_unlink, &[text("dir")]);
    call(libc::SYS_unlinkat, &[dir, text("fifo"), 0]);
    call(libc::SYS_chdir, &[text("dir/in")]);
    call(libc::SYS_getcwd, &[buffer(), 4096]);
    call(libc::SYS_getcwd, &[buffer(), 3]);
    call(libc::SYS_openat, &[CWD, text("m"), wide(O_RDONLY)]);
    call(libc::SYS_unlinkat, &[path, text("m"), 0]);
    call(libc::SYS_fchdir, &[dir]);
    call(libc::SYS_openat, &[CWD, text("new"), wide(O_RDONLY)]);
    call(
        libc::SYS_unlinkat,
        &[CWD, text("in"), wide(libc::AT_REMOVEDIR)],
    );
    // removed, and still somebody's
    call(
        libc::SYS_openat,
        &[path, text("gone"), wide(O_CREAT | O_RDWR), 0o600],
    );
    call(libc::SYS_chdir, &[text("..")]);
    call(libc::SYS_mkdir, &[text("empty"), 0o755]);
    call(libc::SYS_rmdir, &[text("empty")]);
    call(libc::SYS_rmdir, &[text("empty")]);
    call(libc::SYS_chdir, &[text("empty")]);
}

fn deep() {
    for _ in 0..100 {
        call(libc::SYS_mkdir, &[text("d"), 0o755]);
        call(libc::SYS_chdir, &[text("d")]);
    }
    let long = "x".repeat(200);
    for _ in 0..8 {
        call(libc::SYS_mkdirat, &[CWD, text(&long), 0o755]);
        call(libc::SYS_chdir, &[text(&long)]);
    }
    call(libc::SYS_getcwd, &[buffer(), 8192]);
    call(
        libc::SYS_openat,
        &[CWD, text("bottom"), wide(O_CREAT | O_RDWR), 0o600],
    );
    // as deep as a name may be, and deeper than is kept
    for _ in 0..9 {
        call(libc::SYS_mkdirat, &[CWD, text(&long), 0o755]);
        call(libc::SYS_chdir, &[text(&long)]);
    }
    call(libc::SYS_getcwd, &[buffer(), 8192]);
    call(
        libc::SYS_openat,
        &[CWD, text("lowest"), wide(O_CREAT | O_RDWR), 0o600],
    );
    call(libc::SYS_chdir, &[text("../".repeat(117))]);
    call(libc::SYS_getcwd, &[buffer(), 8192]);
}

pub fn metadata() {
    let dir = made(
        libc::SYS_openat,
        &[CWD, text("dir"), wide(O_RDONLY | O_DIRECTORY)],
    );
    let file = made(libc::SYS_openat, &[CWD, text("plain"), wide(O_RDWR)]);
    let out = buffer();
    let follow = wide(libc::AT_SYMLINK_NOFOLLOW);
    call(libc::SYS_lstat, &[text("link"), out]);
    call(libc::SYS_fstat, &[file, out]);
    call(libc::SYS_fstat, &[NO, out]);
    call(libc::SYS_newfstatat, &[dir, text("new"), out, follow]);
    call(
        libc::SYS_newfstatat,
        &[dir, text(""), out, wide(libc::AT_EMPTY_PATH)],
    );
    call(libc::SYS_statx, &[dir, text("new"), follow, 0x7ff, out]);
    call(libc::SYS_statx, &[CWD, text("absent"), 0x4000, 0xfff, out]);
    call(
        libc::SYS_statx,
        &[CWD, text("plain"), wide(libc::AT_NO_AUTOMOUNT), 0x201, BAD],
    );
    call(libc::SYS_faccessat, &[dir, text("new"), 4]);
    call(libc::SYS_faccessat2, &[dir, text("new"), 0, 0x200]);
    call(libc::SYS_faccessat2, &[dir, text("new"), 1, 0x300]);
    call(libc::SYS_statfs, &[text("/proc"), out]);
    call(libc::SYS_fstatfs, &[file, out]);
    call(libc::SYS_chmod, &[text("plain"), 0o644]);
    call(libc::SYS_chmod, &[text("absent"), 0o4755]);
    call(libc::SYS_fchmod, &[file, 0o600]);
    call(libc::SYS_fchmodat, &[dir, text("new"), 0o1640]);
    call(libc::SYS_chown, &[text("plain"), 0, 0]);
    call(libc::SYS_lchown, &[text("link"), MINUS, 0]);
    call(libc::SYS_fchown, &[file, 0, MINUS]);
    call(libc::SYS_fchownat, &[dir, text("new"), 0, 0, follow]);
    call(libc::SYS_umask, &[0o027]);
    call(libc::SYS_umask, &[0o022]);
    call(libc::SYS_utime, &[text("plain"), 0]);
    call(libc::SYS_utimes, &[text("plain"), 0]);
    call(libc::SYS_futimesat, &[dir, text("new"), 0]);
    call(
        libc::SYS_utimensat,
        &[dir, text("new"), words(&[1, 2, 3, 4]), 0],
    );
    call(libc::SYS_utimensat, &[dir, text("absent"), 0, follow]);
    call(libc::SYS_truncate, &[text("plain"), 100]);
    call(libc::SYS_truncate, &[text("dir"), 1]);
    call(libc::SYS_ftruncate, &[file, 5000]);
    call(libc::SYS_ftruncate, &[file, MINUS]);
    call(libc::SYS_close, &[dir]);
    call(libc::SYS_close, &[file]);
    call(libc::SYS_close, &[file]);
    call(libc::SYS_close_range, &[500, 600, 0]);
    call(libc::SYS_close_range, &[500, 600, 4]);
    call(libc::SYS_close_range, &[600, 500, 0]);
}

pub fn attributes() {
    let file = made(libc::SYS_openat, &[CWD, text("plain"), wide(O_RDWR)]);
    let (name, value, out) = (text("user.name"), text("value"), buffer());
    call(libc::SYS_setxattr, &[text("plain"), name, value, 5, 0]);
    call(libc::SYS_setxattr, &[text("plain"), name, value, 5, 1]);
    call(libc::SYS_lsetxattr, &[text("absent"), name, value, 5, 2]);
    call(
        libc::SYS_fsetxattr,
        &[file, text("user.other"), value, 3, 0],
    );
    call(libc::SYS_getxattr, &[text("plain"), name, out, 100]);
    call(
        libc::SYS_lgetxattr,
        &[text("plain"), text("user.absent"), out, 100],
    );
    call(libc::SYS_fgetxattr, &[file, name, out, 0]);
    call(libc::SYS_listxattr, &[text("plain"), out, 100]);
    call(libc::SYS_llistxattr, &[text("absent"), out, 100]);
    call(libc::SYS_flistxattr, &[file, out, 100]);
    call(libc::SYS_removexattr, &[text("plain"), name]);
    call(libc::SYS_lremovexattr, &[text("plain"), name]);
    call(libc::SYS_fremovexattr, &[file, BAD]);
    call(
        libc::SYS_name_to_handle_at,
        &[CWD, text("plain"), BAD, BAD, 0],
    );
    call(libc::SYS_open_by_handle_at, &[NO, BAD, wide(O_RDONLY)]);
    call(libc::SYS_close, &[file]);
}

pub fn contents() {
    let file = made(libc::SYS_openat, &[CWD, text("plain"), wide(O_RDWR)]);
    let other = made(
        libc::SYS_openat,
        &[CWD, text("other"), wide(O_RDWR | O_CREAT), 0o600],
    );
    let (data, out) = (text("some text"), buffer());
    let vectors = words(&[data, 4, data, 5]);
    call(libc::SYS_write, &[file, data, 9]);
    call(libc::SYS_write, &[NO, data, 9]);
    call(libc::SYS_write, &[file, BAD, 9]);
    call(libc::SYS_lseek, &[file, 0, 0]);
    call(libc::SYS_lseek, &[file, wide(-3), 2]);
    call(libc::SYS_lseek, &[file, wide(-30000), 1]);
    call(libc::SYS_lseek, &[file, 0, 3]);
    call(libc::SYS_read, &[file, out, 3]);
    call(libc::SYS_pread64, &[file, out, 5, 2]);
    call(libc::SYS_pwrite64, &[file, data, 4, 4096]);
    call(libc::SYS_writev, &[file, vectors, 2]);
    call(libc::SYS_readv, &[file, words(&[out, 4]), 1]);
    call(libc::SYS_preadv, &[file, words(&[out, 4]), 1, 2]);
    call(libc::SYS_pwritev, &[file, vectors, 2, 7]);
    call(libc::SYS_preadv2, &[file, words(&[out, 4]), 1, 2, 0, 8]);
    call(libc::SYS_pwritev2, &[file, vectors, 2, 7, 0, 4]);
    call(libc::SYS_readahead, &[file, 0, 4096]);
    call(libc::SYS_fadvise64, &[file, 0, 100, 3]);
    call(libc::SYS_fallocate, &[file, 3, 0, 100]);
    call(libc::SYS_fallocate, &[NO, 0, 0, 100]);
    call(libc::SYS_fsync, &[file]);
    call(libc::SYS_fdatasync, &[NO]);
    call(libc::SYS_syncfs, &[NO]);
    call(libc::SYS_sync_file_range, &[file, 0, 10, 7]);
    call(
        libc::SYS_copy_file_range,
        &[file, words(&[1]), other, words(&[2]), 3, 0],
    );
    call(libc::SYS_copy_file_range, &[file, 0, other, 0, 3, 1]);
    call(libc::SYS_sendfile, &[other, file, words(&[2]), 4]);
    call(libc::SYS_sendfile, &[other, file, 0, 4]);
    call(libc::SYS_flock, &[file, 2 | 4]);
    call(libc::SYS_flock, &[file, 8]);
    let dir = made(
        libc::SYS_openat,
        &[CWD, text("dir"), wide(O_RDONLY | O_DIRECTORY)],
    );
    call(libc::SYS_getdents64, &[dir, out, 8192]);
    call(libc::SYS_getdents, &[file, out, 8192]);
    for descriptor in [file, other, dir] {
        call(libc::SYS_close, &[descriptor]);
    }
}

pub fn descriptors() {
    let file = made(libc::SYS_openat, &[CWD, text("plain"), wide(O_RDWR)]);
    call(libc::SYS_dup, &[file]);
    call(libc::SYS_dup2, &[file, 200]);
    call(libc::SYS_dup3, &[file, 201, wide(O_CLOEXEC)]);
    call(libc::SYS_dup3, &[file, file, 0]);
    let lock = words(&[1, 10, 20, 0]);
    let arguments: [(libc::c_int, u64); 17] = [
        (libc::F_DUPFD, 100),
        (libc::F_DUPFD_CLOEXEC, 100),
        (libc::F_GETFD, 0),
        (libc::F_SETFD, 1),
        (libc::F_GETFL, 0),
        (libc::F_SETFL, wide(libc::O_APPEND | libc::O_NONBLOCK)),
        (libc::F_SETLK, lock),
        (libc::F_OFD_SETLK, words(&[2, 0, 0, 0])),
        (libc::F_SETLK, BAD),
        (libc::F_GETOWN, 0),
        (libc::F_SETOWN, 0),
        (10, 12),
        (libc::F_GETLEASE, 0),
        (libc::F_SETLEASE, 2),
        (libc::F_ADD_SEALS, 3),
        (libc::F_GET_SEALS, 0),
        (libc::F_GETPIPE_SZ, 0),
    ];
    for (command, argument) in arguments {
        call(libc::SYS_fcntl, &[file, wide(command), argument]);
    }
    let pair = buffer();
    call(libc::SYS_pipe, &[pair]);
    call(libc::SYS_pipe2, &[pair, wide(O_CLOEXEC | libc::O_NONBLOCK)]);
    call(libc::SYS_pipe2, &[BAD, 0]);
    call(libc::SYS_pipe2, &[pair, 1]);
    let [read, write] = written(pair);
    call(libc::SYS_fcntl, &[write, wide(libc::F_SETPIPE_SZ), 8192]);
    call(libc::SYS_splice, &[file, words(&[0]), write, 0, 5, 2]);
    call(libc::SYS_tee, &[read, write, 5, 2]);
    call(libc::SYS_vmsplice, &[write, words(&[text("abc"), 3]), 1, 2]);
    call(libc::SYS_ioctl, &[read, 0x541b, buffer()]);
    call(libc::SYS_ioctl, &[file, 0x5401, buffer()]);
    call(libc::SYS_ioctl, &[file, 0x5451, 0]);
    for descriptor in [file, read, write, 200, 201] {
        call(libc::SYS_close, &[descriptor]);
    }
}

/// What can't be read, and what is read only when the call has touched it.
pub fn odd_pointers(place: &[u8]) {
    let anonymous = wide(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let none = made(libc::SYS_mmap, &[0, 4096, 0, anonymous, MINUS, 0]);
    let at = text([place, b"/named"].concat());
    let make = wide(O_RDWR | O_CREAT | O_TRUNC);
    let named = made(libc::SYS_openat, &[CWD, at, make, 0o600]);
    call(libc::SYS_pwrite64, &[named, text("plain"), 6, 0]);
    call(libc::SYS_pwrite64, &[named, text("/etc/passwd"), 12, 4096]);
    call(libc::SYS_pwrite64, &[named, text("dir"), 4, 8192]);
    call(libc::SYS_ftruncate, &[named, 16384]);
    // each page of a mapping is behind its address only when somebody has touched it
    let map = |page: u64| {
        made(
            libc::SYS_mmap,
            &[0, 4096, 1, wide(libc::MAP_PRIVATE), named, page * 4096],
        )
    };
    call(libc::SYS_open, &[map(0), wide(O_RDONLY)]);
    call(libc::SYS_openat, &[CWD, map(0), wide(O_RDONLY)]);
    call(libc::SYS_openat, &[CWD, map(1), wide(O_RDONLY)]);
    call(libc::SYS_chdir, &[map(2)]);
    call(libc::SYS_chdir, &[text("..")]);
    call(libc::SYS_unlink, &[map(3)]);
    for pointer in [none, BAD, u64::MAX - 4095, 0xffff_8000_0000_0000] {
        call(libc::SYS_open, &[pointer, wide(O_RDONLY)]);
        call(libc::SYS_openat, &[CWD, pointer, wide(O_RDONLY)]);
        call(libc::SYS_rename, &[pointer, text("x")]);
        call(libc::SYS_symlink, &[pointer, text("x")]);
        call(libc::SYS_mkdir, &[pointer, 0o755]);
    }
    call(libc::SYS_munmap, &[none, 4096]);
    call(libc::SYS_close, &[named]);
}
