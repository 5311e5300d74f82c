//! Real sequences of actions under `stockade trace`: what each process itself says it belongs to is what the events say.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use stockade_tests::{Place, install, is_missing, stockade, text};

const SEQUENCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/actions");
/// Fewer would be a corpus that somebody cut.
const AT_LEAST: usize = 40;

/// What a sequence says of itself, `# KEY: VALUE` a line.
struct Sequence {
    path: PathBuf,
    says: BTreeMap<String, String>,
}

impl Sequence {
    fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().take_while(|l| l.starts_with("# "));
        let says = lines.filter_map(|l| l[2..].split_once(": "));
        let says = says.map(|(k, v)| (k.into(), v.into())).collect();
        Self { path, says }
    }

    fn name(&self) -> String {
        self.path.file_stem().unwrap().to_string_lossy().into()
    }

    fn says(&self, key: &str) -> &str {
        self.says.get(key).map_or("", String::as_str)
    }

    /// `STEP WORD, STEP WORD`.
    fn of_steps(&self, key: &str) -> Vec<(&str, &str)> {
        let all = self.says(key).split(", ");
        all.filter_map(|pair| pair.split_once(' ')).collect()
    }
}

fn sequences() -> Vec<Sequence> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(SEQUENCES)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "sh") && !p.ends_with("prelude.sh"))
        .collect();
    paths.sort();
    paths.into_iter().map(Sequence::read).collect()
}

/// The programs that sequences use beside the system's.
fn tools(place: &Place) -> PathBuf {
    let bin = place.path().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    for script in ["mark", "own-agent"] {
        install(&Path::new(SEQUENCES).join(script), &bin.join(script));
    }
    install(stockade(), &bin.join("stockade"));
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-pthread", "-o"]);
    compiler.args([&bin.join("kinds"), &Path::new(SEQUENCES).join("kinds.c")]);
    assert!(compiler.status().expect("cc").success());
    bin
}

struct Seen {
    /// Step and the process that says so.
    truth: Vec<(String, u64)>,
    events: Vec<Value>,
}

/// None where the kernel refuses what the sequence needs, and stockade says so.
fn run(sequence: &Sequence) -> Option<Seen> {
    let place = Place::new(&format!("actions-{}", sequence.name()));
    let bin = tools(&place);
    let work = place.outside();
    let (truth, events) = (place.path().join("truth"), place.path().join("events"));
    std::fs::write(&truth, "").unwrap();
    let script = format!(
        ". {SEQUENCES}/prelude.sh; . {}",
        sequence.path.to_string_lossy()
    );
    let path = format!(
        "{}:{}",
        bin.display(),
        std::env::var("PATH").expect("a PATH")
    );
    let mut command = place.command("timeout");
    command.args(["60"]).arg(bin.join("stockade"));
    command
        .args(["trace", "--json", "-e", "none", "-o"])
        .arg(&events);
    if let Some(agent) = sequence.says.get("agent") {
        command.arg("--agent-exe").arg(bin.join(agent));
    }
    command
        .args(["--", "bash", "-c", &script])
        .current_dir(&work)
        .env("PATH", path)
        .env("SHELL", "/bin/bash")
        .env("TRUTH", &truth)
        .env("USER_HOME", std::env::var_os("HOME").expect("a home"));
    let out = command.output().unwrap();
    let why = sequence.says("refused");
    if !why.is_empty() && out.status.code() == Some(125) && text(&out).contains(why) {
        assert_eq!(std::fs::read(&truth).unwrap(), b"", "it ran all the same");
        return None;
    }
    assert!(out.status.success(), "{}: {}", sequence.name(), text(&out));
    let lines = std::fs::read_to_string(&events).unwrap();
    let row = |line: &str| {
        let (step, process) = line.split_once(' ').expect(line);
        (step.to_owned(), process.parse().expect(line))
    };
    Some(Seen {
        truth: std::fs::read_to_string(&truth)
            .unwrap()
            .lines()
            .map(row)
            .collect(),
        events: lines
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect(),
    })
}

fn number(event: &Value, field: &str) -> u64 {
    event[field]
        .as_u64()
        .unwrap_or_else(|| panic!("{field}: {event}"))
}

/// What does not agree, each with what it is about.
fn compare(sequence: &Sequence, seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut of_process: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for event in &seen.events {
        if is_missing(event) {
            wrong.push(format!("missing: {event}"));
        }
        let actions = of_process.entry(number(event, "inside")).or_default();
        actions.insert(number(event, "action"));
    }
    let mut of_step: BTreeMap<&str, u64> = BTreeMap::from([("agent", 0)]);
    for (step, process) in &seen.truth {
        let Some(actions) = of_process.get(process) else {
            wrong.push(format!("{step}: no event of the process {process}"));
            continue;
        };
        let action = *of_step
            .entry(step)
            .or_insert_with(|| *actions.iter().next_back().unwrap());
        if !actions.contains(&action) {
            wrong.push(format!("{step}: {process} in {actions:?}, not in {action}"));
        }
    }
    let numbers: BTreeSet<&u64> = of_step.values().collect();
    if numbers.len() != of_step.len() {
        wrong.push(format!("two steps in one action: {of_step:?}"));
    }
    wrong.extend(marks(sequence, seen.truth.len()));
    wrong.extend(late(sequence, seen, &of_step));
    wrong.extend(submissions(sequence, seen, &of_step));
    wrong.extend(claims(sequence, seen, &of_step));
    wrong
}

