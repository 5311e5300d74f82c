//! `stockade`: command line, session, and what the user sees.
#![forbid(unsafe_code)]

mod agents;
mod cli;
mod command;
mod exit;
mod finding;
mod folder;
mod git;
mod installation;
mod layers;
mod output;
mod own;
mod protect;
mod session;
mod show;
mod trust;

use clap::Parser;

fn main() -> std::process::ExitCode {
    let arguments = cli::Arguments::parse_from(cli::with_run(std::env::args_os().collect()));
    match command::dispatch(arguments) {
        Ok(code) => code.into(),
        Err(failure) => {
            failure.print();
            failure.code().into()
        }
    }
}
