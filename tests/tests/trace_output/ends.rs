//! How it ends, and what is left then.

use crate::{events, of_kind, run, text};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use stockade_tests::{Place, install, stockade};

/// Looks until it holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A trace of a script that makes `begun` when it runs.
fn begun(place: &Place, options: &[&str], script: &str) -> Child {
    let mut command = place.command(stockade());
    command.arg("trace").args(options);
    let script = format!("touch begun; {script}");
    command.args(["--", "sh", "-c", &script]);
    let child = command.stderr(Stdio::null()).spawn().expect("it runs");
    until("the command begins", || place.work().join("begun").exists());
    child
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

#[test]
fn the_status_is_the_commands() {
    let place = Place::new("trace-status");
    std::fs::write(place.work().join("plain"), "text").expect("a file");
    for (script, code, signal) in [
        ("exit 0", Some(0), None),
        ("exit 42", Some(42), None),
        ("exit 125", Some(125), None),
        ("kill -TERM $$", None, Some(15)),
        ("kill -KILL $$", None, Some(9)),
        ("ulimit -c 0; kill -SEGV $$", None, Some(11)),
    ] {
        let mut command = place.command(stockade());
        let out = command
            .args(["trace", "-e", "none", "--", "sh", "-c", script])
            .output()
            .expect("it runs");
        assert_eq!(
            (out.status.code(), out.status.signal()),
            (code, signal),
            "{script}: {out:?}"
        );
    }
    for (command, code, says) in [
        (
            "no-such-command",
            127,
            "stockade: no-such-command: command not found\n",
        ),
        (
            "./plain",
            126,
            "stockade: cannot execute ./plain: Permission denied",
        ),
        ("/", 126, "stockade: cannot execute /: Permission denied"),
    ] {
        let out = run(&place, &["-e", "none", "--", command]);
        assert_eq!(out.status.code(), Some(code), "{command}");
        assert!(text(&out.stderr).contains(says), "{command}: {out:?}");
    }
    for wrong in [
        &["--"][..],
        &["--nonsense", "--", "true"],
        &["-c", "--json", "--", "true"],
        &["--format", "x", "--", "true"],
        &["true"],
    ] {
        assert_eq!(run(&place, wrong).status.code(), Some(125), "{wrong:?}");
    }
}

#[test]
fn signals_of_the_command_are_as_without_a_tracer() {
    let place = Place::new("trace-signals");
    let script = "grep -E 'Sig(Blk|Ign)' /proc/self/status";
    let alone = place.command("sh").args(["-c", script]).output();
    let traced = run(&place, &["-o", "/dev/null", "--", "sh", "-c", script]);
    // the C library's own two signals are no program's business
    let masks = |out: &[u8]| -> Vec<u64> {
        let text = text(out);
        let masks = text.split_whitespace().skip(1).step_by(2);
        masks
            .map(|m| u64::from_str_radix(m, 16).expect("a mask") & !(0b11 << 31))
            .collect()
    };
    let alone = masks(&alone.expect("sh runs").stdout);
    assert_eq!((masks(&traced.stdout), alone.len()), (alone, 2));
}

#[test]
fn a_request_to_end_goes_to_the_command_which_is_traced_until_then() {
    let place = Place::new("trace-term");
    let script = "trap 'cat /etc/hostname >/dev/null; exit 9' TERM; touch ready; while :; do sleep 0.1; done";
    let mut tracer = begun(&place, &["--json", "-o", "events"], script);
    until("it waits", || place.work().join("ready").exists());
    kill(pid(&tracer), Signal::SIGTERM).expect("it is there");
    assert_eq!(tracer.wait().expect("it ends").code(), Some(9));
    let all = events(&place.work().join("events"));
    assert_eq!(all.last().expect("events")["kind"], "missing");
    let executed = of_kind(&all, "action")
        .iter()
        .any(|a| a["name"][0] == "cat");
    assert!(executed);
    std::fs::remove_file(place.work().join("begun")).expect("it began");
    // a second request is for the tracer
    let stubborn = "trap '' TERM; touch stubborn; i=0; while [ $i -lt 300 ] && ! [ -e over ]; do sleep 0.1; i=$((i+1)); done; touch ended";
    let mut tracer = begun(&place, &["-o", "/dev/null"], stubborn);
    until("it waits", || place.work().join("stubborn").exists());
    kill(pid(&tracer), Signal::SIGTERM).expect("it is there");
    std::thread::sleep(Duration::from_millis(300));
    assert!(tracer.try_wait().expect("a child").is_none());
    kill(pid(&tracer), Signal::SIGTERM).expect("it is there");
    assert_eq!(tracer.wait().expect("it ends").signal(), Some(15));
    std::fs::write(place.work().join("over"), "").expect("a file");
    until("the command goes on", || {
        place.work().join("ended").exists()
    });
}

#[test]
fn ctrl_c_ends_the_command_and_the_trace_is_whole() {
    let place = Place::new("trace-interrupt");
    let script = "trap 'rm -f x; exit 8' INT; touch ready; while :; do sleep 0.1; done";
    let mut command = place.command(stockade());
    command.args(["trace", "--json", "-o", "events", "--", "sh", "-c", script]);
    // a foreground process group, as a terminal signals it
    let mut tracer = command.process_group(0).spawn().expect("it runs");
    until("it waits", || place.work().join("ready").exists());
    killpg(pid(&tracer), Signal::SIGINT).expect("it is there");
    assert_eq!(tracer.wait().expect("it ends").code(), Some(8));
    let all = events(&place.work().join("events"));
    assert_eq!(all.last().expect("events")["kind"], "missing");
    let executed = of_kind(&all, "action").iter().any(|a| a["name"][0] == "rm");
    assert!(executed);
}

/// Numbers of programs, maps and links that a process has descriptors of.
fn loaded_by(process: u32) -> BTreeSet<(&'static str, u32)> {
    let folder = format!("/proc/{process}/fdinfo");
    let files = std::fs::read_dir(&folder).expect("it is there");
    let mut found = BTreeSet::new();
    for file in files.flatten() {
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        for line in text.lines() {
            for kind in ["prog_id", "map_id", "link_id"] {
                let number = line.strip_prefix(kind).and_then(|l| l.strip_prefix(":"));
                found.extend(
                    number
                        .and_then(|n| n.trim().parse().ok())
                        .map(|n| (kind, n)),
                );
            }
        }
    }
    found
}

/// Those that are still there.
fn left(of: &BTreeSet<(&'static str, u32)>) -> BTreeSet<(&'static str, u32)> {
    let programs = aya::programs::loaded_programs()
        .flatten()
        .map(|p| ("prog_id", p.id()));
    let maps = aya::maps::loaded_maps()
        .flatten()
        .map(|m| ("map_id", m.id()));
    let links = aya::programs::loaded_links()
        .flatten()
        .map(|l| ("link_id", l.id()));
    let all: BTreeSet<_> = programs.chain(maps).chain(links).collect();
    of.intersection(&all).copied().collect()
}

#[test]
fn a_killed_tracer_leaves_nothing_loaded_and_the_command_runs_on() {
    let place = Place::new("trace-kill");
    let script =
        "i=0; while [ $i -lt 300 ] && ! [ -e over ]; do sleep 0.1; i=$((i+1)); done; touch ended";
    let mut tracer = begun(&place, &["-o", "/dev/null"], script);
    let loaded = loaded_by(tracer.id());
    for kind in ["prog_id", "map_id", "link_id"] {
        assert!(
            loaded.iter().filter(|(k, _)| *k == kind).count() >= 3,
            "{loaded:?}"
        );
    }
    assert_eq!(left(&loaded), loaded);
    tracer.kill().expect("it is there");
    tracer.wait().expect("it ends");
    until("nothing is loaded", || left(&loaded).is_empty());
    std::fs::write(place.work().join("over"), "").expect("a file");
    until("the command goes on", || {
        place.work().join("ended").exists()
    });
}

#[test]
fn a_tracer_that_is_killed_before_the_command_begins_leaves_no_process() {
    let place = Place::new("trace-early");
    for delay in [0, 5, 20, 60, 150] {
        let mut command = place.command(stockade());
        let mut tracer = command
            .args(["trace", "--", "sleep", "0.2"])
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        std::thread::sleep(Duration::from_millis(delay));
        let children = format!("/proc/{0}/task/{0}/children", tracer.id());
        let children = std::fs::read_to_string(children).unwrap_or_default();
        tracer.kill().expect("it is there");
        tracer.wait().expect("it ends");
        for child in children.split_whitespace() {
            until("no process waits for ever", || {
                !Path::new("/proc").join(child).exists()
            });
        }
    }
}

#[test]
fn without_the_privilege_it_says_what_is_missing_and_starts_nothing() {
    let place = Place::new("trace-user");
    let own = place.path().join("stockade");
    install(stockade(), &own);
    let as_user = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--inh-caps=-all",
            "--",
        ]);
        command
            .arg(program)
            .args(arguments)
            .current_dir(place.path());
        command.output().expect("setpriv runs")
    };
    let out = as_user(
        &own,
        &["trace", "--", "touch", "/tmp/stockade-trace-user-ran"],
    );
    assert_eq!(out.status.code(), Some(125), "{out:?}");
    assert_eq!(
        text(&out.stderr),
        "stockade: tracing is refused by the kernel (EPERM): it takes root, or CAP_BPF and CAP_PERFMON; run `sudo stockade trace …`\n"
            .replace("(EPERM)", "(EPERM: Operation not permitted)")
    );
    assert!(!Path::new("/tmp/stockade-trace-user-ran").exists());
    // the user can run it as such
    assert!(as_user(&own, &["trace", "--schema"]).status.success());
}

