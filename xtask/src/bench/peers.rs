//! Other sandboxes, from packages, as equal to the preset `agent` as they can be made: writes in the
//! workspace only, no network. What is not equal is said below the table; one that can't be had here is
//! named with the reason.

use super::place::{Place, make};
use super::ways::{Kind, Way};
use crate::packages;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What of the system is readable, for peers that are told so path by path.
const SYSTEM: &[&str] = &["/bin", "/etc", "/lib", "/lib64", "/proc", "/usr"];

enum Source {
    /// Package and command.
    Debian(&'static str, &'static str),
    /// Package, version, command, and Debian packages that it calls.
    Npm(
        &'static str,
        &'static str,
        &'static str,
        &'static [&'static str],
    ),
    /// Crate, version, command.
    Crate(&'static str, &'static str, &'static str),
}

struct Peer {
    name: &'static str,
    source: Source,
    /// What comes before the command.
    words: fn(&Place, &Path) -> Result<Vec<String>, String>,
    not_equal: &'static str,
}

const PEERS: &[Peer] = &[
    Peer {
        name: "firejail",
        source: Source::Debian("firejail", "firejail"),
        words: firejail,
        not_equal: "setuid root; the host's tree read-only instead of a view of its own, the home visible",
    },
    Peer {
        name: "sandbox-runtime",
        source: Source::Npm(
            "@anthropic-ai/sandbox-runtime",
            "0.0.83",
            "srt",
            &["ripgrep", "socat"],
        ),
        words: sandbox_runtime,
        not_equal: "node and bubblewrap; the host's tree read-only but for the home; starts its proxies and \
                    a shell",
    },
    Peer {
        name: "Codex's sandbox",
        source: Source::Npm("@openai/codex", "0.171.0", "codex", &[]),
        words: codex,
        not_equal: "node, then its own bubblewrap; the host's tree read-only, the home visible",
    },
    Peer {
        name: "sandlock",
        source: Source::Crate("sandlock-cli", "0.9.0", "sandlock"),
        words: sandlock,
        not_equal: "no mounts: Landlock, and a supervisor that is asked at each open",
    },
];

fn firejail(place: &Place, program: &Path) -> Result<Vec<String>, String> {
    let writable = format!("--read-write={}", place.beside().display());
    Ok(words(&[
        &program.display().to_string(),
        "--quiet",
        "--noprofile",
        "--net=none",
        "--caps.drop=all",
        "--nonewprivs",
        "--seccomp",
        "--private-dev",
        "--read-only=/",
        &writable,
        "--",
    ]))
}

fn sandbox_runtime(place: &Place, program: &Path) -> Result<Vec<String>, String> {
    let settings = serde_json::json!({
        "network": { "allowedDomains": [], "deniedDomains": [] },
        "filesystem": {
            "denyRead": [place.at("home")],
            "allowWrite": [place.beside(), "/dev/null", "/dev/tty"],
            "denyWrite": [],
        },
    });
    place.write("files/srt.json", &settings.to_string())?;
    let settings = place.at("files/srt.json").display().to_string();
    let program = program.display().to_string();
    Ok(words(&[&program, "--settings", &settings, "--"]))
}

fn codex(_: &Place, program: &Path) -> Result<Vec<String>, String> {
    // refused below /tmp, where the place lies
    let home = cache().join("codex-home");
    make(&home)?;
    let home = format!("CODEX_HOME={}", home.display());
    Ok(words(&[
        "/usr/bin/env",
        &home,
        &program.display().to_string(),
        "sandbox",
        "-c",
        "sandbox_mode=\"workspace-write\"",
        "-c",
        "sandbox_workspace_write.exclude_slash_tmp=true",
        "-c",
        "sandbox_workspace_write.exclude_tmpdir_env_var=true",
        "--",
    ]))
}

fn sandlock(place: &Place, program: &Path) -> Result<Vec<String>, String> {
    let program = program.display().to_string();
    let work = place.beside().display().to_string();
    let mut all = words(&[&program, "run", "-w", &work]);
    all.extend(SYSTEM.iter().flat_map(|path| words(&["-r", path])));
    all.push("--".into());
    Ok(all)
}

fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(|w| (*w).to_owned()).collect()
}

