//! Names that change while they are used: saved anew by a program outside all the time, swapped with links,
//! held by two sessions at once.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use stockade_tests::{LEVELS, Place, full, stockade, text};

const ATTACK: &str = env!("CARGO_BIN_EXE_attack");

/// A session that tries again and again until `until` is there.
struct Stealing {
    session: Child,
    said: BufReader<ChildStdout>,
}

impl Stealing {
    fn new(place: &Place, level: &str, hidden: &Path, until: &Path) -> Self {
        let outside = place.outside();
        let mut command = place.command(stockade());
        command
            .args(["run", "--require", level, "--allow-read", ATTACK])
            .args([Path::new("--allow-read"), &outside])
            .args([Path::new("--deny-read"), hidden])
            .args(["--", ATTACK, "steal"])
            .args([hidden, until])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut session = command.spawn().unwrap();
        let mut said = BufReader::new(session.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "started\n", "{level}");
        Self { session, said }
    }

    /// Tries, reads, writes, and what stockade said.
    fn end(mut self, until: &Path) -> ([u32; 3], String) {
        std::fs::write(until, "").unwrap();
        let mut counts = String::new();
        self.said.read_to_string(&mut counts).unwrap();
        let out = self.session.wait_with_output().unwrap();
        let counts: Vec<u32> = counts
            .split_whitespace()
            .map(|n| n.parse().unwrap())
            .collect();
        (counts.try_into().unwrap(), text(&out))
    }
}

fn save(file: &Path, n: usize) {
    let fresh = file.with_extension("tmp");
    std::fs::write(&fresh, format!("SECRET {n}\n")).unwrap();
    std::fs::rename(&fresh, file).unwrap();
}

/// Where nothing is writable above it Landlock gives the new file nothing; a mount is gone for a moment, which
/// is declared and said, and the read-only one around it stays.
#[test]
fn a_hidden_file_that_is_saved_all_the_time() {
    let saves = if full() { 20_000 } else { 2_000 };
    for level in LEVELS {
        let place = Place::new("saved");
        let hidden = place.outside().join("hidden");
        let until = place.work().join("until");
        save(&hidden, 0);
        let stealing = Stealing::new(&place, level, &hidden, &until);
        for n in 1..=saves {
            save(&hidden, n);
            if n % 50 == 0 {
                // it is met between two of them too
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        let ([tries, read, written], said) = stealing.end(&until);
        assert!(tries > 100, "{level}: {tries}");
        assert_eq!(written, 0, "{level}");
        let last = std::fs::read_to_string(&hidden).unwrap();
        assert_eq!(last, format!("SECRET {saves}\n"), "{level}");
        if level == "landlock" {
            assert_eq!(read, 0, "{level}: of {tries}");
        } else {
            assert!(said.contains("was replaced outside"), "{said}");
        }
        // natively both are had
        assert!(
            std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open(&hidden)
                .is_ok()
        );
    }
}

/// After the last save it is covered again, and stays so; also what is saved before the supervisor looks for
/// the first time.
#[test]
fn a_hidden_file_is_covered_again() {
    let place = Place::new("covered");
    for _ in 0..if full() { 100 } else { 5 } {
        covered_again(&place);
    }
    let shown = place.outside().display().to_string();
    let hidden = place.outside().join("hidden");
    let hidden = hidden.to_str().unwrap();
    let level = ["plan", "--require", "namespaces", "--allow-read", &shown];
    let plan = place.stockade(&[&level[..], &["--deny-read", hidden, "--", "true"]].concat());
    let plan = text(&plan);
    let held = "in part    hidden by mounts (replaced)";
    assert!(plan.contains(held), "{plan}");
}

fn covered_again(place: &Place) {
    for name in ["ready", "go"] {
        let gone = std::fs::remove_file(place.work().join(name));
        assert!(gone.is_ok() || !place.work().join(name).exists());
    }
    let hidden = place.outside().join("hidden");
    save(&hidden, 0);
    let script = format!(
        "touch ready; until [ -e go ]; do sleep 0.05; done; for n in $(seq 100); do cat {0} && sleep 0.1 || break; done; cat {0} || cat {0} || echo covered",
        hidden.display()
    );
    let shown = place.outside().display().to_string();
    let session = place
        .command(stockade())
        .args([
            "run",
            "--require",
            "namespaces",
            "--allow-read",
            &shown,
            "--deny-read",
        ])
        .arg(&hidden)
        .args(["--", "sh", "-c", &script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let there = |name: &str| place.work().join(name).exists();
    assert!((0..20_000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(1));
        there("ready")
    }));
    for n in 0..100 {
        save(&hidden, n);
    }
    std::fs::write(place.work().join("go"), "").unwrap();
    let out = session.wait_with_output().unwrap();
    let said = text(&out);
    assert!(said.contains("covered\n"), "{said}");
}

/// A name that the session moved away with the directory above it is no change of the outside's, whatever a
/// program outside saves at that moment.
#[test]
fn what_the_session_moved_is_not_taken_for_the_outsides() {
    let place = Place::new("laundered");
    std::fs::create_dir(place.work().join(".vscode")).unwrap();
    let tasks = place.work().join(".vscode/tasks.json");
    std::fs::write(&tasks, "good\n").unwrap();
    save(&place.work().join(".envrc"), 0);
    // at once, and again when a save outside has had the mounts looked at
    let script = "mv .vscode x && mkdir .vscode && echo evil > .vscode/tasks.json; touch ready; \
        until [ -e go ]; do sleep 0.05; done; sleep 0.5; echo evil > .vscode/tasks.json; cat .envrc";
    let session = place
        .command(stockade())
        .args(["run", "--require", "namespaces", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert!((0..20_000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(1));
        place.work().join("ready").exists()
    }));
    save(&place.work().join(".envrc"), 1);
    std::fs::write(place.work().join("go"), "").unwrap();
    let said = text(&session.wait_with_output().unwrap());
    assert_eq!(std::fs::read_to_string(&tasks).unwrap(), "good\n", "{said}");
    assert!(!said.contains("tasks.json was replaced outside"), "{said}");
    // and what the outside saved stays
    assert!(
        said.contains("SECRET 1\n") && said.contains(".envrc was replaced outside"),
        "{said}"
    );
    let saved = std::fs::read_to_string(place.work().join(".envrc")).unwrap();
    assert_eq!(saved, "SECRET 1\n");
}
