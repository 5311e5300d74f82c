//! The main job on a real crate: built, tested, committed under `agent`; two writes refused.

use crate::{packages, top};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub fn run(yes: bool) -> Result<(), String> {
    packages::ensure(packages::DEMO, yes)?;
    must(
        Command::new("cargo")
            .args(["build", "--release", "--package", "stockade"])
            .current_dir(top())
            .status()
            .map_err(|e| e.to_string())?
            .success(),
        "the build",
    )?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| top().join("target"), Into::into);
    let stockade = target.join("release/stockade");
    let place = std::env::temp_dir().join(format!("stockade-demo-{}", std::process::id()));
    let outcome = play(&stockade, &place);
    std::fs::remove_dir_all(&place).map_err(|e| format!("{}: {e}", place.display()))?;
    outcome
}

fn must(good: bool, what: &str) -> Result<(), String> {
    if good {
        Ok(())
    } else {
        Err(format!("{what} did not go as it must"))
    }
}

/// A published crate that stockade itself depends on, so that its sources are on this machine.
const CRATE: &str = "strsim";

fn sources() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|h| Path::new(&h).join(".cargo"));
    let registries = cargo
        .or_else(home)
        .ok_or("neither CARGO_HOME nor HOME is set")?
        .join("registry/src");
    let registries = std::fs::read_dir(&registries).into_iter().flatten();
    let crates = registries
        .flatten()
        .filter_map(|r| std::fs::read_dir(r.path()).ok())
        .flatten()
        .flatten();
    crates
        .map(|c| c.path())
        .find(|path| {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
            name.strip_prefix(CRATE)
                .is_some_and(|rest| rest.starts_with("-"))
        })
        .ok_or_else(|| format!("the sources of {CRATE} are not in cargo's registry"))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        return std::fs::copy(from, to).map(drop);
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// One run of stockade, with what it said.
type Run<'a> = dyn Fn(&[&str]) -> Result<(Output, String), String> + 'a;

/// What is outside and what is protected, each with its reason.
fn refused(place: &Path, run: &Run<'_>) -> Result<(), String> {
    // the summary of a run on a terminal names denials by itself where eBPF programs may be loaded; this is no terminal
    let listed = run(&["run", "--denials", "always", "--", "true"])?.0;
    let when = if listed.status.success() {
        "always"
    } else {
        "never"
    };
    for outside in ["/usr/stockade-demo", ".git/hooks/pre-commit"] {
        let script = format!("echo x > {outside}");
        let (out, said) = run(&["run", "--denials", when, "--", "sh", "-c", &script])?;
        must(
            !out.status.success() && !place.join(outside).exists(),
            "the refused write",
        )?;
        let named = said.lines().any(|l| {
            l.starts_with("stockade: denied: ") && l.contains(outside) && l.contains(" by ")
        });
        must(
            named == listed.status.success(),
            "the denial in the run's own summary",
        )?;
        let (_, text) = run(&["why", "write", outside])?;
        must(
            text.starts_with("deny") && text.contains("rule "),
            "the reason",
        )?;
    }
    Ok(())
}

fn play(stockade: &Path, place: &Path) -> Result<(), String> {
    copy(&sources()?, place).map_err(|e| format!("{}: {e}", place.display()))?;
    println!("{CRATE}, a published crate, in {}", place.display());
    std::fs::write(place.join(".gitignore"), "target\n").map_err(|e| e.to_string())?;
    let git = Command::new("git")
        .args(["init", "-q"])
        .current_dir(place)
        .status()
        .map_err(|e| e.to_string())?;
    must(git.success(), "git init")?;
    let run = |arguments: &[&str]| -> Result<(Output, String), String> {
        println!("$ stockade {}", arguments.join(" "));
        let out = Command::new(stockade)
            .args(arguments)
            .current_dir(place)
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .map_err(|e| e.to_string())?;
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        text.lines().for_each(|l| println!("    {l}"));
        Ok((out, text))
    };
    let commit = "git add -A && git -c user.name=demo -c user.email=demo@localhost commit -qm 'a crate' && git log --oneline";
    for job in [
        ["run", "--", "cargo", "build", "--offline"].as_slice(),
        &["run", "--", "cargo", "test", "--offline", "--quiet"],
        &["run", "--", "sh", "-c", commit],
    ] {
        must(run(job)?.0.status.success(), "the job")?;
    }
    refused(place, &run)?;
    println!("the job went through, both writes were refused, and each refusal names its rule");
    Ok(())
}
