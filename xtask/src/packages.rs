//! Debian packages that a build or a test needs: named, asked for, installed.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Stdio};

pub const DEMO: &[&str] = &["git", "gcc", "libc6-dev", "libseccomp-dev"];

/// Package → the command that makes it unnecessary where it is on PATH.
pub type Commands = BTreeMap<String, String>;

fn installed(package: &str) -> bool {
    let query = Command::new("dpkg-query")
        .args(["-W", "-f", "${Status}", package])
        .stderr(Stdio::null())
        .output();
    query.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains("install ok installed"))
}

/// The file that the command's name leads to.
pub fn on_path(command: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(command))
        .find(|file| executable(file))
}

fn executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// On a terminal it asks; without one, or with `--yes`, it installs.
pub fn ensure(packages: &[&str], yes: bool) -> Result<(), String> {
    ensure_unless(packages, &Commands::new(), yes)
}

/// As [`ensure`], for packages whose command is not there already.
pub fn ensure_unless(packages: &[&str], commands: &Commands, yes: bool) -> Result<(), String> {
    let there = |p: &str| commands.get(p).is_some_and(|c| on_path(c).is_some()) || installed(p);
    let missing: Vec<&str> = packages.iter().copied().filter(|p| !there(p)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let root = nix::unistd::geteuid().is_root();
    let line = format!(
        "{}apt-get install -y {}",
        if root { "" } else { "sudo " },
        missing.join(" ")
    );
    println!("missing packages: {}\n    {line}", missing.join(" "));
    if !yes && std::io::stdin().is_terminal() && !agreed()? {
        return Err("not installed; run the line above, then this again".into());
    }
    let install = [vec!["install", "-y", "-qq"], missing].concat();
    [vec!["update", "-qq"], install]
        .iter()
        .try_for_each(|arguments| {
            apt(root, arguments).map_err(|why| {
                format!("{why}; as root run the following, then this again:\n    {line}")
            })
        })
}

fn apt(root: bool, arguments: &[&str]) -> Result<(), String> {
    let words = [
        if root { &[][..] } else { &["sudo"] },
        &["apt-get"],
        arguments,
    ]
    .concat();
    let status = Command::new(words[0])
        .args(&words[1..])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .map_err(|e| format!("{}: {e}", words[0]))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{}: {status}", words.join(" ")))
    }
}

pub fn agreed() -> Result<bool, String> {
    print!("do it? [y/N] ");
    std::io::stdout().flush().map_err(|e| e.to_string())?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|e| e.to_string())?;
    Ok(matches!(answer.trim(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_on_path_makes_its_package_unnecessary() {
        assert!(on_path("sh").is_some() && on_path("no-such-command").is_none());
        // a folder of that name is no command
        assert!(!executable(Path::new("/usr")));
        let commands = Commands::from([("no-such-package".to_owned(), "sh".to_owned())]);
        assert_eq!(ensure_unless(&["no-such-package"], &commands, true), Ok(()));
    }
}
