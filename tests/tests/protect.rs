//! Protected names at both levels: what appears is moved to the quarantine, what may change is
//! reported, and a session that was killed is finished by the next.

use std::path::Path;
use std::process::Output;
use stockade_tests::{LEVELS, Place, stockade, text};

fn run(place: &Place, level: &str, script: &str) -> Output {
    place.stockade(&["run", "--require", level, "--", "sh", "-c", script])
}

fn entries(place: &Place) -> Vec<String> {
    let out = place.stockade(&["quarantine", "list"]);
    let lines = text(&out);
    let first = |l: &str| l.split(' ').next().unwrap_or("").to_owned();
    lines.lines().map(first).collect()
}

/// Nothing but what the user's other sessions keep.
fn no_session_is_left(place: &Place) {
    let sessions = place.home().join(".local/state/stockade/sessions");
    assert_eq!(std::fs::read_dir(sessions).unwrap().count(), 0);
}

#[test]
fn what_appears_is_moved_away_and_can_come_back() {
    for level in LEVELS {
        let place = Place::new("appear");
        let out = run(
            &place,
            level,
            "mkdir .vscode && echo '{}' > .vscode/tasks.json",
        );
        assert_eq!(out.status.code(), Some(0), "{}", text(&out));
        let task = place.work().join(".vscode/tasks.json");
        assert!(
            !task.exists() && text(&out).contains("appeared"),
            "{}",
            text(&out)
        );
        let ids = entries(&place);
        assert_eq!(ids.len(), 1);
        assert!(text(&place.stockade(&["quarantine", "show", &ids[0]])).contains("{}"));
        // what stands there meanwhile is not overwritten
        std::fs::write(&task, "other").unwrap();
        let refused = place.stockade(&["quarantine", "restore", "--yes", &ids[0]]);
        assert_eq!(refused.status.code(), Some(125));
        std::fs::remove_file(&task).unwrap();
        let restored = place.stockade(&["quarantine", "restore", "--yes", &ids[0]]);
        assert_eq!(restored.status.code(), Some(0), "{}", text(&restored));
        assert_eq!(std::fs::read_to_string(&task).unwrap(), "{}\n");
        assert!(entries(&place).is_empty());
        no_session_is_left(&place);
    }
}

#[test]
fn a_git_directory_moved_away_does_not_open_its_hooks() {
    for level in LEVELS {
        let place = Place::new("moved");
        let script =
            "mv .git .old && mkdir -p .git/hooks && echo '#!/bin/sh' > .git/hooks/pre-commit";
        let out = run(&place, level, script);
        assert_eq!(out.status.code(), Some(0), "{level}: {}", text(&out));
        assert!(!place.work().join(".git/hooks/pre-commit").exists());
        assert_eq!(entries(&place).len(), 1, "{}", text(&out));
    }
}

#[test]
fn a_link_under_a_protected_name_is_moved_and_its_target_is_not() {
    let place = Place::new("link");
    std::fs::write(place.outside().join("kept"), "kept").unwrap();
    let target = place.outside().join("kept").display().to_string();
    let out = run(&place, "namespaces", &format!("ln -s {target} .envrc"));
    assert!(text(&out).contains("quarantine"), "{}", text(&out));
    assert!(place.work().join(".envrc").symlink_metadata().is_err());
    assert_eq!(
        std::fs::read_to_string(place.outside().join("kept")).unwrap(),
        "kept"
    );
}

#[test]
fn examples_that_git_never_runs_stay() {
    let place = Place::new("sample");
    std::fs::remove_dir_all(place.work().join(".git")).unwrap();
    let out = run(
        &place,
        "namespaces",
        "git init -q . && ls .git/hooks | wc -l",
    );
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    assert!(place.work().join(".git/hooks/pre-commit.sample").exists());
    assert!(entries(&place).is_empty(), "{}", text(&out));
}

#[test]
fn a_key_that_makes_git_run_programs_is_named() {
    for level in LEVELS {
        let place = Place::new("keys");
        let script =
            "git init -q . && git config user.email a@b && git config core.fsmonitor /tmp/evil";
        std::fs::remove_dir_all(place.work().join(".git")).unwrap();
        let out = run(&place, level, script);
        let said = text(&out);
        assert_eq!(out.status.code(), Some(0), "{said}");
        assert!(
            said.contains("core.fsmonitor = /tmp/evil") && !said.contains("user.email"),
            "{said}"
        );
        let again = run(&place, level, "git config core.pager 'less -X'");
        let said = text(&again);
        assert!(
            said.contains("core.pager") && !said.contains("core.fsmonitor"),
            "{said}"
        );
    }
}

