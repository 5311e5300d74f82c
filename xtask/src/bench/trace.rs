//! What it costs to be looked at: the same work natively, under `stockade trace` and under other tracers. A tracer
//! of system calls slows every process of the host, so only one is there at a time.

use super::Run;
use super::lanes::{Lane, Took, measure};
use super::place::{Place, make};
use super::report::{Fact, Mark, Section, Table};
use super::trees;
use super::ways::{Kind, NATIVE, output, stockade};
use crate::packages;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ROUNDS: usize = 10;
/// Each a read of one byte and a write of one.
const PAIRS: u64 = 20_000;
const OPENS: u64 = 10_000;
const DEEP: &str = "1/2/3/4/5/6/7/file";
const LOADED_AT_MOST: f64 = 150.0;
const OUTSIDE_AT_MOST: f64 = 130.0;
const NEEDED: &[&str] = &["bpftrace", "linux-perf", "strace"];

struct Tracer {
    name: &'static str,
    kind: Kind,
    /// Before the command.
    words: Vec<String>,
    at_most: Option<f64>,
}

pub fn run(run: &Run, place: &Place) -> Result<Section, String> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(Section {
            name: "trace",
            notes: vec!["not measured: tracing asks for root".into()],
            ..Section::default()
        });
    }
    let commands = [("linux-perf", "perf")].map(|(p, c)| (p.into(), c.into()));
    packages::ensure_unless(NEEDED, &commands.into(), run.yes)?;
    let timer = build(place)?;
    let file = place.work().join(DEEP);
    make(file.parent().unwrap_or(&file))?;
    std::fs::write(&file, "text\n").map_err(|e| format!("{}: {e}", file.display()))?;
    trees::files(place, "work/tree")?;
    let rounds = run.rounds.unwrap_or(ROUNDS).min(ROUNDS);
    let mut section = Section {
        name: "trace",
        ..Section::default()
    };
    let pairs = PAIRS.to_string();
    let out = place.at("files/bytes").display().to_string();
    let calls = ["calls", &out, &pairs];
    let opens = OPENS.to_string();
    let file = file.display().to_string();
    let open = ["open", &file, &opens];
    for (title, unit, per, words, tracers) in [
        (
            "a read and a write of one byte, each call recorded",
            "ns",
            PAIRS,
            calls,
            of_calls(place),
        ),
        (
            "open and close 8 deep, each call with its path",
            "ns",
            OPENS,
            open,
            of_opens(place),
        ),
    ] {
        let lanes = lanes(place, &timer, &words, &tracers, per as f64);
        let (rows, left) = measure(lanes, 1, rounds, run.judge)?;
        section.notes.extend(left);
        section.tables.push(Table {
            title: title.into(),
            unit,
            rounds,
            of: NATIVE,
            rows,
        });
    }
    section.tables.push(session(run, place, &timer, rounds)?);
    section.facts = facts(place, &timer)?;
    section.notes.push(format!(
        "{PAIRS} pairs and {OPENS} opens a round; every tracer writes to /dev/null; what follows its end is not in it"
    ));
    Ok(section)
}

