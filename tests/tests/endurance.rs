//! Many sessions: one after the other, at once, two beside each other; full disks; clocks that jump.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use stockade_tests::left::{becomes, mounts, names, processes};
use stockade_tests::{LEVELS, Place, full, stockade, text};

const STATE: &str = ".local/state/stockade";

/// Everything that a session could leave, counted.
#[derive(Debug, PartialEq, Eq)]
struct Counted {
    processes: usize,
    mounts: usize,
    mount_lines: usize,
    /// Below the home, the workspace and whatever else is the place's.
    files: Vec<String>,
    /// Whatever has stockade's name where temporary files are.
    temporary: usize,
    /// Segments, semaphores and queues that the kernel lists.
    system_v: Vec<usize>,
}

fn counted(place: &Place) -> Counted {
    let lines = |path: &str| {
        std::fs::read_to_string(path)
            .unwrap_or_default()
            .lines()
            .count()
    };
    let own = |e: &std::fs::DirEntry| {
        // other tests' places have numbers of other processes
        e.file_name().to_string_lossy().starts_with(".stockade")
    };
    let temporary = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    Counted {
        processes: processes(place).len(),
        mounts: mounts(place),
        mount_lines: lines("/proc/self/mountinfo"),
        files: names(place.path(), "overlays"),
        temporary: temporary.filter(own).count(),
        system_v: ["shm", "sem", "msg"]
            .map(|kind| lines(&format!("/proc/sysvipc/{kind}")))
            .into(),
    }
}

fn run(place: &Place, level: &str, script: &str) -> Output {
    place.stockade(&["run", "--require", level, "--", "sh", "-c", script])
}

/// Nothing of it is looked at before it ends.
fn spawn(place: &Place, work: &Path, words: &[&str]) -> Child {
    let mut command = place.command(stockade());
    command.current_dir(work).args(words);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn said(child: Child) -> (Option<i32>, String) {
    let out = child.wait_with_output().unwrap();
    (out.status.code(), text(&out))
}

/// Leaves a daemon, private files, an object of System V, a file in the workspace.
const SESSION: &str = "(setsid sleep 86400 >/dev/null 2>&1 &); echo x > $TMPDIR/x; \
    ipcmk -M 4096 >/dev/null 2>&1; echo x > made; rm made";

#[test]
fn a_thousand_sessions_in_a_row_leave_nothing() {
    let rounds = if full() { 500 } else { 15 };
    for level in LEVELS {
        let place = Place::new("row");
        // the overlays of the workspace are kept, and made by the first
        assert_eq!(run(&place, level, SESSION).status.code(), Some(0));
        let before = counted(&place);
        for n in 0..rounds {
            let out = run(&place, level, SESSION);
            assert_eq!(out.status.code(), Some(0), "{level}: {n}: {}", text(&out));
        }
        assert!(
            becomes(|| processes(&place).is_empty()),
            "{:?}",
            processes(&place)
        );
        assert_eq!(counted(&place), before, "{level}");
    }
}

/// Memory in kB, descriptors, watches.
fn measured(pid: u32) -> (u64, usize, usize) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let memory = status.lines().find_map(|l| l.strip_prefix("RssAnon:"));
    let memory = memory.unwrap().trim().trim_end_matches(" kB");
    let watches = |fd: &String| {
        let number = fd.rsplit('/').next().unwrap();
        let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}"));
        info.unwrap_or_default().matches("inotify wd").count()
    };
    let fds = names(Path::new(&format!("/proc/{pid}/fd")), "");
    (
        memory.parse().unwrap(),
        fds.len(),
        fds.iter().map(watches).sum(),
    )
}

