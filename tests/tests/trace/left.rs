//! The command itself, and what is left of it when it is killed.

use crate::harness::{MOST, program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use stockade_tests::{Place, stockade, text};

/// Every program, map and link that a process has open, by kind and id.
fn open(pid: u32) -> BTreeSet<(&'static str, u32)> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap() {
        let info = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
        for kind in ["prog_id", "map_id", "link_id"] {
            let line = |l: &str| l.strip_prefix(kind)?.strip_prefix(':')?.trim().parse().ok();
            found.extend(info.lines().find_map(line).map(|id| (kind, id)));
        }
    }
    found
}

/// What the kernel holds.
fn held() -> BTreeSet<(&'static str, u32)> {
    let programs = aya::programs::loaded_programs().filter_map(Result::ok);
    let maps = aya::maps::loaded_maps().filter_map(Result::ok);
    let links = aya::programs::loaded_links().filter_map(Result::ok);
    programs
        .map(|p| ("prog_id", p.id()))
        .chain(maps.map(|m| ("map_id", m.id())))
        .chain(links.map(|l| ("link_id", l.id())))
        .collect()
}

fn eventually<T>(mut what: impl FnMut() -> Result<T, String>) -> T {
    let until = Instant::now() + MOST / 5;
    loop {
        match what() {
            Ok(value) => return value,
            Err(why) => assert!(Instant::now() < until, "{why}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// With `link_id` in fdinfo the kernel also shows the program's: each is seen once.
#[test]
fn nothing_is_left_of_a_tracer_that_is_killed() {
    let mut tracer = Command::new(stockade())
        .args(["trace", "-e", "getppid", "-o", "/dev/null", "--", program()])
        .args(["storm", "600000"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = tracer.id();
    let command = eventually(|| {
        let children = format!("/proc/{pid}/task/{pid}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        let child: Option<u32> = children.trim().parse().ok();
        let child = child.ok_or("it starts nothing")?;
        let executed = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        executed
            .starts_with(program().as_bytes())
            .then_some(child)
            .ok_or_else(|| "the command is not executed".to_owned())
    });
    let own = open(pid);
    let of = |kind: &str| own.iter().filter(|(k, _)| *k == kind).count();
    assert!(
        of("prog_id") >= 6 && of("map_id") >= 6 && of("link_id") >= 6,
        "{own:?}"
    );
    assert!(own.is_subset(&held()));
    tracer.kill().unwrap();
    tracer.wait().unwrap();
    let left = |held: &BTreeSet<(&'static str, u32)>| -> Vec<(&'static str, u32)> {
        held.intersection(&own).copied().collect()
    };
    eventually(|| match left(&held()) {
        left if left.is_empty() => Ok(()),
        left => Err(format!("left: {left:?}")),
    });
    // the command goes on, unseen
    let command = Pid::from_raw(command.cast_signed());
    kill(command, Signal::SIGKILL).unwrap();
    for mount in std::fs::read_to_string("/proc/mounts").unwrap().lines() {
        let mut words = mount.split(' ');
        if let (Some(_), Some(place), Some("bpf")) = (words.next(), words.next(), words.next()) {
            let ours = |e: &std::fs::DirEntry| e.file_name().to_string_lossy().contains("stockade");
            let pins = std::fs::read_dir(place).into_iter().flatten().flatten();
            let pins = pins.filter(ours).count();
            assert_eq!(pins, 0, "{place}");
        }
    }
}

#[test]
fn the_commands_status_is_the_traces() {
    let place = Place::new("trace-status");
    for (script, status) in [
        ("exit 0", Some(0)),
        ("exit 7", Some(7)),
        ("kill -9 $$", None),
    ] {
        let out = place.stockade(&["trace", "-e", "none", "--json", "--", "sh", "-c", script]);
        assert_eq!(out.status.code(), status, "{script}: {}", text(&out));
    }
    let out = place.stockade(&["trace", "--", "/nonexistent/command"]);
    assert_eq!(out.status.code(), Some(127), "{}", text(&out));
}

#[test]
fn without_the_privilege_it_says_what_is_missing() {
    let place = Place::new("trace-unprivileged");
    let out = place
        .command("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(stockade())
        .args(["trace", "--", "true"])
        .current_dir("/")
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(125), "{}", text(&out));
    let said = text(&out);
    assert!(
        said.contains("it takes root, or CAP_BPF and CAP_PERFMON"),
        "{said}"
    );
}
