//! A case carried out: natively, and in a session of the real binary.

use super::case::{Case, Operation, hexadecimal, path_of};
use super::judge::{Judge, Judged};
use super::tree::{Effect, Tree};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use stockade_enforce::Plan;
use stockade_policy::{Context, Glob, Layer, Policy, Source, Sources};
use stockade_tests::stockade;

/// What became of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub errno: i32,
    pub effect: Effect,
}

#[derive(Debug, Default)]
pub struct Report {
    /// Operations that were judged.
    pub cases: usize,
    pub denied: usize,
    pub excused: BTreeMap<&'static str, usize>,
    /// Operations whose way leads through links that the session does not see.
    pub left_out: usize,
    pub refused: usize,
    pub disagreements: Vec<String>,
}

impl Report {
    pub fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.denied += other.denied;
        self.left_out += other.left_out;
        self.refused += other.refused;
        self.disagreements.extend(other.disagreements);
        for (name, count) in other.excused {
            *self.excused.entry(name).or_default() += count;
        }
    }

    /// What the first disagreement is about: the operation, or why there was no session.
    pub fn kind(&self) -> Option<&str> {
        let first = self.disagreements.first()?;
        first.split([' ', ':']).find(|word| *word != "no")
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let excused: Vec<String> = self
            .excused
            .iter()
            .map(|(n, c)| format!("{n} {c}"))
            .collect();
        write!(
            f,
            "{} of them not startable; {} operations judged, {} denied by the policy; {} excused ({}); {} left out; {} disagreements",
            self.refused,
            self.cases,
            self.denied,
            self.excused.values().sum::<usize>(),
            excused.join(", "),
            self.left_out,
            self.disagreements.len()
        )
    }
}

/// As the supervisor writes it for `why` inside.
#[derive(Debug, Deserialize)]
struct Stored {
    preset: Option<String>,
    layers: Vec<StoredLayer>,
    workspaces: Vec<PathBuf>,
    home: PathBuf,
    tmp: PathBuf,
    config: PathBuf,
    cache: PathBuf,
    runtime: PathBuf,
    environment: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct StoredLayer {
    layer: Layer,
    origin: String,
    text: String,
}

/// The policy of a session, from the layers that it says it has.
fn policy(text: &str) -> Policy {
    let stored: Stored = serde_json::from_str(text).unwrap();
    let layer = |l: StoredLayer| Source {
        layer: l.layer,
        origin: l.origin,
        text: l.text,
    };
    let sources = Sources {
        preset: stored.preset,
        layers: stored.layers.into_iter().map(layer).collect(),
    };
    let context = Context {
        workspaces: stored.workspaces,
        home: stored.home,
        tmp: stored.tmp,
        config: stored.config,
        cache: stored.cache,
        runtime: stored.runtime,
        environment: stored.environment,
    };
    Policy::build(&sources, context).unwrap()
}

/// Policies that no session can have: what the message must say.
fn is_refusal(said: &str) -> bool {
    const REFUSALS: &[&str] = &[
        "no session makes anything in the host's tree",
        "only directories can be private or overlaid",
        "leads through a link in a tree that is shown as it is",
        "which another rule hides with all that is in it",
        // the workspace itself is hidden
        "changing to the directory: ENOENT",
        "changing to the directory: EACCES",
    ];
    REFUSALS.iter().any(|text| said.contains(text))
}

/// The program that makes the operations, natively or in a session.
struct Server {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    pub layers: String,
}

impl Server {
    /// What it said instead of starting, where it did not.
    fn start(mut command: Command) -> Result<Self, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut from = BufReader::new(child.stdout.take().unwrap());
        let mut layers = String::new();
        from.read_line(&mut layers).unwrap();
        if layers.is_empty() {
            let said = child.wait_with_output().unwrap();
            return Err(stockade_tests::text(&said));
        }
        Ok(Self {
            to: child.stdin.take(),
            from,
            child,
            layers,
        })
    }

    fn ask(&mut self, request: &str) -> i32 {
        let to = self.to.as_mut().unwrap();
        writeln!(to, "{request}").unwrap();
        let mut answer = String::new();
        self.from.read_line(&mut answer).unwrap();
        answer.trim().parse().unwrap_or(-1)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // at the end of its input it ends
        self.to = None;
        assert!(self.child.wait().is_ok());
    }
}

/// Removed at its end, whatever the modes in it.
pub struct Ground(PathBuf);

impl Ground {
    pub fn new() -> Self {
        let name = format!("stockade-reference-{}", std::process::id());
        let path = std::env::temp_dir().canonicalize().unwrap().join(name);
        let ground = Self(path);
        ground.clear();
        ground
    }