/// Whether all of the sequence ran.
fn marks(sequence: &Sequence, found: usize) -> Option<String> {
    let says = sequence.says("marks");
    let enough = match says.strip_suffix('+') {
        Some(least) => found >= least.parse().unwrap(),
        None => found == says.parse::<usize>().unwrap(),
    };
    (!enough).then(|| format!("{found} marks, not {says}"))
}

/// An action is late where its sequence says so, and nowhere else.
fn late(sequence: &Sequence, seen: &Seen, of_step: &BTreeMap<&str, u64>) -> Option<String> {
    let says = sequence.says.get("late")?;
    let late = seen.events.iter().filter(|e| e["late"] == true);
    let late: BTreeSet<u64> = late.map(|e| number(e, "action")).collect();
    let expected = BTreeSet::from([of_step[says.as_str()]]);
    (late != expected).then(|| format!("late are {late:?}, not {expected:?}"))
}

fn submissions(sequence: &Sequence, seen: &Seen, of_step: &BTreeMap<&str, u64>) -> Option<String> {
    let of = |step: &str| {
        let events = seen.events.iter().filter(|e| e["kind"] == "uring");
        events
            .filter(|e| number(e, "action") == of_step[step])
            .count()
    };
    let expected = sequence.of_steps("submissions");
    let found: Vec<_> = expected
        .iter()
        .map(|(s, _)| (*s, of(s).to_string()))
        .collect();
    let same = expected.iter().zip(&found).all(|(e, f)| e.1 == f.1);
    (!same).then(|| format!("submissions {found:?}, not {expected:?}"))
}

/// Each step has its own label once it claimed one, and the label of no other.
fn claims(sequence: &Sequence, seen: &Seen, of_step: &BTreeMap<&str, u64>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (step, label) in sequence.of_steps("claimed") {
        let own = seen
            .events
            .iter()
            .filter(|e| number(e, "action") == of_step[step]);
        let labels: BTreeSet<&str> = own.filter_map(|e| e["claimed"].as_str()).collect();
        if labels != BTreeSet::from([label]) {
            wrong.push(format!("{step} is claimed as {labels:?}, not {label}"));
        }
    }
    wrong
}

#[test]
fn every_process_is_where_it_says_itself() {
    assert!(nix::unistd::geteuid().is_root(), "eBPF programs take root");
    let filter = std::env::var("STOCKADE_SEQUENCE").ok();
    let all = sequences();
    assert!(all.len() >= AT_LEAST, "{} sequences", all.len());
    let chosen = |s: &&Sequence| filter.as_ref().is_none_or(|f| *f == s.name());
    let chosen: Vec<&Sequence> = all.iter().filter(chosen).collect();
    let (next, came) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(sequence) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let one = outcome(sequence);
                    came.lock().unwrap().push(one);
                }
            });
        }
    });
    let came = came.into_inner().unwrap();
    assert_eq!(came.len(), chosen.len(), "a sequence is missing");
    let sum = |of: fn(&Outcome) -> usize| came.iter().map(of).sum::<usize>();
    let wrong: Vec<&String> = came.iter().flat_map(|o| &o.wrong).collect();
    println!(
        "{} sequences, {} refused by this kernel, {} marks, {} events, {} errors",
        came.len(),
        sum(|o| usize::from(o.refused)),
        sum(|o| o.marks),
        sum(|o| o.events),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Traces at the same time, which must not mix.
const AT_ONCE: usize = 4;

#[derive(Default)]
struct Outcome {
    refused: bool,
    marks: usize,
    events: usize,
    wrong: Vec<String>,
}

fn outcome(sequence: &Sequence) -> Outcome {
    let name = sequence.name();
    let Some(seen) = run(sequence) else {
        println!("{name:22} refused by this kernel, as it says");
        return Outcome {
            refused: true,
            ..Outcome::default()
        };
    };
    let wrong = compare(sequence, &seen);
    let (marks, events) = (seen.truth.len(), seen.events.len());
    println!(
        "{name:22} {marks:3} marks {events:5} events {} errors",
        wrong.len()
    );
    Outcome {
        refused: false,
        marks,
        events,
        wrong: wrong.into_iter().map(|w| format!("{name}: {w}")).collect(),
    }
}

/// Statements that store an action, by file.
fn stores(folder: &Path, found: &mut BTreeSet<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            stores(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(TOP).unwrap().display().to_string();
            let lines = text.lines().map(str::trim);
            let lines = lines.filter(|l| l.contains(".action = ") && !l.starts_with("//"));
            found.extend(lines.map(|l| (name.clone(), l.to_owned())));
        }
    }
}

const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[test]
fn the_list_of_who_sets_an_action_is_whole() {
    let text = std::fs::read_to_string(Path::new(TOP).join("docs/actions.md")).unwrap();
    let rows = text.lines().filter(|l| l.contains(".action = "));
    let listed: BTreeSet<(String, String)> = rows
        .map(|row| {
            let mut quoted = row.split('`').skip(1).step_by(2);
            let mut next = || quoted.next().expect(row).to_owned();
            (next(), next())
        })
        .collect();
    let mut found = BTreeSet::new();
    let probes = "ebpf-probes/src";
    let user = ["", "bpf/", "events/", "enforce/"].map(|part| format!("supervisor/{part}src"));
    for folder in user.iter().map(String::as_str).chain([probes]) {
        stores(&Path::new(TOP).join(folder), &mut found);
    }
    assert_eq!(found, listed);
}
