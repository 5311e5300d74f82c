//! What a session costs, beside nothing and beside the peers. Never a test.

mod bubblewrap;
mod document;
mod driver;
mod files;
mod host;
mod idle;
mod lanes;
mod memory;
mod open;
mod peers;
mod place;
mod report;
mod spread;
mod start;
mod trace;
mod trees;
mod ways;

use crate::{packages, top};
use lanes::Judge;
use place::Place;
use report::{Report, Section};
use std::process::Command;

type Measure = fn(&Run, &Place) -> Result<Section, String>;

/// What `--only` can name: a row, or a group of rows.
const BENCHES: &[(&str, &str, Measure)] = &[
    ("start", "true", start::peers),
    ("start", "rules", start::rules),
    ("open", "open", open::run),
    ("files", "find", files::find),
    ("files", "cache", files::cache),
    ("files", "churn", files::churn),
    ("files", "cargo", files::cargo),
    ("files", "make", files::make),
    ("files", "git-log", files::git_log),
    ("files", "git-status", files::git_status),
    ("idle", "idle", idle::run),
    ("trace", "trace", trace::run),
];

/// What the command line asked for.
#[derive(Debug, Default)]
pub struct Run {
    pub json: bool,
    /// Into the document, instead of to standard output.
    pub write: bool,
    pub yes: bool,
    /// All where none is named.
    pub only: Vec<String>,
    /// Instead of each sub-benchmark's own number.
    pub rounds: Option<usize>,
    /// Found when it begins.
    pub judge: Judge,
}

pub fn run(mut run: Run) -> Result<(), String> {
    let chosen = chosen(&run.only)?;
    if run.write && (run.json || !run.only.is_empty()) {
        return Err("--write takes all sub-benchmarks, as Markdown".into());
    }
    packages::ensure_unless(
        &[
            "bubblewrap",
            "gcc",
            "libc6-dev",
            "libseccomp-dev",
            "make",
            "git",
        ],
        &[
            ("bubblewrap".into(), "bwrap".into()),
            ("gcc".into(), "cc".into()),
            ("make".into(), "make".into()),
            ("git".into(), "git".into()),
        ]
        .into(),
        run.yes,
    )?;
    // before the build, which is load of the bench's own
    let load = host::load()?;
    run.judge = host::judge(load);
    build()?;
    let mut report = Report {
        head: host::head(load, run.judge)?,
        sections: Vec::new(),
    };
    for (_, name, measure) in chosen {
        eprintln!("bench: {name}");
        let place = Place::new(name)?;
        let section = measure(&run, &place);
        place.remove()?;
        report
            .sections
            .push(section.map_err(|why| format!("{name}: {why}"))?);
    }
    report
        .head
        .push(("load average at the end", host::load()?.to_string()));
    if run.write {
        document::write(&report.markdown())?;
    } else if run.json {
        let text = serde_json::to_string_pretty(&report).map_err(|e| e.to_string())?;
        println!("{text}");
    } else {
        print!("{}", report.markdown());
    }
    Ok(())
}

fn chosen(only: &[String]) -> Result<Vec<&'static (&'static str, &'static str, Measure)>, String> {
    let named = |name: &String| {
        BENCHES
            .iter()
            .any(|(group, own, _)| name == group || name == own)
    };
    if let Some(unknown) = only.iter().find(|name| !named(name)) {
        let names: Vec<&str> = BENCHES.iter().map(|(_, name, _)| *name).collect();
        return Err(format!(
            "{unknown}: no such sub-benchmark; there are: start files {}",
            names.join(" ")
        ));
    }
    let asked = |name: &&str| only.iter().any(|o| o == name);
    Ok(BENCHES
        .iter()
        .filter(|(group, name, _)| only.is_empty() || asked(group) || asked(name))
        .collect())
}

fn build() -> Result<(), String> {
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--package", "stockade"])
        .current_dir(top())
        .status()
        .map_err(|e| e.to_string())?;
    if built.success() {
        Ok(())
    } else {
        Err(format!("cargo build: {built}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_and_a_group_can_be_chosen_and_nothing_else() {
        let names = |only: &[&str]| -> Vec<&str> {
            let only: Vec<String> = only.iter().map(|o| (*o).to_owned()).collect();
            chosen(&only).map_or_else(|_| vec!["error"], |c| c.iter().map(|b| b.1).collect())
        };
        assert_eq!(names(&[]).len(), BENCHES.len());
        assert_eq!(names(&["make"]), ["make"]);
        assert_eq!(names(&["start"]), ["true", "rules"]);
        assert_eq!(names(&["files"]).len(), 7);
        assert_eq!(names(&["make", "mark"]), ["error"]);
    }
}
