//! Coding agents: what each needs of the host, as a policy layer of its own.

pub mod copyback;
mod data;
pub mod exchange;
pub mod executable;
mod risky;
mod state;

pub use data::Agent;

use crate::exit::Failure;
use crate::found;
use crate::output::escaped;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use stockade_policy::{Context, Source};

/// The agent of a command: by `--agent`, else by the command's own name.
pub fn of(asked: Option<&str>, command: &OsStr) -> Result<Option<Agent>, Failure> {
    let agents = data::all()?;
    if let Some(name) = asked {
        let known = agents.keys().cloned().collect::<Vec<_>>().join(", ");
        return match agents.get(name) {
            Some(agent) => Ok(Some(agent.clone())),
            None => Err(Failure::Usage(format!(
                "no agent `{}` is known; there are {known}",
                escaped(name)
            ))),
        };
    }
    Ok(agents.into_values().find(|a| a.is_command(command)))
}

/// Where an agent keeps its state in one session.
#[derive(Debug, Clone)]
pub struct Places {
    /// The directory on the host that the session writes.
    pub state: PathBuf,
    /// Files beside it that the agent replaces by rename.
    pub replaced: Vec<PathBuf>,
    /// Variable and value, where the directory is not the user's own.
    pub variable: Option<(String, PathBuf)>,
}

impl Agent {
    /// By the last part of its path.
    pub fn is_command(&self, command: &OsStr) -> bool {
        let name = Path::new(command).file_name().and_then(|n| n.to_str());
        name.is_some_and(|n| self.commands.iter().any(|c| c == n))
    }

    /// The user's own places: what the agent's variable says, else what it does without.
    pub fn places(&self, context: &Context) -> Places {
        let home = |text: &String| context.home.join(text.trim_start_matches("~/"));
        match context
            .environment
            .get(&self.variable)
            .filter(|v| v.starts_with('/'))
        {
            Some(directory) => Places {
                state: directory.into(),
                replaced: Vec::new(),
                variable: None,
            },
            None => Places {
                state: home(&self.state),
                replaced: self.replaced.iter().map(home).collect(),
                variable: None,
            },
        }
    }

    /// A directory of stockade's own, for a level at which the home can't be private. Filled once.
    pub fn own_places(&self, context: &Context, state: &Path) -> Result<Places, Failure> {
        let users = self.places(context);
        if users.replaced.is_empty() && context.environment.contains_key(&self.variable) {
            return Ok(users);
        }
        let directory = state.join("agents").join(&self.name);
        state::fill(self, &users, &directory)?;
        Ok(Places {
            state: directory.clone(),
            replaced: Vec::new(),
            variable: Some((self.variable.clone(), directory)),
        })
    }

    /// Made before the start: a log-in of the first run must be kept.
    pub fn make(&self, places: &Places) -> Result<(), Failure> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&places.state)
            .map_err(|e| Failure::file("make the agent's directory", &places.state, e))
    }

    /// Low in the order: the system's, the user's and the command line's rules come above.
    pub fn layer(&self, places: &Places) -> Option<Source> {
        let state = found::covering(&places.state);
        let marks = |rows: &[data::Mark], mode: &str| -> Vec<toml::Value> {
            let at = |m: &data::Mark| found::mark(format!("{state}/{}", m.path), mode, &m.because);
            rows.iter().map(at).collect()
        };
        let protect = [marks(&self.protect, "deny"), marks(&self.report, "report")].concat();
        let mut set = self.set.clone();
        if let Some((name, value)) = &places.variable {
            set.insert(name.clone(), value.display().to_string());
        }
        let set: toml::Table = set.into_iter().map(|(k, v)| (k, v.into())).collect();
        // the home and the variables that name it are text
        let write: Vec<String> = found::literal(&places.state).into_iter().collect();
        let tables = [
            (
                "filesystem",
                vec![("write", write.into()), ("protect", protect.into())],
            ),
            ("network", vec![("allow", self.end_points.clone().into())]),
            (
                "environment",
                vec![("pass", self.pass.clone().into()), ("set", set.into())],
            ),
        ];
        let (name, origin) = (
            format!("agent-{}", self.name),
            format!("agent {}", self.name),
        );
        found::source(&name, &origin, &tables)
    }

    /// The command with the agent's own sandbox off: it can't be nested, and would ask a person
    /// for what the kernel decides here. The flag is none when the user gave one.
    pub fn without_own_sandbox(&self, command: &[OsString]) -> Option<Vec<OsString>> {
        let own = &self.own_sandbox;
        let rest = command.get(1..)?;
        let until = rest.iter().position(|a| a == "--").unwrap_or(rest.len());
        let given = rest[..until]
            .iter()
            .filter_map(|a| a.to_str())
            .map(|a| a.split_once('=').map_or(a, |(flag, _)| flag))
            .any(|a| own.given.iter().any(|g| g == a));
        let first = rest.first().and_then(|a| a.to_str()).unwrap_or("");
        if given || own.not_with.iter().any(|w| w == first) {
            return None;
        }
        let mut out = command.to_vec();
        let at = if own.after.iter().any(|a| a == first) {
            2
        } else {
            1
        };
        out.insert(at, own.off.clone().into());
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str) -> Agent {
        of(Some(name), "".as_ref()).unwrap().unwrap()
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn an_agent_is_known_by_its_command_and_by_name() {
        assert_eq!(
            of(None, "/x/bin/claude".as_ref()).unwrap().unwrap().name,
            "claude"
        );
        assert!(of(None, "sh".as_ref()).unwrap().is_none());
        assert!(of(Some("clade"), "sh".as_ref()).is_err());
    }

    #[test]
    fn the_flag_stands_where_the_agent_takes_it() {
        let added = |name: &str, line: &str| {
            agent(name)
                .without_own_sandbox(&words(line))
                .map(|w| w.join(" ".as_ref()).into_string().unwrap())
        };
        assert_eq!(
            added("codex", "codex exec do it").unwrap(),
            "codex exec --dangerously-bypass-approvals-and-sandbox do it"
        );
        assert_eq!(
            added("claude", "claude -p x").unwrap(),
            "claude --dangerously-skip-permissions -p x"
        );
        assert_eq!(added("claude", "claude --permission-mode=plan x"), None);
        assert_eq!(added("codex", "codex login"), None);
        // a prompt that looks like a flag is none
        assert!(added("codex", "codex exec -- --sandbox").is_some());
    }

    #[test]
    fn every_layer_is_a_policy() {
        let context = Context {
            workspaces: vec!["/w".into()],
            home: "/home/u".into(),
            tmp: "/tmp".into(),
            config: "/home/u/.config".into(),
            cache: "/home/u/.cache".into(),
            runtime: "/run/user/1".into(),
            environment: Default::default(),
        };
        for agent in data::all().unwrap().into_values() {
            let layer = agent.layer(&agent.places(&context)).unwrap();
            let sources = stockade_policy::Sources {
                preset: None,
                layers: vec![layer],
            };
            stockade_policy::Policy::build(&sources, context.clone()).unwrap();
        }
    }
}
