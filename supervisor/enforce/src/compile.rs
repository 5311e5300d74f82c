//! Policy to plan. What exists on the host is looked at here; nothing is opened for good.

use crate::backend::seccomp;
use crate::plan::{Item, Level, Limit, Plan, Source, Unmet};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use stockade_policy::{Access, FileOperation, Glob, Policy, Requirement, Verdict};

/// Names looked at to expand one pattern; a pattern that needs more is an error, never cut short.
const LOOK_AT: usize = 200_000;
/// Devices of every session (D5).
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

pub struct Request<'a> {
    pub policy: &'a Policy,
    pub command: &'a [String],
    pub directory: PathBuf,
    /// The caller's environment.
    pub environment: Vec<(String, String)>,
    pub user: String,
    /// Where overlays keep their upper directories; made by the caller.
    pub overlays: &'a dyn Fn(&Path) -> std::io::Result<(PathBuf, PathBuf)>,
}

#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error("{rule}: more than {LOOK_AT} names to look at")]
    TooMany { rule: String },
    #[error("cannot look at {path}: {error}")]
    Look {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("cannot make the overlay for {path}: {error}")]
    Overlay {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{0}: command not found")]
    NotFound(String),
    #[error("the system call filter: {0}")]
    Filter(String),
}

pub fn compile(request: &Request<'_>) -> Result<Plan, CompileError> {
    let Request {
        policy,
        command,
        directory,
        environment,
        user: _,
        overlays: _,
    } = request;
    let (environment, dropped) = self::environment(policy, environment);
    let path = environment
        .iter()
        .find(|(k, _)| k == "PATH")
        .map_or("/usr/local/bin:/usr/bin:/bin", |(_, v)| v.as_str());
    let executable = find(&command[0], path, directory)?;
    let denied: Vec<String> = policy
        .of("syscalls", "deny")
        .map(|r| r.text.clone())
        .collect();
    let mode = |key: &str| policy.setting(key).is_some_and(|s| s.value == "allow");
    let rules = seccomp::Rules {
        user_namespaces: mode("process.user_namespaces"),
        ptrace: mode("process.ptrace"),
        denied: &denied,
    };
    let (limits, mut unmet, partial) = answers(policy);
    for name in denied.iter().filter(|n| !seccomp::known(n)) {
        unmet.push(Unmet {
            requirement: "system_calls".into(),
            rule: name.clone(),
            why: "no such system call is known here".into(),
        });
    }
    Ok(Plan {
        level: Level::Namespaces,
        view: view(request)?,
        own_network: policy
            .setting("network.namespace")
            .is_none_or(|s| s.value == "private"),
        filter: seccomp::compile(&rules).map_err(|e| CompileError::Filter(e.to_string()))?,
        limits,
        environment,
        dropped,
        directory: directory.clone(),
        executable,
        arguments: command.to_vec(),
        unmet,
        partial,
    })
}

