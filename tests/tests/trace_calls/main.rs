//! The same program under strace(1) and under `stockade trace`: every call of every thread, field by field. Needs root and
//! BPF; without them it fails and says what is missing.
#![forbid(unsafe_code)]

mod compare;
mod strace;

use compare::Comparison;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use stockade_events::calls::{Class, Decoding, TABLE};
use stockade_tests::stockade;

/// Compared calls and fields; more may be compared, never less.
const CALLS: usize = 1300;
const FIELDS: usize = 4750;
/// Names of calls that were made.
const NAMES: usize = 328;

struct Place(PathBuf);

impl Place {
    /// Below a directory that everybody may search: absolute paths are compared too.
    fn new(name: &str) -> Self {
        let name = format!("stockade-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a place for the test");
        Self(path)
    }

    /// The same for each run.
    fn run(&self) -> PathBuf {
        let run = self.0.join("run");
        if run.exists() {
            std::fs::remove_dir_all(&run).expect("removed");
        }
        std::fs::create_dir(&run).expect("a directory for the run");
        run
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("the test's place is removed");
    }
}

/// With an environment that is the same for both. More than one arena would be aligned by what the kernel gives, with more
/// or fewer calls.
fn run(command: &mut Command, output: &Path) -> String {
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.env("GLIBC_TUNABLES", "glibc.malloc.arena_max=1");
    let done = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(3), "{command:?}: {said}");
    String::from_utf8(std::fs::read(output).expect("a log")).expect("ASCII")
}

/// A kernel of 7.x skips programs where another one was preempted. It says how often; nothing but another try helps.
fn traced(place: &Place, json: &Path) -> String {
    for _ in 0..4 {
        let mut trace = Command::new("timeout");
        trace.arg("240").arg(stockade());
        trace.args(["trace", "--json", "-o"]);
        let program = env!("CARGO_BIN_EXE_calls");
        trace.arg(json).arg("--").arg(program).arg(place.run());
        let events = run(&mut trace, json);
        let last = events.lines().last().expect("events");
        let last: Value = serde_json::from_str(last).expect("an event");
        if last["skipped"].as_array().is_none_or(Vec::is_empty) {
            return events;
        }
        println!("skipped by the kernel: {}", last["skipped"]);
    }
    panic!("the kernel skipped programs in each of four runs");
}