#[test]
fn a_sink_that_is_not_read_blocks_the_tracer_and_not_the_command() {
    let place = Place::new("trace-slow");
    let mut command = place.command(stockade());
    command.args(["trace", "--json", "-o", "-", "--"]);
    command.args([
        "sh",
        "-c",
        "dd if=/dev/zero of=/dev/null bs=1 count=5000 status=none; touch ended",
    ]);
    let mut tracer = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    // nobody has read anything by then
    until("the command ends", || place.work().join("ended").exists());
    std::thread::sleep(Duration::from_millis(300));
    assert!(tracer.try_wait().expect("a child").is_none());
    let mut said = String::new();
    tracer
        .stdout
        .take()
        .expect("a pipe")
        .read_to_string(&mut said)
        .expect("text");
    assert!(tracer.wait().expect("it ends").success());
    let reads = said
        .lines()
        .filter(|l| l.contains("\"call\":\"read\""))
        .count();
    assert!(reads >= 5000, "{reads}");
    let last: serde_json::Value =
        serde_json::from_str(said.lines().last().expect("lines")).expect("JSON");
    assert_eq!(
        (&last["kind"], &last["lost"], &last["unwritten"]),
        (&"missing".into(), &0.into(), &0.into())
    );
}

#[test]
fn a_sink_that_fails_is_said_and_the_status_stays_the_commands() {
    let place = Place::new("trace-full");
    for format in ["text", "json", "chrome"] {
        let out = run(
            &place,
            &[
                "--format",
                format,
                "-o",
                "/dev/full",
                "--",
                "sh",
                "-c",
                "exit 3",
            ],
        );
        assert_eq!(out.status.code(), Some(3), "{out:?}");
        let said = text(&out.stderr);
        let events = said
            .strip_prefix("stockade: /dev/full: ")
            .and_then(|s| s.split_once(" events not written: "));
        let (events, why) = events.unwrap_or_else(|| panic!("{said}"));
        assert!(events.parse::<u32>().expect("a number") > 30, "{said}");
        assert!(why.starts_with("No space left on device"), "{said}");
    }
    // a reader that has seen enough
    let mut command = place.command(stockade());
    command.args(["trace", "-o", "-", "--", "sh", "-c", "sleep 0.3; exit 4"]);
    let mut tracer = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(tracer.stdout.take());
    assert_eq!(tracer.wait().expect("it ends").code(), Some(4));
}
