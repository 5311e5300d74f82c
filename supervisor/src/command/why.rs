//! `stockade why`: verdict, rule, and the line that would change it.

use crate::cli::{Verb, Why};
use crate::denials::{self, change, record};
use crate::exit::Failure;
use crate::layers;
use crate::output::{escaped, say};
use crate::own;
use std::path::{Path, PathBuf};
use stockade_policy::{
    Access, Decision, FileOperation, NetworkRule, Peer, Policy, Protocol, Verdict,
};

pub fn run(why: &Why) -> Result<u8, Failure> {
    match (why.verb, &why.object) {
        (Some(verb), Some(object)) => one(why, verb, object),
        (None, _) | (_, None) => denied(why.json),
    }
}

/// Where the denials of this session are, or of the last one.
pub fn recorded() -> Option<PathBuf> {
    if own::inside() {
        let folder = std::env::var_os("STOCKADE_OWN")?;
        return Some(Path::new(&folder).join(record::FILE));
    }
    let home = layers::home().ok()?;
    Some(layers::state(&home).join(record::FILE))
}

/// What was denied, the newest last.
fn denied(json: bool) -> Result<u8, Failure> {
    let place = if own::inside() {
        "this session"
    } else {
        "the last session"
    };
    let path = recorded();
    let read = if own::inside() {
        record::settled
    } else {
        record::read
    };
    let Some(Ok(denials)) = path.as_deref().map(read) else {
        let why = format!(
            "the denials of {place} were not recorded: it takes root, or CAP_BPF and CAP_PERFMON, when it starts; `stockade why read|write|exec|connect OBJECT` says what a rule decides"
        );
        return Err(Failure::Usage(why));
    };
    if json {
        for denial in &denials {
            let line = serde_json::to_string(denial).map_err(|e| Failure::Output(e.into()))?;
            say(&line)?;
        }
        return Ok(0);
    }
    if denials.is_empty() {
        say(&format!("nothing was denied in {place}"))?;
    }
    for denial in &denials {
        say(&escaped(&format!("denied  {}", denials::said(denial))))?;
    }
    Ok(0)
}

fn one(why: &Why, verb: Verb, asked: &str) -> Result<u8, Failure> {
    let policy = layers::policy(&why.policy)?;
    let path = match verb {
        Verb::Connect => None,
        Verb::Read | Verb::Write | Verb::Exec => Some(object(asked, &policy.context.home)?),
    };
    let file = |operation, path| policy.decide(&Access::File { operation, path });
    let decision = match (verb, path.as_deref()) {
        (Verb::Read, Some(path)) => file(FileOperation::Read, path),
        (Verb::Write, Some(path)) => file(FileOperation::Write, path),
        (Verb::Exec, Some(path)) => policy.decide(&Access::Exec {
            path,
            written: false,
        }),
        (Verb::Connect, _) | (_, None) => connect(&policy, asked)?,
    };
    let Decision { verdict, rule } = &decision;
    let decided = policy.rules().iter().find(|r| r.id == *rule);
    let because = decided.and_then(|r| r.because.clone());
    let note = decided.and_then(|r| note(r.key.name));
    let line = match decided {
        // of equal patterns the stricter decides, so allowing the name beside would not do
        Some(rule) if rule.key.name == "protect" => {
            change::taken_away(&policy, path.as_deref().unwrap_or(Path::new("/")))
        }
        _ => {
            let shown = path.map(|p| p.to_string_lossy().into_owned());
            changed(verb, shown.as_deref().unwrap_or(asked), *verdict)
        }
    };
    if why.json {
        let value = serde_json::json!({ "verdict": verdict, "rule": rule, "because": because, "note": note, "change": line });
        say(&value.to_string())?;
        return Ok(0);
    }
    say(&format!(
        "{}  {} {}",
        denials::word(*verdict),
        format!("{verb:?}").to_lowercase(),
        escaped(asked)
    ))?;
    say(&format!("rule     {}", escaped(rule.as_str())))?;
    if let Some(because) = because {
        say(&format!("because  {}", escaped(&because)))?;
    }
    if let Some(note) = note {
        say(&format!("note     {note}"))?;
    }
    say(&format!("change   {}", escaped(&line)))?;
    Ok(0)
}

/// Where what is allowed does not touch the host's files.
fn note(key: &str) -> Option<&'static str> {
    match key {
        "private" => {
            Some("an empty directory of the session's own: the host's files there are not visible")
        }
        "overlay" => Some("the host's files are read, what is written is kept beside them"),
        _ => None,
    }
}

/// The object as the policy names it: absolute, links in the directories resolved.
fn object(text: &str, home: &Path) -> Result<PathBuf, Failure> {
    let path = match text.strip_prefix('~') {
        Some(tail) if tail.is_empty() || tail.starts_with('/') => {
            home.join(tail.trim_start_matches('/'))
        }
        Some(_) | None => std::env::current_dir()
            .map_err(|e| Failure::file("find", Path::new("."), e))?
            .join(text),
    };
    let mut missing = Vec::new();
    let mut known = path.as_path();
    loop {
        match known.canonicalize() {
            Ok(real) => return Ok(missing.iter().rev().fold(real, |p, name| p.join(name))),
            Err(_) => match (known.parent(), known.file_name()) {
                (Some(parent), Some(name)) => {
                    missing.push(name.to_owned());
                    known = parent;
                }
                _ => {
                    return Err(Failure::Usage(format!(
                        "{}: a path with `..` below a name that does not exist",
                        escaped(text)
                    )));
                }
            },
        }
    }
}

fn connect(policy: &Policy, text: &str) -> Result<Decision, Failure> {
    let usage = |why: String| Failure::Usage(format!("connect takes HOST:PORT: {why}"));
    let rule = NetworkRule::parse(text).map_err(usage)?;
    if rule.ports.0 != rule.ports.1 {
        return Err(usage("one port".into()));
    }
    let protocol = rule.protocol.unwrap_or(Protocol::Tcp);
    match &rule.peer {
        Peer::Name(name) => Ok(policy.decide(&Access::Connect {
            name: Some(name),
            address: None,
            port: rule.ports.0,
            protocol,
        })),
        Peer::Network(address, _) => Ok(policy.decide(&Access::Connect {
            name: None,
            address: Some(*address),
            port: rule.ports.0,
            protocol,
        })),
        Peer::Below(_) => Err(usage("one host".into())),
    }
}

fn changed(verb: Verb, object: &str, verdict: Verdict) -> String {
    let (table, allow, deny) = match verb {
        Verb::Read => ("filesystem", "read", "deny_read"),
        Verb::Write => ("filesystem", "write", "deny_write"),
        Verb::Exec => ("exec", "allow", "deny"),
        Verb::Connect => ("network", "allow", "deny"),
    };
    let key = if verdict == Verdict::Allow {
        deny
    } else {
        allow
    };
    match verb {
        Verb::Connect => change::line(table, key, object),
        Verb::Read | Verb::Write | Verb::Exec => change::path(table, key, Path::new(object)),
    }
}
