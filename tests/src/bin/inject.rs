//! `inject REPORT [GENERATION CALL N ERRNO] -- CMD`: runs a command and makes one system call of it
//! fail. The command itself is generation 0, what it starts 1, and so on; from generation 2 on a
//! process is left alone once it executes something. Without a fault the report lists every call
//! with how often each generation made it; with one it says whether it was hit and what was left.
#![forbid(unsafe_code)]

#[cfg(target_arch = "x86_64")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracer::main()
}

#[cfg(not(target_arch = "x86_64"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    Err("the registers of this architecture are not known here".into())
}

#[cfg(target_arch = "x86_64")]
mod tracer {
    use nix::errno::Errno;
    use nix::sys::ptrace::{self, Options};
    use nix::sys::signal::Signal;
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    use nix::unistd::Pid;
    use std::collections::{BTreeMap, HashMap};
    use std::ffi::OsString;
    use std::fmt::Write;
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::time::{Duration, Instant};

    type Failed = Box<dyn std::error::Error>;

    /// A command that takes longer hangs: SIGALRM ends this process and with it what it traces.
    const LIMIT: u32 = 20;
    /// Processes of a session that go with it are gone by then.
    const SOON: Duration = Duration::from_secs(2);
    /// What the agent executes is none of the launch's.
    const AGENT: u32 = 2;
    /// They can't fail, close(2), getrandom(2), futex(2) and rseq(2) not by any of the faults that are asked for.
    const NEVER: [i64; 15] = [
        nix::libc::SYS_futex,
        nix::libc::SYS_getppid,
        nix::libc::SYS_rseq,
        nix::libc::SYS_umask,
        nix::libc::SYS_getrandom,
        nix::libc::SYS_close,
        nix::libc::SYS_getpid,
        nix::libc::SYS_gettid,
        nix::libc::SYS_getuid,
        nix::libc::SYS_geteuid,
        nix::libc::SYS_getgid,
        nix::libc::SYS_getegid,
        nix::libc::SYS_exit,
        nix::libc::SYS_exit_group,
        nix::libc::SYS_rt_sigreturn,
    ];

    struct Fault {
        generation: u32,
        call: i64,
        at: u32,
        errno: i64,
    }

    struct Process {
        generation: u32,
        inside: bool,
        /// The call that it is in is to fail.
        fails: bool,
    }

    struct Tracer {
        fault: Option<Fault>,
        hit: bool,
        /// A child's first stop may come before its parent says that there is one.
        early: HashMap<Pid, ()>,
        processes: HashMap<Pid, Process>,
        calls: BTreeMap<(u32, i64), u32>,
    }

    pub fn main() -> Result<(), Failed> {
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        let dash = arguments.iter().position(|a| a == "--").ok_or("no --")?;
        let (own, command) = (&arguments[..dash], &arguments[dash + 1..]);
        let (first, rest) = command.split_first().ok_or("no command")?;
        if own.is_empty() {
            ptrace::traceme()?;
            return Err(Command::new(first).args(rest).exec().into());
        }
        let number = |n: usize| -> Result<i64, Failed> {
            let text = own.get(n).and_then(|a| a.to_str()).ok_or("no number")?;
            Ok(text.parse()?)
        };
        let fault = if own.len() == 1 {
            None
        } else {
            Some(Fault {
                generation: u32::try_from(number(1)?)?,
                call: number(2)?,
                at: u32::try_from(number(3)?)?,
                errno: number(4)?,
            })
        };
        nix::sys::prctl::set_child_subreaper(true)?;
        let mut child = Command::new("/proc/self/exe");
        child.arg("--").args(command);
        let child = child.spawn()?;
        nix::unistd::alarm::set(LIMIT);
        let main = Pid::from_raw(i32::try_from(child.id())?);
        let mut tracer = Tracer {
            fault,
            hit: false,
            early: HashMap::new(),
            processes: HashMap::new(),
            calls: BTreeMap::new(),
        };
        let status = tracer.run(main)?;
        let mut report = String::new();
        if tracer.hit {
            report.push_str("hit\n");
        }
        for (generation, call) in tracer.calls.keys() {
            let times = tracer.calls[&(*generation, *call)];
            writeln!(report, "call {generation} {call} {times}")?;
        }
        left(&mut report)?;
        std::fs::write(&own[0], report)?;
        match status {
            WaitStatus::Exited(_, code) => std::process::exit(code),
            WaitStatus::Signaled(_, signal, _) => std::process::exit(128 + signal as i32),
            other => Err(format!("{other:?}").into()),
        }
    }

