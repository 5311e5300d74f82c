//! Debian packages that a build or a test needs: named, asked for, installed.

use std::io::{BufRead, IsTerminal, Write};
use std::process::{Command, Stdio};

pub const BUILD: &[&str] = &["gcc", "libc6-dev", "libseccomp-dev"];
pub const DEMO: &[&str] = &["git", "gcc", "libc6-dev", "libseccomp-dev"];

fn installed(package: &str) -> bool {
    let query = Command::new("dpkg-query")
        .args(["-W", "-f", "${Status}", package])
        .stderr(Stdio::null())
        .output();
    query.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains("install ok installed"))
}

/// On a terminal it asks; without one, or with `--yes`, it installs.
pub fn ensure(packages: &[&str], yes: bool) -> Result<(), String> {
    let missing: Vec<&str> = packages.iter().copied().filter(|p| !installed(p)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|o| o.stdout == b"0\n");
    let sudo = if root { "" } else { "sudo " };
    println!(
        "missing packages: {}\n    {sudo}apt-get install -y {}",
        missing.join(" "),
        missing.join(" ")
    );
    if !yes && std::io::stdin().is_terminal() && !agreed()? {
        return Err("not installed; run the line above, then this again".into());
    }
    for arguments in [
        vec!["update", "-qq"],
        [vec!["install", "-y", "-qq"], missing].concat(),
    ] {
        let mut command = if root {
            Command::new("apt-get")
        } else {
            Command::new("sudo")
        };
        if !root {
            command.arg("apt-get");
        }
        let status = command
            .args(&arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status()
            .map_err(|e| format!("apt-get: {e}"))?;
        if !status.success() {
            return Err(format!("apt-get {}: {status}", arguments.join(" ")));
        }
    }
    Ok(())
}

fn agreed() -> Result<bool, String> {
    print!("install them? [y/N] ");
    std::io::stdout().flush().map_err(|e| e.to_string())?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|e| e.to_string())?;
    Ok(matches!(answer.trim(), "y" | "yes"))
}
