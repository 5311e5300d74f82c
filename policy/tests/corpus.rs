//! The corpus: what is accepted and what it means, what is refused and what is said about it, and
//! that parser and JSON Schema agree on every file. `UPDATE_SNAPSHOTS=1 cargo test -p
//! stockade-policy --test corpus` writes what is compared; read what it wrote.
//!
//! Comments at the top of a file say `# layer: NAME` where it is not the user's, and `# beyond the
//! schema: REASON` where only the parser can refuse it.

mod common;

use common::context;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use stockade_policy::{Diagnostic, Layer, Policy, Source, Sources, json_schema, rule};

struct File {
    path: PathBuf,
    text: String,
}

impl File {
    /// What a comment at the top says.
    fn header(&self, name: &str) -> Option<&str> {
        let comments = self.text.lines().take_while(|l| l.starts_with("# "));
        comments
            .filter_map(|l| l[2..].strip_prefix(name))
            .find_map(|l| l.strip_prefix(": "))
    }

    fn layer(&self) -> Layer {
        match self.header("layer") {
            None => Layer::User,
            Some("system") => Layer::System,
            Some("command line") => Layer::CommandLine,
            Some("project") => Layer::Project { trusted: false },
            Some("trusted project") => Layer::Project { trusted: true },
            Some(other) => panic!("{}: no layer {other}", self.path.display()),
        }
    }

    fn build(&self, text: &str) -> Result<Policy, Vec<Diagnostic>> {
        let name = self.path.file_name().expect("a name");
        let source = Source {
            layer: self.layer(),
            origin: name.to_string_lossy().into_owned(),
            text: text.into(),
        };
        let sources = Sources {
            preset: None,
            layers: vec![source],
        };
        Policy::build(&sources, context())
    }
}

fn corpus(kind: &str, least: usize) -> Vec<File> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(kind);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the corpus")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .map(|path| File {
            text: std::fs::read_to_string(&path).expect("a text"),
            path,
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() >= least, "{} files in {kind}", files.len());
    files
}

/// Compares with the file beside, or writes it; what differs is returned.
fn compare(file: &File, extension: &str, now: &str) -> Option<String> {
    let beside = file.path.with_extension(extension);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some_and(|v| v == "1") {
        std::fs::write(&beside, now).expect("the snapshot is written");
    }
    let before = std::fs::read_to_string(&beside).unwrap_or_default();
    (before != now).then(|| {
        format!(
            "{} differs\n--- kept\n{before}\n--- now\n{now}",
            beside.display()
        )
    })
}

fn render(found: &[Diagnostic], text: &str) -> String {
    let all: Vec<_> = found.iter().map(|d| d.render(text, false)).collect();
    all.join("\n\n") + "\n"
}

/// What a file adds to the presets below it, and what it takes away.
fn effect(file: &File) -> String {
    let policy = file
        .build(&file.text)
        .unwrap_or_else(|e| panic!("{}\n{}", file.path.display(), render(&e, &file.text)));
    let presets = file.text.lines().find(|l| l.starts_with("extends = "));
    let below = file
        .build(&format!("version = 1\n{}\n", presets.unwrap_or("")))
        .expect("the presets");
    let ids = |p: &Policy| -> BTreeSet<String> {
        let marked = |r: &stockade_policy::Rule| {
            let report = if r.report { " (report)" } else { "" };
            format!("{}{report}", r.id)
        };
        p.rules().iter().map(marked).collect()
    };
    let settings = |p: &Policy| -> BTreeSet<String> {
        p.settings()
            .map(|(k, s)| format!("{k} = {}  # {}", s.value, s.id))
            .collect()
    };
    let (now, before) = (ids(&policy), ids(&below));
    let mut out = vec![format!("layers: {}", layers(&policy).join(" < "))];
    out.extend(now.difference(&before).map(|id| format!("+ {id}")));
    out.extend(before.difference(&now).map(|id| format!("- {id}")));
    out.extend(settings(&policy).difference(&settings(&below)).cloned());
    let ignored: BTreeSet<_> = policy.ignored.iter().collect();
    out.extend(ignored.iter().map(|id| format!("not counted: {id}")));
    if !policy.warnings.is_empty() {
        out.push(render(&policy.warnings, &file.text));
    }
    out.join("\n") + "\n"
}

