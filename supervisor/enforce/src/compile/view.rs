//! The view at level `namespaces`: what stands at each path of the session.

use super::names::names;
use super::resolve::{Resolver, Write};
use super::tree::Kind;
use super::{CompileError, OWN, Request};
use crate::backend::view::SYS_MASKED;
use crate::facts::UNIX_ABI;
use crate::plan::{Item, Source};
use crate::sockets::Socket;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use stockade_policy::Policy;

/// Devices of every session (D5).
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

type Items = BTreeMap<PathBuf, Item>;

fn put(items: &mut Items, at: PathBuf, source: Source, because: &str) {
    let item = Item {
        at: at.clone(),
        source,
        because: because.into(),
    };
    items.insert(at, item);
}

pub fn variables(request: &Request<'_>, environment: &mut BTreeMap<OsString, OsString>) {
    environment.insert("TMPDIR".into(), "/tmp".into());
    environment.insert("STOCKADE_OWN".into(), OWN.into());
    if request.program.is_some() {
        // last, so that nothing of the user's is shadowed
        let path = environment.entry("PATH".into()).or_default();
        path.push(format!(":{OWN}/bin"));
    }
}

pub fn view(request: &Request<'_>) -> Result<Vec<Item>, CompileError> {
    let Request { policy, tree, .. } = request;
    let resolver = Resolver::new(policy);
    directories(request, &resolver)?;
    let mut items = Items::new();
    let always = fixed(request).into_iter().chain(host_sys(request));
    for (at, source, because) in always.chain(texts(request)) {
        put(&mut items, at, source, because);
    }
    for (path, because) in names(policy, *tree, &["filesystem"])? {
        let Some(at) = place(request, &path) else {
            continue;
        };
        if let Some(source) = source(request, &resolver, &path) {
            put(&mut items, at, source, &because);
        }
    }
    for rule in policy.paths("network", "unix") {
        for path in super::expand(&rule.glob, true, rule.id.as_str(), *tree)? {
            if let Some(real) = tree.real(&path) {
                let source = Source::Host {
                    path: real,
                    writable: false,
                };
                put(&mut items, path, source, rule.id.as_str());
            }
        }
    }
    for at in request.copies {
        let of_host = matches!(
            nearest(&items, at).map(|i| &i.source),
            Some(Source::Host { .. } | Source::Overlay { .. })
        );
        if let Some(path) = tree.real(at).filter(|_| !of_host) {
            let source = Source::Copy { path, mode: 0o600 };
            put(
                &mut items,
                at.clone(),
                source,
                "its program replaces it by rename",
            );
        }
    }
    own(request, &mut items);
    cover_sockets(request, &mut items);
    items.remove(Path::new("/"));
    let all = items.clone();
    let needed = |item: &Item| {
        let link = tree.kind(&item.at) == Some(Kind::Link);
        !is_given(item, link, nearest(&all, &item.at))
    };
    let mut out = Vec::new();
    for item in items.into_values().filter(needed) {
        if has_place(request, &item, nearest(&all, &item.at))? {
            out.push(item);
        }
    }
    Ok(out)
}

/// Of `private` and `overlay` a file would stay the host's.
fn directories(request: &Request<'_>, resolver: &Resolver<'_>) -> Result<(), CompileError> {
    let rules = ["private", "overlay"].map(|key| request.policy.paths("filesystem", key));
    for rule in rules.into_iter().flatten() {
        for path in super::expand(&rule.glob, false, rule.id.as_str(), request.tree)? {
            let kind = request.tree.kind(&path);
            let file = matches!(kind, Some(Kind::File | Kind::Special));
            if file && matches!(resolver.write(&path), Write::Private | Write::Overlay) {
                return Err(CompileError::NotADirectory {
                    rule: rule.id.to_string(),
                    path: path.display().to_string(),
                });
            }
        }
    }
    Ok(())
}

/// Below the host's tree only what exists can be mounted over, below what is hidden nothing. What
/// is shown by way of a link in such a tree is seen, or not, by its own name.
fn has_place(
    request: &Request<'_>,
    item: &Item,
    above: Option<&Item>,
) -> Result<bool, CompileError> {
    let (rule, path) = (item.because.clone(), item.at.display().to_string());
    let parent = item.at.parent();
    match above.map(|above| (&above.source, &above.at)) {
        Some((Source::Masked { .. }, at)) => Err(CompileError::Hidden {
            rule,
            path,
            above: at.display().to_string(),
        }),
        Some((Source::Host { .. } | Source::Overlay { .. }, _)) => match &item.source {
            _ if request.tree.kind(&item.at).is_none() => Err(CompileError::NoPlace { rule, path }),
            Source::Host { path: real, .. } if real.parent() != parent => Ok(false),
            Source::Host { .. } => Ok(true),
            _ if parent.and_then(|p| request.tree.real(p)).as_deref() != parent => {
                Err(CompileError::BehindLink { rule, path })
            }
            _ => Ok(true),
        },
        Some(_) | None => Ok(true),
    }
}

