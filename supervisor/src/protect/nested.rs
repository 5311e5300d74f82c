//! Repositories that came to be below a workspace: what git would run in them.

use super::compare::Comparison;
use super::record::Mark;
use crate::exit::Failure;
use crate::git;
use std::path::{Path, PathBuf};

/// Below a `.git`: name, whether it is only reported, why.
const NAMES: &[(&str, bool, &str)] = &[
    ("hooks/*", false, "git runs them outside"),
    ("commondir", false, "it leads git to another directory"),
    (
        "worktrees/*/commondir",
        false,
        "it leads git to another directory",
    ),
    ("modules/**/hooks/*", false, "git runs them outside"),
    (
        "modules/**/commondir",
        false,
        "it leads git to another directory",
    ),
    ("config", true, "keys of it make git run programs"),
    ("config.worktree", true, "keys of it make git run programs"),
    (
        "modules/**/config",
        true,
        "keys of it make git run programs",
    ),
];

/// After everything that was known at the start.
pub fn compare(comparison: &mut Comparison<'_>) -> Result<(), Failure> {
    let record = comparison.record;
    for workspace in record.workspaces() {
        let (now, all) = git::repositories(workspace);
        if !all && record.all_looked_at {
            comparison.note(format!(
                "not every directory below {} could be looked at for repositories: git may run something in one that is new",
                workspace.display()
            ));
        }
        let directory = |p: &Path| p.symlink_metadata().is_ok_and(|m| m.is_dir());
        let mut repositories = vec![workspace.join(".git")];
        repositories.extend(now.iter().filter(|git| directory(git)).cloned());
        for git in now {
            if directory(&git) {
                if !record.is_known(&git) {
                    repository(comparison, &git)?;
                }
            } else if !is_part(&git, &repositories) {
                comparison.way(&git, &mark(&git, "", false, "git runs what it leads to"));
            }
        }
    }
    Ok(())
}

fn repository(comparison: &mut Comparison<'_>, git: &Path) -> Result<(), Failure> {
    // such a name can't be said as a pattern
    if git.to_str().is_none_or(|text| text.contains(['*', '$'])) {
        let mark = mark(git, "", false, "git runs programs that it names");
        comparison.take(git, "appeared", &mark);
        return Ok(());
    }
    for (name, report, because) in NAMES {
        comparison.mark(&mark(git, name, *report, because))?;
    }
    Ok(())
}

fn mark(git: &Path, name: &str, report: bool, because: &str) -> Mark {
    let glob = git.join(name).to_string_lossy().into_owned();
    Mark {
        rule: format!("git:filesystem.protect:{glob:?}"),
        glob,
        because: because.into(),
        report,
        except: Vec::new(),
    }
}

/// The `.git` file of a submodule or worktree of a repository that is looked at itself.
fn is_part(file: &Path, repositories: &[PathBuf]) -> bool {
    let named = git::line(file).and_then(|l| l.strip_prefix("gitdir:").map(str::to_owned));
    let (Some(named), Some(folder)) = (named, file.parent()) else {
        return false;
    };
    git::straight(&folder.join(named.trim())).is_ok_and(|real| {
        repositories.iter().any(|git| {
            real.starts_with(git.join("modules")) || real.starts_with(git.join("worktrees"))
        })
    })
}
