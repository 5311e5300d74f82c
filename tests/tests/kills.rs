//! Sessions killed at each state and at random moments, and the runs that finish them killed too. Every
//! one ends with the agent ended or confined, and with nothing left once the next run is over.

use std::process::{Command, Output, Stdio};
use std::time::Duration;
use stockade_tests::left::{becomes, mounts, names, processes};
use stockade_tests::{LEVELS, Place, full, install, stockade, text};

const AT: &str = env!("CARGO_BIN_EXE_at");

const HOOK: &str = "#!/bin/sh\ntrue\n";
const TASKS: &str = "{}\n";
const STATE: &str = ".local/state/stockade";

/// Changes what is protected, makes what was not there, saves its settings, leaves a daemon.
const SCRIPT: &str = "exec 2>/dev/null; echo evil > .envrc; echo evil > .git/hooks/pre-commit; \
    echo evil > .vscode/tasks.json; echo '{\"n\":2}' > ~/.fresh && mv ~/.fresh ~/.claude.json; \
    (setsid sleep 86400 > /dev/null &); echo > ../outside/f; : > started";

/// Until somebody ends it: `tick` grows while it goes on, `escaped` is there if it wrote outside.
const GOES_ON: &str = "exec > /dev/null 2>&1; (setsid sh -c ': > started; while :; do echo > ../outside/f && echo > escaped; \
    echo >> tick; sleep 0.02; done' &); while ! [ -e end ]; do sleep 0.02; done; rm end; exit 7";

struct Host(Place);

impl Host {
    fn new(name: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let place = Place::new(name);
        std::fs::create_dir_all(place.path().join("bin")).unwrap();
        // by its own path, so that every process of it is known
        if std::fs::hard_link(stockade(), place.path().join("bin/stockade")).is_err() {
            install(stockade(), &place.path().join("bin/stockade"));
        }
        let hook = place.work().join(".git/hooks/pre-commit");
        std::fs::write(&hook, HOOK).unwrap();
        std::fs::set_permissions(&hook, PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::create_dir(place.work().join(".vscode")).unwrap();
        std::fs::write(place.work().join(".vscode/tasks.json"), TASKS).unwrap();
        std::fs::write(place.home().join(".claude.json"), "{\"n\":1}").unwrap();
        Self(place)
    }

    fn program(&self) -> String {
        self.0.path().join("bin/stockade").display().to_string()
    }

    fn words(&self, level: &str, script: &str) -> Vec<String> {
        let run = [
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
        let words = run.iter().map(|w| (*w).to_owned());
        std::iter::once(self.program()).chain(words).collect()
    }

    /// Traced, and ended at that state.
    fn at(&self, state: &[&str; 3], whom: &str, words: &[String]) -> Output {
        let mut command = self.0.command(AT);
        command.args(state).arg(whom).arg("--").args(words);
        command.output().unwrap()
    }

    fn start(&self, level: &str, script: &str) -> std::process::Child {
        let words = self.words(level, script);
        let mut command = self.0.command(&words[0]);
        command.args(&words[1..]);
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.work().join(name)).unwrap_or_default()
    }

    /// What the quarantine holds, entry by entry.
    fn kept(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.home().join(STATE).join("quarantine"));
        let folders = entries.into_iter().flatten().flatten().map(|e| e.path());
        folders
            .map(|folder| {
                let names = names(&folder, "");
                assert!(folder.join("manifest.json").exists(), "{names:?}");
                std::fs::read_to_string(folder.join("content"))
                    .unwrap_or_else(|e| panic!("{e}: {names:?}"))
            })
            .collect()
    }

    /// Nothing of the session lives, the next run finishes it, and nothing is left or lost.
    fn is_finished(&self, level: &str, why: &str) {
        assert!(
            becomes(|| processes(&self.0).is_empty()),
            "{why}: {:?}",
            processes(&self.0)
        );
        // killed between open and write it is empty
        let made = std::fs::read_to_string(self.0.work().join(".envrc")).ok();
        let mut command = self.0.command(self.program());
        let out = command
            .args(["run", "--require", level, "--", "true"])
            .output()
            .unwrap();
        let why = format!("{why}: {}", text(&out));
        assert_eq!(out.status.code(), Some(0), "{why}");
        let kept = self.kept();
        let lost = made.is_some_and(|made| !kept.contains(&made));
        assert!(!lost, "{kept:?}: {why}");
        self.is_clean(&why);
    }

