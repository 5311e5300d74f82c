//! The fresh process that becomes the session: stage, init, agent. Single-threaded throughout.

use super::message::{Message, Step};
use super::orphans;
use super::passed::passed;
use crate::backend::{cgroup, landlock, view};
use crate::performing::drop_bounding;
use crate::plan::{Level, Limit, Plan, Sockets, Terminal};
use crate::sys::{self, Fork};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, send, sendmsg, socketpair,
};
use nix::sys::stat::{Mode, SFlag};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{
    Pid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, execve, getegid, geteuid, getpid, getppid,
    setpgid,
};
use std::ffi::CString;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

type Outcome<T> = Result<T, (Step, u32, Errno)>;

fn at(step: Step) -> impl Fn(Errno) -> (Step, u32, Errno) {
    move |errno| (step, u32::MAX, errno)
}

/// What a terminal sends to its whole foreground group and a shell's `kill %1` to its job's, and
/// what the supervisor passes on: the agent takes them itself.
const TERMINAL: &[Signal] = &[
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGHUP,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
];

fn ignore_terminal() -> Result<(), Errno> {
    TERMINAL.iter().try_for_each(|s| sys::ignore(*s))
}

/// Body of `stockade __stage CONTROL PLAN [LOCK]`; never returns.
pub fn stage(arguments: &[String]) -> ! {
    let fd = |n: usize| {
        arguments
            .get(n)
            .and_then(|a| a.parse().ok())
            .ok_or(Errno::EINVAL)
            .and_then(sys::inherited)
    };
    let Ok(control) = fd(0) else { sys::leave(125) };
    // of the session's record: held by the last that may have something of the session below it
    let lock = fd(2).ok();
    let outcome = fd(1)
        .map_err(at(Step::Plan))
        .and_then(|plan| run(&control, plan, lock.as_ref()));
    match outcome {
        Ok(status) => tell(&control, Message::Exited(status)),
        Err(failed) => fail(&control, failed),
    }
    sys::leave(0)
}

fn tell(control: &OwnedFd, message: Message) {
    // the supervisor's end closed means that it is gone, and with it whoever would listen
    if send(
        control.as_raw_fd(),
        &message.encode(),
        MsgFlags::MSG_NOSIGNAL,
    )
    .is_err()
    {
        sys::leave(125);
    }
}

fn fail(control: &OwnedFd, (step, item, errno): (Step, u32, Errno)) {
    tell(
        control,
        Message::Failed {
            step,
            item,
            errno: errno as i32,
        },
    );
}

fn run(control: &OwnedFd, plan: OwnedFd, lock: Option<&OwnedFd>) -> Outcome<i32> {
    let plan = passed(plan).map_err(at(Step::Plan))?;
    if let Some(group) = &plan.group {
        // before the first fork: nothing of the session ever runs outside of its limits
        cgroup::join(&group.session).map_err(|e| (Step::Group, u32::MAX, e.errno()))?;
    }
    match plan.level {
        Level::Namespaces => namespaced(control, &plan, lock),
        Level::Landlock => {
            prctl::set_child_subreaper(true).map_err(at(Step::Fork))?;
            drop_bounding().map_err(at(Step::Capabilities))?;
            let status = serve(control, &plan, || {
                ignore_terminal().map_err(at(Step::Limits))?;
                let_go(&[control], lock)
            });
            // whatever became of it
            orphans::end(|_| true);
            status
        }
    }
}

