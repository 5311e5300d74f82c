//! What ran, added up: the closing line.

use std::io::{BufRead, BufReader};
use std::ops::AddAssign;
use std::process::{Command, Stdio};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u32,
    pub failed: u32,
    pub skipped: u32,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        let Self {
            passed,
            failed,
            skipped,
        } = other;
        self.passed += passed;
        self.failed += failed;
        self.skipped += skipped;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed")?;
        if *skipped > 0 {
            write!(f, ", {skipped} skipped")?;
        }
        Ok(())
    }
}

impl Counts {
    pub fn one(good: bool) -> Self {
        Self {
            passed: u32::from(good),
            failed: u32::from(!good),
            skipped: 0,
        }
    }

    pub fn skipped() -> Self {
        Self {
            skipped: 1,
            ..Self::default()
        }
    }

    /// An error where something failed, and where nothing ran: nothing is not a success.
    pub fn verdict(self) -> Result<(), String> {
        match self {
            Self {
                failed: 0,
                passed: 1..,
                skipped: _,
            } => Ok(()),
            Self { failed: 0, .. } => Err("nothing ran".into()),
            Self { .. } => Err("not all passed".into()),
        }
    }

    /// Of `test result: ok. 6 passed; 0 failed; 0 ignored; …`.
    fn of_line(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("test result: ")?;
        let number = |word: &str| {
            rest.split([';', '.'])
                .find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
        };
        Some(Self {
            passed: number("passed")?,
            failed: number("failed")?,
            skipped: number("ignored")?,
        })
    }
}

/// Runs it, shows what it prints, counts the tests in it. A run that fails counts at least one
/// failure; one that was to run tests and ran none is a failure as well.
pub fn tests(command: &mut Command) -> Result<Counts, String> {
    let name = format!("{command:?}");
    let failed = |e: std::io::Error| format!("{name}: {e}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let mut counted = Counts::default();
    for line in BufReader::new(child.stdout.take().ok_or("no output")?).lines() {
        let line = line.map_err(failed)?;
        if let Some(counts) = Counts::of_line(&line) {
            counted += counts;
        }
        println!("{line}");
    }
    let good = child.wait().map_err(failed)?.success();
    if !good || counted == Counts::default() {
        counted.failed = counted.failed.max(1);
    }
    Ok(counted)
}

/// Runs it and shows what it prints: one check.
pub fn check(command: &mut Command) -> Result<Counts, String> {
    let status = command.status().map_err(|e| format!("{command:?}: {e}"))?;
    Ok(Counts::one(status.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(script: &str) -> Counts {
        tests(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn the_result_lines_are_added_up() {
        let lines = "echo 'test result: ok. 6 passed; 0 failed; 2 ignored; 0 measured'; echo 'test result: ok. 1 passed; 0 failed; 0 ignored'";
        assert_eq!(
            of(lines),
            Counts {
                passed: 7,
                failed: 0,
                skipped: 2
            }
        );
        assert_eq!(of(lines).to_string(), "7 passed, 0 failed, 2 skipped");
        assert_eq!(Counts::of_line("running 6 tests"), None);
    }

    #[test]
    fn a_run_that_breaks_off_or_runs_nothing_is_a_failure() {
        let broken = of("echo 'test result: ok. 6 passed; 0 failed; 0 ignored'; exit 101");
        assert_eq!(
            broken,
            Counts {
                passed: 6,
                failed: 1,
                skipped: 0
            }
        );
        assert!(broken.verdict().is_err());
        assert_eq!(of("true"), Counts::one(false));
        assert!(Counts::skipped().verdict().is_err());
        assert!(Counts::one(true).verdict().is_ok());
    }
}
