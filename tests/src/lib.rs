//! What the end-to-end suites share: the binary under test, and a place of the test's own.
#![forbid(unsafe_code)]

pub mod left;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The levels that every suite runs at.
pub const LEVELS: [&str; 2] = ["namespaces", "landlock"];

/// The `stockade` that STOCKADE_BINARY names, else the one of this checkout, built with the profile
/// of the test itself.
pub fn stockade() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        if let Some(named) = std::env::var_os("STOCKADE_BINARY") {
            return named.into();
        }
        let own = std::env::current_exe().expect("this test's own path");
        let folder = own
            .ancestors()
            .find(|a| a.ends_with("debug") || a.ends_with("release"))
            .expect("a target directory");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "stockade", "--bin", "stockade"]);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        build.env("CARGO_TARGET_DIR", folder.parent().expect("target"));
        assert!(build.status().expect("cargo").success(), "stockade builds");
        folder.join("stockade")
    })
}

/// The probe that STOCKADE_PROBE names where the suites run elsewhere than they were built, else `built`.
pub fn probe(built: &'static str) -> &'static str {
    static NAMED: OnceLock<Option<String>> = OnceLock::new();
    let named = NAMED.get_or_init(|| std::env::var("STOCKADE_PROBE").ok());
    named.as_deref().unwrap_or(built)
}

/// Whether all random cases, faults and rounds are wanted instead of a part of them.
pub fn full() -> bool {
    std::env::var_os("STOCKADE_FULL").is_some_and(|v| v == "1")
}

/// A home and a workspace of the test's own, outside of what a session sees.
#[derive(Debug)]
pub struct Place(PathBuf, &'static str);

impl Place {
    pub fn new(name: &str) -> Self {
        Self::of(name, "work", &["work/.git/hooks"])
    }

    /// As most users have it: the workspace below the home, empty.
    pub fn with_project(name: &str) -> Self {
        Self::of(name, "home/project", &["home/project"])
    }

    fn of(name: &str, work: &'static str, more: &[&str]) -> Self {
        let path = std::env::temp_dir().join(format!("stockade-{name}-{}", std::process::id()));
        for folder in [&["home", "outside"], more].concat() {
            std::fs::create_dir_all(path.join(folder)).expect("a place for the test");
        }
        Self(path, work)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    pub fn work(&self) -> PathBuf {
        self.0.join(self.1)
    }

    /// Not named by any rule of the presets.
    pub fn outside(&self) -> PathBuf {
        self.0.join("outside")
    }

    /// `command` with this place's home, in its workspace, and nothing of the caller's settings.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.work())
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .stdin(std::process::Stdio::null());
        command
    }

    pub fn stockade(&self, arguments: &[&str]) -> Output {
        self.command(stockade())
            .args(arguments)
            .output()
            .expect("stockade runs")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // what a test, or overlayfs for its own work, made unlistable is root's alone to remove as it is
        if std::fs::remove_dir_all(&self.0).is_err() {
            let mut open = Command::new("chmod");
            let opened = open.args(["-R", "u+rwX"]).arg(&self.0).status();
            assert!(opened.is_ok(), "{opened:?}");
            std::fs::remove_dir_all(&self.0).expect("the test's place is removed");
        }
    }
}

/// What `stockade doctor` finds here.
pub fn doctor() -> serde_json::Value {
    let mut command = Command::new(stockade());
    let out = command.args(["doctor", "--json"]).output();
    serde_json::from_slice(&out.expect("stockade runs").stdout).expect("facts")
}

/// Copies a program or script to where it is executed. By a process of its own: a descriptor that
/// is open for writing here is inherited by whatever another test starts at that moment, and what
/// is open for writing is not executed (ETXTBSY).
pub fn install(program: &Path, to: &Path) {
    let done = Command::new("install")
        .args(["-m", "755", "--"])
        .args([program, to])
        .status();
    assert!(done.expect("install").success(), "{}", to.display());
}

/// The text with what stands between two marks of a document replaced.
pub fn between(text: &str, name: &str, now: &str) -> String {
    let (first, last) = (
        format!("<!-- {name} -->\n"),
        format!("<!-- end of {name} -->\n"),
    );
    let (head, rest) = text.split_once(&first).expect("the first mark");
    let (_, tail) = rest.split_once(&last).expect("the last mark");
    format!("{head}{first}{now}{last}{tail}")
}

/// Both streams as text.
pub fn text(output: &Output) -> String {
    let Output {
        status: _,
        stdout,
        stderr,
    } = output;
    String::from_utf8_lossy(&[stdout.as_slice(), stderr].concat()).into_owned()
}

/// Whether it is the event that says that something is missing in a trace, and not that nothing is: an argument that
/// can't be read is the caller's doing.
pub fn is_missing(event: &serde_json::Value) -> bool {
    let all = ["lost", "unfinished", "unlabelled", "uncounted", "unwritten"];
    let some = all.iter().any(|field| event[field] != 0);
    event["kind"] == "missing" && (some || event["skipped"] != serde_json::json!([]))
}