    fn is_clean(&self, why: &str) {
        use std::os::unix::fs::PermissionsExt;
        let place = &self.0;
        let of_work = names(&place.work(), "started");
        let last = |name: &str| name.rsplit('/').next().unwrap_or("").to_owned();
        let marks = [".envrc", ".stockade", "escaped"];
        let left: Vec<_> = of_work
            .iter()
            .filter(|name| marks.iter().any(|mark| last(name).starts_with(mark)))
            .collect();
        assert!(left.is_empty(), "{left:?}: {why}");
        assert_eq!(self.read(".git/hooks/pre-commit"), HOOK, "{why}");
        assert_eq!(self.read(".vscode/tasks.json"), TASKS, "{why}");
        let hook = place
            .work()
            .join(".git/hooks/pre-commit")
            .metadata()
            .unwrap();
        assert_eq!(hook.permissions().mode() & 0o777, 0o755, "{why}");
        let settings = std::fs::read(place.home().join(".claude.json")).unwrap();
        let settings: serde_json::Value = serde_json::from_slice(&settings).unwrap();
        assert!(settings["n"] == 1 || settings["n"] == 2, "{why}");
        let of_home = names(&place.home(), STATE);
        assert!(
            !of_home.iter().any(|n| n.contains(".stockade-copy")),
            "{of_home:?}: {why}"
        );
        let sessions = names(&place.home().join(STATE).join("sessions"), "");
        assert!(sessions.is_empty(), "{sessions:?}: {why}");
        assert_eq!(names(&place.outside(), ""), [""; 0], "{why}");
        assert_eq!(mounts(place), 0, "{why}");
    }

    fn clear(&self) {
        for folder in ["quarantine", "sessions"] {
            drop(std::fs::remove_dir_all(
                self.0.home().join(STATE).join(folder),
            ));
        }
        drop(std::fs::remove_file(self.0.work().join("started")));
        std::fs::write(self.0.home().join(".claude.json"), "{\"n\":1}").unwrap();
    }
}

/// Who, which call, on what: the states of a session in their order.
const STARTING: &[[&str; 3]] = &[
    ["supervisor", "mkdir", "/sessions/"],
    ["supervisor", "rename", "record.json"],
    ["supervisor", "open", ".original"],
    ["supervisor", "memory", "stockade-plan"],
    ["stage", "exec", "/proc/self/exe"],
    ["stage", "clone", ""],
    ["init", "prctl", ""],
    ["init", "hostname", ""],
    ["init", "pivot", ""],
    ["init", "clone", ""],
    ["agent", "group", ""],
    ["agent", "seccomp", ""],
    ["agent", "exec", ""],
];

const ENDING: &[[&str; 3]] = &[
    ["agent", "open", "started"],
    ["agent", "exit", ""],
    ["supervisor", "open", ".stockade-copy-"],
    ["supervisor", "rename", ".claude.json"],
    ["supervisor", "mkdir", "/quarantine/"],
    ["supervisor", "open", "manifest.json"],
    ["supervisor", "open", "part"],
    ["supervisor", "rename", "content"],
    ["supervisor", "remove", ".envrc"],
    ["supervisor", "remove", "pre-commit"],
    ["supervisor", "rename", "pre-commit"],
    ["supervisor", "rename", "/.record"],
    ["supervisor", "remove", ".record"],
];

/// What the level has no such state of.
fn is_of(level: &str, [who, call, name]: &[&str; 3]) -> bool {
    let landlock = level == "landlock";
    match (*who, *call) {
        ("init", _) => !landlock,
        // copied back; the hook is held by a mount
        _ if name.contains(".claude") || name.contains("-copy-") => !landlock,
        (_, "rename" | "remove") if *name == "pre-commit" => landlock,
        _ => true,
    }
}

/// Those that there are when `who` acts.
fn whom(level: &str, who: &str, starting: bool) -> Vec<&'static str> {
    let all: &[&str] = match who {
        "supervisor" => &["supervisor"],
        "stage" => &["supervisor", "stage", "supervisor,stage"],
        "init" => &["supervisor", "stage", "init", "supervisor,stage,init"],
        _ if level == "landlock" && !starting => &["supervisor", "stage", "agent"],
        _ if level == "landlock" => &["supervisor", "stage", "agent", "supervisor,stage"],
        _ => &[
            "supervisor",
            "stage",
            "init",
            "agent",
            "supervisor,stage,init",
        ],
    };
    all.to_vec()
}

