//! Files that an agent replaces by rename in its private home, copied back to the user's.

use super::data::Mark;
use super::exchange::{Replaced, beside, content, hash, real, replace, write_whole};
use super::risky::{Held, outgoing};
use crate::finding::Finding;
use crate::output::escaped;
use crate::session::Watch;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::PollFlags;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::stat::Mode;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A session can't fill the user's screen with keys either.
const MAX_KEYS: usize = 20;
const MAX_SHOWN: usize = 200;

/// One file: where it is in the session and on the host, and what each last had.
#[derive(Debug)]
struct Kept {
    /// Below the private home.
    name: PathBuf,
    /// The host's directory and name, links resolved before the session began.
    directory: OwnedFd,
    file: PathBuf,
    shown: PathBuf,
    inside: Option<[u8; 32]>,
    /// Differs from `inside` where a risky key was held back.
    host: Option<[u8; 32]>,
    /// Keys that have been said.
    said: BTreeSet<String>,
    /// Both sides have changed: nothing is overwritten any more.
    apart: bool,
}

#[derive(Debug)]
pub struct CopyBack {
    private: OwnedFd,
    inotify: Inotify,
    files: Vec<Kept>,
    risky: Vec<Mark>,
    session: String,
    findings: Vec<Finding>,
}

impl Kept {
    fn new(home: &Path, path: &Path) -> Result<Option<Self>, Errno> {
        let Ok(name) = path.strip_prefix(home) else {
            return Ok(None);
        };
        // a file that the user keeps elsewhere and links to is written where it is
        let real = real(path);
        let (Some(parent), Some(file)) = (real.parent(), real.file_name()) else {
            return Ok(None);
        };
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let directory = open(parent, flags, Mode::empty())?;
        let host = content(directory.as_fd(), Path::new(file))?.map(|c| hash(&c));
        Ok(Some(Self {
            name: name.into(),
            directory,
            file: file.into(),
            shown: path.into(),
            inside: host,
            host,
            said: BTreeSet::new(),
            apart: false,
        }))
    }

    fn copy_back(
        &mut self,
        private: BorrowedFd<'_>,
        risky: &[Mark],
        session: &str,
    ) -> Result<Vec<Finding>, Errno> {
        let Some(inside) = content(private, &self.name)? else {
            return Ok(Vec::new()); // what was removed inside is not removed outside
        };
        let fresh = Some(hash(&inside));
        if self.inside == fresh {
            return Ok(Vec::new());
        }
        let directory = self.directory.as_fd();
        let text = content(directory, &self.file)?;
        let host = text.as_deref().map(hash);
        if host == fresh {
            (self.inside, self.host) = (fresh, fresh);
            return Ok(Vec::new());
        }
        let outgoing = outgoing(&inside, text.as_deref(), risky);
        let beside = beside(&self.file, session);
        let mut why_beside = if outgoing.is_none() {
            Some("the session's is no JSON object that could be judged and")
        } else if self.apart || host != self.host {
            Some(CHANGED)
        } else {
            None
        };
        let (bytes, held) = outgoing.map_or((inside, Vec::new()), |o| (o.bytes, o.held));
        let mut findings = Vec::new();
        if why_beside.is_none() {
            write_whole(directory, &beside, &bytes, session)?;
            match replace(directory, &self.file, &beside, host, hash(&bytes))? {
                Replaced::Yes => self.host = Some(hash(&bytes)),
                Replaced::ChangedMeanwhile => why_beside = Some(CHANGED),
            }
        }
        if let Some(why) = why_beside {
            write_whole(directory, &beside, &bytes, session)?;
            if !std::mem::replace(&mut self.apart, true) {
                let (file, beside) = (self.shown.display(), beside.display());
                let text = format!("{file}: {why} stands beside it as {beside}");
                findings.push(Finding::grave(text));
            }
        }
        self.inside = fresh;
        findings.extend(self.say(held));
        Ok(findings)
    }

    /// Each key once, however often the agent writes it.
    fn say(&mut self, held: Vec<Held>) -> Vec<Finding> {
        let mut out = Vec::new();
        for Held {
            key,
            value,
            because,
        } in held
        {
            if self.said.len() > MAX_KEYS || !self.said.insert(key.clone()) {
                continue;
            }
            let file = self.shown.display();
            if self.said.len() > MAX_KEYS {
                let text = format!("{file}: more such keys were not copied back");
                out.push(Finding::grave(text));
                continue;
            }
            let key = short(&key);
            out.push(match value {
                Some(value) => Finding::grave(format!(
                    "{file}: {key} = {} was not copied back ({because}); set it outside if you want it",
                    short(&value)
                )),
                None => Finding::note(format!(
                    "{file}: {key} was removed inside, and stays outside"
                )),
            });
        }
        out
    }
}

