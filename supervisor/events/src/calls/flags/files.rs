//! Of files, directories, mounts.

use super::{ALL, Set, bits, values};

pub static OPEN: Set = Set {
    values: values!(0x3; O_RDONLY O_WRONLY O_RDWR),
    bits: bits!(
        O_CREAT O_EXCL O_NOCTTY O_TRUNC O_APPEND O_NONBLOCK O_SYNC O_DSYNC O_DIRECT O_NOFOLLOW O_NOATIME O_CLOEXEC
        O_PATH O_TMPFILE O_DIRECTORY O_ASYNC
    ),
};

pub static AT: Set = Set {
    values: &[],
    bits: bits!(AT_SYMLINK_NOFOLLOW AT_REMOVEDIR AT_SYMLINK_FOLLOW AT_NO_AUTOMOUNT AT_EMPTY_PATH AT_RECURSIVE),
};

pub static UNLINK: Set = Set {
    values: &[],
    bits: bits!(AT_REMOVEDIR),
};

pub static STATX_AT: Set = Set {
    values: values!(0x6000; AT_STATX_SYNC_AS_STAT AT_STATX_FORCE_SYNC AT_STATX_DONT_SYNC AT_STATX_SYNC_TYPE),
    bits: bits!(AT_SYMLINK_NOFOLLOW AT_SYMLINK_FOLLOW AT_NO_AUTOMOUNT AT_EMPTY_PATH AT_RECURSIVE),
};

pub static FACCESS: Set = Set {
    values: &[],
    bits: bits!(AT_SYMLINK_NOFOLLOW AT_EACCESS AT_EMPTY_PATH),
};

pub static ACCESS: Set = Set {
    values: values!(0x7; F_OK),
    bits: bits!(R_OK W_OK X_OK),
};

pub static STATX: Set = Set {
    values: values!(ALL; STATX_BASIC_STATS STATX_ALL),
    bits: bits!(
        STATX_TYPE STATX_MODE STATX_NLINK STATX_UID STATX_GID STATX_ATIME STATX_MTIME STATX_CTIME STATX_INO STATX_SIZE
        STATX_BLOCKS STATX_BTIME STATX_MNT_ID STATX_DIOALIGN
    ),
};

pub static RESOLVE: Set = Set {
    values: &[],
    bits: bits!(RESOLVE_NO_XDEV RESOLVE_NO_MAGICLINKS RESOLVE_NO_SYMLINKS RESOLVE_BENEATH RESOLVE_IN_ROOT RESOLVE_CACHED),
};

pub static RENAME: Set = Set {
    values: &[],
    bits: bits!(RENAME_NOREPLACE RENAME_EXCHANGE RENAME_WHITEOUT),
};

pub static WHENCE: Set = Set {
    values: values!(ALL; SEEK_SET SEEK_CUR SEEK_END SEEK_DATA SEEK_HOLE),
    bits: &[],
};

pub static FCNTL: Set = Set {
    values: values!(ALL;
        F_DUPFD F_GETFD F_SETFD F_GETFL F_SETFL F_GETLK F_SETLK F_SETLKW F_SETOWN F_GETOWN F_SETSIG=0xa F_GETSIG=0xb
        F_SETOWN_EX=0xf F_GETOWN_EX=0x10 F_OFD_GETLK F_OFD_SETLK F_OFD_SETLKW F_SETLEASE F_GETLEASE F_NOTIFY
        F_DUPFD_CLOEXEC F_SETPIPE_SZ F_GETPIPE_SZ F_ADD_SEALS F_GET_SEALS
    ),
    bits: &[],
};

pub static FD: Set = Set {
    values: &[],
    bits: bits!(FD_CLOEXEC),
};

pub static LOCK: Set = Set {
    values: values!(ALL; F_RDLCK F_WRLCK F_UNLCK F_EXLCK=0x4 F_SHLCK=0x8),
    bits: &[],
};

pub static SEALS: Set = Set {
    values: &[],
    bits: bits!(F_SEAL_SEAL F_SEAL_SHRINK F_SEAL_GROW F_SEAL_WRITE F_SEAL_FUTURE_WRITE F_SEAL_EXEC=0x20),
};

pub static NOTIFY: Set = Set {
    values: &[],
    bits: bits!(
        DN_ACCESS=0x1 DN_MODIFY=0x2 DN_CREATE=0x4 DN_DELETE=0x8 DN_RENAME=0x10 DN_ATTRIB=0x20 DN_MULTISHOT=0x80000000
    ),
};

pub static FLOCK: Set = Set {
    values: &[],
    bits: bits!(LOCK_SH LOCK_EX LOCK_NB LOCK_UN LOCK_MAND=0x20 LOCK_RW=0xc0 LOCK_READ=0x40 LOCK_WRITE=0x80),
};

pub static XATTR: Set = Set {
    values: &[],
    bits: bits!(XATTR_CREATE XATTR_REPLACE),
};

pub static FALLOC: Set = Set {
    values: &[],
    bits: bits!(
        FALLOC_FL_KEEP_SIZE FALLOC_FL_PUNCH_HOLE FALLOC_FL_NO_HIDE_STALE=0x4 FALLOC_FL_COLLAPSE_RANGE
        FALLOC_FL_ZERO_RANGE FALLOC_FL_INSERT_RANGE FALLOC_FL_UNSHARE_RANGE
    ),
};

pub static FADVISE: Set = Set {
    values: values!(ALL;
        POSIX_FADV_NORMAL POSIX_FADV_RANDOM POSIX_FADV_SEQUENTIAL POSIX_FADV_WILLNEED POSIX_FADV_DONTNEED
        POSIX_FADV_NOREUSE
    ),
    bits: &[],
};

