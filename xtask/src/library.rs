//! The standard library's sources, for targets that rustup has no compiled one for.

use crate::probes::recipe::{SOURCES, in_directory, is_library};
use crate::{packages, tools, top};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the variable names, unpacked where it is an archive.
pub fn named() -> Result<Option<PathBuf>, String> {
    let Some(named) = std::env::var_os(SOURCES).map(PathBuf::from) else {
        return Ok(None);
    };
    // relative to the checkout, wherever xtask was called
    library(&top().join(named), &tools::cache()?.join("rust-src")).map(Some)
}

/// The folder `library` in `named`: a directory, or an archive that is unpacked below `unpacked`.
fn library(named: &Path, unpacked: &Path) -> Result<PathBuf, String> {
    let wrong = |why: &str| format!("{SOURCES}={}: {why}", named.display());
    let named = named.canonicalize().map_err(|e| wrong(&e.to_string()))?;
    if named.is_dir() {
        return in_directory(&named).ok_or_else(|| {
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
