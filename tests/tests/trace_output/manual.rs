//! docs/tracing.md is executed, docs/events.md says what the schema says. `UPDATE_SNAPSHOTS=1 cargo test -p
//! stockade-tests --test trace_output manual` writes what is compared; read what it wrote.
//!
//! What differs from run to run is shown as something that does not: numbers of processes, addresses, times.

use serde_json::Value;
use stockade_tests::{Place, between, stockade};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

fn compare(name: &str, before: &str, now: &str) {
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some_and(|v| v == "1") {
        std::fs::write(format!("{DOCS}/{name}"), now).expect("the document is written");
        return;
    }
    for (n, (kept, new)) in before.lines().zip(now.lines()).enumerate() {
        assert_eq!(kept, new, "docs/{name} line {}", n + 1);
    }
    assert_eq!(before, now);
}

/// Numbers of processes in the order in which they are met.
#[derive(Default)]
struct Numbers(Vec<String>);

impl Numbers {
    fn of(&mut self, real: &str) -> String {
        let at = self.0.iter().position(|r| r == real).unwrap_or_else(|| {
            self.0.push(real.into());
            self.0.len() - 1
        });
        format!("{}", 4101 + at)
    }

    /// A line of text: the thread in front, and the parent of a new process.
    fn line(&mut self, line: &str) -> String {
        let Some((thread, rest)) = line.trim_start().split_once(' ') else {
            return line.into();
        };
        let is_margin = line.len() - rest.len() == 8 && thread.bytes().all(|b| b.is_ascii_digit());
        if !is_margin {
            return line.into();
        }
        let rest = match rest.split_once(" of ") {
            Some((what @ ("+ process" | "+ thread"), parent)) => {
                format!("{what} of {}", self.of(parent))
            }
            _ => addresses(rest),
        };
        format!("{:>7} {rest}", self.of(thread))
    }
}

fn addresses(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("0x7f") {
        let (before, address) = rest.split_at(at);
        let end = address[2..].find(|c: char| !c.is_ascii_hexdigit());
        let size = end.map_or(address.len(), |e| e + 2);
        out += before;
        out += if size == 14 {
            "0x7ffd5e8a1c30"
        } else {
            &address[..size]
        };
        rest = &address[size..];
    }
    out + rest
}

/// A row of the table keeps its counts and its name.
fn row(line: &str) -> Option<String> {
    let chars: Vec<char> = line.chars().collect();
    let count: String = chars.get(..9)?.iter().collect();
    count.trim().parse::<u64>().ok()?;
    let (counts, name) = (chars.get(..18)?, chars.get(58..)?);
    let times = format!(
        " {:>9} {:>9} {:>9} {:>9}",
        "12.3 µs", "1.23 µs", "1.02 µs", "8.19 µs"
    );
    Some(counts.iter().collect::<String>() + &times + &name.iter().collect::<String>())
}

fn steady(text: &str) -> String {
    let mut numbers = Numbers::default();
    let mut out = String::new();
    for line in text.lines() {
        let line = row(line).unwrap_or_else(|| numbers.line(line));
        out += &format!("{line}\n");
    }
    out
}

/// Each `$ …` line of a block with its output now.
fn console(block: &str, name: &str) -> String {
    let place = Place::new(name);
    let programs = stockade().parent().expect("a folder").display();
    let mut out = String::new();
    for line in block.lines().filter_map(|l| l.strip_prefix("$ ")) {
        let mut command = place.command("timeout");
        command.env("PATH", format!("{programs}:/usr/bin:/bin"));
        command.args(["120", "sh", "-c", &format!("{{ {line}; }} 2>&1")]);
        let output = command.output().expect("sh runs");
        out += &format!(
            "$ {line}\n{}",
            steady(&String::from_utf8_lossy(&output.stdout))
        );
        match output.status.code() {
            Some(0) => {}
            code => out += &format!("[exit status {}]\n", code.expect("a status")),
        }
    }
    out
}

#[test]
fn the_manual_is_what_happens() {
    let before = std::fs::read_to_string(format!("{DOCS}/tracing.md")).expect("the manual");
    let (mut now, mut blocks) = (String::new(), 0);
    let mut lines = before.lines();
    while let Some(line) = lines.next() {
        now += &format!("{line}\n");
        if line != "```console" {
            continue;
        }
        let body: Vec<_> = lines.by_ref().take_while(|l| *l != "```").collect();
        now += &console(&(body.join("\n") + "\n"), &format!("tracing-{blocks}"));
        now += "```\n";
        blocks += 1;
    }
    compare("tracing.md", &before, &now);
    assert!(blocks >= 7, "{blocks}");
}

fn described(value: &Value) -> &str {
    value["description"]
        .as_str()
        .expect("each field says what it is")
}

/// Rows of what a schema says of fields.
fn fields(of: &Value, required: &Value) -> String {
    let required: Vec<_> = required
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut out = String::from("| field | | meaning |\n| --- | --- | --- |\n");
    for (name, field) in of.as_object().expect("fields") {
        if name == "kind" {
            continue;
        }
        let always = if required.contains(&name.as_str()) {
            "always"
        } else {
            ""
        };
        out += &format!(
            "| `{name}` | {always} | {} |\n",
            described(field).replace('|', "\\|")
        );
    }
    out
}

fn kinds(schema: &Value) -> String {
    let mut out = String::new();
    for kind in schema["oneOf"].as_array().expect("kinds") {
        let name = kind["properties"]["kind"]["const"]
            .as_str()
            .expect("a name");
        out += &format!("\n### `{name}`\n\n{}.\n\n", described(kind));
        out += &fields(&kind["properties"], &kind["required"]);
    }
    out + "\n"
}

fn values(schema: &Value) -> String {
    let mut out = String::from("| value | meaning |\n| --- | --- |\n");
    for value in schema["$defs"]["argument"]["oneOf"]
        .as_array()
        .expect("values")
    {
        let (name, field) = value["properties"]
            .as_object()
            .expect("two")
            .iter()
            .find(|(n, _)| *n != "name")
            .expect("a value");
        let meaning = match field["$ref"].as_str().filter(|_| field["description"].is_null()) {
            Some(of) => schema.pointer(&of[1..]).and_then(|d| d["description"].as_str()).unwrap_or("`text` as it was passed, `absolute` from the root of the process where that is known"),
            None => described(field),
        };
        out += &format!("| `{name}` | {} |\n", meaning.replace('|', "\\|"));
    }
    out
}

#[test]
fn the_fields_are_those_of_the_schema() {
    let before = std::fs::read_to_string(format!("{DOCS}/events.md")).expect("the document");
    let schema: Value = serde_json::from_str(stockade_events::json_schema()).expect("JSON");
    let mut now = between(
        &before,
        "fields",
        &fields(&schema["properties"], &schema["required"]),
    );
    now = between(&now, "kinds", &kinds(&schema));
    now = between(&now, "values", &values(&schema));
    compare("events.md", &before, &now);
}
