//! From files and flags to the layers of a policy, and what its variables stand for.

use crate::agents;
use crate::cli::PolicyOptions;
use crate::exit::Failure;
use crate::found;
use crate::git;
use crate::installation;
use crate::output::{self, escaped};
use crate::own;
use crate::trust;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::AccessFlags;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use stockade_policy::{Context, Diagnostic, Layer, Lines, Policy, Source, Sources};

pub const PROJECT_FILE: &str = ".stockade.toml";

/// A policy file is read to this size at most; the parser's own bound is lower.
const MAX_BYTES: u64 = 16 << 20;

/// The merged policy of a session as the command line asks for it; inside a session its own.
pub fn policy(options: &PolicyOptions) -> Result<Policy, Failure> {
    match own::read() {
        Some((sources, context)) => build(&sources, context),
        None => {
            let context = context(&options.workspaces)?;
            let agent = agents::of(options.agent.as_deref(), OsStr::new(""))?
                .and_then(|agent| agent.layer(&agent.places(&context)));
            merged(options, &context, None, agent).map(|(policy, _)| policy)
        }
    }
}

/// The same with the layers it was merged from. `context` is resolved once: a link that is another
/// by now would make another directory the workspace than the one that was looked at.
pub fn merged(
    options: &PolicyOptions,
    context: &Context,
    command: Option<&OsStr>,
    agent: Option<Source>,
) -> Result<(Policy, Sources), Failure> {
    let mut sources = sources(options, context)?;
    let (layer, mut refused) = command.map_or((None, Vec::new()), |c| installation(c, context));
    sources.layers.splice(0..0, layer);
    let (repository, not_believed) = git::layer(&context.workspaces, &context.home);
    refused.extend(not_believed);
    for why in refused {
        output::complain(&format!("stockade: {}", output::escaped(&why)));
    }
    let own = hides_own(&state(&context.home));
    let found = own.into_iter().chain(repository).chain(agent);
    sources.layers.splice(0..0, found);
    Ok((build(&sources, context.clone())?, sources))
}

pub fn build(sources: &Sources, context: Context) -> Result<Policy, Failure> {
    let policy = Policy::build(sources, context)
        .map_err(|mistakes| Failure::Policy(render(&mistakes, sources)))?;
    if !policy.warnings.is_empty() {
        output::complain(&render(&policy.warnings, sources));
    }
    Ok(policy)
}

/// stockade's own folder, where a session would be given it with something else: trust, records,
/// what the overlays keep.
fn hides_own(state: &Path) -> Option<Source> {
    let hidden = vec![("deny_read", vec![found::covering(state)].into())];
    found::source("stockade", "stockade", &[("filesystem", hidden)])
}

/// The command's installation as a layer of its own, so that `why` and `plan` name it like any
/// rule; and what of it can't be said.
fn installation(command: &OsStr, context: &Context) -> (Option<Source>, Vec<String>) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Ok(here) = std::env::current_dir() else {
        return (None, Vec::new());
    };
    let (mut read, mut refused) = (Vec::new(), Vec::new());
    for path in installation::of(command, &path, &here, &context.home, &context.workspaces) {
        match found::literal(&path) {
            Some(pattern) => read.push(pattern),
            None => refused.push(format!(
                "{}: the command may need it, and its name is not UTF-8: not opened",
                path.display()
            )),
        }
    }
    let tables = [("filesystem", vec![("read", read.into())])];
    (found::source("command", "command", &tables), refused)
}

/// Mistakes shown in full; nobody reads more at once.
const SHOWN: usize = 200;

fn render(mistakes: &[Diagnostic], sources: &Sources) -> String {
    let texts: BTreeMap<&str, Lines<'_>> = sources
        .layers
        .iter()
        .map(|s| {
            let lines = Lines::new(&s.text);
            let leads = leads_elsewhere(Path::new(&s.origin));
            let lines = if leads { lines.place_only() } else { lines };
            (s.origin.as_str(), lines)
        })
        .collect();
    let none = Lines::new("");
    let mut all: Vec<_> = mistakes
        .iter()
        .take(SHOWN)
        .map(|m| {
            let lines = texts.get(m.origin.as_str()).unwrap_or(&none);
            m.render_in(lines, output::colour())
        })
        .collect();
    if mistakes.len() > SHOWN {
        all.push(format!("and {} more", mistakes.len() - SHOWN));
    }
    all.join("\n\n")
}

