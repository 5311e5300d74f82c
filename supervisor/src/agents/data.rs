//! `agents.toml`, typed.

use crate::exit::Failure;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    #[serde(skip)]
    pub name: String,
    pub commands: Vec<String>,
    /// The agent's own programs, from the package of its command.
    pub executables: Vec<String>,
    /// The agent's own variable for its state.
    pub variable: String,
    pub state: String,
    pub replaced: Vec<String>,
    /// Keys of `replaced`, as JSON, that are not copied back.
    pub risky: Vec<Mark>,
    pub pass: Vec<String>,
    /// HOST:PORT.
    pub end_points: Vec<String>,
    pub protect: Vec<Mark>,
    pub report: Vec<Mark>,
    pub fill: Vec<String>,
    pub set: BTreeMap<String, String>,
    pub own_sandbox: OwnSandbox,
}

/// A name below the state directory, or keys with dots between, `*` for any.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    pub path: String,
    pub because: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnSandbox {
    pub off: String,
    /// Flags by which the user has decided.
    pub given: Vec<String>,
    /// Subcommands after which the flag stands.
    pub after: Vec<String>,
    /// Subcommands that take none.
    pub not_with: Vec<String>,
}

pub fn all() -> Result<BTreeMap<String, Agent>, Failure> {
    let agents: BTreeMap<String, Agent> = toml::from_str(stockade_policy::AGENTS)
        .map_err(|e| Failure::Usage(format!("agents.toml: {e}")))?;
    let named = |(name, mut agent): (String, Agent)| {
        agent.name.clone_from(&name);
        (name, agent)
    };
    Ok(agents.into_iter().map(named).collect())
}
