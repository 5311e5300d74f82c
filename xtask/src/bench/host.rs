//! What a figure depends on beside the program.

use super::lanes::Judge;
use super::ways::{output, stockade, version};
use crate::{packages, top};
use std::path::Path;
use std::process::Command;

pub fn head(load: f64, judge: Judge) -> Result<Vec<(&'static str, String)>, String> {
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
        ("load average at the start", load.to_string()),
        (
            "marks are judged by",
            match judge {
                Judge::Clock => "the clock".into(),
                Judge::Processor => "processor time: the machine does other things".into(),
            },
        ),
        ("user", user.into()),
        ("rustc", says(&["rustc", "--version"])?),
        ("bubblewrap", version(&bwrap)?),
        ("stockade", version(&stockade())?),
        ("commit", says(&["git", "describe", "--always", "--dirty"])?),
    ])
}

/// Of the last minute.
pub fn load() -> Result<f64, String> {
    let text = read("/proc/loadavg")?;
    let first = text.split(' ').next().and_then(|n| n.parse().ok());
    first.ok_or_else(|| format!("/proc/loadavg: no number in {text:?}"))
}

pub fn judge(load: f64) -> Judge {
    if load <= 1.0 {
        Judge::Clock
    } else {
        Judge::Processor
    }
}

fn file_system(of: &Path) -> Result<String, String> {
    let mut stat = Command::new("stat");
    output(stat.args(["-f", "-c", "%T"]).arg(of)).map(|text| text.trim().to_owned())
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))
}