/// Looked at in November 2026 on Debian 12, and not built from its package there.
const ABSENT: &[&str] = &[
    "nono 0.81.0: not measured: its lock file names webpki-roots 1.0.11, which could not be had",
    "syd 3.59.0: not measured: its allocator, hardened_malloc, needs a compiler that knows C23's `constexpr`",
];

/// Those that can be had, and a note on each.
pub fn ways(place: &Place, yes: bool) -> (Vec<Way<'_>>, Vec<String>) {
    let mut ways = Vec::new();
    let mut notes: Vec<String> = ABSENT.iter().map(|a| (*a).to_owned()).collect();
    for peer in PEERS {
        let Peer {
            name,
            source,
            words,
            not_equal,
        } = peer;
        let found = installed(source, yes)
            .and_then(|program| Ok((version(source, &program)?, words(place, &program)?)));
        match found {
            Ok((version, before)) => {
                notes.push(format!("{name} {version}: {not_equal}"));
                ways.push(Way::new(name, Kind::Peer, move |command| {
                    let mut start = place.command(Path::new(&before[0]));
                    start
                        .current_dir(place.beside())
                        .args(&before[1..])
                        .args(command);
                    Ok(start.into())
                }));
            }
            Err(why) => notes.push(format!("{name}: not measured: {why}")),
        }
    }
    (ways, notes)
}

/// Installed once for each version, outside of the checkout, where every user may read it.
fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    let cache = if nix::unistd::geteuid().is_root() {
        PathBuf::from("/var/cache")
    } else {
        home()
    };
    cache.join("stockade-tests")
}

fn installed(source: &Source, yes: bool) -> Result<PathBuf, String> {
    match *source {
        Source::Debian(package, command) => {
            packages::ensure(&[package], yes)?;
            packages::on_path(command).ok_or_else(|| format!("{command} is not on PATH"))
        }
        Source::Npm(package, version, command, needs) => {
            packages::ensure(needs, yes)?;
            let folder = cache().join(format!("bench-{command}-{version}"));
            once(&folder, || {
                let mut npm = Command::new("npm");
                npm.args([
                    "install",
                    "--no-audit",
                    "--no-fund",
                    "--loglevel=error",
                    "--prefix",
                ])
                .arg(&folder)
                .arg(format!("{package}@{version}"));
                npm
            })?;
            Ok(folder.join("node_modules/.bin").join(command))
        }
        Source::Crate(name, version, command) => {
            let folder = cache().join(format!("bench-{command}-{version}"));
            once(&folder, || {
                let mut cargo = Command::new("cargo");
                cargo
                    .args(["install", "--quiet", "--locked", "--root"])
                    .arg(&folder)
                    .arg(format!("{name}@{version}"));
                cargo
            })?;
            Ok(folder.join("bin").join(command))
        }
    }
}

/// What could not be installed is not tried again: a crate takes minutes to fail.
fn once(folder: &Path, install: impl FnOnce() -> Command) -> Result<(), String> {
    let (complete, failed) = (folder.join("complete"), folder.join("failed"));
    if complete.exists() {
        return Ok(());
    }
    if let Ok(why) = std::fs::read_to_string(&failed) {
        return Err(why);
    }
    make(folder)?;
    let mut command = install();
    eprintln!("bench: {command:?}");
    let out = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{command:?}: {e}"))?;
    let errors = String::from_utf8_lossy(&out.stderr);
    let why = errors
        .lines()
        .find(|line| line.contains("error"))
        .unwrap_or("it says nothing");
    let (file, text) = if out.status.success() {
        (complete, String::new())
    } else {
        let name = command.get_program().display();
        (failed, format!("{name} could not install it: {why}"))
    };
    std::fs::write(&file, &text).map_err(|e| format!("{}: {e}", file.display()))?;
    if text.is_empty() { Ok(()) } else { Err(text) }
}

fn version(source: &Source, program: &Path) -> Result<String, String> {
    match *source {
        Source::Npm(_, version, ..) | Source::Crate(_, version, _) => Ok(version.to_owned()),
        Source::Debian(..) => {
            let text = super::ways::version(program)?;
            let first = text.lines().next().unwrap_or_default();
            Ok(first.rsplit(' ').next().unwrap_or_default().to_owned())
        }
    }
}
