//! One case: a policy, a tree and operations on it, as a file keeps it.

use serde::{Deserialize, Serialize};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What of the place no session is to see, and is not part of the tree.
pub const OWN: [&str; 5] = ["vault", "state", "policy.toml", "operations", "native"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Directory,
    File,
    Fifo,
    Link,
    /// One more name of the file `target`.
    Hard,
}

/// Parents come first. `%XX` in names is a byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Relative to the place.
    pub path: String,
    pub kind: Kind,
    #[serde(default)]
    pub mode: u32,
    /// Of a link: where it starts with `/`, the place stands for the root.
    #[serde(default)]
    pub target: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    pub name: String,
    /// Relative to the place.
    pub path: String,
    #[serde(default)]
    pub to: String,
    /// By way of `/proc/self/root`.
    #[serde(default)]
    pub alias: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// What was found, in a sentence.
    #[serde(default)]
    pub about: String,
    pub level: String,
    /// `{outside}` stands for the directory that is neither workspace nor home.
    pub policy: String,
    pub workspace: String,
    pub tree: Vec<Node>,
    pub operations: Vec<Operation>,
}

pub fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.extend(&rest.as_bytes()[..at]);
        out.push(u8::from_str_radix(&rest[at + 1..at + 3], 16).unwrap());
        rest = &rest[at + 3..];
    }
    out.extend(rest.as_bytes());
    out
}

pub fn path_from(bytes: Vec<u8>) -> PathBuf {
    std::ffi::OsString::from_vec(bytes).into()
}

pub fn path_of(text: &str) -> PathBuf {
    path_from(bytes(text))
}

pub fn hexadecimal(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The smallest case that still disagrees, as far as leaving out one by one leads.
pub fn shrink(case: &Case, disagrees: &dyn Fn(&Case) -> bool) -> Case {
    let mut best = case.clone();
    loop {
        let before = best.clone();
        shorten(&mut best, disagrees, |c| &mut c.operations);
        rules(&mut best, disagrees);
        nodes(&mut best, disagrees);
        if best == before {
            return best;
        }
    }
}

/// Half, a quarter, …, one of the items is left out at a time.
fn shorten<T: Clone>(
    best: &mut Case,
    disagrees: &dyn Fn(&Case) -> bool,
    items: fn(&mut Case) -> &mut Vec<T>,
) {
    let mut size = items(best).len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < items(best).len() {
            let mut smaller = best.clone();
            let list = items(&mut smaller);
            let end = (at + size).min(list.len());
            list.drain(at..end);
            if disagrees(&smaller) {
                *best = smaller;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
}

/// A rule is a line of its own, with a comma at its end.
fn rules(best: &mut Case, disagrees: &dyn Fn(&Case) -> bool) {
    let mut n = 0;
    loop {
        let lines: Vec<&str> = best.policy.lines().collect();
        if n >= lines.len() {
            return;
        }
        let rule = lines[n].starts_with("    ") || lines[n].starts_with("default");
        let kept = lines.iter().enumerate().filter(|(at, _)| *at != n);
        let policy = kept.fold(String::new(), |all, (_, line)| all + line + "\n");
        // an empty list is a mistake
        let emptied = policy.split_inclusive('\n').collect::<Vec<_>>();
        let is_empty = |at: usize| {
            let next = emptied.get(at + 1).is_some_and(|l| *l == "]\n");
            next && emptied[at].ends_with("[\n")
        };
        let lines = 0..emptied.len();
        let policy: String = lines
            .filter(|at| !(is_empty(*at) || *at > 0 && is_empty(at - 1)))
            .map(|at| emptied[at])
            .collect();
        let smaller = Case {
            policy,
            ..best.clone()
        };
        if rule && disagrees(&smaller) {
            *best = smaller;
        } else {
            n += 1;
        }
    }
}

/// A node goes with all below it, and with its other names.
fn nodes(best: &mut Case, disagrees: &dyn Fn(&Case) -> bool) {
    let mut n = best.tree.len();
    while n > 0 {
        n = (n - 1).min(best.tree.len().saturating_sub(1));
        let Some(gone) = best.tree.get(n).map(|node| node.path.clone()) else {
            return;
        };
        let below = format!("{gone}/");
        let is_gone = |path: &str| path == gone || path.starts_with(&below);
        let mut smaller = best.clone();
        smaller.tree.retain(|node| {
            !(is_gone(&node.path) || node.kind == Kind::Hard && is_gone(&node.target))
        });
        let needed = !gone.contains('/') || gone == best.workspace;
        if !needed && disagrees(&smaller) {
            *best = smaller;
        }
        if n == 0 {
            return;
        }
    }
}
