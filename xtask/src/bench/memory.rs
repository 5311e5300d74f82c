//! A session at rest: stockade's own processes, not the agent's.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

pub const WATCHED: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, Default)]
pub struct AtRest {
    pub processes: u32,
    pub pss_kib: u64,
    pub rss_kib: u64,
    pub wakes: u64,
}

/// Of the session that `command` starts; its agent creates `ready` and then waits.
pub fn of(mut command: Command, ready: &Path) -> Result<AtRest, String> {
    let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
    let outcome = wait_for(ready, &mut child).and_then(|()| {
        // what a start leaves to do is done
        std::thread::sleep(Duration::from_secs(1));
        watch(child.id())
    });
    child.kill().map_err(|e| e.to_string())?;
    child.wait().map_err(|e| e.to_string())?;
    outcome
}

fn wait_for(ready: &Path, child: &mut Child) -> Result<(), String> {
    let began = Instant::now();
    while !ready.exists() {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            return Err(format!("the session ended by itself: {status}"));
        }
        if began.elapsed() > Duration::from_secs(20) {
            return Err("the session did not begin within 20 s".into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn watch(supervisor: u32) -> Result<AtRest, String> {
    let own = own(supervisor)?;
    let count = || -> Result<u64, String> { own.iter().map(|pid| switches(*pid)).sum() };
    let before = count()?;
    std::thread::sleep(WATCHED);
    // reading smaps wakes nobody, but comes after the count all the same
    let wakes = count()? - before;
    let mut total = AtRest {
        wakes,
        ..AtRest::default()
    };
    for pid in own {
        let rollup = read(&format!("/proc/{pid}/smaps_rollup"))?;
        total.processes += 1;
        total.pss_kib += field(&rollup, "Pss:")?;
        total.rss_kib += field(&rollup, "Rss:")?;
    }
    Ok(total)
}

/// The process and those below it that run stockade: the agent is another program.
fn own(supervisor: u32) -> Result<Vec<u32>, String> {
    let mut own = Vec::new();
    let mut left = vec![supervisor];
    while let Some(pid) = left.pop() {
        let children = read(&format!("/proc/{pid}/task/{pid}/children"))?;
        left.extend(
            children
                .split_ascii_whitespace()
                .filter_map(|p| p.parse::<u32>().ok()),
        );
        if pid == supervisor || read(&format!("/proc/{pid}/cmdline"))?.contains("__stage") {
            own.push(pid);
        }
    }
    Ok(own)
}

/// Of all threads.
fn switches(pid: u32) -> Result<u64, String> {
    let folder = format!("/proc/{pid}/task");
    let threads = std::fs::read_dir(&folder).map_err(|e| format!("{folder}: {e}"))?;
    threads
        .map(|thread| {
            let thread = thread.map_err(|e| format!("{folder}: {e}"))?;
            let status = thread.path().join("status").display().to_string();
            field(&read(&status)?, "voluntary_ctxt_switches:")
        })
        .sum()
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))
}

fn field(text: &str, name: &str) -> Result<u64, String> {
    let rest = text.lines().find_map(|l| l.strip_prefix(name));
    rest.and_then(|r| r.split_ascii_whitespace().next()?.parse().ok())
        .ok_or_else(|| format!("no {name} in:\n{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_field_is_read() {
        let text = "7f-7e ---p 0 0 [rollup]\nRss:    2048 kB\nPss:     512 kB\nPss_Dirty:  1 kB\nnonvoluntary_ctxt_switches:\t9\nvoluntary_ctxt_switches:\t4\n";
        assert_eq!(field(text, "Pss:"), Ok(512));
        assert_eq!(field(text, "voluntary_ctxt_switches:"), Ok(4));
        assert!(field("Rss: 1 kB\n", "Pss:").is_err());
    }
}
