//! Licences, sources and advisories of the crates we build on: cargo-deny, by `deny.toml`.

use crate::counts::{self, Counts};
use crate::{tools, top};
use std::process::Command;

/// Pinned: what it refuses by default changes from release to release. Builds with our Rust.
const VERSION: &str = "0.20.2";

pub fn run() -> Result<Counts, String> {
    let program = tools::pinned("cargo-deny", VERSION)?;
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(arguments).current_dir(top());
        command
    };
    let mut counts = Counts::default();
    for what in ["licenses", "bans", "sources"] {
        counts += counts::check(&mut deny(&["--log-level", "error", "check", what]))?;
    }
    let fetched = deny(&["fetch", "db"]).output().map_err(|e| e.to_string())?;
    counts += if fetched.status.success() {
        counts::check(&mut deny(&[
            "--log-level",
            "error",
            "check",
            "--disable-fetch",
            "advisories",
        ]))?
    } else {
        println!(
            "skipped: advisories: the database can't be fetched here: {}",
            String::from_utf8_lossy(&fetched.stderr).trim()
        );
        Counts::skipped()
    };
    Ok(counts)
}
