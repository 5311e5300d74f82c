//! What a figure depends on beside the program.

use super::ways::{output, stockade, version};
use crate::{packages, top};
use std::path::Path;
use std::process::Command;

pub fn head() -> Result<Vec<(&'static str, String)>, String> {
    let cpus = read("/proc/cpuinfo")?;
    let model = cpus
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_err(|e| e.to_string())?;
    let user = if nix::unistd::geteuid().is_root() {
        "root"
    } else {
        "an ordinary one"
    };
    let bwrap = packages::on_path("bwrap").ok_or("bwrap is not on PATH")?;
    let says = |words: &[&str]| {
        let mut command = Command::new(words[0]);
        output(command.args(&words[1..]).current_dir(top())).map(|text| text.trim().to_owned())
    };
    Ok(vec![
        ("date", says(&["date", "-u", "+%Y-%m-%d"])?),
        ("processor", format!("{model}, {cores} cores")),
        ("kernel", says(&["uname", "-rm"])?),
        ("file system", file_system(&std::env::temp_dir())?),
        ("load average at the start", load()?),
        ("user", user.into()),
        ("rustc", says(&["rustc", "--version"])?),
        ("bubblewrap", version(&bwrap)?),
        ("stockade", version(&stockade())?),
        ("commit", says(&["git", "describe", "--always", "--dirty"])?),
    ])
}

pub fn load() -> Result<String, String> {
    let text = read("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or("unknown").to_owned())
}

fn file_system(of: &Path) -> Result<String, String> {
    let mut stat = Command::new("stat");
    output(stat.args(["-f", "-c", "%T"]).arg(of)).map(|text| text.trim().to_owned())
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))
}
