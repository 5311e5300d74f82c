//! For calls that are performed in the session's place: the kernel is to see no more rights than
//! the session has.

pub use crate::sys::notify::*;
pub use crate::sys::pidfd;

use crate::sys;
use nix::errno::Errno;
use std::os::fd::BorrowedFd;

/// Of this thread, where it may be changed: without CAP_SETPCAP there is nothing to drop and
/// no_new_privs keeps it so.
pub fn drop_bounding() -> Result<(), Errno> {
    if sys::may_drop_bounding()? {
        sys::drop_bounding()?;
    }
    Ok(())
}

/// Of this thread, from every set.
pub fn drop_capabilities() -> Result<(), Errno> {
    drop_bounding()?;
    sys::drop_capabilities()
}

/// Restricts this thread by the session's own Landlock rules, for good, with a working directory
/// and a umask of its own.
pub fn as_the_session(ruleset: BorrowedFd<'_>) -> Result<(), Errno> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS)?;
    drop_capabilities()?;
    nix::sys::prctl::set_no_new_privs()?;
    sys::landlock_restrict(ruleset)
}
