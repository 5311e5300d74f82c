//! One row a call that is decoded.

use super::Kind::{
    Address, AddressOut, By, Descriptor, Directory, Flags, Half, Hexadecimal, Id, Int, IntOut,
    Length, Long, LongIn, Message, MessageOut, Mode, Nothing, Pair, Path, PathAt, Pointer, Result,
    Signal, Sized, SizedOut, Strings, Struct, StructOf, Text, TextOf, Unsigned, Wide,
};
use super::flags::events::{
    CLOCK, EPOLL, EPOLL_CTL, EVENTFD, FAN_INIT, FAN_MARK, FAN_MASK, INOTIFY, INOTIFY_INIT,
    SIGNALFD, TIMER, TIMERFD, TIMERFD_SET, URING_ENTER, URING_REGISTER, USERFAULTFD,
};
use super::flags::files::{
    ACCESS, AT, CLOSE_RANGE, FACCESS, FADVISE, FALLOC, FCNTL, FLOCK, FSCONFIG, FSMOUNT, FSOPEN,
    FSPICK, HANDLE_AT, MOUNT, MOUNT_ATTR, MOUNT_SETATTR, MOVE_MOUNT, OPEN, OPEN_FLAGS, OPEN_TREE,
    RENAME, RWF, SPLICE, STATX, STATX_AT, SWAP, SYNC_RANGE, UMOUNT, UNLINK, WHENCE, XATTR,
};
use super::flags::memory::{
    GET_MEMPOLICY, MADVISE, MAP, MBIND, MEMBARRIER, MEMBARRIER_FLAGS, MEMFD, MLOCK2, MLOCKALL,
    MPOL, MREMAP, MSYNC, PKEY, PROT,
};
use super::flags::network::{FAMILY, LEVEL, MSG, SHUTDOWN, SOCKET, SOCKET_FLAGS};
use super::flags::processes::{
    CLONE, EXECVEAT, FUTEX, IOPRIO, ITIMER, KCMP, NAMESPACES, PIDFD, PRCTL, PRIORITY, PTRACE,
    RESOURCE, SCHEDULER, SIGMASK, UNSHARE, USAGE, WAIT, WAITID,
};
use super::flags::requests::IOCTL;
use super::flags::system::{
    BPF, DELETE_MODULE, IPC, IPC_GET, IPC_MSG, KEXEC_FILE, KEY, KEYCTL, LANDLOCK_CREATE,
    LANDLOCK_RULE, MODULE, MSGCTL, PERF, RANDOM, REBOOT, SECCOMP, SEMCTL, SHM, SHMCTL, SHMGET,
    SYSLOG,
};
use super::structs::{
    ACTION, CLONE_ARGS, EPOLL_EVENT, FCNTL_ARGUMENT, FUTEX_3, FUTEX_4, FUTEX_5, ITIMERSPEC,
    ITIMERVAL, LANDLOCK_ATTR, MEMBARRIER_CPU, MKNODAT_DEVICE, MOUNT_ATTRIBUTES, MREMAP_TO,
    OPEN_HOW, OPEN_MODE, OPENAT_MODE, OPTION, PRCTL_2, PRCTL_3, PRCTL_4, PRCTL_5, PROTOCOL, QUEUE,
    RESTART, RLIMIT, RULESET, SECCOMP_FLAGS, TIMES, TIMESPEC,
};
use super::{Decoding, Kind};
#[cfg(target_arch = "x86_64")]
use super::{
    flags::processes::ARCH,
    structs::{MKNOD_DEVICE, TIMEVAL},
};

/// What a call is about: strace(1)'s classes, and what this project records by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// `%file`: takes a path.
    File,
    /// `%desc`: takes or makes a descriptor.
    Descriptor,
    /// `%network`
    Network,
    /// `%process`: makes, changes or ends processes.
    Process,
    /// Makes, removes or changes what others see, whatever its flags.
    Mutation,
    /// Does so where its flags say that it writes or makes.
    MayWrite,
}

/// Numbers of calls, those that the library does not have yet among them.
#[expect(non_upper_case_globals, reason = "as the library names them")]
mod number {
    pub use libc::*;

    #[cfg(target_arch = "x86_64")]
    pub const SYS_io_pgetevents: libc::c_long = 333;
    #[cfg(target_arch = "aarch64")]
    pub const SYS_io_pgetevents: libc::c_long = 292;
    #[cfg(target_arch = "aarch64")]
    pub const SYS_getrlimit: libc::c_long = 163;
    #[cfg(target_arch = "aarch64")]
    pub const SYS_setrlimit: libc::c_long = 164;
    #[cfg(target_arch = "aarch64")]
    pub const SYS_sync_file_range: libc::c_long = 84;
    pub const SYS_cachestat: libc::c_long = 451;
    pub const SYS_fchmodat2: libc::c_long = 452;
    pub const SYS_map_shadow_stack: libc::c_long = 453;
    pub const SYS_futex_wake: libc::c_long = 454;
    pub const SYS_futex_wait: libc::c_long = 455;
    pub const SYS_futex_requeue: libc::c_long = 456;
    pub const SYS_statmount: libc::c_long = 457;
    pub const SYS_listmount: libc::c_long = 458;
    pub const SYS_lsm_get_self_attr: libc::c_long = 459;
    pub const SYS_lsm_set_self_attr: libc::c_long = 460;
    pub const SYS_lsm_list_modules: libc::c_long = 461;
    pub const SYS_setxattrat: libc::c_long = 463;
    pub const SYS_getxattrat: libc::c_long = 464;
    pub const SYS_listxattrat: libc::c_long = 465;
    pub const SYS_removexattrat: libc::c_long = 466;
    pub const SYS_open_tree_attr: libc::c_long = 467;
    pub const SYS_file_getattr: libc::c_long = 468;
    pub const SYS_file_setattr: libc::c_long = 469;
}

