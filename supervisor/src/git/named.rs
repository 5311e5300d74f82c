//! What git's configurations name besides themselves: directories of hooks, further configurations.

use super::{Found, config, line, plain, repository};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use stockade_enforce::doubt;

/// As git itself bounds includes (config.c, MAX_INCLUDE_DEPTH).
const DEPTH: usize = 10;
const FILES: usize = 100;
/// Linked worktrees and submodules looked at in one git directory.
const PARTS: usize = 1_000;

/// A working tree, and the configurations of its repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub tree: PathBuf,
    pub files: Vec<PathBuf>,
}

/// The git directory's own working tree, those of its linked worktrees, and its submodules'.
pub fn parts(directory: &Path, tree: &Path) -> Vec<Part> {
    let part = |tree: PathBuf, own: &Path| Part {
        tree,
        files: vec![directory.join("config"), own.join("config.worktree")],
    };
    let mut out = vec![part(tree.to_owned(), directory)];
    for own in folders(&directory.join("worktrees")) {
        let link = line(&own.join("gitdir")).map(|link| plain(&own.join(link)));
        out.extend(link.and_then(|link| Some(part(link.parent()?.to_owned(), &own))));
    }
    let mut open = folders(&directory.join("modules"));
    for _ in 0..PARTS {
        let Some(module) = open.pop() else { break };
        let file = module.join("config");
        if !doubt::answer(&file, file.metadata()).is_some_and(|m| m.is_file()) {
            // a submodule's name may hold slashes
            open.extend(folders(&module));
            continue;
        }
        if let Some(tree) = config::value_of(&file, "core.worktree") {
            out.extend(parts(&module, &plain(&module.join(tree))));
        }
    }
    out
}

fn folders(directory: &Path) -> Vec<PathBuf> {
    let entries = doubt::answer(directory, std::fs::read_dir(directory));
    let entries = entries.into_iter().flatten();
    let entries = entries.filter_map(|e| doubt::answer(directory, e));
    let folders =
        entries.filter(|e| doubt::answer(directory, e.file_type()).is_some_and(|t| t.is_dir()));
    folders.map(|e| e.path()).take(PARTS).collect()
}

/// The configurations of every repository of the user's: what git reads before a repository's own.
pub fn of_the_user(home: &Path) -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let system = variable("GIT_CONFIG_SYSTEM").unwrap_or_else(|| "/etc/gitconfig".into());
    let config = variable("XDG_CONFIG_HOME").filter(|p| p.is_absolute());
    let config = config.unwrap_or_else(|| home.join(".config"));
    let user = match variable("GIT_CONFIG_GLOBAL") {
        Some(named) => vec![named],
        None => vec![config.join("git/config"), home.join(".gitconfig")],
    };
    std::iter::once(system).chain(user).collect()
}

#[derive(Debug, Default)]
pub struct Named {
    /// Values of `core.hooksPath`, and the hooks below `init.templateDir`: all, since a session can take away the one that counts.
    pub hooks: BTreeSet<String>,
    /// Configurations that git reads if they are there, by each of their names.
    pub files: BTreeSet<PathBuf>,
    /// Not looked into: a link on the way that the session could turn.
    pub linked: BTreeSet<PathBuf>,
}

impl Named {
    /// What the files name, and what those name that they include. Where the session writes no
    /// link is followed.
    pub fn read(&mut self, files: &[PathBuf], home: &Path, written: &[PathBuf]) {
        let mut open: Vec<(PathBuf, usize)> = files.iter().map(|f| (plain(f), 0)).collect();
        while let Some((file, depth)) = open.pop() {
            if depth > DEPTH || self.files.len() > FILES || !self.files.insert(file.clone()) {
                continue;
            }
            let Some(real) = doubt::answer(&file, file.canonicalize()) else {
                continue;
            };
            let inside = |p: &Path| written.iter().any(|w| p.starts_with(w));
            let turned = real != file && (inside(&file) || inside(&real));
            // git reads it there too
            self.files.insert(real.clone());
            if turned {
                self.linked.insert(file);
                continue;
            }
            for (key, value) in config::all(&real) {
                let include = key == "include.path"
                    || key.starts_with("includeif.") && key.ends_with(".path");
                if key == "core.hookspath" && !value.is_empty() {
                    self.hooks.insert(value);
                } else if key == "init.templatedir" && !value.is_empty() {
                    // copied into each repository that is made
                    self.hooks.insert(value + "/hooks");
                } else if include && let Some(above) = file.parent() {
                    open.push((expanded(&value, home, above), depth + 1));
                }
            }
        }
    }
}

/// A path as git takes it from a configuration (git-config(1), "pathname").
pub fn expanded(value: &str, home: &Path, relative_to: &Path) -> PathBuf {
    let user = value.strip_prefix('~').map(|rest| {
        let (name, below) = rest.split_once('/').unwrap_or((rest, ""));
        let other = || nix::unistd::User::from_name(name).ok().flatten();
        let home = match name {
            "" => Some(home.to_owned()),
            _ => other().map(|u| u.dir),
        };
        (home, below)
    });
    plain(&match user {
        Some((Some(home), below)) => home.join(below),
        Some((None, _)) | None => relative_to.join(value),
    })
}

/// Whether git reads the file as a configuration: one of a git directory, or one that is included.
pub fn reads(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    let of_git = |d: &Path| d.join("HEAD").exists() && d.join("objects").is_dir();
    if matches!(name, "config" | "config.worktree") && path.ancestors().any(of_git) {
        return true;
    }
    let Ok(home) = crate::layers::home() else {
        return false;
    };
    let mut named = Named::default();
    // by now a session may have turned any link
    let written = [PathBuf::from("/")];
    named.read(&of_the_user(&home), &home, &written);
    for above in path.ancestors().skip(1) {
        for part in repository(above)
            .ok()
            .flatten()
            .iter()
            .flat_map(|found| parts_of(found, above))
        {
            named.read(&part.files, &home, &written);
        }
    }
    named.files.contains(path)
}

/// The same of what was found at a workspace.
pub fn parts_of(found: &Found, workspace: &Path) -> Vec<Part> {
    match found {
        Found::Worktree { own: _, common } => parts(common, common.parent().unwrap_or(common)),
        Found::Submodule(directory) => parts(directory, workspace),
        Found::Separate { directory, tree } => parts(directory, tree),
        Found::Plain(directory) if directory.ends_with(".git") => {
            parts(directory, directory.parent().unwrap_or(directory))
        }
        // a bare one's hooks run where it is
        Found::Plain(directory) => parts(directory, directory),
    }
}
