//! What of the surroundings a session can't be started in.

use crate::cli::Run;
use crate::exit::Failure;
use crate::output::{complain, escaped};
use nix::sys::resource::{Resource, getrlimit};
use std::path::Component;
use stockade_policy::Context;

/// The filter, the plan and the record of a session are files, most of them in memory.
pub fn check_file_size() -> Result<(), Failure> {
    const NEEDED: u64 = 1 << 20;
    match getrlimit(Resource::RLIMIT_FSIZE) {
        Ok((soft, _)) if soft < NEEDED => Err(Failure::Usage(format!(
            "files may have {soft} bytes at most here (ulimit -f): a session needs {NEEDED}; limits.file_size of a policy limits the command alone"
        ))),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Nothing that is made by such a mask could be entered, the session's own directories neither.
pub fn check_umask() -> Result<(), Failure> {
    use nix::sys::stat::{Mode, umask};
    let mask = umask(Mode::empty());
    umask(mask);
    if mask.intersects(Mode::S_IRWXU) {
        return Err(Failure::Usage(format!(
            "the umask {:04o} takes rights from the user that stockade runs as: set another (umask 022)",
            mask.bits()
        )));
    }
    Ok(())
}

/// A workspace that is everything, or the home itself, protects nothing.
pub fn check_workspaces(context: &Context, forced: bool) -> Result<(), Failure> {
    for workspace in &context.workspaces {
        let holds_home = context.home.starts_with(workspace);
        if holds_home && !forced {
            return Err(Failure::Usage(format!(
                "the workspace {} holds the home: everything there would be writable; name a directory with -w, or force it with --force-workspace",
                escaped(&workspace.display().to_string())
            )));
        }
    }
    Ok(())
}

/// A workspace that was named by a link is known inside by its real name alone.
pub fn say_links(run: &Run, context: &Context) {
    for (asked, real) in run.policy.workspaces.iter().zip(&context.workspaces) {
        let given = std::path::absolute(asked).unwrap_or_else(|_| asked.clone());
        // a name with `..` is no link
        let same = given.components().eq(real.components());
        if !same && !given.components().any(|c| c == Component::ParentDir) {
            complain(&format!(
                "stockade: the workspace {} is {}",
                escaped(&given.to_string_lossy()),
                escaped(&real.to_string_lossy())
            ));
        }
    }
}