    fn clear(&self) {
        if self.0.exists() {
            let mut open = Command::new("chmod");
            assert!(open.args(["-R", "u+rwX"]).arg(&self.0).status().is_ok());
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// Everything of a case as it is at first.
    fn set_up(&self, case: &Case) -> Tree {
        self.clear();
        std::fs::create_dir(&self.0).unwrap();
        let program = env!("CARGO_BIN_EXE_operations");
        stockade_tests::install(program.as_ref(), &self.0.join("operations"));
        let outside = self.0.join("outside");
        let outside = Glob::literally(&outside.display().to_string());
        let policy = case.policy.replace("{outside}", &outside);
        std::fs::write(self.0.join("policy.toml"), policy).unwrap();
        Tree::make(&self.0, &case.tree)
    }

    fn command(&self, program: &Path, case: &Case) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.0.join(&case.workspace))
            .env_clear()
            .env("HOME", self.0.join("home"))
            .env("XDG_STATE_HOME", self.0.join("state"))
            .env("PATH", "/usr/bin:/bin");
        command
    }

    fn native(&self, case: &Case) -> Server {
        let program = self.0.join("operations");
        // root without what no session leaves it
        let command = if nix::unistd::geteuid().is_root() {
            let mut command = self.command(Path::new("setpriv"), case);
            command.args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]);
            command.arg(program);
            command
        } else {
            self.command(&program, case)
        };
        Server::start(command).unwrap()
    }

    fn session(&self, case: &Case, more: &[&str]) -> Command {
        let program = self.0.join("operations").display().to_string();
        let policy = self.0.join("policy.toml").display().to_string();
        let mut command = self.command(stockade(), case);
        command
            .args(["run", "--quiet", "--require", &case.level])
            .args(more);
        command.args(["--policy", &policy, "--allow-read", &program]);
        command.args(["--allow-exec", &program, "--", &program]);
        command
    }

    fn plan(&self, case: &Case) -> Result<Plan, String> {
        let out = self
            .session(case, &["--dry-run", "--json"])
            .output()
            .unwrap();
        serde_json::from_slice(&out.stdout).map_err(|_| stockade_tests::text(&out))
    }

    fn request(&self, operation: &Operation) -> String {
        let word = |path: &str| {
            let path = self.0.join(path_of(path));
            let root = Path::new("/proc/self/root");
            let path = match operation.alias {
                true => root.join(path.strip_prefix("/").unwrap()),
                false => path,
            };
            hexadecimal(&path)
        };
        let mut out = format!("{} {}", operation.name, word(&operation.path));
        if !operation.to.is_empty() {
            out = out + " " + &word(&operation.to);
        }
        out
    }

    /// What each operation does without a session, on the tree as it is at first.
    fn natively(&self, case: &Case) -> Vec<Outcome> {
        let mut tree = self.set_up(case);
        let mut server = self.native(case);
        let each = case.operations.iter().map(|operation| {
            let errno = server.ask(&self.request(operation));
            let effect = tree.effect(operation.name == "xattr");
            tree.restore(&effect);
            Outcome { errno, effect }
        });
        each.collect()
    }

    pub fn run(&self, case: &Case) -> Report {
        let mut report = Report::default();
        let native = self.natively(case);
        let mut next = 0;
        // a session is for one tree: where a directory was lost another begins
        while next < case.operations.len() {
            let mut tree = self.set_up(case);
            let plan = match self.plan(case) {
                Ok(plan) => plan,
                Err(said) if is_refusal(&said) => {
                    report.refused += 1;
                    return report;
                }
                Err(said) => {
                    report.disagreements.push(format!("no plan: {said}"));
                    return report;
                }
            };
            if let Some(unmet) = plan.unmet.first() {
                report.disagreements.push(format!("unmet: {unmet:?}"));
                return report;
            }
            let mut server = match Server::start(self.session(case, &[])) {
                Ok(server) => server,
                Err(said) if is_refusal(&said) => {
                    report.refused += 1;
                    return report;
                }
                Err(said) => {
                    report.disagreements.push(format!("no session: {said}"));
                    return report;
                }
            };
            let policy = policy(&server.layers);
            let judge = Judge::new(&self.0, policy, plan, tree.base.clone());
            let mut same = true;
            while same && next < case.operations.len() {
                let operation = &case.operations[next];
                let verdict = judge.verdict(operation);
                next += 1;
                let Some(asked) = verdict else {
                    report.left_out += 1;
                    continue;
                };
                let errno = server.ask(&self.request(operation));
                let effect = tree.effect(operation.name == "xattr");
                same = tree.restore(&effect);
                let outcome = Outcome { errno, effect };
                report.cases += 1;
                report.denied += usize::from(asked.denied());
                match judge.judge(operation, &asked, &native[next - 1], &outcome) {
                    Judged::Agree => {}
                    Judged::Excused(name) => *report.excused.entry(name).or_default() += 1,
                    Judged::Disagree(why) => report.disagreements.push(why),
                }
            }
        }
        report
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.clear();
    }
}
