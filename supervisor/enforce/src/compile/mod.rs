//! Policy to plan: pure, given what is known of the host and what exists there.

mod environment;
mod landlock;
mod names;
mod resolve;
mod tree;
mod view;

pub use environment::{Environment, environment};
use names::expand;
pub use names::holds_all_of;
pub use resolve::Reach;
pub use tree::{HostTree, Kind, Snapshot, Tree};

use crate::backend::seccomp::{self, Filters};
use crate::backend::{self, Hold, Host, notify};
use crate::facts::{Cgroup, HostFacts, Notify, UNIX_ABI};
use crate::plan::{Group, Held, Level, Limit, Partial, Plan, Sockets, Terminal, Unmet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use stockade_policy::{Policy, Requirement};

/// What a plan is made of besides the policy.
pub struct Request<'a> {
    pub policy: &'a Policy,
    pub facts: &'a HostFacts,
    pub tree: &'a dyn Tree,
    pub level: Level,
    pub terminal: Terminal,
    /// Whether a standard stream is a regular file opened for reading alone, whose mount is the host's.
    pub files_passed: bool,
    pub command: &'a [OsString],
    /// The file that `command` names, as the host names it.
    pub executable: PathBuf,
    pub directory: PathBuf,
    pub environment: Environment,
    pub user: String,
    pub group: String,
    /// Upper and work directory of the overlay at a path.
    pub overlays: &'a dyn Fn(&Path) -> (PathBuf, PathBuf),
    /// Files of the private home that start as copies of the host's.
    pub copies: &'a [PathBuf],
    /// The session's own folder on the host.
    pub folder: PathBuf,
    /// What the session may read about itself: name and text.
    pub texts: &'a [(&'a str, String)],
    /// Compiled system call filters of earlier sessions.
    pub filters: &'a dyn Filters,
    /// stockade's own executable, for `why` inside.
    pub program: Option<PathBuf>,
}

/// Where the session reads about itself at level `namespaces`.
pub const OWN: &str = "/run/stockade";

#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error("{rule}: more than {} names to look at", names::LOOK_AT)]
    TooMany { rule: String },
    #[error(
        "{rule}: {path} does not exist, and no session makes anything in the host's tree: make it first, or leave the rule out"
    )]
    NoPlace { rule: String, path: String },
    #[error(
        "{rule}: {path} lies in {above}, which another rule hides with all that is in it: leave one of the two out"
    )]
    Hidden {
        rule: String,
        path: String,
        above: String,
    },
    #[error("{rule}: {path} is not a directory: only directories can be private or overlaid")]
    NotADirectory { rule: String, path: String },
    #[error(
        "{rule}: {path} leads through a link in a tree that is shown as it is: name where it leads"
    )]
    BehindLink { rule: String, path: String },
    #[error("the system call filter: {0}")]
    Filter(String),
}

impl Request<'_> {
    fn host_network(&self) -> bool {
        self.policy
            .setting("network.namespace")
            .is_some_and(|s| s.value == "host")
    }

    fn allows(&self, key: &str) -> bool {
        self.policy.setting(key).is_some_and(|s| s.value == "allow")
    }
}

