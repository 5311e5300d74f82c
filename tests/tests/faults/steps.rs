//! What is said when a step of a launch fails: each is made to, and `messages.txt` keeps the text.
//! `STOCKADE_ACCEPT=1` writes the file anew.

use crate::ground::{Ground, User, text_of};
use libseccomp::ScmpSyscall;
use nix::errno::Errno;
use nix::errno::Errno::{EMFILE, ENOMEM, ENOSPC, EPERM};
use std::fmt::Write;
use std::path::Path;

/// The step's name in `launch/message.rs`, or what the supervisor does by itself.
struct Row {
    step: &'static str,
    level: &'static str,
    generation: u32,
    call: &'static str,
    /// 0 is the last.
    at: u32,
    errno: Errno,
    status: i32,
}

const fn row(
    step: &'static str,
    level: &'static str,
    generation: u32,
    call: &'static str,
    at: u32,
    errno: Errno,
) -> Row {
    let status = 125;
    Row {
        step,
        level,
        generation,
        call,
        at,
        errno,
        status,
    }
}

const N: &str = "namespaces";
const L: &str = "landlock";

/// Needs a cgroup that is delegated, which only the guests of `cgroup.rs` have.
const ELSEWHERE: &[&str] = &["Group"];

const ROWS: &[Row] = &[
    row("facts", N, 0, "landlock_create_ruleset", 1, EPERM),
    row("facts", N, 0, "getgroups", 1, ENOMEM),
    row("facts", N, 0, "recvfrom", 1, ENOMEM),
    row("the home", N, 0, "readlink", 1, ENOMEM),
    row("the filter", N, 0, "memfd_create", 1, EMFILE),
    row("the turn", N, 0, "mkdir", 8, ENOSPC),
    row("the turn", N, 0, "flock", 1, ENOMEM),
    row("the record", N, 0, "mkdir", 9, ENOSPC),
    row("the record", N, 0, "flock", 2, ENOMEM),
    row("the plan", N, 0, "memfd_create", 0, EMFILE),
    row("the plan", N, 0, "socketpair", 1, EMFILE),
    row("the stage", N, 1, "execve", 1, ENOMEM),
    row("the message", N, 0, "recvmsg", 1, ENOMEM),
    row("the message", L, 0, "recvmsg", 1, ENOMEM),
    row("waiting", N, 0, "poll", 0, ENOMEM),
    row("Plan", N, 1, "prctl", 1, EPERM),
    row("Namespaces", N, 1, "clone", 1, EPERM),
    row("Namespaces", N, 2, "sethostname", 1, EPERM),
    row("Fork", L, 1, "prctl", 1, EPERM),
    row("Ids", N, 1, "write", 1, EPERM),
    row("Open", N, 2, "openat2", 1, EMFILE),
    row("View", N, 2, "fsopen", 1, ENOMEM),
    row("View", N, 2, "move_mount", 2, ENOMEM),
    row("View", N, 2, "pivot_root", 1, EPERM),
    row("Loopback", N, 2, "ioctl", 1, ENOMEM),
    row("Fork", N, 2, "clone", 1, ENOMEM),
    row("Fork", L, 1, "clone", 1, ENOMEM),
    row("Terminal", N, 3, "setpgid", 1, EPERM),
    row("Directory", N, 3, "chdir", 1, ENOMEM),
    row("HandOut", N, 3, "pidfd_open", 1, EMFILE),
    row("HandOut", L, 2, "sendmsg", 1, EMFILE),
    row("Limits", N, 3, "prlimit64", 1, EPERM),
    row("Capabilities", N, 3, "capset", 1, EPERM),
    row("Capabilities", N, 2, "capset", 1, EPERM),
    // out of the bounding set, which nothing else would miss
    row("Capabilities", N, 2, "prctl", 5, EPERM),
    row("NoNewPrivileges", N, 3, "prctl", 0, EPERM),
    row("Landlock", N, 3, "landlock_add_rule", 1, ENOMEM),
    row("Landlock", L, 2, "landlock_restrict_self", 1, EPERM),
    row("Descriptors", N, 3, "close_range", 1, ENOMEM),
    row("Descriptors", N, 2, "dup2", 1, EMFILE),
    row("Filter", N, 3, "seccomp", 1, ENOMEM),
    row("Filter", N, 2, "seccomp", 1, ENOMEM),
    Row {
        status: 126,
        ..row("Exec", N, 3, "execve", 1, ENOMEM)
    },
    row("Wait", N, 2, "wait4", 1, EMFILE),
    row("Wait", L, 1, "signalfd4", 1, EMFILE),
];

#[test]
fn each_step_that_fails_is_named() {
    let ground = Ground::new("steps", User::Own);
    let place = ground.at("").display().to_string();
    let mut all = String::new();
    for row in ROWS {
        let Row {
            step,
            level,
            generation,
            call,
            at,
            errno,
            status,
        } = row;
        let number = i32::from(ScmpSyscall::from_name(call).unwrap());
        let mut nth = *at;
        if nth == 0 {
            let (_, report) = ground.injected(&["--require", level], None);
            let wanted = format!("call {generation} {number} ");
            let times = report.lines().find_map(|l| l.strip_prefix(&wanted));
            nth = times.unwrap_or("0").parse().unwrap();
            ground.restore();
        }
        let fault = [
            i64::from(*generation),
            i64::from(number),
            i64::from(nth),
            *errno as i64,
        ];
        let (out, report) = ground.injected(&["--require", level], Some(fault));
        let said = text_of(&out.stderr).replace(place.trim_end_matches('/'), "{place}");
        let said = without_ids(&said);
        let name = format!("{step}: {call} of generation {generation} at level {level}: {errno:?}");
        assert!(report.starts_with("hit"), "{name}: not made\n{said}");
        assert_eq!(out.status.code(), Some(*status), "{name}: {said}");
        assert_eq!(ground.wrong(), Vec::<String>::new(), "{name}");
        ground.restore();
        // where the agent ran already, what was found of it is none of the step's
        let ends: Vec<&str> = said.lines().filter(|l| !l.contains("quarantine")).collect();
        let ends: Vec<&str> = ends
            .into_iter()
            .filter(|l| !l.ends_with("as it was again"))
            .collect();
        writeln!(all, "# {name}\n{}\n", ends.join("\n")).unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/messages.txt");
    if std::env::var_os("STOCKADE_ACCEPT").is_some_and(|v| v == "1") {
        std::fs::write(&file, &all).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    for (is, should) in all.split("\n\n").zip(kept.split("\n\n")) {
        assert_eq!(is, should);
    }
    assert_eq!(all, kept);
}

fn without_ids(text: &str) -> String {
    let mut parts = text.split("/sessions/");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, rest) = part.split_once('/').unwrap();
        out += &format!("/sessions/{{id}}/{rest}");
    }
    out
}

#[test]
fn every_step_is_made_to_fail() {
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../supervisor/enforce/src/launch/message.rs"
    );
    let source = std::fs::read_to_string(source).unwrap();
    let (_, table) = source.split_once("const STEPS").unwrap();
    let (table, _) = table.split_once("];").unwrap();
    let mut steps: Vec<&str> = table.split("(Step::").skip(1).collect();
    for step in &mut steps {
        *step = step.split(',').next().unwrap();
    }
    assert!(steps.len() > 10, "{steps:?}");
    for step in steps {
        let rows = ROWS.iter().filter(|row| row.step == step).count();
        assert!(rows > 0 || ELSEWHERE.contains(&step), "{step} has no row");
    }
}
