//! The session's own folder in the user's state, and the overlays kept from session to session.

use crate::exit::Failure;
use nix::errno::Errno;
use sha2::{Digest, Sha256};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use stockade_enforce::{Level, Plan, Source};

/// `state/sessions/ID`.
#[derive(Debug)]
pub struct Folder {
    pub id: String,
    pub path: PathBuf,
}

impl Folder {
    /// A name that no other session of the user has; nothing is made yet.
    pub fn new(state: &Path) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let id = format!(
            "{:08x}{:05x}{:x}",
            now.as_secs(),
            now.subsec_micros(),
            std::process::id()
        );
        let path = state.join("sessions").join(&id);
        Self { id, path }
    }

    /// What the plan needs on disk: overlays always, the folders of the session where no private
    /// mounts stand for them, with what the session may read about itself.
    pub fn prepare(&self, plan: &Plan, texts: &[(&str, String)]) -> Result<(), Failure> {
        for item in &plan.view {
            if let Source::Overlay { upper, work, .. } = &item.source {
                make(upper)?;
                make(work)?;
            }
        }
        if plan.level == Level::Landlock {
            let below = |p: &&PathBuf| p.starts_with(&self.path);
            let rules = plan.landlock.iter().flat_map(|l| &l.rules);
            for path in rules.map(|r| &r.path).filter(below) {
                make(path)?;
            }
            let own = self.path.join("own");
            make(&own)?;
            let bin = own.join("bin");
            make(&bin)?;
            let (program, link) = (std::env::current_exe(), bin.join("stockade"));
            program
                .and_then(|program| std::os::unix::fs::symlink(program, &link))
                .map_err(|e| Failure::file("link stockade itself at", &link, e))?;
            for (name, text) in texts {
                let path = own.join(name);
                std::fs::write(&path, text)
                    .map_err(|e| Failure::file("write the session's folder", &path, e))?;
            }
        }
        Ok(())
    }

    /// What is left is said: it is in the user's state folder, and nothing acts on it.
    pub fn remove(&self) -> Result<(), Failure> {
        // under another name first: what is left of it is no session's, and the next run takes it
        let gone = self.path.with_file_name(format!("{GONE}{}", self.id));
        let path = match std::fs::rename(&self.path, &gone) {
            Ok(()) => &gone,
            Err(_) => &self.path,
        };
        match crate::remove::tree(path) {
            // by another run at the same time
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(e) => Err(Failure::file("remove the session's folder", path, e.into())),
        }
    }
}

const GONE: &str = ".gone-";

/// Folders of sessions that are finished, which could not be removed then.
pub fn sweep(state: &Path) {
    let entries = std::fs::read_dir(state.join("sessions"));
    for entry in entries.into_iter().flatten().flatten() {
        let gone = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(GONE.as_bytes());
        if gone {
            // tried again by each run
            crate::remove::tree(&entry.path()).unwrap_or(());
        }
    }
}

fn make(path: &Path) -> Result<(), Failure> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| Failure::file("make the session's folder", path, e))
}

/// Upper and work directory of one overlaid path, one pair per workspace.
pub fn overlay(state: &Path, workspace: &Path, path: &Path) -> (PathBuf, PathBuf) {
    let key: Vec<u8> = [workspace, path]
        .iter()
        .flat_map(|p| [p.as_os_str().as_encoded_bytes(), b"\0"].concat())
        .collect();
    let name: String = Sha256::digest(key)
        .iter()
        .take(12)
        .map(|b| format!("{b:02x}"))
        .collect();
    let folder = state.join("overlays").join(name);
    (folder.join("upper"), folder.join("work"))
}