/// Of the supervisor of a session that goes on: memory, descriptors and watches do not grow while names
/// are replaced outside, settings are saved and files are made.
#[test]
fn a_supervisor_does_not_grow() {
    let rounds = if full() { 1_000 } else { 200 };
    let place = Place::new("grow");
    std::fs::write(place.work().join(".envrc"), "0").unwrap();
    std::fs::write(place.home().join(".claude.json"), "{\"n\":0}").unwrap();
    let script = format!(
        "n=0; while [ $n -lt {rounds} ]; do n=$((n+1)); echo \"{{\\\"n\\\":$n}}\" > ~/.f; mv ~/.f ~/.claude.json; \
         [ $n = 50 ] && : > warm; done; : > done; until [ -e end ]; do sleep 0.02; done"
    );
    let words = [
        "run",
        "--require",
        "namespaces",
        "--agent",
        "claude",
        "--",
        "sh",
        "-c",
        &script,
    ];
    let child = spawn(&place, &place.work(), &words);
    let pid = child.id();
    let replace = || {
        std::fs::write(place.work().join("fresh"), "1").unwrap();
        std::fs::rename(place.work().join("fresh"), place.work().join(".envrc")).unwrap();
    };
    let measured = || measured(pid);
    let there = |name: &str| place.work().join(name).exists();
    assert!(becomes(|| there("warm")));
    replace();
    let before = measured();
    assert!(before.1 > 2 && before.2 > 0, "not counted: {before:?}");
    assert!(becomes(|| {
        replace();
        there("done")
    }));
    let settings = || std::fs::read_to_string(place.home().join(".claude.json")).unwrap();
    assert!(
        becomes(|| settings() == format!("{{\"n\":{rounds}}}\n")),
        "{}",
        settings()
    );
    // a copy that is under way has its descriptor open
    assert!(
        becomes(|| measured().1 <= before.1),
        "{:?} {before:?}",
        measured()
    );
    let after = measured();
    assert!(
        after.0 <= before.0 + 1024 && after.2 == before.2,
        "{after:?} {before:?}"
    );
    println!("of {rounds}: kB, descriptors, watches {before:?} at the 50th, {after:?} at the last");
    std::fs::write(place.work().join("end"), "").unwrap();
    let (code, text) = said(child);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn fifty_sessions_at_once_leave_nothing() {
    let count = if full() { 50 } else { 12 };
    for level in LEVELS {
        for one in [true, false] {
            let place = Place::new("once");
            let works: Vec<PathBuf> = (0..count)
                .map(|n| {
                    if one {
                        place.work()
                    } else {
                        place.path().join(format!("work-{n}"))
                    }
                })
                .collect();
            for work in &works {
                std::fs::create_dir_all(work.join(".git/hooks")).unwrap();
            }
            let script =
                "echo $$ > $TMPDIR/x && sleep 0.2 && cat $TMPDIR/x > /dev/null && echo fine";
            let words = [
                "run",
                "--require",
                level,
                "--agent",
                "claude",
                "--",
                "sh",
                "-c",
                script,
            ];
            let before = mounts(&place);
            let sessions: Vec<Child> = works.iter().map(|w| spawn(&place, w, &words)).collect();
            for session in sessions {
                let (code, text) = said(session);
                assert_eq!(code, Some(0), "{level}: {text}");
                assert!(
                    text.contains("fine") && !text.contains("quarantine"),
                    "{level}: {text}"
                );
            }
            assert!(
                becomes(|| processes(&place).is_empty()),
                "{:?}",
                processes(&place)
            );
            assert_eq!(
                names(&place.home().join(STATE).join("sessions"), ""),
                [""; 0]
            );
            assert_eq!(mounts(&place), before);
        }
    }
}

/// Begun, and goes on until the file is there.
fn begun(place: &Place, level: &str, name: &str, script: &str) -> Child {
    let script = format!(
        "{script}; : > {name}; until [ -e end-{name} ]; do sleep 0.02; done; rm {name} end-{name}"
    );
    let child = spawn(
        place,
        &place.work(),
        &["run", "--require", level, "--", "sh", "-c", &script],
    );
    assert!(becomes(|| place.work().join(name).exists()));
    child
}

fn end(place: &Place, name: &str, child: Child) -> String {
    std::fs::write(place.work().join(format!("end-{name}")), "").unwrap();
    let (code, text) = said(child);
    assert_eq!(code, Some(0), "{text}");
    text
}

const HOOK: &str = ".git/hooks/pre-commit";

/// The second took over what the first had made, as if it were the user's.
#[test]
fn what_one_session_has_put_right_another_does_not_undo() {
    for level in LEVELS {
        let place = Place::new("beside");
        let work = place.work();
        std::fs::write(work.join(HOOK), "good").unwrap();
        let change = format!("exec 2>/dev/null; echo evil > {HOOK}; echo evil > .envrc");
        let first = begun(&place, level, "first", &change);
        let second = begun(&place, level, "second", ":");
        let of_first = end(&place, "first", first);
        assert!(of_first.contains(".envrc appeared"), "{of_first}");
        assert!(!work.join(".envrc").exists(), "{of_first}");
        let of_second = end(&place, "second", second);
        assert!(!work.join(".envrc").exists(), "{level}: {of_second}");
        assert_eq!(
            std::fs::read_to_string(work.join(HOOK)).unwrap(),
            "good",
            "{level}: {of_second}"
        );
    }
}

#[test]
fn what_another_session_changes_after_that_is_put_back_as_it_was_first() {
    let place = Place::new("after");
    let work = place.work();
    std::fs::write(work.join(HOOK), "good").unwrap();
    let first = begun(&place, "landlock", "first", &format!("echo evil > {HOOK}"));
    let script =
        format!("(until [ -e now ]; do sleep 0.02; done; echo worse > {HOOK}; : > did) & :");
    let second = begun(&place, "landlock", "second", &script);
    end(&place, "first", first);
    assert_eq!(std::fs::read_to_string(work.join(HOOK)).unwrap(), "good");
    std::fs::write(work.join("now"), "").unwrap();
    assert!(becomes(|| work.join("did").exists()));
    assert_eq!(std::fs::read_to_string(work.join(HOOK)).unwrap(), "worse\n");
    let said = end(&place, "second", second);
    assert_eq!(
        std::fs::read_to_string(work.join(HOOK)).unwrap(),
        "good",
        "{said}"
    );
}

#[test]
fn what_the_user_changes_beside_two_sessions_stays() {
    let place = Place::new("users");
    let envrc = place.work().join(".envrc");
    std::fs::write(&envrc, "0").unwrap();
    let first = begun(&place, "namespaces", "first", ":");
    let second = begun(&place, "namespaces", "second", "echo evil > .mise.toml");
    std::fs::write(&envrc, "in place").unwrap();
    let of_second = end(&place, "second", second);
    assert!(of_second.contains(".mise.toml appeared"), "{of_second}");
    assert_eq!(
        std::fs::read_to_string(&envrc).unwrap(),
        "in place",
        "{of_second}"
    );
    std::fs::write(place.work().join("fresh"), "by rename").unwrap();
    std::fs::rename(place.work().join("fresh"), &envrc).unwrap();
    let of_first = end(&place, "first", first);
    assert_eq!(
        std::fs::read_to_string(&envrc).unwrap(),
        "by rename",
        "{of_first}"
    );
}

/// Reads, and saves with one key more, by temporary name and rename: what the agent does.
fn saver(key: &str, times: usize) -> String {
    format!(
        "import json, os, time\np = os.path.expanduser('~/.claude.json')\n\
         for n in range(1, {times} + 1):\n    d = json.load(open(p)); d['{key}'] = n\n    \
         open(p + '.{key}', 'w').write(json.dumps(d)); os.rename(p + '.{key}', p)\n    time.sleep(0.0005)\n"
    )
}

fn saving(place: &Place, key: &str, times: usize) -> Child {
    let script = saver(key, times);
    let run = ["run", "--require", "namespaces", "--agent", "claude", "--"];
    let words = [&run[..], &["python3", "-c", &script]].concat();
    spawn(place, &place.work(), &words)
}

/// At whatever moment: never half of it.
fn whole(path: &Path) -> BTreeMap<String, usize> {
    let text = std::fs::read(path).unwrap();
    serde_json::from_slice(&text)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&text)))
}

