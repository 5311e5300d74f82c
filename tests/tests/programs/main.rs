//! Honest work: programs as people use them, run natively and in a session at each level, as this
//! user and as an ordinary one. Status, both streams and what lies in the workspace must be equal.

mod c;
mod files;
mod git;
mod javascript;
mod loopback;
mod python;
mod rust;
mod shell;
mod system;
mod terminal;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Output;
use stockade_tests::{LEVELS, Place, install, stockade};

/// An account of every system that owns nothing.
const NOBODY: u32 = 65534;

/// Seconds, more than any of them takes here.
const PATIENCE: &str = "300";

/// One program's work: what lies there before, what is run, what may differ.
struct Work {
    name: &'static str,
    before: String,
    prepare: Option<fn(&Place)>,
    options: BTreeMap<&'static str, Vec<String>>,
    says: BTreeMap<&'static str, Vec<&'static str>>,
    unlike: &'static [&'static str],
    path: String,
}

impl Work {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            before: String::new(),
            prepare: None,
            options: LEVELS.map(|l| (l, Vec::new())).into(),
            says: LEVELS.map(|l| (l, Vec::new())).into(),
            unlike: &[],
            path: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into(),
        }
    }

    /// Run as the user in the workspace, natively, before each run.
    fn before(mut self, script: impl Into<String>) -> Self {
        self.before = script.into();
        self
    }

    /// Done by this process in the place of each run.
    fn prepare(mut self, what: fn(&Place)) -> Self {
        self.prepare = Some(what);
        self
    }

    /// For `stockade run` at this level: what a user has to add.
    fn options(mut self, level: &'static str, options: &[&str]) -> Self {
        let options = options.iter().map(|o| (*o).to_owned()).collect();
        self.options.insert(level, options);
        self
    }

    /// What stockade itself says at the end, at both levels: one part of each line.
    fn says(mut self, lines: &[&'static str]) -> Self {
        for all in self.says.values_mut() {
            all.extend(lines);
        }
        self
    }

    /// Names, ends of paths, and after a `*` ends of names that are compared without their contents, which hold times, or
    /// for directories without what is in them.
    fn unlike(mut self, names: &'static [&'static str]) -> Self {
        self.unlike = names;
        self
    }

    /// Directories of PATH before the system's, below the place.
    fn path(mut self, first: &str) -> Self {
        self.path = format!("{first}:{}", self.path);
        self
    }

    /// Runs the script everywhere and compares.
    fn same(self, script: &str) {
        let root = nix::unistd::geteuid().is_root();
        let users = if root {
            vec![None, Some(NOBODY)]
        } else {
            vec![None]
        };
        for user in users {
            let native = Run::new(&self, user).play(None, script);
            let (name, shown) = (self.name, native.shown());
            assert_eq!(
                native.status,
                Some(0),
                "{name} natively as {user:?}: {shown}"
            );
            assert!(native.outside, "{}: the control ran", self.name);
            for level in LEVELS {
                let mut confined = Run::new(&self, user).play(Some(level), script);
                let what = format!("{} at {level} as {user:?}", self.name);
                assert!(!confined.outside, "{what}: written outside");
                let own = confined.take_own();
                native.compare(&confined, &what);
                for (said, expected) in own.iter().zip(&self.says[level]) {
                    assert!(said.contains(expected), "{what}: {own:#?}");
                }
                assert_eq!(own.len(), self.says[level].len(), "{what}: {own:#?}");
            }
        }
    }
}

/// One run's place, with the programs where its user may execute them.
struct Run<'a> {
    work: &'a Work,
    user: Option<u32>,
    place: Place,
}

impl<'a> Run<'a> {
    fn new(work: &'a Work, user: Option<u32>) -> Self {
        let place = Place::with_project(&format!("programs-{}", work.name));
        std::fs::create_dir(place.path().join("bin")).unwrap();
        for folder in ["", "bin", "home", "home/project", "outside"] {
            let folder = place.path().join(folder);
            std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
            chown(&folder, user, user).unwrap();
        }
        install(stockade(), &place.path().join("bin/stockade"));
        if let Some(prepare) = work.prepare {
            prepare(&place);
        }
        let run = Self { work, user, place };
        let out = run.command(&["bash", "-euc", &work.before]);
        assert!(out.status.success(), "before {}: {out:?}", work.name);
        run
    }

    fn command(&self, words: &[&str]) -> Output {
        // a run that hangs has failed; what it says until then is shown
        let mut all = vec!["timeout", PATIENCE];
        let id = self.user.map(|id| id.to_string());
        if let Some(id) = &id {
            let ids = ["--reuid", id, "--regid", id, "--clear-groups", "--"];
            all.push("setpriv");
            all.extend(ids);
        }
        all.extend(words);
        let home = self.place.home().display().to_string();
        let mut command = self.place.command(all[0]);
        command
            .args(&all[1..])
            .env("PATH", self.work.path.replace('~', &home))
            .env("GIT_AUTHOR_DATE", "2020-01-01T00:00:00Z")
            .env("GIT_COMMITTER_DATE", "2020-01-01T00:00:00Z")
            .env("SHELL", "/bin/bash")
            .env("TERM", "xterm");
        command.output().unwrap()
    }

