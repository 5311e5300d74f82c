//! Exit statuses: the agent's own; 125 where stockade itself fails; 126 and 127 as `env` uses them.

use crate::output::escaped;
use std::path::{Path, PathBuf};

pub const FAILED: u8 = 125;

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
    #[error("{}: command not found", escaped(.0))]
    NotFound(String),
    #[error("{0}")]
    Plan(#[from] stockade_enforce::CompileError),
    /// A requirement that nothing on this level holds.
    #[error("not started: {0}")]
    Unmet(String),
    #[error("{0}")]
    Launch(#[from] stockade_enforce::LaunchError),
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
            Self::Launch(error) => error.code(),
            Self::Policy(_)
            | Self::File { .. }
            | Self::Usage(_)
            | Self::Plan(_)
            | Self::Unmet(_)
            | Self::Output(_) => FAILED,
        }
    }

    /// On standard error; a closed one is no reason to fail differently.
    pub fn print(&self) {
        match self {
            Self::Policy(text) => crate::output::complain(text),
            Self::File { .. }
            | Self::Usage(_)
            | Self::NotFound(_)
            | Self::Plan(_)
            | Self::Unmet(_)
            | Self::Launch(_)
            | Self::Output(_) => {
                crate::output::complain(&format!("stockade: {self}"));
            }
        }
    }
}
