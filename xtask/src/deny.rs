//! Licences, sources and advisories of the crates we build on: cargo-deny, by `deny.toml`.

use crate::counts::{self, Counts};
use crate::{packages, top};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Pinned: what it refuses by default changes from release to release. Builds with our Rust.
const VERSION: &str = "0.20.2";

pub fn run() -> Result<Counts, String> {
    let program = program()?;
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

/// The pinned version, from PATH or the cache; else built into the cache.
fn program() -> Result<PathBuf, String> {
    let root = cache()?.join("tools");
    let cached = root.join("bin/cargo-deny");
    let candidates = packages::on_path("cargo-deny")
        .into_iter()
        .chain([cached.clone()]);
    if let Some(found) = candidates.into_iter().find(|file| is_pinned(file)) {
        return Ok(found);
    }
    println!(
        "building cargo-deny {VERSION} into {} (about five minutes, once)",
        root.display()
    );
    let status = Command::new("cargo")
        .args(["install", "--locked", "--quiet", "--force", "--root"])
        .arg(&root)
        .arg(format!("cargo-deny@{VERSION}"))
        // not the checkout's own target directory nor its flags
        .current_dir("/")
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .map_err(|e| format!("cargo install: {e}"))?;
    if status.success() && is_pinned(&cached) {
        Ok(cached)
    } else {
        Err(format!(
            "cargo-deny {VERSION} is not there and can't be built ({status}); install it and run this again"
        ))
    }
}

fn is_pinned(program: &Path) -> bool {
    let said = Command::new(program).arg("--version").output();
    said.is_ok_and(|o| o.stdout == format!("cargo-deny {VERSION}\n").as_bytes())
}

/// Outside of the checkout, kept from run to run.
fn cache() -> Result<PathBuf, String> {
    if nix::unistd::geteuid().is_root() {
        return Ok("/var/cache/stockade-tests".into());
    }
    let home = std::env::var_os("HOME").ok_or("HOME is not set: no place for a cache")?;
    Ok(PathBuf::from(home).join(".cache/stockade-tests"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pinned_version_is_used() {
        assert!(!is_pinned(Path::new("/bin/echo")) && !is_pinned(Path::new("/no/such")));
    }
}
