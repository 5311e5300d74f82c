//! What is written before a session starts, so that the next one can finish it.

use super::stamp::{self, Stamp};
use crate::exit::Failure;
use crate::folder::Folder;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use stockade_enforce::Group;
use stockade_policy::Policy;

const NAME: &str = "record.json";
/// Larger files are compared but not kept.
pub const KEPT: u64 = 1 << 20;
/// A directory of examples has no more.
const EXAMPLES: usize = 100;

#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    pub session: String,
    supervisor: Process,
    /// Workspaces and home: where quarantined names are taken from by descriptor.
    roots: Vec<PathBuf>,
    /// The session's cgroup, where its policy limits something that needs one.
    pub group: Option<Group>,
    pub marks: Vec<Mark>,
    #[serde(with = "stockade_enforce::bytes::map")]
    pub seen: BTreeMap<PathBuf, Stamp>,
    /// What led to protected names.
    #[serde(with = "stockade_enforce::bytes::map")]
    pub ways: BTreeMap<PathBuf, Stamp>,
    /// Directories that could not be listed.
    #[serde(with = "stockade_enforce::bytes::map")]
    pub closed: BTreeMap<PathBuf, Stamp>,
    /// Whether all directories were looked at for nested repositories, whose `.git` are ways too.
    pub all_looked_at: bool,
    /// Mounts held what was there: only through another name could the session change a file.
    pub mounts: bool,
}

/// One pattern of a protect rule.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mark {
    pub glob: String,
    pub rule: String,
    pub because: String,
    pub report: bool,
    /// Patterns that decide before this one and let the session write.
    pub except: Vec<String>,
}

/// A process id and when it began: the id alone is given again.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    id: u32,
    began: String,
}

impl Process {
    fn of(id: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // field 22, counted after the name, which may hold anything
        let began = stat.rsplit_once(") ")?.1.split(' ').nth(19)?.to_owned();
        Some(Self { id, began })
    }

    fn runs(&self) -> bool {
        Self::of(self.id).as_ref() == Some(self)
    }
}

impl Record {
    pub fn new(session: &str, policy: &Policy, group: Option<Group>, mounts: bool) -> Self {
        let id = std::process::id();
        let mut roots = policy.context.workspaces.clone();
        roots.push(policy.context.home.clone());
        Self {
            session: session.to_owned(),
            supervisor: Process::of(id).unwrap_or(Process {
                id,
                began: String::new(),
            }),
            roots,
            group,
            marks: Vec::new(),
            seen: BTreeMap::new(),
            ways: BTreeMap::new(),
            closed: BTreeMap::new(),
            all_looked_at: true,
            mounts,
        }
    }

    pub fn workspaces(&self) -> &[PathBuf] {
        self.roots.split_last().map_or(&[], |(_home, rest)| rest)
    }

    pub fn is_known(&self, path: &Path) -> bool {
        self.seen.contains_key(path) || self.ways.contains_key(path)
    }

    /// Locked for as long as the supervisor lives, which a process in another pid namespace sees too.
    pub fn write(&self, folder: &Path) -> Result<Flock<File>, Failure> {
        let path = folder.join(NAME);
        let fail = |e| Failure::file("write the session's record", &path, e);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(fail)?;
        let text = serde_json::to_vec(self).map_err(|e| fail(e.into()))?;
        let fresh = folder.join(".record");
        let written = (|| {
            use std::io::Write;
            let file = File::create_new(&fresh)?;
            let locked = Flock::lock(file, FlockArg::LockExclusiveNonblock);
            let mut file = locked.map_err(|(_, errno)| std::io::Error::from(errno))?;
            file.write_all(&text)?;
            std::fs::rename(&fresh, &path)?;
            Ok(file)
        })();
        written.map_err(|e| {
            // a folder without a record would never be finished
            drop(std::fs::remove_dir_all(folder));
            fail(e)
        })
    }

    /// The session is finished, whatever else of its folder can't be removed.
    pub fn finished(folder: &Path) {
        // gone already where a later run finishes it
        drop(std::fs::remove_file(folder.join(NAME)));
    }

