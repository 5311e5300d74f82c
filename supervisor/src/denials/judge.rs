//! Puts what failed to the reference semantics: a refusal is what the policy denies and what this level answers that
//! with (docs/errors.md), both.

use super::access::{Attempt, Operation, attempts};
use super::own::Own;
use super::view::{Found, View, is};
use super::{calls, change, sockets};
use nix::errno::Errno;
use nix::sys::stat::SFlag;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use stockade_enforce::{Level, OWN};
use stockade_events::{Address, Argument};
use stockade_policy::{Access, Decision, FileOperation, Policy, RuleId, Verdict};

/// One refused access, with the rule that refuses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub verb: &'static str,
    pub object: String,
    pub rule: RuleId,
    /// The line that would allow it; none where no line does.
    pub change: Option<String>,
    /// It looks as if nothing were there.
    pub hidden: bool,
}

/// A call that failed.
pub struct Failed<'a> {
    pub call: &'a str,
    pub arguments: &'a [Argument],
    pub errno: Errno,
    /// By a system call filter.
    pub filtered: bool,
}

pub struct Judge {
    pub policy: Policy,
    level: Level,
    pub(super) view: View,
    host: View,
    pub(super) own: Own,
    /// Nothing is held since then.
    pub(super) audited: Option<SystemTime>,
    /// The supervisor performs calls on sockets: a filter sends them to it.
    performed: bool,
    /// Processes of the session, as this level numbers them.
    inside: HashSet<u32>,
}

/// Whether the policy puts something of the session's own in the place of the host's.
pub(super) fn replaced(policy: &Policy, decision: &Decision) -> bool {
    let rule = policy.rules().iter().find(|r| r.id == decision.rule);
    rule.is_some_and(|r| r.key.table == "filesystem" && r.key.name == "private")
}

pub fn verb(operation: Operation) -> &'static str {
    match operation {
        Operation::Look | Operation::Read => "read",
        Operation::Write => "write",
        Operation::Create => "create",
        Operation::Remove => "remove",
        Operation::Metadata => "metadata",
        Operation::Exec => "exec",
    }
}

/// As the reference semantics knows it.
pub(super) fn of(operation: Operation) -> FileOperation {
    match operation {
        Operation::Look | Operation::Read | Operation::Exec => FileOperation::Read,
        Operation::Write => FileOperation::Write,
        Operation::Create => FileOperation::Create,
        Operation::Remove => FileOperation::Remove,
        Operation::Metadata => FileOperation::Metadata,
    }
}

impl Judge {
    pub fn new(
        policy: Policy,
        level: Level,
        performed: bool,
        view: View,
        own: Own,
    ) -> std::io::Result<Self> {
        Ok(Self {
            policy,
            level,
            view,
            host: View::host()?,
            own,
            audited: None,
            performed,
            inside: HashSet::new(),
        })
    }

    /// For a command that runs unconfined.
    pub fn audits(self) -> Self {
        Self {
            audited: Some(SystemTime::now()),
            ..self
        }
    }

    pub fn begins(&mut self, process: u32) {
        self.inside.insert(process);
    }

    pub fn refusal(&self, failed: &Failed<'_>) -> Option<Refusal> {
        let Failed {
            call,
            arguments,
            errno,
            filtered,
        } = failed;
        let performed = self.performed && matches!(*call, "bind" | "connect" | "listen");
        if *filtered && !performed {
            // what a filter does not know is answered with ENOSYS, so that programs take another way
            return (*errno == Errno::EPERM).then(|| calls::refused(&self.policy, call, arguments));
        }
        attempts(call, arguments)
            .iter()
            .find_map(|attempt| self.one(attempt, *errno))
    }

    fn one(&self, attempt: &Attempt<'_>, errno: Errno) -> Option<Refusal> {
        match attempt {
            Attempt::File {
                operation,
                path,
                follow,
            } => self.file(*operation, path, *follow, errno),
            Attempt::Move { link, from, to } => self.moved(*link, from, to, errno),
            Attempt::Connect { address, datagram } => self.connect(address, *datagram, errno),
            Attempt::Process { id, ptrace } => self.process(*id, *ptrace, errno),
        }
    }

    pub(super) fn decide(&self, operation: Operation, path: &Path) -> Decision {
        self.policy.decide(&match operation {
            Operation::Exec => Access::Exec {
                path,
                written: false,
            },
            _ => Access::File {
                operation: of(operation),
                path,
            },
        })
    }

