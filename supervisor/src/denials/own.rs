//! What a session has of its own, where the policy speaks of the host's names.

use std::path::{Path, PathBuf};
use stockade_enforce::{Level, Plan, Source};

/// Places, and whether what stands there is the session's; the nearest above a name decides.
pub struct Own(Vec<(PathBuf, bool)>);

impl Own {
    pub fn of(plan: &Plan, folder: &Path) -> Self {
        if plan.level == Level::Landlock {
            let texts = folder.join(crate::folder::OWN);
            return Self(vec![(folder.into(), true), (texts, false)]);
        }
        let is = |source: &Source| match source {
            Source::Private { .. }
            | Source::Copy { .. }
            | Source::Device { .. }
            | Source::Proc
            | Source::DevPts => true,
            // read-only, as the host's are
            Source::Host { .. }
            | Source::Overlay { .. }
            | Source::Content { .. }
            | Source::Symlink { .. }
            | Source::Masked { .. }
            | Source::Sys => false,
        };
        let items = plan.view.iter();
        Self(items.map(|i| (i.at.clone(), is(&i.source))).collect())
    }

    pub fn is_place(&self, path: &Path) -> bool {
        self.0.iter().any(|(at, _)| at == path)
    }

    pub fn has(&self, path: &Path) -> bool {
        let above = self.0.iter().filter(|(at, _)| path.starts_with(at));
        let nearest = above.max_by_key(|(at, _)| at.components().count());
        nearest.is_some_and(|(_, own)| *own)
    }
}