#[test]
fn whoever_is_killed_at_any_state_leaves_nothing() {
    for level in LEVELS {
        let host = Host::new("killed-at");
        let mut cases = 0;
        for (starting, states) in [(true, STARTING), (false, ENDING)] {
            for state in states.iter().filter(|s| is_of(level, s)) {
                for whom in whom(level, state[0], starting) {
                    cases += 1;
                    // a plain run takes the supervisor everywhere, and of the others each third
                    if !full() && whom != "supervisor" && cases % 3 != 0 {
                        continue;
                    }
                    let out = host.at(state, whom, &host.words(level, SCRIPT));
                    let why = format!("{level}: {whom} killed at {state:?}: {}", text(&out));
                    assert_ne!(out.status.code(), Some(98), "never reached: {why}");
                    assert!(!text(&out).contains("can't be ended"), "{why}");
                    host.is_finished(level, &why);
                    host.clear();
                }
            }
        }
    }
}

#[test]
fn a_run_that_finishes_another_can_be_killed_at_any_state() {
    for level in LEVELS {
        let host = Host::new("finisher");
        let running = ENDING[0];
        for state in ENDING
            .iter()
            .filter(|s| s[0] == "supervisor" && is_of(level, s))
        {
            if state[2].contains(".claude") || state[2].contains("-copy-") {
                continue;
            }
            host.at(&running, "supervisor", &host.words(level, SCRIPT));
            assert!(becomes(|| processes(&host.0).is_empty()));
            let out = host.at(state, "supervisor", &host.words(level, "true"));
            let why = format!("{level}: {state:?}: {}", text(&out));
            assert_ne!(out.status.code(), Some(98), "never reached: {why}");
            host.is_finished(level, &why);
            host.clear();
        }
    }
}

fn child_of(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

fn signal(pid: u32, signal: nix::sys::signal::Signal) -> bool {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, signal).is_ok()
}

/// Of the supervisor, the stage, init or the agent: so many steps down.
fn below(pid: u32, steps: usize) -> Option<u32> {
    (0..steps).try_fold(pid, |pid, _| child_of(pid))
}

/// Without a generator's crate: what is wanted is only that moments differ.
fn moments(count: u64, most: u64) -> impl Iterator<Item = Duration> {
    let mut state = u64::from(std::process::id()) | 1;
    (0..count).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Duration::from_micros(state % most)
    })
}

/// Of so many moments one at least finds who is to be killed.
const TRIES: u64 = 50;

#[test]
fn whoever_is_killed_at_random_moments_leaves_nothing() {
    let rounds = if full() { 200 } else { 5 };
    for level in LEVELS {
        let host = Host::new("random");
        let steps = if level == "landlock" { 3 } else { 4 };
        let mut ended = [0; 4];
        let mut tried = 0;
        // of one that nobody kills, and a little more
        let began = std::time::Instant::now();
        host.start(level, SCRIPT).wait().unwrap();
        host.clear();
        let most = u64::try_from(began.elapsed().as_micros()).unwrap() * 6 / 5;
        for (who, ended) in ended.iter_mut().enumerate().take(steps) {
            for moment in moments(rounds * TRIES, most) {
                tried += 1;
                let mut child = host.start(level, SCRIPT);
                std::thread::sleep(moment);
                // not there yet, or ended already: then nobody is killed
                if let Some(pid) = below(child.id(), who) {
                    *ended += u64::from(signal(pid, nix::sys::signal::Signal::SIGKILL));
                }
                child.wait().unwrap();
                host.is_finished(level, &format!("{level}: {who} after {moment:?}"));
                host.clear();
                if *ended == rounds {
                    break;
                }
            }
        }
        println!("{level}: killed {ended:?} at {tried} moments");
        assert_eq!(ended[..steps], vec![rounds; steps], "{level}: not reached");
    }
}

#[test]
fn finishing_can_be_killed_at_random_moments() {
    let rounds = if full() { 200 } else { 8 };
    for level in LEVELS {
        let host = Host::new("random-finish");
        for moment in moments(rounds, 60_000) {
            host.at(&ENDING[0], "supervisor", &host.words(level, SCRIPT));
            assert!(becomes(|| processes(&host.0).is_empty()));
            let mut child = host.start(level, "true");
            std::thread::sleep(moment);
            child.kill().unwrap();
            child.wait().unwrap();
            host.is_finished(
                level,
                &format!("{level}: finishing killed after {moment:?}"),
            );
            host.clear();
        }
    }
}