/// How well this level holds each requirement: what nothing holds stops the launch, what is held
/// in part needs the policy's word.
fn answers(policy: &Policy) -> (Vec<(Limit, u64)>, Vec<Unmet>, Vec<String>) {
    let (mut limits, mut unmet, mut partial) = (Vec::new(), Vec::new(), Vec::new());
    for requirement in policy.requirements() {
        let name = serde_json::to_value(requirement.kind())
            .ok()
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_default();
        let mut miss = |rule: String, why: &str| {
            unmet.push(Unmet {
                requirement: name.clone(),
                rule,
                why: why.into(),
            })
        };
        let mut part = |word: &str, why: &str| {
            if policy.accepts(word) {
                partial.push(word.to_owned());
            } else {
                miss(format!("partial {word:?}"), why);
            }
        };
        match requirement {
            // read-only mounts and own namespaces
            Requirement::NoWriteOutside
            | Requirement::NoMetadataOutside
            | Requirement::Hidden { .. }
            | Requirement::ReadOnlyInside { .. } => {}
            Requirement::Private { .. }
            | Requirement::Overlay { .. }
            | Requirement::Processes
            | Requirement::NothingLeft => {}
            Requirement::NoNetwork { .. }
            | Requirement::NoUserNamespaces { .. }
            | Requirement::SystemCalls { .. } => {}
            Requirement::ProtectedPresent { .. } => part(
                "replaced",
                "a rename by a host program uncovers a mounted name; enforcement.accept_partial = [\"replaced\"] accepts it",
            ),
            Requirement::ProtectedAbsent { .. } => part(
                "absent",
                "a name that does not exist cannot be held by mounts; enforcement.accept_partial = [\"absent\"] accepts it",
            ),
            Requirement::UnixSockets { allowed } if allowed.is_empty() => part(
                "unix",
                "sockets in visible trees can be connected to; enforcement.accept_partial = [\"unix\"] accepts it",
            ),
            Requirement::UnixSockets { allowed } => miss(
                allowed[0].id.to_string(),
                "sockets of the host are not reachable at this level yet",
            ),
            Requirement::ExecByPath { default } => miss(
                default.to_string(),
                "execution by path is not held at this level yet",
            ),
            Requirement::ExecWritten { rule } => miss(
                rule.to_string(),
                "execution of what was written is not held at this level yet",
            ),
            Requirement::Network { rules } => miss(
                rules[0].to_string(),
                "destinations are not reachable yet; the session has its own loopback and nothing else",
            ),
            Requirement::Limit {
                limit,
                amount,
                rule,
            } => match limit {
                stockade_policy::Limit::Cpu => limits.push((Limit::Cpu, amount)),
                stockade_policy::Limit::Files => limits.push((Limit::Files, amount)),
                stockade_policy::Limit::FileSize => limits.push((Limit::FileSize, amount)),
                stockade_policy::Limit::Memory
                | stockade_policy::Limit::Processes
                | stockade_policy::Limit::Wall => {
                    miss(
                        rule.to_string(),
                        "needs a cgroup of its own, which is not built yet",
                    );
                }
            },
        }
    }
    (limits, unmet, partial)
}

/// Names that the rules speak of and that exist, each with what stands there.
fn view(request: &Request<'_>) -> Result<Vec<Item>, CompileError> {
    let policy = request.policy;
    let mut names: BTreeMap<PathBuf, String> = BTreeMap::new();
    for rule in policy
        .rules()
        .iter()
        .filter(|r| r.key.table == "filesystem" && !r.report)
    {
        for glob in &rule.globs {
            for path in expand(glob, rule.id.as_str())? {
                names.entry(path).or_insert_with(|| rule.id.to_string());
            }
        }
    }
    let mut items: BTreeMap<PathBuf, Item> = BTreeMap::new();
    for (at, source, because) in fixed(request) {
        items.insert(
            at.clone(),
            Item {
                at,
                source,
                because: because.into(),
            },
        );
    }
    for (path, because) in names {
        if let Some(source) = source(request, &path)? {
            items.insert(
                path.clone(),
                Item {
                    at: path,
                    source,
                    because,
                },
            );
        }
    }
    items.remove(Path::new("/"));
    let all = items.clone();
    let needed = |item: &Item| !is_given(item, nearest(&all, &item.at));
    Ok(items.into_values().filter(needed).collect())
}

/// The item that stands at the nearest directory above.
fn nearest<'i>(items: &'i BTreeMap<PathBuf, Item>, path: &Path) -> Option<&'i Item> {
    path.ancestors().skip(1).find_map(|a| items.get(a))
}

/// Whether the item above shows the same already: one mount less. Below a link nothing can
/// stand; what its target shows has items of its own.
fn is_given(item: &Item, above: Option<&Item>) -> bool {
    let Some(above) = above else { return false };
    match (&item.source, &above.source) {
        (_, Source::Symlink { .. }) => true,
        (
            Source::Host { path, writable },
            Source::Host {
                path: tree,
                writable: w,
            },
        ) => writable == w && item.at.strip_prefix(&above.at).ok() == path.strip_prefix(tree).ok(),
        (Source::Symlink { .. }, Source::Host { .. }) => true,
        _ => false,
    }
}

