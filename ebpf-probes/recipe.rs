// How the eBPF object is built: read by `cargo xtask probes`, which writes `prebuilt/`, and by the build script behind the
// feature `build-probes`. Another compiler or linker gives other bytes, so both are pinned here.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What `rustc --version` says.
pub const RUSTC: &str = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)";
/// As rustup names it by its date; one that is called otherwise and says the same is taken too.
pub const NIGHTLY: &str = "nightly-2026-05-20";
/// 0.11 wants an LLVM that this compiler does not have.
pub const BPF_LINKER: &str = "0.10.3";
/// Of the release profile's output.
const OBJECT: &str = "bpfel-unknown-none/release/trace";

/// A directory with the standard library's sources, where the toolchain has none.
pub const SOURCES: &str = "STOCKADE_RUST_SRC";

/// What the outer cargo tells its own compiler.
const OUTER: &[&str] = &[
    "CARGO",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];

/// A program of a toolchain's, without what an outer cargo says.
fn rustup(toolchain: &str, program: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", toolchain, program]);
    for variable in OUTER {
        command.env_remove(variable);
    }
    command
}

/// The pinned compiler under one of the names that it may have.
pub fn toolchain() -> Result<&'static str, String> {
    let says = |name: &str| {
        let out = rustup(name, "rustc")
            .arg("--version")
            .output()
            .ok()
            .filter(|o| o.status.success())?;
        Some(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    [NIGHTLY, "nightly"]
        .into_iter()
        .find(|name| says(name).as_deref() == Some(RUSTC))
        .ok_or_else(|| {
            format!(
                "the eBPF object is built with {RUSTC}, which is not there; run `rustup toolchain install {NIGHTLY} \
                 --component rust-src`, then this again"
            )
        })
}

/// The toolchain's own copy of the standard library's sources.
pub fn own_library(toolchain: &str) -> Option<PathBuf> {
    let mut rustc = rustup(toolchain, "rustc");
    let out = rustc
        .args(["--print", "sysroot"])
        .output()
        .ok()
        .filter(|o| o.status.success())?;
    let root = PathBuf::from(String::from_utf8(out.stdout).ok()?.trim());
    let library = root.join("lib/rustlib/src/rust/library");
    is_library(&library).then_some(library)
}

pub fn is_library(folder: &Path) -> bool {
    folder.join("std/Cargo.toml").is_file() && folder.join("Cargo.lock").is_file()
}

/// A folder of the standard library, or the one that has it.
pub fn in_directory(named: &Path) -> Option<PathBuf> {
    [named.join("library"), named.to_owned()]
        .into_iter()
        .find(|folder| is_library(folder))
}

pub fn no_library() -> String {
    format!(
        "{NIGHTLY} has no sources of the standard library; run `rustup component add rust-src --toolchain {NIGHTLY}`, \
         or set {SOURCES} to a directory with Rust's folder `library` (xtask takes an archive too), then this again"
    )
}

pub struct Build<'a> {
    /// The folder that this file lies in.
    pub probes: &'a Path,
    pub toolchain: &'a str,
    pub linker: &'a Path,
    pub library: &'a Path,
    /// Where cargo builds.
    pub target: &'a Path,
}

impl Build<'_> {
    /// Builds, and says where the object is.
    pub fn run(&self) -> Result<PathBuf, String> {
        // first: where the crates lie is known once they are there
        self.must(&["fetch", "--locked", "--quiet"])?;
        let flags: Vec<String> = self.flags().iter().map(|f| format!("{f:?}")).collect();
        let flags = format!("target.bpfel-unknown-none.rustflags=[{}]", flags.join(","));
        let linker = format!("target.bpfel-unknown-none.linker={:?}", self.linker);
        self.must(&[
            "build",
            "--locked",
            "--quiet",
            "--release",
            "--target",
            "bpfel-unknown-none",
            "-Zbuild-std=core",
            "--config",
            &linker,
            "--config",
            &flags,
        ])?;
        Ok(self.target.join(OBJECT))
    }

    fn must(&self, arguments: &[&str]) -> Result<(), String> {
        let status = rustup(self.toolchain, "cargo")
            .args(arguments)
            .current_dir(self.probes)
            .env("CARGO_TARGET_DIR", self.target)
            // the variable under which cargo's own tests name a library that is not the toolchain's
            .env("__CARGO_TESTS_ONLY_SRC_ROOT", self.library)
            .status()
            .map_err(|e| format!("rustup: {e}"))?;
        if status.success() {
            return Ok(());
        }
        Err(format!(
            "cargo {} for the eBPF object: {status}",
            arguments[0]
        ))
    }

    /// What the verifier shows of lines comes from debug information, in which no path of this machine is to be.
    fn flags(&self) -> Vec<String> {
        let mut flags: Vec<String> = ["-Cdebuginfo=2", "-Clink-arg=--btf", "-Ctarget-cpu=v3"]
            .map(String::from)
            .into();
        let mut map = |from: &Path, to: &str| {
            flags.push(format!("--remap-path-prefix={}={to}", from.display()));
        };
        // of several that fit the last counts
        let home = std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".cargo"));
        let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home);
        for registry in cargo
            .iter()
            .flat_map(|c| std::fs::read_dir(c.join("registry/src")))
        {
            registry
                .flatten()
                .for_each(|entry| map(&entry.path(), "/crates"));
        }
        map(self.target, "/target");
        map(self.library, "/rust");
        map(self.probes, "/probes");
        flags
    }
}
