//! Limits that a cgroup holds, at both levels, started from each group that is to be had: for hosts
//! with a delegated cgroup (version 2) with memory and pids, as the virtual machines have.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use stockade_tests::{LEVELS, Place, doctor, stockade, text};

fn probe() -> &'static str {
    stockade_tests::probe(env!("CARGO_BIN_EXE_probe"))
}

/// The top of the hierarchy is shared by all tests, and each looks at what is left in it.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A group that sessions are started in, beside the one of this test.
struct Group {
    path: PathBuf,
    made: bool,
}

impl Group {
    fn all(name: &str) -> Vec<Self> {
        let facts = doctor();
        let own = facts["facts"]["cgroup"]["delegated"].as_str();
        let own = Path::new(own.expect("a delegated cgroup"));
        let top = own.ancestors().find(|a| !a.join("cgroup.type").exists());
        let top = Self {
            path: top.unwrap().into(),
            made: false,
        };
        let beside = if own.join("cgroup.type").exists() {
            own.parent().unwrap()
        } else {
            own
        };
        let beside = Self {
            path: beside.join(format!("stockade-test-{name}-{}", std::process::id())),
            made: true,
        };
        std::fs::create_dir(&beside.path).unwrap();
        let mut all = vec![beside];
        // the top of the hierarchy, where processes may stand beside groups, is root's alone
        if facts["facts"]["uid"] == 0 {
            all.push(top);
        }
        all
    }

    /// `stockade run` started in this group.
    fn run(&self, place: &Place, level: &str, command: &[&str]) -> Command {
        let limits = place.path().join("limits.toml");
        let text = "version = 1\n[limits]\nmemory = \"64M\"\nprocesses = 20\n";
        std::fs::write(&limits, text).unwrap();
        let mut sh = place.command("sh");
        sh.args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""])
            .arg(&self.path)
            .arg(stockade())
            .args(["run", "--require", level, "--allow-read", probe()])
            .arg("--policy")
            .arg(&limits)
            .arg("--")
            .args(command);
        sh
    }

    fn output(&self, place: &Place, level: &str, command: &[&str]) -> Output {
        self.run(place, level, command).output().unwrap()
    }

    /// Groups of sessions and supervisors below.
    fn below(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.path).unwrap();
        let paths = entries.map(|e| e.unwrap().path());
        let ours = |p: &PathBuf| {
            let name = p.file_name().unwrap().to_string_lossy();
            p.is_dir() && name.starts_with("stockade-") && !name.starts_with("stockade-test")
        };
        paths.filter(ours).collect()
    }

    fn clean(&self) {
        assert_eq!(self.below(), Vec::<PathBuf>::new());
        if self.made {
            let controllers = self.path.join("cgroup.subtree_control");
            assert_eq!(std::fs::read_to_string(controllers).unwrap().trim(), "");
        }
    }

    /// The group of the session that runs, once there is a process in it.
    fn session(&self) -> PathBuf {
        for _ in 0..3000 {
            let found = self.below().into_iter().find(|p| {
                let supervisor = p.display().to_string().contains("stockade-supervisor-");
                let procs = std::fs::read_to_string(p.join("cgroup.procs"));
                !supervisor && procs.is_ok_and(|t| t.lines().count() > 1)
            });
            if let Some(found) = found {
                return found;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("no session began in {}", self.path.display());
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.made {
            return;
        }
        let removed = std::fs::remove_dir(&self.path);
        // a test that fails says why itself
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

#[test]
fn a_session_that_uses_too_much_memory_is_ended_and_says_so() {
    let _turn = one_at_a_time();
    for group in Group::all("memory") {
        for level in LEVELS {
            let place = Place::new("memory");
            let out = group.output(&place, level, &[probe(), "memory", "16"]);
            assert_eq!(text(&out), "ok\n", "{level}");
            let out = group.output(&place, level, &[probe(), "memory", "256"]);
            assert_eq!(out.status.signal(), Some(9), "{level}: {}", text(&out));
            assert!(text(&out).contains("(limits.memory)"), "{}", text(&out));
            assert_eq!(text(&out).lines().count(), 1, "{}", text(&out));
            group.clean();
        }
    }
}

#[test]
fn processes_beyond_the_limit_are_refused() {
    let _turn = one_at_a_time();
    for group in Group::all("processes") {
        for level in LEVELS {
            let place = Place::new("processes");
            // the probe is one of the twenty
            let out = group.output(&place, level, &[probe(), "forks", "19"]);
            assert_eq!(text(&out), "ok\n", "{level}");
            let out = group.output(&place, level, &[probe(), "forks", "20"]);
            assert_eq!(text(&out), "EAGAIN\n", "{level}");
            group.clean();
        }
    }
}

#[test]
fn the_group_is_not_for_the_session_to_see_or_change() {
    let script = "until test -s procs; do sleep 0.1; done; p=$(cat procs); \
                  cat $p; echo read $?; echo 0 >$p; echo write $?; mkdir ${p%/*}/own; echo make $?";
    let _turn = one_at_a_time();
    for group in Group::all("unseen") {
        for level in LEVELS {
            let place = Place::new("unseen");
            let child = group
                .run(&place, level, &["sh", "-c", script])
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let session = group.session();
            let procs = session.join("cgroup.procs");
            // outside it is there, and writing to it a process that is in it already changes nothing
            let inside = std::fs::read_to_string(&procs).unwrap();
            std::fs::write(&procs, inside.lines().next().unwrap()).unwrap();
            assert!(session.join("memory.max").exists());
            let named = place.work().join(".procs");
            std::fs::write(&named, procs.display().to_string()).unwrap();
            std::fs::rename(named, place.work().join("procs")).unwrap();
            let out = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&out.stdout).into_owned();
            let refused = said.lines().filter(|l| !l.ends_with(" 0")).count();
            assert_eq!((refused, said.lines().count()), (3, 3), "{level}: {said}");
            group.clean();
        }
    }
}

#[test]
fn what_a_killed_supervisor_left_the_next_run_removes() {
    let _turn = one_at_a_time();
    for group in Group::all("killed") {
        for level in LEVELS {
            let place = Place::new("group-killed");
            let mut child = group.run(&place, level, &["sleep", "600"]).spawn().unwrap();
            group.session();
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(!group.below().is_empty(), "{level}");
            let out = place.stockade(&["run", "--require", level, "--", "true"]);
            assert_eq!(out.status.code(), Some(0), "{}", text(&out));
            group.clean();
        }
    }
}

/// An ordinary user, started where nothing is delegated, with a `sudo` in front of PATH.
struct Sudo {
    place: Place,
    /// Whether that program has root's rights.
    works: bool,
}

const ORDINARY: u32 = 12345;

impl Sudo {
    fn new(name: &str) -> Self {
        let place = Place::new(name);
        let works = nix::unistd::geteuid().is_root();
        let bin = place.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        stockade_tests::install(probe().as_ref(), &bin.join("sudo"));
        if works {
            use std::os::unix::fs::PermissionsExt;
            let set_id = std::fs::Permissions::from_mode(0o4755);
            std::fs::set_permissions(bin.join("sudo"), set_id).unwrap();
            for folder in [place.home(), place.work()] {
                std::os::unix::fs::chown(folder, Some(ORDINARY), Some(ORDINARY)).unwrap();
            }
        }
        let limits = "version = 1\n[limits]\nmemory = \"64M\"\nprocesses = 20\n";
        std::fs::write(place.path().join("limits.toml"), limits).unwrap();
        Self { place, works }
    }

    fn command(&self, words: &[&str]) -> Command {
        let id = ORDINARY.to_string();
        let mut command = if self.works {
            let mut command = self.place.command("setpriv");
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]);
            command.arg(stockade());
            command
        } else {
            self.place.command(stockade())
        };
        let bin = self.place.path().join("bin");
        command
            .args(["run", "--sudo", "--allow-read", probe(), "--policy"])
            .arg(self.place.path().join("limits.toml"))
            .arg("--")
            .args(words)
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        command
    }
}