#[test]
fn settings_that_three_save_at_once_are_whole_and_nothing_is_lost_unsaid() {
    let times = if full() { 1_000 } else { 150 };
    let place = Place::new("savers");
    let settings = place.home().join(".claude.json");
    std::fs::write(&settings, "{\"start\":1}").unwrap();
    let sessions = ["one", "two"].map(|key| saving(&place, key, times));
    let mut outside = place.command("python3");
    let mut outside = outside
        .args(["-c", &saver("outside", times / 3)])
        .spawn()
        .unwrap();
    let mut reads = 0;
    while outside.try_wait().unwrap().is_none() {
        whole(&settings);
        reads += 1;
    }
    assert!(reads > 10);
    let over = sessions.map(said);
    let host = whole(&settings);
    assert_eq!(host.get("outside"), Some(&(times / 3)), "{over:?}");
    for (key, (code, said)) in ["one", "two"].iter().zip(&over) {
        assert_eq!(*code, Some(0), "{said}");
        if host.get(*key) == Some(&times) {
            continue;
        }
        let beside = said
            .split_whitespace()
            .find(|w| w.starts_with(".claude.json.stockade-"));
        let beside = beside.unwrap_or_else(|| panic!("{key} is lost unsaid: {host:?}: {said}"));
        assert_eq!(
            whole(&place.home().join(beside)).get(*key),
            Some(&times),
            "{said}"
        );
    }
    let left = names(&place.home(), STATE);
    assert!(
        !left.iter().any(|n| n.contains(".stockade-copy")),
        "{left:?}"
    );
    // one that nobody else saves beside arrives
    let (code, text) = said(saving(&place, "alone", times));
    assert_eq!(
        (code, whole(&settings).get("alone")),
        (Some(0), Some(&times)),
        "{text}"
    );
}

