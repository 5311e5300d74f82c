//! The existing names that rules speak of.

use super::CompileError;
use super::tree::{Kind, Tree};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use stockade_policy::{Glob, Policy};

/// Names looked at to expand one pattern; a pattern that needs more is an error, never cut short.
pub const LOOK_AT: usize = 200_000;

/// Of what these deny the directory is held: a name that comes later is refused too.
pub const HELD: &[&str] = &["deny_read", "deny_write", "protect"];

/// Each name with the first rule that speaks of it.
pub fn names(
    policy: &Policy,
    tree: &dyn Tree,
    tables: &[&str],
) -> Result<BTreeMap<PathBuf, String>, CompileError> {
    let mut out = BTreeMap::new();
    for rule in policy
        .rules()
        .iter()
        .filter(|r| tables.contains(&r.key.table) && !r.report)
    {
        for glob in &rule.globs {
            let held = HELD.contains(&rule.key.name);
            for path in expand(glob, held, rule.id.as_str(), tree)? {
                out.entry(path).or_insert_with(|| rule.id.to_string());
            }
        }
    }
    Ok(out)
}

/// `X/*` or `X/**`: the directory is held rather than each file in it.
pub fn holds_all_of(glob: &Glob, directory: &Path) -> bool {
    glob.covers(&directory.join("\u{1}any")) && !glob.covers(directory)
}

/// Existing names that a pattern matches; with `held`, of `X/*` and `X/**` the directory X itself.
pub fn expand(
    glob: &Glob,
    held: bool,
    rule: &str,
    tree: &dyn Tree,
) -> Result<Vec<PathBuf>, CompileError> {
    if let Some(path) = glob.literal() {
        return Ok(vec![path]);
    }
    let root = glob.root();
    if holds_all_of(glob, &root) {
        // never by way of a link: who made it chose what is in there
        if tree.kind(&root) != Some(Kind::Directory) {
            return Ok(vec![]);
        }
        if held {
            return Ok(vec![root]);
        }
    }
    let (mut out, mut seen, mut folders) = (Vec::new(), 0, vec![root]);
    while let Some(folder) = folders.pop() {
        for (path, kind) in tree.list(&folder).iter() {
            seen += 1;
            if seen > LOOK_AT {
                return Err(CompileError::TooMany { rule: rule.into() });
            }
            let directory = *kind == Kind::Directory;
            if glob.covers(path) || (held && directory && holds_all_of(glob, path)) {
                out.push(path.clone());
            } else if directory && glob.reaches_below(path) {
                folders.push(path.clone());
            }
        }
    }
    Ok(out)
}
