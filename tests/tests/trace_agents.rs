//! Real coding agents under `stockade trace`, against the scripted model: each call of their tools is one action.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

#[path = "agents/run.rs"]
#[expect(dead_code, reason = "sessions are another suite's")]
mod run;

use run::{Run, User, agents, installed};

/// The commands that the model has the agent run, in their order.
fn steps(run: &Run<'_>) -> Vec<String> {
    let text = std::fs::read_to_string(run.at("data/steps.json")).unwrap();
    let steps: Vec<Value> = serde_json::from_str(&text).unwrap();
    let commands = steps.iter().filter_map(|s| s["shell"].as_str());
    commands.map(str::to_owned).collect()
}

fn number(event: &Value, field: &str) -> u64 {
    event[field]
        .as_u64()
        .unwrap_or_else(|| panic!("{field}: {event}"))
}

/// A shell escapes what it was given; the words stay.
fn words(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// How each action is called, the last word on it.
fn actions(events: &[Value]) -> BTreeMap<u64, String> {
    let named = events.iter().filter(|e| e["kind"] == "action");
    let name = |e: &Value| {
        let words = e["name"].as_array().unwrap();
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        (number(e, "action"), words.join(" "))
    };
    named.map(name).collect()
}

#[test]
fn each_call_of_a_tool_is_one_action() {
    assert!(nix::unistd::geteuid().is_root(), "eBPF programs take root");
    let agents = agents();
    let installed = installed(&agents);
    for (name, agent) in &agents {
        let run = Run::new(name, agent, User::Own, "trace", &installed);
        let model = run.model();
        let (program, out) = (run.at("data/stockade"), run.at("events"));
        let (program, out) = (program.display().to_string(), out.display().to_string());
        let mut line = vec![
            "timeout", "120", &program, "trace", "--json", "-e", "none", "-o", &out, "--", name,
        ];
        line.extend(agent.first.iter().map(String::as_str));
        let outcome = run.command(&line, model.1).output().unwrap();
        let said = stockade_tests::text(&outcome);
        assert!(outcome.status.success(), "{name}: {said}");
        let events = std::fs::read_to_string(&out).unwrap();
        let events: Vec<Value> = events
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        let actions = actions(&events);
        let list = || {
            actions
                .iter()
                .map(|(n, a)| format!("{n:4} {a}"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        println!("{name}:\n{}", list());
        let mut taken = BTreeSet::new();
        for step in steps(&run) {
            let of: Vec<u64> = actions
                .iter()
                .filter(|(_, a)| words(a).contains(&words(&step)))
                .map(|(n, _)| *n)
                .collect();
            assert_eq!(of.len(), 1, "{name}: {step}: {of:?} of\n{}", list());
            assert!(
                of[0] != 0 && taken.insert(of[0]),
                "{name}: {step} is {of:?}"
            );
        }
        // the model was asked by the agent itself
        let log = std::fs::read_to_string(run.at("log")).unwrap();
        assert!(log.lines().count() > taken.len(), "{name}: {log}");
        assert!(
            !events.iter().any(stockade_tests::is_missing),
            "{name}: something is missing"
        );
    }
}
