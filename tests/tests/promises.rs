//! What docs/specification.md promises and no other file tries: what is printed and when, what is left
//! behind, whose groups count, what a plan says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use stockade_tests::{LEVELS, Place, stockade, text};

fn run(place: &Place, level: &str, words: &[&str]) -> Output {
    place.stockade(&[&["run", "--require", level, "--"], words].concat())
}

fn becomes(what: impl Fn() -> bool) -> bool {
    (0..2000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        what()
    })
}

/// Every path below, links not followed.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            }
            all.push(entry.path());
        }
    }
    all.sort();
    all
}

/// Whether some process has `marker` among its arguments.
fn runs(marker: &str) -> bool {
    let with = |entry: std::io::Result<std::fs::DirEntry>| {
        let line = entry
            .ok()
            .and_then(|e| std::fs::read(e.path().join("cmdline")).ok());
        let line = line.unwrap_or_default();
        line.split(|b| *b == 0)
            .any(|word| word == marker.as_bytes())
    };
    std::fs::read_dir("/proc").unwrap().any(with)
}

/// But for the session's own id and the process that made the plan.
#[test]
fn a_plan_is_the_same_each_time() {
    for level in LEVELS {
        let place = Place::new("same");
        for json in [&[][..], &["--json"]] {
            let plan = || {
                let words = [&["plan", "--require", level], json, &["--", "true"]].concat();
                let child = place
                    .command(stockade())
                    .args(words)
                    .stdout(Stdio::piped())
                    .spawn();
                let child = child.unwrap();
                let own = format!("/proc/{}/", child.id());
                let said = text(&child.wait_with_output().unwrap());
                let said = said.replace(&own, "/proc/PID/");
                let id = said.split("/sessions/").nth(1).map(|rest| {
                    let end = rest.find(|c: char| !c.is_ascii_alphanumeric());
                    rest[..end.unwrap_or(rest.len())].to_owned()
                });
                id.map_or(said.clone(), |id| said.replace(&id, "ID"))
            };
            let first = plan();
            assert!(first.len() > 1000 && first == plan(), "{level} {json:?}");
        }
        // and it starts and leaves nothing
        let sessions = place.home().join(".local/state/stockade/sessions");
        assert!(!sessions.exists(), "{level}");
    }
}

#[test]
fn a_plan_names_variables_and_no_values() {
    for level in LEVELS {
        let place = Place::new("values");
        for json in [&[][..], &["--json"]] {
            let words = [&["plan", "--require", level], json, &["--", "true"]].concat();
            let mut command = place.command(stockade());
            command
                .args(words)
                .env("GH_TOKEN", "hunter2")
                .env("UP", "https://me:hunter3@host/");
            let said = text(&command.output().unwrap());
            assert!(said.contains("GH_TOKEN") && said.contains("UP"), "{said}");
            assert!(!said.contains("hunter"), "{level}: {said}");
        }
    }
}

#[test]
fn nothing_is_said_when_nothing_happened() {
    for level in LEVELS {
        let place = Place::new("silent");
        let out = run(
            &place,
            level,
            &["sh", "-c", "echo out; echo err >&2; touch made"],
        );
        let streams = (out.stdout.as_slice(), out.stderr.as_slice());
        assert_eq!(streams, (&b"out\n"[..], &b"err\n"[..]), "{level}");
        // a failure may be a denial, which nobody sees then
        let unseen = [
            "run",
            "--denials",
            "never",
            "--require",
            level,
            "--",
            "false",
        ];
        let out = place.stockade(&unseen);
        let said = text(&out);
        assert_eq!(said.lines().count(), 1, "{level}: {said}");
        assert!(
            said.starts_with("stockade: denials are not visible"),
            "{said}"
        );
        let quiet = ["run", "--quiet", "--require", level, "--", "false"];
        assert_eq!(text(&place.stockade(&quiet)), "", "{level}");
        // what has to be said is, whoever asks for quiet
        let quiet = [
            "run",
            "--quiet",
            "--require",
            level,
            "--",
            "touch",
            ".envrc",
        ];
        let said = text(&place.stockade(&quiet));
        assert!(said.contains(".envrc appeared"), "{level}: {said}");
    }
}