/// What stands at one name that some rule speaks of.
fn source(request: &Request<'_>, path: &Path) -> Result<Option<Source>, CompileError> {
    let policy = request.policy;
    let Ok(found) = path.symlink_metadata() else {
        // an empty directory of its own needs nothing on the host
        let own = policy
            .of("filesystem", "private")
            .flat_map(|r| &r.globs)
            .any(|g| g.literal().as_deref() == Some(path));
        return Ok(own.then_some(Source::Private { mode: 0o700 }));
    };
    let decide = |operation| policy.verdict(&Access::File { operation, path }) == Verdict::Allow;
    if !decide(FileOperation::Read) {
        return Ok(Some(Source::Masked {
            directory: found.is_dir(),
        }));
    }
    if found.is_symlink() {
        let target = path.read_link().map_err(|error| CompileError::Look {
            path: path.into(),
            error,
        })?;
        return Ok(Some(Source::Symlink { target }));
    }
    let children = found.is_dir()
        && policy.rules().iter().any(|r| {
            r.key.name == "protect" && !r.report && r.globs.iter().any(|g| holds_all_of(g, path))
        });
    if !decide(FileOperation::Write) || children {
        return Ok(Some(Source::Host {
            path: path.into(),
            writable: false,
        }));
    }
    Ok(Some(match governing(policy, path) {
        Some("private") => Source::Private { mode: 0o700 },
        Some("overlay") if found.is_dir() => {
            let (upper, work) =
                (request.overlays)(path).map_err(|error| CompileError::Overlay {
                    path: path.into(),
                    error,
                })?;
            Source::Overlay {
                lower: path.into(),
                upper,
                work,
            }
        }
        Some("overlay") => Source::Host {
            path: path.into(),
            writable: false,
        },
        _ => Source::Host {
            path: path.into(),
            writable: true,
        },
    }))
}

/// `X/*` or `X/**`: the directory is held rather than each file in it.
fn holds_all_of(glob: &Glob, directory: &Path) -> bool {
    glob.covers(&directory.join("\u{1}any")) && !glob.covers(directory)
}

/// Which key makes the path writable, by specificity and layer.
fn governing<'p>(policy: &'p Policy, path: &Path) -> Option<&'p str> {
    policy
        .rules()
        .iter()
        .filter(|r| {
            matches!(
                (r.key.table, r.key.name),
                ("filesystem", "write" | "private" | "overlay")
            )
        })
        .flat_map(|r| {
            r.globs
                .iter()
                .filter(|g| g.covers(path))
                .map(move |g| (g.specificity(), r.rank, r.key.name))
        })
        .max()
        .map(|(_, _, name)| name)
}

/// Existing names that a pattern matches; of `X/*` and `X/**` the directory X itself.
fn expand(glob: &Glob, rule: &str) -> Result<Vec<PathBuf>, CompileError> {
    if let Some(path) = glob.literal() {
        return Ok(vec![path]);
    }
    let root = glob.root();
    if holds_all_of(glob, &root) {
        return Ok(if root.is_dir() { vec![root] } else { vec![] });
    }
    let (mut out, mut seen, mut folders) = (Vec::new(), 0, vec![root]);
    while let Some(folder) = folders.pop() {
        // a directory that the user can't list shows the session nothing either
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > LOOK_AT {
                return Err(CompileError::TooMany { rule: rule.into() });
            }
            let path = entry.path();
            let directory = entry.file_type().is_ok_and(|t| t.is_dir());
            if glob.covers(&path) || (directory && holds_all_of(glob, &path)) {
                out.push(path);
            } else if directory && glob.reaches_below(&path) {
                folders.push(path);
            }
        }
    }
    Ok(out)
}

