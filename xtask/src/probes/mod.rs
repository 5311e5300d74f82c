//! `cargo xtask probes`: the eBPF object from its sources, byte for byte the same wherever it is built, and a record of what
//! it was built from. Users build with the committed one.

mod seal;
mod strip;

#[path = "../../../ebpf-probes/recipe.rs"]
pub mod recipe;

use crate::counts::Counts;
use crate::{library, tools, top};
use recipe::{BPF_LINKER, Build};
use seal::Seal;
use std::path::PathBuf;

/// More would be too much to commit with each change.
const MOST: usize = 512 << 10;

const FOLDER: &str = "ebpf-probes";
const OBJECT: &str = "ebpf-probes/prebuilt/trace.bpf.o";
const RECORD: &str = "ebpf-probes/prebuilt/SOURCES";

/// Builds and writes.
pub fn run() -> Result<(), String> {
    let (object, seal) = build(&had()?)?;
    write(OBJECT, &object)?;
    write(RECORD, seal.to_string().as_bytes())?;
    println!("{OBJECT}: {} bytes", object.len());
    Ok(())
}

/// Builds and compares with what is committed. Whoever has not what it takes is told; who names the sources means it.
pub fn check() -> Result<Counts, String> {
    let (object, seal) = match had() {
        Err(why) if std::env::var_os(recipe::SOURCES).is_none() => {
            println!("skipped: the eBPF object is not built anew here: {why}");
            return Ok(Counts::skipped());
        }
        Err(why) => return Err(why),
        Ok(had) => build(&had)?,
    };
    let committed = read(OBJECT)?;
    let said = String::from_utf8_lossy(&read(RECORD)?).into_owned();
    let good = committed == object && said == seal.to_string();
    if !good {
        println!(
            "{OBJECT} is not what its sources give; `cargo xtask probes` writes it anew\ncommitted:\n{said}built:\n{seal}"
        );
    }
    Ok(Counts::one(good))
}

/// What has to be there before: everything else is installed.
struct Had {
    toolchain: &'static str,
    library: PathBuf,
}

fn had() -> Result<Had, String> {
    let toolchain = recipe::toolchain()?;
    let library = match recipe::own_library(toolchain) {
        Some(own) => own,
        None => library::named()?.ok_or_else(recipe::no_library)?,
    };
    Ok(Had { toolchain, library })
}

fn build(had: &Had) -> Result<(Vec<u8>, Seal), String> {
    let Had { toolchain, library } = had;
    let linker = tools::pinned("bpf-linker", BPF_LINKER)?;
    let built = Build {
        probes: &top().join(FOLDER),
        toolchain,
        linker: &linker,
        library,
        target: &top().join("target/probes"),
    }
    .run()?;
    let bytes = std::fs::read(&built).map_err(|e| format!("{}: {e}", built.display()))?;
    let object = strip::strip(&bytes)?;
    if object.len() > MOST {
        return Err(format!(
            "the object has {} bytes, {MOST} at most",
            object.len()
        ));
    }
    let seal = Seal {
        sources: seal::sources(&top().join(FOLDER))?,
        library: seal::library(library)?,
        object: seal::of(&object),
    };
    Ok((object, seal))
}

fn place(path: &str) -> PathBuf {
    top().join(path)
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(place(path)).map_err(|e| format!("{path}: {e}"))
}

fn write(path: &str, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(place(path), bytes).map_err(|e| format!("{path}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without the compiler that it takes: what is committed belongs together.
    #[test]
    fn the_committed_object_is_of_the_committed_sources() {
        let said = String::from_utf8(read(RECORD).unwrap()).unwrap();
        let seal: Seal = said.parse().unwrap();
        let again = "run `cargo xtask probes`";
        let sources = seal::sources(&place(FOLDER)).unwrap();
        assert_eq!(seal.sources, sources, "the sources have changed: {again}");
        let object = read(OBJECT).unwrap();
        assert_eq!(
            seal.object,
            seal::of(&object),
            "the object has changed: {again}"
        );
        assert_eq!(
            seal.to_string(),
            said,
            "the compiler or the linker has changed: {again}"
        );
        assert!(object.len() <= MOST);
        // nothing is left to take away
        assert!(strip::strip(&object).unwrap() == object);
    }
}
