//! What the workspaces' repositories need, and what of them acts outside, as a layer.

use super::named::{self, Named, Part};
use super::{Found, nested, repository};
use crate::found;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use stockade_policy::Source;

/// The layer, and what is not believed or can't be said.
pub fn layer(workspaces: &[PathBuf], home: &Path) -> (Option<Source>, Vec<String>) {
    let mut said = Said::default();
    let mut parts = Vec::new();
    for workspace in workspaces {
        let found = repository(workspace).unwrap_or_else(|why| {
            said.refused.push(why);
            None
        });
        for found in found.into_iter().chain(nested(workspace)) {
            parts.extend(named::parts_of(&found, workspace));
            said.add(found);
        }
        // what the user's own configuration names counts for a repository that comes, too
        parts.push(Part {
            tree: workspace.clone(),
            files: Vec::new(),
        });
    }
    let written = [workspaces, &said.write].concat();
    let mut of_the_user = Named::default();
    of_the_user.read(&named::of_the_user(home), home, &written);
    for Part { tree, files } in parts {
        let mut named = Named::default();
        named.read(&files, home, &written);
        named.hooks.extend(of_the_user.hooks.iter().cloned());
        for value in &named.hooks {
            said.hooks(&named::expanded(value, home, &tree), &tree, &written);
        }
        said.included(&named, &written);
    }
    said.included(&of_the_user, &written);
    said.layer()
}

/// A pattern, the mode, and why.
type Mark = (String, &'static str, &'static str);

#[derive(Debug, Default)]
struct Said {
    write: Vec<PathBuf>,
    /// Not the rest of these common directories' worktrees.
    commons: Vec<PathBuf>,
    protect: BTreeSet<Mark>,
    refused: Vec<String>,
}

impl Said {
    fn add(&mut self, found: Found) {
        let directory = match found {
            // as a plain clone's: git makes lock files in the common directory itself
            Found::Worktree { own, common } => {
                self.keep(&own, KEPT_OF_OWN);
                self.write.extend([common.clone(), own]);
                self.commons.push(common.clone());
                common
            }
            Found::Submodule(directory) => {
                self.write.push(directory.clone());
                directory
            }
            Found::Plain(directory) | Found::Separate { directory, tree: _ } => directory,
        };
        self.keep(&directory, KEPT);
    }

    fn keep(&mut self, directory: &Path, kept: &'static [(&str, &str, &str)]) {
        for (below, mode, because) in kept {
            let pattern = found::covering(directory) + below;
            self.protect.insert((pattern, mode, because));
        }
    }

    /// The directory that `core.hooksPath` names, there or not, where the session could write it.
    fn hooks(&mut self, path: &Path, tree: &Path, written: &[PathBuf]) {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        for path in BTreeSet::from([path, real.as_path()]) {
            if !written.iter().any(|w| path.starts_with(w)) {
                continue;
            }
            if tree.starts_with(path) {
                self.refuse(format!(
                    "{}: git's configuration names it for hooks, the working tree itself or above: what a session makes there git runs",
                    path.display()
                ));
                continue;
            }
            let because = "git's configuration named it for hooks: git runs them outside";
            let pattern = found::covering(path) + "/*";
            self.protect.insert((pattern, "deny", because));
        }
    }

    /// Configurations, there or not, that git reads from where the session writes.
    fn included(&mut self, named: &Named, written: &[PathBuf]) {
        let inside = |p: &&PathBuf| written.iter().any(|w| p.starts_with(w));
        for file in named.files.iter().filter(inside) {
            self.protect.insert((found::covering(file), "report", KEYS));
        }
        for file in &named.linked {
            self.refuse(format!(
                "{}: git reads it through a link: what it includes is not looked at",
                file.display()
            ));
        }
    }

    fn refuse(&mut self, why: String) {
        if !self.refused.contains(&why) {
            self.refused.push(why);
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
            .map(|(pattern, mode, because)| found::mark(pattern, mode, because));
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

const KEYS: &str = "keys of it make git run programs";

const LEADS: &str = "it leads git to another directory";

/// What acts outside in every git directory, by its pattern there.
const KEPT: &[(&str, &str, &str)] = &[
    ("/hooks/*", "deny", "git runs them outside"),
    (
        "/modules/**/hooks/*",
        "deny",
        "git runs them outside, in submodules",
    ),
    ("/commondir", "deny", LEADS),
    ("/gitdir", "deny", LEADS),
    ("/modules/**/commondir", "deny", LEADS),
    // git itself writes it for a new worktree
    ("/worktrees/*/commondir", "report", LEADS),
    ("/config", "report", KEYS),
    ("/config.worktree", "report", KEYS),
    ("/worktrees/*/config.worktree", "report", KEYS),
    ("/modules/**/config", "report", KEYS),
    ("/modules/**/config.worktree", "report", KEYS),
    ("/info/attributes", "report", ATTRIBUTES),
    ("/modules/**/info/attributes", "report", ATTRIBUTES),
];

const ATTRIBUTES: &str = "it names filters and drivers that git runs";

/// The same in a linked worktree's own part of the common directory.
const KEPT_OF_OWN: &[(&str, &str, &str)] =
    &[("/commondir", "deny", LEADS), ("/gitdir", "deny", LEADS)];
