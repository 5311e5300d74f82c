//! Which calls are recorded: strace(1)'s expressions.

use super::classes;
use crate::exit::Failure;
use nix::libc;
use stockade_abi::{CALLS, ERRNOS, Filter};
use stockade_events::calls::{self, Class, TABLE};
use zerocopy::FromZeros;

/// What is recorded of calls.
#[derive(Debug, Clone)]
pub struct Selection {
    always: [u64; CALLS / 64],
    failed: [u64; CALLS / 64],
    writing: [u64; CALLS / 64],
    pub counted: bool,
    /// Only what fails.
    pub failed_only: bool,
    /// With which errnos something fails that is recorded for that.
    errnos: [u64; ERRNOS / 64],
}

/// What a refusal can look like (docs/errors.md).
const REFUSALS: &[i32] = &[
    libc::EACCES,
    libc::EPERM,
    libc::EROFS,
    libc::EXDEV,
    libc::EBUSY,
    libc::ENOENT,
    libc::ENETUNREACH,
    libc::ECONNREFUSED,
];

fn wrong(why: &str) -> Failure {
    Failure::Usage(format!("-e {}", crate::output::escaped(why)))
}

/// Names, numbers and classes joined by commas; each `!` before it all turns it round.
fn set_of(text: &str) -> Result<[u64; CALLS / 64], Failure> {
    let names = text.trim_start_matches('!');
    let mut set = [0; CALLS / 64];
    let mut any = false;
    for name in names.split(',').filter(|n| !n.is_empty()) {
        any = true;
        one(&mut set, name)?;
    }
    if !any {
        return Err(wrong(&format!("{text}: names no system call")));
    }
    if (text.len() - names.len()) % 2 == 1 {
        set.iter_mut().for_each(|word| *word = !*word);
    }
    Ok(set)
}

fn one(set: &mut [u64; CALLS / 64], name: &str) -> Result<(), Failure> {
    match name {
        "all" => {
            *set = [u64::MAX; CALLS / 64];
            return Ok(());
        }
        "none" => return Ok(()),
        _ => {}
    }
    if let Some(members) = classes::members(name) {
        members.for_each(|number| put(set, number, true));
        return Ok(());
    }
    let plain = name.strip_prefix('?').unwrap_or(name);
    let number = name.parse().ok().filter(|n| *n < CALLS as u32);
    match number.or_else(|| calls::number(plain)) {
        Some(number) => put(set, number.into(), true),
        // asked for only where it is known
        None if plain != name => {}
        None if name.starts_with('/') => {
            return Err(wrong(&format!("{name}: patterns are not taken")));
        }
        None => return Err(unknown(name)),
    }
    Ok(())
}

fn unknown(name: &str) -> Failure {
    let numbers = 0..CALLS as u32;
    let known = numbers.map(calls::name_of);
    let known: Vec<_> = known.chain(classes::names().map(Into::into)).collect();
    let hint = match stockade_policy::nearest(name, known.iter().map(AsRef::as_ref)) {
        Some(near) => format!("did you mean {near}?"),
        None => {
            let all: Vec<_> = classes::names().collect();
            format!("classes are {}", all.join(", "))
        }
    };
    wrong(&format!("{name}: no such system call or class; {hint}"))
}

fn put(set: &mut [u64; CALLS / 64], number: i64, is: bool) {
    let Some(n) = usize::try_from(number).ok().filter(|n| *n < CALLS) else {
        return;
    };
    if is {
        set[n / 64] |= 1 << (n % 64);
    } else {
        set[n / 64] &= !(1 << (n % 64));
    }
}

impl Selection {
    pub fn nothing() -> Self {
        Self {
            always: [0; CALLS / 64],
            failed: [0; CALLS / 64],
            writing: [0; CALLS / 64],
            counted: false,
            failed_only: false,
            errnos: [u64::MAX; ERRNOS / 64],
        }
    }

    /// Every call, as strace(1) without `-e`.
    pub fn all() -> Self {
        Self {
            always: [u64::MAX; CALLS / 64],
            ..Self::nothing()
        }
    }

    /// What changes something for others, starts something, talks to somebody, or fails.
    pub fn default_set() -> Self {
        let mut out = Self::nothing();
        for call in TABLE {
            let is = |class| call.classes.contains(&class);
            put(
                &mut out.always,
                call.number,
                is(Class::Mutation) || is(Class::Network),
            );
            put(&mut out.writing, call.number, is(Class::MayWrite));
            put(&mut out.failed, call.number, is(Class::File));
        }
        out
    }

    /// What a session may have been refused, whatever else is recorded.
    pub fn and_refusals(mut self) -> Self {
        self.failed = [u64::MAX; CALLS / 64];
        self.errnos = [0; ERRNOS / 64];
        for errno in REFUSALS {
            if let Ok(n) = usize::try_from(*errno) {
                self.errnos[n / 64] |= 1 << (n % 64);
            }
        }
        self
    }