    /// Refused, where this is what refuses it.
    fn denied(&self, operation: Operation, path: &Path, hidden: bool) -> Option<Refusal> {
        if !hidden && self.own.has(path) {
            return None;
        }
        let decision = self.decide(operation, path);
        let own = replaced(&self.policy, &decision);
        // the session's own directory is there; the host's names below it are not
        if decision.verdict != Verdict::Deny && !(own && hidden) {
            return None;
        }
        let line = match operation {
            Operation::Exec => change::exec(&self.policy, path),
            _ if own => change::path("filesystem", "read", path),
            other => change::file(&self.policy, of(other), path),
        };
        Some(Refusal {
            verb: verb(operation),
            object: path.to_string_lossy().into_owned(),
            rule: decision.rule,
            change: Some(line),
            hidden,
        })
    }

    fn file(
        &self,
        operation: Operation,
        path: &Path,
        follow: bool,
        errno: Errno,
    ) -> Option<Refusal> {
        let found = self.view.find(path, follow)?;
        if errno == Errno::ENOENT {
            return self.hidden(operation, &found, follow);
        }
        if operation == Operation::Create && found.there.is_some() {
            return None; // and not made: what it is opened for decides
        }
        let changes = matches!(
            operation,
            Operation::Write | Operation::Create | Operation::Remove | Operation::Metadata
        );
        match (self.level, errno) {
            (Level::Namespaces, Errno::EROFS) if changes => {
                self.denied(operation, &found.real, false)
            }
            (Level::Namespaces, Errno::EBUSY) if operation == Operation::Remove => {
                self.denied(operation, &found.real, false)
            }
            (Level::Namespaces, Errno::EACCES) if operation == Operation::Exec => {
                let noexec = found.there.as_ref().is_some_and(|t| t.noexec);
                let written = || self.written(&found.real).filter(|_| noexec);
                self.denied(operation, &found.real, false).or_else(written)
            }
            // a cover that nobody may read stands over it
            (Level::Namespaces, Errno::EACCES) => {
                let covered = self.denied(Operation::Read, &found.real, false)?;
                let verb = verb(operation);
                Some(Refusal { verb, ..covered })
            }
            (Level::Landlock, Errno::EACCES) => self.by_landlock(operation, &found),
            _ => None,
        }
    }

    /// Where the session writes nothing is executed.
    fn written(&self, path: &Path) -> Option<Refusal> {
        let setting = self.policy.setting("exec.written");
        let rule = setting.filter(|s| s.value == "deny")?.id.clone();
        Some(Refusal {
            verb: verb(Operation::Exec),
            object: path.to_string_lossy().into_owned(),
            rule,
            change: Some("[exec] written = \"allow\"".into()),
            hidden: false,
        })
    }

    fn by_landlock(&self, operation: Operation, found: &Found) -> Option<Refusal> {
        // no right of Landlock is about these
        if matches!(operation, Operation::Look | Operation::Metadata) {
            return None;
        }
        if let Some(refusal) = self.of_a_process(&found.real) {
            return Some(refusal);
        }
        // the host's file stands where the policy has a directory of the session's own
        self.denied(operation, &found.real, true)
            .map(|refusal| Refusal {
                hidden: false,
                ..refusal
            })
    }

    /// What is not there for the session, and is there for the host.
    fn hidden(&self, operation: Operation, found: &Found, follow: bool) -> Option<Refusal> {
        let own = [Path::new("/proc"), Path::new(OWN)];
        if self.level != Level::Namespaces
            || found.there.is_some()
            || own.iter().any(|o| found.real.starts_with(o))
        {
            return None;
        }
        let host = self.host.find(&found.real, follow)?;
        let there = if operation == Operation::Create {
            let directory = host.real.parent()?;
            self.host.thing(directory).is_some() && self.view.thing(directory).is_none()
        } else {
            host.there.is_some()
        };
        if !there {
            return None;
        }
        self.denied(operation, &host.real, true)
    }

    fn moved(&self, link: bool, from: &Path, to: &Path, errno: Errno) -> Option<Refusal> {
        let (old, new) = (self.view.find(from, false)?, self.view.find(to, false)?);
        if errno == Errno::ENOENT {
            let hidden = |found| self.hidden(Operation::Remove, found, false);
            let made = || self.hidden(Operation::Create, &new, false);
            return hidden(&old).or_else(made);
        }
        let explained = match self.level {
            Level::Namespaces => matches!(errno, Errno::EROFS | Errno::EXDEV | Errno::EBUSY),
            Level::Landlock => matches!(errno, Errno::EACCES | Errno::EXDEV),
        };
        let (from, to) = (old.real.as_path(), new.real.as_path());
        let access = if link {
            Access::Link { from, to }
        } else {
            Access::Rename { from, to }
        };
        let decision = self.policy.decide(&access);
        if !explained || decision.verdict != Verdict::Deny {
            return None;
        }
        let operation = FileOperation::Remove;
        let entry = |path| self.policy.verdict(&Access::File { operation, path });
        let denies = |path| !self.own.has(path) && entry(path) == Verdict::Deny;
        let object = if denies(from) { from } else { to };
        let change = if denies(object) {
            Some(change::file(&self.policy, operation, object))
        } else if self.own.has(from) || self.own.has(to) {
            return None; // of two file systems
        } else {
            None // each name may be changed by itself
        };
        Some(Refusal {
            verb: if link { "link" } else { "rename" },
            object: object.to_string_lossy().into_owned(),
            rule: decision.rule,
            change,
            hidden: false,
        })
    }

