//! The way to what is compared: a session may take modes away from directories of the user's, its
//! workspace's among them, so that what it left there is seen by nobody until they are given back.

use super::record::Record;
use crate::finding::Finding;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FileStat, Mode, fstat};
use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use stockade_policy::Glob;

/// Every directory above what is compared can be entered again, so can the session's own folder and the
/// quarantine, and what was kept there is read; what had to be changed for it is said.
pub fn open(record: &Record, folder: &Path, state: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let own = [folder.to_owned(), state.join("quarantine")];
    for folder in folders(record, &own) {
        match enter(&folder) {
            Ok(false) => {}
            Ok(true) => findings.push(Finding::grave(format!(
                "{} could not be entered any more: its mode was changed to see what is in it",
                folder.display()
            ))),
            // not there, a link, somebody else's: the comparison says what becomes of it
            Err(_) => {}
        }
    }
    for kept in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let mode = kept.metadata().map_or(0o600, |m| m.permissions().mode());
        if mode & 0o400 == 0 {
            // one that can't be read is missed when it is put back
            let mode = PermissionsExt::from_mode(mode | 0o600);
            drop(std::fs::set_permissions(kept.path(), mode));
        }
    }
    findings
}

/// Each after those above it.
fn folders(record: &Record, own: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut out: BTreeSet<PathBuf> = BTreeSet::new();
    for root in record.roots().iter().chain(own) {
        out.extend(root.ancestors().map(Path::to_owned));
    }
    let patterns = record
        .marks
        .iter()
        .filter_map(|m| Glob::absolute(&m.glob).ok());
    let literal: Vec<PathBuf> = patterns.map(|glob| glob.root().join("any")).collect();
    let names = record.seen.keys().chain(record.ways.keys()).chain(&literal);
    for name in names {
        for above in name.ancestors().skip(1) {
            // what is above is there already
            if !out.insert(above.to_owned()) {
                break;
            }
        }
    }
    out
}

/// Whether the mode had to be changed: one of the user's own, by a way without links.
fn enter(folder: &Path) -> Result<bool, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    let found = openat2(AT_FDCWD, folder, how)?;
    let FileStat {
        st_mode, st_uid, ..
    } = fstat(&found)?;
    let mode = Mode::from_bits_truncate(st_mode);
    if mode.contains(Mode::S_IXUSR) || st_uid != nix::unistd::geteuid().as_raw() {
        return Ok(false);
    }
    set(&found, mode | Mode::S_IRWXU)?;
    Ok(true)
}

fn set(folder: &OwnedFd, mode: Mode) -> Result<(), Errno> {
    // fchmod takes no descriptor of this kind
    let itself = format!("/proc/self/fd/{}", folder.as_raw_fd());
    let done = std::fs::set_permissions(itself, PermissionsExt::from_mode(mode.bits()));
    done.map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)))
}
