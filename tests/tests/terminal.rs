//! The terminal, signals and pipes: the same keys typed into the same shell, with the command run
//! directly and in a session, give the same screen and the same statuses.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use stockade_tests::{LEVELS, Place, install, stockade};

/// Longer than anything here takes; a step that takes it has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// An account of every system that owns nothing.
const NOBODY: u32 = 65534;
/// The prompt, with the last status in it. Nothing that is typed holds an `@`.
const PROMPT: &str = "@$?@ ";

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const CTRL_Z: &str = "\x1a";
const CTRL_BACKSLASH: &str = "\x1c";

enum Step {
    /// Typed with a newline at the prompt or into a program.
    Line(&'static str),
    Key(&'static str),
    /// Stands on the screen after what was seen before. Typed lines are echoed: a command prints
    /// `re""ady`, so that its output differs from its echo.
    See(&'static str),
    /// The prompt with this status.
    Prompt(i32),
    /// The terminal gets this many rows and columns.
    Size(u16, u16),
    /// A program with this in its arguments runs and its group has the terminal: what is typed
    /// reaches it. The shell says which job it continues before it does.
    Runs(&'static str),
    /// Nothing of a session runs, no zombie is left.
    Gone,
}
use Step::{Gone, Key, Line, Prompt, Runs, See, Size};

/// A shell on a terminal of its own.
struct Shell {
    child: Child,
    screen: File,
    seen: String,
    /// Until where it was waited for.
    at: usize,
    place: Place,
}

impl Shell {
    /// `r CMD` runs it at the level, or directly.
    fn new(name: &str, level: Option<&str>, user: Option<u32>) -> Self {
        let place = Place::new(&format!("terminal-{name}-{}", level.unwrap_or("native")));
        for folder in [place.path(), &place.home(), &place.work()] {
            std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
            chown(folder, user, user).unwrap();
        }
        let bin = place.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let own = bin.join("stockade");
        install(stockade(), &own);
        let prefix = level.map_or(String::new(), |level| {
            format!("{} run --quiet --require {level} --", own.display())
        });
        let script = bin.join("r");
        let text = place.path().join("r.text");
        std::fs::write(&text, format!("#!/bin/sh\nexec {prefix} \"$@\"\n")).unwrap();
        install(&text, &script);
        let size = Winsize {
            ws_row: 24,
            ws_col: 200,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&size, None).unwrap();
        let slave = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = place.command("setsid");
        command.arg("--ctty");
        if let Some(id) = user.map(|id| id.to_string()) {
            let ids = ["--reuid", &id, "--regid", &id, "--clear-groups", "--"];
            command.arg("setpriv").args(ids);
        }
        let child = command
            .args(["bash", "--norc", "--noprofile", "--noediting", "-i"])
            .env("PS1", PROMPT)
            .env("TERM", "dumb")
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("SHELL_OF", place.path())
            .stdin(slave())
            .stdout(slave())
            .stderr(slave())
            .spawn()
            .unwrap();
        Self {
            child,
            screen: pty.master.into(),
            seen: String::new(),
            at: 0,
            place,
        }
    }

    fn type_in(&mut self, text: &str) {
        self.screen.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until `text` stands on the screen.
    fn see(&mut self, text: &str) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(n) = self.seen[self.at..].find(text) {
                self.at += n + text.len();
                return Ok(());
            }
            if Instant::now() > until || !self.read(Duration::from_millis(100)) {
                return Err(format!("`{text}` was not seen in:\n{}", self.seen));
            }
        }
    }

    /// False when nobody has the terminal any more.
    fn read(&mut self, wait: Duration) -> bool {
        let mut fds = [PollFd::new(self.screen.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(wait).unwrap();
        if poll(&mut fds, timeout).unwrap() == 0 {
            return true;
        }
        let mut bytes = [0; 4096];
        match self.screen.read(&mut bytes) {
            Ok(n) if n > 0 => {
                self.seen += &String::from_utf8_lossy(&bytes[..n]);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Line(text) => self.type_in(&format!("{text}\n")),
            Key(key) => self.type_in(key),
            See(text) => return self.see(text),
            Prompt(status) => return self.see(&format!("@{status}@ ")),
            Size(rows, columns) => {
                let size = format!("stty rows {rows} cols {columns}");
                let tty = self.screen.try_clone().unwrap();
                let done = Command::new("sh").args(["-c", &size]).stdin(tty).status();
                assert!(done.unwrap().success(), "{size}");
            }
            Runs(text) => {
                if !becomes(|| in_foreground(self.child.id(), text)) {
                    return Err(format!("`{text}` does not run in:\n{}", self.seen));
                }
            }
            Gone => {
                let place = self.place.path().to_owned();
                if !becomes(|| left(&place, self.child.id()).is_empty()) {
                    return Err(format!("left: {:?}", left(&place, self.child.id())));
                }
            }
        }
        Ok(())
    }

    /// The screen after all steps; then the shell ends, and with it everything.
    fn play(mut self, steps: &[Step]) -> Result<String, String> {
        self.see("@0@ ")?;
        for (n, step) in steps.iter().enumerate() {
            self.step(step).map_err(|e| format!("step {n}: {e}"))?;
        }
        self.step(&Gone)?;
        Ok(std::mem::take(&mut self.seen))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // a shell that a test left behind takes its jobs with it when its terminal goes
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Looks until it is so.
fn becomes(what: impl Fn() -> bool) -> bool {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// Fields of /proc/PID/stat after the name: state, parent, group, session, terminal, its group.
fn stat(pid: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    fields.split(' ').map(str::to_owned).collect()
}

fn in_foreground(shell: u32, text: &str) -> bool {
    let group = stat(&shell.to_string()).swap_remove(5);
    let mut found = false;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let fields = stat(&name);
        if fields.get(2) != Some(&group) {
            continue;
        }
        if fields[0] == "T" {
            return false;
        }
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        found |= String::from_utf8_lossy(&line)
            .replace('\0', " ")
            .contains(text);
    }
    found
}

/// Processes of the place but the shell: stockade's own by their program, the command's by their
/// environment, and children of the shell that nobody waited for.
fn left(place: &Path, shell: u32) -> Vec<String> {
    let marker = format!("SHELL_OF={}", place.display());
    let mut out = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let at = entry.path();
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<u32>().ok())
        else {
            continue;
        };
        if pid == shell {
            continue;
        }
        let own = at
            .join("exe")
            .read_link()
            .is_ok_and(|p| p.starts_with(place));
        let environment = std::fs::read(at.join("environ")).unwrap_or_default();
        let its = environment
            .split(|b| *b == 0)
            .any(|v| v == marker.as_bytes());
        let fields = stat(&pid.to_string());
        let child = fields.get(1) == Some(&shell.to_string());
        if own || its || child {
            let line = std::fs::read(at.join("cmdline")).unwrap_or_default();
            out.push(format!(
                "{pid} {fields:?} {}",
                String::from_utf8_lossy(&line)
            ));
        }
    }
    out
}

/// Numbers of jobs stay, ids of processes go, and which job the shell calls the current one: one that
/// is continued and ends meanwhile is called either.
fn screen(text: &str, place: &str) -> String {
    let mut out = String::new();
    for line in text.replace(place, "PLACE").lines() {
        let line = line
            .trim_end()
            .replacen("]+ ", "]  ", 1)
            .replacen("]- ", "]  ", 1);
        match line.split_once("] ") {
            Some((job, id)) if id.parse::<u32>().is_ok() => out += &format!("{job}] ID\n"),
            _ => out += &format!("{line}\n"),
        }
    }
    out
}

/// Native first: what it shows is what both levels must show.
fn same(name: &str, steps: &[Step]) {
    let play = |level: Option<&str>, user| {
        let shell = Shell::new(name, level, user);
        let place = shell.place.path().display().to_string();
        let played = shell.play(steps);
        played.map(|text| screen(&text, &place))
    };
    let native = play(None, None).unwrap_or_else(|e| panic!("native: {e}"));
    let ordinary = nix::unistd::geteuid().is_root().then_some(NOBODY);
    let users: BTreeSet<Option<u32>> = [None, ordinary].into();
    for level in LEVELS {
        for user in &users {
            let confined = play(Some(level), *user);
            let confined = confined.unwrap_or_else(|e| panic!("{level} {user:?}: {e}"));
            assert_eq!(confined, native, "{name} at {level} {user:?}");
        }
    }
}

/// Prints `ready` and then sleeps; typed, so that the echo differs.
const SLEEP: &str = "r sh -c 'echo re\"\"ady; exec sleep 100'";
const READY: Step = See("\nready");

#[test]
fn ctrl_c_and_ctrl_backslash_end_the_command_and_the_shell_goes_on() {
    same(
        "interrupt",
        &[
            Line(SLEEP),
            READY,
            Key(CTRL_C),
            Prompt(130),
            Line("ulimit -c 0"),
            Prompt(0),
            Line(SLEEP),
            READY,
            Key(CTRL_BACKSLASH),
            Prompt(131),
            // a command that takes it itself
            Line(
                "r sh -c 'trap \"echo go\"\"t; exit 9\" INT; echo re\"\"ady; while :; do sleep 0.05; done'",
            ),
            READY,
            Key(CTRL_C),
            See("got"),
            Prompt(9),
            Line("echo still he\"\"re"),
            See("still here"),
            Prompt(0),
        ],
    );
}

#[test]
fn ctrl_z_stops_fg_continues_and_the_status_is_right() {
    same(
        "stop",
        &[
            // one that starts no others: a shell that is stopped while it does can't report it
            Line("r bash -c 'echo re\"\"ady; read -r line; exit 7'"),
            READY,
            Key(CTRL_Z),
            See("Stopped"),
            Prompt(148),
            Line("jobs"),
            See("Stopped"),
            Prompt(0),
            Line("fg"),
            Runs("read -r line"),
            Line("typed"),
            Prompt(7),
            // twice, and ended from the keyboard
            Line(SLEEP),
            READY,
            Key(CTRL_Z),
            See("Stopped"),
            Prompt(148),
            Line("fg"),
            Runs("sleep 100"),
            Key(CTRL_Z),
            See("Stopped"),
            Prompt(148),
            Line("bg"),
            Prompt(0),
            Line("kill -TERM %1; wait %1"),
            Prompt(143),
        ],
    );
}

#[test]
fn the_size_of_the_terminal_reaches_the_command() {
    same(
        "size",
        &[
            Line("r stty size"),
            See("24 200"),
            Prompt(0),
            Line(
                "r bash -c 'trap \"stty size; exit 4\" WINCH; echo re\"\"ady; while :; do sleep 0.05; done'",
            ),
            READY,
            Size(33, 120),
            See("33 120"),
            Prompt(4),
        ],
    );
}

#[test]
fn a_shell_inside_has_its_own_jobs() {
    same(
        "inside",
        &[
            Line("r bash --norc --noprofile --noediting -i"),
            Prompt(0),
            Line("echo in\"\"side"),
            See("inside"),
            Prompt(0),
            Key(CTRL_C),
            Prompt(130),
            Line("sh -c 'echo re\"\"ady; exec sleep 100'"),
            READY,
            Key(CTRL_Z),
            See("Stopped"),
            Prompt(148),
            Line("jobs"),
            See("Stopped"),
            Prompt(0),
            Line("fg"),
            Runs("sleep 100"),
            Key(CTRL_C),
            Prompt(130),
            Line("sleep 100 &"),
            Prompt(0),
            Line("kill %1; wait %1"),
            Prompt(143),
            Line("exit 5"),
            Prompt(5),
        ],
    );
}

#[test]
fn pipes_and_redirections() {
    same(
        "pipes",
        &[
            Line("echo x | r cat | cat"),
            See("\nx"),
            Prompt(0),
            Line("yes | r head -1; echo ${PIPESTATUS[*]}"),
            See("141 0"),
            Prompt(0),
            Line("r yes | head -1; echo ${PIPESTATUS[*]}"),
            See("141 0"),
            Prompt(0),
            Line("echo text > in; r cat < in > out; cat out"),
            See("\ntext"),
            Prompt(0),
            Line("r sh -c 'echo out; echo err >&2' 2>&1 >/dev/null | r tr a-z A-Z"),
            See("ERR"),
            Prompt(0),
            Line("r cat"),
            Line("typed"),
            See("typed\r\ntyped"),
            Key(CTRL_D),
            Prompt(0),
            // the whole pipeline, from the keyboard
            Line("r sh -c 'echo re\"\"ady >&2; exec sleep 100' | r cat"),
            READY,
            Key(CTRL_C),
            Prompt(130),
            Line("r sh -c 'echo re\"\"ady >&2; exec sleep 100' | cat"),
            READY,
            Key(CTRL_Z),
            See("Stopped"),
            Prompt(148),
            Line("fg"),
            See("| cat"),
            Runs("sleep 100"),
            Key(CTRL_C),
            Prompt(130),
        ],
    );
}

#[test]
fn in_the_background() {
    same(
        "background",
        &[
            Line("r sh -c 'until test -e go; do sleep 0.05; done; exit 3' &"),
            Prompt(0),
            Line("touch go; wait $!"),
            Prompt(3),
            // a read from the terminal stops it, as always
            Line("r cat & until jobs | grep -q Stopped; do sleep 0.05; done"),
            Prompt(0),
            Line("jobs"),
            See("Stopped"),
            Prompt(0),
            Line("fg"),
            See("r cat"),
            Runs("cat"),
            Line("typed"),
            See("typed\r\ntyped"),
            Key(CTRL_D),
            Prompt(0),
        ],
    );
}

#[test]
fn signals_to_stockade_are_the_commands() {
    const WAITS: &str = "r sh -c 'touch up; exec sleep 100' &";
    const UP: &str = "until test -e up; do sleep 0.05; done; rm up";
    let mut steps = Vec::new();
    for (line, status) in [
        ("kill -TERM $!; wait $!", 143),
        ("kill -HUP $!; wait $!", 129),
        ("kill -INT $!; wait $!", 130),
        ("kill -QUIT $!; wait $!", 131),
        ("kill -USR1 $!; wait $!", 138),
        ("kill -ALRM $!; wait $!", 142),
        ("kill -KILL $!; wait $!", 137),
    ] {
        steps.extend([
            Line("ulimit -c 0"),
            Prompt(0),
            Line(WAITS),
            Prompt(0),
            Line(UP),
            Prompt(0),
            Line(line),
            Prompt(status),
            Gone,
        ]);
    }
    const TRAPS: &str = "r sh -c 'trap \"exit 5\" TERM; touch up; while :; do sleep 0.05; done' &";
    const STOPS: &str = "r sh -c 'touch up; until test -e go; do sleep 0.05; done; exit 7' &";
    steps.extend([
        Line(TRAPS),
        Prompt(0),
        Line(UP),
        Prompt(0),
        Line("kill -TERM $!; wait $!"),
        Prompt(5),
        Line(STOPS),
        Prompt(0),
        Line(UP),
        Prompt(0),
        Line("kill -STOP $!; until jobs | grep -q Stopped; do sleep 0.05; done"),
        Prompt(0),
        Line("kill -CONT $!; touch go; wait $!"),
        Prompt(7),
    ]);
    same("signals", &steps);
}

#[test]
fn without_a_terminal_nothing_opens_one() {
    for level in LEVELS {
        let place = Place::new(&format!("terminal-none-{level}"));
        let out = place
            .command("setsid")
            .args(["--wait"])
            .arg(stockade())
            .args(["run", "--quiet", "--require", level, "--", "sh", "-c"])
            // field 7 is the terminal, 0 where there is none
            .arg("cut -d' ' -f7 /proc/self/stat; cat 2>/dev/null < /dev/tty || echo none")
            .output()
            .unwrap();
        let text = stockade_tests::text(&out);
        assert!(out.status.success() && text.starts_with("0\n"), "{text}");
        assert!(text.ends_with("none\n"), "{level}: {text}");
    }
}

/// A launch that fails after the terminal was handed over gives it back to the script around it.
#[test]
fn a_failed_launch_leaves_the_terminal_to_the_script() {
    let user = nix::unistd::geteuid().is_root().then_some(NOBODY);
    for level in LEVELS {
        let shell = Shell::new("failed", Some(level), user);
        // more than an ordinary user may set: refused in the agent's own process
        let policy = shell.place.path().join("files.toml");
        std::fs::write(&policy, "version = 1\n[limits]\nfiles = 2000000000\n").unwrap();
        let played = shell.play(&[
            Line("sh -c 'stockade run --policy ../files.toml -- true; echo st\"\"ate $?; read -r line; echo go\"\"t $line'"),
            See("setting the limits: EPERM"),
            See("state 125"),
            Line("typed"),
            See("got typed"),
            Prompt(0),
        ]);
        played.unwrap_or_else(|e| panic!("{level}: {e}"));
    }
}
