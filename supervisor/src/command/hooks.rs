//! `stockade hooks`: what an agent is told of denials after each tool call.

use super::why;
use crate::cli::{HookOf, Hooks};
use crate::denials::{self, record};
use crate::exit::Failure;
use crate::output::{escaped, say};
use crate::own;
use serde_json::{Value, json};
use std::io::Read;

/// Of what the agent passes: it may hold all that a command wrote.
const MOST: u64 = 64 << 20;
/// What a model is told at once.
const LINES: usize = 10;

pub fn run(hooks: &Hooks) -> Result<u8, Failure> {
    if hooks.tell {
        return tell();
    }
    let hook = json!({ "type": "command", "command": command(hooks.agent), "timeout": 10 });
    let all = json!([{ "matcher": "*", "hooks": [hook] }]);
    let events = match hooks.agent {
        HookOf::Claude => json!({ "PostToolUse": all, "PostToolUseFailure": all }),
        HookOf::Codex => json!({ "PostToolUse": all }),
    };
    let text = serde_json::to_string_pretty(&json!({ "hooks": events }));
    say(&text.map_err(|e| Failure::Output(e.into()))?)?;
    Ok(0)
}

/// The same configuration is read outside of sessions, where stockade may not be on PATH.
fn command(agent: HookOf) -> String {
    let name = match agent {
        HookOf::Claude => "claude",
        HookOf::Codex => "codex",
    };
    format!("if command -v stockade >/dev/null; then stockade hooks {name} --tell; fi")
}

/// Both agents take the same answer: `hookSpecificOutput` with the event's own name.
fn tell() -> Result<u8, Failure> {
    let mut input = Vec::new();
    std::io::stdin().take(MOST).read_to_end(&mut input)?;
    let Some(path) = why::recorded().filter(|_| own::inside()) else {
        return Ok(0);
    };
    let Ok(denials) = record::settled(&path) else {
        return Ok(0); // not recorded
    };
    let told = std::env::temp_dir().join("stockade-denials-told");
    let text = std::fs::read_to_string(&told).unwrap_or_default();
    let last: u64 = text.trim().parse().unwrap_or(0);
    let mut new: Vec<_> = denials.iter().filter(|d| d.number > last).collect();
    let Some(newest) = new.iter().map(|d| d.number).max() else {
        return Ok(0);
    };
    // one that can't be written tells the same once more
    std::fs::write(&told, newest.to_string()).unwrap_or(());
    new.sort_by_key(|d| d.hidden);
    let more = new.len().saturating_sub(LINES);
    let lines = new.iter().take(LINES);
    let mut text: Vec<String> = lines
        .map(|d| format!("- {}", escaped(&denials::said(d))))
        .collect();
    if more > 0 {
        text.push(format!("- and {more} more: `stockade why`"));
    }
    let context = format!(
        "The sandbox that this session runs in (stockade) denied:\n{}\nThe kernel decides this: another try, or another way, changes nothing. Only the user can add a line to the policy, outside of the session.",
        text.join("\n")
    );
    let event: Value = serde_json::from_slice(&input).unwrap_or_default();
    let name = event["hook_event_name"].as_str().unwrap_or("PostToolUse");
    let answer =
        json!({ "hookSpecificOutput": { "hookEventName": name, "additionalContext": context } });
    say(&answer.to_string())?;
    Ok(0)
}
