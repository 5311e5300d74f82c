//! Bad input, odd input and odd surroundings: a clear error or a stated result for each, as root
//! and as an ordinary user, and the command never starts half-confined.

mod command;
mod host;
mod names;
mod policy;
mod status;
mod streams;
mod workspace;

use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use stockade_tests::{Place, install, stockade, text};

/// An account of every system that owns nothing.
const NOBODY: u32 = 65534;

/// Who starts stockade: this user, and when that is root an ordinary one too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum User {
    Own,
    Ordinary,
}

fn users() -> Vec<User> {
    if nix::unistd::geteuid().is_root() {
        vec![User::Own, User::Ordinary]
    } else {
        vec![User::Own]
    }
}

/// One user's place, with the programs where that user may execute them.
struct Ground {
    place: Place,
    user: User,
    wrong: Vec<String>,
}

/// What a case must end with.
struct Expected<'a> {
    status: i32,
    /// Each stands in what was printed.
    says: &'a [&'a str],
    /// Whether the command ran: it makes the file `started` in the workspace.
    started: bool,
}

/// 125, the text, and nothing started.
const fn refused<'a>(says: &'a [&'a str]) -> Expected<'a> {
    Expected {
        status: 125,
        says,
        started: false,
    }
}

/// 0, the text, and the command ran.
const fn runs<'a>(says: &'a [&'a str]) -> Expected<'a> {
    Expected {
        status: 0,
        says,
        started: true,
    }
}

const TOUCH: [&str; 3] = ["--", "touch", "started"];

impl Ground {
    fn new(name: &str, user: User) -> Self {
        let place = Place::new(&format!("{name}-{user:?}"));
        let open = |path: &Path| {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        };
        open(place.path());
        let bin = place.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let without = Path::new(env!("CARGO_BIN_EXE_without"));
        for (program, name) in [(stockade(), "stockade"), (without, "without")] {
            install(program, &bin.join(name));
        }
        let ground = Self {
            place,
            user,
            wrong: Vec::new(),
        };
        for folder in ["home", "work", "work/.git", "work/.git/hooks", "outside"] {
            ground.give(&ground.at(folder));
        }
        ground
    }

    /// Runs `cases` for each user and reports all that is wrong at once.
    fn each(name: &str, cases: impl Fn(&mut Self)) {
        let mut wrong = Vec::new();
        for user in users() {
            let mut ground = Self::new(name, user);
            cases(&mut ground);
            wrong.append(&mut ground.wrong);
        }
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    }

    fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.place.path().join(name)
    }

    /// To the user who runs stockade.
    fn give(&self, path: &Path) {
        if self.user == User::Ordinary {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    /// A file of the user's.
    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        let mut made: Vec<_> = path
            .ancestors()
            .skip(1)
            .take_while(|a| !a.exists())
            .collect();
        while let Some(folder) = made.pop() {
            std::fs::create_dir(folder).unwrap();
            self.give(folder);
        }
        std::fs::write(&path, text).unwrap();
        self.give(&path);
        path
    }

    /// A script of the user's that is executed.
    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        install(&self.write(&format!("{name}.text"), text), &path);
        self.give(&path);
        path
    }

    fn folder(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.at(name);
        std::fs::create_dir(&path).unwrap();
        self.give(&path);
        path
    }

    /// `program` as the user, in the workspace.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        if self.user == User::Own {
            return self.place.command(program);
        }
        let id = NOBODY.to_string();
        let mut command = self.place.command("setpriv");
        command
            .args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"])
            .arg(program);
        command
    }

    fn stockade(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(self.at("bin/stockade"));
        command.args(arguments);
        command
    }

    /// `stockade run OPTIONS -- touch started`.
    fn touch(&self, options: &[&str]) -> Command {
        let mut command = self.stockade(&["run"]);
        command.args(options).args(TOUCH);
        command
    }

    /// The same by way of a shell: `script` finds it in `"$@"`.
    fn by_shell(&self, script: &str, options: &[&str]) -> Command {
        let mut command = self.command("bash");
        command
            .args(["-c", script, "bash"])
            .arg(self.at("bin/stockade"))
            .arg("run")
            .args(options)
            .args(TOUCH);
        command
    }

    /// Where something is missing: see the program `without`.
    fn without(&self, what: &str, options: &[&str]) -> Command {
        let mut command = self.command(self.at("bin/without"));
        command
            .args([what, "--"])
            .arg(self.at("bin/stockade"))
            .arg("run")
            .args(options)
            .args(TOUCH);
        command
    }

    /// Whether the command ran since the last question.
    fn started(&self) -> bool {
        std::fs::remove_file(self.at("work/started")).is_ok()
    }

    fn fail(&mut self, name: &str, why: &str) {
        self.wrong.push(format!("{:?} {name}: {why}", self.user));
    }

    fn check(&mut self, name: &str, command: &mut Command, expected: &Expected<'_>) -> Output {
        let out = command.output().unwrap();
        self.checked(name, &out, expected);
        out
    }

    fn checked(&mut self, name: &str, out: &Output, expected: &Expected<'_>) {
        let Expected {
            status,
            says,
            started,
        } = expected;
        let printed = text(out);
        let code = out.status.code();
        if code != Some(*status) {
            let signal = out.status.signal();
            self.fail(
                name,
                &format!("status {code:?} signal {signal:?}, not {status}:\n{printed}"),
            );
        }
        for word in says.iter().filter(|w| !printed.contains(**w)) {
            self.fail(name, &format!("does not say `{word}`:\n{printed}"));
        }
        if self.started() != *started {
            self.fail(name, &format!("started is not {started}:\n{printed}"));
        }
        // a path in a message is the test's own; a raw control character never is
        if printed.chars().any(|c| c.is_control() && c != '\n') {
            self.fail(name, &format!("control characters in: {printed:?}"));
        }
    }
}