#[test]
fn every_call_is_as_strace_has_it() {
    let place = Place::new("calls");
    let program = env!("CARGO_BIN_EXE_calls");
    let (log, json) = (place.0.join("strace"), place.0.join("json"));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-v", "-s", "65535", "-X", "abbrev", "-o"]);
    strace.arg(&log).arg(program).arg(place.run());
    let log = run(&mut strace, &log);
    let json = traced(&place, &json);

    let mut theirs = strace::threads(&log);
    let mut ours = threads(&json);
    settle(&mut theirs, |l| (l.call.as_str(), l.text.clone()));
    settle(&mut ours, |e| (call(e), e["arguments"].to_string()));
    assert_eq!(theirs.len(), ours.len(), "threads");
    let same = theirs.iter().zip(&ours);
    let ids: BTreeMap<u32, u32> = same.map(|((a, _), (b, _))| (*a, *b)).collect();
    let mut comparison = Comparison::new(ids);
    for ((thread, theirs), (_, ours)) in theirs.iter().zip(&ours) {
        let (a, b) = (
            names(theirs.iter().map(|l| l.call.as_str())),
            names(ours.iter().map(call)),
        );
        if a != b {
            let at = a.iter().zip(&b).position(|(a, b)| a != b);
            let at = at.unwrap_or(a.len().min(b.len()));
            let (a, b) = (&a[at..a.len().min(at + 5)], &b[at..b.len().min(at + 5)]);
            panic!("thread {thread}, call {at}: strace {a:?}, stockade {b:?}");
        }
        comparison.next_thread();
        for (line, event) in theirs.iter().zip(ours) {
            comparison.call(line, event);
        }
    }
    let Comparison {
        calls,
        fields,
        kinds,
        names,
        wrong,
        ..
    } = comparison;
    println!(
        "{calls} calls of {} names, {fields} fields equal, {kinds} addresses by kind",
        names.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(calls >= CALLS && fields >= FIELDS && names.len() >= NAMES);
    beside(&ours);
    nothing_is_missing(&json);
}

/// What strace does not say.
fn beside(threads: &[(u32, Vec<Value>)]) {
    let events = || threads.iter().flat_map(|(_, events)| events);
    let arguments = || events().flat_map(|e| e["arguments"].as_array().into_iter().flatten());
    let paths = || arguments().filter_map(|a| a.get("path"));
    // a directory that was removed: where it was is told
    let deleted: Vec<&Value> = paths().filter(|p| p["deleted"] == true).collect();
    let [gone] = deleted.as_slice() else {
        panic!("{deleted:?}");
    };
    assert_eq!(gone["text"], "gone");
    let was = gone["absolute"].as_str().expect("absolute");
    assert!(was.ends_with("/run/dir/in/gone"), "{was}");
    // a relative name of a socket
    let sockets = arguments().filter_map(|a| a["address"].get("unix"));
    let relative = |s: &&Value| s["path"] == "absent/socket";
    let relative: Vec<&Value> = sockets.filter(relative).collect();
    assert_eq!(relative.len(), 2, "connect and sendmsg");
    for socket in relative {
        let absolute = socket["absolute"].as_str().unwrap_or_default();
        assert!(absolute.ends_with("/run/absent/socket"), "{socket}");
    }
    // longer than a path or the name of a host may be, or in directories that are longer together than what is kept
    let cut: Vec<&str> = events().filter(|e| e["cut"] == true).map(call).collect();
    let too_long = ["open", "openat", "openat", "stat", "access"];
    let rest = cut.strip_prefix(&too_long[..]);
    let deep = rest.and_then(|r| r.strip_suffix(&["sethostname", "setdomainname"]));
    let deep = deep.unwrap_or_else(|| panic!("{cut:?}"));
    assert!(
        deep.ends_with(&["mkdirat", "chdir", "openat", "chdir"]),
        "{deep:?}"
    );
    assert!(deep.len() < 12, "{deep:?}");
    // four pointers, five calls each, one of which renames: and what else was passed that leads nowhere
    let unreadable = arguments().filter(|a| a.get("unreadable").is_some());
    assert!(unreadable.count() >= 20);
}

/// Nothing is read at their begin.
#[test]
fn calls_that_are_wanted_where_they_fail_have_their_paths() {
    let place = Place::new("failing");
    let run = place.run();
    std::fs::write(run.join("there"), "").expect("a file");
    let json = place.0.join("json");
    let mut trace = Command::new("timeout");
    trace.arg("60").arg(stockade());
    trace.args(["trace", "-Z", "-e", "%file", "--json", "-o"]);
    trace.arg(&json).args(["--", "ls", "there", "not-there"]);
    trace.current_dir(&run);
    let done = trace.output().expect("it runs");
    assert_eq!(done.status.code(), Some(2), "{done:?}");
    let json = std::fs::read_to_string(&json).expect("events");
    let threads = threads(&json);
    let events = || threads.iter().flat_map(|(_, events)| events);
    let of = |name: &str| {
        let is = |e: &&Value| e["arguments"].to_string().contains(&format!("\"{name}\""));
        events().filter(is).collect::<Vec<_>>()
    };
    let failed = of("not-there");
    assert!(!failed.is_empty(), "{json}");
    for event in failed {
        assert_eq!(event["errno"], "ENOENT", "{event}");
        let absolute = event["arguments"][1]["path"]["absolute"].as_str();
        let absolute = absolute.or(event["arguments"][0]["path"]["absolute"].as_str());
        let expected = run.join("not-there");
        assert_eq!(absolute.map(Path::new), Some(expected.as_path()), "{event}");
    }
    assert!(of("there").is_empty(), "{json}");
    assert!(events().all(|e| e.get("errno").is_some()), "{json}");
}

/// Of each call that the program makes: in each class of strace's, or not.
#[test]
fn classes_are_those_of_strace() {
    let place = Place::new("classes");
    let log = place.0.join("strace");
    let made = |trace: &str| {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-e", trace, "-e", "signal=none", "-o"]);
        strace
            .arg(&log)
            .arg(env!("CARGO_BIN_EXE_calls"))
            .arg(place.run());
        let log = run(&mut strace, &log);
        let threads = strace::threads(&log);
        let lines = threads.into_iter().flat_map(|(_, lines)| lines);
        // what strace prints of a thread that ended before it could ask
        let named = lines.map(|l| l.call).filter(|call| call != "???");
        named.collect::<BTreeSet<String>>()
    };
    let all = made("trace=all");
    for (name, class) in [
        ("trace=%file", Class::File),
        ("trace=%desc", Class::Descriptor),
        ("trace=%network", Class::Network),
        ("trace=%process", Class::Process),
    ] {
        let theirs = made(name);
        let is = |c: &&Decoding| all.contains(c.name) && c.classes.contains(&class);
        let ours = TABLE.iter().filter(is).map(|c| c.name.to_owned());
        assert_eq!(theirs, ours.collect(), "{name}");
        assert!(theirs.len() > 10 && theirs.len() < all.len(), "{name}");
    }
}

#[test]
fn a_difference_is_found() {
    let line = "7 openat(AT_FDCWD</a>, \"b\\33\", O_RDONLY|O_CLOEXEC) = 3</a/b>";
    let event = |path: &str, absolute: &str, flags: &str, result: i64| {
        serde_json::json!({ "call": "openat", "result": result, "arguments": [
            { "name": "dirfd", "flags": "AT_FDCWD" },
            { "name": "path", "path": { "text": path, "absolute": absolute } },
            { "name": "flags", "flags": flags },
        ] })
    };
    let compared = |event: &Value| {
        let mut comparison = Comparison::new(BTreeMap::new());
        let threads = strace::threads(line);
        comparison.call(&threads[0].1[0], event);
        (comparison.fields, comparison.wrong.len())
    };
    let (path, flags) = ("b\u{1b}", "O_RDONLY|O_CLOEXEC");
    let absolute = "/a/b\u{1b}";
    assert_eq!(compared(&event(path, absolute, flags, 3)), (5, 0));
    assert_eq!(compared(&event("b", absolute, flags, 3)), (4, 1));
    assert_eq!(compared(&event(path, "/b\u{1b}", flags, 3)), (4, 1));
    assert_eq!(compared(&event(path, absolute, "O_RDONLY", 3)), (4, 1));
    assert_eq!(compared(&event(path, absolute, flags, 4)), (4, 1));
}

/// Without what differs from run to run where two threads run at once: who waits for the allocator's lock, and what a thread
/// still does while its process ends.
fn settle<T>(threads: &mut [(u32, Vec<T>)], of: impl Fn(&T) -> (&str, String)) {
    let without_locks = |calls: &mut Vec<T>, from: usize| {
        let mut at = 0;
        calls.retain(|c| {
            at += 1;
            at <= from || of(c).0 != "futex"
        });
    };
    let Some(((_, first), (_, last))) = threads.split_first_mut().and_then(|(first, rest)| {
        let last = rest.last_mut()?;
        Some((first, last))
    }) else {
        panic!("no thread");
    };
    let made = first.iter().position(|c| of(c).1.contains("CLONE_THREAD"));
    without_locks(first, made.expect("a thread is made"));
    without_locks(last, 0);
    let end = last.iter().position(|c| of(c).1.contains("of a thread"));
    last.truncate(end.expect("the thread's own call") + 1);
}

fn names<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    all.collect()
}

