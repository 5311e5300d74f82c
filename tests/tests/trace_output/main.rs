//! What `stockade trace` says, to whom, and how it ends. As root: eBPF programs are loaded.

mod bad_input;
mod ends;
mod formats;
mod manual;

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use stockade_tests::{Place, stockade};

/// `stockade trace …` that comes to its end, whatever happens.
fn trace(place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.command("timeout");
    command.args(["--foreground", "-k", "1", "120"]);
    command.arg(stockade()).arg("trace").args(arguments);
    command
}

fn run(place: &Place, arguments: &[&str]) -> Output {
    trace(place, arguments).output().expect("timeout runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Each line of a file of events.
fn events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the events");
    let lines = text.lines().map(serde_json::from_str);
    lines.map(|e| e.expect("JSON")).collect()
}

fn of_kind<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|e| e["kind"] == kind).collect()
}

/// The calls of a name.
fn calls<'e>(events: &'e [Value], name: &str) -> Vec<&'e Value> {
    let calls = of_kind(events, "call").into_iter();
    calls.filter(|e| e["call"] == name).collect()
}

/// The paths that a call was passed, as text.
fn paths(call: &Value) -> Vec<&str> {
    let all = call["arguments"].as_array().expect("arguments").iter();
    all.filter_map(|a| a["path"]["text"].as_str()).collect()
}
