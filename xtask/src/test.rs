//! Format, clippy, unit, integration and end-to-end tests; ends with `N passed, N failed`.

use crate::{packages, top};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const STEPS: &[(&str, &[&str])] = &[
    ("format", &["fmt", "--all", "--check"]),
    (
        "clippy",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    ),
    ("tests", &["test", "--workspace", "--no-fail-fast"]),
];

pub fn run(yes: bool) -> Result<(), String> {
    packages::ensure(packages::BUILD, yes)?;
    let (mut passed, mut failed) = (0, 0);
    for (name, arguments) in STEPS {
        println!("== {name}");
        let mut child = Command::new("cargo")
            .args(*arguments)
            .current_dir(top())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cargo {}: {e}", arguments.join(" ")))?;
        let mut counted = (0, 0);
        for line in BufReader::new(child.stdout.take().ok_or("no output")?).lines() {
            let line = line.map_err(|e| e.to_string())?;
            if let Some((p, f)) = counts(&line) {
                counted = (counted.0 + p, counted.1 + f);
            }
            println!("{line}");
        }
        let good = child.wait().map_err(|e| e.to_string())?.success();
        // a step that counts nothing is one test; a failing one counts at least one failure
        let (p, f) = if counted == (0, 0) {
            (u32::from(good), u32::from(!good))
        } else {
            counted
        };
        passed += p;
        failed += if good { f } else { f.max(1) };
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 {
        Ok(())
    } else {
        Err("not all passed".into())
    }
}

/// Of `test result: ok. 6 passed; 0 failed; …`.
fn counts(line: &str) -> Option<(u32, u32)> {
    let rest = line.strip_prefix("test result: ")?;
    let number = |word: &str| {
        rest.split([';', '.'])
            .find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
    };
    Some((number("passed")?, number("failed")?))
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn the_result_line_is_counted() {
        assert_eq!(
            counts("test result: ok. 6 passed; 1 failed; 0 ignored"),
            Some((6, 1))
        );
        assert_eq!(counts("running 6 tests"), None);
    }
}
