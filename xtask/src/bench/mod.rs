//! What a session costs: start-up beside bubblewrap and nothing, memory at rest, size. Never a test.

mod bubblewrap;
mod memory;
mod report;
mod spread;

use crate::{packages, top};
use bubblewrap::Arguments;
use memory::Memory;
use report::{Report, Start};
use spread::Spread;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const PAIRS: usize = 300;
const WARM_UP: usize = 20;
const BESIDE: &str = "bubblewrap, the same mounts";
const LEVELS: [&str; 2] = ["namespaces", "landlock"];

pub fn run(json: bool, yes: bool) -> Result<(), String> {
    packages::ensure_unless(
        &["bubblewrap", "gcc", "libc6-dev", "libseccomp-dev"],
        &[
            ("bubblewrap".into(), "bwrap".into()),
            ("gcc".into(), "cc".into()),
        ]
        .into(),
        yes,
    )?;
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--package", "stockade"])
        .current_dir(top())
        .status()
        .map_err(|e| e.to_string())?;
    if !built.success() {
        return Err(format!("cargo build: {built}"));
    }
    let place = Place::new()?;
    let report = measure(&place);
    std::fs::remove_dir_all(&place.0).map_err(|e| format!("{}: {e}", place.0.display()))?;
    let report = report?;
    if json {
        println!(
            "{}",
            serde_json::to_string_pretty(&report).map_err(|e| e.to_string())?
        );
    } else {
        print!("{}", report.markdown());
    }
    Ok(())
}

/// A home and a workspace as a developer has them: with tools' folders and a repository.
struct Place(PathBuf);

impl Place {
    fn new() -> Result<Self, String> {
        let place = std::env::temp_dir().join(format!("stockade-bench-{}", std::process::id()));
        for folder in [
            "home/.cargo/registry",
            "home/.npm",
            "home/.cache/pip",
            "home/.config/git",
            "work/.git/hooks",
            "files",
        ] {
            let path = place.join(folder);
            std::fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        for file in [
            "home/.gitconfig",
            "home/.bashrc",
            "home/.profile",
            "work/.git/config",
        ] {
            let path = place.join(file);
            std::fs::write(&path, "").map_err(|e| format!("{}: {e}", path.display()))?;
        }
        Ok(Self(place))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.0.join("work"))
            .env_clear()
            .env("HOME", self.0.join("home"))
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}

fn stockade() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| top().join("target"), Into::into);
    target.join("release/stockade")
}

/// One program that is started again and again.
struct Row<'a> {
    name: String,
    start: Box<dyn Fn() -> Result<Took, String> + 'a>,
    values: Vec<f64>,
    processor: Vec<f64>,
}

/// Milliseconds.
struct Took {
    clock: f64,
    /// Of the kernel too: less in doubt than the clock on a machine that does other things.
    processor: f64,
}

fn measure(place: &Place) -> Result<Report, String> {
    let bwrap = packages::on_path("bwrap").ok_or("bwrap is not on PATH")?;
    let version = output(Command::new(&bwrap).arg("--version"))?;
    let plan = plan(place)?;
    let arguments = Arguments::of(&plan, bubblewrap::knows_overlays(&version))?;
    let program = PathBuf::from(
        plan["executable"]
            .as_str()
            .ok_or("the plan has no executable")?,
    );
    let mut rows = vec![
        Row::new("native", || timed(place.command(&program))),
        Row::new(BESIDE, || {
            let ready = arguments.ready(&place.0.join("files"))?;
            let mut command = place.command(&bwrap);
            command.args(&ready.words);
            timed(command)
        }),
    ];
    for level in LEVELS {
        rows.push(Row::new(&format!("stockade, {level}"), move || {
            let mut command = place.command(&stockade());
            command.args(["run", "--quiet", "--require", level, "--", "true"]);
            timed(command)
        }));
    }
    run_rounds(&mut rows)?;
    let mut notes = vec![format!(
        "{} mounts, links and files in the view",
        arguments.mounts
    )];
    if arguments.bound > 0 {
        notes.push(format!(
            "{} overlays are plain mounts in bubblewrap's start: this one has none",
            arguments.bound
        ));
    }
    Ok(Report {
        head: head(&version)?,
        rounds: PAIRS,
        starts: starts(&rows)?,
        memory: LEVELS
            .iter()
            .map(|l| Ok((*l, at_rest(place, l)?)))
            .collect::<Result<_, String>>()?,
        binary_bytes: stockade().metadata().map_err(|e| e.to_string())?.len(),
        notes,
    })
}

