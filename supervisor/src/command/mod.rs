//! One file a command.

mod action;
mod add;
mod audit;
mod check;
mod checks;
mod doctor;
mod generate;
mod hooks;
mod policy;
mod quarantine;
mod recording;
mod run;
mod summary;
mod trace;
mod trust;
mod why;

use crate::cli::{Arguments, Command};
use crate::exit::Failure;
use crate::keeper;

pub fn dispatch(arguments: Arguments) -> Result<u8, Failure> {
    match arguments.command {
        Command::Run(run) if run.audit => audit::run(&run),
        Command::Run(run) => run::run(&run),
        Command::Plan(plan) => run::show(&(*plan).into()),
        Command::Stage { arguments } => stockade_enforce::stage(&arguments),
        Command::Remount { arguments } => stockade_enforce::remount_stage(&arguments),
        Command::Keeper => Ok(keeper::serve()),
        Command::Trace(trace) => trace::run(&trace),
        Command::Action(command) => action::run(&command),
        Command::Begin { parent, command } => crate::trace::begin::begin(parent, &command),
        Command::Why(why) => why::run(&why),
        Command::Hooks(hooks) => hooks::run(&hooks),
        Command::Check(check) => check::run(&check),
        Command::Trust(trust) => trust::run(&trust),
        Command::Policy(command) => policy::run(command),
        Command::Quarantine(command) => quarantine::run(&command),
        Command::Doctor { json } => doctor::run(json),
        Command::Generate(what) => generate::run(what),
    }
}