fn build(place: &Place) -> Result<PathBuf, String> {
    let (source, program) = (place.at("files/timer.c"), place.at("files/timer"));
    place.write("files/timer.c", include_str!("timer.c"))?;
    output(
        Command::new("cc")
            .args(["-O2", "-o"])
            .arg(&program)
            .arg(source),
    )?;
    Ok(program)
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn own(name: &'static str, flags: &str, at_most: f64) -> Tracer {
    let mut all = vec![stockade().display().to_string(), "trace".into()];
    all.extend(words(flags));
    all.extend(words("-o /dev/null --"));
    Tracer {
        name,
        kind: Kind::Own,
        words: all,
        at_most: Some(at_most),
    }
}

fn peer(name: &'static str, words: Vec<String>) -> Tracer {
    Tracer {
        name,
        kind: Kind::Peer,
        words,
        at_most: None,
    }
}

/// bpftrace takes its command as one word, and prints only once its programs are attached.
fn bpftrace(place: &Place, program: &str) -> Vec<String> {
    let out = place.at("files/bpftrace.out").display().to_string();
    vec![
        "bpftrace".into(),
        "-o".into(),
        out,
        "-e".into(),
        program.into(),
        "-c".into(),
    ]
}

/// `calls`: what each of them is to look at; `print`: the same, for bpftrace.
fn tracers(place: &Place, calls: &str, at_most: f64, print: &str) -> Vec<Tracer> {
    vec![
        own(
            "stockade trace, as JSON",
            &format!("-e {calls} --json"),
            at_most,
        ),
        own("stockade trace -c, counters only", "-c", 1.3),
        peer("strace -f", words("strace -f -o /dev/null")),
        peer(
            "strace -f --seccomp-bpf",
            words(&format!(
                "strace -f --seccomp-bpf -e trace={calls} -o /dev/null"
            )),
        ),
        peer("perf trace", words("perf trace -o /dev/null --")),
        peer("bpftrace, printf", bpftrace(place, print)),
    ]
}

fn of_calls(place: &Place) -> Vec<Tracer> {
    let print = "tracepoint:syscalls:sys_exit_read /pid == cpid/ { printf(\"read %d\\n\", args->ret); } \
                 tracepoint:syscalls:sys_exit_write /pid == cpid/ { printf(\"write %d\\n\", args->ret); }";
    tracers(place, "read,write", 2.0, print)
}

fn of_opens(place: &Place) -> Vec<Tracer> {
    let print = "tracepoint:syscalls:sys_enter_openat /pid == cpid/ { printf(\"open %s\\n\", str(args->filename)); } \
                 tracepoint:syscalls:sys_exit_close /pid == cpid/ { printf(\"close %d\\n\", args->ret); }";
    tracers(place, "openat,close", 1.5, print)
}

fn lanes<'a>(
    place: &'a Place,
    timer: &'a Path,
    work: &'a [&'a str],
    tracers: &'a [Tracer],
    per: f64,
) -> Vec<Lane<'a>> {
    let once = move |before: &[String]| {
        let mut all: Vec<String> = before.to_vec();
        let timer = timer.display().to_string();
        if before.first().is_some_and(|w| w == "bpftrace") {
            all.push(format!("{timer} {}", work.join(" ")));
        } else {
            all.push(timer);
            all.extend(work.iter().map(|w| (*w).to_owned()));
        }
        took(place, &all, per)
    };
    let mut lanes = vec![Lane::new(NATIVE, Kind::Native, move || once(&[]))];
    for tracer in tracers {
        let lane = Lane::new(tracer.name, tracer.kind, move || once(&tracer.words)).of(NATIVE);
        lanes.push(match tracer.at_most {
            Some(mark) => lane.at_most(mark),
            None => lane,
        });
    }
    lanes
}

/// What the timer says, over `per`, in nanoseconds.
fn took(place: &Place, words: &[String], per: f64) -> Result<Took, String> {
    let mut command = place.command(Path::new(&words[0]));
    command.args(&words[1..]).stdout(Stdio::null());
    let out = command
        .stderr(Stdio::piped())
        .output()
        .map_err(|e| format!("{command:?}: {e}"))?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let line = said.lines().find_map(|l| l.strip_prefix("timer: "));
    let numbers: Vec<f64> = line
        .unwrap_or("")
        .split(' ')
        .filter_map(|n| n.parse().ok())
        .collect();
    match *numbers {
        [clock, processor] => Ok(Took {
            clock: clock / per,
            processor: processor / per,
        }),
        _ => Err(format!("{}: {}: {}", words[0], out.status, said.trim())),
    }
}

