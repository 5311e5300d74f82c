//! Each system call of the supervisor, the stage, init and the agent's process, at each of its
//! occurrences, fails with ENOMEM, EPERM and EMFILE: one fault a run.
//! `STOCKADE_ONLY="landlock 0 rename 2 EPERM, namespaces 1 mount"` tries these alone: a series, and as
//! much of its faults' names as they have in common.

use crate::ground::{Ground, User, confined, text_of, users};
use libseccomp::ScmpSyscall;
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use stockade_tests::{LEVELS, full};

/// Those of a level that is required, and that of what the host allows.
const SERIES: [&str; 3] = ["namespaces", "landlock", "any"];
const ERRNOS: [Errno; 3] = [Errno::ENOMEM, Errno::EPERM, Errno::EMFILE];
/// Of a series, where not all are wanted, besides the first of each call.
const PART: usize = 30;

#[derive(Debug, Clone, Copy)]
struct Fault {
    generation: u32,
    call: i32,
    at: u32,
    errno: Errno,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = ScmpSyscall::from_raw_syscall(self.call).get_name();
        let name = name.unwrap_or_else(|_| self.call.to_string());
        write!(
            f,
            "generation {} {name} {} {:?}",
            self.generation, self.at, self.errno
        )
    }
}

impl Fault {
    fn is_named(&self, name: &str) -> bool {
        let own = self.to_string();
        let own = own.strip_prefix("generation ").unwrap_or(&own);
        let rest = own.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || name.is_empty() || rest.starts_with(' '))
    }
}

/// What is asked for of a series, where not all of every series is.
fn only(series: &str) -> Option<Vec<String>> {
    let text = std::env::var("STOCKADE_ONLY").ok()?;
    let mut ours = Vec::new();
    for one in text.split(',').map(str::trim) {
        let (of, name) = one.split_once(' ').unwrap_or((one, ""));
        assert!(SERIES.contains(&of), "no series `{of}` but {SERIES:?}");
        ours.extend((of == series).then(|| name.to_owned()));
    }
    Some(ours)
}

/// One level that is required, or what the host allows.
struct Series {
    ground: Ground,
    options: Vec<&'static str>,
    level: &'static str,
    /// What the agent reports without a fault, by level.
    expected: BTreeMap<&'static str, Vec<String>>,
    figures: BTreeMap<&'static str, u32>,
    wrong: Vec<String>,
}

struct Run {
    signal: Option<i32>,
    status: i32,
    reported: Vec<String>,
    said: String,
    report: String,
}

