//! A running session from the supervisor's side: signals, the terminal, the time it has.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::SFlag;
use nix::unistd::{getpgrp, tcgetpgrp, tcsetpgrp};
use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use stockade_enforce::{Event, Exit, LaunchError, Plan, Session, Terminal};

/// What is passed on to the agent. The first three a terminal sends to a whole process group.
const PASSED_ON: &[Signal] = &[
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGWINCH,
];

/// Who is to have the terminal, decided before the plan is made.
pub fn terminal() -> Terminal {
    let Ok(tty) = std::fs::File::open("/dev/tty") else {
        return Terminal::None;
    };
    if tcgetpgrp(&tty) != Ok(getpgrp()) {
        return Terminal::None; // in the background
    }
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        Terminal::Foreground
    } else {
        Terminal::Shared
    }
}

/// What the caller passes as standard streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    /// One is a regular file that was opened for reading alone.
    pub read_only_files: bool,
    /// One leads further than to itself: a directory, or a path that was opened as such.
    pub leads_on: Option<&'static str>,
}

pub fn streams() -> Streams {
    let mut out = Streams {
        read_only_files: false,
        leads_on: None,
    };
    let (input, output, error) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    for (name, fd) in [
        ("input", input.as_fd()),
        ("output", output.as_fd()),
        ("error", error.as_fd()),
    ] {
        // a closed one leads nowhere
        let Ok(stat) = nix::sys::stat::fstat(fd) else {
            continue;
        };
        let flags = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFL).unwrap_or(0);
        let path = flags & nix::fcntl::OFlag::O_PATH.bits() != 0;
        let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
        // one that may be written may be cut by its descriptor anyway
        let read_only = flags & nix::fcntl::OFlag::O_ACCMODE.bits() == 0;
        out.read_only_files |= read_only && kind == SFlag::S_IFREG;
        if kind == SFlag::S_IFDIR || path {
            out.leads_on = Some(name);
        }
    }
    out
}

/// Input and output are the agent's from here on: who reads from it sees its end when it closes
/// them. Standard error stays, for the summary.
pub fn let_go() -> Result<(), Errno> {
    let flags = nix::fcntl::OFlag::O_RDWR | nix::fcntl::OFlag::O_CLOEXEC;
    let null = nix::fcntl::open("/dev/null", flags, nix::sys::stat::Mode::empty())?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)
}

/// Something of the supervisor's that is to be looked at while the session runs.
pub trait Watch {
    fn descriptor(&self) -> BorrowedFd<'_>;
    fn flags(&self) -> PollFlags;
    fn ready(&mut self);
    /// Whether it is to be looked at soon, whatever its descriptor says.
    fn due(&self) -> bool {
        false
    }
}

/// When [`Watch::due`] says so; without, nothing wakes up while nothing happens.
const SOON: Duration = Duration::from_millis(100);

/// The session is over.
#[derive(Debug)]
pub struct Over {
    pub result: Result<Exit, LaunchError>,
    /// Ended because its time was over.
    pub timed_out: bool,
    /// What could not be removed.
    pub left: Option<String>,
}

/// Until the agent has ended and nothing of the session runs.
pub fn attend(mut session: Session, plan: &Plan, watches: &mut [&mut dyn Watch]) -> Over {
    // whatever the agent does from here on is seen
    let signals = Signals::new(plan.terminal);
    if let Err(errno) = session.go() {
        let result = Err(session.give_up("the command can't be told to begin", errno));
        return over(&session, plan, result, false);
    }
    let until = plan.wall.map(|s| Instant::now() + Duration::from_secs(s));
    let mut timed_out = false;
    loop {
        let mut fds = vec![PollFd::new(session.control(), PollFlags::POLLIN)];
        if let Ok(signals) = &signals {
            fds.push(PollFd::new(signals.descriptor.as_fd(), PollFlags::POLLIN));
        }
        let first = fds.len();
        fds.extend(
            watches
                .iter()
                .map(|w| PollFd::new(w.descriptor(), w.flags())),
        );
        let due = watches.iter().any(|w| w.due());
        let polled = poll(&mut fds, timeout(until.filter(|_| !timed_out), due));
        if let Err(errno) = polled.or_else(interrupted) {
            let why = "the session can't be waited for";
            drop(fds);
            let result = Err(session.give_up(why, errno));
            return over(&session, plan, result, timed_out);
        }
        let ready = |n: usize| {
            fds.get(n)
                .and_then(PollFd::revents)
                .is_some_and(|r| !r.is_empty())
        };
        let to_look_at = |n: &usize| ready(first + n) || watches[*n].due();
        let happened: Vec<usize> = (0..watches.len()).filter(to_look_at).collect();
        let (says, signalled) = (ready(0), signals.is_ok() && ready(1));
        drop(fds);
        for n in happened {
            watches[n].ready();
        }
        if until.is_some_and(|u| Instant::now() >= u) && !timed_out {
            timed_out = true;
            // one that has ended by itself meanwhile says so
            session.kill().unwrap_or(());
        }
        if signalled && let Ok(signals) = &signals {
            signals.pass_on(&session, plan.terminal);
        }
        if says {
            match session.event(plan) {
                Event::Stopped(signal) => stopped(&session, plan.terminal, signal),
                Event::Ended(result) => return over(&session, plan, result, timed_out),
            }
        }
    }
}

fn over(
    session: &Session,
    plan: &Plan,
    result: Result<Exit, LaunchError>,
    timed_out: bool,
) -> Over {
    take_back(plan.terminal);
    Over {
        result,
        timed_out,
        left: session.left().map(ToString::to_string),
    }
}

fn interrupted(errno: Errno) -> Result<i32, Errno> {
    if errno == Errno::EINTR {
        Ok(0)
    } else {
        Err(errno)
    }
}