    /// The script, then a try to write where no rule allows it.
    fn play(self, level: Option<&str>, script: &str) -> Outcome {
        let probe = self.place.outside().join("probe");
        let around = format!(
            "bash -euo pipefail -c \"$0\"; status=$?; touch {} 2>/dev/null; exit $status",
            probe.display()
        );
        let mut words = Vec::new();
        let program = self.place.path().join("bin/stockade").display().to_string();
        if let Some(level) = level {
            words.extend([program.as_str(), "run", "--require", level]);
            words.extend(self.work.options[level].iter().map(String::as_str));
            words.push("--");
        }
        words.extend(["bash", "-c", &around, script]);
        let out = self.command(&words);
        let mut tree = BTreeMap::new();
        let top = self.place.work();
        walk(&top, &top, self.work.unlike, &mut tree);
        Outcome {
            status: out.status.code(),
            out: String::from_utf8_lossy(&out.stdout).into_owned(),
            err: String::from_utf8_lossy(&out.stderr).into_owned(),
            tree,
            outside: probe.exists(),
        }
    }
}

#[derive(Debug)]
struct Outcome {
    status: Option<i32>,
    out: String,
    err: String,
    tree: BTreeMap<String, String>,
    /// Whether the file where no rule allows it is there.
    outside: bool,
}

impl Outcome {
    /// What stockade itself said, which the native run has not.
    fn take_own(&mut self) -> Vec<String> {
        let (own, rest): (Vec<&str>, Vec<&str>) = self
            .err
            .split_inclusive('\n')
            .partition(|l| l.starts_with("stockade: "));
        let own = own.into_iter().map(str::to_owned).collect();
        self.err = rest.concat();
        own
    }

    fn shown(&self) -> String {
        format!("{:?}\n{}\n{}", self.status, self.out, self.err)
    }

    fn compare(&self, confined: &Self, what: &str) {
        let Self {
            status,
            out,
            err,
            tree,
            outside: _,
        } = self;
        assert_eq!(*status, confined.status, "{what}: {}", confined.shown());
        assert!(
            *out == confined.out && *err == confined.err,
            "{what}:\n{}\nnatively:\n{}",
            confined.shown(),
            self.shown()
        );
        let missing: Vec<_> = tree
            .iter()
            .filter(|(k, v)| confined.tree.get(*k) != Some(*v))
            .collect();
        let more: Vec<_> = confined
            .tree
            .iter()
            .filter(|(k, v)| tree.get(*k) != Some(*v))
            .collect();
        assert!(
            missing.is_empty() && more.is_empty(),
            "{what}: the workspace has not {missing:#?} but {more:#?}"
        );
    }
}

/// Kind, mode and content of everything below.
fn walk(top: &Path, folder: &Path, unlike: &[&str], out: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(top).unwrap().display().to_string();
        let meta = path.symlink_metadata().unwrap();
        let mode = meta.mode();
        let is_unlike = unlike.iter().any(|u| match u.strip_prefix('*') {
            Some(end) => name.ends_with(end),
            None => name == *u || name.ends_with(&format!("/{u}")),
        });
        if meta.is_dir() {
            out.insert(name, format!("{mode:o}"));
            if !is_unlike {
                walk(top, &path, unlike, out);
            }
            continue;
        }
        let content = if meta.is_symlink() {
            path.read_link().unwrap().display().to_string()
        } else if meta.is_file() && !is_unlike {
            let bytes = std::fs::read(&path).unwrap();
            match std::str::from_utf8(&bytes) {
                Ok(text) if text.len() < 300 => text.to_owned(),
                _ => format!("{} bytes, {:x}", bytes.len(), sum(&bytes)),
            }
        } else {
            String::new()
        };
        out.insert(name, format!("{mode:o} {content}"));
    }
}

fn sum(bytes: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// Outside of the checkout, where every user may read it: made once by `make`, kept under `name`.
fn kept_folder(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let cache = if nix::unistd::geteuid().is_root() {
        PathBuf::from("/var/cache")
    } else {
        PathBuf::from(std::env::var("HOME").expect("HOME")).join(".cache")
    };
    let folder = cache.join("stockade-tests").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let lock = std::fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap(); // several tests want the same
    if !folder.join("complete").exists() {
        make(&folder);
        std::fs::write(folder.join("complete"), "").unwrap();
    }
    folder
}
