//! One file a command.

mod check;
mod doctor;
mod policy;
mod quarantine;
mod run;
mod trust;
mod why;

use crate::cli::{Arguments, Command, Generate};
use crate::exit::Failure;
use clap::CommandFactory;

pub fn dispatch(arguments: Arguments) -> Result<u8, Failure> {
    match arguments.command {
        Command::Run(run) => run::run(&run),
        Command::Plan(plan) => run::show(&(*plan).into()),
        Command::Stage { arguments } => stockade_enforce::stage(&arguments),
        Command::Remount { arguments } => stockade_enforce::remount_stage(&arguments),
        Command::Why(why) => why::run(&why),
        Command::Check(check) => check::run(&check),
        Command::Trust(trust) => trust::run(&trust),
        Command::Policy(command) => policy::run(command),
        Command::Quarantine(command) => quarantine::run(&command),
        Command::Doctor { json } => doctor::run(json),
        Command::Generate(Generate::Man) => Ok(clap_mangen::Man::new(Arguments::command())
            .render(&mut std::io::stdout())
            .map(|()| 0)?),
        Command::Generate(Generate::Completions { shell }) => {
            clap_complete::generate(
                shell,
                &mut Arguments::command(),
                "stockade",
                &mut std::io::stdout(),
            );
            Ok(0)
        }
    }
}
