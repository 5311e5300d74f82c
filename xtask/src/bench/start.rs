//! From before the spawn until the session has been reaped: `true`, and with many rules.

use super::Run;
use super::lanes::{Lane, Took, measure};
use super::place::Place;
use super::report::{Section, Table};
use super::ways::{BUBBLEWRAP, Kind, LEVELS, Prepared, Way, Ways, own};
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

const ROUNDS: usize = 300;
const WARM_UP: usize = 20;
const LINGERS: Duration = Duration::from_secs(10);
const PROGRAM: &str = "/bin/true";
const BUBBLEWRAP_AT_MOST: f64 = 1.0;
const RULES: usize = 10_000;
const RULES_ROUNDS: usize = 30;
const RULES_AT_MOST: f64 = 1.5;

pub fn peers(run: &Run, place: &Place) -> Result<Section, String> {
    // some leave before their process 1 does; what that spends comes to this process
    nix::sys::prctl::set_child_subreaper(true).map_err(|e| e.to_string())?;
    let ways = Ways::with_peers(place, run.yes)?;
    let rounds = run.rounds.unwrap_or(ROUNDS);
    let lanes = ways.all.iter().map(|way| match way.kind {
        Kind::Native => lane(way),
        Kind::Own => lane(way).of(BUBBLEWRAP).at_most(BUBBLEWRAP_AT_MOST),
        Kind::Peer if way.name == BUBBLEWRAP => lane(way),
        Kind::Peer => lane(way).of(BUBBLEWRAP),
    });
    let (rows, left) = measure(lanes.collect(), WARM_UP, rounds, run.judge)?;
    Ok(Section {
        name: "true",
        tables: vec![Table {
            title: "start of `true`, preset `agent`".into(),
            unit: "ms",
            rounds,
            of: "bubblewrap",
            rows,
        }],
        facts: Vec::new(),
        notes: [ways.notes, left].concat(),
    })
}

/// Each level with a policy file of many paths, beside itself without one.
pub fn rules(run: &Run, place: &Place) -> Result<Section, String> {
    write_rules(place)?;
    let rounds = run.rounds.unwrap_or(RULES_ROUNDS);
    let policy = [
        "--policy".to_owned(),
        place.at("rules.toml").display().to_string(),
    ];
    let ways: Vec<(Way<'_>, Way<'_>)> = LEVELS
        .map(|l| (Way::level(place, l, &[]), Way::level(place, l, &policy)))
        .into();
    let mut lanes = Vec::new();
    for ((without, with), level) in ways.iter().zip(LEVELS) {
        lanes.push(lane(without));
        let name = format!("{}, {RULES} path rules", own(level));
        let lane = Lane::new(&name, Kind::Own, move || timed(with.prepare(&[PROGRAM])?));
        lanes.push(lane.of(&without.name).at_most(RULES_AT_MOST));
    }
    let (rows, _) = measure(lanes, 3, rounds, run.judge)?;
    Ok(Section {
        name: "rules",
        tables: vec![Table {
            title: format!("start of `true` with {RULES} path rules"),
            unit: "ms",
            rounds,
            of: "itself without",
            rows,
        }],
        facts: Vec::new(),
        notes: vec![
            "the rules name files below the home, one each, all there: a third each of \
             `filesystem.read`, `deny_read` and `protect`"
                .into(),
        ],
    })
}

fn lane<'a>(way: &'a Way<'_>) -> Lane<'a> {
    Lane::new(&way.name, way.kind, move || timed(way.prepare(&[PROGRAM])?))
}

fn write_rules(place: &Place) -> Result<(), String> {
    let mut kinds = [("read", ""), ("deny_read", ""), ("protect", "")]
        .map(|(key, list)| (key, list.to_owned()));
    for n in 0..RULES {
        let name = format!("rules/{:03}/{n:05}", n / 100);
        place.write(&format!("home/{name}"), "x")?;
        kinds[n % 3].1 += &format!("  \"~/{name}\",\n");
    }
    let lists = kinds.map(|(key, list)| format!("{key} = [\n{list}]\n"));
    place.write(
        "rules.toml",
        &format!("version = 1\n[filesystem]\n{}", lists.concat()),
    )
}

/// In milliseconds; a status that is not 0 is an error.
fn timed(mut prepared: Prepared) -> Result<Took, String> {
    // not this process's: a file that is passed changes what a session has to hold
    let command = prepared.command.stderr(Stdio::piped());
    let (began, before) = (Instant::now(), processor()?);
    let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
    let status = child.wait().map_err(|e| format!("{command:?}: {e}"))?;
    let took = began.elapsed();
    reap()?;
    let after = processor()?;
    if status.success() {
        Ok(Took {
            clock: took.as_secs_f64() * 1000.0,
            processor: after - before,
        })
    } else {
        let mut said = String::new();
        let errors = child.stderr.as_mut().ok_or("no standard error")?;
        errors
            .read_to_string(&mut said)
            .map_err(|e| e.to_string())?;
        let name = command.get_program().display();
        Err(format!("{name}: {status}: {}", said.trim()))
    }
}

/// Until nothing is left of a start: what it spends at its end counts, and does not meet the next one.
fn reap() -> Result<(), String> {
    use nix::errno::Errno;
    use nix::sys::wait::{WaitPidFlag, waitpid};
    let began = Instant::now();
    while began.elapsed() < LINGERS {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return Ok(()),
            Err(why) => return Err(format!("waitpid: {why}")),
            Ok(_) => std::thread::sleep(Duration::from_micros(200)),
        }
    }
    Err(format!("something of it still runs after {LINGERS:?}"))
}

/// Milliseconds that reaped children, and theirs, have spent.
fn processor() -> Result<f64, String> {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|e| e.to_string())?;
    let spent = [usage.user_time(), usage.system_time()];
    Ok(spent
        .iter()
        .map(|t| t.num_microseconds() as f64 / 1000.0)
        .sum())
}
