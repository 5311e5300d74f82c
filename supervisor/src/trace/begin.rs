//! A process that waits to be labelled and then executes the command.

use crate::exit::Failure;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill, raise};
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
    child: Child,
}

impl Waiting {
    pub fn new(command: &[OsString]) -> Result<Self, Failure> {
        let child = Command::new("/proc/self/exe")
            .arg(BEGIN)
            .arg("--")
            .args(command)
            .spawn()
            .map_err(Failure::Output)?;
        let waiting = Self { child };
        let stopped = waitpid(waiting.pid(), Some(WaitPidFlag::WUNTRACED));
        match stopped {
            Ok(WaitStatus::Stopped(..)) => Ok(waiting),
            Ok(_) => Err(Failure::Usage("the command could not be started".into())),
            Err(errno) => Err(Failure::Output(errno.into())),
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    pub fn go(self) -> Result<Child, Failure> {
        kill(self.pid(), Signal::SIGCONT).map_err(|e| Failure::Output(e.into()))?;
        Ok(self.child)
    }
}

/// In the new process: waits, then executes.
pub fn begin(command: &[OsString]) -> Result<u8, Failure> {
    let failed = |e: nix::errno::Errno| Failure::Output(e.into());
    let parent = getppid();
    // nobody would continue it
    set_pdeathsig(Signal::SIGKILL).map_err(failed)?;
    if getppid() == parent {
        raise(Signal::SIGSTOP).map_err(failed)?;
    }
    set_pdeathsig(None).map_err(failed)?;
    let Some((program, arguments)) = command.split_first() else {
        return Err(Failure::Usage("no command".into()));
    };
    let error = Command::new(program).args(arguments).exec();
    if error.kind() == std::io::ErrorKind::NotFound {
        return Err(Failure::NotFound(program.clone()));
    }
    Err(Failure::Execute {
        program: Path::new(program).into(),
        error,
    })
}
