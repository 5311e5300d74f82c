//! `stockade run` and `stockade plan`.

use super::checks::{check_file_size, check_umask, check_workspaces, say_links};
use super::recording::{loaded, loading, sinks, watching};
use super::summary::{say_all, say_denials, status, summary};
use crate::agents::copyback::Prepared;
use crate::agents::{self, Agent, Places};
use crate::cli::{LevelName, Run};
use crate::denials::record;
use crate::exit::Failure;
use crate::filters::Store;
use crate::finding::Finding;
use crate::folder::{self, Folder};
use crate::keeper::Keeper;
use crate::output::{complain, escaped};
use crate::protect::Seen;
use crate::session::{self, Over, Watch};
use crate::{broker, installation, layers, own, protect, show};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use stockade_enforce::{
    HostFacts, Item, LaunchError, Level, OWN, Plan, Request, Session, Snapshot, Source, Terminal,
    doubt, environment, launch,
};
use stockade_policy::{Context, Policy, Sources};

/// All that is known before a level is chosen.
pub struct Asked<'a> {
    run: &'a Run,
    context: Context,
    agent: Option<Agent>,
    /// With the flag that turns the agent's own sandbox off.
    command: Vec<OsString>,
    facts: HostFacts,
    state: PathBuf,
    pub folder: Folder,
    terminal: Terminal,
    streams: session::Streams,
    keeps: bool,
    /// Whether the session gets a file with its denials.
    records: bool,
}

