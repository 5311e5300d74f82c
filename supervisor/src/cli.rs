//! The command line. Help, man page and completions are made from these rows.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

#[derive(Debug, Parser)]
#[command(
    name = "stockade",
    version,
    about = "run a command so that the kernel decides what it may do",
    max_term_width = 100
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a command in a session of its own (also: `stockade -- CMD`)
    Run(Box<Run>),
    /// Show what `run` would do: the view, the environment dropped, what is held in part
    Plan(Box<Plan>),
    #[command(name = "__stage", hide = true)]
    Stage { arguments: Vec<String> },
    #[command(name = "__remount", hide = true)]
    Remount { arguments: Vec<OsString> },
    #[command(name = "__keeper", hide = true)]
    Keeper,
    /// Show every system call of a command, action by action; nothing is held
    Trace(Box<Trace>),
    /// Say what an action is, from a hook of the agent's
    #[command(subcommand)]
    Action(ActionCommand),
    #[command(name = "__begin", hide = true)]
    Begin {
        parent: i32,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Say whether an access is allowed, by which rule, and which line would change it; without an object, what was
    /// denied: inside a session in it, outside in the last one
    #[command(alias = "explain")]
    Why(Box<Why>),
    /// Print the hook by which an agent tells its model what was denied in a tool call
    Hooks(Hooks),
    /// Report every mistake of policy files, and how many names each pattern matches now
    Check(Check),
    /// Let the allow rules of the project's .stockade.toml count
    Trust(Trust),
    /// Show the merged policy, the presets, the schema
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// What sessions left under protected names
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Try each level and say what is held, or why not and what would lift it
    Doctor {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Print the man page or completions
    #[command(subcommand)]
    Generate(Generate),
}

#[derive(Debug, Args, Default)]
pub struct Run {
    #[command(flatten)]
    pub policy: PolicyOptions,
    /// As `plan`
    #[arg(long)]
    pub dry_run: bool,
    /// For programs
    #[arg(long)]
    pub json: bool,
    /// No summary at the end
    #[arg(long)]
    pub quiet: bool,
    /// Not started at any other level
    #[arg(long, value_name = "LEVEL")]
    pub require: Option<LevelName>,
    /// Have a cgroup made through sudo, for limits.memory and limits.processes; everything else,
    /// the command too, runs as the user
    #[arg(long)]
    pub sudo: bool,
    /// Leave the agent's own sandbox on
    #[arg(long)]
    pub keep_agent_sandbox: bool,
    /// Take a workspace that holds the home
    #[arg(long)]
    pub force_workspace: bool,
    /// Whether denials are recorded, with the rule of each: `auto` as root (or with CAP_BPF and CAP_PERFMON) where
    /// the summary goes to a terminal
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Denials::Auto)]
    pub denials: Denials,
    /// Write what changes something, executes, connects or is denied here, as JSON lines; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Hold nothing, and say at the end what would be denied
    #[arg(long, conflicts_with_all = ["require", "sudo", "dry_run", "denials"])]
    pub audit: bool,
    /// Write what an audit finds here, as Markdown
    #[arg(long, value_name = "FILE", requires = "audit")]
    pub summary: Option<PathBuf>,
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Denials {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HookOf {
    Claude,
    Codex,
}

#[derive(Debug, Args)]
pub struct Hooks {
    pub agent: HookOf,
    /// What the hook runs: the denials since it was last asked, as the agent takes them; nothing where there is none
    #[arg(long)]
    pub tell: bool,
}

#[derive(Debug, Args)]
pub struct Trace {
    /// Calls to show, as strace(1) takes them: names and classes joined by commas, all of it turned round by `!`;
    /// %file, %desc, %network, %process, %signal, %memory, %ipc, %creds, %clock, %stat [default: all]
    #[arg(
        short = 'e',
        long = "trace",
        value_name = "SET",
        allow_hyphen_values = true
    )]
    pub expressions: Vec<String>,
    /// Only calls that fail
    #[arg(short = 'Z', long)]
    pub failed_only: bool,
    /// A table of counts and times for each action: --format summary
    #[arg(short = 'c', long, conflicts_with = "format")]
    pub counts: bool,
    /// What a command starts is always followed; for those who are used to it
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// Write here; `-` is standard output [default: standard error]
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// JSON lines: --format json
    #[arg(long, conflicts_with_all = ["format", "counts"])]
    pub json: bool,
    /// How events are written [default: text]
    #[arg(long, value_parser = formats())]
    pub format: Option<String>,
    /// Columns to which lines are cut, 0 for none [default: the terminal's; none elsewhere]
    #[arg(long, value_name = "COLUMNS")]
    pub width: Option<usize>,
    /// Say at the end what was kept and what was not, and how long it took
    #[arg(long)]
    pub stats: bool,
    /// Size of the buffer between kernel and stockade: a power of two, at least 64K [default: 16M]
    #[arg(long, value_name = "BYTES")]
    pub buffer: Option<String>,
    /// The coding agent that a wrapper starts [default: known by the command's name]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// The agent is what executes this file: a program, or a script itself [default: the known agent's own, else the
    /// first process]
    #[arg(long, value_name = "PATH", conflicts_with = "agent")]
    pub agent_exe: Option<OsString>,
    /// What runs already, with all its threads and all that it started; several times for several
    #[arg(short = 'p', long = "pid", value_name = "PID", conflicts_with_all = ["session", "command"])]
    pub processes: Vec<u32>,
    /// What runs in a session
    #[arg(long, value_name = "ID", conflicts_with = "command")]
    pub session: Option<String>,
    /// Print the JSON Schema of an event
    #[arg(long, exclusive = true)]
    pub schema: bool,
    #[arg(last = true, required_unless_present_any = ["processes", "session", "schema"], value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// What a hook says that an action is; it labels events, and decides nothing.