    impl Tracer {
        /// Until the command itself has ended.
        fn run(&mut self, main: Pid) -> Result<WaitStatus, Failed> {
            loop {
                match waitpid(None, Some(WaitPidFlag::__WALL)) {
                    Err(Errno::EINTR) => {}
                    Err(other) => return Err(other.into()),
                    Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _))
                        if pid != main =>
                    {
                        self.processes.remove(&pid);
                    }
                    Ok(ended @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..))) => {
                        return Ok(ended);
                    }
                    Ok(stopped) => match self.stopped(main, stopped) {
                        // killed while it was looked at
                        Ok(()) | Err(Errno::ESRCH) => {}
                        Err(other) => return Err(other.into()),
                    },
                }
            }
        }

        fn stopped(&mut self, main: Pid, status: WaitStatus) -> Result<(), Errno> {
            match status {
                WaitStatus::PtraceSyscall(pid) => {
                    self.call(pid)?;
                    self.go_on(pid, None)
                }
                WaitStatus::PtraceEvent(pid, _, event) => self.event(pid, event),
                WaitStatus::Stopped(pid, Signal::SIGTRAP) if self.processes.is_empty() => {
                    debug_assert_eq!(pid, main);
                    ptrace::setoptions(
                        pid,
                        Options::PTRACE_O_TRACESYSGOOD
                            | Options::PTRACE_O_TRACEFORK
                            | Options::PTRACE_O_TRACEVFORK
                            | Options::PTRACE_O_TRACECLONE
                            | Options::PTRACE_O_TRACEEXEC
                            | Options::PTRACE_O_EXITKILL,
                    )?;
                    self.begin(pid, 0)
                }
                WaitStatus::Stopped(pid, _) if !self.processes.contains_key(&pid) => {
                    self.early.insert(pid, ());
                    Ok(())
                }
                WaitStatus::Stopped(pid, Signal::SIGSTOP) => self.go_on(pid, None),
                WaitStatus::Stopped(pid, signal) => self.go_on(pid, Some(signal)),
                _ => Ok(()),
            }
        }

        fn begin(&mut self, pid: Pid, generation: u32) -> Result<(), Errno> {
            let (inside, fails) = (false, false);
            let process = Process {
                generation,
                inside,
                fails,
            };
            self.processes.insert(pid, process);
            self.go_on(pid, None)
        }

        /// To the next call, or when the fault is behind it to whatever else there is to see.
        fn go_on(&self, pid: Pid, signal: Option<Signal>) -> Result<(), Errno> {
            let failing = self.processes.get(&pid).is_some_and(|p| p.fails);
            if self.hit && !failing {
                ptrace::cont(pid, signal)
            } else {
                ptrace::syscall(pid, signal)
            }
        }

        fn event(&mut self, pid: Pid, event: i32) -> Result<(), Errno> {
            let generation = self.processes.get(&pid).map_or(0, |p| p.generation);
            if event == nix::libc::PTRACE_EVENT_EXEC {
                if generation >= AGENT {
                    self.processes.remove(&pid);
                    return ptrace::detach(pid, None);
                }
                return self.go_on(pid, None);
            }
            let child = ptrace::getevent(pid)?;
            let child = Pid::from_raw(i32::try_from(child).map_err(|_| Errno::ESRCH)?);
            if self.early.remove(&child).is_some() {
                self.begin(child, generation + 1)?;
            } else {
                let (inside, fails) = (false, false);
                let process = Process {
                    generation: generation + 1,
                    inside,
                    fails,
                };
                self.processes.insert(child, process);
            }
            self.go_on(pid, None)
        }

        fn call(&mut self, pid: Pid) -> Result<(), Errno> {
            let Some(process) = self.processes.get_mut(&pid) else {
                return Ok(());
            };
            process.inside = !process.inside;
            if !process.inside {
                if std::mem::take(&mut process.fails)
                    && let Some(fault) = &self.fault
                {
                    let mut registers = ptrace::getregs(pid)?;
                    registers.rax = (-fault.errno).cast_unsigned();
                    return ptrace::setregs(pid, registers);
                }
                return Ok(());
            }
            let mut registers = ptrace::getregs(pid)?;
            let call = registers.orig_rax.cast_signed();
            if self.hit || NEVER.contains(&call) {
                return Ok(());
            }
            let times = self.calls.entry((process.generation, call)).or_default();
            *times += 1;
            let here = self.fault.as_ref().is_some_and(|f| {
                (f.generation, f.call, f.at) == (process.generation, call, *times)
            });
            if here {
                self.hit = true;
                process.fails = true;
                // one that every filter lets through and that does nothing
                registers.orig_rax = nix::libc::SYS_getpid.cast_unsigned();
                ptrace::setregs(pid, registers)?;
            }
            Ok(())
        }
    }

    /// Children of this process by now: what the command did not take with it.
    fn left(report: &mut String) -> Result<(), Failed> {
        let until = Instant::now() + SOON;
        while Instant::now() < until {
            match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)) {
                Err(Errno::ECHILD) => return Ok(()),
                Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(2)),
                Ok(WaitStatus::PtraceEvent(pid, ..) | WaitStatus::PtraceSyscall(pid)) => {
                    ptrace::detach(pid, None).unwrap_or(());
                }
                Ok(WaitStatus::Stopped(pid, signal)) => {
                    let signal = Some(signal).filter(|s| *s != Signal::SIGSTOP);
                    ptrace::detach(pid, signal).unwrap_or(());
                }
                Ok(_) | Err(_) => {}
            }
        }
        let children = format!("/proc/self/task/{}/children", std::process::id());
        for pid in std::fs::read_to_string(children)?.split_ascii_whitespace() {
            let command = std::fs::read(format!("/proc/{pid}/cmdline"))?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            writeln!(report, "left {pid} {command}")?;
            nix::sys::signal::kill(Pid::from_raw(pid.parse()?), Signal::SIGKILL)?;
        }
        Ok(())
    }
}