/// The state folder on a small file system of this test's own; `$1` is the level.
fn on_a_small_disk(place: &Place, level: &str, script: &str) -> (Option<i32>, String) {
    let script = format!(
        "mkdir -p $HOME/{STATE} && mount -t tmpfs -o size=512k,nr_inodes=200 tmpfs $HOME/{STATE} || exit 99\n\
         fill() {{ dd if=/dev/zero of=$HOME/{STATE}/filler bs=4k 2>/dev/null; }}\n{script}"
    );
    let mut command = place.command("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--mount",
        "--",
        "sh",
        "-c",
        &script,
        "sh",
    ]);
    let out = command.arg(level).arg(stockade()).output().unwrap();
    (out.status.code(), text(&out))
}

#[test]
fn a_full_disk_stops_the_start_and_hides_nothing_at_the_end() {
    for level in LEVELS {
        let place = Place::new("full");
        std::fs::write(place.work().join(HOOK), "good").unwrap();
        let (code, text) = on_a_small_disk(
            &place,
            level,
            "fill; \"$2\" run --require $1 -- sh -c ': > ran'; code=$?; \
             find $HOME/.local/state/stockade/sessions -mindepth 1 -printf 'LEFT %p\\n'; exit $code",
        );
        assert_eq!(code, Some(125), "{level}: {text}");
        assert!(
            text.contains("No space left") && !text.contains("LEFT"),
            "{level}: {text}"
        );
        assert!(!place.work().join("ran").exists());
        let (code, text) = on_a_small_disk(
            &place,
            level,
            "\"$2\" run --require $1 -- sh -c 'echo evil > .envrc; (echo evil > .git/hooks/pre-commit) 2>/dev/null; : > began; until [ -e full ]; do sleep 0.02; done' & \
             until [ -e began ]; do sleep 0.02; done; fill; : > full; wait $!; code=$?; \
             find $HOME/.local/state/stockade/sessions -mindepth 1 -printf 'LEFT %p\\n'; exit $code",
        );
        assert_eq!(code, Some(0), "{level}: {text}");
        assert!(text.contains(".envrc appeared"), "{level}: {text}");
        assert!(!text.contains("LEFT"), "something is left: {level}: {text}");
        assert!(!place.work().join(".envrc").exists(), "{level}: {text}");
        let hook = std::fs::read_to_string(place.work().join(HOOK)).unwrap();
        assert_eq!(hook, "good", "{level}: {text}");
    }
}

/// For the supervisor alone the real-time clock steps a year back and forth at each look.
const CLOCK: &str = "#define _GNU_SOURCE\n#include <time.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n\
    int clock_gettime(clockid_t c, struct timespec *t) { static int n; int r = syscall(SYS_clock_gettime, c, t); \
    if (c == CLOCK_REALTIME) t->tv_sec += (n++ & 1) ? 31536000 : -31536000; return r; }\n";

