//! A plan's view as bubblewrap's arguments: the same mounts in the same order.

use serde_json::Value;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What of /dev bubblewrap makes by `--dev`.
const DEV: &[&str] = &[
    "null", "zero", "full", "random", "urandom", "tty", "pts", "ptmx", "fd", "stdin", "stdout",
    "stderr", "shm",
];

#[derive(Debug, PartialEq, Eq)]
enum Word {
    Text(String),
    /// A file with this text, whose descriptor is the argument.
    File(String),
}

#[derive(Debug)]
pub struct Arguments {
    words: Vec<Word>,
    /// Overlays that are plain mounts here, because this bubblewrap has none.
    pub bound: usize,
    pub mounts: usize,
}

/// Ready for one start of a command, which comes last; the descriptors live as long.
pub struct Ready {
    pub words: Vec<String>,
    pub files: Vec<OwnedFd>,
}

impl Arguments {
    /// `overlays`: whether this bubblewrap knows `--overlay` (0.11).
    pub fn of(plan: &Value, overlays: bool) -> Result<Self, String> {
        let text = |t: &str| Word::Text(t.to_owned());
        let fixed = [
            "--unshare-all",
            "--die-with-parent",
            "--hostname",
            "stockade",
            "--cap-drop",
            "ALL",
            "--clearenv",
        ];
        let mut out = Self {
            words: fixed.map(text).into(),
            bound: 0,
            mounts: 0,
        };
        let view = plan["view"].as_array().ok_or("the plan has no view")?;
        let mut has_dev = false;
        for item in view {
            let at = item["at"]
                .as_str()
                .ok_or("an item of the view has no place")?;
            let below_dev = at
                .strip_prefix("/dev/")
                .is_some_and(|name| DEV.contains(&name));
            if below_dev && !has_dev {
                has_dev = true;
                out.push(&["--dev", "/dev"]);
            }
            if !below_dev {
                out.item(at, &item["source"], overlays)?;
            }
        }
        for pair in plan["environment"].as_array().into_iter().flatten() {
            if let (Some(name), Some(value)) = (pair[0].as_str(), pair[1].as_str()) {
                out.words.extend(["--setenv", name, value].map(text));
            }
        }
        let directory = plan["directory"]
            .as_str()
            .ok_or("the plan has no directory")?;
        out.words
            .extend(["--chdir", directory, "--remount-ro", "/", "--"].map(text));
        Ok(out)
    }

    fn push(&mut self, words: &[&str]) {
        self.mounts += 1;
        self.words
            .extend(words.iter().map(|w| Word::Text((*w).to_owned())));
    }

    fn item(&mut self, at: &str, source: &Value, overlays: bool) -> Result<(), String> {
        if let Some(name) = source.as_str() {
            match name {
                "proc" => self.push(&["--proc", at]),
                // bubblewrap has no new sysfs; the host's costs it one mount as well
                "sys" => self.push(&["--ro-bind", "/sys", at]),
                other => return Err(format!("{at}: bubblewrap has nothing for {other}")),
            }
            return Ok(());
        }
        let (kind, of) = source
            .as_object()
            .and_then(|o| o.iter().next())
            .ok_or_else(|| format!("{at}: no source"))?;
        let path = |key: &str| {
            of[key]
                .as_str()
                .ok_or_else(|| format!("{at}: {kind} without {key}"))
        };
        match kind.as_str() {
            "host" if of["writable"] == true => self.push(&["--bind", path("path")?, at]),
            "host" => self.push(&["--ro-bind", path("path")?, at]),
            "device" => self.push(&["--dev-bind", path("path")?, at]),
            "private" => {
                let mode = format!("{:o}", of["mode"].as_u64().unwrap_or(0o755));
                self.push(&["--perms", &mode, "--tmpfs", at]);
            }
            "overlay" if overlays => {
                let (lower, upper, work) = (path("lower")?, path("upper")?, path("work")?);
                self.push(&["--overlay-src", lower, "--overlay", upper, work, at]);
            }
            "overlay" => {
                self.bound += 1;
                self.push(&["--bind", path("lower")?, at]);
            }
            "masked" if of["directory"] == true => self.push(&["--perms", "000", "--tmpfs", at]),
            "masked" => self.push(&["--ro-bind", "/dev/null", at]),
            "symlink" => self.push(&["--symlink", path("target")?, at]),
            "content" => self.file(path("text")?.to_owned(), at),
            "copy" => {
                let from = path("path")?;
                let text = std::fs::read_to_string(from).map_err(|e| format!("{from}: {e}"))?;
                self.file(text, at);
            }
            other => return Err(format!("{at}: bubblewrap has nothing for {other}")),
        }
        Ok(())
    }

