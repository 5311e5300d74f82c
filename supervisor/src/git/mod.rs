//! Where a workspace's repository is, found as git finds it, and believed only as far as it
//! points back: what a `.git` file names was written by whoever wrote the workspace.

pub mod config;
mod layer;
mod named;

pub use layer::layer;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use stockade_enforce::doubt;

/// Nested repositories are looked for this deep.
const DEPTH: usize = 3;
/// Directories looked at for them; where there are more, deeper ones are not held.
const LOOK_AT: usize = 5_000;
/// Never a place where people keep repositories, and large.
const SKIPPED: &[&str] = &[
    ".git",
    "node_modules",
    "target",
    ".venv",
    "venv",
    "__pycache__",
];

/// A git directory outside of the workspace or below it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    /// `git worktree add`: its own part, and the common directory.
    Worktree { own: PathBuf, common: PathBuf },
    /// A submodule's, within the superproject's.
    Submodule(PathBuf),
    /// A directory of its own.
    Plain(PathBuf),
    /// `git init --separate-git-dir`, below a workspace.
    Separate { directory: PathBuf, tree: PathBuf },
}

/// The repository of one workspace; an error says why a `.git` file is not believed.
fn repository(workspace: &Path) -> Result<Option<Found>, String> {
    let link = workspace.join(".git");
    let Some(kind) = doubt::answer(&link, link.symlink_metadata()) else {
        return Ok(None);
    };
    if kind.is_dir() {
        return Ok(Some(Found::Plain(link)));
    }
    let not_believed = |why: String| format!("{}: {why}: not opened", link.display());
    if !kind.is_file() {
        return Err(not_believed("neither a directory nor a file".into()));
    }
    let Some(target) = line(&link).and_then(|l| l.strip_prefix("gitdir:").map(str::to_owned))
    else {
        return Err(not_believed("it names no git directory".into()));
    };
    let own = workspace.join(target.trim());
    believed(workspace, &own)
        .map(Some)
        .map_err(|why| not_believed(format!("names {}, {why}", own.display())))
}

fn believed(workspace: &Path, own: &Path) -> Result<Found, String> {
    let own = straight(own)?;
    let user = nix::unistd::getuid().as_raw();
    let owned = |path: &Path| doubt::answer(path, path.metadata()).is_some_and(|m| m.uid() == user);
    if !owned(&own) || !owned(workspace) {
        return Err("which belongs to somebody else".into());
    }
    let Some(common) = line(&own.join("commondir")) else {
        let back = config::value_of(&own.join("config"), "core.worktree");
        let back = back.and_then(|back| real(&own.join(back)));
        return if back.as_deref() == Some(workspace) {
            Ok(Found::Submodule(own))
        } else {
            Err("which does not point back".into())
        };
    };
    let common = straight(&own.join(common))?;
    let back = line(&own.join("gitdir")).and_then(|back| real(&own.join(back)));
    let in_common = own.parent() == Some(&common.join("worktrees"));
    if !in_common || back != Some(workspace.join(".git")) {
        return Err("which does not point back".into());
    }
    if !owned(&common) {
        return Err("whose repository belongs to somebody else".into());
    }
    Ok(Found::Worktree { own, common })
}

fn real(path: &Path) -> Option<PathBuf> {
    doubt::answer(path, path.canonicalize())
}

/// The path without `.` and `..`, when no part of it is a link.
pub fn straight(path: &Path) -> Result<PathBuf, String> {
    let plain = plain(path);
    match plain.canonicalize() {
        Ok(real) if real == plain => Ok(plain),
        Ok(_) => Err("which is reached through a link".into()),
        Err(error) => {
            let why = format!("which can't be read ({error})");
            doubt::note(&plain, error);
            Err(why)
        }
    }
}

/// The path without `.` and `..`, as its text says.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(plain.pop()),
            std::path::Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// The first line of a small file, not through a link.
pub fn line(path: &Path) -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    let file = doubt::answer(path, crate::protect::open(path))?;
    doubt::answer(path, file.take(4096).read_to_string(&mut text))?;
    text.lines().next().map(|l| l.trim_end().to_owned())
}

fn nested(workspace: &Path) -> Vec<Found> {
    let (all, _) = repositories(workspace);
    let found = |git: PathBuf| match doubt::answer(&git, git.symlink_metadata()) {
        Some(kind) if kind.is_dir() => Some(Found::Plain(git)),
        Some(_) | None => separate(&git, workspace),
    };
    let own = separate(&workspace.join(".git"), workspace);
    own.into_iter()
        .chain(all.into_iter().filter_map(found))
        .collect()
}

/// The directory below the workspace that a `.git` file names. It need not point back: nothing is
/// opened by it.
fn separate(git: &Path, workspace: &Path) -> Option<Found> {
    let tree = git.parent()?;
    let named = line(git)?;
    let directory = straight(&tree.join(named.strip_prefix("gitdir:")?.trim())).ok()?;
    // what lies in a `.git` is a part of it
    let alone = !directory.iter().any(|part| part == ".git");
    (alone && directory.starts_with(workspace) && directory != workspace).then(|| Found::Separate {
        directory,
        tree: tree.into(),
    })
}

/// Whether git takes the directory itself for a repository, a bare one or one that `.git` of a workspace
/// would be (setup.c, is_git_directory; safe.bareRepository allows it unless it is set).
fn is_bare(folder: &Path) -> bool {
    let there = |name: &str| folder.join(name).symlink_metadata().is_ok();
    there("HEAD") && (there("commondir") || there("objects") && there("refs"))
}

/// Each `.git` below the workspace, whatever it is, and each directory that is a repository itself; and
/// whether everything was looked at.
pub fn repositories(workspace: &Path) -> (Vec<PathBuf>, bool) {
    let (mut out, mut looked, mut all) = (Vec::new(), 0, true);
    let mut open = vec![(workspace.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        looked += 1;
        if looked > LOOK_AT {
            all = false;
            break;
        }
        let git = folder.join(".git");
        if depth > 0 && doubt::answer(&git, git.symlink_metadata()).is_some() {
            out.push(git);
        }
        let bare = is_bare(&folder);
        if bare {
            out.push(folder.clone());
        }
        // below it git keeps objects; below a workspace that looks like one there is the rest
        if depth == DEPTH || bare && depth > 0 {
            continue;
        }
        let entries = doubt::answer(&folder, std::fs::read_dir(&folder));
        all &= entries.is_some();
        let entries = entries.into_iter().flatten();
        for entry in entries.filter_map(|e| doubt::answer(&folder, e)) {
            let skipped = SKIPPED.iter().any(|s| entry.file_name() == *s);
            let kind = doubt::answer(&folder, entry.file_type());
            if !skipped && kind.is_some_and(|t| t.is_dir()) {
                open.push((entry.path(), depth + 1));
            }
        }
    }
    out.sort();
    (out, all)
}
