//! The main job on a real project: built, tested, committed under `agent`; two writes refused.

use crate::{packages, top};
use std::path::Path;
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

fn play(stockade: &Path, place: &Path) -> Result<(), String> {
    std::fs::create_dir_all(place.join("src")).map_err(|e| e.to_string())?;
    let file =
        |name: &str, text: &str| std::fs::write(place.join(name), text).map_err(|e| e.to_string());
    file(
        "Cargo.toml",
        "[package]\nname = \"demo\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    )?;
    file(
        "src/lib.rs",
        "pub fn two() -> u8 { 2 }\n#[test]\nfn is_two() { assert_eq!(two(), 2); }\n",
    )?;
    file(".gitignore", "target\n")?;
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
        ["run", "--", "cargo", "build"].as_slice(),
        &["run", "--", "cargo", "test", "--quiet"],
        &["run", "--", "sh", "-c", commit],
    ] {
        must(run(job)?.0.status.success(), "the job")?;
    }
    for outside in ["/usr/stockade-demo", ".git/hooks/pre-commit"] {
        let (out, _) = run(&["run", "--", "sh", "-c", &format!("echo x > {outside}")])?;
        must(
            !out.status.success() && !place.join(outside).exists(),
            "the refused write",
        )?;
        let (_, text) = run(&["why", "write", outside])?;
        must(
            text.starts_with("deny") && text.contains("rule "),
            "the reason",
        )?;
    }
    println!("the job went through, both writes were refused, and each refusal names its rule");
    Ok(())
}
