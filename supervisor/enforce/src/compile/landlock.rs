//! Landlock rules: beside the mounts as a second wall, or alone.

use super::names::{self, LOOK_AT};
use super::resolve::{Resolver, Write};
use super::tree::Kind;
use super::{CompileError, Request};
use crate::backend::landlock::{SCOPES, TCP, known, right};
use crate::plan::{Beneath, Item, Landlock, Source};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Bound;
use std::path::{Path, PathBuf};

const READ: u64 = right::READ_FILE | right::READ_DIR;
const WRITE: u64 = right::WRITE_FILE | right::ENTRIES | right::REFER | right::TRUNCATE;

/// The host's own files that a session without mounts can't have copies of.
const SYSTEM: &[(&str, u64, &str)] = &[
    ("/proc", READ, "processes, with ptrace's checks"),
    ("/sys/devices/system", READ, "number of processors"),
    ("/sys/kernel/mm", READ, "sizes of pages"),
    ("/etc/passwd", READ, "names of users"),
    ("/etc/group", READ, "names of groups"),
    ("/etc/hosts", READ, "names of hosts"),
    ("/etc/hostname", READ, "the host's own name"),
    ("/etc/nsswitch.conf", READ, "how names are looked up"),
    ("/etc/resolv.conf", READ, "how names are looked up"),
    ("/etc/machine-id", READ, "as every program may"),
    ("/dev/fd", READ, "descriptors by name"),
    ("/dev/null", DEVICE, "a device that every program needs"),
    ("/dev/zero", DEVICE, "a device that every program needs"),
    ("/dev/full", DEVICE, "a device that every program needs"),
    ("/dev/random", DEVICE, "a device that every program needs"),
    ("/dev/urandom", DEVICE, "a device that every program needs"),
    ("/dev/tty", DEVICE, "the session's own terminal"),
];
const DEVICE: u64 = right::READ_FILE | right::WRITE_FILE | right::TRUNCATE | right::IOCTL_DEV;

/// Without it no program that is allowed would start.
const LOADERS: &[&str] = &[
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
];

/// Folders of the session, and the variables that lead programs there.
const FOLDERS: &[(&str, &str)] = &[
    ("TMPDIR", "tmp"),
    ("TMP", "tmp"),
    ("TEMP", "tmp"),
    ("CLAUDE_CODE_TMPDIR", "tmp"),
    ("XDG_RUNTIME_DIR", "run"),
    ("XDG_CACHE_HOME", "cache"),
    ("XDG_STATE_HOME", "state"),
    ("npm_config_cache", "cache/npm"),
    ("PIP_CACHE_DIR", "cache/pip"),
    ("UV_CACHE_DIR", "cache/uv"),
    ("GOCACHE", "cache/go-build"),
    ("CCACHE_DIR", "cache/ccache"),
    ("PYTHONUSERBASE", "python"),
];

pub fn variables(request: &Request<'_>, environment: &mut BTreeMap<OsString, OsString>) {
    for (name, folder) in FOLDERS {
        let path = request.folder.join(folder);
        environment.insert((*name).into(), path.into());
    }
    let own = request.folder.join("own");
    let resolver = Resolver::new(request.policy);
    // shells stop at a program that is there and refused: what can't be read is not searched
    let readable = |dir: &PathBuf| {
        let real = request.tree.real(dir);
        real.is_some_and(|real| resolver.shows(&real))
    };
    let path = environment.entry("PATH".into()).or_default();
    let mut dirs: Vec<PathBuf> = std::env::split_paths(path).filter(readable).collect();
    if request.program.is_some() {
        dirs.push(own.join("bin")); // last, so that nothing of the user's is shadowed
    }
    // none holds a colon: they were split at them, and the folder's name is stockade's own
    *path = std::env::join_paths(dirs).unwrap_or_default();
    environment.insert("STOCKADE_OWN".into(), own.into());
}

struct Rules {
    known: u64,
    given: BTreeMap<PathBuf, (u64, String)>,
}

impl Rules {
    fn new(abi: u32) -> Self {
        Self {
            known: known(abi),
            given: BTreeMap::new(),
        }
    }

    fn give(&mut self, path: &Path, kind: Option<Kind>, rights: u64, because: &str) {
        // a device that may be written is there to be used
        let device = kind == Some(Kind::Special) || path.starts_with("/dev");
        let rights = if device && rights & right::WRITE_FILE != 0 {
            rights | right::IOCTL_DEV
        } else {
            rights
        };
        let fits = match kind {
            Some(Kind::Directory) => rights,
            Some(Kind::File | Kind::Special) => rights & right::OF_FILES,
            // what a link leads to has rules of its own
            Some(Kind::Link) | None => 0,
        } & self.known;
        if fits != 0 {
            let row = self
                .given
                .entry(path.into())
                .or_insert((0, because.to_owned()));
            row.0 |= fits;
        }
    }