/// Where a name is held. By way of a link in a workspace it is held where the link leads, when that
/// is in a workspace too; what it leads to elsewhere is seen, or not, by its own name.
fn place(request: &Request<'_>, path: &Path) -> Option<PathBuf> {
    let inside = |p: &Path| request.policy.context.in_workspace(p);
    let above = path.parent().filter(|above| inside(above));
    match above.and_then(|above| request.tree.real(above)) {
        Some(real) if Some(real.as_path()) != above => {
            inside(&real).then(|| real.join(path.file_name().unwrap_or_default()))
        }
        Some(_) | None => Some(path.to_owned()),
    }
}

/// The item that stands at the nearest directory above.
fn nearest<'i>(items: &'i Items, path: &Path) -> Option<&'i Item> {
    path.ancestors().skip(1).find_map(|a| items.get(a))
}

/// Whether the item above shows the same already: one mount less. Below a link nothing can
/// stand; what its target shows has items of its own.
fn is_given(item: &Item, link: bool, above: Option<&Item>) -> bool {
    let Some(above) = above else { return false };
    match (&item.source, &above.source) {
        (_, Source::Symlink { .. }) => true,
        // nothing can be mounted over a link: what it leads to is held, or shown, by its own name
        (_, Source::Host { .. } | Source::Overlay { .. }) if link => true,
        (
            Source::Host { path, writable },
            Source::Host {
                path: tree,
                writable: w,
            },
        ) => writable == w && item.at.strip_prefix(&above.at).ok() == path.strip_prefix(tree).ok(),
        _ => false,
    }
}

/// What stands at one name that some rule speaks of.
fn source(request: &Request<'_>, resolver: &Resolver<'_>, path: &Path) -> Option<Source> {
    let Request { policy, tree, .. } = request;
    let private = || Source::Private {
        mode: 0o700,
        noexec: denies_written(policy),
    };
    let Some(kind) = tree.kind(path) else {
        // an empty directory of its own needs nothing on the host
        return resolver.is_private(path).then(private);
    };
    if !resolver.read(path) {
        // in a directory of the session's own nothing of the host is there to be hidden
        let above = path.parent().unwrap_or(path);
        if resolver.write(above) == Write::Private {
            return None;
        }
        return Some(Source::Masked {
            directory: kind == Kind::Directory,
        });
    }
    if !resolver.shows(path) {
        // below a private directory a name shows nothing of the host, whatever is refused there
        let above = path.parent().unwrap_or(path);
        return match resolver.write(path) {
            Write::Private => (kind == Kind::Directory).then(private),
            _ if resolver.write(above) == Write::Private => (kind == Kind::Directory).then(private),
            Write::No | Write::Host | Write::Overlay => Some(Source::Masked {
                directory: kind == Kind::Directory,
            }),
        };
    }
    if kind == Kind::Link {
        return link(request, resolver, path);
    }
    // no part of it is a link when the plan is made, and none may be one when it is opened
    let real = tree.real(path)?;
    let host = |writable| Source::Host {
        path: real.clone(),
        writable,
    };
    let directory = kind == Kind::Directory;
    // a file in an overlaid directory is that one's
    let is_overlaid = |above: &Path| resolver.write(above) == Write::Overlay;
    Some(match resolver.write(path) {
        Write::No => host(false),
        Write::Host => host(true),
        Write::Private => private(),
        Write::Overlay if directory => {
            let (upper, work) = (request.overlays)(path);
            Source::Overlay {
                lower: real.clone(),
                upper,
                work,
                noexec: denies_written(policy),
            }
        }
        Write::Overlay if path.parent().is_some_and(is_overlaid) => return None,
        Write::Overlay => host(false),
    })
}

/// A link stays one where its target is visible or hidden by a rule; a start-up file that is kept
/// elsewhere and linked into the home is shown itself. Not in a workspace: who writes there could
/// point it anywhere.
fn link(request: &Request<'_>, resolver: &Resolver<'_>, path: &Path) -> Option<Source> {
    let target = request.tree.target(path)?;
    let in_workspace = |p: &Path| request.policy.context.in_workspace(p);
    let real = request.tree.real(path).filter(|real| {
        let elsewhere = !resolver.shows(real) && !resolver.hidden(real);
        elsewhere && !in_workspace(path) && !in_workspace(real) && real != Path::new("/")
    });
    Some(match real {
        Some(path) => Source::Host {
            path,
            writable: false,
        },
        None => Source::Symlink { target },
    })
}