/// Those that have rules, low to high.
fn layers(policy: &Policy) -> Vec<&str> {
    let mut out: Vec<&str> = Vec::new();
    for rule in policy.rules() {
        let (layer, _) = rule.id.as_str().split_once(':').expect("LAYER:…");
        if !out.contains(&layer) {
            out.push(layer);
        }
    }
    out
}

fn none_differ(differing: Vec<String>) {
    assert!(differing.is_empty(), "{}", differing.join("\n\n"));
}

#[test]
fn accepted_files_mean_what_stands_beside_them() {
    let files = corpus("accepted", 20);
    none_differ(
        files
            .iter()
            .filter_map(|f| compare(f, "rules", &effect(f)))
            .collect(),
    );
}

#[test]
fn each_mistake_is_said_as_stands_beside_it() {
    let said = |file: &File| match file.build(&file.text) {
        Ok(_) => panic!("{} is accepted", file.path.display()),
        Err(found) => compare(file, "stderr", &render(&found, &file.text)),
    };
    none_differ(corpus("rejected", 45).iter().filter_map(said).collect());
}

#[test]
fn no_snapshot_is_without_its_file() {
    for kind in ["accepted", "rejected"] {
        let files = corpus(kind, 1);
        let folder = files[0].path.parent().expect("a folder");
        for entry in std::fs::read_dir(folder).expect("the corpus") {
            let path = entry.expect("an entry").path();
            assert!(path.with_extension("toml").exists(), "{}", path.display());
        }
    }
}

#[test]
fn the_accepted_files_have_every_key_and_every_word() {
    let files = corpus("accepted", 20);
    let mut seen = BTreeSet::new();
    for file in &files {
        let table: toml::Table = toml::from_str(&file.text).expect("TOML");
        for (name, value) in &table {
            seen.insert(name.clone());
            if let Some(inner) = value.as_table() {
                seen.extend(inner.keys().map(|key| format!("{name}.{key}")));
            }
        }
    }
    let missing: Vec<_> = rule::keys()
        .map(rule::Key::path)
        .filter(|path| !seen.contains(path))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The file as the schema sees it; none when it is not even TOML.
fn instance(file: &File) -> Option<serde_json::Value> {
    let table: toml::Table = toml::from_str(&file.text).ok()?;
    Some(serde_json::to_value(table).expect("JSON"))
}

#[test]
fn the_schema_accepts_what_the_parser_accepts() {
    let schema = jsonschema::draft202012::new(&json_schema()).expect("a schema");
    for file in corpus("accepted", 20) {
        let value = instance(&file).expect("TOML");
        if let Err(error) = schema.validate(&value) {
            panic!(
                "{}: {}: {error}",
                file.path.display(),
                error.instance_path()
            );
        }
    }
}

#[test]
fn the_schema_refuses_what_the_parser_refuses() {
    let schema = jsonschema::draft202012::new(&json_schema()).expect("a schema");
    let wrong = |file: &File| {
        let accepted = instance(file).is_some_and(|value| schema.is_valid(&value));
        let beyond = file.header("beyond the schema");
        (accepted != beyond.is_some()).then(|| {
            let path = file.path.display();
            format!("{path}: schema accepts: {accepted}; beyond it: {beyond:?}")
        })
    };
    none_differ(corpus("rejected", 45).iter().filter_map(wrong).collect());
}

#[test]
fn the_schema_itself_is_one() {
    jsonschema::meta::validate(&json_schema()).expect("valid by its own schema");
}