/// What one level makes of it.
pub struct AtLevel {
    pub policy: Policy,
    pub plan: Plan,
    texts: Vec<(&'static str, String)>,
    copies: Vec<PathBuf>,
    /// What the plan was made of.
    seen: Seen,
}

impl<'a> Asked<'a> {
    /// `keeps` what is worth it for the next start.
    pub fn new(run: &'a Run, keeps: bool) -> Result<Self, Failure> {
        // the stage is started through it, and so is what the kernel says of this host
        let proc = Path::new("/proc/self/exe");
        if doubt::answer(proc, proc.symlink_metadata()).is_none() {
            certain()?;
            return Err(Failure::Usage("/proc is not mounted here; mount it (`mount -t proc proc /proc`): nothing can be confined without".into()));
        }
        check_file_size()?;
        check_umask()?;
        let context = layers::context(&run.policy.workspaces)?;
        check_workspaces(&context, run.force_workspace)?;
        let state = layers::state(&context.home);
        let agent = agents::of(run.policy.agent.as_deref(), &run.command[0])?;
        let agent = agent.filter(|a| run.policy.agent.is_some() || is_the_users(run, &context, a));
        let command = agent
            .as_ref()
            .filter(|a| !run.keep_agent_sandbox && a.is_command(&run.command[0]))
            .and_then(|a| a.without_own_sandbox(&run.command));
        Ok(Self {
            facts: HostFacts::ask()?,
            folder: Folder::new(&state),
            terminal: session::terminal(),
            streams: session::streams(),
            command: command.unwrap_or_else(|| run.command.clone()),
            run,
            context,
            agent,
            state,
            keeps,
            records: false,
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

    /// At the highest level that the facts allow.
    pub fn likely(&self) -> Result<AtLevel, Failure> {
        let levels = self.levels();
        let level = levels
            .first()
            .ok_or_else(|| Failure::Unmet("no level is possible here".into()))?;
        self.at(*level)
    }

    fn agent_places(&self, level: Level, agent: &Agent) -> Result<Places, Failure> {
        let places = match level {
            Level::Namespaces => agent.places(&self.context),
            Level::Landlock => agent.own_places(&self.context, &self.state)?,
        };
        agent.make(&places)?;
        Ok(places)
    }

    pub fn at(&self, level: Level) -> Result<AtLevel, Failure> {
        let made = self.made(level);
        // an error may be nothing but an answer that was not had
        certain()?;
        made
    }

    fn made(&self, level: Level) -> Result<AtLevel, Failure> {
        let places = match &self.agent {
            Some(agent) => Some((agent, self.agent_places(level, agent)?)),
            None => None,
        };
        let layer = places
            .as_ref()
            .and_then(|(agent, places)| agent.layer(places));
        let name = self.run.command.first().map(OsString::as_os_str);
        let (policy, sources) = layers::merged(&self.run.policy, &self.context, name, layer)?;
        keeps_own(&policy, level, &self.state)?;
        let texts = texts(&policy, &sources)?;
        let copies = places.map_or_else(Vec::new, |(_, places)| places.replaced);
        let seen = Seen::begin(&self.state);
        let mut plan = self.plan(level, &policy, &texts, &copies, &seen.tree)?;
        if self.records && level == Level::Namespaces {
            plan.view.push(self.denials_file());
        }
        Ok(AtLevel {
            policy,
            plan,
            texts,
            copies,
            seen,
        })
    }

    /// The supervisor writes it while the session reads it.
    fn denials_file(&self) -> Item {
        Item {
            at: Path::new(OWN).join(record::FILE),
            source: Source::Host {
                path: self.folder.denials(),
                writable: false,
            },
            because: "what was denied".into(),
        }
    }

    fn plan(
        &self,
        level: Level,
        policy: &Policy,
        texts: &[(&'static str, String)],
        copies: &[PathBuf],
        snapshot: &Snapshot,
    ) -> Result<Plan, Failure> {
        let workspaces = &self.context.workspaces;
        let inside = |here: &PathBuf| self.context.in_workspace(here);
        // a directory that was removed is outside
        let here = std::env::current_dir().ok().filter(inside);
        let directory = here.unwrap_or_else(|| workspaces[0].clone());
        let environment = environment(policy, &std::env::vars_os().collect());
        let path = environment.passed.get(OsStr::new("PATH"));
        let path = path.map_or(OsStr::new(""), OsString::as_os_str);
        let executable = installation::find(&self.command[0], path, &directory)
            .ok_or_else(|| Failure::NotFound(self.command[0].clone()))?;
        let user = nix::unistd::User::from_uid(nix::unistd::getuid())
            .ok()
            .flatten()
            .map_or_else(|| "user".into(), |u| u.name);
        let group = nix::unistd::Group::from_gid(nix::unistd::getgid())
            .ok()
            .flatten()
            .map_or_else(|| user.clone(), |g| g.name);
        let overlays = |path: &Path| folder::overlay(&self.state, &workspaces[0], path);
        Ok(Plan::compile(&Request {
            policy,
            facts: &self.facts,
            tree: snapshot,
            level,
            terminal: self.terminal,
            files_passed: self.streams.read_only_files,
            command: &self.command,
            executable,
            directory,
            environment,
            user,
            group,
            overlays: &overlays,
            copies,
            folder: self.folder.path.clone(),
            texts,
            filters: &Store::new(&self.state, self.keeps),
            program: std::env::current_exe().ok(),
        })?)
    }
}

/// A plan that was made, or a record that was taken, as if something were not there that only
/// could not be looked at would leave it open.
fn certain() -> Result<(), Failure> {
    match doubt::take() {
        Some((path, error)) => Err(Failure::file("look at", &path, error)),
        None => Ok(()),
    }
}

/// A program of the workspace's that is called like an agent gets nothing of the agent's.
fn is_the_users(run: &Run, context: &Context, agent: &Agent) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let here = std::env::current_dir().unwrap_or_default();
    let file = installation::find(&run.command[0], &path, &here);
    let inside = file.is_some_and(|f| installation::lies_in(&f, &context.workspaces));
    if inside && !run.quiet {
        complain(&format!(
            "stockade: {} lies in the workspace and is not taken for the agent {name}; `--agent {name}` says that it is",
            escaped(&run.command[0].to_string_lossy()),
            name = agent.name,
        ));
    }
    !inside
}

/// Without mounts nothing hides stockade's own folder in what is writable.
fn keeps_own(policy: &Policy, level: Level, state: &Path) -> Result<(), Failure> {
    let writes = policy.paths("filesystem", "write");
    let Some(rule) = writes.iter().find(|r| r.glob.covers(state)) else {
        return Ok(());
    };
    match level {
        Level::Namespaces => Ok(()),
        Level::Landlock => Err(Failure::Unmet(format!(
            "{} makes {} writable, where stockade keeps what it trusts: level namespaces hides it, or XDG_STATE_HOME names another place",
            escaped(rule.id.as_str()),
            escaped(&state.display().to_string())
        ))),
    }
}

/// What the session may read about itself.
fn texts(policy: &Policy, sources: &Sources) -> Result<Vec<(&'static str, String)>, Failure> {
    let stored = own::stored(sources, &policy.context).map_err(|e| Failure::Output(e.into()))?;
    Ok(vec![
        (own::POLICY, own::policy_text(policy, host_network(policy))),
        (own::LAYERS, stored),
    ])
}

pub fn host_network(policy: &Policy) -> bool {
    policy
        .setting("network.namespace")
        .is_some_and(|s| s.value == "host")
}

pub fn run(run: &Run) -> Result<u8, Failure> {
    if run.dry_run {
        return show(run);
    }
    // root needs nobody
    let keeper = if run.sudo && !nix::unistd::geteuid().is_root() {
        Some(Keeper::start()?)
    } else {
        None
    };
    let outcome = supervise(run);
    // whatever became of the session: the keeper ends what is in the group when this side is gone
    let ended = keeper.map_or(Ok(()), Keeper::end);
    let over = outcome?;
    if let Err(failure) = ended {
        failure.print();
    }
    status(over)
}

/// From the plan to the summary.
fn supervise(run: &Run) -> Result<Over, Failure> {
    if own::read().is_some() {
        return Err(Failure::Usage("this runs in a session already, whose policy holds for everything it starts: run the command as it is".into()));
    }
    // loads while everything else is made ready
    let loading = loading(run)?;
    let mut asked = Asked::new(run, true)?;
    let sinks = sinks(run)?;
    if let Some(stream) = asked.streams.leads_on {
        return Err(Failure::Usage(format!(
            "standard {stream} is a directory: by it a session would reach the host's whole tree; pass a file or a pipe"
        )));
    }
    if !run.quiet {
        say_links(run, &asked.context);
    }
    say_all(&protect::finish_killed(&asked.state));
    let loaded = loaded(run, loading)?;
    asked.records = loaded.is_some();
    let started = start(&asked)?;
    if !run.quiet {
        say_started(&asked, &started.at.plan);
    }
    let Started {
        session,
        at,
        mut copy_back,
        mut mounts,
        guard,
    } = started;
    let mut watches: Vec<&mut dyn Watch> = Vec::new();
    if let Some(copy_back) = &mut copy_back {
        watches.push(copy_back);
    }
    if let Some(mounts) = &mut mounts {
        watches.push(mounts);
    }
    let (policy, plan, folder) = (&at.policy, &at.plan, &asked.folder);
    let watching = match watching(run, loaded, folder, &session, policy, plan, sinks) {
        Ok(watching) => watching,
        Err(failure) => {
            drop(session);
            return Err(given_up(&asked, guard, failure));
        }
    };
    // what can't be let go of is no reason to end a session that runs
    session::let_go().unwrap_or(());
    let over = session::attend(session, &at.plan, &mut watches);
    let watched = watching.map(|w| w.end(&asked.state.join(record::FILE)));
    let findings = settle(&asked, copy_back, mounts, guard, &over);
    summary(run, &at.policy, &at.plan, &over, &findings);
    if !run.quiet {
        say_denials(&over, watched);
    }
    Ok(over)
}

/// A session whose command has not begun.
fn given_up(asked: &Asked<'_>, guard: protect::Guard, failure: Failure) -> Failure {
    say_all(&guard.finish(&BTreeMap::new()).0);
    if let Err(left) = asked.folder.remove() {
        left.print();
    }
    failure
}

/// What the session left is compared, copied back and removed.
fn settle(
    asked: &Asked<'_>,
    copy_back: Option<agents::copyback::CopyBack>,
    mounts: Option<protect::MountsAgain>,
    guard: protect::Guard,
    over: &Over,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(copy_back) = copy_back {
        findings.extend(copy_back.finish());
    }
    let (said, outside) = mounts.map(protect::MountsAgain::finish).unwrap_or_default();
    findings.extend(said);
    let (said, compared) = guard.finish(&outside);
    findings.extend(said);
    // where it could not be compared the next run does it
    if compared && let Err(failure) = asked.folder.remove() {
        findings.push(Finding::grave(failure.to_string()));
    }
    if let Some(left) = &over.left {
        findings.push(Finding::grave(left.clone()));
    }
    findings
}

/// What differs from what was asked.
fn say_started(asked: &Asked<'_>, plan: &Plan) {
    if asked.command != asked.run.command {
        complain(&format!(
            "stockade: started as `{}`: its own sandbox is off (--keep-agent-sandbox leaves it on)",
            escaped(&asked.command.join(OsStr::new(" ")).to_string_lossy())
        ));
    }
    if !plan.not_reachable.is_empty() {
        complain(&format!(
            "stockade: not reachable from a session yet: {}; network.namespace = \"host\" with network.default = \"allow\" shares the host's network, unfiltered",
            escaped(&plan.not_reachable.join(", "))
        ));
    }
}

struct Started {
    session: Session,
    at: AtLevel,
    copy_back: Option<agents::copyback::CopyBack>,
    mounts: Option<protect::MountsAgain>,
    guard: protect::Guard,
}

/// At the highest level that the host allows; which one is said when it is not the highest.
fn start(asked: &Asked<'_>) -> Result<Started, Failure> {
    let mut refused: Option<(Level, LaunchError)> = None;
    for level in asked.levels() {
        let at = asked.at(level)?;
        if let Some(first) = at.plan.unmet.first() {
            let lowered = refused
                .as_ref()
                .map_or_else(String::new, |(higher, error)| {
                    format!(" (level {higher} was refused: {error})")
                });
            return Err(Failure::Unmet(format!(
                "{} ({}) at level {level}: {}{}",
                escaped(&first.rule),
                first.requirement,
                first.why,
                escaped(&lowered)
            )));
        }
        match try_level(asked, at) {
            Ok(started) => {
                if level != Level::ALL[0] && asked.run.require.is_none() && !asked.run.quiet {
                    say_level(level, refused.as_ref());
                }
                return Ok(started);
            }
            Err(Failure::Launch(error)) if error.level_refused() && asked.run.require.is_none() => {
                asked.folder.remove()?;
                refused = Some((level, error));
            }
            Err(error) => {
                // why it failed says more than what is left of it
                if let Err(left) = asked.folder.remove() {
                    left.print();
                }
                return Err(error);
            }
        }
    }
    Err(match refused {
        Some((_, error)) => error.into(),
        None => Failure::Unmet("no level is possible here; `stockade doctor` says why".into()),
    })
}

fn try_level(asked: &Asked<'_>, at: AtLevel) -> Result<Started, Failure> {
    let folder = &asked.folder;
    let group = at.plan.group.clone();
    let (level, copies) = (at.plan.level, &at.copies);
    let (policy, state) = (&at.policy, &asked.state);
    let guard = protect::begin(policy, state, folder, group, level, &at.seen, copies)?;
    // nothing has run, and nothing is to be compared with a record that may lack names
    certain()?;
    match launched(asked, &at, &guard) {
        Ok((session, copy_back, mounts)) => Ok(Started {
            session,
            at,
            copy_back,
            mounts,
            guard,
        }),
        Err(failure) => {
            // it may have run for a moment
            say_all(&guard.finish(&BTreeMap::new()).0);
            Err(failure)
        }
    }
}

type Launched = (
    Session,
    Option<agents::copyback::CopyBack>,
    Option<protect::MountsAgain>,
);

fn launched(asked: &Asked<'_>, at: &AtLevel, guard: &protect::Guard) -> Result<Launched, Failure> {
    asked.folder.prepare(&at.plan, &at.texts, asked.records)?;
    let home = &at.policy.context.home;
    let watch = |errno: nix::errno::Errno| Failure::file("watch", home, errno.into());
    let risky = asked.agent.as_ref().map_or(&[][..], |a| &a.risky);
    let prepared = Prepared::new(home, &at.copies, risky).map_err(watch)?;
    let launched = launch(&at.plan, Some(guard.lock()));
    // the step that failed may have come after the terminal was handed over
    let mut session = launched.inspect_err(|_| session::take_back(at.plan.terminal))?;
    if let Some(listener) = session.listener() {
        // the session ends with its handle
        broker::start(listener, &at.plan).map_err(Failure::Performing)?;
    }
    let copy_back = match session.home() {
        Some(private) => Some(prepared.watch(private, &asked.folder.id).map_err(watch)?),
        None => None,
    };
    let mounts = session
        .watched(&at.plan)
        .map_err(|e| Failure::file("watch the mounts of", home, e))?
        .map(protect::MountsAgain::new);
    Ok((session, copy_back, mounts))
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

/// What `run` would do, at the highest level that the facts allow.
pub fn show(run: &Run) -> Result<u8, Failure> {
    show::plan(&Asked::new(run, false)?.likely()?.plan, run.json)?;
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
