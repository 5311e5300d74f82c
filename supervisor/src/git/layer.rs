//! What the workspaces' repositories need, and what of them acts outside, as a layer.

use super::{Found, config, nested, repository, straight};
use crate::found;
use std::path::{Path, PathBuf};
use stockade_policy::Source;

/// The layer, and what is not believed or can't be said.
pub fn layer(workspaces: &[PathBuf]) -> (Option<Source>, Vec<String>) {
    let mut said = Said::default();
    for workspace in workspaces {
        let found = repository(workspace).unwrap_or_else(|why| {
            said.refused.push(why);
            None
        });
        for found in found.into_iter().chain(nested(workspace)) {
            said.add(found, workspace);
        }
    }
    said.layer()
}

/// A directory, a pattern below it, the mode, and why.
type Mark = (PathBuf, &'static str, &'static str, &'static str);

#[derive(Debug, Default)]
struct Said {
    write: Vec<PathBuf>,
    /// Not the rest of these common directories' worktrees.
    commons: Vec<PathBuf>,
    protect: Vec<Mark>,
    refused: Vec<String>,
}

impl Said {
    fn add(&mut self, found: Found, workspace: &Path) {
        let directory = match found {
            // as a plain clone's: git makes lock files in the common directory itself
            Found::Worktree { own, common } => {
                self.write.extend([common.clone(), own]);
                self.commons.push(common.clone());
                common
            }
            Found::Submodule(directory) => {
                self.write.push(directory.clone());
                directory
            }
            Found::Plain(directory) => directory,
        };
        let hooks = hooks_path(&directory, workspace);
        let because = "core.hooksPath named it: git runs them outside";
        self.protect
            .extend(hooks.map(|path| (path, "*", "deny", because)));
        for (below, mode, because) in KEPT {
            self.protect.push((directory.clone(), below, mode, because));
        }
    }

    fn layer(self) -> (Option<Source>, Vec<String>) {
        let Self {
            write,
            commons,
            protect,
            mut refused,
        } = self;
        let mut opened = Vec::new();
        for path in write {
            match found::literal(&path) {
                Some(pattern) => opened.push(pattern),
                None => refused.push(format!(
                    "{}: its name is not UTF-8: not opened",
                    path.display()
                )),
            }
        }
        let others = commons.iter().map(|c| found::covering(c) + "/worktrees/*");
        let marks = protect
            .into_iter()
            .map(|(directory, below, mode, because)| {
                let path = format!("{}/{below}", found::covering(&directory));
                found::mark(path, mode, because)
            });
        let keys = vec![
            ("write", opened.into()),
            ("deny_write", others.collect::<Vec<_>>().into()),
            ("protect", marks.collect::<Vec<_>>().into()),
        ];
        (
            found::source("git", "git", &[("filesystem", keys)]),
            refused,
        )
    }
}

/// What acts outside in every git directory, by its pattern there.
const KEPT: &[(&str, &str, &str)] = &[
    ("hooks/*", "deny", "git runs them outside"),
    ("config", "report", "keys of it make git run programs"),
];

/// The directory that `core.hooksPath` names, where the session could write it.
fn hooks_path(directory: &Path, workspace: &Path) -> Option<PathBuf> {
    let named = config::value_of(&directory.join("config"), "core.hookspath")?;
    // relative to the working tree (githooks(5))
    straight(&workspace.join(named))
        .ok()
        .filter(|path| path.starts_with(workspace) && path != workspace)
}