    fn finish(self, files: u64, scopes: u64) -> Landlock {
        let files = files & self.known;
        let row = |(path, (rights, because))| Beneath {
            path,
            rights: rights & files,
            because,
        };
        let rules = self.given.into_iter().map(row).filter(|r| r.rights != 0);
        Landlock {
            files,
            network: 0,
            scopes,
            rules: rules.collect(),
        }
    }
}

fn scopes(abi: u32) -> u64 {
    if abi >= 6 { SCOPES } else { 0 }
}

fn asks_exec(request: &Request<'_>) -> bool {
    let denies = |key| request.policy.of("exec", key).next().is_some();
    !request.allows("exec.default") || denies("deny") || denies("ask")
}

/// At level `namespaces`: writes only where the view has them anyway, so that a hole in the view
/// is not enough. TRUNCATE and IOCTL_DEV are left to the mounts and devices, which hold them for
/// every path: they alone would make each open walk up.
pub fn beside(request: &Request<'_>, view: &[Item]) -> Result<Option<Landlock>, CompileError> {
    let abi = request.facts.landlock_abi;
    if abi == 0 {
        return Ok(None);
    }
    let mut rules = Rules::new(abi);
    // RESOLVE_UNIX is for sockets of processes outside alone, and rights add up downwards: given
    // for a private directory it would open the host's trees that are mounted below
    for item in view {
        let (kind, rights) = match &item.source {
            Source::Host {
                path,
                writable: true,
            } => (request.tree.kind(path), WRITE),
            Source::Private { .. } | Source::Overlay { .. } => (Some(Kind::Directory), WRITE),
            Source::Copy { .. } => (Some(Kind::File), WRITE),
            Source::Device { .. } => (Some(Kind::Special), right::WRITE_FILE),
            Source::Proc | Source::DevPts => (Some(Kind::Directory), right::WRITE_FILE),
            Source::Host { .. }
            | Source::Content { .. }
            | Source::Symlink { .. }
            | Source::Masked { .. }
            | Source::Sys => continue,
        };
        rules.give(&item.at, kind, rights, &item.because);
    }
    for rule in request.policy.paths("network", "unix") {
        for path in names::expand(&rule.glob, true, rule.id.as_str(), request.tree)? {
            rules.give(
                &path,
                request.tree.kind(&path),
                right::RESOLVE_UNIX,
                rule.id.as_str(),
            );
        }
    }
    let mut handled =
        right::WRITE_FILE | right::ENTRIES | right::DEVICES | right::REFER | right::RESOLVE_UNIX;
    // opened again by /proc/self/fd, a file that was passed read-only could be cut
    if request.files_passed {
        handled |= right::TRUNCATE;
    }
    if asks_exec(request) {
        handled |= right::EXECUTE;
        executables(request, &mut rules)?;
    }
    Ok(Some(rules.finish(handled, scopes(abi))))
}

/// At level `landlock`: every right that the kernel knows.
pub fn alone(request: &Request<'_>) -> Result<Landlock, CompileError> {
    let abi = request.facts.landlock_abi;
    let mut rules = Rules::new(abi);
    let resolver = Resolver::new(request.policy);
    let wanted = |path: &Path| {
        let read = if resolver.shows(path) { READ } else { 0 };
        let write = if resolver.write(path) == Write::Host {
            WRITE
        } else {
            0
        };
        read | write
    };
    spread(request, &mut rules, &["filesystem"], &wanted)?;
    for (path, rights, because) in SYSTEM {
        give_real(request, &mut rules, Path::new(path), *rights, because);
    }
    let mut own = |name: &str, rights| {
        let folder = request.folder.join(name);
        rules.give(&folder, Some(Kind::Directory), rights, "the session's own");
    };
    // what lies below another is that one's: the program that it is for makes it
    let outer = FOLDERS.iter().filter(|(_, name)| !name.contains('/'));
    for (_, name) in outer {
        own(name, READ | WRITE);
    }
    own("own", READ);
    if let Some(program) = &request.program {
        give_real(request, &mut rules, program, READ, "`stockade why` inside");
    }
    for rule in request.policy.paths("network", "unix") {
        for path in names::expand(&rule.glob, true, rule.id.as_str(), request.tree)? {
            give_real(
                request,
                &mut rules,
                &path,
                right::RESOLVE_UNIX,
                rule.id.as_str(),
            );
        }
    }
    let mut handled = known(abi);
    if asks_exec(request) {
        executables(request, &mut rules)?;
    } else {
        handled &= !right::EXECUTE;
    }
    let mut landlock = rules.finish(handled, scopes(abi));
    // beside the filter: what a session's own call would reach
    if abi >= 4 && !request.host_network() {
        landlock.network = TCP;
    }
    Ok(landlock)
}