    fn connect(&self, address: &Address, datagram: bool, errno: Errno) -> Option<Refusal> {
        let (host, port) = match address {
            Address::Inet { host, port } | Address::Inet6 { host, port } => (host, *port),
            Address::Unix { path, absolute } => {
                return self.unix(&absolute.as_ref().unwrap_or(path).0, errno);
            }
            Address::Abstract { name } => {
                let expected = match self.level {
                    Level::Namespaces => Errno::ECONNREFUSED,
                    Level::Landlock => Errno::EPERM,
                };
                let theirs =
                    errno == expected && sockets::host_listens(&sockets::in_abstract(&name.0));
                return theirs.then(|| sockets::refused_abstract(&name.lossy()));
            }
            _ => return None,
        };
        if !matches!(errno, Errno::ENETUNREACH | Errno::EPERM | Errno::EACCES) {
            return None;
        }
        sockets::refused(&self.policy, host, port, datagram)
    }

    fn unix(&self, path: &[u8], errno: Errno) -> Option<Refusal> {
        use std::os::unix::ffi::OsStrExt;
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
        // which directory is meant is not recorded
        if !path.is_absolute() {
            return None;
        }
        let found = self.view.find(&path, true)?;
        if errno == Errno::ENOENT {
            let refusal = self.hidden(Operation::Look, &found, true)?;
            let host = self.host.find(&found.real, true)?;
            let socket = host.there.is_some_and(|t| is(&t.stat, SFlag::S_IFSOCK));
            let path = host.real.as_path();
            let decision = self.policy.decide(&Access::Unix { path });
            let rule = if decision.verdict == Verdict::Deny {
                decision.rule
            } else {
                refusal.rule.clone()
            };
            return socket.then(|| Refusal {
                verb: "connect",
                rule,
                change: Some(change::path("network", "unix", path)),
                ..refusal
            });
        }
        if errno != Errno::EACCES {
            return None;
        }
        let object = found.real.as_path();
        let decision = self.policy.decide(&Access::Unix { path: object });
        let rule = if decision.verdict == Verdict::Deny {
            decision.rule
        } else {
            // it stands in a tree that the session may write, and is not the session's
            let mode = found.there.as_ref().map_or(0o222, |t| t.stat.st_mode);
            // in the session's own network it could be nobody else's
            let may = self.level == Level::Namespaces || mode & 0o222 != 0;
            let name = sockets::in_tree(object);
            (may && sockets::host_listens(&name)).then(sockets::of_the_host)?
        };
        Some(Refusal {
            verb: "connect",
            object: object.to_string_lossy().into_owned(),
            rule,
            change: Some(change::path("network", "unix", object)),
            hidden: false,
        })
    }

    fn process(&self, id: i64, ptrace: bool, errno: Errno) -> Option<Refusal> {
        // elsewhere there is no such process (ESRCH), and what number is meant nobody knows
        if self.level != Level::Landlock || errno != Errno::EPERM || self.is_inside(id) {
            return None;
        }
        Some(self.outside(id, ptrace))
    }

    fn is_inside(&self, id: i64) -> bool {
        u32::try_from(id).is_ok_and(|id| self.inside.contains(&id))
    }

    fn outside(&self, id: i64, ptrace: bool) -> Refusal {
        let inside = false;
        let decision = self.policy.decide(&Access::Process { inside, ptrace });
        Refusal {
            verb: if ptrace { "ptrace" } else { "signal" },
            object: format!("process {id}"),
            rule: decision.rule,
            change: None,
            hidden: false,
        }
    }

    /// /proc/PID/… of a process outside.
    fn of_a_process(&self, path: &Path) -> Option<Refusal> {
        let mut names = path.strip_prefix("/proc").ok()?.components();
        let id: i64 = names.next()?.as_os_str().to_str()?.parse().ok()?;
        names.next()?;
        if self.is_inside(id) {
            return None;
        }
        Some(Refusal {
            verb: "read",
            object: path.to_string_lossy().into_owned(),
            ..self.outside(id, true)
        })
    }
}
