//! Random policies, trees and operations: what the reference semantics say of each, and what the
//! kernel did in a session, agree.

mod case;
mod excuse;
mod judge;
mod random;
mod session;
mod tree;
mod way;

use case::{Case, shrink};
use fastrand::Rng;
use session::{Ground, Report};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

/// Operations on one tree under one policy.
const OPERATIONS: usize = 200;

/// Cases of one run that are made small and kept, which takes a hundred runs each.
fn most_kept() -> usize {
    std::env::var("STOCKADE_KEEP").map_or(3, |text| text.parse().expect("a number"))
}

static ONE: Mutex<()> = Mutex::new(());

/// Whose cases are tried: those of a seed are the same on every machine.
fn seed() -> u64 {
    std::env::var("STOCKADE_SEED").map_or(1, |text| text.parse().expect("a number"))
}

/// Operations that are judged, at each level.
fn wanted() -> usize {
    if let Ok(number) = std::env::var("STOCKADE_CASES") {
        return number.parse().expect("a number");
    }
    if stockade_tests::full() {
        100_000
    } else {
        10_000
    }
}

/// The policies of the seed that are tried, where not all are.
fn only() -> Option<Vec<u64>> {
    let text = std::env::var("STOCKADE_ONLY").ok()?;
    let numbers = text.split(',').map(|n| n.parse().expect("a number"));
    Some(numbers.collect())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions")
}

/// Every case that was once found wrong, at its level.
fn again(ground: &Ground, level: &str, all: &mut Report) {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("the regressions")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a case");
        let case: Case = toml::from_str(&text).expect("a case");
        if case.level == level {
            println!("{}: {}", file.display(), case.about);
            let report = ground.run(&case);
            for why in &report.disagreements {
                println!("{}: {why}", file.display());
            }
            all.add(report);
        }
    }
}

/// The smallest case that disagrees as this one does, kept for every later run.
fn keep(ground: &Ground, case: &Case, found: &Report, name: &str) {
    let smaller = |case: &Case| {
        let report = ground.run(case);
        report.kind().is_some() && report.kind() == found.kind()
    };
    let mut case = shrink(case, &smaller);
    case.about = ground.run(&case).disagreements.join("; ");
    let text = toml::to_string_pretty(&case).expect("a text");
    println!("{text}");
    std::fs::write(folder().join(format!("{name}.toml")), text).expect("the case is kept");
}

fn agree(level: &str) {
    // one after the other: a program that another test is copying at that moment is not executed
    let _alone = ONE.lock();
    let ground = Ground::new();
    let began = Instant::now();
    let mut all = Report::default();
    let only = only();
    if only.is_none() {
        again(&ground, level, &mut all);
    }
    let (seed, mut policies, mut kept) = (seed(), 0, 0);
    let mut numbers: Box<dyn Iterator<Item = u64>> = match only {
        Some(some) => Box::new(some.into_iter()),
        None => Box::new(0..),
    };
    while all.cases < wanted()
        && let Some(n) = numbers.next()
    {
        let mut rng = Rng::with_seed((seed << 32) + n);
        let case = random::case(&mut rng, level, OPERATIONS);
        let report = ground.run(&case);
        for why in &report.disagreements {
            println!("seed {seed}, policy {n}: {why}");
        }
        if !report.disagreements.is_empty() && kept < most_kept() {
            kept += 1;
            keep(&ground, &case, &report, &format!("{level}-{seed}-{n}"));
        }
        policies += 1;
        all.add(report);
    }
    let (seconds, id) = (began.elapsed().as_secs_f64(), nix::unistd::geteuid());
    println!("{level} as user {id}, seed {seed}: {policies} policies, {all}, {seconds:.0} s");
    assert!(all.disagreements.is_empty(), "{level}: {all}");
}

#[test]
fn namespaces_agree() {
    agree("namespaces");
}

#[test]
fn landlock_agree() {
    agree("landlock");
}
