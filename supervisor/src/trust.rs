//! Which project files the user has trusted: path and SHA-256, in the user's state folder.

use crate::exit::Failure;
use sha2::{Digest, Sha256};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn record(state: &Path, project: &Path) -> PathBuf {
    state
        .join("trust")
        .join(hex(project.as_os_str().as_encoded_bytes()))
}

fn line(project: &Path, text: &str) -> String {
    format!("{} {}\n", hex(text.as_bytes()), project.display())
}

/// Any change of the file, and any other path, asks again.
pub fn is_trusted(state: &Path, project: &Path, text: &str) -> bool {
    std::fs::read_to_string(record(state, project)).is_ok_and(|kept| kept == line(project, text))
}

pub fn trust(state: &Path, project: &Path, text: &str) -> Result<(), Failure> {
    let path = record(state, project);
    let folder = state.join("trust");
    let fail = |e| Failure::file("write the trust record", &path, e);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(fail)?;
    let fresh = folder.join(format!(".new-{}", std::process::id()));
    std::fs::write(&fresh, line(project, text))
        .and_then(|()| std::fs::rename(&fresh, &path))
        .map_err(fail)
}
