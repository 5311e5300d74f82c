//! An agent's run against the scripted model: its home, its workspace, what came of it.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use stockade_tests::{stockade, text};

#[derive(Deserialize)]
pub struct Agent {
    pub package: String,
    pub version: String,
    pub first: Vec<String>,
    pub second: Vec<String>,
    /// Below the home.
    pub state: String,
    pub environment: BTreeMap<String, String>,
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

pub fn agents() -> BTreeMap<String, Agent> {
    toml::from_str(include_str!("../../agents.toml")).unwrap()
}

/// Installed once per set of versions, outside of the checkout, where every user may read it.
pub fn installed(agents: &BTreeMap<String, Agent>) -> PathBuf {
    let root = nix::unistd::geteuid().is_root();
    let cache = if root {
        PathBuf::from("/var/cache")
    } else {
        let home = std::env::var("HOME").expect("HOME");
        PathBuf::from(home).join(".cache")
    };
    let versions: Vec<String> = agents
        .values()
        .map(|a| format!("{}@{}", a.package, a.version))
        .collect();
    let names: Vec<&str> = agents.values().map(|a| a.version.as_str()).collect();
    let folder = cache.join(format!("stockade-tests/agents-{}", names.join("-")));
    if !folder.join("complete").exists() {
        std::fs::create_dir_all(&folder).unwrap();
        let status = Command::new("npm")
            .args([
                "install",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
                "--prefix",
            ])
            .arg(&folder)
            .args(&versions)
            .status()
            .expect("npm");
        assert!(status.success(), "npm install {versions:?}");
        std::fs::write(folder.join("complete"), "").unwrap();
    }
    folder
}

/// Who runs it: this user, and when that is root an ordinary one too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    Own,
    Ordinary,
}

/// An account of every system that owns nothing.
pub const NOBODY: u32 = 65534;

pub fn users() -> Vec<User> {
    if nix::unistd::geteuid().is_root() {
        vec![User::Own, User::Ordinary]
    } else {
        vec![User::Own]
    }
}

/// One run's home, workspace and things outside.
pub struct Run<'a> {
    pub name: &'a str,
    pub agent: &'a Agent,
    pub user: User,
    pub place: PathBuf,
    pub installed: &'a Path,
}

/// A server of the test's own.
pub struct Model(Child, pub u16);

