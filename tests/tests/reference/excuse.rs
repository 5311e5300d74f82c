//! Which part of a promise excuses what differs: those that the plan declares as held in part, and
//! what the documents say of every session.

use super::judge::{Asked, HELD, Judge, METADATA, NOT_FOLLOWED};
use super::session::Outcome;
use super::tree::State;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use stockade_enforce::{Item, Level, Source};
use stockade_policy::{Rule, Verdict};

/// That take a name away or give it to something else.
const MOVES: &[&str] = &["unlink", "rmdir", "rename", "rename-new", "exchange"];

/// The same names, as the link says them.
fn by_link(paths: &[PathBuf], (link, real): &(PathBuf, PathBuf)) -> Vec<PathBuf> {
    let said = |path: &PathBuf| match path.strip_prefix(real) {
        Ok(below) if below.as_os_str().is_empty() => link.clone(),
        Ok(below) => link.join(below),
        Err(_) => path.clone(),
    };
    paths.iter().map(said).collect()
}

impl Judge {
    /// What stands at the path in the session's view.
    fn item(&self, path: &Path) -> Option<&Item> {
        let at = |a: &Path| self.plan.view.iter().find(|i| i.at == a);
        path.ancestors().find_map(at)
    }

    fn is_item(&self, path: &Path) -> bool {
        self.plan.view.iter().any(|i| i.at == path)
    }