#[test]
fn a_session_leaves_nothing_but_what_it_wrote() {
    for level in LEVELS {
        let place = Place::new("left");
        let table = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let before = (below(&place.work()), table().lines().count());
        let out = run(
            &place,
            level,
            &["sh", "-c", "echo x > \"$TMPDIR/t\"; echo x > made"],
        );
        assert_eq!(out.status.code(), Some(0), "{level}: {}", text(&out));
        std::fs::remove_file(place.work().join("made")).unwrap();
        assert_eq!(
            (below(&place.work()), table().lines().count()),
            before,
            "{level}"
        );
        let state = place.home().join(".local/state/stockade");
        let left: Vec<_> = below(&state.join("sessions"));
        assert!(left.is_empty(), "{level}: {left:?}");
        let mode = std::os::unix::fs::MetadataExt::mode(&state.metadata().unwrap());
        assert_eq!(mode & 0o777, 0o700, "{level}");
    }
}

#[test]
fn daemons_end_with_a_killed_supervisor() {
    for level in LEVELS {
        let place = Place::new("daemons");
        let marker = format!("86402.{}", std::process::id());
        let script = format!(
            "setsid sleep {marker} & (setsid sh -c '(sleep {marker} &)' &); nohup sleep {marker} >/dev/null 2>&1 & \
             sleep 0.2; touch ready; sleep {marker}"
        );
        let mut supervisor = place
            .command(stockade())
            .args(["run", "--require", level, "--", "sh", "-c", &script])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        assert!(becomes(|| place.work().join("ready").exists()), "{level}");
        assert!(runs(&marker), "{level}");
        supervisor.kill().unwrap();
        supervisor.wait().unwrap();
        assert!(becomes(|| !runs(&marker)), "{level}: something survived");
    }
}

/// As somebody who is in one group more; who is not root sees that the plan names the caller's own.
#[test]
fn a_supplementary_groups_file_is_out_of_reach_and_the_group_is_named() {
    const GROUP: u32 = 54321;
    if !nix::unistd::geteuid().is_root() {
        let place = Place::new("groups");
        let own = text(&Command::new("id").arg("-G").output().unwrap());
        let primary = nix::unistd::getegid().to_string();
        let more = own.split_whitespace().filter(|g| **g != primary);
        let plan = text(&place.stockade(&["plan", "--", "true"]));
        let line = plan
            .lines()
            .find(|l| l.starts_with("groups "))
            .unwrap_or("");
        assert!(
            more.clone().all(|g| line.split(' ').any(|w| w == g)),
            "{own}: {line}"
        );
        assert_eq!(more.count() == 0, line.is_empty(), "{own}: {line}");
        return;
    }
    let place = Place::new("groups");
    let near = place.path().join("near");
    std::fs::create_dir(&near).unwrap();
    std::fs::write(near.join("file"), "SECRET\n").unwrap();
    let made = Command::new("sh")
        .args(["-c", "chown -R 65534:65534 \"$1\" && chgrp -R 54321 \"$1/near\" && chown 0 \"$1/near\" \"$1/near/file\" && chmod 750 \"$1/near\" && chmod 640 \"$1/near/file\"", "sh"])
        .arg(place.path())
        .status();
    assert!(made.unwrap().success());
    let file = near.join("file").display().to_string();
    let shown = near.display().to_string();
    let somebody = |words: &[&str]| {
        let mut command = place.command("setpriv");
        command.args([
            "--reuid", "65534", "--regid", "65534", "--groups", "54321", "--",
        ]);
        text(&command.args(words).output().unwrap())
    };
    assert_eq!(somebody(&["cat", &file]), "SECRET\n");
    let binary = stockade().to_str().unwrap();
    for (level, errno) in LEVELS.iter().zip(["No such file", "Permission denied"]) {
        let own = [binary, "run", "--quiet", "--require", level];
        let said = somebody(&[&own[..], &["--", "cat", &file]].concat());
        assert!(
            said.contains(errno) && !said.contains("SECRET"),
            "{level}: {said}"
        );
        // what a rule names is read by whoever may
        let opened = ["--allow-read", &shown, "--", "cat", &file];
        assert_eq!(
            somebody(&[&own[..], &opened].concat()),
            "SECRET\n",
            "{level}"
        );
        let plan = somebody(&[binary, "plan", "--require", level, "--", "true"]);
        let named = plan
            .lines()
            .any(|l| l.starts_with("groups ") && l.contains(&GROUP.to_string()));
        assert!(named, "{level}: {plan}");
    }
}