#[test]
fn a_protected_file_changed_at_landlock_is_said_and_put_back() {
    let place = Place::new("original");
    let file = place.work().join(".envrc");
    std::fs::write(&file, "good\n").unwrap();
    let out = run(&place, "landlock", "echo bad > .envrc");
    assert!(
        text(&out).contains("though it is protected"),
        "{}",
        text(&out)
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "good\n");
    let bad = place.stockade(&["quarantine", "show", &entries(&place)[0]]);
    assert!(text(&bad).contains("bad"), "{}", text(&bad));
    // at `namespaces` the write itself is refused
    let out = run(&place, "namespaces", "echo bad > .envrc");
    assert_ne!(out.status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "good\n");
}

#[test]
fn the_next_run_finishes_a_session_that_was_killed() {
    let place = Place::new("killed");
    let mut child = place
        .command(stockade())
        .args(["run", "--", "sh", "-c", "touch .envrc started; sleep 600"])
        .spawn()
        .unwrap();
    let begun = (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        place.work().join("started").exists()
    });
    assert!(begun);
    // a running session is nobody's to finish
    let beside = place.stockade(&["run", "--", "true"]);
    assert!(!text(&beside).contains("killed") && place.work().join(".envrc").exists());
    // nor one of another pid namespace's, where its supervisor has no number
    let script = format!("{} run --require landlock -- true", stockade().display());
    let mut elsewhere = place.command("unshare");
    elsewhere.args([
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--mount-proc",
    ]);
    let beside = elsewhere.args(["sh", "-c", &script]).output().unwrap();
    assert_eq!(beside.status.code(), Some(0), "{}", text(&beside));
    assert!(!text(&beside).contains("killed") && place.work().join(".envrc").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    // the session ends with its supervisor, not at the very moment
    let finished = (0..100).find_map(|_| {
        let said = text(&place.stockade(&["run", "--", "true"]));
        said.contains("was killed").then_some(said)
    });
    assert!(finished.unwrap().contains(".envrc"));
    assert!(!place.work().join(".envrc").exists());
    no_session_is_left(&place);
}

#[test]
fn without_room_for_the_record_nothing_starts() {
    let place = Place::new("full");
    let state = place.path().join("state");
    std::fs::create_dir(&state).unwrap();
    // a file system of the test's own, full before the session begins
    let script = format!(
        "mount -t tmpfs -o size=8k none {state} && (cat /dev/zero > {state}/fill 2>/dev/null; true) && \
         XDG_STATE_HOME={state} {stockade} run -- touch started; echo status $?",
        state = state.display(),
        stockade = stockade().display()
    );
    let out = place
        .command("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .output()
        .unwrap();
    let said = text(&out);
    assert!(
        said.contains("status 125") && said.contains("record"),
        "{said}"
    );
    assert!(!Path::new(&place.work().join("started")).exists());
}

#[test]
fn a_name_that_a_program_outside_replaces_is_held_again() {
    let place = Place::new("replaced");
    let file = place.work().join(".envrc");
    std::fs::write(&file, "first\n").unwrap();
    // inside: says when it stands, waits for the new content, then tries to write
    let script = "touch ready; until read line <.envrc && [ \"${line%% *}\" = second ]; do sleep 0.01; done; touch seen; \
        until [ -e go ]; do sleep 0.01; done; echo bad > .envrc";
    let child = place
        .command(stockade())
        .args(["run", "--require", "namespaces", "--", "sh", "-c", script])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let becomes = |what: &str, there: &dyn Fn() -> bool| {
        let found = (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            there()
        });
        assert!(found, "{what}");
    };
    becomes("it starts", &|| place.work().join("ready").exists());
    // at once and again, so that it is met between two of them too
    for n in 0..500 {
        let fresh = place.work().join(".envrc.tmp");
        std::fs::write(&fresh, format!("second {n}\n")).unwrap();
        std::fs::rename(&fresh, &file).unwrap();
    }
    becomes("it sees the new content", &|| {
        place.work().join("seen").exists()
    });
    // held again: the session's own table of mounts says so
    let held = |pid: &str| {
        let table = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        table.contains("/.envrc ")
    };
    let inside = || {
        let children = format!("/proc/{}/task/{0}/children", child.id());
        let mut all = vec![];
        let mut open = vec![std::fs::read_to_string(children).unwrap_or_default()];
        while let Some(text) = open.pop() {
            for pid in text.split_ascii_whitespace() {
                all.push(pid.to_owned());
                let below = format!("/proc/{pid}/task/{pid}/children");
                open.push(std::fs::read_to_string(below).unwrap_or_default());
            }
        }
        all
    };
    becomes("it is held again", &|| inside().iter().any(|pid| held(pid)));
    std::fs::write(place.work().join("go"), "").unwrap();
    let out = child.wait_with_output().unwrap();
    let said = text(&out);
    assert_ne!(out.status.code(), Some(0), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
    assert!(said.contains("was replaced outside"), "{said}");
    // the change was the outside's
    assert!(!said.contains("though it is protected"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "second 499\n");
}
