//! Names, arguments and numbers as nobody writes them.

use crate::{calls, events, of_kind, paths, run, text};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use stockade_tests::{Place, full, stockade};

/// Python opens each of its arguments.
const OPEN: &str = "import os,sys\nfor a in sys.argv[1:]:\n try: os.close(os.open(os.fsencode(a), os.O_RDONLY))\n except OSError as e: print(e.errno)";

#[test]
fn names_that_are_no_text_are_shown_and_obeyed_by_no_terminal() {
    let place = Place::new("trace-names");
    let hostile = b"a\x1b]0;t\x07\x1b[31m\xff\xc2\x9b\xe2\x80\xae\n'\"\\b";
    let traced = |format: &str| {
        let mut command = place.command(stockade());
        command.args([
            "trace", "--format", format, "-o", format, "-e", "openat", "--", "python3", "-c", OPEN,
        ]);
        command.arg(OsStr::from_bytes(hostile));
        assert_eq!(text(&command.output().expect("it runs").stdout), "2\n");
        std::fs::read_to_string(place.work().join(format)).expect("text")
    };
    let shown = traced("text");
    assert!(
        !shown.contains(|c: char| c.is_control() && c != '\n'),
        "{shown:?}"
    );
    let expected =
        r#"openat(AT_FDCWD, "a\x1b]0;t\x07\x1b[31m\xff\u{9b}\u{202e}\n'\"\\b", O_RDONLY|O_CLOEXEC"#;
    assert!(shown.contains(expected), "{shown}");
    let json = traced("json");
    assert!(
        !json.contains(|c: char| c.is_control() && c != '\n'),
        "{json:?}"
    );
    let all = events(&place.work().join("json"));
    // a backslash stands for itself only where all is text
    let said = "a\u{1b}]0;t\u{7}\u{1b}[31m\\xff\u{9b}\u{202e}\n'\"\\\\b";
    assert!(calls(&all, "openat").iter().any(|c| paths(c) == [said]));
    let chrome = traced("chrome");
    assert!(
        !chrome.contains(|c: char| c.is_control() && c != '\n'),
        "{chrome:?}"
    );
    serde_json::from_str::<Value>(&chrome).expect("JSON");
}

#[test]
fn the_longest_path_is_whole_and_more_is_cut_by_the_kernel() {
    let place = Place::new("trace-long");
    let longest = "a/".repeat(2047) + "b";
    assert_eq!(longest.len(), 4095);
    let script = "import os,sys\nfor n in (4095, 4096, 255, 256, 257):\n p = ('a/'*2048)[:n-1] + 'b'\n try: os.open(p, os.O_RDONLY)\n except OSError as e: print(e.errno)";
    let out = run(
        &place,
        &[
            "--json", "-o", "events", "-e", "openat", "--", "python3", "-c", script,
        ],
    );
    assert_eq!(text(&out.stdout), "2\n36\n2\n2\n2\n");
    let all = events(&place.work().join("events"));
    let opened: Vec<_> = calls(&all, "openat")
        .into_iter()
        .filter(|c| paths(c).iter().any(|p| p.starts_with("a/a/")))
        .collect();
    let lengths: Vec<_> = opened.iter().map(|c| paths(c)[0].len()).collect();
    // the last one is as long as what is read of it
    assert_eq!(lengths, [4095, 4095, 255, 256, 257]);
    assert_eq!(paths(opened[0]), [longest]);
    assert_eq!(opened[0]["errno"], "ENOENT");
    assert_eq!(opened[1]["errno"], "ENAMETOOLONG");
    assert!("a/".repeat(2048).starts_with(paths(opened[1])[0]));
    // the first call of a process
    let mut shell = place.command(stockade());
    let path = "x/".repeat(300);
    shell.args([
        "trace", "--json", "-o", "first", "-e", "openat", "--", "sh", "-c",
    ]);
    shell.arg(format!("(: < {path}y) 2>/dev/null; exit 5"));
    assert_eq!(shell.status().expect("it runs").code(), Some(5));
    let all = events(&place.work().join("first"));
    assert!(
        calls(&all, "openat")
            .iter()
            .any(|c| paths(c) == [format!("{path}y")]),
        "{all:?}"
    );
}

