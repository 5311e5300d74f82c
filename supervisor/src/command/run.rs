//! `stockade run` and `stockade plan`.

use crate::agents::copyback::Prepared;
use crate::agents::{self, Agent, Places};
use crate::cli::{LevelName, Run};
use crate::exit::Failure;
use crate::filters::Store;
use crate::finding::Finding;
use crate::folder::{self, Folder};
use crate::keeper::Keeper;
use crate::output::{complain, escaped};
use crate::protect::Seen;
use crate::session::{self, Over, Watch};
use crate::{broker, installation, layers, own, protect, show};
use nix::sys::resource::{Resource, getrlimit};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use stockade_enforce::{
    Exit, HostFacts, LaunchError, Level, Plan, Request, Session, Snapshot, Terminal, doubt,
    environment, launch,
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
        let plan = self.plan(level, &policy, &texts, &copies, &seen.tree)?;
        Ok(AtLevel {
            policy,
            plan,
            texts,
            copies,
            seen,
        })
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

fn host_network(policy: &Policy) -> bool {
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
    let asked = Asked::new(run, true)?;
    if let Some(stream) = asked.streams.leads_on {
        return Err(Failure::Usage(format!(
            "standard {stream} is a directory: by it a session would reach the host's whole tree; pass a file or a pipe"
        )));
    }
    if !run.quiet {
        say_links(run, &asked.context);
    }
    say_all(&protect::finish_killed(&asked.state));
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
    // what can't be let go of is no reason to end a session that runs
    session::let_go().unwrap_or(());
    let over = session::attend(session, &at.plan, &mut watches);
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
    summary(run, &at, &over, &findings);
    Ok(over)
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
    asked.folder.prepare(&at.plan, &at.texts)?;
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

fn summary(run: &Run, at: &AtLevel, over: &Over, findings: &[Finding]) {
    let grave = findings.iter().any(|f| f.grave);
    if run.quiet && !grave {
        return;
    }
    say_all(findings);
    if run.quiet {
        return;
    }
    for id in &at.policy.ignored {
        complain(&format!(
            "stockade: not counted, {}: {}",
            if id.as_str().starts_with("project:") {
                "the project's file is not trusted"
            } else {
                "a layer below is final"
            },
            escaped(id.as_str())
        ));
    }
    if over.timed_out {
        let seconds = at.plan.wall.unwrap_or(0);
        complain(&format!("stockade: ended after {seconds} s (limits.wall)"));
    }
    if matches!(over.result, Ok(Exit::OutOfMemory)) {
        let bytes = at.plan.memory.unwrap_or(0);
        complain(&format!(
            "stockade: ended by the kernel: the session used more than {bytes} bytes of memory (limits.memory)"
        ));
    }
    if host_network(&at.policy) {
        complain("stockade: the host's network was reachable, unfiltered (network.namespace)");
    }
    if matches!(&over.result, Ok(Exit::Code(code)) if *code != 0) {
        complain(
            "stockade: denials are not visible at this level: `stockade why read|write|exec|connect OBJECT`",
        );
    }
}

fn say_all(findings: &[Finding]) {
    for finding in findings {
        let text = escaped(&finding.text);
        complain(&if finding.grave && crate::output::colour() {
            format!("\x1b[31mstockade: {text}\x1b[0m")
        } else {
            format!("stockade: {text}")
        });
    }
}

fn status(over: Over) -> Result<u8, Failure> {
    Ok(match over.result? {
        // as timeout(1) says it
        Exit::Signal(_) | Exit::OutOfMemory if over.timed_out => 124,
        Exit::OutOfMemory => {
            let signal = nix::sys::signal::Signal::SIGKILL as i32;
            session::end_by(signal);
            u8::try_from(128 + signal).unwrap_or(u8::MAX)
        }
        Exit::Code(code) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
        Exit::Signal(signal) => {
            session::end_by(signal);
            // of a signal that does not end a process: as a shell says it
            u8::try_from(128 + signal).unwrap_or(u8::MAX)
        }
    })
}

/// The filter, the plan and the record of a session are files, most of them in memory.
fn check_file_size() -> Result<(), Failure> {
    const NEEDED: u64 = 1 << 20;
    match getrlimit(Resource::RLIMIT_FSIZE) {
        Ok((soft, _)) if soft < NEEDED => Err(Failure::Usage(format!(
            "files may have {soft} bytes at most here (ulimit -f): a session needs {NEEDED}; limits.file_size of a policy limits the command alone"
        ))),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Nothing that is made by such a mask could be entered, the session's own directories neither.
fn check_umask() -> Result<(), Failure> {
    use nix::sys::stat::{Mode, umask};
    let mask = umask(Mode::empty());
    umask(mask);
    if mask.intersects(Mode::S_IRWXU) {
        return Err(Failure::Usage(format!(
            "the umask {:04o} takes rights from the user that stockade runs as: set another (umask 022)",
            mask.bits()
        )));
    }
    Ok(())
}

/// A workspace that is everything, or the home itself, protects nothing.
fn check_workspaces(context: &Context, forced: bool) -> Result<(), Failure> {
    for workspace in &context.workspaces {
        let holds_home = context.home.starts_with(workspace);
        if holds_home && !forced {
            return Err(Failure::Usage(format!(
                "the workspace {} holds the home: everything there would be writable; name a directory with -w, or force it with --force-workspace",
                escaped(&workspace.display().to_string())
            )));
        }
    }
    Ok(())
}

/// A workspace that was named by a link is known inside by its real name alone.
fn say_links(run: &Run, context: &Context) {
    for (asked, real) in run.policy.workspaces.iter().zip(&context.workspaces) {
        let given = std::path::absolute(asked).unwrap_or_else(|_| asked.clone());
        // a name with `..` is no link
        let same = given.components().eq(real.components());
        if !same && !given.components().any(|c| c == Component::ParentDir) {
            complain(&format!(
                "stockade: the workspace {} is {}",
                escaped(&given.to_string_lossy()),
                escaped(&real.to_string_lossy())
            ));
        }
    }
}

/// What `run` would do, at the highest level that the facts allow.
pub fn show(run: &Run) -> Result<u8, Failure> {
    let asked = Asked::new(run, false)?;
    let level = *asked
        .levels()
        .first()
        .ok_or_else(|| Failure::Unmet("no level is possible here".into()))?;
    show::plan(&asked.at(level)?.plan, run.json)?;
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