/// Groups that a keeper made.
fn kept() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/sys/fs/cgroup").unwrap();
    let paths = entries.map(|e| e.unwrap().path());
    let name = format!("stockade-{ORDINARY}-");
    paths
        .filter(|p| p.file_name().unwrap().to_string_lossy().starts_with(&name))
        .collect()
}

#[test]
fn sudo_makes_a_group_and_nothing_else_runs_as_root() {
    let _turn = one_at_a_time();
    let sudo = Sudo::new("sudo");
    if !sudo.works {
        // a sudo that may not is said, and nothing starts
        let out = sudo.command(&["touch", "started"]).output().unwrap();
        assert_eq!(out.status.code(), Some(125), "{}", text(&out));
        assert!(text(&out).contains("--sudo"), "{}", text(&out));
        assert!(!sudo.place.work().join("started").exists());
        return;
    }
    let out = sudo.command(&["id", "-u"]).output().unwrap();
    assert_eq!(text(&out), format!("{ORDINARY}\n"));
    let out = sudo.command(&[probe(), "memory", "16"]).output().unwrap();
    assert_eq!(text(&out), "ok\n");
    let out = sudo.command(&[probe(), "memory", "256"]).output().unwrap();
    assert_eq!(out.status.signal(), Some(9), "{}", text(&out));
    let out = sudo.command(&[probe(), "forks", "20"]).output().unwrap();
    assert_eq!(text(&out), "EAGAIN\n");
    let out = sudo.command(&["sh", "-c", "exit 7"]).output().unwrap();
    assert_eq!(out.status.code(), Some(7), "{}", text(&out));
    let out = sudo.command(&["no-such-command"]).output().unwrap();
    assert_eq!(out.status.code(), Some(127), "{}", text(&out));
    assert_eq!(kept(), Vec::<PathBuf>::new());
}

#[test]
fn the_keeper_ends_what_a_killed_supervisor_left() {
    let _turn = one_at_a_time();
    let sudo = Sudo::new("sudo-killed");
    let mut child = sudo.command(&["sleep", "600"]).spawn().unwrap();
    let becomes = |what: &dyn Fn() -> bool| {
        (0..3000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            what()
        })
    };
    if sudo.works {
        assert!(becomes(&|| !kept().is_empty()), "no group was made");
        child.kill().unwrap();
    }
    child.wait().unwrap();
    assert!(becomes(&|| kept().is_empty()), "{:?}", kept());
}
