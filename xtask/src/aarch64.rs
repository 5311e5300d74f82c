//! The workspace type-checked for aarch64: no linker, no system library of that architecture.

use crate::counts::{self, Counts};
use crate::{packages, top};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "aarch64-unknown-linux-gnu";
/// A directory or archive with the standard library's sources, where rustup has none to give.
const SOURCES: &str = "STOCKADE_RUST_SRC";

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
    let Some(nightly) = sysroot(&["rustup", "run", "nightly", "rustc"]) else {
        return Ok(None);
    };
    let own = nightly.join("lib/rustlib/src/rust/library");
    if is_library(&own) {
        return Ok(Some(own));
    }
    let Some(named) = std::env::var_os(SOURCES).map(PathBuf::from) else {
        return Ok(None);
    };
    // relative to the checkout, wherever xtask was called
    library(&top().join(named), &top().join("target/rust-src")).map(Some)
}

fn is_library(folder: &Path) -> bool {
    folder.join("std/Cargo.toml").is_file() && folder.join("Cargo.lock").is_file()
}

/// The folder `library` in `named`: a directory, or an archive that is unpacked below `unpacked`.
fn library(named: &Path, unpacked: &Path) -> Result<PathBuf, String> {
    let wrong = |why: &str| format!("{SOURCES}={}: {why}", named.display());
    let named = named.canonicalize().map_err(|e| wrong(&e.to_string()))?;
    if named.is_dir() {
        return [named.join("library"), named.clone()]
            .into_iter()
            .find(|folder| is_library(folder))
            .ok_or_else(|| {
                wrong("no std/Cargo.toml and Cargo.lock there or in its folder `library`")
            });
    }
    let stem = named.file_name().unwrap_or_default();
    let folder = unpacked.join(stem);
    if !is_library(&folder.join("library")) {
        packages::ensure_unless(
            &["xz-utils"],
            &[("xz-utils".into(), "xz".into())].into(),
            true,
        )?;
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let status = Command::new("tar")
            .arg("-xf")
            .arg(&named)
            .arg("-C")
            .arg(&folder)
            .status()
            .map_err(|e| format!("tar: {e}"))?;
        if !status.success() || !is_library(&folder.join("library")) {
            return Err(wrong(
                "not an archive of the standard library's folder `library`",
            ));
        }
    }
    Ok(folder.join("library"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_found_in_a_directory_or_an_archive_and_nothing_else() {
        let place = std::env::temp_dir().join(format!("stockade-sources-{}", std::process::id()));
        let library_at = place.join("given/library");
        std::fs::create_dir_all(library_at.join("std")).unwrap();
        let unpacked = place.join("unpacked");
        assert!(library(&place.join("given"), &unpacked).is_err());
        for file in ["Cargo.lock", "std/Cargo.toml"] {
            std::fs::write(library_at.join(file), "").unwrap();
        }
        assert_eq!(
            library(&place.join("given"), &unpacked),
            Ok(library_at.clone())
        );
        assert_eq!(library(&library_at, &unpacked), Ok(library_at));
        let archive = place.join("library.tar");
        let mut tar = Command::new("tar");
        tar.arg("-cf")
            .arg(&archive)
            .arg("-C")
            .arg(place.join("given"))
            .arg("library");
        assert!(tar.status().unwrap().success());
        assert!(is_library(&library(&archive, &unpacked).unwrap()));
        std::fs::write(&archive, "no archive").unwrap();
        std::fs::remove_dir_all(&unpacked).unwrap();
        assert!(library(&archive, &unpacked).is_err());
        assert!(library(&place.join("none"), &unpacked).is_err());
        std::fs::remove_dir_all(&place).unwrap();
    }
}
