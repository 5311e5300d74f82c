//! The existing names that rules speak of.

use super::CompileError;
use super::tree::{Kind, Tree};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use stockade_policy::{Glob, Policy};

/// Names looked at to expand one pattern; a pattern that needs more is an error, never cut short.
pub const LOOK_AT: usize = 200_000;

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
            for path in expand(glob, rule.id.as_str(), tree)? {
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

/// Existing names that a pattern matches; of `X/*` and `X/**` the directory X itself.
pub fn expand(glob: &Glob, rule: &str, tree: &dyn Tree) -> Result<Vec<PathBuf>, CompileError> {
    if let Some(path) = glob.literal() {
        return Ok(vec![path]);
    }
    let root = glob.root();
    if holds_all_of(glob, &root) {
        return Ok(if tree.kind(&root) == Some(Kind::Directory) {
            vec![root]
        } else {
            vec![]
        });
    }
    let (mut out, mut seen, mut folders) = (Vec::new(), 0, vec![root]);
    while let Some(folder) = folders.pop() {
        for (path, kind) in tree.list(&folder).iter() {
            seen += 1;
            if seen > LOOK_AT {
                return Err(CompileError::TooMany { rule: rule.into() });
            }
            let directory = *kind == Kind::Directory;
            if glob.covers(path) || (directory && holds_all_of(glob, path)) {
                out.push(path.clone());
            } else if directory && glob.reaches_below(path) {
                folders.push(path.clone());
            }
        }
    }
    Ok(out)
}
