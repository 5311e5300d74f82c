//! One run: the supervisor spawns itself again as a single-threaded stage, the stage makes the
//! namespaces, init builds the view, the agent's process takes the last restrictions and execs.

mod message;
mod stage;

use crate::plan::Plan;
use message::Message;
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, socketpair};
use std::io::{Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command};

pub use stage::stage;

/// First argument of the stage's own exec; not for users.
pub const STAGE: &str = "__stage";

/// How the agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("cannot start the stage: {0}")]
    Spawn(#[source] std::io::Error),
    #[error("cannot pass the plan to the stage: {0}")]
    Plan(#[source] std::io::Error),
    #[error("{step}{}: {errno}", object.as_ref().map(|o| format!(" {o}")).unwrap_or_default())]
    Step {
        step: &'static str,
        object: Option<String>,
        errno: Errno,
    },
    /// The command itself could not be executed.
    #[error("{command}: {errno}")]
    Exec { command: String, errno: Errno },
    #[error("the stage ended before the command started ({0})")]
    Ended(String),
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
            Self::Spawn(_) | Self::Plan(_) | Self::Step { .. } | Self::Ended(_) => 125,
        }
    }
}

/// A running session.
#[derive(Debug)]
pub struct Session {
    stage: Child,
    control: OwnedFd,
}

/// Returns when only the exec is left, or with the step that failed.
pub fn launch(plan: &Plan) -> Result<Session, LaunchError> {
    let passed = pass(plan).map_err(LaunchError::Plan)?;
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
    let stage = command.spawn().map_err(LaunchError::Spawn)?;
    drop((theirs, passed));
    let mut session = Session { stage, control };
    match session.receive() {
        Some(Message::Started) => Ok(session),
        Some(Message::Failed { step, item, errno }) => {
            let error = session.explain(plan, step, item, Errno::from_raw(errno));
            session.reap();
            Err(error)
        }
        Some(Message::Exited(_)) | None => Err(LaunchError::Ended(session.reap())),
    }
}

/// The plan in a sealed memfd: what the stage reads is what was written.
fn pass(plan: &Plan) -> std::io::Result<OwnedFd> {
    let memory = memfd_create(
        "stockade-plan",
        MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
    )?;
    let mut file = std::fs::File::from(memory);
    serde_json::to_writer(&file, plan)?;
    file.flush()?;
    file.rewind()?;
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::all()))?;
    Ok(file.into())
}

impl Session {
    fn receive(&self) -> Option<Message> {
        let mut bytes = [0; message::SIZE];
        loop {
            match recv(self.control.as_raw_fd(), &mut bytes, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                Ok(message::SIZE) => return Message::decode(&bytes),
                Ok(_) | Err(_) => return None,
            }
        }
    }

    fn reap(&mut self) -> String {
        self.stage
            .wait()
            .map_or_else(|e| e.to_string(), |s| s.to_string())
    }

    fn explain(&self, plan: &Plan, step: message::Step, item: u32, errno: Errno) -> LaunchError {
        if step == message::Step::Exec {
            return LaunchError::Exec {
                command: plan.executable.display().to_string(),
                errno,
            };
        }
        let object = (step == message::Step::View || step == message::Step::Open)
            .then(|| plan.view.get(item as usize))
            .flatten()
            .map(|i| format!("{} ({})", i.at.display(), i.because));
        LaunchError::Step {
            step: step.text(),
            object,
            errno,
        }
    }

    /// The stage's process, to which signals are passed on.
    pub fn pid(&self) -> u32 {
        self.stage.id()
    }

    /// Until the session has ended; nothing of it runs afterwards.
    pub fn wait(mut self, plan: &Plan) -> Result<Exit, LaunchError> {
        let last = self.receive();
        let status = self.reap();
        match last {
            Some(Message::Failed { step, item, errno }) => {
                Err(self.explain(plan, step, item, Errno::from_raw(errno)))
            }
            Some(Message::Exited(status)) if status >= 0 => Ok(Exit::Code(status)),
            Some(Message::Exited(status)) => Ok(Exit::Signal(-status)),
            Some(Message::Started) | None => Err(LaunchError::Ended(status)),
        }
    }
}