impl Series {
    fn new(name: &str, user: User, options: &[&'static str], level: &'static str) -> Self {
        let mut series = Self {
            ground: Ground::new(name, user),
            options: options.to_vec(),
            level,
            expected: BTreeMap::new(),
            figures: BTreeMap::from([("fail-open", 0), ("hit", 0)]),
            wrong: Vec::new(),
        };
        for level in LEVELS {
            let run = series.run(&["--require", level], None);
            assert_eq!(run.status, 0, "{level}: {}", run.said);
            assert_eq!(
                series.ground.wrong(),
                Vec::<String>::new(),
                "{level}: {}",
                run.said
            );
            assert_eq!(confined(level, &run.reported), Ok(()));
            series.expected.insert(level, run.reported);
            series.ground.restore();
        }
        series
    }

    fn run(&self, options: &[&str], fault: Option<Fault>) -> Run {
        let fault = fault.map(|f| {
            [
                i64::from(f.generation),
                i64::from(f.call),
                i64::from(f.at),
                f.errno as i64,
            ]
        });
        let (out, report) = self.ground.injected(options, fault);
        Run {
            signal: out.status.signal(),
            status: out.status.code().unwrap_or(-1),
            reported: text_of(&out.stdout).lines().map(str::to_owned).collect(),
            said: text_of(&out.stderr),
            report,
        }
    }

    /// Every call that a run without a fault makes, as often as it makes it.
    fn faults(&mut self, only: Option<&[String]>) -> Vec<Fault> {
        let run = self.run(&self.options, None);
        self.ground.restore();
        let mut all = Vec::new();
        for line in run.report.lines() {
            let numbers: Vec<i32> = line.split(' ').filter_map(|n| n.parse().ok()).collect();
            let [generation, call, times] = *numbers else {
                panic!("{line}");
            };
            let (generation, times) = (generation.unsigned_abs(), times.unsigned_abs());
            let each = (1..=times).flat_map(|at| ERRNOS.map(|errno| (at, errno)));
            all.extend(each.map(|(at, errno)| Fault {
                generation,
                call,
                at,
                errno,
            }));
        }
        let listed = u32::try_from(all.len()).unwrap();
        self.figures.insert("listed", listed);
        if let Some(only) = only {
            for name in only {
                assert!(all.iter().any(|f| f.is_named(name)), "no fault `{name}`");
            }
            all.retain(|fault| only.iter().any(|name| fault.is_named(name)));
            return all;
        }
        // where no level is required the faults are those of the required one
        if full() && !self.options.is_empty() {
            return all;
        }
        let step = (all.len() / PART).max(1);
        // each errno is met
        let step = step + usize::from(step.is_multiple_of(ERRNOS.len()));
        let errno = |f: &Fault| ERRNOS[(f.call.unsigned_abs() + f.at) as usize % ERRNOS.len()];
        let mut n = 0;
        all.retain(|f| {
            n += 1;
            (f.at == 1 && f.errno == errno(f)) || n % step == 0
        });
        all
    }

    fn count(&mut self, what: &'static str) {
        *self.figures.entry(what).or_default() += 1;
    }

    /// What is wrong.
    fn try_all(mut self, name: &str, only: Option<&[String]>) -> Vec<String> {
        for fault in self.faults(only) {
            self.ground.restore();
            let run = self.run(&self.options, Some(fault));
            self.count("runs");
            if run.report.starts_with("hit") {
                self.count("hit");
            }
            let mut wrong = self.judged(fault, &run);
            wrong.extend(self.ground.wrong());
            if !wrong.is_empty() {
                let (status, said) = (run.status, &run.said);
                let wrong = wrong.join("; ");
                let wrong = format!("{name}: {fault}: {wrong} (status {status}):\n{said}");
                println!("{wrong}");
                self.wrong.push(wrong);
            }
        }
        println!("{name}: {} wrong of {:?}", self.wrong.len(), self.figures);
        self.wrong
    }

    fn judged(&mut self, fault: Fault, run: &Run) -> Vec<String> {
        let mut wrong = Vec::new();
        if run.signal.is_some() {
            return vec![format!("hangs ({:?})", run.signal)];
        }
        if run.said.contains("panicked") && !in_rusts_own_start(&run.said) {
            wrong.push("panics".into());
        }
        wrong.extend(
            run.report
                .lines()
                .filter(|l| l.starts_with("left"))
                .map(str::to_owned),
        );
        let fell = run.said.contains("stockade: level landlock (");
        let level = if fell { "landlock" } else { self.level };
        if fell && self.options.contains(&"--require") {
            self.count("fail-open");
            wrong.push("another level than the required one".into());
        }
        let expected = &self.expected[level];
        let differs = run
            .reported
            .iter()
            .zip(expected)
            .find(|(is, should)| is != should && !refused_by_the_supervisor(level, is));
        let whole = run.reported.len() == expected.len();
        if let Some((is, should)) = differs {
            wrong.push(format!("`{is}` is not `{should}`"));
            self.count("fail-open");
        }
        if run.reported.is_empty() {
            self.count("not started");
            wrong.extend(ended(fault, run));
        } else if run.status == 0 && whole {
            self.count(if fell {
                "ran a level lower"
            } else {
                "ran confined"
            });
        } else {
            self.count("ended while it ran");
            wrong.extend(ended(fault, run));
        }
        wrong
    }
}

/// Before the first line of stockade's own in a process or a thread.
fn in_rusts_own_start(said: &str) -> bool {
    ["initialization or cleanup bug", "alternative stack"]
        .iter()
        .any(|text| said.contains(text))
}

/// What is wrong with how a run ended that stockade itself ended.
fn ended(fault: Fault, run: &Run) -> Option<String> {
    let says = |text: &str| run.said.contains(text);
    // the loader and Rust's start before stockade's first line, and where memory has run out:
    // SIGABRT, SIGSEGV, or 127
    let before = fault.generation == 0 && run.reported.is_empty();
    let aborts = says("memory allocation of") || in_rusts_own_start(&run.said);
    if (before && matches!(run.status, 127 | 134 | 139)) || aborts {
        return None;
    }
    let before = ["signal: 6", "signal: 11", "status: 127"];
    if fault.generation == 1 && run.status == 125 && before.iter().any(|b| says(b)) {
        return None;
    }
    if !says("stockade: ") {
        return Some("no message".into());
    }
    // as `env` says it of the command's own exec
    let execs = fault.generation > 0 && fault.call == nix::libc::SYS_execve as i32;
    if run.status != 125 && !(execs && run.status == 126) {
        return Some("not 125".into());
    }
    // two libraries, two texts; libseccomp keeps its reason to itself
    let by_std = std::io::Error::from(fault.errno).to_string();
    let by_std = by_std.split(" (os error").next().unwrap_or_default();
    let named = [fault.errno.desc(), by_std, "libseccomp"];
    // std's recursive mkdir says EEXIST when it can't look at what is there
    if fault.call == nix::libc::SYS_statx as i32 && says("File exists") {
        return None;
    }
    // pthread_create(3) says so of whatever it lacks
    if says("EAGAIN") {
        return None;
    }
    // the stage has no other way to say it
    let channel = [nix::libc::SYS_sendto as i32, nix::libc::SYS_fcntl as i32];
    if fault.generation > 0 && channel.contains(&fault.call) && says("exit status: 125") {
        return None;
    }
    (!named.iter().any(|n| says(n))).then(|| "does not name the errno".into())
}

/// Tracer and traced on one CPU take turns in less than half the time: no CPU is woken for each call.
fn on_one_cpu(which: usize) {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).unwrap();
    let allowed: Vec<usize> = (0..CpuSet::count())
        .filter(|n| allowed.is_set(*n).unwrap())
        .collect();
    let mut one = CpuSet::new();
    one.set(allowed[which % allowed.len()]).unwrap();
    sched_setaffinity(this, &one).unwrap();
}