    /// Small protected files as they were: a level that can't hold them can give them back.
    pub fn keep_originals(&self, folder: &Path) -> Result<(), Failure> {
        for (n, (path, stamp)) in self.seen.iter().chain(&self.ways).enumerate() {
            let denied = self.ways.contains_key(path)
                || self
                    .marks
                    .iter()
                    .any(|m| !m.report && covers(&m.glob, path));
            let small = path.symlink_metadata().is_ok_and(|m| m.len() <= KEPT);
            if !(denied && stamp.is_file() && small) || sample(path) {
                continue;
            }
            let to = folder.join(format!("original-{n}"));
            let copied = stamp::open(path).and_then(|mut from| {
                let mut options = std::fs::OpenOptions::new();
                options.write(true).create_new(true).mode(0o600);
                let mut copy = options.open(&to)?;
                std::io::copy(&mut from, &mut copy)?;
                let mode = from.metadata()?.mode() & 0o777;
                copy.set_permissions(Permissions::from_mode(mode))
            });
            match copied {
                // unreadable to the user: the agent is the user
                Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {}
                other => {
                    other.map_err(|e| Failure::file("keep the original of", path, e))?;
                }
            }
        }
        Ok(())
    }

    pub fn original(&self, folder: &Path, path: &Path) -> PathBuf {
        let mut all = self.seen.keys().chain(self.ways.keys());
        let n = all.position(|p| p == path);
        folder.join(n.map_or_else(|| "none".into(), |n| format!("original-{n}")))
    }

    /// The deepest root that holds the name.
    pub fn root(&self, name: &Path) -> &Path {
        let holds = self.roots.iter().filter(|r| name.starts_with(r));
        holds
            .max_by_key(|r| r.as_os_str().len())
            .map_or(Path::new("/"), PathBuf::as_path)
    }

    /// Examples that git never runs, hooks that are the user's own templates, what git itself makes.
    pub fn is_harmless(name: &Path) -> bool {
        if !name.is_symlink() && name.is_dir() {
            // a new repository's hooks: harmless when all in it is
            let harmless =
                |e: std::io::Result<std::fs::DirEntry>| e.is_ok_and(|e| examples(&e.path()));
            let entries = std::fs::read_dir(name);
            return entries.is_ok_and(|all| {
                let few: Vec<_> = all.take(EXAMPLES + 1).collect();
                few.len() <= EXAMPLES && few.into_iter().all(harmless)
            });
        }
        examples(name)
    }
}

fn examples(name: &Path) -> bool {
    let regular = name.symlink_metadata().is_ok_and(|m| m.is_file());
    regular && (sample(name) || template(name) || as_git_adds_worktrees(name))
}

/// `.git/worktrees/NAME/commondir` as `git worktree add` writes it: it leads back here.
fn as_git_adds_worktrees(path: &Path) -> bool {
    let folder = path.parent().and_then(Path::parent);
    let place = path.ends_with("commondir") && folder.is_some_and(|f| f.ends_with("worktrees"));
    place && crate::git::line(path).as_deref() == Some("../..")
}

pub fn covers(glob: &str, path: &Path) -> bool {
    stockade_policy::Glob::absolute(glob).is_ok_and(|g| g.covers(path))
}

fn sample(path: &Path) -> bool {
    let in_hooks = path.parent().is_some_and(|p| p.ends_with("hooks"));
    in_hooks && path.extension().is_some_and(|e| e == "sample")
}

/// Equal to the file of the same name in the system's templates.
fn template(path: &Path) -> bool {
    let Some(name) = path.file_name() else {
        return false;
    };
    let theirs = Path::new("/usr/share/git-core/templates/hooks").join(name);
    let size = |p: &Path| p.symlink_metadata().ok().map(|m| m.len());
    // the session's may have any size
    theirs.is_file() && size(&theirs) == size(path) && stamp::hash(&theirs) == stamp::hash(path)
}

/// Sessions whose supervisor is gone, each taken by one finisher alone.
pub fn left_behind(state: &Path) -> Vec<(Folder, Record)> {
    let entries = std::fs::read_dir(state.join("sessions"));
    let mut out = Vec::new();
    for entry in entries.into_iter().flatten().flatten() {
        let path = entry.path().join(NAME);
        let Ok(file) = File::open(&path) else {
            continue;
        };
        let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
            continue;
        };
        let record: Option<Record> = serde_json::from_reader(std::io::BufReader::new(&*lock)).ok();
        let Some(record) = record.filter(|r| !r.supervisor.runs()) else {
            continue;
        };
        // gone once it is taken: another finisher finds no record
        if std::fs::remove_file(&path).is_ok() {
            let folder = Folder {
                id: record.session.clone(),
                path: entry.path(),
            };
            out.push((folder, record));
        }
    }
    out
}