#[test]
fn two_megabytes_of_arguments_are_cut_and_said_to_be() {
    let place = Place::new("trace-arguments");
    let arguments = vec!["x".repeat(128 * 1024 - 1); 15];
    let mut command = place.command(stockade());
    // the command's own shell has them, and nobody before: stockade's own start would need them too
    let script = "import os,sys\nos.execv('/bin/true', ['true'] + ['x' * (128 * 1024 - 1)] * 15)";
    command.args([
        "trace", "--json", "-o", "events", "-e", "none", "--", "python3", "-c", script,
    ]);
    assert!(command.status().expect("it runs").success());
    let all = events(&place.work().join("events"));
    let execs = of_kind(&all, "exec");
    let last = execs.last().expect("execs");
    assert_eq!(
        (&last["file"], &last["cut"]),
        (&"/bin/true".into(), &true.into())
    );
    assert_eq!(last["arguments"][0], "true");
    let kept = last["arguments"][1].as_str().expect("text");
    assert!(
        arguments[0].starts_with(kept) && kept.len() > 4000,
        "{}",
        kept.len()
    );
    assert!(execs[0]["cut"].is_null());
    // and as the command's own
    let mut command = place.command(stockade());
    command
        .args([
            "trace", "-e", "none", "--width", "80", "-o", "text", "--", "true",
        ])
        .args(&arguments[..7]);
    assert!(command.status().expect("it runs").success());
    let shown = std::fs::read_to_string(place.work().join("text")).expect("text");
    assert!(shown.lines().all(|l| l.chars().count() <= 80), "{shown}");
}

#[test]
fn the_smallest_buffer_loses_nothing_uncounted() {
    let place = Place::new("trace-buffer");
    for wrong in [
        "0",
        "1000",
        "32K",
        "100000",
        "2048M",
        "64k",
        "-1",
        "",
        "K",
        "99999999999999999999",
    ] {
        let out = run(
            &place,
            &[&format!("--buffer={wrong}"), "--", "touch", "ran"],
        );
        assert_eq!(out.status.code(), Some(125), "{wrong}");
        let says =
            format!("stockade: --buffer {wrong}: a power of two from 64K to 1024M is asked for\n");
        assert_eq!(text(&out.stderr), says);
    }
    assert!(!place.work().join("ran").exists());
    let script = "dd if=/dev/zero of=/dev/null bs=1 count=20000 status=none; i=0; while [ $i -lt 100 ]; do /bin/true; i=$((i+1)); done";
    for size in ["65536", "64K", "1M"] {
        let options = ["--buffer", size, "--json", "-o", "events"];
        let out = run(
            &place,
            &[&options[..], &["--", "sh", "-c", script]].concat(),
        );
        assert!(out.status.success(), "{out:?}");
        let all = events(&place.work().join("events"));
        let last = all.last().expect("events");
        let number = |name: &str| last[name].as_u64().expect("a number");
        let made = all
            .iter()
            .filter(|e| e["kind"] != "action" && e["kind"] != "missing")
            .count() as u64;
        // stockade's own calls before the command are among the kept ones, and hidden
        let hidden = number("kept")
            .checked_sub(made)
            .expect("no event of no record");
        assert!(hidden < 200, "{hidden} {last}");
        assert!(number("kept") + number("lost") > 40_000, "{last}");
        assert_eq!(of_kind(&all, "unknown").len(), 0);
    }
}

#[test]
fn many_short_processes_are_one_action_each() {
    let place = Place::new("trace-many");
    let count = if full() { 100_000 } else { 3_000 };
    let script = format!("i=0; while [ $i -lt {count} ]; do ( : ); i=$((i+1)); done");
    let mut command = place.command("timeout");
    command.args(["500"]).arg(stockade());
    command.args([
        "trace", "-e", "none", "--json", "-o", "events", "--", "sh", "-c", &script,
    ]);
    assert!(command.status().expect("it runs").success());
    let all = events(&place.work().join("events"));
    let last = all.last().expect("events");
    assert_eq!((&last["lost"], &last["unlabelled"]), (&0.into(), &0.into()));
    let forks = of_kind(&all, "fork");
    let actions: BTreeSet<_> = forks.iter().map(|f| f["action"].as_u64()).collect();
    assert_eq!((forks.len(), actions.len()), (count, count));
    assert_eq!(of_kind(&all, "exit").len(), count + 1);
}

#[test]
fn what_outlives_its_actions_first_process_is_late() {
    let place = Place::new("trace-late");
    let script = "sh -c '(sleep 0.3; cat /etc/hostname >/dev/null; touch done) & exit 0'; while ! [ -e done ]; do sleep 0.05; done";
    let out = run(
        &place,
        &[
            "--json", "-o", "events", "-e", "openat", "--", "sh", "-c", script,
        ],
    );
    assert!(out.status.success(), "{out:?}");
    let all = events(&place.work().join("events"));
    let of = |name: &str| {
        let mut calls = calls(&all, "openat").into_iter();
        calls.find(|c| paths(c) == [name]).expect("a call")
    };
    let cat = of("/etc/hostname");
    assert_eq!((&cat["action"], &cat["late"]), (&1.into(), &true.into()));
    let first = of_kind(&all, "action")
        .into_iter()
        .find(|a| a["action"] == 1)
        .expect("an action");
    assert_eq!(
        (&first["name"][0], &first["late"]),
        (&"sh".into(), &Value::Null)
    );
    // its parent is another now, and the action the same
    let own = all
        .iter()
        .filter(|e| e["action"] == 1 && e["kind"] == "exit");
    // sleep, cat, and the shell between, which becomes touch
    assert_eq!(own.filter(|e| e["late"] == true).count(), 3);
}
