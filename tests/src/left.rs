//! What sessions leave: processes, mounts, files.

use crate::Place;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Polled, up to two minutes: nothing here says that time has passed.
pub fn becomes(mut what: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        if what() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Live processes that run stockade's executable of this place, stand in it or have its home.
pub fn processes(place: &Place) -> Vec<u32> {
    let path = place.path();
    let text = path.as_os_str().as_encoded_bytes();
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let pids = entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok());
    let ours = |pid: &u32| {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let leads = |name: &str| {
            folder
                .join(name)
                .read_link()
                .is_ok_and(|l| l.starts_with(path))
        };
        let holds = |name: &str| {
            let bytes = std::fs::read(folder.join(name)).unwrap_or_default();
            bytes.windows(text.len()).any(|w| w == text)
        };
        leads("exe") || leads("cwd") || holds("environ") || holds("cmdline")
    };
    let own = std::process::id();
    pids.filter(|pid| *pid != own && ours(pid) && !is_over(*pid))
        .collect()
}

/// Gone, or waiting for its parent to look.
fn is_over(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Names below a directory, without what is in `leave`.
pub fn names(folder: &Path, leave: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            // every path ends with none
            if !leave.is_empty() && path.ends_with(leave) {
                continue;
            }
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                open.push(path.clone());
            }
            out.push(path.display().to_string());
        }
    }
    out.sort();
    out
}

/// Lines of this process's mounts that name the place.
pub fn mounts(place: &Place) -> usize {
    let text = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let path = place.path().display().to_string();
    text.lines().filter(|l| l.contains(&path)).count()
}
