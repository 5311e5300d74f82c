//! What a session costs in which nothing happens, and how large the program is.

use super::Run;
use super::memory::{self, AtRest};
use super::place::Place;
use super::report::{Fact, Mark, Section};
use super::ways::{LEVELS, Way, own, stockade};

const MEBIBYTE: f64 = 1_048_576.0;
const PSS_AT_MOST: f64 = 12.0;
const WAKES_AT_MOST: f64 = 0.0;
const BINARY_AT_MOST: f64 = 10.0;

pub fn run(_: &Run, place: &Place) -> Result<Section, String> {
    let mut facts = Vec::new();
    for level in LEVELS {
        facts.extend(level_facts(level, &at_rest(place, level)?));
    }
    let size = stockade().metadata().map_err(|e| e.to_string())?.len();
    facts.push(Fact {
        name: "the stripped binary".into(),
        value: size as f64 / MEBIBYTE,
        unit: "MiB",
        mark: Some(Mark::of(BINARY_AT_MOST, size as f64 / MEBIBYTE)),
    });
    Ok(Section {
        name: "idle",
        tables: Vec::new(),
        facts,
        notes: vec![format!(
            "the agent is `sleep`; wake-ups are the changes of `voluntary_ctxt_switches` of every thread \
             of stockade's own processes over {} s",
            memory::WATCHED.as_secs()
        )],
    })
}

fn level_facts(level: &str, rest: &AtRest) -> Vec<Fact> {
    let AtRest {
        processes,
        pss_kib,
        rss_kib,
        wakes,
    } = *rest;
    let fact = |what: &str, value: f64, unit, at_most: Option<f64>| Fact {
        name: format!("{}: {what}", own(level)),
        value,
        unit,
        mark: at_most.map(|m| Mark::of(m, value)),
    };
    let mebibytes = |kib: u64| kib as f64 / 1024.0;
    vec![
        fact("processes of its own", f64::from(processes), "", None),
        fact(
            "their PSS together",
            mebibytes(pss_kib),
            "MiB",
            Some(PSS_AT_MOST),
        ),
        fact("their RSS together", mebibytes(rss_kib), "MiB", None),
        fact("wake-ups at rest", wakes as f64, "", Some(WAKES_AT_MOST)),
    ]
}

fn at_rest(place: &Place, level: &'static str) -> Result<AtRest, String> {
    let ready = place.work().join(format!("ready-{level}"));
    let script = format!("touch {}; exec sleep 60", ready.display());
    let way = Way::level(place, level, &[]);
    memory::of(way.prepare(&["/bin/sh", "-c", &script])?.command, &ready)
}