macro_rules! calls {
    ($($(#[$only:meta])* $number:ident $name:ident ($($argument:tt: $kind:expr),*) [$($class:ident)*];)*) => {
        pub static TABLE: &[Decoding] = &[$(
            $(#[$only])*
            Decoding {
                number: number::$number,
                name: stringify!($name),
                arguments: { const A: &[(&str, Kind)] = &[$((stringify!($argument), $kind)),*]; A },
                classes: &[$(Class::$class),*],
            },
        )*];
    };
}

calls! {
    SYS_read read(fd: Descriptor, buf: Pointer, count: Unsigned) [Descriptor];
    SYS_write write(fd: Descriptor, buf: Pointer, count: Unsigned) [Descriptor];
    #[cfg(target_arch = "x86_64")]
    SYS_open open(path: Path, flags: Flags(&OPEN), mode: By(&OPEN_MODE)) [File Descriptor MayWrite];
    SYS_openat openat(dirfd: Directory, path: PathAt(0), flags: Flags(&OPEN), mode: By(&OPENAT_MODE)) [File Descriptor MayWrite];
    SYS_openat2 openat2(dirfd: Directory, path: PathAt(0), how: StructOf(&OPEN_HOW, 3), size: Unsigned) [File Descriptor Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_creat creat(path: Path, mode: Mode) [File Descriptor Mutation];
    SYS_close close(fd: Descriptor) [Descriptor];
    SYS_close_range close_range(first: Half, last: Half, flags: Flags(&CLOSE_RANGE)) [];
    #[cfg(target_arch = "x86_64")]
    SYS_stat stat(path: Path, buf: Pointer) [File];
    #[cfg(target_arch = "x86_64")]
    SYS_lstat lstat(path: Path, buf: Pointer) [File];
    SYS_fstat fstat(fd: Descriptor, buf: Pointer) [Descriptor];
    SYS_newfstatat newfstatat(dirfd: Directory, path: PathAt(0), buf: Pointer, flags: Flags(&AT)) [File Descriptor];
    SYS_statx statx(dirfd: Directory, path: PathAt(0), flags: Flags(&STATX_AT), mask: Flags(&STATX), buf: Pointer) [File Descriptor];
    #[cfg(target_arch = "x86_64")]
    SYS_access access(path: Path, mode: Flags(&ACCESS)) [File];
    SYS_faccessat faccessat(dirfd: Directory, path: PathAt(0), mode: Flags(&ACCESS)) [File Descriptor];
    SYS_faccessat2 faccessat2(dirfd: Directory, path: PathAt(0), mode: Flags(&ACCESS), flags: Flags(&FACCESS)) [File Descriptor];
    SYS_statfs statfs(path: Path, buf: Pointer) [File];
    SYS_fstatfs fstatfs(fd: Descriptor, buf: Pointer) [Descriptor];
    #[cfg(target_arch = "x86_64")]
    SYS_ustat ustat(dev: Hexadecimal, buf: Pointer) [];
    SYS_getcwd getcwd(buf: Result, size: Unsigned) [File];
    SYS_chdir chdir(path: Path) [File];
    SYS_fchdir fchdir(fd: Descriptor) [Descriptor];
    #[cfg(target_arch = "x86_64")]
    SYS_mkdir mkdir(path: Path, mode: Mode) [File Mutation];
    SYS_mkdirat mkdirat(dirfd: Directory, path: PathAt(0), mode: Mode) [File Descriptor Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_rmdir rmdir(path: Path) [File Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_unlink unlink(path: Path) [File Mutation];
    SYS_unlinkat unlinkat(dirfd: Directory, path: PathAt(0), flags: Flags(&UNLINK)) [File Descriptor Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_rename rename(old: Path, new: Path) [File Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_renameat renameat(olddirfd: Directory, old: PathAt(0), newdirfd: Directory, new: PathAt(2)) [File Descriptor Mutation];
    SYS_renameat2 renameat2(olddirfd: Directory, old: PathAt(0), newdirfd: Directory, new: PathAt(2), flags: Flags(&RENAME)) [File Descriptor Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_link link(old: Path, new: Path) [File Mutation];
    SYS_linkat linkat(olddirfd: Directory, old: PathAt(0), newdirfd: Directory, new: PathAt(2), flags: Flags(&AT)) [File Descriptor Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_symlink symlink(target: Text, path: Path) [File Mutation];
    SYS_symlinkat symlinkat(target: Text, dirfd: Directory, path: PathAt(1)) [File Descriptor Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_readlink readlink(path: Path, buf: Result, size: Unsigned) [File];
    SYS_readlinkat readlinkat(dirfd: Directory, path: PathAt(0), buf: Result, size: Unsigned) [File Descriptor];
    #[cfg(target_arch = "x86_64")]
    SYS_chmod chmod(path: Path, mode: Mode) [File Mutation];
    SYS_fchmod fchmod(fd: Descriptor, mode: Mode) [Descriptor Mutation];
    SYS_fchmodat fchmodat(dirfd: Directory, path: PathAt(0), mode: Mode) [File Descriptor Mutation];
    SYS_fchmodat2 fchmodat2(dirfd: Directory, path: PathAt(0), mode: Mode, flags: Flags(&AT)) [File Descriptor Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_chown chown(path: Path, uid: Id, gid: Id) [File Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_lchown lchown(path: Path, uid: Id, gid: Id) [File Mutation];
    SYS_fchown fchown(fd: Descriptor, uid: Id, gid: Id) [Descriptor Mutation];
    SYS_fchownat fchownat(dirfd: Directory, path: PathAt(0), uid: Id, gid: Id, flags: Flags(&AT)) [File Descriptor Mutation];
    SYS_umask umask(mask: Mode) [];
    #[cfg(target_arch = "x86_64")]
    SYS_utime utime(path: Path, times: Pointer) [File Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_utimes utimes(path: Path, times: Pointer) [File Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_futimesat futimesat(dirfd: Directory, path: PathAt(0), times: Pointer) [File Descriptor Mutation];
    SYS_utimensat utimensat(dirfd: Directory, path: PathAt(0), times: Struct(&TIMES), flags: Flags(&AT)) [File Descriptor Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_mknod mknod(path: Path, mode: Mode, dev: By(&MKNOD_DEVICE)) [File Mutation];
    SYS_mknodat mknodat(dirfd: Directory, path: PathAt(0), mode: Mode, dev: By(&MKNODAT_DEVICE)) [File Descriptor Mutation];
    SYS_truncate truncate(path: Path, length: Long) [File Mutation];
    SYS_ftruncate ftruncate(fd: Descriptor, length: Long) [Descriptor Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_uselib uselib(path: Path) [File];
    SYS_acct acct(path: Path) [File Mutation];
    SYS_chroot chroot(path: Path) [File];
    SYS_pivot_root pivot_root(new: Path, old: Path) [File Mutation];
    SYS_lseek lseek(fd: Descriptor, offset: Long, whence: Flags(&WHENCE)) [Descriptor];
    SYS_pread64 pread64(fd: Descriptor, buf: Pointer, count: Unsigned, offset: Long) [Descriptor];
    SYS_pwrite64 pwrite64(fd: Descriptor, buf: Pointer, count: Unsigned, offset: Long) [Descriptor];
    SYS_readv readv(fd: Descriptor, vectors: Pointer, count: Unsigned) [Descriptor];
    SYS_writev writev(fd: Descriptor, vectors: Pointer, count: Unsigned) [Descriptor];
    SYS_preadv preadv(fd: Descriptor, vectors: Pointer, count: Unsigned, offset: Long) [Descriptor];
    SYS_pwritev pwritev(fd: Descriptor, vectors: Pointer, count: Unsigned, offset: Long) [Descriptor];
    SYS_preadv2 preadv2(fd: Descriptor, vectors: Pointer, count: Unsigned, offset: Long, high: Nothing, flags: Flags(&RWF)) [Descriptor];
    SYS_pwritev2 pwritev2(fd: Descriptor, vectors: Pointer, count: Unsigned, offset: Long, high: Nothing, flags: Flags(&RWF)) [Descriptor];
    SYS_readahead readahead(fd: Descriptor, offset: Long, count: Unsigned) [Descriptor];
    SYS_fadvise64 fadvise64(fd: Descriptor, offset: Long, length: Long, advice: Flags(&FADVISE)) [Descriptor];
    SYS_fallocate fallocate(fd: Descriptor, mode: Flags(&FALLOC), offset: Long, length: Long) [Descriptor Mutation];
    SYS_fsync fsync(fd: Descriptor) [Descriptor];
    SYS_fdatasync fdatasync(fd: Descriptor) [Descriptor];
    SYS_sync sync() [];
    SYS_syncfs syncfs(fd: Descriptor) [Descriptor];
    SYS_sync_file_range sync_file_range(fd: Descriptor, offset: Long, length: Long, flags: Flags(&SYNC_RANGE)) [Descriptor];
    #[cfg(target_arch = "x86_64")]
    SYS_getdents getdents(fd: Descriptor, buf: Pointer, count: Half) [Descriptor];
    SYS_getdents64 getdents64(fd: Descriptor, buf: Pointer, count: Half) [Descriptor];
    SYS_dup dup(fd: Descriptor) [Descriptor];
    #[cfg(target_arch = "x86_64")]
    SYS_dup2 dup2(fd: Descriptor, new: Descriptor) [Descriptor];
    SYS_dup3 dup3(fd: Descriptor, new: Descriptor, flags: Flags(&OPEN_FLAGS)) [Descriptor];
    SYS_fcntl fcntl(fd: Descriptor, cmd: Flags(&FCNTL), arg: By(&FCNTL_ARGUMENT)) [Descriptor];
    SYS_flock flock(fd: Descriptor, operation: Flags(&FLOCK)) [Descriptor];
    SYS_ioctl ioctl(fd: Descriptor, request: Flags(&IOCTL), arg: Hexadecimal) [Descriptor];
    #[cfg(target_arch = "x86_64")]
    SYS_pipe pipe(fds: Pair) [Descriptor];
    SYS_pipe2 pipe2(fds: Pair, flags: Flags(&OPEN_FLAGS)) [Descriptor];
    SYS_sendfile sendfile(target: Descriptor, source: Descriptor, offset: LongIn, count: Unsigned) [Descriptor Network];
    SYS_splice splice(source: Descriptor, source_offset: LongIn, target: Descriptor, target_offset: LongIn, length: Unsigned, flags: Flags(&SPLICE)) [Descriptor];
    SYS_tee tee(source: Descriptor, target: Descriptor, length: Unsigned, flags: Flags(&SPLICE)) [Descriptor];
    SYS_vmsplice vmsplice(fd: Descriptor, vectors: Pointer, count: Unsigned, flags: Flags(&SPLICE)) [Descriptor];
    SYS_copy_file_range copy_file_range(source: Descriptor, source_offset: LongIn, target: Descriptor, target_offset: LongIn, length: Unsigned, flags: Half) [Descriptor Mutation];
    SYS_name_to_handle_at name_to_handle_at(dirfd: Directory, path: PathAt(0), handle: Pointer, mount: Pointer, flags: Flags(&HANDLE_AT)) [File Descriptor];
    SYS_open_by_handle_at open_by_handle_at(mount: Descriptor, handle: Pointer, flags: Flags(&OPEN)) [Descriptor Mutation];
    SYS_setxattr setxattr(path: Path, name: Text, value: Pointer, size: Unsigned, flags: Flags(&XATTR)) [File Mutation];
    SYS_lsetxattr lsetxattr(path: Path, name: Text, value: Pointer, size: Unsigned, flags: Flags(&XATTR)) [File Mutation];
    SYS_fsetxattr fsetxattr(fd: Descriptor, name: Text, value: Pointer, size: Unsigned, flags: Flags(&XATTR)) [Descriptor Mutation];
    SYS_setxattrat setxattrat(dirfd: Directory, path: PathAt(0), flags: Flags(&AT), name: Text, args: Pointer, size: Unsigned) [File Descriptor Mutation];
    SYS_getxattr getxattr(path: Path, name: Text, value: Pointer, size: Unsigned) [File];
    SYS_lgetxattr lgetxattr(path: Path, name: Text, value: Pointer, size: Unsigned) [File];
    SYS_fgetxattr fgetxattr(fd: Descriptor, name: Text, value: Pointer, size: Unsigned) [Descriptor];
    SYS_getxattrat getxattrat(dirfd: Directory, path: PathAt(0), flags: Flags(&AT), name: Text, args: Pointer, size: Unsigned) [File Descriptor];
    SYS_listxattr listxattr(path: Path, list: Pointer, size: Unsigned) [File];
    SYS_llistxattr llistxattr(path: Path, list: Pointer, size: Unsigned) [File];
    SYS_flistxattr flistxattr(fd: Descriptor, list: Pointer, size: Unsigned) [Descriptor];
    SYS_listxattrat listxattrat(dirfd: Directory, path: PathAt(0), flags: Flags(&AT), list: Pointer, size: Unsigned) [File Descriptor];
    SYS_removexattr removexattr(path: Path, name: Text) [File Mutation];
    SYS_lremovexattr lremovexattr(path: Path, name: Text) [File Mutation];
    SYS_fremovexattr fremovexattr(fd: Descriptor, name: Text) [Descriptor Mutation];
    SYS_removexattrat removexattrat(dirfd: Directory, path: PathAt(0), flags: Flags(&AT), name: Text) [File Descriptor Mutation];
    SYS_file_getattr file_getattr(dirfd: Directory, path: PathAt(0), attr: Pointer, size: Unsigned, flags: Flags(&AT)) [File Descriptor];
    SYS_file_setattr file_setattr(dirfd: Directory, path: PathAt(0), attr: Pointer, size: Unsigned, flags: Flags(&AT)) [File Descriptor Mutation];
    SYS_cachestat cachestat(fd: Descriptor, range: Pointer, stat: Pointer, flags: Half) [Descriptor];
    SYS_mount mount(source: Text, target: Path, type: Text, flags: Wide(&MOUNT), data: Text) [File Mutation];
    SYS_umount2 umount2(target: Path, flags: Flags(&UMOUNT)) [File Mutation];
    SYS_open_tree open_tree(dirfd: Directory, path: PathAt(0), flags: Flags(&OPEN_TREE)) [File Descriptor];
    SYS_open_tree_attr open_tree_attr(dirfd: Directory, path: PathAt(0), flags: Flags(&OPEN_TREE), attr: StructOf(&MOUNT_ATTRIBUTES, 4), size: Unsigned) [File Descriptor Mutation];
    SYS_move_mount move_mount(from: Directory, old: PathAt(0), to: Directory, new: PathAt(2), flags: Flags(&MOVE_MOUNT)) [File Descriptor Mutation];
    SYS_fsopen fsopen(type: Text, flags: Flags(&FSOPEN)) [Descriptor];
    SYS_fsconfig fsconfig(fd: Descriptor, cmd: Flags(&FSCONFIG), key: Text, value: Pointer, aux: Int) [File Descriptor];
    SYS_fsmount fsmount(fd: Descriptor, flags: Flags(&FSMOUNT), attributes: Flags(&MOUNT_ATTR)) [Descriptor];
    SYS_fspick fspick(dirfd: Directory, path: PathAt(0), flags: Flags(&FSPICK)) [File Descriptor];
    SYS_mount_setattr mount_setattr(dirfd: Directory, path: PathAt(0), flags: Flags(&MOUNT_SETATTR), attr: StructOf(&MOUNT_ATTRIBUTES, 4), size: Unsigned) [File Descriptor Mutation];
    SYS_statmount statmount(request: Pointer, buf: Pointer, size: Unsigned, flags: Half) [];
    SYS_listmount listmount(request: Pointer, ids: Pointer, count: Unsigned, flags: Half) [];
    SYS_swapon swapon(path: Path, flags: Flags(&SWAP)) [File Mutation];
    SYS_swapoff swapoff(path: Path) [File Mutation];
    SYS_quotactl quotactl(cmd: Hexadecimal, special: Path, id: Half, addr: Pointer) [File Mutation];
    SYS_quotactl_fd quotactl_fd(fd: Descriptor, cmd: Hexadecimal, id: Half, addr: Pointer) [Descriptor Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_inotify_init inotify_init() [Descriptor];
    SYS_inotify_init1 inotify_init1(flags: Flags(&INOTIFY_INIT)) [Descriptor];
    SYS_inotify_add_watch inotify_add_watch(fd: Descriptor, path: Path, mask: Flags(&INOTIFY)) [File Descriptor];
    SYS_inotify_rm_watch inotify_rm_watch(fd: Descriptor, wd: Int) [Descriptor];
    SYS_fanotify_init fanotify_init(flags: Flags(&FAN_INIT), event_flags: Flags(&OPEN)) [Descriptor];
    SYS_fanotify_mark fanotify_mark(fd: Descriptor, flags: Flags(&FAN_MARK), mask: Wide(&FAN_MASK), dirfd: Directory, path: PathAt(3)) [File Descriptor];
    #[cfg(target_arch = "x86_64")]
    SYS_epoll_create epoll_create(size: Int) [Descriptor];
    SYS_epoll_create1 epoll_create1(flags: Flags(&EPOLL)) [Descriptor];
    SYS_epoll_ctl epoll_ctl(epfd: Descriptor, op: Flags(&EPOLL_CTL), fd: Descriptor, event: Struct(&EPOLL_EVENT)) [Descriptor];
    #[cfg(target_arch = "x86_64")]
    SYS_epoll_wait epoll_wait(epfd: Descriptor, events: Pointer, count: Int, timeout: Int) [Descriptor];
    SYS_epoll_pwait epoll_pwait(epfd: Descriptor, events: Pointer, count: Int, timeout: Int, mask: Pointer, size: Unsigned) [Descriptor];
    SYS_epoll_pwait2 epoll_pwait2(epfd: Descriptor, events: Pointer, count: Int, timeout: Struct(&TIMESPEC), mask: Pointer, size: Unsigned) [Descriptor];
    #[cfg(target_arch = "x86_64")]
    SYS_poll poll(fds: Pointer, count: Unsigned, timeout: Int) [Descriptor];
    SYS_ppoll ppoll(fds: Pointer, count: Unsigned, timeout: Struct(&TIMESPEC), mask: Pointer, size: Unsigned) [Descriptor];
    #[cfg(target_arch = "x86_64")]
    SYS_select select(count: Int, read: Pointer, write: Pointer, except: Pointer, timeout: Struct(&TIMEVAL)) [Descriptor];
    SYS_pselect6 pselect6(count: Int, read: Pointer, write: Pointer, except: Pointer, timeout: Struct(&TIMESPEC), mask: Pointer) [Descriptor];
    #[cfg(target_arch = "x86_64")]
    SYS_eventfd eventfd(count: Half) [Descriptor];
    SYS_eventfd2 eventfd2(count: Half, flags: Flags(&EVENTFD)) [Descriptor];
    #[cfg(target_arch = "x86_64")]
    SYS_signalfd signalfd(fd: Descriptor, mask: Pointer, size: Unsigned) [Descriptor];
    SYS_signalfd4 signalfd4(fd: Descriptor, mask: Pointer, size: Unsigned, flags: Flags(&SIGNALFD)) [Descriptor];
    SYS_timerfd_create timerfd_create(clock: Flags(&CLOCK), flags: Flags(&TIMERFD)) [Descriptor];
    SYS_timerfd_settime timerfd_settime(fd: Descriptor, flags: Flags(&TIMERFD_SET), new: Struct(&ITIMERSPEC), old: Pointer) [Descriptor];
    SYS_timerfd_gettime timerfd_gettime(fd: Descriptor, value: Pointer) [Descriptor];
    SYS_userfaultfd userfaultfd(flags: Flags(&USERFAULTFD)) [Descriptor];
    SYS_memfd_create memfd_create(name: Text, flags: Flags(&MEMFD)) [Descriptor];
    SYS_memfd_secret memfd_secret(flags: Flags(&EPOLL)) [Descriptor];
    SYS_io_uring_setup io_uring_setup(entries: Half, params: Pointer) [Descriptor];
    SYS_io_uring_enter io_uring_enter(fd: Descriptor, submit: Half, complete: Half, flags: Flags(&URING_ENTER), mask: Pointer, size: Unsigned) [Descriptor];
    SYS_io_uring_register io_uring_register(fd: Descriptor, opcode: Flags(&URING_REGISTER), arg: Pointer, count: Half) [Descriptor];
    SYS_io_setup io_setup(events: Half, context: Pointer) [];
    SYS_io_destroy io_destroy(context: Hexadecimal) [];
    SYS_io_submit io_submit(context: Hexadecimal, count: Long, requests: Pointer) [];
    SYS_io_getevents io_getevents(context: Hexadecimal, least: Long, most: Long, events: Pointer, timeout: Struct(&TIMESPEC)) [];
    SYS_io_pgetevents io_pgetevents(context: Hexadecimal, least: Long, most: Long, events: Pointer, timeout: Struct(&TIMESPEC), mask: Pointer) [];
    SYS_io_cancel io_cancel(context: Hexadecimal, request: Pointer, result: Pointer) [];
    SYS_socket socket(family: Flags(&FAMILY), type: Flags(&SOCKET), protocol: By(&PROTOCOL)) [Network];
    SYS_socketpair socketpair(family: Flags(&FAMILY), type: Flags(&SOCKET), protocol: By(&PROTOCOL), fds: Pair) [Network];
    SYS_bind bind(fd: Descriptor, addr: Address(2), length: Int) [Network];
    SYS_connect connect(fd: Descriptor, addr: Address(2), length: Int) [Network];
    SYS_listen listen(fd: Descriptor, backlog: Int) [Network];
    SYS_accept accept(fd: Descriptor, addr: AddressOut(2), length: Length) [Network];
    SYS_accept4 accept4(fd: Descriptor, addr: AddressOut(2), length: Length, flags: Flags(&SOCKET_FLAGS)) [Network];
    SYS_getsockname getsockname(fd: Descriptor, addr: AddressOut(2), length: Length) [Network];
    SYS_getpeername getpeername(fd: Descriptor, addr: AddressOut(2), length: Length) [Network];
    SYS_sendto sendto(fd: Descriptor, buf: Pointer, count: Unsigned, flags: Flags(&MSG), addr: Address(5), length: Half) [Network];
    SYS_recvfrom recvfrom(fd: Descriptor, buf: Pointer, count: Unsigned, flags: Flags(&MSG), addr: AddressOut(5), length: Length) [Network];
    SYS_sendmsg sendmsg(fd: Descriptor, msg: Message, flags: Flags(&MSG)) [Network];
    SYS_recvmsg recvmsg(fd: Descriptor, msg: MessageOut, flags: Flags(&MSG)) [Network];
    SYS_sendmmsg sendmmsg(fd: Descriptor, messages: Message, count: Half, flags: Flags(&MSG)) [Network];
    SYS_recvmmsg recvmmsg(fd: Descriptor, messages: Pointer, count: Half, flags: Flags(&MSG), timeout: Struct(&TIMESPEC)) [Network];
    SYS_shutdown shutdown(fd: Descriptor, how: Flags(&SHUTDOWN)) [Network];
    SYS_setsockopt setsockopt(fd: Descriptor, level: Flags(&LEVEL), option: By(&OPTION), value: Sized(4), length: Int) [Network];
    SYS_getsockopt getsockopt(fd: Descriptor, level: Flags(&LEVEL), option: By(&OPTION), value: SizedOut(4), length: Length) [Network];
    SYS_mmap mmap(addr: Pointer, length: Unsigned, prot: Wide(&PROT), flags: Flags(&MAP), fd: Descriptor, offset: Hexadecimal) [Descriptor];
    SYS_mprotect mprotect(addr: Pointer, length: Unsigned, prot: Wide(&PROT)) [];
    SYS_pkey_mprotect pkey_mprotect(addr: Pointer, length: Unsigned, prot: Wide(&PROT), key: Int) [];
    SYS_pkey_alloc pkey_alloc(flags: Hexadecimal, access: Flags(&PKEY)) [];
    SYS_pkey_free pkey_free(key: Int) [];
    SYS_munmap munmap(addr: Pointer, length: Unsigned) [];
    SYS_mremap mremap(addr: Pointer, old: Unsigned, new: Unsigned, flags: Wide(&MREMAP), to: By(&MREMAP_TO)) [];
    SYS_remap_file_pages remap_file_pages(addr: Pointer, size: Unsigned, prot: Wide(&PROT), offset: Unsigned, flags: Flags(&MAP)) [];
    SYS_brk brk(addr: Pointer) [];
    SYS_msync msync(addr: Pointer, length: Unsigned, flags: Flags(&MSYNC)) [];
    SYS_mincore mincore(addr: Pointer, length: Unsigned, vector: Pointer) [];
    SYS_madvise madvise(addr: Pointer, length: Unsigned, advice: Flags(&MADVISE)) [];
    SYS_process_madvise process_madvise(pidfd: Descriptor, vectors: Pointer, count: Unsigned, advice: Flags(&MADVISE), flags: Half) [Descriptor];
    SYS_process_mrelease process_mrelease(pidfd: Descriptor, flags: Half) [Descriptor];
    SYS_mlock mlock(addr: Pointer, length: Unsigned) [];
    SYS_mlock2 mlock2(addr: Pointer, length: Unsigned, flags: Flags(&MLOCK2)) [];
    SYS_munlock munlock(addr: Pointer, length: Unsigned) [];
    SYS_mlockall mlockall(flags: Flags(&MLOCKALL)) [];
    SYS_munlockall munlockall() [];
    SYS_mseal mseal(addr: Pointer, length: Unsigned, flags: Hexadecimal) [];
    SYS_mbind mbind(addr: Pointer, length: Unsigned, mode: Flags(&MPOL), mask: Pointer, most: Unsigned, flags: Flags(&MBIND)) [];
    SYS_set_mempolicy set_mempolicy(mode: Flags(&MPOL), mask: Pointer, most: Unsigned) [];
    SYS_get_mempolicy get_mempolicy(mode: Pointer, mask: Pointer, most: Unsigned, addr: Pointer, flags: Flags(&GET_MEMPOLICY)) [];
    SYS_set_mempolicy_home_node set_mempolicy_home_node(addr: Pointer, length: Unsigned, node: Unsigned, flags: Hexadecimal) [];
    SYS_migrate_pages migrate_pages(pid: Int, most: Unsigned, from: Pointer, to: Pointer) [];
    SYS_move_pages move_pages(pid: Int, count: Unsigned, pages: Pointer, nodes: Pointer, status: Pointer, flags: Flags(&MBIND)) [];
    SYS_membarrier membarrier(cmd: Flags(&MEMBARRIER), flags: Flags(&MEMBARRIER_FLAGS), cpu: By(&MEMBARRIER_CPU)) [];
    SYS_map_shadow_stack map_shadow_stack(addr: Pointer, size: Unsigned, flags: Hexadecimal) [];
    SYS_shmget shmget(key: Flags(&IPC), size: Unsigned, flags: Flags(&SHMGET)) [];
    SYS_shmat shmat(id: Int, addr: Pointer, flags: Flags(&SHM)) [];
    SYS_shmdt shmdt(addr: Pointer) [];
    SYS_shmctl shmctl(id: Int, cmd: Flags(&SHMCTL), buf: Pointer) [];
    SYS_semget semget(key: Flags(&IPC), count: Int, flags: Flags(&IPC_GET)) [];
    SYS_semop semop(id: Int, operations: Pointer, count: Unsigned) [];
    SYS_semtimedop semtimedop(id: Int, operations: Pointer, count: Unsigned, timeout: Struct(&TIMESPEC)) [];
    SYS_semctl semctl(id: Int, number: Int, cmd: Flags(&SEMCTL), arg: Hexadecimal) [];
    SYS_msgget msgget(key: Flags(&IPC), flags: Flags(&IPC_GET)) [];
    SYS_msgsnd msgsnd(id: Int, msg: Pointer, size: Unsigned, flags: Flags(&IPC_MSG)) [];
    SYS_msgrcv msgrcv(id: Int, msg: Pointer, size: Unsigned, type: Long, flags: Flags(&IPC_MSG)) [];
    SYS_msgctl msgctl(id: Int, cmd: Flags(&MSGCTL), buf: Pointer) [];
    SYS_mq_open mq_open(name: Text, flags: Flags(&OPEN), mode: By(&OPEN_MODE), attr: By(&QUEUE)) [Descriptor Mutation];
    SYS_mq_unlink mq_unlink(name: Text) [Mutation];
    SYS_mq_timedsend mq_timedsend(fd: Descriptor, msg: Pointer, size: Unsigned, priority: Half, timeout: Struct(&TIMESPEC)) [Descriptor];
    SYS_mq_timedreceive mq_timedreceive(fd: Descriptor, msg: Pointer, size: Unsigned, priority: Pointer, timeout: Struct(&TIMESPEC)) [Descriptor];
    SYS_mq_notify mq_notify(fd: Descriptor, event: Pointer) [Descriptor];
    SYS_mq_getsetattr mq_getsetattr(fd: Descriptor, new: Pointer, old: Pointer) [Descriptor];
    #[cfg(target_arch = "x86_64")]
    SYS_clone clone(flags: Wide(&CLONE), stack: Pointer, parent: Pointer, child: Pointer, tls: Hexadecimal) [Process];
    #[cfg(target_arch = "aarch64")]
    SYS_clone clone(flags: Wide(&CLONE), stack: Pointer, parent: Pointer, tls: Hexadecimal, child: Pointer) [Process];
    SYS_clone3 clone3(args: StructOf(&CLONE_ARGS, 1), size: Unsigned) [Process];
    #[cfg(target_arch = "x86_64")]
    SYS_fork fork() [Process];
    #[cfg(target_arch = "x86_64")]
    SYS_vfork vfork() [Process];
    SYS_execve execve(path: Path, argv: Strings, envp: Pointer) [File Process];
    SYS_execveat execveat(dirfd: Directory, path: PathAt(0), argv: Strings, envp: Pointer, flags: Flags(&EXECVEAT)) [File Descriptor Process];
    SYS_exit exit(status: Int) [Process];
    SYS_exit_group exit_group(status: Int) [Process];
    SYS_wait4 wait4(pid: Int, status: IntOut, options: Flags(&WAIT), usage: Pointer) [Process];
    SYS_waitid waitid(which: Flags(&WAITID), pid: Int, info: Pointer, options: Flags(&WAIT), usage: Pointer) [Process];
    SYS_kill kill(pid: Int, sig: Signal) [Process];
    SYS_tkill tkill(tid: Int, sig: Signal) [Process];
    SYS_tgkill tgkill(pid: Int, tid: Int, sig: Signal) [Process];
    SYS_rt_sigqueueinfo rt_sigqueueinfo(pid: Int, sig: Signal, info: Pointer) [Process];
    SYS_rt_tgsigqueueinfo rt_tgsigqueueinfo(pid: Int, tid: Int, sig: Signal, info: Pointer) [Process];
    SYS_pidfd_open pidfd_open(pid: Int, flags: Flags(&PIDFD)) [Descriptor];
    SYS_pidfd_getfd pidfd_getfd(pidfd: Descriptor, fd: Descriptor, flags: Hexadecimal) [Descriptor];
    SYS_pidfd_send_signal pidfd_send_signal(pidfd: Descriptor, sig: Signal, info: Pointer, flags: Hexadecimal) [Descriptor Process];
    SYS_rt_sigaction rt_sigaction(sig: Signal, new: Struct(&ACTION), old: Pointer, size: Unsigned) [];
    SYS_rt_sigprocmask rt_sigprocmask(how: Flags(&SIGMASK), new: Pointer, old: Pointer, size: Unsigned) [];
    SYS_rt_sigpending rt_sigpending(set: Pointer, size: Unsigned) [];
    SYS_rt_sigtimedwait rt_sigtimedwait(set: Pointer, info: Pointer, timeout: Struct(&TIMESPEC), size: Unsigned) [];
    SYS_rt_sigsuspend rt_sigsuspend(set: Pointer, size: Unsigned) [];
    SYS_rt_sigreturn rt_sigreturn() [];
    SYS_sigaltstack sigaltstack(new: Pointer, old: Pointer) [];
    #[cfg(target_arch = "x86_64")]
    SYS_pause pause() [];
    #[cfg(target_arch = "x86_64")]
    SYS_alarm alarm(seconds: Half) [];
    SYS_setitimer setitimer(which: Flags(&ITIMER), new: Struct(&ITIMERVAL), old: Pointer) [];
    SYS_getitimer getitimer(which: Flags(&ITIMER), value: Pointer) [];
    SYS_prctl prctl(option: Flags(&PRCTL), arg2: By(&PRCTL_2), arg3: By(&PRCTL_3), arg4: By(&PRCTL_4), arg5: By(&PRCTL_5)) [];
    #[cfg(target_arch = "x86_64")]
    SYS_arch_prctl arch_prctl(code: Flags(&ARCH), addr: Pointer) [];
    SYS_futex futex(addr: Pointer, op: Flags(&FUTEX), val: Half, timeout: By(&FUTEX_3), addr2: By(&FUTEX_4), val3: By(&FUTEX_5)) [];
    SYS_futex_waitv futex_waitv(waiters: Pointer, count: Half, flags: Hexadecimal, timeout: Struct(&TIMESPEC), clock: Flags(&CLOCK)) [];
    SYS_futex_wake futex_wake(addr: Pointer, mask: Hexadecimal, count: Int, flags: Hexadecimal) [];
    SYS_futex_wait futex_wait(addr: Pointer, value: Unsigned, mask: Hexadecimal, flags: Hexadecimal, timeout: Struct(&TIMESPEC), clock: Flags(&CLOCK)) [];
    SYS_futex_requeue futex_requeue(waiters: Pointer, flags: Hexadecimal, wake: Int, requeue: Int) [];
    SYS_set_robust_list set_robust_list(head: Pointer, size: Unsigned) [];
    SYS_get_robust_list get_robust_list(pid: Int, head: Pointer, size: Pointer) [];
    SYS_set_tid_address set_tid_address(addr: Pointer) [];
    SYS_rseq rseq(area: Pointer, size: Half, flags: Hexadecimal, signature: Hexadecimal) [];
    SYS_restart_syscall restart_syscall() [];
    SYS_getpid getpid() [];
    SYS_gettid gettid() [];
    SYS_getppid getppid() [];
    #[cfg(target_arch = "x86_64")]
    SYS_getpgrp getpgrp() [];
    SYS_getpgid getpgid(pid: Int) [];
    SYS_setpgid setpgid(pid: Int, group: Int) [];
    SYS_getsid getsid(pid: Int) [];
    SYS_setsid setsid() [];
    SYS_getuid getuid() [];
    SYS_geteuid geteuid() [];
    SYS_getgid getgid() [];
    SYS_getegid getegid() [];
    SYS_setuid setuid(uid: Id) [];
    SYS_setgid setgid(gid: Id) [];
    SYS_setreuid setreuid(real: Id, effective: Id) [];
    SYS_setregid setregid(real: Id, effective: Id) [];
    SYS_setresuid setresuid(real: Id, effective: Id, saved: Id) [];
    SYS_setresgid setresgid(real: Id, effective: Id, saved: Id) [];
    SYS_getresuid getresuid(real: Pointer, effective: Pointer, saved: Pointer) [];
    SYS_getresgid getresgid(real: Pointer, effective: Pointer, saved: Pointer) [];
    SYS_setfsuid setfsuid(uid: Id) [];
    SYS_setfsgid setfsgid(gid: Id) [];
    SYS_getgroups getgroups(count: Int, list: Pointer) [];
    SYS_setgroups setgroups(count: Unsigned, list: Pointer) [];
    SYS_capget capget(header: Pointer, data: Pointer) [];
    SYS_capset capset(header: Pointer, data: Pointer) [];
    SYS_unshare unshare(flags: Flags(&UNSHARE)) [];
    SYS_setns setns(fd: Descriptor, type: Flags(&NAMESPACES)) [Descriptor];
    SYS_ptrace ptrace(request: Flags(&PTRACE), pid: Int, addr: Hexadecimal, data: Hexadecimal) [];
    SYS_process_vm_readv process_vm_readv(pid: Int, local: Pointer, count: Unsigned, remote: Pointer, remote_count: Unsigned, flags: Hexadecimal) [];
    SYS_process_vm_writev process_vm_writev(pid: Int, local: Pointer, count: Unsigned, remote: Pointer, remote_count: Unsigned, flags: Hexadecimal) [];
    SYS_kcmp kcmp(pid1: Int, pid2: Int, type: Flags(&KCMP), index1: Unsigned, index2: Unsigned) [];
    SYS_personality personality(persona: Hexadecimal) [];
    SYS_prlimit64 prlimit64(pid: Int, resource: Flags(&RESOURCE), new: Struct(&RLIMIT), old: Pointer) [];
    SYS_getrlimit getrlimit(resource: Flags(&RESOURCE), limit: Pointer) [];
    SYS_setrlimit setrlimit(resource: Flags(&RESOURCE), limit: Struct(&RLIMIT)) [];
    SYS_getrusage getrusage(who: Flags(&USAGE), usage: Pointer) [];
    SYS_getpriority getpriority(which: Flags(&PRIORITY), who: Int) [];
    SYS_setpriority setpriority(which: Flags(&PRIORITY), who: Int, priority: Int) [];
    SYS_ioprio_get ioprio_get(which: Flags(&IOPRIO), who: Int) [];
    SYS_ioprio_set ioprio_set(which: Flags(&IOPRIO), who: Int, priority: Hexadecimal) [];
    SYS_sched_yield sched_yield() [];
    SYS_sched_setparam sched_setparam(pid: Int, param: Pointer) [];
    SYS_sched_getparam sched_getparam(pid: Int, param: Pointer) [];
    SYS_sched_setscheduler sched_setscheduler(pid: Int, policy: Flags(&SCHEDULER), param: Pointer) [];
    SYS_sched_getscheduler sched_getscheduler(pid: Int) [];
    SYS_sched_get_priority_max sched_get_priority_max(policy: Flags(&SCHEDULER)) [];
    SYS_sched_get_priority_min sched_get_priority_min(policy: Flags(&SCHEDULER)) [];
    SYS_sched_rr_get_interval sched_rr_get_interval(pid: Int, interval: Pointer) [];
    SYS_sched_setaffinity sched_setaffinity(pid: Int, size: Half, mask: Pointer) [];
    SYS_sched_getaffinity sched_getaffinity(pid: Int, size: Half, mask: Pointer) [];
    SYS_sched_setattr sched_setattr(pid: Int, attr: Pointer, flags: Hexadecimal) [];
    SYS_sched_getattr sched_getattr(pid: Int, attr: Pointer, size: Half, flags: Hexadecimal) [];
    SYS_getcpu getcpu(cpu: Pointer, node: Pointer, cache: Pointer) [];
    SYS_nanosleep nanosleep(request: Struct(&TIMESPEC), rest: Pointer) [];
    SYS_clock_gettime clock_gettime(clock: Flags(&CLOCK), time: Pointer) [];
    SYS_clock_settime clock_settime(clock: Flags(&CLOCK), time: Struct(&TIMESPEC)) [Mutation];
    SYS_clock_getres clock_getres(clock: Flags(&CLOCK), resolution: Pointer) [];
    SYS_clock_nanosleep clock_nanosleep(clock: Flags(&CLOCK), flags: Flags(&TIMER), request: Struct(&TIMESPEC), rest: Pointer) [];
    SYS_clock_adjtime clock_adjtime(clock: Flags(&CLOCK), buf: Pointer) [];
    SYS_adjtimex adjtimex(buf: Pointer) [];
    SYS_gettimeofday gettimeofday(time: Pointer, zone: Pointer) [];
    SYS_settimeofday settimeofday(time: Pointer, zone: Pointer) [Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_time time(time: Pointer) [];
    SYS_times times(buf: Pointer) [];
    SYS_timer_create timer_create(clock: Flags(&CLOCK), event: Pointer, id: Pointer) [];
    SYS_timer_settime timer_settime(id: Int, flags: Flags(&TIMER), new: Struct(&ITIMERSPEC), old: Pointer) [];
    SYS_timer_gettime timer_gettime(id: Int, value: Pointer) [];
    SYS_timer_getoverrun timer_getoverrun(id: Int) [];
    SYS_timer_delete timer_delete(id: Int) [];
    SYS_uname uname(buf: Pointer) [];
    SYS_sysinfo sysinfo(info: Pointer) [];
    SYS_syslog syslog(type: Flags(&SYSLOG), buf: Pointer, size: Int) [];
    SYS_sethostname sethostname(name: TextOf(1), length: Unsigned) [Mutation];
    SYS_setdomainname setdomainname(name: TextOf(1), length: Unsigned) [Mutation];
    SYS_getrandom getrandom(buf: Pointer, count: Unsigned, flags: Flags(&RANDOM)) [];
    SYS_reboot reboot(magic: Hexadecimal, magic2: Hexadecimal, cmd: Flags(&REBOOT), arg: By(&RESTART)) [Mutation];
    SYS_kexec_load kexec_load(entry: Hexadecimal, count: Unsigned, segments: Pointer, flags: Hexadecimal) [Mutation];
    SYS_kexec_file_load kexec_file_load(kernel: Descriptor, initrd: Descriptor, size: Unsigned, cmdline: Text, flags: Flags(&KEXEC_FILE)) [Descriptor Mutation];
    SYS_init_module init_module(image: Pointer, size: Unsigned, parameters: Text) [Mutation];
    SYS_finit_module finit_module(fd: Descriptor, parameters: Text, flags: Flags(&MODULE)) [Descriptor Mutation];
    SYS_delete_module delete_module(name: Text, flags: Flags(&DELETE_MODULE)) [Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_iopl iopl(level: Half) [];
    #[cfg(target_arch = "x86_64")]
    SYS_ioperm ioperm(from: Hexadecimal, count: Hexadecimal, on: Int) [];
    #[cfg(target_arch = "x86_64")]
    SYS_modify_ldt modify_ldt(function: Int, pointer: Pointer, size: Unsigned) [];
    #[cfg(target_arch = "x86_64")]
    SYS_set_thread_area set_thread_area(info: Pointer) [];
    #[cfg(target_arch = "x86_64")]
    SYS_get_thread_area get_thread_area(info: Pointer) [];
    SYS_vhangup vhangup() [];
    SYS_seccomp seccomp(operation: Flags(&SECCOMP), flags: By(&SECCOMP_FLAGS), args: Pointer) [];
    SYS_landlock_create_ruleset landlock_create_ruleset(attr: StructOf(&RULESET, 1), size: Unsigned, flags: Flags(&LANDLOCK_CREATE)) [Descriptor];
    SYS_landlock_add_rule landlock_add_rule(ruleset: Descriptor, type: Flags(&LANDLOCK_RULE), attr: By(&LANDLOCK_ATTR), flags: Hexadecimal) [Descriptor];
    SYS_landlock_restrict_self landlock_restrict_self(ruleset: Descriptor, flags: Hexadecimal) [Descriptor];
    SYS_bpf bpf(cmd: Flags(&BPF), attr: Pointer, size: Half) [Descriptor];
    SYS_perf_event_open perf_event_open(attr: Pointer, pid: Int, cpu: Int, group: Descriptor, flags: Wide(&PERF)) [Descriptor];
    SYS_add_key add_key(type: Text, description: Text, payload: Pointer, length: Unsigned, keyring: Flags(&KEY)) [Mutation];
    SYS_request_key request_key(type: Text, description: Text, info: Text, keyring: Flags(&KEY)) [];
    SYS_keyctl keyctl(operation: Flags(&KEYCTL), arg2: Hexadecimal, arg3: Hexadecimal, arg4: Hexadecimal, arg5: Hexadecimal) [];
    SYS_lsm_get_self_attr lsm_get_self_attr(attribute: Half, buf: Pointer, size: Pointer, flags: Hexadecimal) [];
    SYS_lsm_set_self_attr lsm_set_self_attr(attribute: Half, buf: Pointer, size: Unsigned, flags: Hexadecimal) [];
    SYS_lsm_list_modules lsm_list_modules(ids: Pointer, size: Pointer, flags: Hexadecimal) [];
}