fn denies_written(policy: &Policy) -> bool {
    policy
        .setting("exec.written")
        .is_some_and(|s| s.value != "allow")
}

/// Sockets of the host that are bound now and can be seen, unless a rule names them.
fn cover_sockets(request: &Request<'_>, items: &mut Items) {
    if request.facts.landlock_abi >= UNIX_ABI {
        return;
    }
    let (mut found, mut lost) = (Vec::new(), BTreeSet::new());
    for Socket { path, inode } in &request.facts.sockets {
        let real = Some(path).filter(|p| p.is_absolute());
        let real = real.and_then(|p| request.tree.real(p));
        let there = real.and_then(|real| Some((request.tree.socket(&real)?, real)));
        match (there, inode) {
            (Some(((own, names), real)), _) if inode.is_none_or(|i| i == own) => {
                found.push(real);
                lost.extend((names > 1).then_some(own));
            }
            (_, Some(inode)) => {
                lost.insert(*inode);
            }
            (_, None) => {}
        }
    }
    if !lost.is_empty() {
        found.extend(search(request, items, &lost));
    }
    let rules = request.policy.paths("network", "unix");
    for path in found {
        // named itself it has a place already; below a directory that a rule names it has none
        if rules.iter().any(|rule| rule.glob.covers(&path)) {
            continue;
        }
        let visible = matches!(
            nearest(items, &path).map(|i| &i.source),
            Some(Source::Host { .. })
        );
        if visible && !items.contains_key(&path) {
            let source = Source::Masked { directory: false };
            put(items, path, source, "a socket of the host is bound here");
        }
    }
}

/// Names looked at to find sockets that are not where they were bound: 0.11 s in an unoptimized build.
const LOOK_AT: usize = 100_000;

/// In what the session may write, the nearest names first: there a program of the user's works.
fn search(request: &Request<'_>, items: &Items, lost: &BTreeSet<u32>) -> Vec<PathBuf> {
    let writable = |item: &&Item| matches!(&item.source, Source::Host { path, writable: true } if *path == item.at);
    let roots = items.values().filter(writable);
    let mut folders: VecDeque<PathBuf> = roots.map(|i| i.at.clone()).collect();
    let (mut out, mut seen) = (Vec::new(), 0);
    while let Some(folder) = folders.pop_front() {
        for (path, kind) in request.tree.list(&folder).iter() {
            seen += 1;
            if seen > LOOK_AT {
                return out;
            }
            let found = || request.tree.socket(path);
            match kind {
                // what has an item of its own is a root itself, or shows something else
                Kind::Directory if is_shown(items, path) => folders.push_back(path.clone()),
                Kind::Special if found().is_some_and(|(inode, _)| lost.contains(&inode)) => {
                    out.push(path.clone());
                }
                _ => {}
            }
        }
    }
    out
}

/// As it is on the host, and not by a writable item of its own.
fn is_shown(items: &Items, path: &Path) -> bool {
    match items.get(path).map(|i| &i.source) {
        None => true,
        Some(Source::Host { writable, .. }) => !writable,
        Some(_) => false,
    }
}

/// What the session may know about itself.
fn own(request: &Request<'_>, items: &mut Items) {
    for (name, text) in request.texts {
        let source = Source::Content { text: text.clone() };
        put(
            items,
            Path::new(OWN).join(name),
            source,
            "what is allowed here",
        );
    }
    if let Some(program) = &request.program {
        let source = Source::Host {
            path: program.clone(),
            writable: false,
        };
        let at = Path::new(OWN).join("bin/stockade");
        put(items, at, source, "`stockade why` inside");
    }
}

