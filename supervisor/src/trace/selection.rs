//! Which calls are recorded: strace(1)'s expressions.

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

    /// Each `-e` as strace(1) takes it: `trace=SET`, or SET alone; SET is names and classes joined by commas, all of it
    /// taken out after `!`.
    pub fn parse(expressions: &[String]) -> Result<Self, Failure> {
        if expressions.is_empty() {
            return Ok(Self::all());
        }
        let mut out = Self::nothing();
        for expression in expressions {
            let set = expression.strip_prefix("trace=").unwrap_or(expression);
            let (set, is) = match set.strip_prefix('!') {
                Some(rest) => (rest, false),
                None => (set, true),
            };
            if !is {
                out.always = [u64::MAX; CALLS / 64];
            }
            for name in set.split(',') {
                out.name(name, is)?;
            }
        }
        Ok(out)
    }

    fn name(&mut self, name: &str, is: bool) -> Result<(), Failure> {
        let class = match name {
            "all" => {
                self.always = if is {
                    [u64::MAX; CALLS / 64]
                } else {
                    [0; CALLS / 64]
                };
                return Ok(());
            }
            "none" => return Ok(()),
            "%file" | "file" => Class::File,
            "%desc" | "desc" => Class::Descriptor,
            "%network" | "%net" | "network" => Class::Network,
            "%process" | "process" => Class::Process,
            name => {
                let unknown = || {
                    Failure::Usage(format!(
                        "-e {}: no such system call or class; classes are %file, %desc, %network, %process",
                        crate::output::escaped(name)
                    ))
                };
                let number = calls::number(name).ok_or_else(unknown)?;
                put(&mut self.always, number.into(), is);
                return Ok(());
            }
        };
        for call in TABLE.iter().filter(|c| c.classes.contains(&class)) {
            put(&mut self.always, call.number, is);
        }
        Ok(())
    }

    pub fn filter(&self, agent: Option<(u64, u64)>) -> Filter {
        let mut filter = Filter::new_zeroed();
        let (mut always, mut failed) = (self.always, self.failed);
        if self.failed_only {
            for (failed, always) in failed.iter_mut().zip(&mut always) {
                *failed |= std::mem::take(always);
            }
        }
        filter.always = always;
        filter.failed = failed;
        filter.writing = if self.failed_only {
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
