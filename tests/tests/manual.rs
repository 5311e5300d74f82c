//! docs/policy.md is executed. A block marked `toml policy` must be accepted by `stockade check`;
//! `toml user` and `toml project` are the user's and the project's file for the next `console`
//! block, whose commands run in a fresh place and whose output is compared. The table of keys is
//! made from the grammar. `UPDATE_SNAPSHOTS=1 cargo test -p stockade-tests --test manual` writes
//! what is compared; read what it wrote.

use std::path::PathBuf;
use stockade_policy::rule::{self, Effect, Key, PARTIALS, Shape};
use stockade_policy::{Layer, PRESETS, PolicyText};
use stockade_tests::{Place, between, stockade};

fn path() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/policy.md").into()
}

fn updates() -> bool {
    std::env::var_os("UPDATE_SNAPSHOTS").is_some_and(|v| v == "1")
}

fn shape(key: &Key) -> String {
    let words = |words: &[&str]| {
        let quoted: Vec<_> = words.iter().map(|w| format!("`{w:?}`")).collect();
        quoted.join(" < ")
    };
    match key.shape {
        Shape::Version => "`1`".into(),
        Shape::Text => "text".into(),
        Shape::Flag => "`true` or `false`".into(),
        Shape::Names => "a name or a list of names".into(),
        Shape::Paths => "paths".into(),
        Shape::Protect => "paths, or `{ path, mode, because }`".into(),
        Shape::Network => "hosts".into(),
        Shape::Ports => "ports, `HOST[:INSIDE]`".into(),
        Shape::SystemCalls => "names of system calls".into(),
        Shape::Variables => "names, `*` allowed".into(),
        Shape::Assignments => "`{ NAME = \"value\" }`".into(),
        Shape::Mode(modes) => words(modes),
        Shape::Bytes => "size, such as `\"4G\"`".into(),
        Shape::Count => "whole number above 0".into(),
        Shape::Seconds => "time, such as `\"30m\"`".into(),
        Shape::Partials => "names of what is held in part".into(),
    }
}

fn keys() -> String {
    let mut out =
        String::from("| key | value | | meaning | since |\n| --- | --- | --- | --- | --- |\n");
    for key in rule::keys() {
        let effect = match key.effect {
            Effect::Loosens => "opens",
            Effect::Tightens => "tightens",
            Effect::Compared => "compared",
            Effect::Neutral => "",
        };
        let (path, shape) = (key.path(), shape(key));
        out += &format!(
            "| `{path}` | {shape} | {effect} | {} | {} |\n",
            key.doc, key.since
        );
    }
    out
}

/// The files that the next console block finds.
#[derive(Default)]
struct Files {
    user: Option<String>,
    project: Option<String>,
}

fn place(files: &Files, name: &str) -> Place {
    let place = Place::new(name);
    let config = place.home().join(".config/stockade");
    std::fs::create_dir_all(&config).expect("a folder");
    if let Some(text) = &files.user {
        std::fs::write(config.join("policy.toml"), text).expect("the user's policy");
    }
    if let Some(text) = &files.project {
        std::fs::write(place.work().join(".stockade.toml"), text).expect("the project's policy");
    }
    place
}

/// Each `$ …` line of a block with its output now.
fn console(block: &str, files: &Files, name: &str) -> String {
    let place = place(files, name);
    let programs = stockade().parent().expect("a folder").display();
    let [home, work] = [place.home(), place.work()].map(|p| p.display().to_string());
    let mut out = String::new();
    for line in block.lines().filter_map(|l| l.strip_prefix("$ ")) {
        let output = place
            .command("sh")
            .env("PATH", format!("{programs}:/usr/bin:/bin"))
            .args(["-c", &format!("{{ {line}; }} 2>&1")])
            .output()
            .expect("sh runs");
        let text = String::from_utf8_lossy(&output.stdout)
            .replace(&home, "/home/you")
            .replace(&work, "/src/project");
        out += &format!("$ {line}\n{text}");
        match output.status.code() {
            Some(0) => {}
            code => out += &format!("[exit status {}]\n", code.expect("a status")),
        }
    }
    out
}

fn accepted(text: &str, name: &str) -> bool {
    let place = Place::new(name);
    std::fs::write(place.work().join("policy.toml"), text).expect("the policy");
    place.stockade(&["check", "policy.toml"]).status.success()
}

/// The manual with every output as it is now, and how many blocks of each kind it has.
fn executed(text: &str) -> (String, [usize; 2]) {
    let (mut out, mut counts, mut files) = (String::new(), [0, 0], Files::default());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        out += &format!("{line}\n");
        let Some(kind) = line.strip_prefix("```").filter(|k| !k.is_empty()) else {
            continue;
        };
        let body: Vec<_> = lines.by_ref().take_while(|l| *l != "```").collect();
        let mut body = body.join("\n") + "\n";
        let name = format!("manual-{}", counts[0] + counts[1]);
        match kind {
            "toml policy" => {
                assert!(accepted(&body, &name), "refused:\n{body}");
                counts[0] += 1;
            }
            "toml user" => files.user = Some(body.clone()),
            "toml project" => files.project = Some(body.clone()),
            "console" => {
                body = console(&body, &std::mem::take(&mut files), &name);
                counts[1] += 1;
            }
            other => panic!("a block of no known kind: {other}"),
        }
        out += &format!("{body}```\n");
    }
    let Files { user, project } = files;
    assert!(
        user.is_none() && project.is_none(),
        "a file that no console block uses"
    );
    (out, counts)
}

#[test]
fn the_manual_is_what_happens() {
    let before = std::fs::read_to_string(path()).expect("the manual");
    let (now, [policies, consoles]) = executed(&between(&before, "keys", &keys()));
    if updates() {
        std::fs::write(path(), &now).expect("the manual is written");
    } else {
        for (n, (kept, new)) in before.lines().zip(now.lines()).enumerate() {
            assert_eq!(kept, new, "docs/policy.md line {}", n + 1);
        }
        assert_eq!(before, now);
    }
    assert!(policies >= 3 && consoles >= 8, "{policies} {consoles}");
}

#[test]
fn every_partial_is_explained_and_the_presets_accept_what_is_said() {
    let text = std::fs::read_to_string(path()).expect("the manual");
    let (_, rest) = text
        .split_once("<!-- partials -->\n")
        .expect("the first mark");
    let (table, _) = rest
        .split_once("<!-- end of partials -->")
        .expect("the last mark");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(2)
        .map(|l| l.split('|').map(str::trim).collect())
        .collect();
    let names: Vec<_> = rows.iter().map(|r| r[1].trim_matches('`')).collect();
    assert_eq!(names, PARTIALS);
    for row in rows {
        let name = row[1].trim_matches('`');
        let accepting: Vec<_> = PRESETS
            .iter()
            .filter(|p| accepts(p.text, name))
            .map(|p| format!("`{}`", p.name))
            .collect();
        assert_eq!(row[2], accepting.join(", "), "{name}");
        assert!(row[3].len() > 20, "{name}");
    }
}

fn accepts(preset: &str, partial: &str) -> bool {
    let text = PolicyText::parse(Layer::System.name(), preset).expect("a preset");
    text.entries
        .iter()
        .any(|e| e.key.name == "accept_partial" && e.text == partial)
}