impl Plan {
    pub fn compile(request: &Request<'_>) -> Result<Self, CompileError> {
        let policy = request.policy;
        let denied: Vec<String> = policy
            .of("syscalls", "deny")
            .map(|r| r.text.clone())
            .collect();
        let mut plan = Self {
            level: request.level,
            view: Vec::new(),
            private_home: None,
            own_network: false,
            landlock: None,
            filter: seccomp::compile(&rules(request, &denied), request.filters)
                .map_err(|e| CompileError::Filter(e.to_string()))?,
            sockets: sockets(request)?,
            limits: Vec::new(),
            wall: None,
            memory: None,
            processes: None,
            group: None,
            terminal: request.terminal,
            environment: Vec::new(),
            dropped: request.environment.dropped.clone(),
            directory: request.directory.clone(),
            executable: request.executable.clone(),
            arguments: request.command.to_vec(),
            held: Vec::new(),
            partial: Vec::new(),
            unmet: Vec::new(),
            not_reachable: policy
                .supplied_destinations()
                .into_iter()
                .map(|r| r.text.clone())
                .collect(),
            groups: request.facts.groups.clone(),
        };
        let mut environment = request.environment.passed.clone();
        match request.level {
            Level::Namespaces => {
                plan.own_network = !request.host_network();
                plan.view = view::view(request)?;
                let home = &policy.context.home;
                plan.private_home = (!request.copies.is_empty()).then(|| home.clone());
                plan.landlock = landlock::beside(request, &plan.view)?;
                view::variables(request, &mut environment);
            }
            Level::Landlock => {
                plan.landlock = Some(landlock::alone(request)?);
                landlock::variables(request, &mut environment);
            }
        }
        plan.environment = environment.into_iter().collect();
        plan.answer(request);
        plan.group = group(request, plan.memory.or(plan.processes).is_some());
        plan.unmet.extend(unknown_calls(&denied));
        Ok(plan)
    }

    /// How well this level holds each requirement: what nothing holds stops the launch, what is
    /// held in part needs the policy's word.
    fn answer(&mut self, request: &Request<'_>) {
        self.unmet.extend(too_low(request));
        let host = Host {
            facts: request.facts,
            level: request.level,
            performed: performed(request),
        };
        for requirement in request.policy.requirements() {
            self.limit(&requirement);
            let name = name_of(&requirement);
            let (hold, backend) = backend::best(&requirement, &host);
            let miss = |why: String| Unmet {
                requirement: name.clone(),
                rule: rule_of(&requirement),
                why,
            };
            match hold {
                Hold::Full => self.held.push(Held {
                    requirement: name.clone(),
                    backend: backend.into(),
                }),
                Hold::FullWith(other) => self.held.push(Held {
                    requirement: name.clone(),
                    backend: format!("{backend} and {other}"),
                }),
                Hold::Partial(word, why) if request.policy.accepts(word) => {
                    self.partial.push(Partial {
                        name: word.into(),
                        requirement: name.clone(),
                        backend: backend.into(),
                        why: why.into(),
                    });
                }
                Hold::Partial(word, why) => self.unmet.push(miss(format!(
                    "{backend} holds it in part: {why}; enforcement.accept_partial = [{word:?}] accepts it"
                ))),
                Hold::None("") => self
                    .unmet
                    .push(miss(format!("nothing at level {} holds it", request.level))),
                Hold::None(why) => self.unmet.push(miss(why.into())),
            }
        }
    }

    fn limit(&mut self, requirement: &Requirement) {
        let Requirement::Limit {
            limit,
            amount,
            rule: _,
        } = requirement
        else {
            return;
        };
        match limit {
            stockade_policy::Limit::Cpu => self.limits.push((Limit::Cpu, *amount)),
            stockade_policy::Limit::Files => self.limits.push((Limit::Files, *amount)),
            stockade_policy::Limit::FileSize => self.limits.push((Limit::FileSize, *amount)),
            stockade_policy::Limit::Wall => self.wall = Some(*amount),
            stockade_policy::Limit::Memory => self.memory = Some(*amount),
            stockade_policy::Limit::Processes => self.processes = Some(*amount),
        }
    }
}

/// Named like the session's own folder, so that what is left of it can be told.
fn group(request: &Request<'_>, limited: bool) -> Option<Group> {
    let Cgroup::Delegated(within) = &request.facts.cgroup else {
        return None; // the limit is not met, and that stops the launch
    };
    let id = request.folder.file_name().unwrap_or_default().display();
    limited.then(|| Group {
        session: within.join(format!("stockade-{id}")),
        supervisor: within.join(format!("stockade-supervisor-{id}")),
        within: within.clone(),
    })
}

