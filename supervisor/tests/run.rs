//! The real binary at level `namespaces`: allowed and refused, each with what the shell says.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Place(PathBuf);

impl Place {
    /// A home and a workspace of the test's own.
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("stockade-test-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("home")).unwrap();
        std::fs::create_dir_all(path.join("w/.git/hooks")).unwrap();
        Self(path)
    }

    fn workspace(&self) -> PathBuf {
        self.0.join("w")
    }

    fn stockade(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stockade"));
        command
            .args(arguments)
            .current_dir(self.workspace())
            .env("HOME", self.0.join("home"));
        for name in ["XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"] {
            command.env_remove(name);
        }
        command.output().unwrap()
    }

    fn sh(&self, script: &str) -> (Option<i32>, String) {
        let Output {
            status,
            stdout,
            stderr,
        } = self.stockade(&["run", "--", "/bin/sh", "-c", script]);
        (
            status.code(),
            String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned(),
        )
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn the_exit_status_is_the_commands() {
    let place = Place::new("status");
    assert_eq!(place.sh("exit 0").0, Some(0));
    assert_eq!(place.sh("exit 7").0, Some(7));
    let by_signal = place.stockade(&["run", "--", "/bin/sh", "-c", "kill -TERM $$"]);
    assert_eq!(by_signal.status.signal(), Some(15));
    assert_eq!(
        place
            .stockade(&["run", "--", "no-such-command"])
            .status
            .code(),
        Some(127)
    );
    assert_eq!(
        place.stockade(&["run", "--", "/etc/passwd"]).status.code(),
        Some(126)
    );
    assert_eq!(place.stockade(&["--", "true"]).status.code(), Some(0));
}

#[test]
fn the_workspace_is_writable_and_what_is_outside_is_not() {
    let place = Place::new("write");
    let (code, text) = place.sh("echo x > made && mkdir d && mv made d/moved && echo ok");
    assert_eq!((code, text.as_str()), (Some(0), "ok\n"));
    assert_eq!(
        std::fs::read_to_string(place.workspace().join("d/moved")).unwrap(),
        "x\n"
    );
    for outside in ["/etc/probe", "/usr/probe", "/probe", "/run/probe2/x"] {
        let (code, text) = place.sh(&format!("echo x > {outside}"));
        assert_ne!(code, Some(0), "{outside}: {text}");
        assert!(!Path::new(outside).exists());
    }
    let (_, text) = place.sh("echo x > /usr/probe");
    assert!(text.contains("Read-only file system"), "{text}");
}

#[test]
fn a_protected_name_is_refused_and_the_home_is_private() {
    let place = Place::new("protect");
    let (code, text) = place.sh("echo x > .git/hooks/pre-commit");
    assert!(
        code != Some(0) && text.contains("Read-only file system"),
        "{text}"
    );
    let home = place.0.join("home");
    std::fs::write(home.join("secret"), "s").unwrap();
    std::fs::create_dir(home.join(".ssh")).unwrap();
    std::fs::write(home.join(".ssh/id_rsa"), "key").unwrap();
    // protected is not shown: the rule that refuses writes there must not open it
    assert!(place.sh("cat ~/.ssh/id_rsa").1.contains("No such file"));
    let (_, text) = place.sh("cat ~/secret; echo y > ~/new && echo made");
    assert!(
        text.contains("No such file") && text.contains("made"),
        "{text}"
    );
    assert!(!home.join("new").exists());
}

#[test]
fn there_is_no_network_no_host_process_and_no_namespace_to_gain() {
    let place = Place::new("escape");
    assert_eq!(place.sh("ls /sys/class/net").1, "lo\n");
    assert_eq!(place.sh("cat /proc/1/environ").0, Some(1));
    assert_ne!(place.sh("unshare -U true").0, Some(0));
    assert_ne!(place.sh("mount -t tmpfs none /tmp").0, Some(0));
    let (_, text) = place.sh("grep -E 'Cap(Prm|Eff|Bnd|Amb)' /proc/self/status | tr -s '\\t' ' '");
    assert!(
        text.lines().count() == 4 && text.lines().all(|l| l.ends_with(" 0000000000000000")),
        "{text}"
    );
    assert!(
        place
            .sh("grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status")
            .1
            .contains("Seccomp:\t2")
    );
}

#[test]
fn what_cannot_be_held_stops_the_launch() {
    let place = Place::new("unmet");
    let out = place.stockade(&[
        "run",
        "--allow-net",
        "example.com:443",
        "--",
        "touch",
        "started",
    ]);
    assert_eq!(out.status.code(), Some(125));
    assert!(
        String::from_utf8_lossy(&out.stderr).contains("command-line:network.allow"),
        "{out:?}"
    );
    assert!(!place.workspace().join("started").exists());
}

#[test]
fn a_home_as_workspace_is_refused() {
    let place = Place::new("home");
    let home = place.0.join("home");
    let out = place.stockade(&["run", "-w", home.to_str().unwrap(), "--", "true"]);
    assert_eq!(out.status.code(), Some(125));
}

/// Whether some process has `marker` among its arguments.
fn runs(marker: &str) -> bool {
    let with = |entry: std::io::Result<std::fs::DirEntry>| {
        let line = entry
            .ok()
            .and_then(|e| std::fs::read(e.path().join("cmdline")).ok())
            .unwrap_or_default();
        line.split(|b| *b == 0)
            .any(|word| word == marker.as_bytes())
    };
    std::fs::read_dir("/proc").unwrap().any(with)
}

/// Looks until it is so, for ten seconds at most.
fn becomes(what: impl Fn() -> bool) -> bool {
    (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        what()
    })
}

#[test]
fn killing_the_supervisor_ends_the_session_and_its_daemons() {
    let place = Place::new("kill");
    let marker = format!("86400.{}", std::process::id());
    let script = format!("setsid sleep {marker} & (setsid sleep {marker} &); sleep {marker}");
    let mut supervisor = Command::new(env!("CARGO_BIN_EXE_stockade"))
        .args(["run", "--", "/bin/sh", "-c", &script])
        .current_dir(place.workspace())
        .env("HOME", place.0.join("home"))
        .spawn()
        .unwrap();
    assert!(becomes(|| runs(&marker)), "the session started");
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    assert!(becomes(|| !runs(&marker)), "something survived");
}

#[test]
fn a_daemon_ends_with_the_command() {
    let place = Place::new("daemon");
    let marker = format!("86401.{}", std::process::id());
    let (code, _) = place.sh(&format!("setsid sleep {marker} >/dev/null 2>&1 & exit 3"));
    assert_eq!(code, Some(3));
    assert!(becomes(|| !runs(&marker)), "something survived");
}

#[test]
fn an_untrusted_project_is_listed_and_does_not_widen() {
    let place = Place::new("trust");
    std::fs::write(
        place.workspace().join(".stockade.toml"),
        "version = 1\n[filesystem]\nread = ['/etc/shadow']\ndeny_write = ['${workspace}/fixed']\n",
    )
    .unwrap();
    std::fs::create_dir(place.workspace().join("fixed")).unwrap();
    let (code, text) = place.sh("cat /etc/shadow; echo x > fixed/a; true");
    assert_eq!(code, Some(0));
    assert!(
        text.contains("No such file") && text.contains("Read-only file system"),
        "{text}"
    );
    assert!(
        text.contains("project:filesystem.read:\"/etc/shadow\""),
        "{text}"
    );
    assert_eq!(place.stockade(&["trust", "--yes"]).status.code(), Some(0));
    assert_eq!(place.sh("test -e /etc/shadow").0, Some(0));
}