/// What every session has, whatever the policy (D5).
fn fixed(request: &Request<'_>) -> Vec<(PathBuf, Source, &'static str)> {
    let context = &request.policy.context;
    let mut out: Vec<(PathBuf, Source, &'static str)> = vec![
        ("/proc".into(), Source::Proc, "the session's own processes"),
        (
            "/sys".into(),
            if request
                .policy
                .setting("network.namespace")
                .is_some_and(|s| s.value == "host")
            {
                Source::Host {
                    path: "/sys".into(),
                    writable: false,
                }
            } else {
                Source::Sys
            },
            "hardware, read-only",
        ),
        ("/dev/pts".into(), Source::DevPts, "terminals of its own"),
        (
            "/dev/shm".into(),
            Source::Private { mode: 0o1777 },
            "shared memory of its own",
        ),
        (
            "/dev/ptmx".into(),
            Source::Symlink {
                target: "pts/ptmx".into(),
            },
            "terminals of its own",
        ),
        (
            "/dev/fd".into(),
            Source::Symlink {
                target: "/proc/self/fd".into(),
            },
            "descriptors by name",
        ),
        (
            "/dev/stdin".into(),
            Source::Symlink {
                target: "/proc/self/fd/0".into(),
            },
            "descriptors by name",
        ),
        (
            "/dev/stdout".into(),
            Source::Symlink {
                target: "/proc/self/fd/1".into(),
            },
            "descriptors by name",
        ),
        (
            "/dev/stderr".into(),
            Source::Symlink {
                target: "/proc/self/fd/2".into(),
            },
            "descriptors by name",
        ),
        (
            "/tmp".into(),
            Source::Private { mode: 0o1777 },
            "temporary files of its own",
        ),
        (
            "/var/tmp".into(),
            Source::Private { mode: 0o1777 },
            "temporary files of its own",
        ),
        (
            "/run".into(),
            Source::Private { mode: 0o755 },
            "no sockets of the host",
        ),
        (
            "/var/run".into(),
            Source::Symlink {
                target: "/run".into(),
            },
            "as everywhere",
        ),
    ];
    for name in DEVICES {
        let path = Path::new("/dev").join(name);
        out.push((
            path.clone(),
            Source::Device { path },
            "a device that every program needs",
        ));
    }
    let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
    let (home, user) = (context.home.display(), &request.user);
    let texts = [
        (
            "/etc/passwd",
            format!(
                "{user}:x:{uid}:{gid}:{user}:{home}:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
            ),
        ),
        ("/etc/group", format!("{user}:x:{gid}:\nnogroup:x:65534:\n")),
        (
            "/etc/hosts",
            "127.0.0.1 localhost stockade\n::1 localhost ip6-localhost\n".into(),
        ),
        ("/etc/hostname", "stockade\n".into()),
        (
            "/etc/nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"
                .into(),
        ),
        (
            "/etc/resolv.conf",
            "# names are not answered in this session\n".into(),
        ),
        (
            "/etc/machine-id",
            "00000000000000000000000000000000\n".into(),
        ),
    ];
    out.extend(
        texts
            .into_iter()
            .map(|(at, text)| (at.into(), Source::Content { text }, "the session's own")),
    );
    out
}

fn environment(
    policy: &Policy,
    of_caller: &[(String, String)],
) -> (Vec<(String, String)>, Vec<String>) {
    let hit = |key: &str, name: &str| {
        policy
            .of("environment", key)
            .any(|r| matches(&r.text, name))
    };
    // named in full, a variable passes whatever drops it by pattern
    let named = |name: &str| policy.of("environment", "pass").any(|r| r.text == name);
    let (mut passed, mut dropped) = (BTreeMap::new(), Vec::new());
    for (name, value) in of_caller {
        if named(name) || (hit("pass", name) && !hit("drop", name) && !holds_password(value)) {
            passed.insert(name.clone(), value.clone());
        } else {
            dropped.push(name.clone());
        }
    }
    passed.insert("STOCKADE".into(), "1".into());
    passed.insert("TMPDIR".into(), "/tmp".into());
    for rule in policy.of("environment", "set") {
        if let Some((name, value)) = rule.text.split_once('=') {
            passed.insert(name.into(), value.into());
        }
    }
    (passed.into_iter().collect(), dropped)
}

/// `scheme://user:password@host`
fn holds_password(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        rest.split(['/', ' ']).next().is_some_and(|authority| {
            authority
                .split_once('@')
                .is_some_and(|(user, _)| user.contains(':'))
        })
    })
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len()).any(|n| rest.is_char_boundary(n) && matches(tail, &rest[n..]))
        }),
    }
}

fn find(command: &str, path: &str, directory: &Path) -> Result<PathBuf, CompileError> {
    if command.contains('/') {
        return Ok(directory.join(command));
    }
    path.split(':')
        .map(|d| directory.join(d).join(command))
        .find(|p| nix::unistd::access(p, nix::unistd::AccessFlags::X_OK).is_ok() && p.is_file())
        .ok_or_else(|| CompileError::NotFound(command.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_match_by_star() {
        assert!(
            matches("*TOKEN*", "GH_TOKEN_X")
                && matches("*", "A")
                && matches("LC_*", "LC_ALL")
                && !matches("*_KEY", "KEYS")
        );
    }

    #[test]
    fn urls_with_passwords_are_secrets() {
        assert!(
            holds_password("postgres://u:p@h/db")
                && !holds_password("https://h/a@b:c")
                && !holds_password("git@h:x")
        );
    }
}
