//! `stockade`: command line, session, and what the user sees.
#![forbid(unsafe_code)]

mod agents;
mod broker;
mod cli;
mod command;
mod denials;
mod exit;
mod filters;
mod finding;
mod folder;
mod found;
mod git;
mod installation;
mod keeper;
mod layers;
mod output;
mod own;
mod protect;
#[cfg(test)]
mod refused;
mod remove;
mod session;
mod show;
mod trace;
mod trust;

use clap::Parser;
use nix::sys::signal::{SigSet, Signal};

fn main() -> std::process::ExitCode {
    // a write over the caller's limit is an error with a message, not the end by SIGXFSZ; what
    // is started from here has it unblocked
    let mut size = SigSet::empty();
    size.add(Signal::SIGXFSZ);
    size.thread_block().unwrap_or(());
    // a caller that ignores its own children's ends must not make the session's unseen: nobody
    // would hear of them, here or in the stage (kernel/signal.c, do_notify_parent)
    stockade_enforce::default_action(Signal::SIGCHLD).unwrap_or(());
    let arguments =
        match cli::Arguments::try_parse_from(cli::with_run(std::env::args_os().collect())) {
            Ok(arguments) => arguments,
            Err(error) => return exit::usage(&error).into(),
        };
    match command::dispatch(arguments) {
        Ok(code) => code.into(),
        Err(failure) => {
            failure.print();
            failure.code().into()
        }
    }
}