/// By a link, which somebody else may have put there: what it names may be no policy but a secret.
fn leads_elsewhere(path: &Path) -> bool {
    match (std::path::absolute(path), path.canonicalize()) {
        (Ok(named), Ok(real)) => named != real,
        // not a file: a preset's text, the flags'
        (Err(_), _) | (_, Err(_)) => false,
    }
}

pub fn context(workspaces: &[PathBuf]) -> Result<Context, Failure> {
    let here = PathBuf::from(".");
    let asked = if workspaces.is_empty() {
        std::slice::from_ref(&here)
    } else {
        workspaces
    };
    let workspaces = asked
        .iter()
        .map(|w| workspace(w))
        .collect::<Result<Vec<_>, _>>()?;
    let home = home()?;
    let variable = |name: &'static str, default: PathBuf| {
        let path = std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
            .unwrap_or(default);
        named(name, path)
    };
    let runtime = PathBuf::from(format!("/run/user/{}", nix::unistd::getuid()));
    Ok(Context {
        workspaces,
        tmp: variable("TMPDIR", "/tmp".into())?,
        config: variable("XDG_CONFIG_HOME", home.join(".config"))?,
        cache: variable("XDG_CACHE_HOME", home.join(".cache"))?,
        runtime: variable("XDG_RUNTIME_DIR", runtime)?,
        environment: std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect::<BTreeMap<_, _>>(),
        home,
    })
}

/// A directory that the agent can work in, links resolved.
fn workspace(asked: &Path) -> Result<PathBuf, Failure> {
    let fail = |e| Failure::file("use the workspace", asked, e);
    let real = asked.canonicalize().map_err(fail)?;
    if !real.metadata().map_err(fail)?.is_dir() {
        return Err(fail(std::io::ErrorKind::NotADirectory.into()));
    }
    let needed = AccessFlags::R_OK | AccessFlags::X_OK;
    nix::unistd::access(&real, needed).map_err(|e| fail(e.into()))?;
    named("the workspace", real)
}

/// Policies are UTF-8 and `*` is a pattern there: another name can't be said in one.
fn named(what: &str, path: PathBuf) -> Result<PathBuf, Failure> {
    let why = match path.to_str() {
        None => "is not UTF-8",
        Some(text) if text.contains('*') => "contains `*`, a pattern in policies",
        Some(_) => return Ok(path),
    };
    Err(Failure::Usage(format!(
        "{what} {}: its name {why}; rename it, or name another",
        escaped(&path.to_string_lossy())
    )))
}

/// `HOME`, or the user's entry when it is unset: the path that programs will use, links resolved.
pub fn home() -> Result<PathBuf, Failure> {
    let path = match std::env::var_os("HOME").map(PathBuf::from) {
        Some(path) if path.is_absolute() => path,
        Some(path) => {
            return Err(Failure::Usage(format!(
                "HOME is `{}`, not an absolute path; set it to the home, or unset it",
                escaped(&path.to_string_lossy())
            )));
        }
        None => nix::unistd::User::from_uid(nix::unistd::getuid())
            .ok()
            .flatten()
            .map(|u| u.dir)
            .ok_or_else(|| {
                Failure::Usage(
                    "HOME is not set and the user has no entry in the user database".into(),
                )
            })?,
    };
    let real = path
        .canonicalize()
        .map_err(|e| Failure::file("use the home (HOME)", &path, e))?;
    named("the home", real)
}

/// Where stockade keeps what outlives a session; never visible inside.
pub fn state(home: &Path) -> PathBuf {
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute());
    state
        .unwrap_or_else(|| home.join(".local/state"))
        .join("stockade")
}

fn sources(options: &PolicyOptions, context: &Context) -> Result<Sources, Failure> {
    let mut layers = Vec::new();
    let mut add = |layer: Layer, path: &Path, text: Option<String>| {
        layers.extend(text.map(|text| Source {
            layer,
            origin: path.display().to_string(),
            text,
        }));
    };
    let system = Path::new("/etc/stockade/policy.toml");
    add(Layer::System, system, read(system, true)?);
    let user = context.config.join("stockade/policy.toml");
    add(Layer::User, &user, read(&user, true)?);
    for workspace in &context.workspaces {
        let path = workspace.join(PROJECT_FILE);
        // what is judged is what counts: the file may be another by now
        let text = read(&path, false)?;
        let known = |text: &String| trust::is_trusted(&state(&context.home), &path, text);
        let trusted = text.as_ref().is_some_and(known);
        add(Layer::Project { trusted }, &path, text);
    }
    if let Some(path) = &options.policy {
        let text = read(path, true)?;
        let missing =
            || Failure::file("read the policy", path, std::io::ErrorKind::NotFound.into());
        layers.push(Source {
            layer: Layer::CommandLine,
            origin: path.display().to_string(),
            text: text.ok_or_else(missing)?,
        });
    }
    if let Some(text) = flags(options)? {
        layers.push(Source {
            layer: Layer::CommandLine,
            origin: "command line".into(),
            text,
        });
    }
    Ok(Sources {
        preset: options.preset.clone(),
        layers,
    })
}