fn series(name: &str, options: &[&'static str], level: &'static str) {
    let only = only(name);
    if only.as_ref().is_some_and(Vec::is_empty) {
        println!("{name}: not asked for");
        return;
    }
    on_one_cpu(LEVELS.iter().position(|l| *l == level).unwrap());
    let mut wrong = Vec::new();
    for user in users() {
        let name = format!("{name}-{user:?}");
        let series = Series::new(&name, user, options, level);
        wrong.extend(series.try_all(&name, only.as_deref()));
    }
    assert!(wrong.is_empty(), "{} are wrong", wrong.len());
}

#[test]
fn a_fault_at_level_namespaces_opens_nothing() {
    series("namespaces", &["--require", "namespaces"], "namespaces");
}

#[test]
fn a_fault_at_level_landlock_opens_nothing() {
    series("landlock", &["--require", "landlock"], "landlock");
}

#[test]
fn a_fault_where_the_level_is_open_opens_nothing() {
    series("any", &[], "namespaces");
}

/// At `landlock` the supervisor performs these: where that fails, none of them is made.
fn refused_by_the_supervisor(level: &str, tried: &str) -> bool {
    let performed = [
        "bind ",
        "connect ",
        "connect-elsewhere ",
        "unix ",
        "abstract ",
    ];
    level == "landlock"
        && !tried.ends_with(": ok")
        && performed.iter().any(|name| tried.starts_with(name))
}