impl Drop for Model {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

pub const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/agents");

impl<'a> Run<'a> {
    pub fn new(
        name: &'a str,
        agent: &'a Agent,
        user: User,
        how: &str,
        installed: &'a Path,
    ) -> Self {
        // the same path for every run: it stands in what the agents keep
        let place = std::env::temp_dir().join(format!("stockade-agents-{}", std::process::id()));
        std::fs::create_dir(&place).unwrap_or_else(|e| panic!("{name} {how}: {e}"));
        std::fs::set_permissions(&place, PermissionsExt::from_mode(0o755)).unwrap();
        let run = Self {
            name,
            agent,
            user,
            place,
            installed,
        };
        for folder in ["home", "work", "outside", "data"] {
            std::fs::create_dir(run.at(folder)).unwrap();
        }
        for file in ["model.py", "steps.json"] {
            std::fs::copy(Path::new(DATA).join(file), run.at("data").join(file)).unwrap();
        }
        stockade_tests::install(stockade(), &run.at("data/stockade"));
        run.own();
        run.must(&["git", "init", "-q", "-b", "main"]);
        run.must(&["git", "config", "user.name", "test"]);
        run.must(&["git", "config", "user.email", "test@localhost"]);
        run
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    pub fn own(&self) {
        if self.user == User::Ordinary {
            for folder in ["", "home", "work", "outside", "data"] {
                chown(self.at(folder), Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
    }

    /// As the run's user, in the workspace, with the agent's variables and nothing else.
    pub fn command(&self, words: &[&str], port: u16) -> Command {
        let mut all = vec![];
        if self.user == User::Ordinary {
            let id = NOBODY.to_string();
            all.extend(
                [
                    "setpriv",
                    "--reuid",
                    &id,
                    "--regid",
                    &id,
                    "--clear-groups",
                    "--",
                ]
                .map(str::to_owned),
            );
        }
        all.extend(words.iter().map(|w| (*w).to_owned()));
        let mut command = Command::new(&all[0]);
        let path = std::env::var("PATH").unwrap();
        command
            .args(&all[1..])
            .current_dir(self.at("work"))
            .env_clear()
            .env("HOME", self.at("home"))
            .env("PATH", self.path(&path))
            .env("LANG", "C.UTF-8")
            .env("GIT_AUTHOR_DATE", "2020-01-01T00:00:00Z")
            .env("GIT_COMMITTER_DATE", "2020-01-01T00:00:00Z")
            .env("PROBE_OUTSIDE", self.at("outside/probe"))
            .stdin(Stdio::null());
        for (name, value) in &self.agent.environment {
            command.env(name, value.replace("{port}", &port.to_string()));
        }
        command
    }

    /// The agents first, then what every user may run.
    pub fn path(&self, own: &str) -> String {
        let system = "/usr/local/bin:/usr/bin:/bin";
        let bin = self.installed.join("node_modules/.bin");
        let rest = match self.user {
            User::Own => own,
            User::Ordinary => system,
        };
        format!("{}:{rest}", bin.display())
    }

    pub fn must(&self, words: &[&str]) {
        let out = self.command(words, 0).output().unwrap();
        assert!(out.status.success(), "{words:?}: {}", text(&out));
    }

    /// Files that the agent reads of its user, with the port in them.
    pub fn configure(&self, port: u16) {
        for (name, content) in &self.agent.files {
            let path = self.at("home").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, content.replace("{port}", &port.to_string())).unwrap();
            if self.user == User::Ordinary {
                chown(path.parent().unwrap(), Some(NOBODY), Some(NOBODY)).unwrap();
                chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
    }

    pub fn model(&self) -> Model {
        let mut child = Command::new("python3")
            .arg(self.at("data/model.py"))
            .arg(self.at("data/steps.json"))
            .arg(self.at("log"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap();
        self.configure(port);
        Model(child, port)
    }

    /// Both starts, on the host's loopback; `around` is what stands before the command.
    pub fn twice(&self, around: &[&str]) -> Outcome {
        let model = self.model();
        let start = |words: &[String]| -> Output {
            let mut all = around.to_vec();
            all.push(self.name);
            all.extend(words.iter().map(String::as_str));
            self.command(&all, model.1).output().unwrap()
        };
        let (first, second) = (start(&self.agent.first), start(&self.agent.second));
        self.outcome(vec![first, second])
    }

    /// The model beside the agent, in one session.
    pub fn inside(&self, level: &str, policy: &[&str]) -> Outcome {
        let script = format!(
            "python3 {data}/model.py {data}/steps.json .log > .port & model=$!\n\
             until test -s .port; do sleep 0.1; done; port=$(cat .port)\n{configure}\n{command}\n\
             status=$?; kill $model; exit $status",
            data = self.at("data").display(),
            configure = self.configure_inside(),
            command = self.command_inside(),
        );
        let program = self.at("data/stockade").display().to_string();
        let (data, installed) = (self.at("data"), self.installed.display().to_string());
        let data = data.display().to_string();
        let mut words = vec![
            program.as_str(),
            "run",
            "--require",
            level,
            "--agent",
            self.name,
        ];
        words.extend([
            "--allow-env",
            "PROBE_OUTSIDE",
            "--allow-read",
            &data,
            "--allow-read",
            &installed,
        ]);
        words.extend(policy);
        words.extend(["--", "bash", "-c", &script]);
        // the agent's own configuration is made before, as a user's: it is protected inside
        let out = self.command(&words, 0).output().unwrap();
        let log = self.at("work/.log");
        if log.exists() {
            std::fs::rename(log, self.at("log")).unwrap();
        }
        self.outcome(vec![out])
    }

    /// Variables that hold the port.
    pub fn configure_inside(&self) -> String {
        let with_port = self
            .agent
            .environment
            .iter()
            .filter(|(_, v)| v.contains("{port}"));
        let lines = with_port.map(|(k, v)| format!("export {k}={}", v.replace("{port}", "$port")));
        lines.collect::<Vec<_>>().join("\n")
    }

    pub fn command_inside(&self) -> String {
        let quoted: Vec<String> = self.agent.first.iter().map(|w| format!("'{w}'")).collect();
        let given = self.agent.files.values().any(|f| f.contains("{port}"));
        let settings = if given {
            // a file that names the port is read-only inside: the flag of the same meaning
            String::from("-c 'model_providers.scripted.base_url=\"http://127.0.0.1:'$port'/v1\"' ")
        } else {
            String::new()
        };
        format!("{} {settings}{}", self.name, quoted.join(" "))
    }

    pub fn outcome(&self, outputs: Vec<Output>) -> Outcome {
        let log = std::fs::read_to_string(self.at("log")).unwrap_or_default();
        let lists = log
            .lines()
            .filter_map(|l| serde_json::from_str::<Vec<String>>(l).ok());
        let results = lists.filter_map(|l| Some((l.len(), same_each_time(l.last()?))));
        Outcome {
            codes: outputs.iter().map(|o| o.status.code()).collect(),
            results: results.collect(),
            state: self.state(),
            hello: std::fs::read_to_string(self.at("work/hello.py")).unwrap_or_default(),
            written: self.at("outside/probe").exists(),
            texts: outputs.iter().map(text).collect(),
        }
    }

    /// Names of what the agent keeps, whichever directory it is.
    pub fn state(&self) -> BTreeSet<String> {
        let own = self.at("home/.local/state/stockade/agents").join(self.name);
        let mut out = BTreeSet::new();
        if own.is_dir() {
            walk(&own, &own, &mut out);
        } else {
            walk(
                &self.at("home").join(&self.agent.state),
                &self.at("home").join(&self.agent.state),
                &mut out,
            );
            let file = format!("{}.json", self.agent.state);
            if self.at("home").join(&file).exists() {
                out.insert(plain(&file));
            }
        }
        out
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.place).unwrap();
    }
}

#[derive(Debug)]
pub struct Outcome {
    pub codes: Vec<Option<i32>>,
    /// How many results the request had, and the last.
    pub results: Vec<(usize, String)>,
    pub state: BTreeSet<String>,
    pub hello: String,
    pub written: bool,
    pub texts: Vec<String>,
}

/// Without what differs between two native runs: ids, durations, hints that a program adds.
pub fn same_each_time(result: &str) -> String {
    let varies = ["Chunk ID:", "Wall time:", "Original token count:"];
    let lines = result
        .split("<system-reminder>")
        .next()
        .unwrap_or("")
        .lines()
        .filter(|l| !varies.iter().any(|v| l.starts_with(v)));
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// Ids and times in a name become one letter.
pub fn plain(name: &str) -> String {
    let word = |w: &str| {
        let digits = !w.is_empty() && w.chars().all(|c| c.is_ascii_digit());
        let id = w.len() >= 4 && w.chars().all(|c| c.is_ascii_hexdigit());
        if digits || id { "N" } else { w }.to_owned()
    };
    name.split('/')
        .map(|part| {
            part.split(['-', '.'])
                .map(word)
                .collect::<Vec<_>>()
                .join("-")
        })
        .collect::<Vec<_>>()
        .join("/")
}

/// Files of a database and of one process come and go.
pub fn walk(top: &Path, folder: &Path, out: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.strip_prefix(top).unwrap().display().to_string();
        if name.ends_with("-wal") || name.ends_with("-shm") || name.split('/').next() == Some("tmp")
        {
            continue;
        }
        out.insert(plain(&name));
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            walk(top, &path, out);
        }
    }
}
