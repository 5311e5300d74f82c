//! What a session at rest costs: stockade's own processes, not the agent's.

use serde::Serialize;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Memory {
    pub processes: u32,
    pub pss_kib: u64,
    pub rss_kib: u64,
}

/// Of the session that `command` starts; its agent creates `ready` and then waits.
pub fn of(mut command: Command, ready: &Path) -> Result<Memory, String> {
    let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
    let outcome = wait_for(ready, &mut child).and_then(|()| {
        // what a start leaves to do is done
        std::thread::sleep(Duration::from_millis(300));
        sum(child.id())
    });
    child.kill().map_err(|e| e.to_string())?;
    child.wait().map_err(|e| e.to_string())?;
    outcome
}

fn wait_for(ready: &Path, child: &mut std::process::Child) -> Result<(), String> {
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

/// The process and those below it that run stockade: the agent is another program.
fn sum(supervisor: u32) -> Result<Memory, String> {
    let mut total = Memory::default();
    let mut left = vec![supervisor];
    while let Some(pid) = left.pop() {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))
        };
        let children = read(&format!("task/{pid}/children"))?;
        left.extend(
            children
                .split_ascii_whitespace()
                .filter_map(|p| p.parse::<u32>().ok()),
        );
        let own = pid == supervisor || read("cmdline")?.contains("__stage");
        if own {
            let (pss, rss) =
                parse(&read("smaps_rollup")?).ok_or("smaps_rollup without Pss and Rss")?;
            total.processes += 1;
            total.pss_kib += pss;
            total.rss_kib += rss;
        }
    }
    Ok(total)
}

fn parse(rollup: &str) -> Option<(u64, u64)> {
    let field = |name: &str| {
        let rest = rollup.lines().find_map(|l| l.strip_prefix(name))?;
        rest.split_ascii_whitespace().next()?.parse().ok()
    };
    Some((field("Pss:")?, field("Rss:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_totals_are_read() {
        let text = "7f-7e ---p 0 0 [rollup]\nRss:    2048 kB\nPss:     512 kB\nPss_Dirty:  1 kB\n";
        assert_eq!(parse(text), Some((512, 2048)));
        assert_eq!(parse("Rss: 1 kB\n"), None);
    }
}
