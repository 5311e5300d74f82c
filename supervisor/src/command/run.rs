//! `stockade run` and `stockade plan`.

use crate::cli::{LevelName, Run};
use crate::exit::Failure;
use crate::folder::{self, Folder};
use crate::output::{complain, escaped};
use crate::session::{self, Over};
use crate::{installation, layers, own, show};
use std::path::Path;
use stockade_enforce::{
    Exit, HostFacts, HostTree, LaunchError, Level, Plan, Request, Session, Terminal, environment,
    launch,
};
use stockade_policy::{Policy, Sources};

/// All that is decided before a level is chosen.
pub struct Asked<'a> {
    pub run: &'a Run,
    pub policy: Policy,
    pub sources: Sources,
    pub facts: HostFacts,
    pub state: std::path::PathBuf,
    pub folder: Folder,
    pub terminal: Terminal,
}

impl<'a> Asked<'a> {
    pub fn new(run: &'a Run) -> Result<Self, Failure> {
        let command = run.command.first().map(String::as_str);
        let (policy, sources) = layers::merged(&run.policy, command)?;
        check_workspaces(&policy, run.force_workspace)?;
        let state = layers::state(&policy.context.home);
        Ok(Self {
            run,
            facts: HostFacts::ask(),
            folder: Folder::new(&state),
            terminal: session::terminal(),
            policy,
            sources,
            state,
        })
    }

    /// The levels to try, the strongest first.
    fn levels(&self) -> Vec<Level> {
        let possible = |level: &Level| match level {
            Level::Namespaces => self.facts.user_namespaces,
            Level::Landlock => true,
        };
        match self.run.require {
            Some(name) => vec![name.level()],
            None => Level::ALL.into_iter().filter(possible).collect(),
        }
    }

    fn texts(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        let host = self
            .policy
            .setting("network.namespace")
            .is_some_and(|s| s.value == "host");
        let layers = own::stored(&self.sources, &self.policy.context)
            .map_err(|e| Failure::Output(e.into()))?;
        Ok(vec![
            (own::POLICY, own::policy_text(&self.policy, host)),
            (own::LAYERS, layers),
        ])
    }

    pub fn plan(&self, level: Level) -> Result<Plan, Failure> {
        let context = &self.policy.context;
        let here = std::env::current_dir().map_err(|e| Failure::file("find", Path::new("."), e))?;
        let inside = context.workspaces.iter().any(|w| here.starts_with(w));
        let directory = if inside {
            here
        } else {
            context.workspaces[0].clone()
        };
        let environment = environment(&self.policy, &context.environment);
        let path = environment
            .passed
            .get("PATH")
            .map_or("/usr/local/bin:/usr/bin:/bin", String::as_str);
        let name = &self.run.command[0];
        let executable = installation::find(name, path, &directory)
            .ok_or_else(|| Failure::NotFound(name.clone()))?;
        let user = nix::unistd::User::from_uid(nix::unistd::getuid())
            .ok()
            .flatten()
            .map_or_else(|| "user".into(), |u| u.name);
        let overlays = |path: &Path| folder::overlay(&self.state, &context.workspaces[0], path);
        Ok(Plan::compile(&Request {
            policy: &self.policy,
            facts: &self.facts,
            tree: &HostTree,
            level,
            terminal: self.terminal,
            command: &self.run.command,
            executable,
            directory,
            environment,
            user,
            overlays: &overlays,
            copies: &[],
            folder: self.folder.path.clone(),
            texts: &self.texts()?,
            program: std::env::current_exe().ok(),
        })?)
    }
}

pub fn run(run: &Run) -> Result<u8, Failure> {
    if run.dry_run {
        return show(run);
    }
    let asked = Asked::new(run)?;
    let (session, plan) = start(&asked)?;
    let over = session::attend(session, &plan, &mut []);
    asked.folder.remove()?;
    if !run.quiet {
        summary(&asked, &plan, &over);
    }
    status(over)
}

