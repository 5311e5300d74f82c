//! `stockade run` and `stockade plan`.

use crate::cli::Run;
use crate::exit::Failure;
use crate::layers;
use crate::output::{complain, escaped, say};
use sha2::{Digest, Sha256};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use stockade_enforce::{Exit, Plan, Request, Source, compile, launch};
use stockade_policy::Policy;

pub fn run(asked: &Run) -> Result<u8, Failure> {
    if asked.dry_run {
        return show(asked);
    }
    let (policy, plan) = plan(asked)?;
    if let Some(first) = plan.unmet.first() {
        return Err(Failure::Unmet(format!(
            "{} ({}): {}",
            escaped(&first.rule),
            first.requirement,
            first.why
        )));
    }
    let exit = launch(&plan)?.wait(&plan)?;
    if !asked.quiet {
        for id in &policy.ignored {
            complain(&format!(
                "stockade: not counted, the project's file is not trusted: {}",
                escaped(id.as_str())
            ));
        }
    }
    Ok(match exit {
        Exit::Code(code) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
        // as a shell says it
        Exit::Signal(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
    })
}

fn plan(asked: &Run) -> Result<(Policy, Plan), Failure> {
    let policy = layers::policy(&asked.policy, asked.command.first().map(String::as_str))?;
    check_workspaces(&policy)?;
    let here = std::env::current_dir().map_err(|e| Failure::file("find", Path::new("."), e))?;
    let inside = policy
        .context
        .workspaces
        .iter()
        .any(|w| here.starts_with(w));
    let directory = if inside {
        here
    } else {
        policy.context.workspaces[0].clone()
    };
    let user = nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
        .map_or_else(|| "user".into(), |u| u.name);
    let state = layers::state(&policy.context.home);
    let workspace = policy.context.workspaces[0].clone();
    let overlays = move |path: &Path| overlay(&state, &workspace, path);
    let environment = policy.context.environment.clone().into_iter().collect();
    let plan = compile(&Request {
        policy: &policy,
        command: &asked.command,
        directory,
        environment,
        user,
        overlays: &overlays,
    })?;
    Ok((policy, plan))
}

/// A workspace that is everything, or the home itself, protects nothing.
fn check_workspaces(policy: &Policy) -> Result<(), Failure> {
    for workspace in &policy.context.workspaces {
        let (whole, home) = (
            workspace == Path::new("/"),
            policy.context.home.starts_with(workspace),
        );
        if whole || home {
            return Err(Failure::Usage(format!(
                "the workspace {} holds the home: everything there would be writable; name a directory with -w",
                escaped(&workspace.display().to_string())
            )));
        }
    }
    Ok(())
}

/// Upper and work directory of one overlaid path, kept from session to session.
fn overlay(state: &Path, workspace: &Path, path: &Path) -> std::io::Result<(PathBuf, PathBuf)> {
    let key: Vec<u8> = [workspace, path]
        .iter()
        .flat_map(|p| [p.as_os_str().as_encoded_bytes(), b"\0"].concat())
        .collect();
    let name: String = Sha256::digest(key)
        .iter()
        .take(12)
        .map(|b| format!("{b:02x}"))
        .collect();
    let folder = state.join("overlays").join(name);
    let make = |name: &str| -> std::io::Result<PathBuf> {
        let path = folder.join(name);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)?;
        Ok(path)
    };
    Ok((make("upper")?, make("work")?))
}

pub fn show(asked: &Run) -> Result<u8, Failure> {
    let (_, plan) = plan(asked)?;
    if asked.json {
        say(&serde_json::to_string_pretty(&plan).map_err(std::io::Error::other)?)?;
        return Ok(0);
    }
    say(&format!("level      {:?}", plan.level).to_lowercase())?;
    say(&format!(
        "command    {}",
        escaped(&plan.executable.display().to_string())
    ))?;
    say(&format!(
        "network    {}",
        if plan.own_network {
            "the session's own loopback and nothing else"
        } else {
            "the host's, unfiltered"
        }
    ))?;
    say(&format!("in part    {}", plan.partial.join(", ")))?;
    say(&format!("dropped    {}", escaped(&plan.dropped.join(" "))))?;
    for unmet in &plan.unmet {
        say(&format!(
            "not held   {}: {}",
            escaped(&unmet.rule),
            unmet.why
        ))?;
    }
    for item in &plan.view {
        let kind = match &item.source {
            Source::Host { writable: true, .. } => "write",
            Source::Host {
                writable: false, ..
            } => "read",
            Source::Private { .. } => "private",
            Source::Overlay { .. } => "overlay",
            Source::Content { .. } => "own text",
            Source::Symlink { .. } => "link",
            Source::Masked { .. } => "hidden",
            Source::Device { .. } => "device",
            Source::Proc | Source::Sys | Source::DevPts => "own",
        };
        say(&format!(
            "{kind:<10} {:<40} {}",
            escaped(&item.at.display().to_string()),
            escaped(&item.because)
        ))?;
    }
    Ok(0)
}
