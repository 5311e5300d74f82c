//! `stockade why`: verdict, rule, and the line that would change it.

use crate::cli::{Verb, Why};
use crate::exit::Failure;
use crate::layers;
use crate::output::{escaped, say};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use stockade_policy::{
    Access, Decision, FileOperation, Glob, NetworkRule, Peer, Policy, Protocol, Rule, Verdict,
};

pub fn run(why: &Why) -> Result<u8, Failure> {
    let policy = layers::policy(&why.policy)?;
    let path = match why.verb {
        Verb::Connect => None,
        Verb::Read | Verb::Write | Verb::Exec => Some(object(&why.object, &policy.context.home)?),
    };
    let file = |operation, path| policy.decide(&Access::File { operation, path });
    let decision = match (why.verb, path.as_deref()) {
        (Verb::Read, Some(path)) => file(FileOperation::Read, path),
        (Verb::Write, Some(path)) => file(FileOperation::Write, path),
        (Verb::Exec, Some(path)) => policy.decide(&Access::Exec {
            path,
            written: false,
        }),
        (Verb::Connect, _) | (_, None) => connect(&policy, &why.object)?,
    };
    let Decision { verdict, rule } = &decision;
    let decided = policy.rules().iter().find(|r| r.id == *rule);
    let because = decided.and_then(|r| r.because.clone());
    let note = decided.and_then(|r| note(r.key.name));
    let line = match decided {
        // of equal patterns the stricter decides, so allowing the name beside would not do
        Some(rule) if rule.key.name == "protect" => {
            taken_away(&policy, path.as_deref().unwrap_or(Path::new("/")))
        }
        _ => {
            let shown = path.map(|p| p.to_string_lossy().into_owned());
            let object = shown.as_deref().unwrap_or(&why.object);
            change(why.verb, object, *verdict)
        }
    };
    if why.json {
        let value = serde_json::json!({ "verdict": verdict, "rule": rule, "because": because, "note": note, "change": line });
        say(&value.to_string())?;
        return Ok(0);
    }
    let word = match verdict {
        Verdict::Allow => "allow",
        Verdict::Ask => "ask",
        Verdict::Deny => "deny",
    };
    say(&format!(
        "{word}  {} {}",
        format!("{:?}", why.verb).to_lowercase(),
        escaped(&why.object)
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

/// The line that takes away what protects the name: more than one layer may.
fn taken_away(policy: &Policy, path: &Path) -> String {
    let covers = |r: &&Rule| !r.report && r.globs.iter().any(|g| g.covers(path));
    let rules: Vec<_> = policy.of("filesystem", "protect").filter(covers).collect();
    let texts: BTreeSet<_> = rules.iter().map(|r| format!("!{}", r.text)).collect();
    let highest = rules.iter().max_by_key(|r| r.rank);
    let layer = highest.and_then(|r| r.id.as_str().split_once(':'));
    format!(
        "[filesystem] protect = {}    # in a layer above {}",
        serde_json::json!(texts),
        layer.unwrap_or_default().0
    )
}

fn change(verb: Verb, object: &str, verdict: Verdict) -> String {
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
    let object = match verb {
        Verb::Connect => object.to_owned(),
        // the name itself, not a pattern
        Verb::Read | Verb::Write | Verb::Exec => Glob::literally(object),
    };
    format!("[{table}] {key} = [{}]", serde_json::json!(object))
}
