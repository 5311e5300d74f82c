//! The tiers of `tests/tiers.toml`; ends with `N passed, N failed`, and `N skipped` where any was.

use crate::counts::{self, Counts};
use crate::tiers::{Step, Target, Tier, Tiers};
use crate::{aarch64, deny, packages, probes, tidy, top, vm};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

pub fn run(names: &[String], yes: bool, full: bool) -> Result<(), String> {
    let tiers = Tiers::read()?;
    let chosen = tiers.chosen(names)?;
    let needs: BTreeSet<&str> = chosen
        .iter()
        .flat_map(|t| &t.needs)
        .map(String::as_str)
        .collect();
    let needs: Vec<&str> = needs.into_iter().collect();
    packages::ensure_unless(&needs, &tiers.commands, yes)?;
    let mut counts = Counts::default();
    for tier in chosen {
        let Tier {
            name,
            about,
            privileges,
            root,
            network,
            minutes,
            needs: _,
            steps,
            targets,
            guests: _,
        } = tier;
        println!(
            "== {name}: {about}\n   privileges: {privileges}; network: {network}; about {minutes} min"
        );
        if *root && !nix::unistd::geteuid().is_root() {
            println!("-- {name}: skipped, it needs root: `sudo cargo xtask test --tier {name}`");
            counts += Counts::skipped();
            continue;
        }
        for step in steps {
            let began = Instant::now();
            let of_step = run_step(*step, yes)?;
            println!(
                "-- {step:?}: {of_step} ({:.0} s)",
                began.elapsed().as_secs_f64()
            );
            counts += of_step;
        }
        counts += run_targets(targets, full)?;
    }
    println!("{counts}");
    counts.verdict()
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(top());
    command
}

fn run_step(step: Step, yes: bool) -> Result<Counts, String> {
    match step {
        Step::Format => counts::check(&mut cargo(&["fmt", "--all", "--check"])),
        Step::Clippy => counts::check(&mut cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])),
        Step::Tidy => tidy::run(),
        Step::Licences => deny::run(),
        Step::Aarch64 => aarch64::run(yes),
        Step::Probes => probes::check(),
        Step::Machines => vm::counted(yes, &vm::Wanted::default()),
    }
}

/// The whole workspace in each call: of some packages alone cargo would build the dependencies
/// anew, with the features that these few ask for.
fn run_targets(targets: &[Target], full: bool) -> Result<Counts, String> {
    let mut counts = Counts::default();
    let units: Vec<&str> = targets
        .iter()
        .filter(|t| t.units)
        .flat_map(|t| ["--package", t.package.as_str()])
        .collect();
    if !units.is_empty() {
        let mut command = cargo(&["test", "--no-fail-fast", "--lib", "--bins"]);
        counts += counts::tests(command.args(units))?;
    }
    let tests: Vec<&str> = targets
        .iter()
        .flat_map(|t| &t.tests)
        .flat_map(|t| ["--test", t.as_str()])
        .collect();
    if !tests.is_empty() {
        let mut command = cargo(&["test", "--no-fail-fast", "--workspace"]);
        command.env("STOCKADE_FULL", if full { "1" } else { "0" });
        counts += counts::tests(command.args(tests))?;
    }
    Ok(counts)
}
