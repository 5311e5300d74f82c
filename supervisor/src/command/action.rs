//! `stockade action`: what a hook says that an action is. Where nobody listens nothing is said, and the command runs as it is.

use crate::cli::{ActionCommand, ActionRun, Note, Until};
use crate::exit::Failure;
use crate::trace::begin::becoming;
use crate::trace::claims::VARIABLE;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stockade_enforce::OWN;
use stockade_events::claim::{Claim, Says};

/// For a queue that is full; nobody answers.
const AT_MOST: Duration = Duration::from_millis(200);

pub fn run(command: &ActionCommand) -> Result<u8, Failure> {
    match command {
        ActionCommand::Run(run) => run_as(run),
        ActionCommand::Note(note) => {
            let Note { id, label, until } = note;
            let says = match until {
                Until::Begin => Says::Begin,
                Until::End => Says::End,
            };
            send(&Claim::new(says, id, label.as_deref().unwrap_or("")));
            Ok(0)
        }
    }
}

/// This process becomes the command: it is the action already.
fn run_as(run: &ActionRun) -> Result<u8, Failure> {
    let ActionRun { id, label, command } = run;
    send(&Claim::new(Says::Run, id, label));
    Err(becoming(command))
}

/// A hook must not fail, nor wait for long, because nobody listens or too much was said.
fn send(claim: &Claim) {
    let named = std::env::var_os(VARIABLE).filter(|v| !v.is_empty());
    let path = named.map_or_else(|| Path::new(OWN).join("action"), PathBuf::from);
    let sent = UnixDatagram::unbound().and_then(|socket| {
        socket.set_write_timeout(Some(AT_MOST))?;
        socket.send_to(&claim.encode(), path)
    });
    drop(sent);
}