fn run_rounds(rows: &mut [Row<'_>]) -> Result<(), String> {
    for round in 0..WARM_UP + PAIRS {
        // what a start leaves behind, such as a network namespace to be taken down, meets the next: each
        // row comes first equally often, and every other round goes backwards
        let len = rows.len();
        for n in 0..len {
            let n = if round % 2 == 0 { n } else { len - 1 - n };
            let row = (n + round / 2) % len;
            let took = (rows[row].start)()?;
            if round >= WARM_UP {
                rows[row].values.push(took.clock);
                rows[row].processor.push(took.processor);
            }
        }
    }
    Ok(())
}

impl<'a> Row<'a> {
    fn new(name: &str, start: impl Fn() -> Result<Took, String> + 'a) -> Self {
        Self {
            name: name.to_owned(),
            start: Box::new(start),
            values: Vec::new(),
            processor: Vec::new(),
        }
    }
}

fn starts(rows: &[Row<'_>]) -> Result<Vec<Start>, String> {
    let beside = &rows[1].values;
    let of = |row: &Row<'_>| {
        let ratios: Vec<f64> = row
            .values
            .iter()
            .zip(beside)
            .map(|(own, other)| own / other)
            .collect();
        Some(Start {
            name: row.name.clone(),
            milliseconds: Spread::of(&row.values)?,
            // bubblewrap leaves before its process 1 is reaped: what that spent is not counted
            processor: (row.name != BESIDE)
                .then(|| Spread::of(&row.processor))
                .flatten(),
            ratio: row
                .name
                .starts_with("stockade")
                .then(|| Spread::of(&ratios))
                .flatten(),
        })
    };
    rows.iter()
        .map(|r| of(r).ok_or_else(|| "nothing was measured".to_owned()))
        .collect()
}

/// From before the spawn until it has been reaped; another status is an error.
fn timed(mut command: Command) -> Result<Took, String> {
    let (began, before) = (Instant::now(), processor()?);
    let status = command.status().map_err(|e| format!("{command:?}: {e}"))?;
    let (took, after) = (began.elapsed(), processor()?);
    if status.success() {
        Ok(Took {
            clock: took.as_secs_f64() * 1000.0,
            processor: after - before,
        })
    } else {
        Err(format!("{command:?}: {status}"))
    }
}

/// Milliseconds that reaped children, and theirs, have spent.
fn processor() -> Result<f64, String> {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|e| e.to_string())?;
    let spent = [usage.user_time(), usage.system_time()];
    Ok(spent
        .iter()
        .map(|t| t.num_microseconds() as f64 / 1000.0)
        .sum())
}

fn plan(place: &Place) -> Result<serde_json::Value, String> {
    // a run first: what the view binds, such as overlays' folders, is made by it
    timed({
        let mut command = place.command(&stockade());
        command.args(["run", "--quiet", "--require", LEVELS[0], "--", "true"]);
        command
    })?;
    let mut command = place.command(&stockade());
    command
        .args(["plan", "--require", LEVELS[0], "--json", "--", "true"])
        .stdout(Stdio::piped());
    serde_json::from_str(&output(&mut command)?).map_err(|e| format!("stockade plan: {e}"))
}

fn output(command: &mut Command) -> Result<String, String> {
    let out = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if !out.status.success() {
        return Err(format!(
            "{command:?}: {}: {}",
            out.status,
            String::from_utf8_lossy(&out.stderr)
        ));
    }
    String::from_utf8(out.stdout).map_err(|e| format!("{command:?}: {e}"))
}

fn at_rest(place: &Place, level: &str) -> Result<Memory, String> {
    let ready = place.0.join("work").join(format!("ready-{level}"));
    let script = format!("touch {}; exec sleep 60", ready.display());
    let mut command = place.command(&stockade());
    command.args([
        "run",
        "--quiet",
        "--require",
        level,
        "--",
        "sh",
        "-c",
        &script,
    ]);
    memory::of(command, &ready)
}

fn head(bwrap: &str) -> Result<Vec<(&'static str, String)>, String> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").map_err(|e| e.to_string())?;
    let model = cpus
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_err(|e| e.to_string())?;
    let user = nix::unistd::geteuid();
    Ok(vec![
        (
            "date",
            output(Command::new("date").args(["-u", "+%Y-%m-%d"]))?
                .trim()
                .into(),
        ),
        ("processor", format!("{model}, {cores} cores")),
        (
            "kernel",
            output(Command::new("uname").arg("-rm"))?.trim().into(),
        ),
        (
            "user",
            if user.is_root() {
                "root".into()
            } else {
                "an ordinary one".into()
            },
        ),
        (
            "rustc",
            output(Command::new("rustc").arg("--version").current_dir(top()))?
                .trim()
                .into(),
        ),
        ("beside", bwrap.trim().into()),
        (
            "stockade",
            output(Command::new(stockade()).arg("--version"))?
                .trim()
                .into(),
        ),
    ])
}
