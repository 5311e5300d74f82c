//! One run: the supervisor spawns itself again as a single-threaded stage, the stage makes the
//! namespaces, init builds the view, the agent's process takes the last restrictions and execs.
//! At level `landlock` the stage itself stands where init stands.

mod message;
mod orphans;
mod passed;
mod remount;
mod stage;

use crate::backend::cgroup::{GroupError, Limited};
use crate::plan::{Level, Plan};
use crate::sys;
use message::{Message, Step};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, Shutdown, SockFlag, SockType, recvmsg, send,
    shutdown, socketpair,
};
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::process::{Child, Command};

use orphans::Behind;
use remount::Mounts;
pub use remount::{Again, REMOUNT, Watched, remount_stage};
pub use stage::stage;

/// First argument of the stage's own exec; not for users.
pub const STAGE: &str = "__stage";

/// How the agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// The kernel ended the session: it used more memory than its limit.
    OutOfMemory,
}

/// What a running session says.
#[derive(Debug)]
pub enum Event {
    /// The agent was stopped by this signal; it goes on with SIGCONT.
    Stopped(i32),
    Ended(Result<Exit, LaunchError>),
}

#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("cannot start the stage: {0}")]
    Spawn(#[source] std::io::Error),
    #[error("{0}")]
    Group(#[from] GroupError),
    #[error("cannot pass the plan to the stage: {0}")]
    Plan(#[source] std::io::Error),
    #[error("{step}{}: {errno}", object.as_ref().map(|o| format!(" {o}")).unwrap_or_default())]
    Step {
        step: &'static str,
        object: Option<String>,
        errno: Errno,
        /// Whether the host refuses this level, rather than this plan.
        level_refused: bool,
    },
    /// The command itself could not be executed.
    #[error("{command}: {errno}")]
    Exec { command: String, errno: Errno },
    #[error("the session's first process ended by itself ({0})")]
    Ended(String),
    /// It was ended: it can't be supervised any more.
    #[error("{0}: {1}; the session was ended")]
    Lost(&'static str, #[source] Errno),
}

impl LaunchError {
    /// 127 not found, 126 not executable, else stockade's own 125.
    pub fn code(&self) -> u8 {
        match self {
            Self::Exec {
                errno: Errno::ENOENT,
                ..
            } => 127,
            Self::Exec { .. } => 126,
            Self::Spawn(_)
            | Self::Group(_)
            | Self::Plan(_)
            | Self::Step { .. }
            | Self::Ended(_)
            | Self::Lost(..) => 125,
        }
    }

    /// Whether the next lower level is worth a try.
    pub fn level_refused(&self) -> bool {
        matches!(
            self,
            Self::Step {
                level_refused: true,
                ..
            }
        )
    }
}

/// What the agent's process hands out before it is confined.
#[derive(Debug)]
struct Descriptors {
    agent: OwnedFd,
    mounts: Option<Mounts>,
    home: Option<OwnedFd>,
    sockets: Option<Listener>,
}

/// Where the agent's calls arrive that the supervisor performs.
#[derive(Debug)]
pub struct Listener {
    pub notifications: OwnedFd,
    /// The session's own Landlock rules, for [`crate::performing::as_the_session`].
    pub ruleset: OwnedFd,
}

/// A running session.
#[derive(Debug)]
pub struct Session {
    stage: Stage,
    descriptors: Descriptors,
    group: Option<Limited>,
    left: Option<GroupError>,
}

/// Ended with all that runs under it, unless it has ended by itself.
#[derive(Debug)]
struct Stage {
    process: Child,
    control: OwnedFd,
    /// Where no pid namespace ends what the subreaper leaves.
    behind: Option<Behind>,
    over: bool,
}

impl Stage {
    fn wait(&mut self) -> String {
        self.over = true;
        let status = self.process.wait();
        if let Some(behind) = self.behind.take() {
            behind.end();
        }
        status.map_or_else(|e| e.to_string(), |s| s.to_string())
    }

    fn end(&mut self) {
        // it ends only when nothing else of the session runs; without its last words it is killed
        if shutdown(self.control.as_raw_fd(), Shutdown::Both).is_err() {
            self.process.kill().unwrap_or(());
        }
        self.wait();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.over {
            self.end();
        }
    }
}

const MESSAGES: &str = "the session's messages can't be received";

/// Returns when only the exec is left, which waits for [`Session::go`], or with the step that failed. What is locked by `lock` stays so
/// until nothing of the session lives, also where this process is killed.
pub fn launch(plan: &Plan, lock: Option<BorrowedFd<'_>>) -> Result<Session, LaunchError> {
    let group = plan.group.as_ref().map(|g| Limited::make(g, plan));
    let group = group.transpose()?;
    let mut starting = start(plan, lock)?;
    let lost = |errno| LaunchError::Lost(MESSAGES, errno);
    let (message, fds) = receive(&starting.control).map_err(lost)?;
    match message {
        Some(Message::Started {
            mounts,
            home,
            sockets,
        }) => match descriptors(fds, mounts, home, sockets) {
            Some(descriptors) => Ok(Session {
                stage: starting,
                descriptors,
                group,
                left: None,
            }),
            // what there is no room for is left out without a word (net/core/scm.c, scm_detach_fds)
            None => Err(lost(Errno::EMFILE)),
        },
        Some(Message::Failed { step, item, errno }) => {
            starting.wait();
            Err(explain(plan, step, item, Errno::from_raw(errno)))
        }
        Some(Message::Exited(_) | Message::Stopped(_)) | None => {
            Err(LaunchError::Ended(starting.wait()))
        }
    }
}

/// As the agent's process handed them out, in its order.
fn descriptors(fds: Vec<OwnedFd>, mounts: bool, home: bool, sockets: bool) -> Option<Descriptors> {
    let mut fds = fds.into_iter();
    let agent = fds.next()?;
    let mounts = if mounts {
        Some(Mounts {
            table: fds.next()?,
            user: fds.next()?,
            mount: fds.next()?,
        })
    } else {
        None
    };
    let home = if home { Some(fds.next()?) } else { None };
    let sockets = if sockets {
        let ruleset = fds.next()?;
        Some(Listener {
            notifications: fds.next()?,
            ruleset,
        })
    } else {
        None
    };
    Some(Descriptors {
        agent,
        mounts,
        home,
        sockets,
    })
}

fn start(plan: &Plan, lock: Option<BorrowedFd<'_>>) -> Result<Stage, LaunchError> {
    let behind = match plan.level {
        Level::Landlock => Some(Behind::stand().map_err(LaunchError::Spawn)?),
        Level::Namespaces => None,
    };
    let passed = passed::pass(plan).map_err(LaunchError::Plan)?;
    let (control, theirs) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )
    .map_err(|e| LaunchError::Plan(e.into()))?;
    let inherit = |fd: &OwnedFd| {
        nix::fcntl::fcntl(
            fd,
            nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
        )
    };
    inherit(&theirs)
        .and_then(|_| inherit(&passed))
        .map_err(|e| LaunchError::Plan(e.into()))?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(STAGE)
        .arg(theirs.as_raw_fd().to_string())
        .arg(passed.as_raw_fd().to_string())
        .env_clear();
    let lock = lock.map(|lock| lock.try_clone_to_owned()).transpose();
    let lock = lock.map_err(LaunchError::Plan)?;
    if let Some(lock) = &lock {
        inherit(lock).map_err(|e| LaunchError::Plan(e.into()))?;
        command.arg(lock.as_raw_fd().to_string());
    }
    let process = command.spawn().map_err(LaunchError::Spawn)?;
    drop((theirs, passed, lock));
    Ok(Stage {
        process,
        control,
        behind,
        over: false,
    })
}

/// None when the other side has ended.
fn receive(control: &OwnedFd) -> Result<(Option<Message>, Vec<OwnedFd>), Errno> {
    let mut bytes = [0; message::SIZE];
    let mut space = cmsg_space!([RawFd; 5]);
    loop {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let got = recvmsg::<()>(
            control.as_raw_fd(),
            &mut parts,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        );
        let (n, fds) = match got {
            // the other side ended before it read the word to go on: said once, before its last message
            Err(Errno::EINTR | Errno::ECONNRESET) => continue,
            Err(errno) => return Err(errno),
            Ok(got) => {
                let messages = got.cmsgs().into_iter().flatten();
                let fds: Vec<RawFd> = messages
                    .filter_map(|m| match m {
                        ControlMessageOwned::ScmRights(fds) => Some(fds),
                        _ => None,
                    })
                    .flatten()
                    .collect();
                (got.bytes, fds)
            }
        };
        let fds = fds.into_iter().map(sys::inherited);
        let fds = fds.collect::<Result<_, _>>()?;
        let whole = n == message::SIZE;
        let message = if whole { Message::decode(&bytes) } else { None };
        return Ok((message, fds));
    }
}

fn explain(plan: &Plan, step: Step, item: u32, errno: Errno) -> LaunchError {
    if step == Step::Exec {
        return LaunchError::Exec {
            command: plan.executable.display().to_string(),
            errno,
        };
    }
    let item = item as usize;
    let object = match step {
        Step::View | Step::Open => plan
            .view
            .get(item)
            .map(|i| format!("{} ({})", i.at.display(), i.because)),
        Step::Landlock => plan
            .landlock
            .as_ref()
            .and_then(|l| l.rules.get(item))
            .map(|r| format!("{} ({})", r.path.display(), r.because)),
        _ => None,
    };
    // what a host without namespaces says: no clone, no map, or no right in the new ones
    let refused = match step {
        Step::Namespaces | Step::Ids => true,
        Step::View | Step::Loopback => matches!(errno, Errno::EPERM | Errno::EACCES),
        _ => false,
    };
    LaunchError::Step {
        step: step.text(),
        object,
        errno,
        level_refused: refused && plan.level == Level::Namespaces,
    }
}

impl Session {
    /// The agent starts.
    pub fn go(&self) -> Result<(), Errno> {
        loop {
            let sent = send(self.stage.control.as_raw_fd(), &[0], MsgFlags::MSG_NOSIGNAL);
            match sent {
                Err(Errno::EINTR) => {}
                // that it is gone already is the next event
                Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => return Ok(()),
                Err(other) => return Err(other),
            }
        }
    }

    /// Polls readable when [`Session::event`] has something to say.
    pub fn control(&self) -> BorrowedFd<'_> {
        self.stage.control.as_fd()
    }

    /// The session's private home, seen from outside of the session.
    pub fn home(&self) -> Option<BorrowedFd<'_>> {
        self.descriptors.home.as_ref().map(AsFd::as_fd)
    }

    /// What the supervisor is to perform comes here; given once.
    pub fn listener(&mut self) -> Option<Listener> {
        self.descriptors.sockets.take()
    }

    /// To the agent's own process.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        sys::signal_by(self.descriptors.agent.as_fd(), signal as i32)
    }

    /// Ends every process of the session at once: the first process of a pid namespace, or the
    /// subreaper's whole tree, goes with the stage.
    pub fn kill(&mut self) -> std::io::Result<()> {
        self.signal(Signal::SIGKILL)
            .or_else(|e| if e == Errno::ESRCH { Ok(()) } else { Err(e) })?;
        Ok(())
    }

    /// The agent's own process.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptors.agent.as_fd()
    }

    /// The agent's process id as this process sees it; none when it has ended.
    pub fn agent(&self) -> Option<nix::unistd::Pid> {
        let path = format!("/proc/self/fdinfo/{}", self.descriptors.agent.as_raw_fd());
        let text = std::fs::read_to_string(path).ok()?;
        let id = text.lines().find_map(|l| l.strip_prefix("Pid:"))?;
        let id: i32 = id.trim().parse().ok()?;
        (id > 0).then(|| nix::unistd::Pid::from_raw(id))
    }

    /// Ends it where it can't be attended any more.
    pub fn give_up(&mut self, why: &'static str, errno: Errno) -> LaunchError {
        self.stage.end();
        self.left = self.group.take().and_then(|g| g.remove().err());
        LaunchError::Lost(why, errno)
    }

    /// What of the session's cgroup could not be removed when it had ended.
    pub fn left(&self) -> Option<&GroupError> {
        self.left.as_ref()
    }

    /// Waits for the next thing that happens. After `Ended` nothing of the session runs.
    pub fn event(&mut self, plan: &Plan) -> Event {
        let message = match receive(&self.stage.control) {
            Ok((message, _)) => message,
            Err(errno) => return Event::Ended(Err(self.give_up(MESSAGES, errno))),
        };
        if let Some(Message::Stopped(signal)) = message {
            return Event::Stopped(signal);
        }
        let status = self.stage.wait();
        let group = self.group.take();
        let out_of_memory = group.as_ref().is_some_and(Limited::out_of_memory);
        self.left = group.and_then(|g| g.remove().err());
        Event::Ended(match message {
            Some(Message::Failed { step, item, errno }) => {
                Err(explain(plan, step, item, Errno::from_raw(errno)))
            }
            // the stage is in the group too and goes with it, or was just quick enough to say so
            Some(Message::Exited(-9)) | None if out_of_memory => Ok(Exit::OutOfMemory),
            Some(Message::Exited(status)) if status >= 0 => Ok(Exit::Code(status)),
            Some(Message::Exited(status)) => Ok(Exit::Signal(-status)),
            Some(Message::Started { .. } | Message::Stopped(_)) | None => {
                Err(LaunchError::Ended(status))
            }
        })
    }
}
