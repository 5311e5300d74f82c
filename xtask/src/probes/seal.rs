//! What an object was built from, as `prebuilt/SOURCES` says it.

use super::recipe::{BPF_LINKER, RUSTC};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

#[derive(Debug, PartialEq, Eq)]
pub struct Seal {
    pub sources: String,
    /// The standard library's: where two differ, line numbers may.
    pub library: String,
    pub object: String,
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sources,
            library,
            object,
        } = self;
        writeln!(
            f,
            "# written by `cargo xtask probes`: what trace.bpf.o was built from"
        )?;
        writeln!(f, "compiler {RUSTC}\nlinker bpf-linker {BPF_LINKER}")?;
        writeln!(f, "library {library}\nsources {sources}\nobject {object}")
    }
}

impl FromStr for Seal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value = |key: &str| {
            let line = text
                .lines()
                .find_map(|l| l.strip_prefix(key)?.strip_prefix(' '));
            line.map(str::to_owned)
                .ok_or_else(|| format!("SOURCES has no line `{key}`"))
        };
        Ok(Self {
            sources: value("sources")?,
            library: value("library")?,
            object: value("object")?,
        })
    }
}

pub fn of(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Everything that the object depends on: the programs, what they share with the user side, the crates' versions, the recipe.
pub fn sources(folder: &Path) -> Result<String, String> {
    tree(
        folder,
        &[
            "Cargo.toml",
            "Cargo.lock",
            "recipe.rs",
            "src",
            "abi/Cargo.toml",
            "abi/src",
        ],
    )
}

pub fn library(folder: &Path) -> Result<String, String> {
    tree(folder, &["Cargo.lock", "core", "compiler-builtins"])
}

/// By name and content, in the order of the names.
fn tree(folder: &Path, parts: &[&str]) -> Result<String, String> {
    let failed = |path: &Path, e: std::io::Error| format!("{}: {e}", path.display());
    let mut files = Vec::new();
    let mut open: Vec<PathBuf> = parts.iter().map(|p| folder.join(p)).collect();
    while let Some(path) = open.pop() {
        if !path.is_dir() {
            files.push(path);
            continue;
        }
        for entry in std::fs::read_dir(&path).map_err(|e| failed(&path, e))? {
            open.push(entry.map_err(|e| failed(&path, e))?.path());
        }
    }
    files.sort();
    let mut all = Sha256::new();
    for file in files {
        let bytes = std::fs::read(&file).map_err(|e| failed(&file, e))?;
        let name = file.strip_prefix(folder).unwrap_or(&file);
        all.update(format!("{}\n{}\n", name.display(), bytes.len()));
        all.update(bytes);
    }
    Ok(format!("{:x}", all.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_of_a_source_changes_the_hash_and_a_move_of_the_folder_does_not() {
        let place = std::env::temp_dir().join(format!("stockade-seal-{}", std::process::id()));
        let make = |name: &str| {
            let folder = place.join(name);
            std::fs::create_dir_all(folder.join("src")).unwrap();
            std::fs::create_dir_all(folder.join("abi/src")).unwrap();
            for file in [
                "Cargo.toml",
                "Cargo.lock",
                "recipe.rs",
                "src/main.rs",
                "abi/Cargo.toml",
            ] {
                std::fs::write(folder.join(file), file).unwrap();
            }
            folder
        };
        let (one, other) = (make("one"), make("another-name"));
        let first = sources(&one).unwrap();
        assert_eq!(first, sources(&other).unwrap());
        for changed in ["src/main.rs", "Cargo.lock", "recipe.rs", "abi/src/new.rs"] {
            let before = sources(&other).unwrap();
            std::fs::write(other.join(changed), "changed").unwrap();
            assert_ne!(sources(&other).unwrap(), before, "{changed}");
        }
        std::fs::write(one.join("notes"), "").unwrap();
        assert_eq!(sources(&one).unwrap(), first);
        std::fs::remove_file(one.join("recipe.rs")).unwrap();
        assert!(sources(&one).is_err());
        std::fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn what_is_written_is_read_and_a_missing_line_is_said() {
        let seal = Seal {
            sources: of(b"a"),
            library: of(b"b"),
            object: of(b"c"),
        };
        let text = seal.to_string();
        assert_eq!(text.parse(), Ok(seal));
        let without = text.replace("library", "other");
        assert_eq!(
            without.parse::<Seal>(),
            Err("SOURCES has no line `library`".into())
        );
    }
}
