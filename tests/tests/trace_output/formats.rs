//! Each sink, and the schema.

use crate::{calls, events, of_kind, paths, run, text, trace};
use serde_json::Value;
use std::collections::BTreeSet;
use stockade_tests::Place;

fn schema() -> Value {
    let place = Place::new("trace-schema");
    let printed = run(&place, &["--schema"]);
    assert!(printed.status.success(), "{printed:?}");
    serde_json::from_slice(&printed.stdout).expect("the schema is JSON")
}

#[test]
fn every_event_of_a_run_is_as_the_schema_says() {
    let place = Place::new("trace-json");
    let script = "cat /etc/hostname; cat missing; ln -s a b; (exit 3); sh -c 'kill -9 $$'; exit 7";
    let out = run(
        &place,
        &["-o", "events", "--json", "--", "sh", "-c", script],
    );
    assert_eq!(out.status.code(), Some(7), "{out:?}");
    let schema = jsonschema::draft202012::new(&schema()).expect("a schema");
    let all = events(&place.work().join("events"));
    for event in &all {
        let wrong: Vec<_> = schema.iter_errors(event).map(|e| e.to_string()).collect();
        assert_eq!(wrong, Vec::<String>::new(), "{event:#}");
    }
    let kinds: BTreeSet<_> = all.iter().filter_map(|e| e["kind"].as_str()).collect();
    let expected = ["action", "call", "exec", "exit", "fork", "missing"];
    assert_eq!(kinds, BTreeSet::from(expected));
    // what stockade did itself before is not there
    assert_eq!(all[0]["kind"], "action");
    assert_eq!(all[0]["name"][0], "sh");
    let last = all.last().expect("events");
    assert_eq!(
        (&last["kind"], &last["lost"]),
        (&"missing".into(), &0.into())
    );
    assert_eq!(last["kept"], made(&all) + before(&all));
    let missing: Vec<_> = calls(&all, "openat")
        .into_iter()
        .filter(|c| paths(c) == ["missing"])
        .collect();
    assert_eq!(missing.len(), 1);
    assert_eq!(
        (&missing[0]["result"], &missing[0]["errno"]),
        (&(-2).into(), &"ENOENT".into())
    );
    let ends: Vec<_> = of_kind(&all, "exit")
        .iter()
        .map(|e| (e["status"].as_i64(), e["signal"].as_i64()))
        .collect();
    for end in [
        (Some(0), None),
        (Some(1), None),
        (Some(3), None),
        (None, Some(9)),
        (Some(7), None),
    ] {
        assert!(ends.contains(&end), "{end:?} in {ends:?}");
    }
    let begun = of_kind(&all, "fork")
        .iter()
        .filter(|f| f["thread"] == false)
        .count();
    assert_eq!(begun + 1, ends.len());
}

/// Records that became events: an action's name comes with its exec, and the last event of none.
fn made(all: &[Value]) -> u64 {
    let of = |e: &&Value| e["kind"] != "action" && e["kind"] != "missing";
    all.iter().filter(of).count() as u64
}

/// Records of what stockade did before it executed the command: all that is missing. There were some.
fn before(all: &[Value]) -> u64 {
    let kept = all.last().expect("events")["kept"]
        .as_u64()
        .expect("a number");
    let before = kept.checked_sub(made(all)).expect("no event of no record");
    assert!((3..200).contains(&before), "{before}");
    before
}