    pub fn excuse_allowed(
        &self,
        name: &str,
        asked: &Asked,
        native: &Outcome,
        outcome: &Outcome,
    ) -> Option<&'static str> {
        if !outcome.effect.is_empty() {
            return None;
        }
        let links = asked.links.iter().map(PathBuf::as_path);
        let mut named = self.named(name, asked).chain(links);
        // in what is held as a whole a name that is not there is refused as well
        let held = match native.errno {
            libc::ENOENT => named.any(|p| p.ancestors().any(|a| self.is_held(a))),
            _ => named.any(|p| self.is_held(p)),
        };
        if held && self.refusals().contains(&outcome.errno) {
            return Some("directory");
        }
        if asked
            .links
            .iter()
            .chain(&asked.paths)
            .any(|p| self.is_made(p))
        {
            return Some("own");
        }
        if asked.paths.len() == 2 && outcome.errno == libc::EXDEV && self.crosses(&asked.paths) {
            return Some("exec");
        }
        match self.plan.level {
            Level::Namespaces => self.excuse_of_mounts(name, asked, native, outcome.errno),
            Level::Landlock => self.excuse_of_landlock(name, asked, outcome.errno),
        }
    }

    fn excuse_of_mounts(
        &self,
        name: &str,
        asked: &Asked,
        native: &Outcome,
        errno: i32,
    ) -> Option<&'static str> {
        // private and not to be written: nothing is shown there
        let empty = |p: &PathBuf| {
            self.key(&self.read(p)) == "private" && self.write(p).verdict != Verdict::Allow
        };
        if asked.paths.iter().any(empty) {
            return self.refusals().contains(&errno).then_some("own");
        }
        // what it leads to elsewhere is shown by the link's name, only read
        let is_shown = |link: &PathBuf| {
            let item = self.plan.view.iter().find(|i| i.at == *link);
            let source = item.map(|i| &i.source);
            matches!(source, Some(Source::Host { path, writable: false }) if path != link)
        };
        if errno == libc::EROFS && asked.links.iter().any(is_shown)
            || self.refusals().contains(&errno) && self.is_held_by_link(name, &asked.paths)
        {
            return Some("link");
        }
        let mount = |p: &PathBuf| self.item(p.parent().unwrap_or(p)).map(|i| &i.at);
        let places: Vec<_> = asked.paths.iter().map(mount).collect();
        let across = places.len() == 2 && places[0] != places[1];
        let held = MOVES.contains(&name) && asked.paths.iter().any(|p| self.is_item(p));
        if errno == libc::EXDEV && across || errno == libc::EBUSY && held {
            return Some("mount");
        }
        let denial = [libc::EROFS, libc::EACCES, libc::EPERM].contains(&errno);
        let mut keys = self.named(name, asked).map(|p| self.key(&self.read(p)));
        let own = keys.any(|k| k == "private" || k == "overlay");
        let of_directory = name == "link" && errno == libc::EPERM;
        (own && (!denial || of_directory || errno == native.errno)).then_some("own")
    }

    fn excuse_of_landlock(&self, name: &str, asked: &Asked, errno: i32) -> Option<&'static str> {
        let lists = ["read", "list"].contains(&name);
        if lists && errno == libc::EACCES && self.hides_below(&asked.paths[0]) {
            return self.declared("inside").then_some("inside");
        }
        if !self.refusals().contains(&errno) {
            return None;
        }
        if self.is_otherwise(name, &asked.paths, true) {
            return Some("link");
        }
        if asked.paths.iter().any(|p| self.is_held_as_link(p)) {
            return Some("directory");
        }
        let mut keys = self.named(name, asked).map(|p| self.key(&self.read(p)));
        let key = keys.find(|key| ["private", "overlay"].contains(key))?;
        self.declared(key).then_some(key)
    }

    /// The names that the policy is asked about: of an entry its directory too.
    fn named<'a>(&self, name: &str, asked: &'a Asked) -> impl Iterator<Item = &'a Path> {
        let entry = NOT_FOLLOWED.contains(&name) || name == "open-or-create";
        let above = asked
            .paths
            .iter()
            .filter(move |_| entry)
            .filter_map(|p| p.parent());
        asked.paths.iter().map(PathBuf::as_path).chain(above)
    }

    /// Whether a directory below, at any depth, can't be read: then Landlock gives the right to list
    /// for none above it.
    fn hides_below(&self, path: &Path) -> bool {
        let below = self
            .base
            .iter()
            .map(|(n, state)| (Path::new(n), state))
            .filter(|(n, _)| *n != path && n.starts_with(path));
        let mut folders = below.filter(|(_, state)| state.is_directory());
        folders.any(|(n, _)| {
            let read = self.read(n);
            let shown = read.verdict == Verdict::Allow && self.key(&read) != "private";
            !shown || self.is_held(n)
        })
    }

    /// Where the policy says what is executed, Landlock moves nothing to a directory that has more
    /// of that right: EXDEV, as between two file systems.
    fn crosses(&self, paths: &[PathBuf]) -> bool {
        self.declared("loader") && paths[0].parent() != paths[1].parent()
    }

    /// Whether a rule that names a link, outside of a workspace, says otherwise of what it leads to.
    fn is_otherwise(&self, name: &str, paths: &[PathBuf], denied: bool) -> bool {
        let links = self.base.iter().filter(|(_, state)| state.is_link());
        let links = links.filter_map(|(link, _)| {
            let link = PathBuf::from(link);
            let real = link.canonicalize().ok()?;
            (!self.policy.context.in_workspace(&link)).then_some((link, real))
        });
        let links: Vec<_> = links.collect();
        // by two links at most
        let mut ways = vec![paths.to_vec()];
        for _ in 0..2 {
            let through = |way: &Vec<PathBuf>| links.iter().map(|l| by_link(way, l)).collect();
            let more: Vec<Vec<Vec<PathBuf>>> = ways.iter().map(through).collect();
            ways.extend(more.into_iter().flatten());
        }
        let mut others = ways.into_iter().filter(|way| way != paths);
        others.any(|way| (self.decide(name, &way).verdict != Verdict::Allow) == denied)
    }

    /// Whether a denial names it by way of a link within the workspaces: it is held where that leads.
    fn is_held_by_link(&self, name: &str, paths: &[PathBuf]) -> bool {
        let inside = |p: &Path| self.policy.context.in_workspace(p);
        let links = self.base.iter().filter(|(_, state)| state.is_link());
        let mut links = links.filter_map(|(link, _)| {
            let link = PathBuf::from(link);
            let real = link.canonicalize().ok()?;
            (inside(&link) && inside(&real)).then_some((link, real))
        });
        links.any(|link| {
            let decision = self.decide(name, &by_link(paths, &link));
            decision.verdict != Verdict::Allow && HELD.contains(&self.key(&decision))
        })
    }

    /// Whether a link that is held as a whole leads there: Landlock holds what it leads to.
    fn is_held_as_link(&self, path: &Path) -> bool {
        let links = self.base.iter().filter(|(_, state)| state.is_link());
        let mut held = links.map(|(n, _)| Path::new(n)).filter(|l| self.is_held(l));
        held.any(|link| link.canonicalize().is_ok_and(|real| path.starts_with(real)))
    }

    /// Landlock's rules lie with a file, whichever of its names is used.
    fn has_other_name(&self, name: &str, asked: &Asked) -> bool {
        let [path] = asked.paths.as_slice() else {
            return false;
        };
        let Some(state) = self.base.get(path.as_os_str()) else {
            return false;
        };
        let rules = self.plan.landlock.iter().flat_map(|l| &l.rules);
        let named: BTreeSet<&Path> = rules.map(|r| r.path.as_path()).collect();
        let others = self.base.iter().filter(|(_, other)| other.is_same(state));
        let mut others = others.map(|(n, _)| PathBuf::from(n));
        others.any(|n| {
            let one = [n];
            named.contains(one[0].as_path())
                && (self.decide(name, &one).verdict == Verdict::Allow
                    || self.is_otherwise(name, &one, false))
        })
    }

    /// Of which everything is denied, though not itself: it is held as a whole, whatever it is.
    fn is_held(&self, path: &Path) -> bool {
        let any = path.join("\u{1}any");
        let holds = |r: &&Rule| {
            r.key.table == "filesystem"
                && HELD.contains(&r.key.name)
                && !r.report
                && r.globs.iter().any(|g| g.covers(&any) && !g.covers(path))
        };
        self.policy.rules().iter().any(|r| holds(&r))
    }

    pub fn excuse_denied(
        &self,
        name: &str,
        asked: &Asked,
        native: &Outcome,
        outcome: &Outcome,
    ) -> Option<&'static str> {
        let as_native = outcome == native;
        let landlock = self.plan.level == Level::Landlock;
        if landlock && as_native && METADATA.contains(&name) && self.declared("metadata") {
            return Some("metadata");
        }
        let decision = asked.decision.as_ref()?;
        let taken_back = HELD.contains(&self.key(decision));
        let not_held = |p: &PathBuf| self.base.get(p.as_os_str()).is_none_or(State::is_link);
        let absent = asked.paths.iter().any(not_held);
        if as_native && absent && taken_back && self.declared("absent") {
            return Some("absent");
        }
        if as_native && self.is_otherwise(name, &asked.paths, false) {
            return Some("link");
        }
        if as_native && self.has_other_name(name, asked) {
            return Some("names");
        }
        if !landlock && outcome.effect.is_empty() && self.is_own(name, asked, outcome) {
            return Some("own");
        }
        let inside = || asked.paths.iter().any(|p| self.lies_in_writable(p));
        // the host's file in a directory of the session's own is only read
        let taken_back = taken_back || self.key(decision) == "read";
        if landlock && as_native && taken_back && self.declared("inside") && inside() {
            return Some("inside");
        }
        None
    }

    /// Whether a directory above may be written.
    fn lies_in_writable(&self, path: &Path) -> bool {
        let host = |a: &Path| {
            let write = self.write(a);
            write.verdict == Verdict::Allow && self.key(&write) == "write"
        };
        path.ancestors().skip(1).any(host)
    }

    /// Not the host's: on the way to what is shown, private, or what the session wrote over the host's.
    pub fn is_own_place(&self, path: &Path) -> bool {
        let item = self.item(path);
        match item.map(|i| (&i.source, &i.at)) {
            None => true,
            Some((Source::Private { .. } | Source::Symlink { .. } | Source::Overlay { .. }, _)) => {
                true
            }
            // nothing to cover where nothing of the host's is shown
            Some((Source::Masked { .. }, at)) => {
                let above = at.parent().and_then(|above| self.item(above));
                matches!(
                    above.map(|i| &i.source),
                    None | Some(Source::Private { .. })
                )
            }
            Some(_) => false,
        }
    }

    fn is_made(&self, path: &Path) -> bool {
        let made = self.made.borrow();
        path.ancestors().any(|a| made.contains(a))
    }

    /// Where the session has directories of its own: on the way to what is shown, and in private
    /// ones. Nothing of the host's may be reached there.
    fn is_own(&self, name: &str, asked: &Asked, outcome: &Outcome) -> bool {
        let own = |path: &Path| self.is_own_place(path);
        let made = asked
            .paths
            .iter()
            .chain(&asked.links)
            .any(|p| self.is_made(p));
        // by a link that the session made where it may: what that leads to is judged by its own name
        let relinked = asked.links.iter().any(|p| self.is_made(p));
        // where the session moved a directory of its own another stands now: of the host nothing changed
        let shows = ["read", "list", "exec"].contains(&name) && outcome.errno == 0;
        if relinked || made && !shows {
            return true;
        }
        // a name in such a directory may be a tree of the host's, which stays where it is
        let entries = asked.paths.iter().filter_map(|p| p.parent()).all(own);
        if MOVES.contains(&name) && entries && outcome.errno != 0 {
            return true;
        }
        let all = self.named(name, asked).all(own);
        let opens = ["read", "exec"].contains(&name) && outcome.errno == 0;
        let path = &asked.paths[0];
        let directory = self
            .base
            .get(path.as_os_str())
            .is_some_and(State::is_directory);
        let known = directory || self.is_made(path);
        all && (!opens || known)
    }
}
