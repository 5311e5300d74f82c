//! Where the faults happen: a home and a workspace, with what a policy denies beside them.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use stockade_tests::{Place, install, stockade};

/// An account of every system that owns nothing.
const NOBODY: u32 = 65534;

/// Who starts stockade: this user, and when that is root an ordinary one too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    Own,
    Ordinary,
}

pub fn users() -> Vec<User> {
    if nix::unistd::geteuid().is_root() {
        vec![User::Own, User::Ordinary]
    } else {
        vec![User::Own]
    }
}

/// Where the agent gets `ok`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    Nowhere,
    Everywhere,
    At(&'static str),
    /// No access: what it is and has.
    State,
}

use Allowed::{At, Everywhere, Nowhere, State};

/// What the agent tries; each line's answer is the same with and without a fault. `{w}` the workspace,
/// `{o}` outside of it, `{s}` a directory that a rule shows, `{h}` the home, `{pid}` a process
/// of the user's, `{port}` where the host listens.
pub const TRIES: &[(&str, Allowed)] = &[
    ("status", State),
    ("descriptors", State),
    ("limit-files", State),
    ("variable API_TOKEN", State),
    ("processes", State),
    ("read {s}/file", Everywhere),
    ("write {w}/file", Everywhere),
    ("write {s}/file", Nowhere),
    ("create {s}/new", Nowhere),
    ("chmod {w}/file 4755", Nowhere),
    ("read {o}/file", Nowhere),
    ("write {o}/file", Nowhere),
    ("create {o}/new", Nowhere),
    ("remove {o}/file", Nowhere),
    ("exec {o}/tool", Nowhere),
    ("read {h}/.ssh/id", Nowhere),
    ("create {h}/.local/state/stockade/planted", Nowhere),
    ("read /etc/shadow", Nowhere),
    ("write /proc/sys/kernel/core_pattern", Nowhere),
    ("connect {port}", Nowhere),
    ("connect-elsewhere 9", Nowhere),
    ("bind 0", Everywhere),
    ("family 2 3 1", Nowhere),
    ("unix {o}/sock", Nowhere),
    ("unix {w}/sock", Nowhere),
    ("unix {w}/renamed.sock", Nowhere),
    ("abstract {pid}", Nowhere),
    ("signal {pid}", Nowhere),
    ("ptrace {pid}", Nowhere),
    ("environ {pid}", Nowhere),
    ("prlimit {pid}", Nowhere),
    ("nice {pid}", Nowhere),
    ("shm", At("namespaces")),
    ("mount {w}", Nowhere),
    ("user-namespace", Nowhere),
    ("call 321", Nowhere),
    ("call 425", Nowhere),
    ("call 250", Nowhere),
    ("call 304", Nowhere),
    ("tiocsti low", Nowhere),
    ("tiocsti high", Nowhere),
    // compared at the end, where they are not refused
    ("create {w}/.envrc", Everywhere),
    ("create {w}/.git/hooks/pre-commit", At("landlock")),
    ("truncate-write {w}/.vscode/tasks.json", At("landlock")),
    // which no session leaves behind
    ("daemon", Everywhere),
];

const POLICY: &str = "version = 1\n[limits]\nfiles = 30\n";

const ASIDE: &str = ".stockade-quarantine-";

pub struct Ground {
    place: Place,
    user: User,
    victim: Child,
    _listeners: (TcpListener, Vec<UnixListener>),
}