/// What every session has, whatever the policy (D5).
fn fixed(request: &Request<'_>) -> Vec<(PathBuf, Source, &'static str)> {
    let link = |at: &str, target: &str| {
        (
            at.into(),
            Source::Symlink {
                target: target.into(),
            },
        )
    };
    let private = |at: &str, mode| {
        (
            at.into(),
            Source::Private {
                mode,
                noexec: denies_written(request.policy),
            },
        )
    };
    // a new sysfs needs a network namespace of its own
    let sys = if request.host_network() {
        Source::Host {
            path: "/sys".into(),
            writable: false,
        }
    } else {
        Source::Sys
    };
    let rows: Vec<((PathBuf, Source), &'static str)> = vec![
        (
            ("/proc".into(), Source::Proc),
            "the session's own processes",
        ),
        (("/sys".into(), sys), "hardware, read-only"),
        (("/dev/pts".into(), Source::DevPts), "terminals of its own"),
        (link("/dev/ptmx", "pts/ptmx"), "terminals of its own"),
        (link("/dev/fd", "/proc/self/fd"), "descriptors by name"),
        (link("/dev/stdin", "/proc/self/fd/0"), "descriptors by name"),
        (
            link("/dev/stdout", "/proc/self/fd/1"),
            "descriptors by name",
        ),
        (
            link("/dev/stderr", "/proc/self/fd/2"),
            "descriptors by name",
        ),
        (private("/dev/shm", 0o1777), "shared memory of its own"),
        (private("/tmp", 0o1777), "temporary files of its own"),
        (private("/var/tmp", 0o1777), "temporary files of its own"),
        (private("/run", 0o755), "no sockets of the host"),
        (link("/var/run", "/run"), "as everywhere"),
    ];
    let devices = DEVICES.iter().map(|name| {
        let path = Path::new("/dev").join(name);
        (
            path.clone(),
            Source::Device { path },
            "a device that every program needs",
        )
    });
    rows.into_iter()
        .map(|((at, source), because)| (at, source, because))
        .chain(devices)
        .collect()
}

/// Where /sys is the host's, what a new one would have masked.
fn host_sys(request: &Request<'_>) -> Vec<(PathBuf, Source, &'static str)> {
    if !request.host_network() {
        return Vec::new();
    }
    let paths = SYS_MASKED.iter().map(|name| Path::new("/sys").join(name));
    let there = paths.filter(|p| request.tree.kind(p) == Some(Kind::Directory));
    let mask = Source::Masked { directory: true };
    there
        .map(|path| (path, mask.clone(), "not a session's business"))
        .collect()
}

/// passwd and group: the user, and root, whom programs look up by name whoever they run as.
fn users(request: &Request<'_>) -> (String, String) {
    let (uid, gid) = (request.facts.uid, request.facts.gid);
    let (user, group) = (&request.user, &request.group);
    let home = request.policy.context.home.display();
    let shell = request
        .environment
        .passed
        .get(OsStr::new("SHELL"))
        .and_then(|s| s.to_str())
        // it must not add lines or fields
        .filter(|s| s.starts_with('/') && !s.contains(|c: char| c == ':' || c.is_control()))
        .unwrap_or("/bin/sh");
    let root = |id: u32, line| if id == 0 { "" } else { line };
    let root_user = root(uid, "root:x:0:0:root:/root:/usr/sbin/nologin\n");
    let root_group = root(gid, "root:x:0:\n");
    (
        format!(
            "{user}:x:{uid}:{gid}:{user}:{home}:{shell}\n{root_user}nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        ),
        format!("{group}:x:{gid}:\n{root_group}nogroup:x:65534:\n"),
    )
}

/// Files of /etc that are the session's own: users may come from a service that is not there.
fn texts(request: &Request<'_>) -> Vec<(PathBuf, Source, &'static str)> {
    let (passwd, group) = users(request);
    let mut rows = vec![
        ("/etc/passwd", passwd),
        ("/etc/group", group),
        ("/etc/hostname", "stockade\n".into()),
        ("/etc/machine-id", format!("{}\n", "0".repeat(32))),
        (
            "/etc/nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"
                .into(),
        ),
    ];
    let mut out = Vec::new();
    for path in ["/etc/hosts", "/etc/resolv.conf"] {
        match request
            .tree
            .real(Path::new(path))
            .filter(|_| request.host_network())
        {
            Some(real) => out.push((
                path.into(),
                Source::Host {
                    path: real,
                    writable: false,
                },
                "names of the host's network",
            )),
            None if path == "/etc/hosts" => rows.push((
                path,
                "127.0.0.1 localhost stockade\n::1 localhost ip6-localhost\n".into(),
            )),
            None => rows.push((path, "# names are not answered in this session\n".into())),
        }
    }
    let text =
        |(at, text): (&str, String)| (at.into(), Source::Content { text }, "the session's own");
    out.extend(rows.into_iter().map(text));
    out.extend(owned_by_root(request));
    out
}

/// ssh insists that root or the user owns its configuration: here nobody is root.
fn owned_by_root(request: &Request<'_>) -> Vec<(PathBuf, Source, &'static str)> {
    let mut files = vec![PathBuf::from("/etc/ssh/ssh_config")];
    let more = request.tree.list(Path::new("/etc/ssh/ssh_config.d"));
    files.extend(more.iter().map(|(p, _)| p.clone()));
    let exists = |p: &PathBuf| request.tree.kind(p) == Some(Kind::File);
    let copy = |path: PathBuf| {
        (
            path.clone(),
            Source::Copy { path, mode: 0o444 },
            "its owner must be the user or root",
        )
    };
    files.into_iter().filter(exists).map(copy).collect()
}
