//! With the feature `build-probes` the eBPF object is built from its sources, for those who ship nothing that they did not
//! build; else the committed one is taken, and this does nothing.
#![forbid(unsafe_code)]

#[path = "../../ebpf-probes/recipe.rs"]
mod recipe;

use recipe::{BPF_LINKER, Build, SOURCES};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_BUILD_PROBES").is_none() {
        return ExitCode::SUCCESS;
    }
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let probes = own
        .ancestors()
        .map(|a| a.join("ebpf-probes"))
        .find(|p| p.is_dir())
        .ok_or("ebpf-probes is not there: the object is built in a checkout")?;
    for source in ["Cargo.toml", "Cargo.lock", "recipe.rs", "src", "abi"] {
        println!("cargo::rerun-if-changed={}", probes.join(source).display());
    }
    println!("cargo::rerun-if-env-changed={SOURCES}");
    let toolchain = recipe::toolchain()?;
    let named = || recipe::in_directory(Path::new(&std::env::var_os(SOURCES)?));
    let library = recipe::own_library(toolchain).or_else(named);
    let library = library.ok_or_else(recipe::no_library)?;
    let linker = Path::new("bpf-linker");
    let said = Command::new(linker).arg("--version").output();
    let wanted = format!("bpf-linker {BPF_LINKER}");
    if !said.is_ok_and(|o| o.stdout.trim_ascii_end() == wanted.as_bytes()) {
        return Err(format!(
            "{wanted} is not on PATH; run `cargo install --locked bpf-linker@{BPF_LINKER}`, then this again"
        ));
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    let built = Build {
        probes: &probes,
        toolchain,
        linker,
        library: &library,
        target: &out.join("probes"),
    }
    .run()?;
    let copied = std::fs::copy(&built, out.join("trace.bpf.o"));
    copied
        .map(drop)
        .map_err(|e| format!("{}: {e}", built.display()))
}