    /// Each `-e` as strace(1) takes it: `trace=SET` or SET alone, the last one counts; `status=failed` is -Z.
    pub fn parse(expressions: &[String]) -> Result<Self, Failure> {
        let mut out = Self::all();
        for expression in expressions {
            let set = match expression.split_once('=') {
                None => expression,
                Some(("trace" | "t", set)) => set,
                Some(("status", "failed")) => {
                    out.failed_only = true;
                    continue;
                }
                Some((what, _)) => {
                    return Err(wrong(&format!(
                        "{what}=: only trace=SET and status=failed are known"
                    )));
                }
            };
            out.always = set_of(set)?;
        }
        Ok(out)
    }

    /// No call is recorded, all are counted.
    pub fn count(&mut self) {
        self.counted = true;
    }

    pub fn contains(&self, call: u32) -> bool {
        let word = self.always.get(call as usize / 64);
        word.is_some_and(|w| w & 1 << (call % 64) != 0)
    }

    pub fn filter(&self, agent: Option<(u64, u64)>) -> Filter {
        let mut filter = Filter::new_zeroed();
        let (mut always, mut failed) = (self.always, self.failed);
        if self.failed_only {
            for (failed, always) in failed.iter_mut().zip(&mut always) {
                *failed |= std::mem::take(always);
            }
        }
        if self.counted {
            (always, failed) = ([0; CALLS / 64], [0; CALLS / 64]);
        }
        filter.always = always;
        filter.failed = failed;
        filter.writing = if self.failed_only || self.counted {
            [0; CALLS / 64]
        } else {
            self.writing
        };
        filter.errnos = self.errnos;
        filter.counted = u32::from(self.counted);
        filter.processes = 1;
        if let Some((device, inode)) = agent {
            // as the kernel keeps it within: twelve bits of the major number, twenty of the minor
            let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
            filter.agent_device = u32::try_from(major << 20 | minor).unwrap_or(0);
            filter.agent_inode = inode;
        }
        filter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(expressions: &[&str]) -> Result<Selection, String> {
        let all: Vec<String> = expressions.iter().map(|e| (*e).into()).collect();
        Selection::parse(&all).map_err(|e| e.to_string())
    }

    /// Whether each of openat, close and kill is in it.
    fn has(expressions: &[&str]) -> [bool; 3] {
        let selection = parse(expressions).expect("it is understood");
        ["openat", "close", "kill"].map(|n| selection.contains(calls::number(n).expect("known")))
    }

    #[test]
    fn expressions_mean_what_strace_means() {
        for (expressions, expected) in [
            (&[][..], [true, true, true]),
            (&["openat"], [true, false, false]),
            (&["trace=openat,close"], [true, true, false]),
            (&["t=close"], [false, true, false]),
            (&["!close"], [true, false, true]),
            (&["trace=!openat,close"], [false, false, true]),
            (&["!!openat"], [true, false, false]),
            (&["all"], [true, true, true]),
            (&["!all"], [false, false, false]),
            (&["none"], [false, false, false]),
            (&["%file"], [true, false, false]),
            (&["file,kill"], [true, false, true]),
            (&["%desc"], [true, true, false]),
            (&["!%desc"], [false, false, true]),
            (&["%signal"], [false, false, true]),
            (&["openat,,close"], [true, true, false]),
            (&["?nonesuch,close"], [false, true, false]),
            // the last one counts
            (&["openat", "close"], [false, true, false]),
            (&["openat", "status=failed"], [true, false, false]),
        ] {
            assert_eq!(has(expressions), expected, "{expressions:?}");
        }
        assert!(parse(&["status=failed"]).expect("known").failed_only);
    }

    #[test]
    fn what_is_not_known_is_refused_with_a_hint() {
        for (expression, says) in [
            ("opnat", "did you mean openat?"),
            ("%flie", "did you mean %file?"),
            ("zzzzzzzz", "classes are %file, "),
            ("", "names no system call"),
            ("!", "names no system call"),
            ("openat,!close", "!close: no such"),
            ("/^open", "patterns are not taken"),
            ("abbrev=all", "only trace=SET"),
            ("trace=\u{1b}[31m", "\\u{1b}"),
            ("99999", "no such system call"),
        ] {
            let said = parse(&[expression]).expect_err(expression);
            assert!(said.contains(says), "{expression}: {said}");
            assert!(said.starts_with("-e ") && !said.contains('\u{1b}'));
        }
    }

    #[test]
    fn what_is_only_counted_is_not_recorded() {
        let mut selection = parse(&["openat"]).expect("known");
        let number = calls::number("openat").expect("known") as usize;
        let bit = |set: &[u64]| set[number / 64] & 1 << (number % 64) != 0;
        assert!(bit(&selection.filter(None).always));
        selection.failed_only = true;
        let filter = selection.filter(None);
        assert!(!bit(&filter.always) && bit(&filter.failed));
        selection.count();
        let filter = selection.filter(None);
        assert!(!bit(&filter.always) && !bit(&filter.failed) && filter.counted == 1);
    }
}