#[test]
fn whoever_is_stopped_the_agent_stays_confined_and_the_session_ends() {
    use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};
    for level in LEVELS {
        let steps = if level == "landlock" { 3 } else { 4 };
        for who in 0..steps {
            let host = Host::new("stopped");
            let mut child = host.start(level, GOES_ON);
            let begun = || host.0.work().join("started").exists();
            assert!(becomes(begun), "{level}");
            let pid = below(child.id(), who).unwrap();
            assert!(signal(pid, SIGSTOP));
            let before = host.read("tick").len();
            std::thread::sleep(Duration::from_millis(200));
            // whether it goes on or not
            let after = host.read("tick").len();
            assert!(after >= before && !host.0.work().join("escaped").exists());
            std::fs::write(host.0.work().join("end"), "").unwrap();
            assert!(signal(pid, SIGCONT));
            // which stops with its agent, as a shell's job does
            assert!(signal(child.id(), SIGCONT));
            let status = child.wait().unwrap();
            assert_eq!(status.code(), Some(7), "{level}: {who}");
            host.is_finished(level, &format!("{level}: {who} stopped"));
        }
    }
}

#[test]
fn what_the_subreaper_cannot_end_any_more_is_still_confined() {
    let host = Host::new("leftover");
    let mut child = host.start("landlock", GOES_ON);
    let tick = || host.read("tick").len();
    assert!(becomes(|| tick() > 0));
    // stopped first, so that neither sees the other's end: the declared `leftover`
    let subreaper = below(child.id(), 1).unwrap();
    assert!(signal(subreaper, nix::sys::signal::Signal::SIGSTOP));
    assert!(signal(child.id(), nix::sys::signal::Signal::SIGKILL));
    child.wait().unwrap();
    // which is seen: nothing is compared while the agent may go on
    std::fs::write(host.0.work().join(".envrc"), "evil").unwrap();
    let mut command = host.0.command(host.program());
    let beside = command.args(["run", "--", "true"]).output().unwrap();
    assert!(
        text(&beside).contains("something of it goes on"),
        "{}",
        text(&beside)
    );
    assert_eq!(host.read(".envrc"), "evil", "{}", text(&beside));
    std::fs::remove_file(host.0.work().join(".envrc")).unwrap();
    assert!(signal(subreaper, nix::sys::signal::Signal::SIGKILL));
    let before = tick();
    assert!(
        becomes(|| tick() > before + 3),
        "nothing was left, so nothing is tried"
    );
    assert!(!host.0.work().join("escaped").exists());
    let left = processes(&host.0);
    assert!(!left.is_empty());
    for pid in left {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let confined = status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2");
        assert!(confined || status.is_empty(), "{status}");
    }
    assert!(becomes(|| {
        for pid in processes(&host.0) {
            signal(pid, nix::sys::signal::Signal::SIGKILL);
        }
        processes(&host.0).is_empty()
    }));
    host.is_finished("landlock", "both killed");
}

#[test]
fn the_subreaper_alone_killed_takes_its_daemons_with_it() {
    let host = Host::new("alone");
    let mut child = host.start("landlock", GOES_ON);
    assert!(becomes(|| !host.read("tick").is_empty()));
    assert!(signal(
        below(child.id(), 1).unwrap(),
        nix::sys::signal::Signal::SIGKILL
    ));
    assert_eq!(child.wait().unwrap().code(), Some(125));
    assert_eq!(processes(&host.0), [0; 0]);
    host.is_finished("landlock", "subreaper killed");
}

/// A supervisor that nobody has waited for yet is gone all the same.
#[test]
fn a_session_whose_supervisor_is_a_zombie_is_finished() {
    for level in LEVELS {
        let host = Host::new("zombie");
        let mut child = host.start(level, &format!("{SCRIPT}; sleep 86400"));
        assert!(becomes(|| host.0.work().join("started").exists()));
        child.kill().unwrap();
        host.is_finished(level, level);
        child.wait().unwrap();
    }
}

#[test]
fn a_state_that_is_never_reached_is_no_pass() {
    let host = Host::new("state");
    let out = host.at(
        &["agent", "open", "never"],
        "agent",
        &host.words("landlock", "true"),
    );
    assert_eq!(out.status.code(), Some(98), "{}", text(&out));
    let out = Command::new(AT)
        .args(["nobody", "open", "x", "agent", "--", "true"])
        .output();
    assert_eq!(out.unwrap().status.code(), Some(1));
}