fn namespaced(control: &OwnedFd, plan: &Plan, lock: Option<&OwnedFd>) -> Outcome<i32> {
    die_with_parent().map_err(at(Step::Plan))?;
    leave_if_gone(control).map_err(at(Step::Plan))?;
    let (uid, gid) = (geteuid(), getegid());
    let (mine, theirs) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )
    .map_err(at(Step::Namespaces))?;
    match sys::fork_into(namespaces(plan)).map_err(at(Step::Namespaces))? {
        Fork::Child => {
            drop(mine);
            let status = init(control, plan, &theirs, lock);
            match status {
                Ok(status) => sys::leave(status),
                Err(failed) => {
                    fail(control, failed);
                    sys::leave(125)
                }
            }
        }
        Fork::Parent(init) => {
            drop(theirs);
            // the terminal's signals are the agent's; this process only waits
            ignore_terminal().map_err(at(Step::Namespaces))?;
            let_go(&[control, &mine], lock)?;
            map_ids(init, uid.as_raw(), gid.as_raw()).map_err(at(Step::Ids))?;
            send(mine.as_raw_fd(), &[1], MsgFlags::MSG_NOSIGNAL).map_err(at(Step::Ids))?;
            // from here on init says what happens; the agent's status comes back on the same pair
            let status = status_of(init, &mine, control).map_err(at(Step::Wait))?;
            orphans::wait_for(init);
            // without one init reported its failure itself, or was killed
            Ok(status.unwrap_or_else(|| sys::leave(125)))
        }
    }
}

fn number(item: Option<usize>) -> u32 {
    item.and_then(|n| u32::try_from(n).ok()).unwrap_or(u32::MAX)
}

fn namespaces(plan: &Plan) -> libc::c_int {
    let network = if plan.own_network {
        libc::CLONE_NEWNET
    } else {
        0
    };
    libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP
        | network
}

fn die_with_parent() -> Result<(), Errno> {
    prctl::set_pdeathsig(Signal::SIGKILL)
}

/// For a parent that ended before [`die_with_parent`] was asked: its end of the pair is closed.
fn leave_if_gone(pair: &OwnedFd) -> Result<(), Errno> {
    let mut fds = [PollFd::new(pair.as_fd(), PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO)?;
    if hung_up(&fds[0]) {
        sys::leave(125);
    }
    Ok(())
}

/// One id each, equal inside and outside: files made inside belong to the user.
fn map_ids(init: Pid, uid: u32, gid: u32) -> Result<(), Errno> {
    let write = |name: &str, text: String| {
        std::fs::write(format!("/proc/{init}/{name}"), text)
            .map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))
    };
    write("setgroups", "deny".into())?;
    write("uid_map", format!("{uid} {uid} 1\n"))?;
    write("gid_map", format!("{gid} {gid} 1\n"))
}

/// When the supervisor has let go of the session, init is ended: with the wait for it every process
/// of its namespace is gone.
fn status_of(init: Pid, from: &OwnedFd, control: &OwnedFd) -> Result<Option<i32>, Errno> {
    let mut status = [0; 4];
    loop {
        let mut fds = [
            PollFd::new(from.as_fd(), PollFlags::POLLIN),
            PollFd::new(control.as_fd(), PollFlags::empty()),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            polled => polled?,
        };
        if hung_up(&fds[1]) {
            nix::sys::signal::kill(init, Signal::SIGKILL)?;
            return Ok(None);
        }
        match recv(from.as_raw_fd(), &mut status, MsgFlags::empty()) {
            Err(Errno::EINTR) => {}
            Ok(4) => return Ok(Some(i32::from_ne_bytes(status))),
            Ok(_) => return Ok(None),
            Err(other) => return Err(other),
        }
    }
}

