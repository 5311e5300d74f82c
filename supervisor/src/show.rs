//! A plan for people.

use crate::exit::Failure;
use crate::output::{escaped, say};
use stockade_enforce::{Plan, Sockets, Source};

pub fn plan(plan: &Plan, json: bool) -> Result<(), Failure> {
    if json {
        say(&serde_json::to_string_pretty(plan).map_err(std::io::Error::other)?)?;
        return Ok(());
    }
    let row = |name: &str, text: &str| say(&format!("{name:<10} {}", escaped(text)));
    row("level", &plan.level.to_string())?;
    row("command", &plan.executable.display().to_string())?;
    row("network", network(plan))?;
    if let Sockets::Refused(why) = &plan.sockets {
        row("sockets", &format!("none that have names: {why}"))?;
    }
    for held in &plan.held {
        row("held", &format!("{} by {}", held.requirement, held.backend))?;
    }
    for part in &plan.partial {
        let text = format!(
            "{} by {} ({}): {}",
            part.requirement, part.backend, part.name, part.why
        );
        row("in part", &text)?;
    }
    for unmet in &plan.unmet {
        row(
            "not held",
            &format!("{} ({}): {}", unmet.rule, unmet.requirement, unmet.why),
        )?;
    }
    for destination in &plan.not_reachable {
        row("not yet", &format!("{destination} can't be reached"))?;
    }
    row("dropped", &plan.dropped.join(" "))?;
    if !plan.groups.is_empty() {
        let groups: Vec<String> = plan.groups.iter().map(ToString::to_string).collect();
        row(
            "groups",
            &format!(
                "kept by the kernel, their files stay open: {}",
                groups.join(" ")
            ),
        )?;
    }
    for item in &plan.view {
        let at = item.at.display().to_string();
        row(kind(&item.source), &format!("{at:<40} {}", item.because))?;
    }
    for rule in plan.landlock.iter().flat_map(|l| &l.rules) {
        let at = rule.path.display().to_string();
        row(
            "landlock",
            &format!("{at:<40} {:#07x} {}", rule.rights, rule.because),
        )?;
    }
    Ok(())
}

fn network(plan: &Plan) -> &'static str {
    if plan.own_network {
        "the session's own loopback and nothing else"
    } else if plan.held.iter().any(|h| h.requirement == "no_network") {
        match plan.sockets {
            Sockets::Supervisor { .. } => "TCP between the session's own programs, on the loopback",
            Sockets::Kernel | Sockets::Refused(_) => "none",
        }
    } else {
        "the host's, unfiltered"
    }
}

fn kind(source: &Source) -> &'static str {
    match source {
        Source::Host { writable: true, .. } => "write",
        Source::Host {
            writable: false, ..
        } => "read",
        Source::Private { .. } => "private",
        Source::Overlay { .. } => "overlay",
        Source::Content { .. } => "own text",
        Source::Copy { .. } => "copy",
        Source::Symlink { .. } => "link",
        Source::Masked { .. } => "hidden",
        Source::Device { .. } => "device",
        Source::Proc | Source::Sys | Source::DevPts => "own",
    }
}