#[test]
fn a_line_fits_the_screen_and_each_action_has_its_header() {
    let place = Place::new("trace-text");
    let long = "d/".repeat(60);
    let script = format!("cat {long}x; ls; true; ls missing");
    let arguments = ["--width", "80", "--", "sh", "-c", &script];
    let out = run(&place, &arguments);
    assert_eq!(out.status.code(), Some(2));
    let said = text(&out.stderr);
    let lines: Vec<_> = said
        .lines()
        .filter(|l| !l.starts_with("cat: ") && !l.starts_with("ls: "))
        .collect();
    for line in &lines {
        assert!(line.chars().count() <= 80, "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }
    let headers: Vec<_> = lines
        .iter()
        .filter(|l| l.starts_with("── action "))
        .collect();
    for header in ["── action 2  ls", "── action 3  ls missing"] {
        assert!(headers.contains(&&header), "{header}: {headers:?}");
    }
    assert!(headers[0].starts_with("── action 0  sh -c 'cat d/d/d/") && headers[0].ends_with('…'));
    let cut = lines.iter().find(|l| {
        l.contains("openat")
            && l.contains("…d/d/")
            && l.contains("d/x\"")
            && l.ends_with("= -1 ENOENT")
    });
    assert!(cut.is_some(), "{said}");
    // without a screen nothing is cut
    let whole = run(&place, &arguments[2..]);
    assert!(text(&whole.stderr).contains(&format!("{long}x\"")));
    assert!(!text(&whole.stderr).contains('…'));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let place = Place::new("trace-colour");
    let stockade = stockade_tests::stockade().display();
    let line = format!("stty cols 80; timeout 60 {stockade} trace -- cat missing");
    let on_terminal = |value: &str| {
        let mut script = place.command("script");
        script
            .args(["-qec", &line, "/dev/null"])
            .env("NO_COLOR", value);
        let out = script.output().expect("script runs");
        assert_eq!(out.status.code(), Some(1), "{out:?}");
        text(&out.stdout)
    };
    let plain = on_terminal("1");
    assert!(!plain.contains('\u{1b}') && plain.contains("── action 0  cat missing"));
    // empty is not set, as no-color.org has it
    let coloured = on_terminal("");
    assert!(
        coloured.contains("\u{1b}[1m── action 0  cat missing\u{1b}[0m"),
        "{coloured}"
    );
    assert!(
        coloured.contains("\u{1b}[31m= -1 ENOENT\u{1b}[0m"),
        "{coloured}"
    );
    for line in plain.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

/// Of `calls failed … name`, the rows below an action's header.
fn rows(table: &str, header: &str) -> Vec<(u64, u64, String)> {
    let below = table.lines().skip_while(|l| *l != header).skip(2);
    let rows = below.take_while(|l| !l.starts_with("──"));
    let row = |line: &str| {
        let number = |from: &str| from.trim().parse().unwrap_or(0);
        let name = line.split_whitespace().next_back().expect("a name");
        (number(&line[..9]), number(&line[9..18]), name.to_owned())
    };
    rows.map(row).collect()
}

#[test]
fn the_table_counts_what_strace_counts() {
    let place = Place::new("trace-table");
    let program = [
        "dd",
        "if=/dev/zero",
        "of=/dev/null",
        "bs=1",
        "count=1000",
        "status=none",
    ];
    let out = run(
        &place,
        &[&["-c", "-o", "table", "--"][..], &program].concat(),
    );
    assert!(out.status.success(), "{out:?}");
    let table = std::fs::read_to_string(place.work().join("table")).expect("the table");
    let mut own: Vec<_> = rows(&table, &format!("── action 0  {}", program.join(" ")));
    own.retain(|(_, _, name)| name != "together");
    let mut strace = place.command("strace");
    strace.args(["-f", "-o", "calls"]).args(program);
    assert!(strace.status().expect("strace runs").success());
    let lines = std::fs::read_to_string(place.work().join("calls")).expect("the calls");
    let mut theirs = std::collections::BTreeMap::new();
    for line in lines.lines().filter(|l| !l.contains("+++")) {
        let call = line.split_whitespace().nth(1).expect("a call");
        let name = call.split('(').next().expect("a name").to_owned();
        let count: &mut (u64, u64) = theirs.entry(name).or_default();
        count.0 += 1;
        count.1 += u64::from(line.contains("= -1 E"));
    }
    let own: std::collections::BTreeMap<_, _> =
        own.into_iter().map(|(n, f, name)| (name, (n, f))).collect();
    assert_eq!(own, theirs);
    assert!(own["read"].0 > 1000, "{table}");
    // what is chosen, and what fails
    let out = run(
        &place,
        &[
            "-c",
            "-Z",
            "-e",
            "openat,close",
            "-o",
            "-",
            "--",
            "cat",
            "missing",
        ],
    );
    let table = text(&out.stdout);
    let rows = rows(&table, "── action 0  cat missing");
    assert!(
        rows.iter()
            .any(|(_, failed, name)| name == "openat" && *failed >= 1),
        "{table}"
    );
    assert!(rows.iter().all(|(_, failed, _)| *failed > 0), "{table}");
}

#[test]
fn the_trace_file_has_a_track_for_each_action() {
    let place = Place::new("trace-chrome");
    let arguments = [
        "--format",
        "chrome",
        "-o",
        "trace.json",
        "--",
        "sh",
        "-c",
        "ls missing; sleep 0.1; exit 0",
    ];
    let out = run(&place, &arguments);
    assert!(out.status.success(), "{out:?}");
    let all: Vec<Value> =
        serde_json::from_slice(&std::fs::read(place.work().join("trace.json")).expect("a file"))
            .expect("JSON");
    let named: Vec<_> = all.iter().filter(|e| e["name"] == "process_name").collect();
    let name = |action: u64| {
        let mut of = named.iter().filter(|e| e["pid"] == action);
        of.next_back().expect("a track")["args"]["name"]
            .as_str()
            .expect("text")
    };
    assert_eq!(
        (name(1), name(2)),
        ("action 1: ls missing", "action 2: sleep 0.1")
    );
    let sleep = all
        .iter()
        .find(|e| e["name"] == "clock_nanosleep")
        .expect("a sleep");
    assert_eq!((&sleep["ph"], &sleep["pid"]), (&"X".into(), &2.into()));
    assert!(
        (100_000.0..1e7).contains(&sleep["dur"].as_f64().expect("microseconds")),
        "{sleep}"
    );
    let exec = all
        .iter()
        .find(|e| e["name"] == "exec /usr/bin/sleep")
        .expect("an exec");
    assert_eq!((&exec["ph"], &exec["s"]), (&"i".into(), &"t".into()));
    let threads = all.iter().filter(|e| e["name"] == "thread_name");
    let threads: Vec<_> = threads.filter_map(|e| e["args"]["name"].as_str()).collect();
    assert!(
        threads.iter().any(|t| t.starts_with("sleep ")),
        "{threads:?}"
    );
    // every event is on a track that has a name
    let tracks: BTreeSet<_> = named.iter().map(|e| e["pid"].as_u64()).collect();
    assert!(all.iter().all(|e| tracks.contains(&e["pid"].as_u64())));
}

#[test]
fn what_is_chosen_is_what_is_shown() {
    let place = Place::new("trace-chosen");
    let shown = |arguments: &[&str]| {
        let command = [
            "--json",
            "-o",
            "events",
            "--",
            "cat",
            "missing",
            "/etc/hostname",
        ];
        run(&place, &[arguments, &command].concat());
        let all = events(&place.work().join("events"));
        let calls = of_kind(&all, "call").into_iter();
        let name = |c: &Value| {
            (
                c["call"].as_str().expect("a name").to_owned(),
                !c["errno"].is_null(),
            )
        };
        calls.map(name).collect::<BTreeSet<_>>()
    };
    let names = |all: &[(&str, bool)]| {
        all.iter()
            .map(|(n, f)| ((*n).to_owned(), *f))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        shown(&["-e", "openat"]),
        names(&[("openat", false), ("openat", true)])
    );
    assert_eq!(
        shown(&["-Z", "-e", "trace=openat,close"]),
        names(&[("openat", true)])
    );
    let failed = events(&place.work().join("events"));
    // what is recorded for its failure alone is read when it has failed
    assert!(
        calls(&failed, "openat")
            .iter()
            .any(|c| paths(c) == ["missing"])
    );
    assert_eq!(shown(&["-e", "none"]), names(&[]));
    let most = shown(&["-e", "!openat"]);
    assert!(most.contains(&("close".into(), false)) && !most.iter().any(|(n, _)| n == "openat"));
    let wrong = run(&place, &["-e", "opnat", "--", "true"]);
    assert_eq!(wrong.status.code(), Some(125));
    assert_eq!(
        text(&wrong.stderr),
        "stockade: -e opnat: no such system call or class; did you mean openat?\n"
    );
}

#[test]
fn the_output_goes_where_it_is_sent() {
    let place = Place::new("trace-output");
    let to = |output: &str| {
        let mut command = trace(&place, &["-e", "none", "-o", output, "--", "true"]);
        let out = command.output().expect("it runs");
        assert!(out.status.success(), "{out:?}");
        [text(&out.stdout), text(&out.stderr)].map(|t| t.contains("── action 0  true"))
    };
    assert_eq!(to("-"), [true, false]);
    assert_eq!(to("/dev/fd/2"), [false, true]);
    assert_eq!(to("file"), [false, false]);
    let file = std::fs::read_to_string(place.work().join("file")).expect("the file");
    assert!(file.contains("── action 0  true"));
    let out = run(&place, &["-o", "no/such/file", "--", "touch", "ran"]);
    assert_eq!(out.status.code(), Some(125));
    assert!(text(&out.stderr).starts_with("stockade: cannot write no/such/file: "));
    assert!(!place.work().join("ran").exists());
    let stats = run(&place, &["--stats", "-o", "/dev/null", "--", "true"]);
    let said = text(&stats.stderr);
    assert!(
        said.contains(" records kept, 0 lost, ") && said.contains("loaded and attached in "),
        "{said}"
    );
}