impl Ground {
    pub fn new(name: &str, user: User) -> Self {
        let place = Place::new(&format!("faults-{name}-{user:?}"));
        let (work, outside) = (place.work(), place.outside());
        let shown = place.path().join("shown");
        for path in [
            place.path().to_owned(),
            place.path().join("bin"),
            shown.clone(),
        ] {
            std::fs::create_dir_all(&path).unwrap();
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        for folder in [work.join(".vscode"), place.home().join(".ssh")] {
            std::fs::create_dir(folder).unwrap();
        }
        for (program, name) in [
            (stockade(), "stockade"),
            (Path::new(env!("CARGO_BIN_EXE_inject")), "inject"),
            (Path::new(env!("CARGO_BIN_EXE_without")), "without"),
            (Path::new(env!("CARGO_BIN_EXE_probe")), "probe"),
        ] {
            install(program, &place.path().join("bin").join(name));
        }
        install(Path::new(env!("CARGO_BIN_EXE_probe")), &work.join("probe"));
        install(Path::new("/bin/true"), &outside.join("tool"));
        for file in [work.join("file"), outside.join("file"), shown.join("file")] {
            std::fs::write(file, "text\n").unwrap();
        }
        std::fs::write(place.home().join(".ssh/id"), "SECRET\n").unwrap();
        std::fs::write(place.path().join("policy.toml"), POLICY).unwrap();
        let mut sockets: Vec<_> = [outside.join("sock"), work.join("sock"), work.join("first")]
            .iter()
            .map(|path| UnixListener::bind(path).unwrap())
            .collect();
        std::fs::rename(work.join("first"), work.join("renamed.sock")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut victim = Command::new("/bin/sleep");
        victim.arg("36000");
        if user == User::Ordinary {
            std::os::unix::process::CommandExt::uid(&mut victim, NOBODY);
            std::os::unix::process::CommandExt::gid(&mut victim, NOBODY);
        }
        let victim = victim.spawn().unwrap();
        let address = SocketAddr::from_abstract_name(victim.id().to_string()).unwrap();
        sockets.push(UnixListener::bind_addr(&address).unwrap());
        let ground = Self {
            place,
            user,
            victim,
            _listeners: (port, sockets),
        };
        ground.tries();
        ground.give_all();
        ground.restore();
        ground
    }

    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.place.path().join(name)
    }

    fn tries(&self) {
        let show = |name: &str| self.at(name).display().to_string();
        let port = self._listeners.0.local_addr().unwrap().port();
        let text: Vec<&str> = TRIES.iter().map(|(words, _)| *words).collect();
        let text = text.join("\n");
        let text = text
            .replace("{w}", &show("work"))
            .replace("{o}", &show("outside"));
        let text = text
            .replace("{s}", &show("shown"))
            .replace("{h}", &show("home"));
        let text = text.replace("{pid}", &self.victim.id().to_string());
        let text = text.replace("{port}", &port.to_string());
        std::fs::write(self.at("work/tries"), text + "\n").unwrap();
    }

    fn give_all(&self) {
        if self.user == User::Ordinary {
            let out = Command::new("chown")
                .args(["-R", &format!("{NOBODY}:{NOBODY}")])
                .args(["home", "work", "outside", "shown"].map(|n| self.at(n)))
                .output();
            assert!(out.unwrap().status.success());
        }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.at(name), text).unwrap();
        if self.user == User::Ordinary {
            chown(self.at(name), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    /// What the agent may have changed, as it was.
    pub fn restore(&self) {
        self.write("work/.vscode/tasks.json", "good\n");
        for name in ["work/.envrc", "work/.git/hooks/pre-commit"] {
            if let Err(e) = std::fs::remove_file(self.at(name)) {
                assert_eq!(e.kind(), std::io::ErrorKind::NotFound);
            }
        }
        for entry in std::fs::read_dir(self.at("work")).unwrap() {
            let path = entry.unwrap().path();
            if path
                .file_name()
                .is_some_and(|n| n.as_encoded_bytes().starts_with(ASIDE.as_bytes()))
            {
                std::fs::remove_file(path).unwrap();
            }
        }
        let state = self.at("home/.local");
        if state.exists() {
            std::fs::remove_dir_all(state).unwrap();
        }
    }

    /// `program` as the user, in the workspace.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = if self.user == User::Own {
            self.place.command(program)
        } else {
            let id = NOBODY.to_string();
            let mut command = self.place.command("setpriv");
            command
                .args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"])
                .arg(program);
            command
        };
        command.env("API_TOKEN", "SECRET");
        command
    }

    /// `stockade run OPTIONS -- probe each tries`, after `before`.
    pub fn session(&self, before: &[&str], options: &[&str]) -> Command {
        let program = |name: &str| self.at(Path::new("bin").join(name));
        let mut command = match before.split_first() {
            Some((first, rest)) => {
                let mut command = self.command(program(first));
                command.args(rest).arg("--").arg(program("stockade"));
                command
            }
            None => self.command(program("stockade")),
        };
        command.arg("run").args(options);
        command.arg("--policy").arg(self.at("policy.toml"));
        command.arg("--allow-read").arg(self.at("shown"));
        command.args(["--", "./probe", "each", "tries"]);
        command
    }

    /// The same from a shell, which changes what stockade starts with and executes `"$@"`. The
    /// agent's answers are in a file: a standard stream may be what is missing.
    pub fn by_shell(&self, script: &str, options: &[&str]) -> Command {
        let mut command = self.command("timeout");
        command.env("PLACE", self.at("").as_os_str());
        command
            .args(["--foreground", "--kill-after=1", "20"])
            .args(["bash", "-c", script, "bash"])
            .arg(self.at("bin/stockade"));
        command.arg("run").args(options);
        command.arg("-w").arg(self.at("work"));
        command.arg("--policy").arg(self.at("policy.toml"));
        command.arg("--allow-read").arg(self.at("shown"));
        command.args([
            "--",
            "/bin/sh",
            "-c",
            "cd \"$0\" && ./probe each tries > report",
        ]);
        command.arg(self.at("work"));
        command
    }

    /// What the agent of the last such session answered.
    pub fn report(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.at("work/report")).unwrap_or_default();
        drop(std::fs::remove_file(self.at("work/report")));
        text.lines().map(str::to_owned).collect()
    }

