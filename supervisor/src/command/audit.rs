//! `stockade run --audit`: the command runs as without stockade, and what the policy would deny is said at the end.

use super::run::Asked;
use crate::cli::Run;
use crate::denials::audit::{self, Audit, Found};
use crate::exit::Failure;
use crate::output::{complain, escaped, say};
use crate::trace::begin::Waiting;
use crate::trace::{Selection, Tracing, Wanted};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::fd::AsFd;
use std::path::Path;
use stockade_bpf::Options;

/// Of one rule, for people.
const OBJECTS: usize = 12;

pub fn run(run: &Run) -> Result<u8, Failure> {
    // as the strongest level would have it
    let at = Asked::new(run, false)?.likely()?;
    let (policy, plan) = (at.policy, at.plan);
    let audit = Audit::default();
    let sink = audit
        .sink(policy.clone(), &plan)
        .map_err(|e| Failure::file("look into", Path::new("/"), e))?;
    let waiting = Waiting::new(&run.command, &[])?;
    let process = waiting.pid();
    let selection = Selection::parse(&[audit::calls(&policy)])?;
    let session = format!("audit-{}", std::process::id());
    let tracing = Tracing::begin(
        Options::default(),
        Wanted {
            begins: Some(process.as_raw().cast_unsigned()),
            ..Wanted::new(selection, session, vec![sink])
        },
    )?;
    let pidfd = stockade_enforce::pidfd(process).map_err(|e| Failure::Output(e.into()))?;
    tracing
        .probes()
        .label_first(pidfd.as_fd(), process.as_raw(), true)?;
    crate::session::leave_signals_to_the_command();
    let status = waiting.go()?.wait().map_err(Failure::Output)?;
    let lost = tracing.end()?.missing.lost;
    let found = audit.found();
    if run.json {
        as_json(&found)?;
    } else if !run.quiet {
        for_people(&found);
    }
    if lost > 0 {
        complain(&format!(
            "stockade: {lost} records were lost: more may be denied"
        ));
    }
    if let Some(path) = &run.summary {
        std::fs::write(path, markdown(&found)).map_err(|e| Failure::file("write", path, e))?;
    }
    Ok(crate::session::status_of(status))
}

fn as_json(found: &Found) -> Result<(), Failure> {
    for (what, would) in found {
        let line = serde_json::json!({
            "verdict": would.verdict,
            "verb": what.verb,
            "object": what.object,
            "rule": what.rule,
            "times": would.times,
            "change": would.change,
        });
        say(&line.to_string())?;
    }
    Ok(())
}

type Groups<'a> = BTreeMap<&'a str, Vec<(&'a audit::What, &'a audit::Would)>>;

fn by_rule(found: &Found) -> Groups<'_> {
    let mut groups = Groups::new();
    for (what, would) in found {
        groups.entry(&what.rule).or_default().push((what, would));
    }
    groups
}

fn head(found: &Found, groups: &Groups<'_>) -> String {
    if found.is_empty() {
        return "nothing would be denied".into();
    }
    let (objects, rules) = (found.len(), groups.len());
    let s = |n| if n == 1 { "" } else { "s" };
    format!(
        "{objects} access{} would be denied, by {rules} rule{}",
        if objects == 1 { "" } else { "es" },
        s(rules)
    )
}

fn for_people(found: &Found) {
    let groups = by_rule(found);
    complain(&format!("stockade: {}", head(found, &groups)));
    for (rule, objects) in groups {
        complain(&format!("stockade: by {}", escaped(rule)));
        for (what, would) in objects.iter().take(OBJECTS) {
            let change = would
                .change
                .as_ref()
                .map_or_else(String::new, |line| format!("; to allow: {line}"));
            let said = format!("{} {} ({}){change}", what.verb, what.object, would.times);
            complain(&format!("stockade:   {}", escaped(&said)));
        }
        if objects.len() > OBJECTS {
            let more = objects.len() - OBJECTS;
            complain(&format!("stockade:   and {more} more (--json has all)"));
        }
    }
}

/// A cell of a table: nothing in it ends the cell or begins markup.
fn cell(text: &str) -> String {
    let text = escaped(text).replace('|', "\\|").replace('`', "'");
    format!("`{text}`")
}

fn markdown(found: &Found) -> String {
    let groups = by_rule(found);
    let mut out = format!("# Audit\n\n{}\n", head(found, &groups));
    for (rule, objects) in groups {
        // writing to a String can't fail
        write!(
            out,
            "\n## {}\n\n| access | object | times | to allow |\n| --- | --- | --- | --- |\n",
            cell(rule)
        )
        .unwrap_or(());
        for (what, would) in objects {
            let change = would.change.as_deref().map_or_else(|| "–".into(), cell);
            let (verb, object, times) = (what.verb, cell(&what.object), would.times);
            writeln!(out, "| {verb} | {object} | {times} | {change} |").unwrap_or(());
        }
    }
    out
}