#[test]
fn a_clock_that_jumps_changes_nothing() {
    let place = Place::new("clock");
    std::fs::write(place.path().join("clock.c"), CLOCK).unwrap();
    let library = place.path().join("clock.so");
    let mut build = Command::new("cc");
    build
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(place.path().join("clock.c"));
    assert!(build.status().unwrap().success());
    std::fs::write(
        place.path().join("wall.toml"),
        "version = 1\n[limits]\nwall = \"2s\"\n",
    )
    .unwrap();
    let policy = place.path().join("wall.toml");
    for level in LEVELS {
        let jumps = |words: &[&str]| {
            let mut command = place.command(stockade());
            command
                .env("LD_PRELOAD", &library)
                .args(["run", "--require", level]);
            command.args(words).output().unwrap()
        };
        // its real time is up, and not before
        let began = std::time::Instant::now();
        let out = jumps(&["--policy", policy.to_str().unwrap(), "--", "sleep", "60"]);
        assert_eq!(out.status.code(), Some(124), "{level}: {}", text(&out));
        let took = began.elapsed().as_secs();
        assert!((2..50).contains(&took), "{level}: {took}");
        let out = jumps(&["--", "sh", "-c", "echo evil > .envrc; sleep 0.1"]);
        assert_eq!(out.status.code(), Some(0), "{}", text(&out));
        assert!(text(&out).contains(".envrc appeared") && !place.work().join(".envrc").exists());
        // and a killed one is found, whatever time its name says
        let mut command = place.command(stockade());
        command
            .env("LD_PRELOAD", &library)
            .args(["run", "--require", level, "--"]);
        let script = "echo evil > .envrc; : > began; sleep 86400";
        let mut child = command.args(["sh", "-c", script]).spawn().unwrap();
        assert!(becomes(|| place.work().join("began").exists()));
        child.kill().unwrap();
        child.wait().unwrap();
        let out = jumps(&["--", "rm", "began"]);
        assert!(text(&out).contains("was killed"), "{level}: {}", text(&out));
        assert!(!place.work().join(".envrc").exists());
        assert_eq!(
            names(&place.home().join(STATE).join("sessions"), ""),
            [""; 0]
        );
    }
}

#[test]
fn what_is_put_back_from_another_disk_has_its_mode_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new("modes");
    let hook = place.work().join(HOOK);
    std::fs::write(&hook, "good").unwrap();
    std::fs::set_permissions(&hook, PermissionsExt::from_mode(0o775)).unwrap();
    let script = "umask 077; \"$2\" run --require $1 -- sh -c 'echo evil > .git/hooks/pre-commit'";
    let (code, text) = on_a_small_disk(&place, "landlock", script);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(std::fs::read_to_string(&hook).unwrap(), "good", "{text}");
    let mode = hook.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o775, "{text}");
}

/// A session without mounts changes the modes of whatever is the user's; of root's that stops nothing.
#[test]
fn a_state_folder_made_unreadable_is_opened_again() {
    let place = Place::new("closed");
    let program = place.path().join("stockade");
    stockade_tests::install(stockade(), &program);
    let root = nix::unistd::geteuid().is_root();
    if root {
        let mut give = Command::new("chown");
        let given = give.args(["-R", "65534:65534"]).arg(place.path()).status();
        assert!(given.unwrap().success());
    }
    let session = |script: &str| {
        let mut command = if root {
            let mut command = place.command("setpriv");
            command.args([
                "--reuid",
                "65534",
                "--regid",
                "65534",
                "--clear-groups",
                "--",
            ]);
            command.arg(&program);
            command
        } else {
            place.command(&program)
        };
        command.args(["run", "--require", "landlock", "--", "sh", "-ec", script]);
        command.output().unwrap()
    };
    // an entry, so that there is a quarantine
    session("echo evil > .envrc");
    let state = place.home().join(STATE);
    for closed in ["quarantine", "sessions", ""] {
        let script = format!(
            "echo evil > .envrc; chmod 0 {}",
            state.join(closed).display()
        );
        let out = session(&script);
        assert_eq!(out.status.code(), Some(0), "{closed}: {}", text(&out));
        assert!(
            !place.work().join(".envrc").exists(),
            "{closed}: {}",
            text(&out)
        );
        let out = session("echo evil > .envrc");
        assert_eq!(out.status.code(), Some(0), "{closed}: {}", text(&out));
        assert!(
            !place.work().join(".envrc").exists(),
            "{closed}: {}",
            text(&out)
        );
        assert!(
            text(&out).contains("is in the quarantine"),
            "{closed}: {}",
            text(&out)
        );
        assert_eq!(names(&state.join("sessions"), ""), [""; 0], "{closed}");
    }
}