/// Process 1: builds the view, starts the agent, reaps. With it dies every process inside.
fn init(control: &OwnedFd, plan: &Plan, stage: &OwnedFd, lock: Option<&OwnedFd>) -> Outcome<i32> {
    die_with_parent().map_err(at(Step::Namespaces))?;
    let mut go = [0; 1];
    let got = recv(stage.as_raw_fd(), &mut go, MsgFlags::empty());
    if got.map_err(at(Step::Ids))? != 1 {
        sys::leave(125); // the stage is gone or has reported why there is no map
    }
    leave_if_gone(stage).map_err(at(Step::Namespaces))?;
    nix::unistd::sethostname("stockade").map_err(at(Step::Namespaces))?;
    // here, because only mounts of this mount namespace may be copied (check_mnt)
    with_all_files(|| {
        let sources =
            view::open_sources(&plan.view).map_err(|(item, e)| (Step::Open, number(item), e))?;
        view::enter(&plan.view, &sources).map_err(|(item, e)| (Step::View, number(item), e))
    })?;
    if plan.own_network {
        sys::loopback_up().map_err(at(Step::Loopback))?;
    }
    // once, for the agent's process too
    drop_bounding().map_err(at(Step::Capabilities))?;
    // before there is an agent that could look at this process
    prctl::set_dumpable(false).map_err(at(Step::Capabilities))?;
    let status = serve(control, plan, || {
        let_go(&[control, stage], lock)?;
        confine_init(&plan.filter)
    })?;
    send(
        stage.as_raw_fd(),
        &status.to_ne_bytes(),
        MsgFlags::MSG_NOSIGNAL,
    )
    .map_err(at(Step::Wait))?;
    Ok(0)
}

/// A view may take more descriptors at once than the caller's soft limit, which is the agent's.
fn with_all_files<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let failed = at(Step::Open);
    let files = Resource::RLIMIT_NOFILE;
    let (soft, hard) = getrlimit(files).map_err(&failed)?;
    setrlimit(files, hard, hard).map_err(&failed)?;
    let done = work()?;
    setrlimit(files, soft, hard).map_err(&failed)?;
    Ok(done)
}

/// Forks the agent, then `settles` itself, then reaps until the agent has ended.
fn serve(control: &OwnedFd, plan: &Plan, settle: impl FnOnce() -> Outcome<()>) -> Outcome<i32> {
    let parent = getpid();
    match sys::fork_into(0).map_err(at(Step::Fork))? {
        Fork::Child => {
            let Err(failed) = agent(control, plan, parent);
            fail(control, failed);
            sys::leave(125)
        }
        Fork::Parent(agent) => {
            settle()?;
            match plan.level {
                Level::Namespaces => reap(control, agent),
                Level::Landlock => reap_watching(control, agent),
            }
        }
    }
}

/// What the agent closes is closed: who reads from it sees its end, as without stockade. And what
/// the caller left open is not kept open here.
fn let_go(keep: &[&OwnedFd], lock: Option<&OwnedFd>) -> Outcome<()> {
    let failed = at(Step::Descriptors);
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let null = nix::fcntl::open("/dev/null", flags, Mode::empty()).map_err(&failed)?;
    dup2_stdin(&null).map_err(&failed)?;
    dup2_stdout(&null).map_err(&failed)?;
    dup2_stderr(&null).map_err(&failed)?;
    drop(null);
    let keep: Vec<BorrowedFd<'_>> = keep.iter().copied().chain(lock).map(AsFd::as_fd).collect();
    sys::close_all_but(&keep).map_err(&failed)
}

/// init keeps nothing that the agent could want.
fn confine_init(filter: &[u8]) -> Outcome<()> {
    ignore_terminal().map_err(at(Step::Limits))?;
    sys::drop_capabilities().map_err(at(Step::Capabilities))?;
    prctl::set_no_new_privs().map_err(at(Step::NoNewPrivileges))?;
    sys::install_filter(filter).map_err(at(Step::Filter))
}

fn reap(control: &OwnedFd, agent: Pid) -> Outcome<i32> {
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::WUNTRACED)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == agent => return Ok(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == agent => {
                return Ok(-(signal as i32));
            }
            Ok(WaitStatus::Stopped(pid, signal)) if pid == agent => {
                tell(control, Message::Stopped(signal as i32));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err((Step::Wait, u32::MAX, errno)),
        }
    }
}

