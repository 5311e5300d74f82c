//! What of a session is recorded, and where to.

use crate::cli::{Denials, Run};
use crate::denials::watch::{self, Loading, Watching};
use crate::exit::Failure;
use crate::folder::Folder;
use crate::output::complain;
use stockade_enforce::{Plan, Session};
use stockade_events::sink::{self, Out, Sink};
use stockade_policy::Policy;

/// None where denials are not to be recorded, or can't be.
pub fn loading(run: &Run) -> Result<Option<Loading>, Failure> {
    let asked = run.denials == Denials::Always || run.trace.is_some();
    let wanted = asked || run.denials == Denials::Auto && !run.quiet && watch::may();
    if !wanted {
        return Ok(None);
    }
    Loading::begin(run.trace.is_some()).map(Some)
}

pub fn sinks(run: &Run) -> Result<Vec<Box<dyn Sink>>, Failure> {
    let to: Box<dyn std::io::Write + Send> = match &run.trace {
        None => return Ok(Vec::new()),
        // the supervisor lets go of its own
        Some(path) if path.as_os_str() == "-" => {
            let output = nix::unistd::dup(std::io::stdout());
            let output = output.map_err(|e| Failure::Output(e.into()))?;
            Box::new(std::fs::File::from(output))
        }
        Some(path) => {
            let file = std::fs::File::create(path).map_err(|e| Failure::file("write", path, e))?;
            Box::new(file)
        }
    };
    Ok(vec![sink::json(Out::new(to))])
}

/// Where it was not asked for, a kernel that refuses it is no reason not to run.
pub fn watching(
    loading: Loading,
    run: &Run,
    folder: &Folder,
    session: &Session,
    policy: &Policy,
    plan: &Plan,
    sinks: Vec<Box<dyn Sink>>,
) -> Result<Option<Watching>, Failure> {
    match loading.watch(session, policy, plan, folder, sinks) {
        Ok(watching) => Ok(Some(watching)),
        Err(failure) if run.denials == Denials::Always || run.trace.is_some() => Err(failure),
        Err(failure) => {
            complain(&format!("stockade: denials can't be listed: {failure}"));
            Ok(None)
        }
    }
}
