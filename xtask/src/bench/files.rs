//! Work on files, as agents do it: what one batch takes inside a session that has begun already.

use super::Run;
use super::driver;
use super::lanes::{Lane, measure};
use super::place::Place;
use super::report::{Section, Table};
use super::trees;
use super::ways::{Kind, NATIVE, Ways};

const AT_MOST: f64 = 1.03;
const WARM_UP: usize = 2;
const TO_MILLISECONDS: f64 = 1e6;

/// One row of the table of sub-benchmarks.
struct Work {
    name: &'static str,
    title: String,
    rounds: usize,
    /// The driver's words.
    words: Vec<String>,
    /// Of `stockade run`.
    flags: Vec<String>,
}

pub fn find(run: &Run, place: &Place) -> Result<Section, String> {
    trees::files(place, "work/tree")?;
    let work = Work {
        name: "find",
        title: format!("`find` and `cat` of {} files", trees::FILES),
        rounds: 40,
        words: shell(":", "find tree -type f -exec cat {} +"),
        flags: Vec::new(),
    };
    section(run, place, work)
}

pub fn cache(run: &Run, place: &Place) -> Result<Section, String> {
    trees::files(place, "home/.cargo/registry/tree")?;
    let work = Work {
        name: "cache",
        title: format!(
            "`find` and `cat` of {} files in an overlaid cache",
            trees::FILES
        ),
        rounds: 40,
        words: shell(":", "find ~/.cargo/registry/tree -type f -exec cat {} +"),
        flags: Vec::new(),
    };
    section(run, place, work)
}

/// In memory where it can be: an ext4 without a journal does not take an inode again for a minute, and
/// looks at all of them each time, so that a batch there measures the batches before it.
pub fn churn(run: &Run, place: &Place) -> Result<Section, String> {
    let in_memory = nix::unistd::geteuid().is_root();
    if in_memory {
        place.work_in_memory()?;
    }
    place.write("work/churn/empty", "")?;
    let work = Work {
        name: "churn",
        title: format!(
            "{} files created and removed{}",
            trees::FILES,
            if in_memory { ", on a tmpfs" } else { "" }
        ),
        rounds: 40,
        words: ["churn".into(), "churn".into(), trees::FILES.to_string()].into(),
        flags: Vec::new(),
    };
    let section = section(run, place, work);
    if in_memory {
        place.end_memory()?;
    }
    section
}

pub fn cargo(run: &Run, place: &Place) -> Result<Section, String> {
    trees::crate_with_dependency(place)?;
    let toolchain = trees::toolchain()?;
    let build = format!("cd crate && PATH={toolchain}/bin:$PATH cargo build --offline --quiet");
    let work = Work {
        name: "cargo",
        title: "`cargo build` of a crate whose dependency lies in an overlaid cache".into(),
        rounds: 15,
        words: shell("rm -rf crate/target", &build),
        flags: ["--allow-read".into(), toolchain].into(),
    };
    section(run, place, work)
}

pub fn make(run: &Run, place: &Place) -> Result<Section, String> {
    trees::c_project(place)?;
    let work = Work {
        name: "make",
        title: format!("`make` of {} C files", trees::C_FILES),
        rounds: 15,
        words: shell("make -s -C c clean", "make -s -C c"),
        flags: Vec::new(),
    };
    section(run, place, work)
}

pub fn git_log(run: &Run, place: &Place) -> Result<Section, String> {
    let command = "git log --name-only";
    git(run, place, "git-log", "`git log --name-only`", command)
}

pub fn git_status(run: &Run, place: &Place) -> Result<Section, String> {
    // one takes a few milliseconds, of which much is the start of git
    let command = "for n in 1 2 3 4 5; do git status --short || exit; done";
    git(run, place, "git-status", "five times `git status`", command)
}

fn git(
    run: &Run,
    place: &Place,
    name: &'static str,
    title: &str,
    command: &str,
) -> Result<Section, String> {
    trees::repository(place)?;
    let work = Work {
        name,
        title: format!(
            "{}, {} commits, {} files",
            title,
            trees::COMMITS,
            trees::TRACKED
        ),
        rounds: 40,
        words: shell(":", command),
        flags: Vec::new(),
    };
    section(run, place, work)
}

/// `before` is done each time, and not measured.
fn shell(before: &str, command: &str) -> Vec<String> {
    ["run", before, command].map(str::to_owned).into()
}

fn section(run: &Run, place: &Place, work: Work) -> Result<Section, String> {
    let Work {
        name,
        title,
        rounds,
        words,
        flags,
    } = work;
    driver::build(place)?;
    let ways = Ways::plain(place, &flags)?;
    let rounds = run.rounds.unwrap_or(rounds);
    let mut all = vec![driver::PROGRAM];
    all.extend(words.iter().map(String::as_str));
    let lanes: Vec<Lane<'_>> = driver::lanes(&ways.all, &all, TO_MILLISECONDS)?
        .into_iter()
        .map(|lane| match lane.kind() {
            Kind::Own => lane.at_most(AT_MOST),
            Kind::Native | Kind::Peer => lane,
        })
        .collect();
    let (rows, left) = measure(lanes, WARM_UP, rounds, run.judge)?;
    Ok(Section {
        name,
        tables: vec![Table {
            title,
            unit: "ms",
            rounds,
            of: NATIVE,
            rows,
        }],
        facts: Vec::new(),
        notes: left,
    })
}