fn call(event: &Value) -> &str {
    event["call"].as_str().expect("a name")
}

/// Events of calls, by thread, in the order in which the threads appear.
fn threads(json: &str) -> Vec<(u32, Vec<Value>)> {
    let mut all: Vec<(u32, Vec<Value>)> = Vec::new();
    for line in json.lines() {
        let event: Value = serde_json::from_str(line).expect("an event");
        let Some(tid) = event["tid"].as_u64().filter(|tid| *tid != 0) else {
            continue;
        };
        let tid = u32::try_from(tid).expect("a thread's number");
        if event["kind"] != "call" {
            continue;
        }
        match all.iter_mut().find(|(t, _)| *t == tid) {
            Some((_, events)) => events.push(event),
            None => all.push((tid, vec![event])),
        }
    }
    all
}

/// What could not be read is counted, and nothing else is missing.
fn nothing_is_missing(json: &str) {
    let unreadable = json.matches("\"unreadable\":").count() - 1;
    let last = json.lines().last().expect("events");
    let last: Value = serde_json::from_str(last).expect("an event");
    assert_eq!(last["kind"], "missing", "{last}");
    assert_eq!(last["unreadable"], unreadable, "{last}");
    for none in ["lost", "unfinished", "unlabelled", "unwritten"] {
        assert_eq!(last[none], 0, "{last}");
    }
}
