//! Control groups, version 2: memory and number of processes of the whole session.

use super::{Hold, Host, NOT_MINE};
use crate::facts::Cgroup;
use crate::plan::{Group, Level, Plan};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use stockade_policy::Limit;
use stockade_policy::Requirement as R;

pub fn hold(requirement: &R, host: &Host<'_>) -> Hold {
    match requirement {
        R::Limit { limit, .. } => match limit {
            Limit::Memory | Limit::Processes => match &host.facts.cgroup {
                Cgroup::Delegated(_) => Hold::Full,
                Cgroup::NotDelegated => Hold::None(
                    "no cgroup may be made here; `--sudo` has one made, or start it as `systemd-run --user --scope -p Delegate=yes stockade …`",
                ),
                Cgroup::WithoutControllers | Cgroup::None => Hold::None(
                    "this host gives no cgroup (version 2) with the memory and pids controllers; under systemd `systemd-run --user --scope -p Delegate=yes stockade …` makes one",
                ),
            },
            Limit::Cpu | Limit::Wall | Limit::Files | Limit::FileSize => NOT_MINE,
        },
        R::NoWriteOutside
        | R::NoMetadataOutside
        | R::Hidden { .. }
        | R::ReadOnlyInside { .. }
        | R::Private { .. }
        | R::Overlay { .. }
        | R::ProtectedPresent { .. }
        | R::ProtectedAbsent { .. }
        | R::ExecByPath { .. }
        | R::ExecWritten { .. }
        | R::NoNetwork { .. }
        | R::Network { .. }
        | R::UnixSockets { .. }
        | R::Processes
        | R::NothingLeft
        | R::NoUserNamespaces { .. }
        | R::SystemCalls { .. } => NOT_MINE,
    }
}

/// Processes with much memory take a while to go after they were killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What could not be done to which file of a group.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {error}{}", path.display(), hint(error))]
pub struct GroupError {
    doing: &'static str,
    path: PathBuf,
    error: io::Error,
}

impl GroupError {
    pub fn errno(&self) -> Errno {
        Errno::from_raw(self.error.raw_os_error().unwrap_or(libc::EIO))
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        // the rule of cgroups(7) against processes in a group that limits others
        ErrorKind::ResourceBusy | ErrorKind::WouldBlock => {
            "; other processes are in this cgroup: start it in one of its own, `systemd-run --user --scope -p Delegate=yes stockade …`"
        }
        _ => "",
    }
}

type Outcome<T> = Result<T, GroupError>;

fn at<'a>(doing: &'static str, path: &'a Path) -> impl Fn(io::Error) -> GroupError + 'a {
    move |error| GroupError {
        doing,
        path: path.into(),
        error,
    }
}

/// A file of the kernel's: written in one call, never made.
fn write(path: &Path, text: &str) -> Outcome<()> {
    let mut options = File::options();
    let mut file = options.write(true).open(path).map_err(at("open", path))?;
    file.write_all(text.as_bytes()).map_err(at("write", path))
}

/// The calling process, from then on and with all that it forks.
pub fn join(group: &Path) -> Outcome<()> {
    write(&group.join("cgroup.procs"), "0")
}

/// The top of the hierarchy, which may hold processes whatever it limits; others use it too.
fn is_top(group: &Path) -> bool {
    !group.join("cgroup.type").exists()
}

/// The groups of a session, from before its first process until after its last.
#[derive(Debug)]
pub struct Limited {
    group: Group,
    /// One session in a group at a time: the last to end takes the controllers away.
    _alone: Option<Flock<File>>,
    removed: bool,
}

impl Limited {
    pub fn make(group: &Group, plan: &Plan) -> Outcome<Self> {
        let within = &group.within;
        let alone = if is_top(within) {
            None
        } else {
            Some(alone(within)?)
        };
        let made = Self {
            group: group.clone(),
            _alone: alone,
            removed: false,
        };
        if made._alone.is_some() {
            make(&group.supervisor)?;
            join(&group.supervisor)?;
        }
        let wanted = [(plan.memory, "+memory"), (plan.processes, "+pids")];
        for (_, controller) in wanted.iter().filter(|(limit, _)| limit.is_some()) {
            write(&within.join("cgroup.subtree_control"), controller)?;
        }
        make(&group.session)?;
        made.limit(plan)?;
        Ok(made)
    }

