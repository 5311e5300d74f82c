//! `without WHAT,… -- CMD`: runs a command where something is missing, in namespaces of its own.
#![forbid(unsafe_code)]

use libseccomp::{ScmpAction, ScmpFilterContext, ScmpSyscall};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use std::os::unix::process::CommandExt;

type Done = Result<(), Box<dyn std::error::Error>>;

fn main() -> Done {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [what, _, command @ ..] = arguments.as_slice() else {
        return Err("without WHAT,… -- CMD".into());
    };
    let (first, rest) = command.split_first().ok_or("no command")?;
    let what = what.to_str().ok_or("not UTF-8")?;
    for one in what.split(',') {
        remove(one).map_err(|e| format!("without {one}: {e}"))?;
    }
    let mut command = std::process::Command::new(first);
    command.args(rest);
    if what.split(',').any(|one| one == "listener") {
        let status = command.status()?;
        std::process::exit(status.code().unwrap_or(1));
    }
    Err(command.exec().into())
}

fn remove(what: &str) -> Done {
    match what.split_once('=').unwrap_or((what, "")) {
        ("landlock", _) => {
            let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
            let call = ScmpSyscall::from_name("landlock_create_ruleset")?;
            filter.add_rule(ScmpAction::Errno(libc::ENOSYS), call)?;
            filter.load()?;
        }
        // a filter that refuses nothing that matters, and no_new_privs with it
        ("no-filter", _) => {
            let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
            let call = ScmpSyscall::from_name("swapon")?;
            filter.add_rule(ScmpAction::Errno(libc::EPERM), call)?;
            filter.load()?;
        }
        // somebody listens already: this process, which goes on until the command has ended
        ("listener", _) => {
            let mut filter = ScmpFilterContext::new(ScmpAction::Allow)?;
            let call = ScmpSyscall::from_name("lookup_dcookie")?;
            filter.add_rule(ScmpAction::Notify, call)?;
            filter.load()?;
            // as long as this process has its descriptor
            std::mem::forget(filter);
        }
        ("user-namespaces", _) => {
            own(CloneFlags::CLONE_NEWUSER)?;
            std::fs::write("/proc/sys/user/max_user_namespaces", "0")?;
        }
        ("proc", _) => cover("/proc", "size=4k", MsFlags::empty())?,
        // no room for a single byte
        ("room", folder) => cover(folder, "size=4k,nr_inodes=2", MsFlags::empty())?,
        ("writing", folder) => cover(folder, "size=4k", MsFlags::MS_RDONLY)?,
        // the working directory, removed while this process stands in it
        ("directory", _) => std::fs::remove_dir(std::env::current_dir()?)?,
        _ => return Err("nothing of this name".into()),
    }
    Ok(())
}

/// An empty file system over the folder, for this process alone.
fn cover(folder: &str, options: &str, flags: MsFlags) -> Done {
    own(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    Ok(mount(
        Some("tmpfs"),
        folder,
        Some("tmpfs"),
        flags,
        Some(options),
    )?)
}

/// Namespaces in which the user's id is the same as outside.
fn own(flags: CloneFlags) -> Done {
    let (uid, gid) = (geteuid(), getegid());
    unshare(flags)?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    Ok(())
}
