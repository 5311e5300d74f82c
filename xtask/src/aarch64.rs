//! The workspace type-checked for aarch64: no linker, no system library of that architecture.

use crate::counts::{self, Counts};
use crate::probes::recipe::{self, SOURCES};
use crate::{library, packages, top};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::Command;

const TARGET: &str = "aarch64-unknown-linux-gnu";

pub fn run(yes: bool) -> Result<Counts, String> {
    let mut check = Command::new("cargo");
    if !has_target() {
        match sources()? {
            Some(library) => {
                // the variable under which cargo's own tests name a library that is not the toolchain's
                check = Command::new("rustup");
                check
                    .args(["run", "nightly", "cargo"])
                    .env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
                return counts::check(arguments(&mut check).arg("-Zbuild-std=std,panic_abort"));
            }
            None => add_target(yes)?,
        }
    }
    counts::check(arguments(&mut check))
}

/// A target directory of its own: another toolchain must not rebuild the host's.
fn arguments(command: &mut Command) -> &mut Command {
    command
        .args([
            "check",
            "--workspace",
            "--quiet",
            "--target",
            TARGET,
            "--target-dir",
        ])
        .arg(top().join("target/aarch64"))
        .current_dir(top())
}

fn has_target() -> bool {
    sysroot(&["rustc"])
        .is_some_and(|root| root.join("lib/rustlib").join(TARGET).join("lib").is_dir())
}

fn sysroot(rustc: &[&str]) -> Option<PathBuf> {
    let out = Command::new(rustc[0])
        .args(&rustc[1..])
        .args(["--print", "sysroot"])
        .current_dir(top())
        .output()
        .ok()
        .filter(|o| o.status.success())?;
    Some(String::from_utf8(out.stdout).ok()?.trim().into())
}

/// Nightly's own, else what the variable names; none without nightly.
fn sources() -> Result<Option<PathBuf>, String> {
    if sysroot(&["rustup", "run", "nightly", "rustc"]).is_none() {
        return Ok(None);
    }
    match recipe::own_library("nightly") {
        Some(own) => Ok(Some(own)),
        None => library::named(),
    }
}

fn add_target(yes: bool) -> Result<(), String> {
    let line = format!("rustup target add {TARGET}");
    println!("missing: Rust's standard library for aarch64\n    {line}");
    if !yes && std::io::stdin().is_terminal() && !packages::agreed()? {
        return Err("not installed; run the line above, then this again".into());
    }
    let status = Command::new("rustup")
        .args(["target", "add", TARGET])
        .current_dir(top())
        .status();
    if status.is_ok_and(|s| s.success()) {
        return Ok(());
    }
    Err(format!(
        "no standard library for aarch64: install it (`{line}`), or nightly with its sources \
         (`rustup toolchain install nightly --component rust-src`), or nightly and set {SOURCES} \
         to a directory or archive of Rust's library/"
    ))
}