    fn limit(&self, plan: &Plan) -> Outcome<()> {
        let file = |name: &str| self.group.session.join(name);
        if let Some(bytes) = plan.memory {
            write(&file("memory.max"), &bytes.to_string())?;
            // all of the session or nothing: half of it is of no use to anybody
            write(&file("memory.oom.group"), "1")?;
            let swap = file("memory.swap.max");
            // without it the kernel counts no swap, which is right where there is none
            if swap.exists() || swaps() {
                write(&swap, "0")?;
            }
        }
        if let Some(processes) = plan.processes {
            // the stage, and init where there is one, are not the agent's
            let own = match plan.level {
                Level::Namespaces => 2,
                Level::Landlock => 1,
            };
            let most = processes.saturating_add(own);
            write(&file("pids.max"), &most.to_string())?;
        }
        Ok(())
    }

    /// Whether the kernel ended the session because of its memory.
    pub fn out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.group.session.join("memory.events"));
        let killed = |line: &str| line.strip_prefix("oom_kill ").is_some_and(|n| n != "0");
        events.is_ok_and(|text| text.lines().any(killed))
    }

    /// When nothing of the session runs any more.
    pub fn remove(mut self) -> Outcome<()> {
        self.removed = true;
        self.take_away()
    }

    fn take_away(&self) -> Outcome<()> {
        end(&self.group.session)?;
        if self._alone.is_some() {
            let Group { within, .. } = &self.group;
            write(&within.join("cgroup.subtree_control"), "-memory -pids")?;
            join(within)?;
            end(&self.group.supervisor)?;
        }
        Ok(())
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        if !self.removed {
            // a launch that failed has its own reason to say; what is left the record names
            self.take_away().unwrap_or(());
        }
    }
}

/// What a supervisor that was killed could not remove itself.
pub fn remove_left(group: &Group) -> Outcome<()> {
    let Group {
        within,
        session,
        supervisor,
    } = group;
    if !within.exists() {
        return Ok(());
    }
    end(session)?;
    if !is_top(within) {
        // another session that has taken the group since needs the controllers
        if let Ok(_alone) = alone(within) {
            write(&within.join("cgroup.subtree_control"), "-memory -pids")?;
        }
        end(supervisor)?;
    }
    Ok(())
}

fn alone(within: &Path) -> Outcome<Flock<File>> {
    let folder = File::open(within).map_err(at("open", within))?;
    Flock::lock(folder, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, errno)| at("take", within)(errno.into()))
}

fn make(group: &Path) -> Outcome<()> {
    fs::create_dir(group).map_err(at("make", group))
}

/// Ends what runs in the group and removes it; one that is not there is as good.
fn end(group: &Path) -> Outcome<()> {
    if !group.exists() {
        return Ok(());
    }
    let kill = group.join("cgroup.kill");
    if kill.exists() {
        write(&kill, "1")?;
    }
    let events = group.join("cgroup.events");
    let mut file = File::open(&events).map_err(at("open", &events))?;
    let until = Instant::now() + PATIENCE;
    while populated(&mut file).map_err(at("read", &events))? && Instant::now() < until {
        // what changes after the last read through this very descriptor is an exceptional condition
        let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLPRI)];
        let left = until.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        match poll(&mut fds, left) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(at("watch", &events)(errno.into())),
        }
    }
    match fs::remove_dir(group) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(at("remove", group)(e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn populated(events: &mut File) -> io::Result<bool> {
    let mut text = String::new();
    events.rewind()?;
    events.read_to_string(&mut text)?;
    Ok(text.lines().any(|l| l == "populated 1"))
}

fn swaps() -> bool {
    fs::read_to_string("/proc/swaps").is_ok_and(|t| t.lines().count() > 1)
}
