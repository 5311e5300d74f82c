//! `stockade trace`: what a command does, without holding it.

use crate::agents;
use crate::agents::executable::{self, Executable};
use crate::cli::Trace;
use crate::exit::Failure;
use crate::output::{complain, escaped, say};
use crate::trace::begin::Waiting;
use crate::trace::{Ended, Selection, Tracing, Wanted, claims, running};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ExitStatus};
use stockade_bpf::{LoadError, Options};
use stockade_events::sink::{Format, Look, Out, SINKS};

/// Of the buffer between kernel and reader.
const SMALLEST: u32 = 64 << 10;
const LARGEST: u32 = 1 << 30;

pub fn run(trace: &Trace) -> Result<u8, Failure> {
    if trace.schema {
        say(stockade_events::json_schema().trim_end())?;
        return Ok(0);
    }
    let format = format(trace)?;
    let mut selection = Selection::parse(&trace.expressions)?;
    selection.failed_only |= trace.failed_only;
    if format.counts {
        selection.count();
    }
    let agent = agent(trace)?;
    let options = Options {
        ring: ring(trace.buffer.as_deref())?,
        agent_is_script: agent.as_ref().is_some_and(|a| a.is_script),
        ..Options::default()
    };
    let (file, name) = output(trace)?;
    let look = look(trace, &file);
    let sink = (format.open)(Out::new(Box::new(Patient(file))), look);
    let session = format!("trace-{}", std::process::id());
    let wanted = Wanted {
        agent: agent.as_ref().map(Executable::numbers),
        ..Wanted::new(selection, session, vec![sink])
    };
    let (end, ended) = if trace.command.is_empty() {
        let roots = match &trace.session {
            Some(id) => running::of_session(id)?,
            None => running::of(&trace.processes)?,
        };
        let wanted = Wanted {
            session: trace.session.clone().unwrap_or(wanted.session),
            ..wanted
        };
        let ended = running::trace(options, wanted, &roots).map_err(explained)?;
        (Ok(End::All), ended)
    } else {
        of_command(trace, options, wanted)?
    };
    if let Some(agent) = agent.filter(|_| !ended.agent_began) {
        complain(&format!(
            "stockade: {} was not executed: everything is action 0; --agent-exe names what the agent is",
            escaped(&agent.path.to_string_lossy())
        ));
    }
    report(trace, &ended, &name);
    Ok(match end? {
        End::Command(status) => crate::session::status_of(status),
        End::Asked(signal) => crate::session::end_by(signal),
        End::All => 0,
    })
}

/// A command of this process's own, until it ends.
fn of_command(
    trace: &Trace,
    options: Options,
    wanted: Wanted,
) -> Result<(Result<End, Failure>, Ended), Failure> {
    // a trace is worth having without
    let claims = claims::Socket::new().map_err(|error| {
        complain(&format!(
            "stockade: no claims of hooks are taken, there is no socket for them: {error}"
        ));
    });
    let claims = claims.ok();
    let variables: Vec<_> = claims.iter().map(claims::Socket::variable).collect();
    let waiting = Waiting::new(&trace.command, &variables)?;
    let process = waiting.pid();
    let signals = Signals::new().map_err(|e| Failure::Output(e.into()))?;
    let is_agent = wanted.agent.is_none();
    let wanted = Wanted {
        begins: Some(process.as_raw().cast_unsigned()),
        claims,
        ..wanted
    };
    let tracing = Tracing::begin(options, wanted).map_err(explained)?;
    let pidfd = stockade_enforce::pidfd(process).map_err(|e| Failure::Output(e.into()))?;
    tracing
        .probes()
        .label_first(pidfd.as_fd(), process.as_raw(), is_agent)?;
    crate::session::leave_signals_to_the_command();
    let child = waiting.go()?;
    let end = signals.wait(child, &pidfd);
    // what is left to write may take long
    stockade_enforce::default_action(Signal::SIGINT).unwrap_or(());
    Ok((end, tracing.end()?))
}

/// The file that the agent is known by; without one the first process is the agent.
fn agent(trace: &Trace) -> Result<Option<Executable>, Failure> {
    if let Some(name) = &trace.agent_exe {
        return executable::named(name).map(Some);
    }
    let command = trace.command.first().map_or(OsStr::new(""), |c| c);
    let Some(agent) = agents::of(trace.agent.as_deref(), command)? else {
        return Ok(None);
    };
    let found = executable::of(&agent, command)?;
    if found.is_none() && trace.agent.is_some() {
        return Err(Failure::Usage(format!(
            "the agent {} is not in PATH: --agent-exe names its executable",
            agent.name
        )));
    }
    Ok(found)
}

fn format(trace: &Trace) -> Result<&'static Format, Failure> {
    let name = match &trace.format {
        _ if trace.counts => "summary",
        _ if trace.json => "json",
        Some(name) => name,
        None => "text",
    };
    let format = SINKS.iter().find(|f| f.name == name);
    format.ok_or_else(|| Failure::Usage(format!("--format {}: not known", escaped(name))))
}

