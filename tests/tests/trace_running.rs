//! `stockade trace -p` and `--session`: what runs already, and what it starts from then on.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};
use stockade_tests::{LEVELS, Place, stockade, text};

/// Something that does what it is told, line by line, and says its words.
struct Running {
    child: Child,
    to: ChildStdin,
    from: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn new(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self {
            child,
            to,
            from: BufReader::new(from),
        }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.to, "{line}").unwrap();
    }

    fn numbers(&mut self) -> Vec<u64> {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        let words = line.split_whitespace();
        words.map(|n| n.parse().expect(&line)).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Waits, with a limit, until `is`.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "{what}: a minute is over"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Each line at once.
fn to_events(place: &Place) -> File {
    File::create(place.path().join("events")).unwrap()
}

fn trace(place: &Place, arguments: &[&str]) -> Child {
    let mut command = place.command("timeout");
    command.arg("120").arg(stockade());
    command.args(["trace", "--json"]);
    command.args(arguments).stderr(to_events(place));
    command.spawn().unwrap()
}

/// Whole lines alone: one may be half written.
fn events(place: &Place) -> Vec<Value> {
    let all = std::fs::read_to_string(place.path().join("events")).unwrap_or_default();
    let whole = all.split_inclusive('\n').filter(|l| l.ends_with('\n'));
    whole.map(|l| serde_json::from_str(l).expect(l)).collect()
}

fn number(event: &Value, field: &str) -> u64 {
    event[field]
        .as_u64()
        .unwrap_or_else(|| panic!("{field}: {event}"))
}

/// The actions of each process, as the innermost namespace numbers it.
fn of_process(events: &[Value]) -> BTreeMap<u64, BTreeSet<u64>> {
    let mut out: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for event in events {
        let actions = out.entry(number(event, "inside")).or_default();
        actions.insert(number(event, "action"));
    }
    out
}

/// An agent with a child of its own, a grandchild, and threads that live and start something when they are told to.
const AGENT: &str = r#"
import os, subprocess, sys, threading
old = subprocess.Popen(["bash", "-c", "read -r x; sleep 0.1 & echo $!; wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
go = threading.Event()
def work():
    go.wait()
    os.access("/the-threads-own", os.R_OK)
    thread.append(subprocess.Popen(["true"]).pid)
thread = []
all = [threading.Thread(target=work) for n in range(3)]
for t in all: t.start()
print(os.getpid(), old.pid, flush=True)
sys.stdin.readline()
go.set()
for t in all: t.join()
print(*thread, flush=True)
old.stdin.write("go\n"); old.stdin.flush()
print(old.stdout.readline().strip(), flush=True)
old.wait()
"#;

#[test]
fn what_runs_already_is_traced_with_its_threads() {
    let place = Place::new("trace-running");
    let mut agent = Running::new(place.command("python3").args(["-c", AGENT]));
    let first = agent.numbers();
    let (own, old) = (first[0], first[1]);
    let mut tracer = trace(&place, &["-e", "%file", "-p", &own.to_string()]);
    until("labels", || {
        events(&place)
            .iter()
            .filter(|e| e["kind"] == "action")
            .count()
            == 2
    });
    agent.tell("go");
    let started = agent.numbers();
    let below_old = agent.numbers()[0];
    assert!(agent.child.wait().unwrap().success());
    // the last has ended
    assert!(tracer.wait().unwrap().success());
    let events = events(&place);
    let actions = of_process(&events);
    assert_eq!(actions[&own], [0].into(), "the agent");
    assert_eq!(actions[&old], [1].into(), "what it had started");
    assert_eq!(actions[&below_old], [1].into(), "what that starts");
    // each by another thread: an action of its own
    let new: BTreeSet<u64> = started.iter().flat_map(|p| actions[p].clone()).collect();
    assert_eq!(new, [2, 3, 4].into(), "{started:?} in {actions:?}");
    let own_file = |e: &&Value| e["arguments"][0]["path"]["text"] == "/the-threads-own";
    let of_threads: Vec<_> = events.iter().filter(own_file).collect();
    assert_eq!(of_threads.len(), 3, "{of_threads:#?}");
    assert!(
        of_threads
            .iter()
            .all(|e| e["pid"] == own && e["tid"] != own && e["action"] == 0)
    );
}

#[test]
fn it_ends_by_a_signal_and_leaves_the_traced_alone() {
    let place = Place::new("trace-signal");
    let mut agent = Running::new(
        place
            .command("bash")
            .args(["-c", "echo $$; while read -r x; do true; done"]),
    );
    let own = agent.numbers()[0];
    let mut command = place.command(stockade());
    command.args(["trace", "--json", "-p", &own.to_string()]);
    let mut tracer = command.stderr(to_events(&place)).spawn().unwrap();
    until("a label", || {
        events(&place).iter().any(|e| e["kind"] == "action")
    });
    kill(Pid::from_raw(tracer.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(tracer.wait().unwrap().code(), Some(0));
    assert!(agent.child.try_wait().unwrap().is_none(), "it ended too");
}

#[test]
fn nothing_is_traced_that_would_not_end() {
    let place = Place::new("trace-refused");
    let own = std::process::id().to_string();
    for (arguments, says) in [
        (vec!["-p", own.as_str()], "would trace itself"),
        (vec!["-p", "4194305"], "there is no process 4194305"),
        (vec!["--session", "../x"], "no session ../x runs here"),
        (vec!["--session", "6b0a"], "no session 6b0a runs here"),
    ] {
        let out = place.stockade(&[&["trace"], arguments.as_slice()].concat());
        assert_eq!(out.status.code(), Some(125), "{arguments:?}");
        assert!(text(&out).contains(says), "{arguments:?}: {}", text(&out));
    }
}

#[test]
fn an_agent_that_is_never_executed_is_said() {
    let place = Place::new("trace-agent");
    let run = |agent: &[&str], script: &str| {
        let mut command = place.command(stockade());
        let file = place.path().join("events");
        command
            .args(["trace", "--json", "-e", "none", "-o"])
            .arg(file);
        let out = command.args(agent).args(["--", "sh", "-c", script]);
        let out = out.output().unwrap();
        (out.status.code(), text(&out))
    };
    let numbers =
        || -> BTreeSet<u64> { events(&place).iter().map(|e| number(e, "action")).collect() };
    let (code, said) = run(&["--agent-exe", "ls"], "true; (true); true");
    assert_eq!(code, Some(0));
    assert!(
        said.contains("/ls was not executed: everything is action 0"),
        "{said}"
    );
    assert_eq!(numbers(), [0].into());
    // the wrapper's own child is not an action, what the agent starts is one
    let (code, said) = run(
        &["--agent-exe", "bash"],
        "(true); bash -c '(true); true'; true",
    );
    assert_eq!((code, said), (Some(0), String::new()));
    assert_eq!(numbers(), [0, 1].into());
    // without a file the first process is the agent
    assert_eq!(run(&[], "(true); (true); true"), (Some(0), String::new()));
    assert_eq!(numbers(), [0, 1, 2].into());
    let (code, said) = run(&["--agent-exe", "no-such-agent"], "true");
    assert!(
        code == Some(127) && said.contains("no-such-agent"),
        "{code:?} {said}"
    );
    let (code, said) = run(&["--agent", "codex"], "true");
    assert!(
        code == Some(125) && said.contains("codex is not in PATH"),
        "{code:?} {said}"
    );
}

fn session(place: &Place) -> String {
    let folder = place.home().join(".local/state/stockade/sessions");
    let mut found = None;
    until("a session", || {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut with_record = entries.filter(|e| e.path().join("record.json").exists());
        found = with_record
            .next()
            .map(|e| e.file_name().into_string().unwrap());
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn a_session_that_runs_is_traced_by_its_name() {
    for level in LEVELS {
        let place = Place::new(&format!("trace-session-{level}"));
        let script = "sleep 60 & echo $$ $!; read -r x; (cat /etc/hostname >/dev/null; echo $BASHPID); kill %1; wait";
        let mut command = place.command(stockade());
        command.args([
            "run",
            "--quiet",
            "--require",
            level,
            "--",
            "bash",
            "-c",
            script,
        ]);
        let mut session_run = Running::new(&mut command);
        let first = session_run.numbers();
        let id = session(&place);
        let mut tracer = trace(&place, &["-e", "openat", "--session", &id]);
        until("labels", || {
            events(&place)
                .iter()
                .filter(|e| e["kind"] == "action")
                .count()
                == 2
        });
        session_run.tell("go");
        let new = session_run.numbers()[0];
        assert!(session_run.child.wait().unwrap().success());
        assert!(tracer.wait().unwrap().success());
        let events = events(&place);
        let actions = of_process(&events);
        assert_eq!(actions[&first[0]], [0].into(), "{level}: the agent");
        assert_eq!(
            actions[&first[1]],
            [1].into(),
            "{level}: what it had started"
        );
        assert_eq!(actions[&new], [2].into(), "{level}: what it starts");
        assert!(
            events.iter().all(|e| e["session"] == id.as_str()),
            "{level}"
        );
        let opened = |e: &&Value| e["arguments"][1]["path"]["text"] == "/etc/hostname";
        let opened: Vec<_> = events.iter().filter(opened).collect();
        assert!(
            opened.iter().any(|e| e["action"] == 2),
            "{level}: {opened:#?}"
        );
        // stockade's own processes there are none of it
        let own = stockade().canonicalize().unwrap();
        let is_own = |e: &&Value| e["exe"].as_str().is_some_and(|x| Path::new(x) == own);
        assert_eq!(events.iter().filter(is_own).count(), 0, "{level}");
        let mut rest = String::new();
        session_run.from.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "{level}");
    }
}