/// The text of a policy file; `None` when there is none. A project's file is not followed
/// through a symbolic link: it could name a secret whose text then stands in a message.
pub fn read(path: &Path, follow: bool) -> Result<Option<String>, Failure> {
    let fail = |error| Failure::file("read the policy", path, error);
    let flags = OFlag::O_CLOEXEC
        | OFlag::O_NONBLOCK
        | if follow {
            OFlag::empty()
        } else {
            OFlag::O_NOFOLLOW
        };
    let file = match std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
    {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) if !follow && e.raw_os_error() == Some(Errno::ELOOP as i32) => {
            return Err(fail(std::io::Error::other(
                "a symbolic link; a project's policy is a file of its own",
            )));
        }
        Err(e) => return Err(fail(e)),
    };
    if !file.metadata().map_err(fail)?.is_file() {
        return Err(fail(std::io::Error::other("not a regular file")));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(fail)?;
    String::from_utf8(bytes).map(Some).map_err(|e| {
        fail(std::io::Error::other(format!(
            "not UTF-8 at byte {}",
            e.utf8_error().valid_up_to()
        )))
    })
}

fn absolute(text: &String) -> Result<String, Failure> {
    // an empty one is not the current directory, but a mistake that the parser names
    let rooted = text.is_empty() || text.starts_with(['/', '~', '$', '!']);
    if rooted {
        return Ok(text.clone());
    }
    let here = std::env::current_dir().map_err(|e| Failure::file("find", Path::new("."), e))?;
    // a pattern as it is written, below a directory that is none
    let here = found::literal(&here).ok_or_else(|| {
        let shown = escaped(&here.to_string_lossy());
        Failure::Usage(format!(
            "{text}: the current directory {shown} is not UTF-8; name the path from the root"
        ))
    })?;
    let path = Path::new(&here).join(text);
    let clean: PathBuf = path
        .components()
        .filter(|c| !matches!(c, std::path::Component::CurDir))
        .collect();
    Ok(clean.display().to_string())
}

/// The flags as a layer: the same text, the same parser, the same rules.
fn flags(options: &PolicyOptions) -> Result<Option<String>, Failure> {
    let paths = |items: &[String]| items.iter().map(absolute).collect::<Result<Vec<_>, _>>();
    let PolicyOptions {
        workspaces: _,
        preset: _,
        agent: _,
        policy: _,
        allow_read,
        allow_write,
        allow_exec,
        allow_net,
        allow_env,
        deny_read,
        deny_write,
        deny_exec,
        deny_net,
        deny_env,
        set,
    } = options;
    let tables = [
        (
            "filesystem",
            vec![
                ("read", paths(allow_read)?),
                ("write", paths(allow_write)?),
                ("deny_read", paths(deny_read)?),
                ("deny_write", paths(deny_write)?),
            ],
        ),
        (
            "exec",
            vec![("allow", paths(allow_exec)?), ("deny", paths(deny_exec)?)],
        ),
        (
            "network",
            vec![("allow", allow_net.clone()), ("deny", deny_net.clone())],
        ),
        (
            "environment",
            vec![("pass", allow_env.clone()), ("drop", deny_env.clone())],
        ),
    ];
    written(&tables, set)
}

/// As a policy file would say it; none where no flag was given.
fn written(tables: &[Lists<'_>], set: &[String]) -> Result<Option<String>, Failure> {
    let tables: Vec<found::Table<'_>> = tables
        .iter()
        .map(|(table, keys)| {
            let values = keys.iter().map(|(key, items)| (*key, items.clone().into()));
            (*table, values.collect())
        })
        .collect();
    let text = found::text(&tables);
    if set.is_empty() {
        return Ok(text);
    }
    let mut text = text.unwrap_or_else(|| "version = 1\n".into()) + "[environment.set]\n";
    for pair in set {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            Failure::Usage(format!("-e {}: it takes NAME=VALUE", output::escaped(pair)))
        })?;
        let [name, value] = [name, value].map(toml::Value::from);
        text += &format!("{name} = {value}\n");
    }
    Ok(Some(text))
}

type Lists<'a> = (&'a str, Vec<(&'a str, Vec<String>)>);