fn unknown_calls(denied: &[String]) -> impl Iterator<Item = Unmet> {
    let unknown = denied.iter().filter(|n| !seccomp::known(n));
    unknown.map(|name| Unmet {
        requirement: "system_calls".into(),
        rule: name.clone(),
        why: "no such system call is known here".into(),
    })
}

/// `enforcement.require`: the words of its key stand from the lowest level to the highest.
fn too_low(request: &Request<'_>) -> Option<Unmet> {
    let setting = request.policy.setting("enforcement.require")?;
    let held = match setting.value.as_str() {
        "landlock" => true,
        "namespaces" => request.level >= Level::Namespaces,
        _ => false,
    };
    (!held).then(|| Unmet {
        requirement: "level".into(),
        rule: setting.id.to_string(),
        why: format!(
            "the policy requires level {}; this is {}",
            setting.value, request.level
        ),
    })
}

/// Whether the supervisor performs what a socket is bound and connected to: not where the host's
/// network is shared, of which nothing is to be held.
fn performed(request: &Request<'_>) -> bool {
    request.level == Level::Landlock
        && request.facts.notify == Notify::Possible
        && !request.host_network()
}

fn sockets(request: &Request<'_>) -> Result<Sockets, CompileError> {
    if request.level != Level::Landlock || request.host_network() {
        return Ok(Sockets::Kernel);
    }
    if let Some(why) = request.facts.notify.why_not() {
        return Ok(Sockets::Refused(why.into()));
    }
    let mut unix = Vec::new();
    for rule in request.policy.paths("network", "unix") {
        let named = names::expand(&rule.glob, true, rule.id.as_str(), request.tree)?;
        unix.extend(named.iter().filter_map(|path| request.tree.real(path)));
    }
    let unix_by_landlock = request.facts.landlock_abi >= UNIX_ABI;
    Ok(Sockets::Supervisor {
        filter: notify::filter(unix_by_landlock),
        unix,
        unix_by_landlock,
    })
}

fn rules<'a>(request: &'a Request<'_>, denied: &'a [String]) -> seccomp::Rules<'a> {
    let landlock = request.level == Level::Landlock;
    let unix = request.policy.of("network", "unix").next().is_some();
    let performed = performed(request);
    seccomp::Rules {
        user_namespaces: request.allows("process.user_namespaces"),
        ptrace: request.allows("process.ptrace"),
        inet: !landlock || request.host_network() || performed,
        unix: !landlock || unix || performed || request.facts.landlock_abi >= UNIX_ABI,
        netlink: !landlock && !request.host_network(),
        own_processes: !landlock,
        own_group: request.terminal != Terminal::Shared,
        cut_by_name: !landlock || backend::landlock::holds_truncate(request.facts.landlock_abi),
        denied,
    }
}

fn name_of(requirement: &Requirement) -> String {
    serde_json::to_value(requirement.kind())
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// The rule that asks for it, where one does by name.
fn rule_of(requirement: &Requirement) -> String {
    use Requirement as R;
    match requirement {
        R::NoWriteOutside | R::NoMetadataOutside | R::Processes | R::NothingLeft => {
            "every policy".into()
        }
        R::Hidden { inside: paths }
        | R::ReadOnlyInside { paths }
        | R::Private { paths }
        | R::Overlay { paths }
        | R::ProtectedPresent { paths }
        | R::ProtectedAbsent { paths }
        | R::UnixSockets { allowed: paths } => paths
            .first()
            .map_or("every policy".into(), |p| p.id.to_string()),
        R::ExecByPath { default: rule }
        | R::ExecWritten { rule }
        | R::NoNetwork { rule }
        | R::NoUserNamespaces { rule }
        | R::Limit { rule, .. } => rule.to_string(),
        R::Network { rules } => rules.first().map(ToString::to_string).unwrap_or_default(),
        R::SystemCalls { denied } => denied
            .first()
            .map(|(_, id)| id.to_string())
            .unwrap_or_default(),
    }
}