/// `find` and `cat` in a session, with and without its default set of events.
fn session(run: &Run, place: &Place, timer: &Path, rounds: usize) -> Result<Table, String> {
    const MILLISECOND: f64 = 1e6;
    let session = |flags: &str| -> Vec<String> {
        let mut all = vec![
            stockade().display().to_string(),
            "run".into(),
            "--quiet".into(),
        ];
        all.extend(words(flags));
        all.extend(["--allow-read".into(), timer.display().to_string()]);
        all.push("--".into());
        all.push(timer.display().to_string());
        all.extend(words("run /bin/sh -c"));
        all.push("find tree -type f -exec cat {} + > /dev/null".into());
        all
    };
    let (without, with) = (session("--denials never"), session("--trace /dev/null"));
    let lanes = vec![
        Lane::new("stockade run", Kind::Own, || {
            took(place, &without, MILLISECOND)
        }),
        Lane::new("stockade run --trace", Kind::Own, || {
            took(place, &with, MILLISECOND)
        })
        .of("stockade run")
        .at_most(1.10),
    ];
    let (rows, _) = measure(lanes, 1, rounds, run.judge)?;
    Ok(Table {
        title: format!(
            "`find` and `cat` of {} files, the default events",
            trees::FILES
        ),
        unit: "ms",
        rounds,
        of: "itself without",
        rows,
    })
}

/// How long it takes to begin, what others pay meanwhile, and how much is kept.
fn facts(place: &Place, timer: &Path) -> Result<Vec<Fact>, String> {
    let file = place.at("files/bytes").display().to_string();
    let timer = timer.display().to_string();
    let pairs = PAIRS.to_string();
    let plain: Vec<String> = [&timer, "calls", &file, &pairs].map(str::to_owned).into();
    let least = || -> Result<f64, String> {
        let all: Result<Vec<Took>, String> =
            (0..5).map(|_| took(place, &plain, PAIRS as f64)).collect();
        Ok(all?.iter().map(|t| t.processor).fold(f64::MAX, f64::min))
    };
    let native = least()?;
    let mut elsewhere = somewhere(place)?;
    std::thread::sleep(Duration::from_secs(1));
    let watched = least();
    elsewhere.kill().map_err(|e| e.to_string())?;
    elsewhere.wait().map_err(|e| e.to_string())?;
    // two calls a pair
    let outside = (watched? - native) / 2.0;
    let (rate, loaded) = stats(place, &timer, &file)?;
    let fact = |name: &str, value, unit, mark| Fact {
        name: name.into(),
        value,
        unit,
        mark,
    };
    Ok(vec![
        fact(
            "loaded and attached",
            loaded,
            "ms",
            Some(Mark::of(LOADED_AT_MOST, loaded)),
        ),
        fact(
            "a call of a process that is not traced, while another is",
            outside,
            "ns more",
            Some(Mark::of(OUTSIDE_AT_MOST, outside)),
        ),
        fact("records kept a second, as JSON", rate, "", None),
    ])
}

fn somewhere(place: &Place) -> Result<Child, String> {
    let mut command = place.command(&stockade());
    command.args(["trace", "-o", "/dev/null", "--", "/bin/sleep", "60"]);
    command
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("{command:?}: {e}"))
}

/// Records a second and milliseconds to begin, as `--stats` says them.
fn stats(place: &Place, timer: &str, file: &str) -> Result<(f64, f64), String> {
    let mut command = place.command(&stockade());
    command.args([
        "trace",
        "--stats",
        "-e",
        "read,write",
        "--json",
        "-o",
        "/dev/null",
        "--",
    ]);
    command.args([timer, "calls", file, "500000"]);
    let out = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    let before =
        |text: &str| -> Option<f64> { said.split(text).next()?.rsplit(' ').next()?.parse().ok() };
    let lost = before(" lost").ok_or_else(|| format!("--stats: {said}"))?;
    if lost != 0.0 {
        return Err(format!("{lost} records were lost"));
    }
    let rate = before(" records a second");
    let loaded = before(" ms");
    rate.zip(loaded).ok_or_else(|| format!("--stats: {said}"))
}