fn short(text: &str) -> String {
    let text = escaped(text);
    match text.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

const CHANGED: &str = "changed outside meanwhile: the session's";

/// What is known before the session begins.
#[derive(Debug)]
pub struct Prepared {
    files: Vec<Kept>,
    risky: Vec<Mark>,
}

impl Prepared {
    pub fn new(home: &Path, files: &[PathBuf], risky: &[Mark]) -> Result<Self, Errno> {
        let kept = files.iter().map(|path| Kept::new(home, path));
        let kept = kept.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            files: kept.into_iter().flatten().collect(),
            risky: risky.to_vec(),
        })
    }

    /// `private` is the session's home as the supervisor sees it.
    pub fn watch(self, private: BorrowedFd<'_>, session: &str) -> Result<CopyBack, Errno> {
        let private = private
            .try_clone_to_owned()
            .map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)))?;
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let path = format!("/proc/self/fd/{}", private.as_raw_fd());
        let events = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CLOSE_WRITE;
        inotify.add_watch(path.as_str(), events)?;
        let mut out = CopyBack {
            private,
            inotify,
            files: self.files,
            risky: self.risky,
            session: session.to_owned(),
            findings: Vec::new(),
        };
        // what was renamed before the watch stood
        out.copy_all();
        Ok(out)
    }
}

impl CopyBack {
    fn copy_all(&mut self) {
        for kept in &mut self.files {
            match kept.copy_back(self.private.as_fd(), &self.risky, &self.session) {
                Ok(findings) => self.findings.extend(findings),
                Err(errno) => {
                    let text = format!("{}: not copied back: {errno}", kept.shown.display());
                    let finding = Finding::grave(text);
                    if !self.findings.contains(&finding) {
                        self.findings.push(finding);
                    }
                }
            }
        }
    }

    /// When nothing of the session runs any more.
    pub fn finish(mut self) -> Vec<Finding> {
        self.copy_all();
        self.findings
    }
}

impl Watch for CopyBack {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    fn flags(&self) -> PollFlags {
        PollFlags::POLLIN
    }

    fn ready(&mut self) {
        // which name it was does not matter: an unchanged file is found by its hash
        while self.inotify.read_events().is_ok_and(|e| !e.is_empty()) {}
        self.copy_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    struct Pair(PathBuf);

    impl Pair {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("stockade-copy-{name}-{}", std::process::id()));
            for side in ["home", "private"] {
                fs::create_dir_all(path.join(side)).unwrap();
            }
            Self(path)
        }

        fn home(&self, name: &str) -> PathBuf {
            self.0.join("home").join(name)
        }

        fn private(&self, name: &str) -> PathBuf {
            self.0.join("private").join(name)
        }

        fn start(&self) -> CopyBack {
            self.start_with(&[])
        }

        fn start_with(&self, risky: &[Mark]) -> CopyBack {
            let prepared = Prepared::new(&self.home(""), &[self.home("f")], risky).unwrap();
            let private = File::open(self.private("")).unwrap();
            prepared.watch(private.as_fd(), "1").unwrap()
        }