/// As [`reap`], where no pid namespace ends the rest: the supervisor's end ends the agent too.
fn reap_watching(control: &OwnedFd, agent: Pid) -> Outcome<i32> {
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    let failed = at(Step::Wait);
    children.thread_block().map_err(&failed)?;
    let signals = SignalFd::with_flags(&children, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(&failed)?;
    loop {
        let options = WaitPidFlag::__WALL | WaitPidFlag::WUNTRACED | WaitPidFlag::WNOHANG;
        match waitpid(None, Some(options)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == agent => return Ok(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == agent => {
                return Ok(-(signal as i32));
            }
            Ok(WaitStatus::Stopped(pid, signal)) if pid == agent => {
                tell(control, Message::Stopped(signal as i32));
            }
            Ok(WaitStatus::StillAlive) => {
                let mut fds = [
                    PollFd::new(signals.as_fd(), PollFlags::POLLIN),
                    PollFd::new(control.as_fd(), PollFlags::empty()),
                ];
                poll(&mut fds, PollTimeout::NONE)
                    .or_else(interrupted)
                    .map_err(&failed)?;
                if hung_up(&fds[1]) {
                    orphans::end(|_| true);
                    sys::leave(125);
                }
                while let Ok(Some(_)) = signals.read_signal() {}
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err((Step::Wait, u32::MAX, errno)),
        }
    }
}

fn hung_up(fd: &PollFd<'_>) -> bool {
    fd.revents().is_some_and(|r| r.contains(PollFlags::POLLHUP))
}

fn interrupted(errno: Errno) -> Result<i32, Errno> {
    if errno == Errno::EINTR {
        Ok(0)
    } else {
        Err(errno)
    }
}

fn agent(control: &OwnedFd, plan: &Plan, parent: Pid) -> Outcome<std::convert::Infallible> {
    let c = |bytes: &[u8]| CString::new(bytes).map_err(|_| (Step::Exec, u32::MAX, Errno::EINVAL));
    let executable = c(plan.executable.as_os_str().as_bytes())?;
    let arguments = plan
        .arguments
        .iter()
        .map(|a| c(a.as_bytes()))
        .collect::<Outcome<Vec<_>>>()?;
    let environment = plan
        .environment
        .iter()
        .map(|(k, v)| c(&[k.as_bytes(), b"=", v.as_bytes()].concat()))
        .collect::<Outcome<Vec<_>>>()?;
    if plan.level == Level::Landlock {
        die_with_parent().map_err(at(Step::Fork))?;
        // ended before it was asked
        if getppid() != parent {
            sys::leave(125);
        }
    }
    terminal(plan.terminal).map_err(at(Step::Terminal))?;
    // the Rust runtime ignores it; programs expect it
    sys::default_action(Signal::SIGPIPE).map_err(at(Step::Terminal))?;
    chdir(&plan.directory).map_err(at(Step::Directory))?;
    if plan.level == Level::Namespaces {
        own_null().map_err(at(Step::Descriptors))?;
    }
    let mut handed_out = hand_out(plan).map_err(at(Step::HandOut))?;
    for (limit, amount) in &plan.limits {
        let resource = match limit {
            Limit::Cpu => Resource::RLIMIT_CPU,
            Limit::Files => Resource::RLIMIT_NOFILE,
            Limit::FileSize => Resource::RLIMIT_FSIZE,
        };
        setrlimit(resource, *amount, *amount).map_err(at(Step::Limits))?;
    }
    sys::drop_capabilities().map_err(at(Step::Capabilities))?;
    prctl::set_no_new_privs().map_err(at(Step::NoNewPrivileges))?;
    let restricted = plan.landlock.as_ref().map(landlock::restrict).transpose();
    let ruleset = restricted.map_err(|(rule, e)| (Step::Landlock, number(rule), e))?;
    sys::close_from_at_exec(3).map_err(at(Step::Descriptors))?;
    if let (Sockets::Supervisor { filter, .. }, Some(ruleset)) = (&plan.sockets, ruleset) {
        // the listener is the filter's: both filters come before what is left, which they allow
        sys::install_filter(&plan.filter).map_err(at(Step::Filter))?;
        handed_out.push(ruleset);
        handed_out.push(sys::notify::listen_with(filter).map_err(at(Step::Listener))?);
        started(control, plan, &handed_out).map_err(at(Step::HandOut))?;
        go(control).map_err(at(Step::Wait))?;
    } else {
        started(control, plan, &handed_out).map_err(at(Step::HandOut))?;
        go(control).map_err(at(Step::Wait))?;
        sys::install_filter(&plan.filter).map_err(at(Step::Filter))?;
    }
    execve(&executable, &arguments, &environment).map_err(at(Step::Exec))
}

/// The caller's /dev/null is everybody's and was opened where its mode can be changed; the session's own
/// lies on a read-only mount.
fn own_null() -> Result<(), Errno> {
    let flags_of = |fd: BorrowedFd<'_>| nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFL);
    let null = nix::sys::stat::stat("/dev/null")?.st_rdev;
    let (input, output, error) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    for (fd, replace) in [
        (
            input.as_fd(),
            dup2_stdin as fn(OwnedFd) -> Result<(), Errno>,
        ),
        (output.as_fd(), dup2_stdout),
        (error.as_fd(), dup2_stderr),
    ] {
        // what is closed or a path alone has been refused or replaced before
        let stat = nix::sys::stat::fstat(fd)?;
        let device = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFCHR.bits();
        if device && stat.st_rdev == null {
            let mode = OFlag::from_bits_truncate(flags_of(fd)?) & OFlag::O_ACCMODE;
            replace(nix::fcntl::open(
                "/dev/null",
                mode | OFlag::O_CLOEXEC,
                Mode::empty(),
            )?)?;
        }
    }
    Ok(())
}

/// Its own process group unless it shares the terminal with others of a pipeline: what it sends
/// to its group stays inside.
fn terminal(terminal: Terminal) -> Result<(), Errno> {
    match terminal {
        Terminal::Shared => Ok(()),
        Terminal::None => setpgid(Pid::from_raw(0), Pid::from_raw(0)),
        Terminal::Foreground => {
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            // from a group in the background the call would stop this process
            sys::ignore(Signal::SIGTTOU)?;
            nix::unistd::tcsetpgrp(std::io::stdin().as_fd(), getpid())?;
            sys::default_action(Signal::SIGTTOU)
        }
    }
}

/// Of this process and of what only this side of the namespaces sees, for the supervisor.
fn hand_out(plan: &Plan) -> Result<Vec<OwnedFd>, Errno> {
    let open = |path: &std::path::Path, flags| {
        nix::fcntl::open(path, flags | OFlag::O_CLOEXEC, Mode::empty())
    };
    let mut out = vec![sys::pidfd(getpid())?];
    if plan.level == Level::Namespaces {
        for name in ["mountinfo", "ns/user", "ns/mnt"] {
            let path = std::path::Path::new("/proc/self").join(name);
            out.push(open(&path, OFlag::O_RDONLY)?);
        }
    }
    if let Some(home) = &plan.private_home {
        out.push(open(
            home,
            OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW,
        )?);
    }
    Ok(out)
}

fn started(control: &OwnedFd, plan: &Plan, handed_out: &[OwnedFd]) -> Result<(), Errno> {
    let fds: Vec<_> = handed_out.iter().map(AsRawFd::as_raw_fd).collect();
    let message = Message::Started {
        mounts: plan.level == Level::Namespaces,
        home: plan.private_home.is_some(),
        sockets: matches!(plan.sockets, Sockets::Supervisor { .. }),
    }
    .encode();
    sendmsg::<()>(
        control.as_raw_fd(),
        &[IoSlice::new(&message)],
        &[ControlMessage::ScmRights(&fds)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    )
    .map(drop)
}

/// Until the supervisor watches what has to be watched from the first moment on.
fn go(control: &OwnedFd) -> Result<(), Errno> {
    let mut byte = [0; 1];
    loop {
        match recv(control.as_raw_fd(), &mut byte, MsgFlags::empty()) {
            Ok(1) => return Ok(()),
            // the supervisor is gone
            Ok(_) | Err(Errno::ECONNRESET) => sys::leave(125),
            Err(Errno::EINTR) => {}
            Err(other) => return Err(other),
        }
    }
}