fn timeout(until: Option<Instant>, due: bool) -> PollTimeout {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let soon = due.then_some(SOON);
    match left.into_iter().chain(soon).min() {
        None => PollTimeout::NONE,
        Some(left) => {
            // a millisecond more, so that the time is over when poll returns
            let left = left.min(Duration::from_secs(1 << 20)) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        }
    }
}

struct Signals {
    descriptor: SignalFd,
}

impl Signals {
    fn new(terminal: Terminal) -> Result<Self, Errno> {
        // in a shared group this process is stopped with the others, as always
        let stop = (terminal != Terminal::Shared).then_some(Signal::SIGTSTP);
        let set: SigSet = PASSED_ON.iter().copied().chain(stop).collect();
        set.thread_block()?;
        let descriptor =
            SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { descriptor })
    }

    fn pass_on(&self, session: &Session, terminal: Terminal) {
        while let Ok(Some(info)) = self.descriptor.read_signal() {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            let Ok(signal) = Signal::try_from(number) else {
                continue;
            };
            // SI_KERNEL: the terminal sent it to the whole group, the agent is in it
            let by_terminal = info.ssi_code == 0x80;
            if by_terminal && terminal == Terminal::Shared {
                continue;
            }
            // an agent that has just ended needs none
            session.signal(signal).unwrap_or(());
        }
    }
}

/// The shell that started stockade must see a stopped job, as if it had started the agent.
fn stopped(session: &Session, terminal: Terminal, signal: i32) {
    if !is_stopped(session) || (terminal == Terminal::Shared && is_going_on(session)) {
        return; // somebody continued it already
    }
    let wants_terminal = signal == Signal::SIGTTIN as i32 || signal == Signal::SIGTTOU as i32;
    if !(wants_terminal && foreground()) {
        take_back(terminal);
        stop(signal);
    }
    if terminal != Terminal::Shared {
        if foreground()
            && let Some(agent) = session.agent()
            && let Ok(tty) = std::fs::File::open("/dev/tty")
        {
            // the agent's process leads its group
            tcsetpgrp(&tty, agent).unwrap_or(());
        }
        if let Some(agent) = session.agent() {
            nix::sys::signal::killpg(agent, Signal::SIGCONT).unwrap_or(());
        }
    }
}

fn is_stopped(session: &Session) -> bool {
    let stat = session
        .agent()
        .and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    // after the name, which may hold anything
    stat.is_some_and(|s| {
        s.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

/// In a shared group the terminal stops and the shell continues this process with the others,
/// one after the other: what looks stopped may just be about to go on.
fn is_going_on(session: &Session) -> bool {
    (0..10).any(|_| {
        std::thread::sleep(Duration::from_millis(2));
        !is_stopped(session)
    })
}

/// Whether the terminal is this process group's now.
fn foreground() -> bool {
    std::fs::File::open("/dev/tty").is_ok_and(|tty| tcgetpgrp(&tty) == Ok(getpgrp()))
}

/// By the signal that stopped the agent, so that the shell says the same of it; returns when
/// somebody continues this process.
fn stop(signal: i32) {
    let parent = nix::unistd::getppid();
    let own = nix::unistd::getsid(None);
    // in an orphaned group the kernel drops the terminal's signals
    let watched = nix::unistd::getsid(Some(parent)) == own
        && nix::unistd::getpgid(Some(parent)).is_ok_and(|group| group != getpgrp());
    let signal = Signal::try_from(signal).unwrap_or(Signal::SIGSTOP);
    let signal = if watched { signal } else { Signal::SIGSTOP };
    let mut set = SigSet::empty();
    set.add(signal);
    let blocked = SigSet::thread_get_mask().is_ok_and(|mask| mask.contains(signal));
    nix::sys::signal::raise(signal).unwrap_or(());
    // one that is blocked takes effect here
    set.thread_unblock().unwrap_or(());
    if blocked {
        set.thread_block().unwrap_or(());
    }
}

/// The terminal goes back to this process group, for what the shell or a script does next.
pub fn take_back(terminal: Terminal) {
    if terminal != Terminal::Foreground {
        return;
    }
    let Ok(tty) = std::fs::File::open("/dev/tty") else {
        return;
    };
    let mut set = SigSet::empty();
    set.add(Signal::SIGTTOU);
    // from the background the call would stop this process
    if set.thread_block().is_ok() {
        tcsetpgrp(&tty, getpgrp()).unwrap_or(());
        set.thread_unblock().unwrap_or(());
    }
}

/// What a terminal sends to a whole group is the command's to answer.
pub fn leave_signals_to_the_command() {
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        stockade_enforce::ignore(signal).unwrap_or(());
    }
}

/// As a command of this process's own ended.
pub fn status_of(ended: ExitStatus) -> u8 {
    match (ended.signal(), ended.code()) {
        (Some(signal), _) => end_by(signal),
        (None, code) => u8::try_from(code.unwrap_or(0) & 0xff).unwrap_or(u8::MAX),
    }
}

/// Ends this process as the agent ended, so that a shell or a script sees the same; the status, as a shell says it, of a
/// signal that ends nothing.
pub fn end_by(signal: i32) -> u8 {
    let status = u8::try_from(128 + signal).unwrap_or(u8::MAX);
    let Ok(signal) = Signal::try_from(signal) else {
        return status;
    };
    // the core, where there is to be one, was the agent's
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0).unwrap_or(());
    // the runtime ignores SIGPIPE; where this fails the status says it as a shell does
    stockade_enforce::default_action(signal).unwrap_or(());
    let mut set = SigSet::empty();
    set.add(signal);
    set.thread_unblock().unwrap_or(());
    nix::sys::signal::raise(signal).unwrap_or(());
    status
}