    fn file(&mut self, content: String, at: &str) {
        self.push(&["--file"]);
        self.words.push(Word::File(content));
        self.words.push(Word::Text(at.to_owned()));
    }

    /// bubblewrap reads a file's descriptor to its end: each start needs its own.
    pub fn ready(&self, folder: &Path) -> Result<Ready, String> {
        let mut ready = Ready {
            words: Vec::new(),
            files: Vec::new(),
        };
        for (n, word) in self.words.iter().enumerate() {
            ready.words.push(match word {
                Word::Text(text) => text.clone(),
                Word::File(content) => {
                    let file = open(&folder.join(n.to_string()), content)?;
                    let number = file.as_raw_fd().to_string();
                    ready.files.push(file);
                    number
                }
            });
        }
        Ok(ready)
    }
}

/// Open for a child to inherit: without O_CLOEXEC.
fn open(path: &PathBuf, content: &str) -> Result<OwnedFd, String> {
    use nix::fcntl::{OFlag, open};
    if !path.exists() {
        std::fs::write(path, content).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    open(path, OFlag::O_RDONLY, nix::sys::stat::Mode::empty())
        .map_err(|e| format!("{}: {e}", path.display()))
}

/// Whether `bwrap --version`'s answer is one that knows `--overlay`.
pub fn knows_overlays(version: &str) -> bool {
    let mut numbers = version
        .trim()
        .rsplit(' ')
        .next()
        .unwrap_or("")
        .split('.')
        .map(|n| n.parse().unwrap_or(0_u32));
    (numbers.next(), numbers.next()) >= (Some(0), Some(11))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_source_becomes_an_argument_and_an_unknown_one_an_error() {
        let plan = |source: Value| {
            serde_json::json!({
                "view": [{ "at": "/a", "source": source }, { "at": "/dev/null", "source": { "device": { "path": "/dev/null" } } }],
                "environment": [["A", "b"]], "directory": "/w",
            })
        };
        for (source, words) in [
            (serde_json::json!("proc"), vec!["--proc", "/a"]),
            (
                serde_json::json!({"host": {"path": "/h", "writable": true}}),
                vec!["--bind", "/h", "/a"],
            ),
            (
                serde_json::json!({"host": {"path": "/h", "writable": false}}),
                vec!["--ro-bind", "/h", "/a"],
            ),
            (
                serde_json::json!({"private": {"mode": 0o1777}}),
                vec!["--perms", "1777", "--tmpfs", "/a"],
            ),
            (
                serde_json::json!({"masked": {"directory": false}}),
                vec!["--ro-bind", "/dev/null", "/a"],
            ),
            (
                serde_json::json!({"symlink": {"target": "b"}}),
                vec!["--symlink", "b", "/a"],
            ),
            (
                serde_json::json!({"overlay": {"lower": "/l", "upper": "/u", "work": "/k"}}),
                vec!["--overlay-src", "/l", "--overlay", "/u", "/k", "/a"],
            ),
        ] {
            let made = Arguments::of(&plan(source), true).unwrap().words;
            let wanted: Vec<Word> = words.into_iter().map(|w| Word::Text(w.into())).collect();
            assert!(made.windows(wanted.len()).any(|w| w == wanted), "{made:?}");
        }
        assert!(Arguments::of(&plan(serde_json::json!({"new": {}})), true).is_err());
        assert!(Arguments::of(&plan(serde_json::json!("new")), true).is_err());
        let without =
            plan(serde_json::json!({"overlay": {"lower": "/l", "upper": "/u", "work": "/k"}}));
        assert_eq!(Arguments::of(&without, false).unwrap().bound, 1);
    }

    #[test]
    fn overlays_came_with_a_version() {
        assert!(knows_overlays("bubblewrap 0.11.0\n") && knows_overlays("bubblewrap 1.0.0"));
        assert!(!knows_overlays("bubblewrap 0.8.0\n") && !knows_overlays(""));
    }
}