        fn rename(&self, text: &str) {
            fs::write(self.private("f.tmp"), text).unwrap();
            fs::rename(self.private("f.tmp"), self.private("f")).unwrap();
        }
    }

    impl Drop for Pair {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn each_rename_arrives_and_a_removal_does_not() {
        let pair = Pair::new("rename");
        let mut copy = pair.start();
        for n in 0..100 {
            pair.rename(&n.to_string());
            copy.ready();
            assert_eq!(fs::read_to_string(pair.home("f")).unwrap(), n.to_string());
        }
        fs::remove_file(pair.private("f")).unwrap();
        assert_eq!(copy.finish(), []);
        assert_eq!(fs::read_to_string(pair.home("f")).unwrap(), "99");
        let names = fs::read_dir(pair.home("")).unwrap().count();
        assert_eq!(names, 1, "no temporary file is left");
    }

    #[test]
    fn what_changed_outside_is_not_overwritten() {
        let pair = Pair::new("apart");
        fs::write(pair.home("f"), "start").unwrap();
        fs::write(pair.private("f"), "start").unwrap();
        let mut copy = pair.start();
        fs::write(pair.home("f"), "outside").unwrap();
        pair.rename("inside");
        copy.ready();
        pair.rename("inside again");
        let findings = copy.finish();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(fs::read_to_string(pair.home("f")).unwrap(), "outside");
        let beside = fs::read_to_string(pair.home("f.stockade-1")).unwrap();
        assert_eq!(beside, "inside again");
    }

    fn servers() -> [Mark; 1] {
        [Mark {
            path: "servers.*.command".into(),
            because: "it runs".into(),
        }]
    }

    #[test]
    fn a_risky_key_is_held_back_and_said_once() {
        let pair = Pair::new("risky");
        fs::write(pair.home("f"), r#"{"n":0}"#).unwrap();
        fs::write(pair.private("f"), r#"{"n":0}"#).unwrap();
        let mut copy = pair.start_with(&servers());
        for n in 1..5 {
            let evil = "\\u001b".to_owned() + &"e".repeat(300);
            pair.rename(&format!(
                r#"{{"n":{n},"servers":{{"x":{{"command":"{evil}"}}}}}}"#
            ));
            copy.ready();
            let host: serde_json::Value =
                serde_json::from_slice(&fs::read(pair.home("f")).unwrap()).unwrap();
            assert_eq!(host, serde_json::json!({"n": n, "servers": {"x": {}}}));
        }
        let findings = copy.finish();
        assert_eq!(findings.len(), 1, "{findings:?}");
        let text = &findings[0].text;
        assert!(
            findings[0].grave && text.contains("servers.x.command = \"\\u001be"),
            "{text}"
        );
        assert!(text.contains("e… was not copied back (it runs)"), "{text}");
        assert!(text.matches('e').count() < 220, "{text}");
    }

    #[test]
    fn keys_without_end_are_said_to_a_number() {
        let pair = Pair::new("many");
        let copy = pair.start_with(&servers());
        let many: Vec<String> = (0..1000)
            .map(|n| format!(r#""{n}":{{"command":"evil"}}"#))
            .collect();
        pair.rename(&format!(r#"{{"servers":{{{}}}}}"#, many.join(",")));
        let findings = copy.finish();
        assert_eq!(findings.len(), MAX_KEYS + 1);
        assert!(findings[MAX_KEYS].text.contains("more such keys"));
        assert!(!fs::read_to_string(pair.home("f")).unwrap().contains("evil"));
    }

    #[test]
    fn what_is_no_json_stands_beside() {
        let pair = Pair::new("json");
        fs::write(pair.home("f"), "{}").unwrap();
        fs::write(pair.private("f"), "{}").unwrap();
        let mut copy = pair.start_with(&servers());
        pair.rename("servers:\n x: evil");
        copy.ready();
        assert_eq!(fs::read_to_string(pair.home("f")).unwrap(), "{}");
        let beside = fs::read_to_string(pair.home("f.stockade-1")).unwrap();
        assert_eq!(beside, "servers:\n x: evil");
        let findings = copy.finish();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].grave && findings[0].text.contains("no JSON object"));
    }

    #[test]
    fn links_pipes_and_huge_files_are_not_followed_or_read() {
        let pair = Pair::new("links");
        fs::write(pair.home("secret"), "s").unwrap();
        let mut copy = pair.start();
        std::os::unix::fs::symlink(pair.home("secret"), pair.private("f")).unwrap();
        copy.ready();
        assert!(!pair.home("f").exists());
        fs::remove_file(pair.private("f")).unwrap();
        nix::unistd::mkfifo(&pair.private("f"), Mode::from_bits_truncate(0o600)).unwrap();
        copy.ready();
        fs::remove_file(pair.private("f")).unwrap();
        let huge = File::create(pair.private("f")).unwrap();
        huge.set_len(super::super::exchange::MAX_BYTES + 1).unwrap();
        copy.finish();
        assert!(!pair.home("f").exists());
    }

    #[test]
    fn a_linked_file_is_written_where_it_is() {
        let pair = Pair::new("dotfiles");
        fs::create_dir(pair.home("dotfiles")).unwrap();
        fs::write(pair.home("dotfiles/f"), "start").unwrap();
        std::os::unix::fs::symlink("dotfiles/f", pair.home("f")).unwrap();
        let copy = pair.start();
        pair.rename("inside");
        copy.finish();
        let there = fs::read_to_string(pair.home("dotfiles/f")).unwrap();
        assert_eq!(there, "inside");
        assert!(pair.home("f").is_symlink());
    }
}
