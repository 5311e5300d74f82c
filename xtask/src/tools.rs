//! Programs from crates, built once into a place outside of the checkout.

use crate::packages;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Kept from run to run; as root where every checkout finds it.
pub fn cache() -> Result<PathBuf, String> {
    if nix::unistd::geteuid().is_root() {
        return Ok("/var/cache/stockade-tests".into());
    }
    let home = std::env::var_os("HOME").ok_or("HOME is not set: no place for a cache")?;
    Ok(PathBuf::from(home).join(".cache/stockade-tests"))
}

/// A crate's program of exactly this version, from PATH or the cache; else built into the cache.
pub fn pinned(name: &str, version: &str) -> Result<PathBuf, String> {
    let root = cache()?.join("tools");
    let cached = root.join("bin").join(name);
    let candidates = packages::on_path(name).into_iter().chain([cached.clone()]);
    if let Some(found) = candidates.into_iter().find(|p| is(p, name, version)) {
        return Ok(found);
    }
    println!(
        "building {name} {version} into {} (some minutes, once)",
        root.display()
    );
    let status = Command::new("cargo")
        .args(["install", "--locked", "--quiet", "--force", "--root"])
        .arg(&root)
        .arg(format!("{name}@{version}"))
        // not the checkout's own target directory nor its flags
        .current_dir("/")
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .map_err(|e| format!("cargo install: {e}"))?;
    if status.success() && is(&cached, name, version) {
        Ok(cached)
    } else {
        Err(format!(
            "{name} {version} is not there and can't be built ({status}); install it and run this again"
        ))
    }
}

fn is(program: &Path, name: &str, version: &str) -> bool {
    let said = Command::new(program).arg("--version").output();
    said.is_ok_and(|o| o.stdout.trim_ascii_end() == format!("{name} {version}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pinned_version_is_used() {
        assert!(!is(Path::new("/bin/echo"), "echo", "1"));
        assert!(!is(Path::new("/no/such"), "such", "1"));
        let rustc = Command::new("rustc").arg("--version").output().unwrap();
        let said = String::from_utf8(rustc.stdout).unwrap();
        let version = said.trim_end().strip_prefix("rustc ").unwrap();
        assert!(is(Path::new("rustc"), "rustc", version));
    }
}
