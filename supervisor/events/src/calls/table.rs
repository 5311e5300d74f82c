//! One row a call that is decoded.

use super::Kind::{
    Address, AddressOut, Descriptor, Directory, Flags, Int, Long, Message, Mode, Pair, Path,
    PathAt, Pointer, Result, Signal, Strings, Text, Unsigned,
};
use super::flags::{ACCESS, AT, OPEN};
use super::{Decoding, Kind};

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

macro_rules! calls {
    ($($(#[$only:meta])* $number:ident $name:ident ($($argument:ident: $kind:expr),*) [$($class:ident)*];)*) => {
        pub static TABLE: &[Decoding] = &[$(
            $(#[$only])*
            Decoding {
                number: libc::$number,
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
    SYS_open open(path: Path, flags: Flags(&OPEN), mode: Mode) [File Descriptor MayWrite];
    SYS_openat openat(dirfd: Directory, path: PathAt(0), flags: Flags(&OPEN), mode: Mode) [File Descriptor MayWrite];
    SYS_close close(fd: Descriptor) [Descriptor];
    #[cfg(target_arch = "x86_64")]
    SYS_stat stat(path: Path, buf: Pointer) [File];
    #[cfg(target_arch = "x86_64")]
    SYS_access access(path: Path, mode: Flags(&ACCESS)) [File];
    SYS_faccessat faccessat(dirfd: Directory, path: PathAt(0), mode: Flags(&ACCESS)) [File Descriptor];
    SYS_newfstatat newfstatat(dirfd: Directory, path: PathAt(0), buf: Pointer, flags: Flags(&AT)) [File Descriptor];
    SYS_unlinkat unlinkat(dirfd: Directory, path: PathAt(0), flags: Flags(&AT)) [File Descriptor Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_unlink unlink(path: Path) [File Mutation];
    #[cfg(target_arch = "x86_64")]
    SYS_rename rename(old: Path, new: Path) [File Mutation];
    SYS_renameat2 renameat2(olddirfd: Directory, old: PathAt(0), newdirfd: Directory, new: PathAt(2), flags: Unsigned) [File Descriptor Mutation];
    SYS_symlinkat symlinkat(target: Text, newdirfd: Directory, linkpath: PathAt(1)) [File Descriptor Mutation];
    SYS_readlinkat readlinkat(dirfd: Directory, path: PathAt(0), buf: Result, size: Unsigned) [File Descriptor];
    SYS_connect connect(fd: Descriptor, addr: Address(2), len: Unsigned) [Descriptor Network];
    SYS_bind bind(fd: Descriptor, addr: Address(2), len: Unsigned) [Descriptor Network];
    SYS_accept4 accept4(fd: Descriptor, addr: AddressOut(2), len: Pointer, flags: Unsigned) [Descriptor Network];
    SYS_sendmsg sendmsg(fd: Descriptor, msg: Message, flags: Unsigned) [Descriptor Network];
    SYS_execve execve(path: Path, argv: Strings, envp: Pointer) [File Process];
    SYS_pipe2 pipe2(fds: Pair, flags: Flags(&OPEN)) [Descriptor];
    SYS_kill kill(pid: Int, sig: Signal) [Process];
    SYS_lseek lseek(fd: Descriptor, offset: Long, whence: Int) [Descriptor];
}
