//! What of a session is recorded, and where to.

use crate::cli::{Denials, Run};
use crate::denials::watch::{self, Loaded, Loading, Watching};
use crate::exit::Failure;
use crate::folder::Folder;
use crate::output::complain;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use stockade_enforce::{Plan, Session};
use stockade_events::sink::{self, Out, Sink};
use stockade_policy::Policy;

/// None where denials are not to be recorded, or can't be.
pub fn loading(run: &Run) -> Result<Option<Loading>, Failure> {
    // a person reads the summary; programs that start many sessions say that they want it
    let read = !run.quiet && std::io::stderr().is_terminal();
    let wanted = asked(run) || run.denials == Denials::Auto && read && watch::may();
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
            // no process of the session inherits it
            let output = std::io::stdout().as_fd().try_clone_to_owned();
            Box::new(std::fs::File::from(output.map_err(Failure::Output)?))
        }
        Some(path) => {
            let file = std::fs::File::create(path).map_err(|e| Failure::file("write", path, e))?;
            Box::new(file)
        }
    };
    Ok(vec![sink::json(Out::new(to))])
}

/// Whether it was asked for; where it was not, a kernel that refuses it is no reason not to run.
fn asked(run: &Run) -> bool {
    run.denials == Denials::Always || run.trace.is_some()
}

fn unless_asked<T>(run: &Run, outcome: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(failure) if asked(run) => Err(failure),
        Err(failure) => {
            complain(&format!("stockade: denials can't be listed: {failure}"));
            Ok(None)
        }
    }
}

/// The programs run from here on.
pub fn loaded(run: &Run, loading: Option<Loading>) -> Result<Option<Loaded>, Failure> {
    match loading {
        Some(loading) => unless_asked(run, loading.wait()),
        None => Ok(None),
    }
}

pub fn watching(
    run: &Run,
    loaded: Option<Loaded>,
    folder: &Folder,
    session: &Session,
    policy: &Policy,
    plan: &Plan,
    sinks: Vec<Box<dyn Sink>>,
) -> Result<Option<Watching>, Failure> {
    match loaded {
        Some(loaded) => unless_asked(run, loaded.watch(session, policy, plan, folder, sinks)),
        None => Ok(None),
    }
}