fn executables(request: &Request<'_>, rules: &mut Rules) -> Result<(), CompileError> {
    let resolver = Resolver::new(request.policy);
    let wanted = |path: &Path| {
        if resolver.exec(path) {
            right::EXECUTE
        } else {
            0
        }
    };
    spread(request, rules, &["filesystem", "exec"], &wanted)?;
    for loader in LOADERS {
        give_real(
            request,
            rules,
            Path::new(loader),
            right::EXECUTE,
            "the dynamic loader",
        );
    }
    if let Some(program) = &request.program {
        give_real(
            request,
            rules,
            program,
            right::EXECUTE,
            "`stockade why` inside",
        );
    }
    Ok(())
}

fn give_real(request: &Request<'_>, rules: &mut Rules, path: &Path, rights: u64, because: &str) {
    if let Some(real) = request.tree.real(path) {
        rules.give(&real, request.tree.kind(&real), rights, because);
    }
}

/// Gives each name of the rules what it is to have. Rights add up along a path, so a name with
/// less than a directory above has it taken back by giving that directory's other entries one by
/// one: in trees that nobody writes to; in writable ones new names must be possible (`inside`).
fn spread(
    request: &Request<'_>,
    rules: &mut Rules,
    tables: &[&str],
    wanted: &dyn Fn(&Path) -> u64,
) -> Result<(), CompileError> {
    let tree = request.tree;
    let rows = rows(request, tables, wanted)?;
    let mut looked = 0;
    for (path, (rights, because)) in &rows {
        // sorted: what lies below a name follows it
        let less: BTreeMap<&Path, u64> = rows
            .range::<PathBuf, _>((Bound::Excluded(path), Bound::Unbounded))
            .take_while(|(p, _)| p.starts_with(path))
            .filter(|(_, (r, _))| rights & !r != 0)
            .map(|(p, (r, _))| (p.as_path(), *r))
            .collect();
        if less.is_empty() || rights & right::WRITE_FILE != 0 {
            rules.give(path, tree.kind(path), *rights, because);
            continue;
        }
        let mut folders = vec![path.clone()];
        while let Some(folder) = folders.pop() {
            for (child, kind) in tree.list(&folder).iter() {
                looked += 1;
                if looked > LOOK_AT {
                    return Err(CompileError::TooMany {
                        rule: because.clone(),
                    });
                }
                // what has less itself is left alone with all that is in it, whatever else has less there
                let from = (Bound::Included(child.as_path()), Bound::Unbounded);
                match less.range::<Path, _>(from).next() {
                    Some((l, _)) if *l == child => {}
                    Some((l, _)) if l.starts_with(child) => folders.push(child.clone()),
                    Some(_) | None => rules.give(child, Some(*kind), *rights, because),
                }
            }
            // names, not contents: a listing is given back where no directory below is hidden
            let below =
                less.range::<Path, _>((Bound::Included(folder.as_path()), Bound::Unbounded));
            let hides = below
                .take_while(|(l, _)| l.starts_with(&folder))
                .any(|(l, r)| r & right::READ_DIR == 0 && tree.kind(l) == Some(Kind::Directory));
            if !hides {
                rules.give(
                    &folder,
                    tree.kind(&folder),
                    rights & right::READ_DIR,
                    because,
                );
            }
        }
    }
    Ok(())
}

/// By its real name, what each name of the rules is to have, and the rule.
fn rows(
    request: &Request<'_>,
    tables: &[&str],
    wanted: &dyn Fn(&Path) -> u64,
) -> Result<BTreeMap<PathBuf, (u64, String)>, CompileError> {
    let (tree, context) = (request.tree, &request.policy.context);
    let names = names::names(request.policy, tree, tables)?;
    let resolver = Resolver::new(request.policy);
    let real = names.into_iter().filter_map(|(name, because)| {
        let real = tree.real(&name)?;
        // a link that the rules name shows what it leads to, unless that has rules of its own; not
        // one in a workspace: who wrote that chose where it leads
        let chosen = real != name && context.in_workspace(&name);
        let rights = match real == name || chosen || resolver.is_named(&name) {
            true => wanted(if chosen { &real } else { &name }),
            // it is protected, which says nothing of reading
            false => wanted(&real) & (READ | right::EXECUTE),
        };
        Some((real, (rights, because)))
    });
    let mut rows: BTreeMap<PathBuf, (u64, String)> = BTreeMap::new();
    for (path, (rights, because)) in real {
        let row = rows.entry(path).or_insert((rights, because));
        row.0 &= rights;
    }
    Ok(rows)
}
