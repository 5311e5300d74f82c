//! Exit statuses: the agent's own; 125 where stockade itself fails; 126 and 127 as `env` uses them.

use crate::output::{complain, escaped};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub const FAILED: u8 = 125;

/// Whoever read the output wanted no more: as a shell says it of a program ended by SIGPIPE.
const READER_GONE: u8 = 128 + 13;

/// What the command line's parser says; help and version are no failure.
pub fn usage(error: &clap::Error) -> u8 {
    if error.use_stderr() {
        let text = error.render().to_string();
        // it quotes arguments
        let lines: Vec<_> = text.trim_end().lines().map(escaped).collect();
        complain(&lines.join("\n"));
        return FAILED;
    }
    match error.print() {
        Ok(()) => 0,
        Err(e) => {
            let failure = Failure::Output(e);
            failure.print();
            failure.code()
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Rendered diagnostics, one for each mistake.
    #[error("{0}")]
    Policy(String),
    #[error("cannot {doing} {}: {error}", escaped(&path.to_string_lossy()))]
    File {
        doing: &'static str,
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{0}")]
    Usage(String),
    #[error("{}: command not found", escaped(&.0.to_string_lossy()))]
    NotFound(OsString),
    #[error("{0}")]
    Plan(#[from] stockade_enforce::CompileError),
    #[error("{0}")]
    Facts(#[from] stockade_enforce::FactsError),
    /// A requirement that nothing on this level holds.
    #[error("not started: {0}")]
    Unmet(String),
    #[error("{0}")]
    Launch(#[from] stockade_enforce::LaunchError),
    #[error("cannot perform the session's calls on sockets: {0}")]
    Performing(nix::errno::Errno),
    #[error("cannot execute {}: {error}", escaped(&program.to_string_lossy()))]
    Execute {
        program: PathBuf,
        error: std::io::Error,
    },
    #[error("{0}")]
    Probes(#[from] stockade_bpf::LoadError),
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
}

impl Failure {
    pub fn file(doing: &'static str, path: &Path, error: std::io::Error) -> Self {
        Self::File {
            doing,
            path: path.into(),
            error,
        }
    }

    pub fn code(&self) -> u8 {
        match self {
            Self::NotFound(_) => 127,
            Self::Execute { .. } => 126,
            Self::Launch(error) => error.code(),
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => READER_GONE,
            Self::Policy(_)
            | Self::File { .. }
            | Self::Usage(_)
            | Self::Plan(_)
            | Self::Facts(_)
            | Self::Unmet(_)
            | Self::Performing(_)
            | Self::Probes(_)
            | Self::Output(_) => FAILED,
        }
    }

    /// On standard error; a closed one is no reason to fail differently.
    pub fn print(&self) {
        match self {
            Self::Policy(text) => complain(text),
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            Self::File { .. }
            | Self::Usage(_)
            | Self::NotFound(_)
            | Self::Plan(_)
            | Self::Facts(_)
            | Self::Unmet(_)
            | Self::Performing(_)
            | Self::Execute { .. }
            | Self::Probes(_)
            | Self::Launch(_)
            | Self::Output(_) => {
                complain(&format!("stockade: {self}"));
            }
        }
    }
}