#[derive(Debug, Subcommand)]
pub enum ActionCommand {
    /// Run a command, and say what it is
    Run(ActionRun),
    /// Say what the agent does in its own process, from its begin to its end
    Note(Note),
}

#[derive(Debug, Args)]
pub struct ActionRun {
    /// Which call of the agent's tools it is
    #[arg(long)]
    pub id: String,
    /// What it is
    #[arg(long, value_name = "TEXT")]
    pub label: String,
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

fn formats() -> clap::builder::PossibleValuesParser {
    let all = stockade_events::sink::SINKS.iter();
    all.map(|f| clap::builder::PossibleValue::new(f.name).help(f.about))
        .collect::<Vec<_>>()
        .into()
}

#[derive(Debug, Args)]
pub struct Note {
    /// The same at the begin and at the end
    #[arg(long)]
    pub id: String,
    /// What it is, at the begin
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
    pub until: Until,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Until {
    Begin,
    End,
}

#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub policy: PolicyOptions,
    /// For programs
    #[arg(long)]
    pub json: bool,
    /// The plan of this level, whatever the host allows
    #[arg(long, value_name = "LEVEL")]
    pub require: Option<LevelName>,
    /// Leave the agent's own sandbox on
    #[arg(long)]
    pub keep_agent_sandbox: bool,
    /// Take a workspace that holds the home
    #[arg(long)]
    pub force_workspace: bool,
    /// [default: the shell]
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

impl From<Plan> for Run {
    fn from(plan: Plan) -> Self {
        let Plan {
            policy,
            json,
            require,
            keep_agent_sandbox,
            force_workspace,
            mut command,
        } = plan;
        if command.is_empty() {
            let shell = std::env::var_os("SHELL").filter(|s| !s.is_empty());
            command.push(shell.unwrap_or_else(|| "/bin/sh".into()));
        }
        Self {
            policy,
            dry_run: true,
            json,
            quiet: false,
            require,
            sudo: false,
            keep_agent_sandbox,
            force_workspace,
            denials: Denials::Never,
            trace: None,
            audit: false,
            summary: None,
            command,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LevelName {
    Landlock,
    Namespaces,
}

/// What decides the policy of a session.
#[derive(Debug, Args, Default)]
pub struct PolicyOptions {
    /// Workspace, writable under the presets; several times for several [default: the current directory]
    #[arg(short = 'w', long = "workspace", value_name = "DIR")]
    pub workspaces: Vec<PathBuf>,
    /// Lowest layer
    #[arg(long, value_name = "PRESET")]
    pub preset: Option<String>,
    /// The coding agent that a wrapper starts [default: known by the command's name]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// A policy file above all other layers
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// May be read, with all below
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    pub allow_read: Vec<String>,
    /// May be read and written
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    pub allow_write: Vec<String>,
    /// May be executed
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    pub allow_exec: Vec<String>,
    /// May be connected to
    #[arg(long, value_name = "HOST[:PORT]", value_delimiter = ',')]
    pub allow_net: Vec<String>,
    /// Variables that the command gets
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub allow_env: Vec<String>,
    /// May not be read
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    pub deny_read: Vec<String>,
    /// May not be written
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    pub deny_write: Vec<String>,
    /// May not be executed
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    pub deny_exec: Vec<String>,
    /// May not be connected to
    #[arg(long, value_name = "HOST[:PORT]", value_delimiter = ',')]
    pub deny_net: Vec<String>,
    /// Variables that the command does not get
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub deny_env: Vec<String>,
    /// Set a variable for the agent
    #[arg(short = 'e', long = "env", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Verb {
    Read,
    Write,
    Exec,
    Connect,
}

#[derive(Debug, Args)]
pub struct Why {
    #[arg(requires = "object")]
    pub verb: Option<Verb>,
    /// A path, or HOST:PORT for connect
    pub object: Option<String>,
    #[command(flatten)]
    pub policy: PolicyOptions,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Check {
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Trust {
    /// The project [default: the current directory]
    pub directory: Option<PathBuf>,
    /// Without asking
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Every rule with its id, low to high
    Show(Box<PolicyOptions>),
    /// The presets, or the text of one
    Presets { name: Option<String> },
    /// JSON Schema of the format
    Schema,
    /// Add a line, as `why` prints it, to the user's policy file; the result is checked first
    Add {
        #[arg(value_name = "LINE")]
        line: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// Every entry, the oldest first
    List {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// One entry and what is in it
    Show { id: String },
    /// Put it back where it was; what stands there now is not overwritten
    Restore {
        id: String,
        /// Without asking
        #[arg(long)]
        yes: bool,
    },
    /// Remove it for good
    Drop { id: String },
}

#[derive(Debug, Subcommand)]
pub enum Generate {
    /// The manual page, all commands in one
    Man,
    /// For one shell
    Completions { shell: clap_complete::Shell },
}

/// `stockade -- CMD` and `stockade -w DIR -- CMD` mean `run`.
pub fn with_run(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let first = arguments.get(1).and_then(|a| a.to_str()).unwrap_or("");
    let asks_about_itself = ["-h", "--help", "-V", "--version"].contains(&first);
    if first.starts_with('-') && !asks_about_itself {
        arguments.insert(1, "run".into());
    }
    arguments
}
