//! Open and close of one file, eight folders down in the workspace, over and over.

use super::Run;
use super::driver;
use super::lanes::{Lane, measure};
use super::place::{Place, make};
use super::report::{Section, Table};
use super::ways::{LEVELS, NATIVE, Ways, own};

const ROUNDS: usize = 400;
const WARM_UP: usize = 20;
const PATH: &str = "1/2/3/4/5/6/7/file";
/// Short enough that what else the machine does meets all ways of a round alike.
const TIMES: &str = "2000";
const MARKS: [(&str, f64); 2] = [("read", 1.10), ("write", 1.60)];

pub fn run(run: &Run, place: &Place) -> Result<Section, String> {
    driver::build(place)?;
    for workspace in [place.work(), place.beside()] {
        let file = workspace.join(PATH);
        make(file.parent().unwrap_or(&file))?;
        std::fs::write(&file, "text\n").map_err(|e| format!("{}: {e}", file.display()))?;
    }
    let ways = Ways::with_peers(place, run.yes)?;
    let rounds = run.rounds.unwrap_or(ROUNDS);
    let mut section = Section {
        name: "open",
        notes: ways.notes,
        ..Section::default()
    };
    for (mode, at_most) in MARKS {
        let words = [driver::PROGRAM, "open", mode, PATH, TIMES];
        let lanes = driver::lanes(&ways.all, &words, 1.0)?;
        let (rows, left) = measure(marked(lanes, at_most), WARM_UP, rounds, run.judge)?;
        section.notes.extend(left);
        section.tables.push(Table {
            title: format!("open to {mode} and close, 8 deep"),
            unit: "ns",
            rounds,
            of: NATIVE,
            rows,
        });
    }
    section
        .notes
        .push(format!("a round measures {TIMES} times each"));
    Ok(section)
}

/// Landlock walks up from every file that is opened, whoever uses it: the mark is for mounts.
fn marked(mut lanes: Vec<Lane<'_>>, at_most: f64) -> Vec<Lane<'_>> {
    let with_mark = own(LEVELS[0]);
    for lane in lanes.iter_mut().filter(|l| l.name() == with_mark) {
        lane.mark(at_most);
    }
    lanes
}