pub static SYNC_RANGE: Set = Set {
    values: &[],
    bits: bits!(SYNC_FILE_RANGE_WAIT_BEFORE SYNC_FILE_RANGE_WRITE SYNC_FILE_RANGE_WAIT_AFTER),
};

pub static SPLICE: Set = Set {
    values: &[],
    bits: bits!(SPLICE_F_MOVE SPLICE_F_NONBLOCK SPLICE_F_MORE SPLICE_F_GIFT),
};

pub static RWF: Set = Set {
    values: &[],
    bits: bits!(RWF_HIPRI RWF_DSYNC RWF_SYNC RWF_NOWAIT RWF_APPEND),
};

pub static CLOSE_RANGE: Set = Set {
    values: &[],
    bits: bits!(CLOSE_RANGE_UNSHARE CLOSE_RANGE_CLOEXEC),
};

pub static HANDLE_AT: Set = Set {
    values: &[],
    bits: bits!(AT_SYMLINK_FOLLOW AT_EMPTY_PATH),
};

pub static MOUNT: Set = Set {
    values: &[],
    bits: bits!(
        MS_RDONLY MS_NOSUID MS_NODEV MS_NOEXEC MS_SYNCHRONOUS MS_REMOUNT MS_MANDLOCK MS_DIRSYNC MS_NOSYMFOLLOW
        MS_NOATIME MS_NODIRATIME MS_BIND MS_MOVE MS_REC MS_SILENT MS_POSIXACL MS_UNBINDABLE MS_PRIVATE MS_SLAVE
        MS_SHARED MS_RELATIME MS_KERNMOUNT MS_I_VERSION MS_STRICTATIME MS_LAZYTIME MS_SUBMOUNT=0x4000000
        MS_NOREMOTELOCK=0x8000000 MS_NOSEC=0x10000000 MS_BORN=0x20000000 MS_ACTIVE MS_NOUSER
    ),
};

pub static UMOUNT: Set = Set {
    values: &[],
    bits: bits!(MNT_FORCE MNT_DETACH MNT_EXPIRE UMOUNT_NOFOLLOW),
};

pub static OPEN_TREE: Set = Set {
    values: &[],
    bits: bits!(
        OPEN_TREE_CLONE OPEN_TREE_CLOEXEC AT_SYMLINK_NOFOLLOW AT_SYMLINK_FOLLOW AT_NO_AUTOMOUNT AT_EMPTY_PATH
        AT_RECURSIVE
    ),
};

pub static MOVE_MOUNT: Set = Set {
    values: &[],
    bits: bits!(
        MOVE_MOUNT_F_SYMLINKS MOVE_MOUNT_F_AUTOMOUNTS MOVE_MOUNT_F_EMPTY_PATH MOVE_MOUNT_T_SYMLINKS
        MOVE_MOUNT_T_AUTOMOUNTS MOVE_MOUNT_T_EMPTY_PATH MOVE_MOUNT_SET_GROUP
    ),
};

pub static FSOPEN: Set = Set {
    values: &[],
    bits: bits!(FSOPEN_CLOEXEC),
};

pub static FSCONFIG: Set = Set {
    values: values!(ALL;
        FSCONFIG_SET_FLAG FSCONFIG_SET_STRING FSCONFIG_SET_BINARY FSCONFIG_SET_PATH FSCONFIG_SET_PATH_EMPTY
        FSCONFIG_SET_FD FSCONFIG_CMD_CREATE FSCONFIG_CMD_RECONFIGURE
    ),
    bits: &[],
};

pub static FSPICK: Set = Set {
    values: &[],
    bits: bits!(FSPICK_CLOEXEC FSPICK_SYMLINK_NOFOLLOW FSPICK_NO_AUTOMOUNT FSPICK_EMPTY_PATH),
};

pub static FSMOUNT: Set = Set {
    values: &[],
    bits: bits!(FSMOUNT_CLOEXEC),
};

pub static MOUNT_ATTR: Set = Set {
    values: &[],
    bits: bits!(
        MOUNT_ATTR_RDONLY MOUNT_ATTR_NOSUID MOUNT_ATTR_NODEV MOUNT_ATTR_NOEXEC MOUNT_ATTR_NOATIME
        MOUNT_ATTR_STRICTATIME MOUNT_ATTR_NODIRATIME MOUNT_ATTR_IDMAP MOUNT_ATTR_NOSYMFOLLOW
    ),
};

pub static MOUNT_SETATTR: Set = Set {
    values: &[],
    bits: bits!(AT_SYMLINK_NOFOLLOW AT_NO_AUTOMOUNT AT_EMPTY_PATH AT_RECURSIVE),
};

pub static PROPAGATION: Set = Set {
    values: &[],
    bits: bits!(MS_UNBINDABLE MS_PRIVATE MS_SLAVE MS_SHARED),
};

pub static SWAP: Set = Set {
    values: &[],
    bits: bits!(SWAP_FLAG_PREFER=0x8000 SWAP_FLAG_DISCARD=0x10000 SWAP_FLAG_DISCARD_ONCE=0x20000 SWAP_FLAG_DISCARD_PAGES=0x40000),
};

/// What pipe2(2) and dup3(2) take of those of open(2).
pub static OPEN_FLAGS: Set = Set {
    values: &[],
    bits: bits!(O_NONBLOCK O_DIRECT O_CLOEXEC),
};
