//! Nothing is lost uncounted: what was made is what was kept, counted as lost or reported as missing; and the counters are
//! strace(1)'s. Run as root, on a host that lets eBPF programs be loaded.

#[path = "trace/harness.rs"]
#[allow(dead_code, reason = "the suite beside it uses the rest")]
mod harness;

use harness::{Session, program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use stockade_tests::{Place, full, stockade};

/// Four processes that do nothing but take the processor.
struct Load(Child);

impl Load {
    fn begin() -> Self {
        let mut command = Command::new("stress-ng");
        command.args(["--quiet", "--cpu", "4", "--timeout", "120"]);
        Self(command.spawn().expect("stress-ng"))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // it ends its own processes
        let pid = Pid::from_raw(self.0.id().cast_signed());
        kill(pid, Signal::SIGTERM).expect("stress-ng runs");
        self.0.wait().expect("stress-ng ends");
    }
}

const CALLS: &str = "openat,connect,clone";

fn trace(to: &Path, words: &[&str]) -> Child {
    Command::new(stockade())
        .args(["trace", "--json", "--buffer", "64K", "-e", CALLS, "-o"])
        .arg(to)
        .arg("--")
        .arg(program())
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
        .expect("stockade starts")
}

/// What a trace's file holds: records by what they are, and what it says to be missing.
#[derive(Debug, Default)]
struct Kept {
    records: BTreeMap<String, u64>,
    lost: u64,
    skipped: u64,
    other: u64,
}

impl Kept {
    fn read(path: &Path) -> Self {
        let mut kept = Self::default();
        let file = std::fs::File::open(path).expect("events");
        for line in std::io::BufReader::new(file).lines() {
            let event: serde_json::Value =
                serde_json::from_str(&line.expect("text")).expect("an event");
            let kind = event["kind"].as_str().expect("a kind");
            let number = |key: &str| event[key].as_u64().expect(key);
            match kind {
                "missing" => {
                    kept.lost = number("lost");
                    let all = event["skipped"].as_array().expect("programs");
                    kept.skipped = all.iter().filter_map(|s| s[1].as_u64()).sum();
                    kept.other = number("unlabelled") + number("unwritten");
                }
                // what its records say together, and none of its own
                "action" => {}
                "call" => *kept.of(event["call"].as_str().expect("a call")) += 1,
                kind => *kept.of(kind) += 1,
            }
        }
        kept
    }

    fn of(&mut self, what: &str) -> &mut u64 {
        self.records.entry(what.to_owned()).or_default()
    }

    fn total(&self) -> u64 {
        self.records.values().sum()
    }
}

#[test]
fn of_a_storm_everything_is_kept_or_counted_while_the_reader_is_stopped() {
    let (storm, stopped) = if full() {
        (30_000, 5_000)
    } else {
        (4_000, 1_500)
    };
    let place = Place::new("trace-loss");
    let file = place.outside().join("events");
    // what the loader does before the program's first line
    let base = trace(&file, &["nothing"]).wait_with_output().unwrap();
    assert!(base.status.success());
    let base = Kept::read(&file);
    assert_eq!((base.lost, base.other), (0, 0), "{base:?}");

    let load = Load::begin();
    let tracer = trace(&file, &["storm", &storm.to_string()]);
    let pid = Pid::from_raw(tracer.id().cast_signed());
    std::thread::sleep(Duration::from_millis(storm / 3));
    kill(pid, Signal::SIGSTOP).unwrap();
    std::thread::sleep(Duration::from_millis(stopped));
    kill(pid, Signal::SIGCONT).unwrap();
    let done = tracer.wait_with_output().unwrap();
    drop(load);
    assert!(done.status.success(), "{}", done.status);
    let said = String::from_utf8(done.stdout).unwrap();
    let number = |name: &str| -> u64 {
        let of = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        said.lines().find_map(of).expect(name)
    };
    let forks = number("forks");
    // of each child the call that made it, its begin and its end
    let made = base.total() + number("opens") + number("connects") + 3 * forks;
    let kept = Kept::read(&file);
    println!("made {made}, kept {}, {kept:?}", kept.total());
    assert_eq!(kept.other, 0, "{kept:?}");
    let missing = made.checked_sub(kept.total() + kept.lost);
    // a program that the kernel skipped made no record
    assert!(
        missing.is_some_and(|n| n <= kept.skipped),
        "{made} made, {kept:?}"
    );
    assert!(
        kept.lost > 0 && kept.total() > base.total() && forks > 0,
        "{kept:?}"
    );
}

/// With the ring full nearly all the time.
#[test]
fn counters_of_a_storm_are_exact_whatever_becomes_of_the_records() {
    let milliseconds = if full() { "10000" } else { "2000" };
    let session = Session::new(&["openat", "connect", "clone"], harness::SMALLEST);
    let load = Load::begin();
    let child = session.start(false, &["storm", milliseconds]);
    let seen = session.read_late(child);
    drop(load);
    let (opens, connects, forks) = (
        seen.said("opens"),
        seen.said("connects"),
        seen.said("forks"),
    );
    let made = opens[0] + connects[0] + 3 * forks[0] + 1;
    println!("made {made}, {:?}, missed {}", seen.tally, seen.missed);
    assert!(seen.tally.lost > seen.tally.kept, "{:?}", seen.tally);
    let missing = made.checked_sub(seen.tally.kept + seen.tally.lost);
    assert!(
        missing.is_some_and(|n| n <= seen.missed),
        "{made} made, {:?}",
        seen.tally
    );
    if seen.missed == 0 {
        let counted = ["openat", "connect", "clone"].map(|name| seen.total(name));
        assert_eq!(counted, [opens[0], connects[0], forks[0]]);
    }
    assert_eq!((seen.tally.uncounted, seen.tally.unlabelled), (0, 0));
}

const COUNTED: [&str; 4] = ["getppid", "openat", "mkdirat", "clone"];

/// (calls, errors) of each, as strace(1) counts them.
fn strace(words: &[&str], place: &Place) -> [(u64, u64); 4] {
    let table = place.outside().join("table");
    let status = Command::new("strace")
        .args(["-f", "-c", "-e", &COUNTED.join(","), "-o"])
        .arg(&table)
        .arg(program())
        .args(words)
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("strace").success());
    let table = std::fs::read_to_string(table).unwrap();
    COUNTED.map(|name| {
        let of = |line: &str| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            // % time, seconds, usecs/call, calls, errors where there were any, name
            let (last, rest) = words.split_last()?;
            let number = |n: usize| rest.get(n).map_or(Some(0), |w| w.parse().ok());
            (*last == name).then_some((number(3)?, number(4)?))
        };
        table.lines().find_map(of).unwrap_or((0, 0))
    })
}

#[test]
fn counters_are_straces() {
    let place = Place::new("trace-strace");
    let folder = place.outside().display().to_string();
    let (before, all) = (
        strace(&["nothing"], &place),
        strace(&["fixed", &folder], &place),
    );
    let session = Session::new(&[], 1 << 20);
    let child = session.start(false, &["fixed", &folder]);
    let seen = session.read(child);
    for ((name, before), all) in COUNTED.iter().zip(before).zip(all) {
        let call = harness::number(name);
        let count = seen.counts[&stockade_abi::CountKey { action: 0, call }];
        assert_eq!(
            (count.calls, count.failed),
            (all.0 - before.0, all.1 - before.1),
            "{name}"
        );
        assert!(count.calls > 0, "{name}");
    }
}
