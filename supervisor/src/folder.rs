//! The session's own folder in the user's state, and the overlays kept from session to session.

use crate::exit::Failure;
use crate::protect::record::{self, Record};
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use stockade_enforce::{Level, Plan, Source};

/// What the session may read of its own folder.
pub const OWN: &str = "own";

/// `state/sessions/ID`.
#[derive(Debug, Clone)]
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
    /// `records`: a file for its denials too.
    pub fn prepare(
        &self,
        plan: &Plan,
        texts: &[(&str, String)],
        records: bool,
    ) -> Result<(), Failure> {
        for item in &plan.view {
            if let Source::Overlay { upper, work, .. } = &item.source {
                make(upper)?;
                make(work)?;
            }
        }
        if records {
            make(&self.path.join(OWN))?;
            let path = self.denials();
            std::fs::File::create(&path)
                .map_err(|e| Failure::file("write the session's folder", &path, e))?;
        }
        if plan.level == Level::Landlock {
            let below = |p: &&PathBuf| p.starts_with(&self.path);
            let rules = plan.landlock.iter().flat_map(|l| &l.rules);
            for path in rules.map(|r| &r.path).filter(below) {
                make(path)?;
            }
            let own = self.path.join(OWN);
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

    /// What was denied, as the session reads it.
    pub fn denials(&self) -> PathBuf {
        self.path.join(OWN).join(crate::denials::record::FILE)
    }

    /// What is left is said: it is in the user's state folder, and nothing acts on it. The next run
    /// goes on with what a run that was killed did not remove.
    pub fn remove(&self) -> Result<(), Failure> {
        Record::finished(&self.path);
        crate::remove::tree_with_last(&self.path, OsStr::new(record::DONE))
            .map_err(|e| Failure::file("remove the session's folder", &self.path, e.into()))
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