fn ring(asked: Option<&str>) -> Result<u32, Failure> {
    let Some(text) = asked else {
        return Ok(Options::default().ring);
    };
    let (digits, unit) = match text.strip_suffix(['K', 'M']) {
        Some(digits) if text.ends_with('K') => (digits, 1 << 10),
        Some(digits) => (digits, 1 << 20),
        None => (text, 1),
    };
    let bytes = digits.parse::<u32>().ok().and_then(|n| n.checked_mul(unit));
    let is = |n: &u32| n.is_power_of_two() && (SMALLEST..=LARGEST).contains(n);
    bytes.filter(is).ok_or_else(|| {
        let text = escaped(text);
        Failure::Usage(format!(
            "--buffer {text}: a power of two from 64K to 1024M is asked for"
        ))
    })
}

/// And what it is called in messages.
fn output(trace: &Trace) -> Result<(File, String), Failure> {
    let own = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map(File::from);
    match &trace.output {
        None => Ok((own(std::io::stderr().as_fd())?, "standard error".into())),
        Some(path) if path.as_os_str() == "-" => {
            Ok((own(std::io::stdout().as_fd())?, "standard output".into()))
        }
        Some(path) => {
            let file = File::create(path).map_err(|e| Failure::file("write", path, e))?;
            Ok((file, escaped(&path.to_string_lossy())))
        }
    }
}

fn look(trace: &Trace, file: &File) -> Look {
    let screen = file.is_terminal();
    // a terminal that does not know its size is taken for one of the usual
    let own = || terminal_size::terminal_size_of(file).map_or(80, |(columns, _)| columns.0.into());
    Look {
        colour: screen && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        width: match trace.width {
            Some(0) => None,
            Some(columns) => Some(columns),
            None => screen.then(own),
        },
    }
}

/// Another program may have made what both write to non-blocking.
struct Patient(File);

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
                    poll(&mut fds, PollTimeout::NONE)?;
                }
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// With what would help.
fn explained(failure: Failure) -> Failure {
    let Failure::Probes(LoadError::Refused(errno)) = failure else {
        return failure;
    };
    let help = if nix::unistd::geteuid().is_root() {
        "this root has neither (in a container, or in a user namespace): run it on the host"
    } else {
        "run `sudo stockade trace …`"
    };
    Failure::Usage(format!(
        "tracing is refused by the kernel ({errno}): it takes root, or CAP_BPF and CAP_PERFMON; {help}"
    ))
}

/// Requests to end, which go to the command: it is traced until it has ended.
struct Signals {
    asked: SigSet,
    from: SignalFd,
}

enum End {
    /// What ran already: all of it, or as much as was asked for.
    All,
    Command(ExitStatus),
    /// A second time: the command goes on without being looked at.
    Asked(i32),
}

impl Signals {
    /// Before there is a thread, and after the command's process is there, which has them unblocked.
    fn new() -> nix::Result<Self> {
        let mut asked = SigSet::empty();
        asked.add(Signal::SIGTERM);
        asked.add(Signal::SIGHUP);
        asked.thread_block()?;
        let from = SignalFd::with_flags(&asked, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { asked, from })
    }

    fn wait(self, mut child: Child, process: &OwnedFd) -> Result<End, Failure> {
        let mut times = 0;
        let end = loop {
            let mut fds =
                [process.as_fd(), self.from.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(Failure::Output(errno.into())),
            }
            if let Some(status) = child.try_wait()? {
                break End::Command(status);
            }
            let signal = self.from.read_signal().ok().flatten();
            let Some(signal) = signal.and_then(|s| i32::try_from(s.ssi_signo).ok()) else {
                continue;
            };
            times += u32::from(signal == Signal::SIGTERM as i32);
            if times > 1 {
                break End::Asked(signal);
            }
            // it is not waited for yet, so its number is nobody else's
            let signal = Signal::try_from(signal).ok();
            kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap_or(());
        };
        // what is left to write may take long
        self.asked.thread_unblock().unwrap_or(());
        Ok(end)
    }
}

/// On standard error: what is missing in the output, and with --stats everything.
fn report(trace: &Trace, ended: &Ended, name: &str) {
    for (events, why) in &ended.unwritten {
        if *events != 0 {
            let why = why.as_deref().unwrap_or("unknown");
            complain(&format!(
                "stockade: {name}: {events} events not written: {why}"
            ));
        }
    }
    let missing = &ended.missing;
    if trace.stats {
        let skipped: u64 = missing.skipped.iter().map(|(_, times)| times).sum();
        let rate = missing.kept as f64 / ended.lasted.as_secs_f64();
        complain(&format!(
            "stockade: {} records kept, {} lost, {skipped} skipped by the kernel, {} calls without an end, \
             {} arguments unreadable, {} processes not seen, {} calls not counted",
            missing.kept,
            missing.lost,
            missing.unfinished,
            missing.unreadable,
            missing.unlabelled,
            missing.uncounted,
        ));
        complain(&format!(
            "stockade: {rate:.0} records a second; loaded and attached in {} ms",
            ended.loaded_in.as_millis()
        ));
    } else if !missing.is_nothing() && trace.output.is_some() {
        complain("stockade: something is missing in this trace; --stats says what");
    }
}
