//! A process that waits to be labelled and then executes the command.

use crate::exit::Failure;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

/// Of the command line.
const BEGIN: &str = "__begin";

/// Started, and stopped before its first line.
pub struct Waiting {
    /// None once it runs.
    child: Option<Child>,
    pid: Pid,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // it has not begun, and nobody else would continue it
            child
                .kill()
                .and_then(|()| child.wait())
                .map(drop)
                .unwrap_or(());
        }
    }
}

impl Waiting {
    /// `variables` besides those of this process.
    pub fn new(command: &[OsString], variables: &[(OsString, OsString)]) -> Result<Self, Failure> {
        let child = Command::new("/proc/self/exe")
            .arg(BEGIN)
            .arg(std::process::id().to_string())
            .arg("--")
            .args(command)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .spawn()
            .map_err(Failure::Output)?;
        let waiting = Self {
            pid: Pid::from_raw(child.id().cast_signed()),
            child: Some(child),
        };
        let stopped = waitpid(waiting.pid(), Some(WaitPidFlag::WUNTRACED));
        match stopped {
            Ok(WaitStatus::Stopped(..)) => Ok(waiting),
            Ok(_) => Err(Failure::Usage("the command could not be started".into())),
            Err(errno) => Err(Failure::Output(errno.into())),
        }
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    pub fn go(mut self) -> Result<Child, Failure> {
        kill(self.pid, Signal::SIGCONT).map_err(|e| Failure::Output(e.into()))?;
        let gone = || Failure::Usage("the command is not there".into());
        self.child.take().ok_or_else(gone)
    }
}

/// In the new process: waits, then executes. Its parent may have ended before this line.
pub fn begin(parent: i32, command: &[OsString]) -> Result<u8, Failure> {
    let failed = |e: nix::errno::Errno| Failure::Output(e.into());
    // nobody would continue it
    set_pdeathsig(Signal::SIGKILL).map_err(failed)?;
    if getppid() != Pid::from_raw(parent) {
        return Err(Failure::Usage("the tracer has ended".into()));
    }
    raise(Signal::SIGSTOP).map_err(failed)?;
    set_pdeathsig(None).map_err(failed)?;
    Err(becoming(command))
}

/// This process becomes the command; why it did not.
pub fn becoming(command: &[OsString]) -> Failure {
    // blocked for stockade's own files
    let mut size = SigSet::empty();
    size.add(Signal::SIGXFSZ);
    if let Err(errno) = size.thread_unblock() {
        return Failure::Output(errno.into());
    }
    let Some((program, arguments)) = command.split_first() else {
        return Failure::Usage("no command".into());
    };
    let error = Command::new(program).args(arguments).exec();
    if error.kind() == std::io::ErrorKind::NotFound {
        return Failure::NotFound(program.clone());
    }
    Failure::Execute {
        program: Path::new(program).into(),
        error,
    }
}