    /// A session under `inject`, with the fault if there is one, and what `inject` reports.
    pub fn injected(&self, options: &[&str], fault: Option<[i64; 4]>) -> (Output, String) {
        let report = self.at("home/.report");
        let mut words = vec!["inject".to_owned(), report.display().to_string()];
        words.extend(fault.iter().flatten().map(ToString::to_string));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let out = self.session(&words, options).output().unwrap();
        let text = std::fs::read_to_string(&report).unwrap_or_default();
        // none where it was ended
        drop(std::fs::remove_file(&report));
        (out, text)
    }

    /// A run to finish what another left.
    pub fn next(&self) -> Output {
        let mut command = self.command(self.at("bin/stockade"));
        command.args(["run", "--require", "landlock", "--", "true"]);
        command.output().unwrap()
    }

    /// What is wrong with what a run left, when another has had its chance to finish it.
    pub fn wrong(&self) -> Vec<String> {
        let sessions = self.at("home/.local/state/stockade/sessions");
        let left = || std::fs::read_dir(&sessions).map_or(0, Iterator::count);
        if left() == 0 && self.changed().is_empty() {
            return Vec::new();
        }
        let out = stockade_tests::text(&self.next());
        let mut wrong = self.changed();
        if left() != 0 {
            wrong.push("a folder in the state".into());
        }
        wrong
            .iter_mut()
            .for_each(|w| *w += &format!(" after\n{out}"));
        wrong
    }

    fn changed(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let tasks = std::fs::read_to_string(self.at("work/.vscode/tasks.json"));
        if !tasks.is_ok_and(|t| t == "good\n") {
            wrong.push(".vscode/tasks.json is another".into());
        }
        for (folder, known) in [
            (
                "work",
                &[
                    ".git",
                    ".vscode",
                    "file",
                    "probe",
                    "renamed.sock",
                    "sock",
                    "tries",
                ][..],
            ),
            ("work/.git", &["hooks"]),
            ("work/.git/hooks", &[]),
            ("work/.vscode", &["tasks.json"]),
            ("outside", &["file", "sock", "tool"]),
            ("shown", &["file"]),
            // `root` is a mount point of one of the callers
            ("home", &[".local", ".ssh", "root"]),
        ] {
            for entry in std::fs::read_dir(self.at(folder)).unwrap() {
                let name = entry.unwrap().file_name();
                // where a name goes that can't be moved to the quarantine
                let aside = name.as_encoded_bytes().starts_with(ASIDE.as_bytes());
                if !aside && !known.iter().any(|k| name == *k) {
                    wrong.push(format!("{folder}/{} is there", name.display()));
                }
            }
        }
        wrong
    }
}

/// Whether what is allowed is allowed, and everything else refused.
pub fn confined(level: &str, reported: &[String]) -> Result<(), String> {
    if reported.len() != TRIES.len() {
        return Err(format!("{level}: {} answers: {reported:?}", reported.len()));
    }
    for (line, (words, allowed)) in reported.iter().zip(TRIES) {
        let got = line.ends_with(": ok");
        let right = match allowed {
            Allowed::Nowhere => !got,
            Allowed::Everywhere => got,
            Allowed::At(where_) => got == (*where_ == level),
            Allowed::State => match *words {
                "status" => [
                    "CapPrm: 0000000000000000",
                    "CapEff: 0000000000000000",
                    "NoNewPrivs: 1",
                    "Seccomp: 2",
                ]
                .iter()
                .all(|part| line.contains(part)),
                // the standard ones and the directory that is read
                "descriptors" => line == "descriptors: 4",
                "limit-files" => line == "limit-files: Ok((30, 30))",
                "processes" => line.ends_with("few") == (level == "namespaces"),
                variable => line == &format!("{variable}: None"),
            },
        };
        if !right {
            return Err(format!("{level}: {line}"));
        }
    }
    Ok(())
}

pub fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.victim.kill().unwrap_or(());
        drop(self.victim.wait());
    }
}