/// At the highest level that the host allows; which one is said when it is not the highest.
fn start(asked: &Asked<'_>) -> Result<(Session, Plan), Failure> {
    let mut refused: Option<(Level, LaunchError)> = None;
    for level in asked.levels() {
        let plan = asked.plan(level)?;
        if let Some(first) = plan.unmet.first() {
            return Err(Failure::Unmet(format!(
                "{} ({}) at level {level}: {}",
                escaped(&first.rule),
                first.requirement,
                first.why
            )));
        }
        asked.folder.prepare(&plan, &asked.texts()?)?;
        match launch(&plan) {
            Ok(session) => {
                if level != Level::ALL[0] && asked.run.require.is_none() && !asked.run.quiet {
                    say_level(level, refused.as_ref());
                }
                return Ok((session, plan));
            }
            Err(error) if error.level_refused() && asked.run.require.is_none() => {
                refused = Some((level, error));
            }
            Err(error) => {
                asked.folder.remove()?;
                return Err(error.into());
            }
        }
    }
    Err(match refused {
        Some((_, error)) => error.into(),
        None => Failure::Unmet("no level is possible here; `stockade doctor` says why".into()),
    })
}

fn say_level(level: Level, refused: Option<&(Level, LaunchError)>) {
    let why = match refused {
        Some((higher, error)) => format!("{higher} refused: {error}"),
        None => "this host allows no user namespaces".into(),
    };
    complain(&format!(
        "stockade: level {level} ({}); `stockade doctor` says what would lift it",
        escaped(&why)
    ));
}

fn summary(asked: &Asked<'_>, plan: &Plan, over: &Over) {
    for id in &asked.policy.ignored {
        complain(&format!(
            "stockade: not counted, the project's file is not trusted: {}",
            escaped(id.as_str())
        ));
    }
    if over.timed_out {
        let seconds = plan.wall.unwrap_or(0);
        complain(&format!("stockade: ended after {seconds} s (limits.wall)"));
    }
    if !plan.own_network && plan.level == Level::Namespaces || asked.host_network() {
        complain("stockade: the host's network was reachable, unfiltered (network.namespace)");
    }
    if matches!(&over.result, Ok(Exit::Code(code)) if *code != 0) {
        complain(
            "stockade: denials are not visible at this level: `stockade why read|write|exec|connect OBJECT`",
        );
    }
}

impl Asked<'_> {
    fn host_network(&self) -> bool {
        self.policy
            .setting("network.namespace")
            .is_some_and(|s| s.value == "host")
    }
}

fn status(over: Over) -> Result<u8, Failure> {
    Ok(match over.result? {
        // as timeout(1) says it
        Exit::Signal(_) if over.timed_out => 124,
        Exit::Code(code) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
        Exit::Signal(signal) => {
            session::end_by(signal);
            // of a signal that does not end a process: as a shell says it
            u8::try_from(128 + signal).unwrap_or(u8::MAX)
        }
    })
}

/// A workspace that is everything, or the home itself, protects nothing.
fn check_workspaces(policy: &Policy, forced: bool) -> Result<(), Failure> {
    for workspace in &policy.context.workspaces {
        let holds_home = policy.context.home.starts_with(workspace);
        if holds_home && !forced {
            return Err(Failure::Usage(format!(
                "the workspace {} holds the home: everything there would be writable; name a directory with -w, or force it with --force-workspace",
                escaped(&workspace.display().to_string())
            )));
        }
    }
    Ok(())
}

/// What `run` would do, at the highest level that the facts allow.
pub fn show(run: &Run) -> Result<u8, Failure> {
    let asked = Asked::new(run)?;
    let level = *asked
        .levels()
        .first()
        .ok_or_else(|| Failure::Unmet("no level is possible here".into()))?;
    show::plan(&asked.plan(level)?, run.json)?;
    Ok(0)
}

impl LevelName {
    fn level(self) -> Level {
        match self {
            Self::Landlock => Level::Landlock,
            Self::Namespaces => Level::Namespaces,
        }
    }
}
