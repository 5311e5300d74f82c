//! What stands on the screen: the same keys typed into bash, vim, less and top, natively and in a
//! session, leave the same characters in the same places, and the cursor too.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use stockade_tests::{LEVELS, Place, install, stockade};

/// Longer than anything here takes; a screen that takes it is another one.
const PATIENCE: Duration = Duration::from_secs(20);
/// A native screen on which nothing has changed for this long is the one to compare with.
const QUIET: Duration = Duration::from_millis(400);
/// An account of every system that owns nothing.
const NOBODY: u32 = 65534;
const ROWS: u16 = 20;
const COLUMNS: u16 = 100;

const CTRL_A: &str = "\x01";
const CTRL_C: &str = "\x03";
const CTRL_G: &str = "\x07";
const CTRL_L: &str = "\x0c";
const CTRL_R: &str = "\x12";
const CTRL_Z: &str = "\x1a";
const ESCAPE: &str = "\x1b";
const UP: &str = "\x1b[A";

enum Step {
    Type(&'static str),
    /// The screen once this stands on it.
    Shot(&'static str),
    /// The screen once the cursor stands behind this.
    Prompt(&'static str),
    Size(u16, u16),
}
use Step::{Prompt, Shot, Size, Type};

/// The lines without what is behind their ends, and the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Screen {
    lines: Vec<String>,
    cursor: (u16, u16),
}

fn some(n: u16) -> NonZero<u16> {
    NonZero::new(n).expect("a size")
}

/// A shell on a terminal of its own; `r CMD` runs it at the level, or directly.
struct Shell {
    child: Child,
    keys: File,
    parser: vt100::Parser,
    _place: Place,
}

impl Shell {
    fn new(name: &str, level: Option<&str>, user: Option<u32>) -> Self {
        let place = Place::with_project(&format!("screens-{name}"));
        let bin = place.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        for folder in [place.path(), &place.home(), &place.work()] {
            std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
            chown(folder, user, user).unwrap();
        }
        let text: String = (1..=60)
            .map(|n| format!("line {n} of the text\n"))
            .collect();
        std::fs::write(place.work().join("text-with-a-long-name"), text).unwrap();
        chown(place.work().join("text-with-a-long-name"), user, user).unwrap();
        install(stockade(), &bin.join("stockade"));
        let prefix = level.map_or(String::new(), |level| {
            format!(
                "{}/stockade run --quiet --require {level} --",
                bin.display()
            )
        });
        let script = place.path().join("r.text");
        std::fs::write(&script, format!("#!/bin/sh\nexec {prefix} \"$@\"\n")).unwrap();
        install(&script, &bin.join("r"));
        let size = Winsize {
            ws_row: ROWS,
            ws_col: COLUMNS,
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
            .args(["bash", "--norc", "--noprofile", "-i"])
            .env("PS1", "out $?> ")
            .env("TERM", "xterm")
            .env("SHELL", "/bin/bash")
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .stdin(slave())
            .stdout(slave())
            .stderr(slave())
            .spawn()
            .unwrap();
        let parser = vt100::Parser::new(some(ROWS), some(COLUMNS), 0);
        Self {
            child,
            keys: pty.master.into(),
            parser,
            _place: place,
        }
    }

    /// Whether something came.
    fn read(&mut self, wait: Duration) -> bool {
        let mut fds = [PollFd::new(self.keys.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::try_from(wait).unwrap()).unwrap() == 0 {
            return false;
        }
        let mut bytes = [0; 4096];
        let n = self.keys.read(&mut bytes).unwrap_or(0);
        self.parser.process(&bytes[..n]);
        n > 0
    }

    fn screen(&self) -> Screen {
        let screen = self.parser.screen();
        let (_, columns) = screen.size();
        Screen {
            lines: screen
                .rows(0, columns.get())
                .map(|l| l.trim_end().to_owned())
                .collect(),
            cursor: screen.cursor_position(),
        }
    }

    fn type_in(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
    }

    fn resize(&mut self, rows: u16, columns: u16) {
        // one change: stty makes two, and the second would meet the next key
        let change = "import fcntl, struct, sys, termios as t; \
            fcntl.ioctl(0, t.TIOCSWINSZ, struct.pack('HHHH', *map(int, sys.argv[1:]), 0, 0))";
        let size = [rows, columns].map(|n| n.to_string());
        let tty = self.keys.try_clone().unwrap();
        let mut python = Command::new("python3");
        let done = python.args(["-c", change]).args(&size).stdin(tty).status();
        assert!(done.unwrap().success(), "{size:?}");
        self.parser.screen_mut().set_size(some(rows), some(columns));
    }

    /// The screen when it is so and nothing more comes.
    fn settled(&mut self, text: &str, so: impl Fn(&Screen) -> bool) -> Screen {
        let until = Instant::now() + PATIENCE;
        let mut came = false;
        loop {
            let more = self.read(QUIET);
            came |= more;
            let screen = self.screen();
            if came && !more && so(&screen) {
                return screen;
            }
            assert!(
                Instant::now() < until,
                "natively `{text}` was not seen: {screen:#?}"
            );
        }
    }

    /// Waits until the screen is `expected` and nothing more comes: a key that meets a program between
    /// what it draws and where it reads is the program's own race, natively too.
    fn becomes(
        &mut self,
        expected: &Screen,
        plain: fn(&Screen) -> Vec<String>,
    ) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let more = self.read(QUIET);
            if !more && plain(&self.screen()) == plain(expected) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("{:#?}\nnatively: {expected:#?}", self.screen()));
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // what runs on the terminal goes with it
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn everything(screen: &Screen) -> Vec<String> {
    let mut out = screen.lines.clone();
    out.push(format!("{:?}", screen.cursor));
    out
}

/// Native first, shot by shot; then each level until its screen is that one.
fn same(name: &str, steps: &[Step], plain: fn(&Screen) -> Vec<String>, also: fn(&str, &Screen)) {
    let ordinary = nix::unistd::geteuid().is_root().then_some(NOBODY);
    let users: BTreeSet<Option<u32>> = [None, ordinary].into();
    for user in users {
        let mut shots = Vec::new();
        let mut shell = Shell::new(name, None, user);
        for step in steps {
            match step {
                Type(text) => shell.type_in(text),
                Size(rows, columns) => shell.resize(*rows, *columns),
                Shot(text) => {
                    shots.push(shell.settled(text, |s| s.lines.iter().any(|l| l.contains(text))));
                }
                Prompt(text) => {
                    shots.push(shell.settled(text, |s| s.lines[usize::from(s.cursor.0)] == *text))
                }
            }
        }
        drop(shell);
        for level in LEVELS {
            let mut shell = Shell::new(name, Some(level), user);
            let mut expected = shots.iter();
            for (n, step) in steps.iter().enumerate() {
                match step {
                    Type(text) => shell.type_in(text),
                    Size(rows, columns) => shell.resize(*rows, *columns),
                    Shot(_) | Prompt(_) => {
                        let same = shell.becomes(expected.next().unwrap(), plain);
                        same.unwrap_or_else(|e| {
                            panic!("{name} at {level} as {user:?}, step {n}: {e}")
                        });
                        also(level, &shell.screen());
                    }
                }
            }
        }
    }
}

#[test]
fn bash_line_editing_jobs_and_size() {
    let steps = [
        Prompt("out 0>"),
        Type("r bash --norc --noprofile -i\n"),
        Prompt("out 0>"),
        Type("PS1='in $?> '\n"),
        Prompt("in 0>"),
        Type("wc -l te\t"),
        Shot("text-with-a-long-name"),
        Type("\n"),
        Shot("60 text"),
        Type(UP),
        Type(CTRL_A),
        Type("echo "),
        Shot("echo wc"),
        Type(CTRL_C),
        Prompt("in 130>"),
        Type(CTRL_R),
        Type("PS1"),
        Shot("reverse-i-search"),
        Type(CTRL_G),
        Prompt("in 130>"),
        // a key that comes before the program has the terminal is the shell's: it says when
        Type("sh -c 'echo re\"\"ady; exec sleep 100'\n"),
        Shot("ready"),
        Type(CTRL_C),
        Prompt("in 130>"),
        Type("bash -c 'echo re\"\"ady; read -r line; exit 7'\n"),
        Shot("ready"),
        Type(CTRL_Z),
        Prompt("in 148>"),
        Type("fg\n"),
        Shot("fg"),
        Type("typed\n"),
        Prompt("in 7>"),
        Type(CTRL_L),
        Prompt("in 7>"),
        Type("printf '%s-' one two three four five six seven eight nine ten eleven"),
        Shot("eleven"),
        Size(12, 40),
        Shot("eleven"),
        Type("\n"),
        Shot("eleven-in"),
        Type("stty size\n"),
        Shot("12 40"),
        Type("exit 3\n"),
        Prompt("out 3>"),
    ];
    same("bash", &steps, everything, |_, _| {});
}

#[test]
fn vim_edits_stops_and_follows_the_size() {
    let steps = [
        Prompt("out 0>"),
        Type("r vim -u NONE -N -i NONE --cmd 'set noswapfile ttimeoutlen=50' text*\n"),
        Shot("line 1 of"),
        Type("Ofirst line"),
        Type(ESCAPE),
        Shot("first line"),
        Type(":set number ruler\n"),
        Shot("1 first line"),
        Type("/line 42\n"),
        Shot("line 42"),
        Type("ddp"),
        Shot("line 43"),
        Type(CTRL_Z),
        Prompt("out 148>"),
        Type("fg\n"),
        Shot("line 43"),
        Size(15, 50),
        Shot("line 43"),
        Type(":!echo from a shell\n"),
        Shot("from a shell"),
        Type("\n"),
        Shot("line 43"),
        Type(":wq\n"),
        Prompt("out 0>"),
        Type("head -1 text*\n"),
        Shot("first line"),
    ];
    same("vim", &steps, everything, |_, _| {});
}

#[test]
fn less_pages_searches_and_follows_the_size() {
    let steps = [
        Prompt("out 0>"),
        Type("r less text*\n"),
        Shot("line 19 of"),
        Type(" "),
        Shot("line 38 of"),
        Type("/line 5\n"),
        Shot("line 50 of"),
        Type(CTRL_Z),
        Prompt("out 148>"),
        Type("fg\n"),
        Shot("line 50 of"),
        Size(10, 40),
        Shot("line 50 of"),
        Type("g"),
        Shot("line 1 of"),
        Type("!echo from a shell\n"),
        Shot("from a shell"),
        Type("\n"),
        Shot("line 1 of"),
        Type("G"),
        Shot("line 60 of"),
        Type("q"),
        Prompt("out 0>"),
    ];
    same("less", &steps, everything, |_, _| {});
}

/// Names of fields and columns; the numbers are the machine's.
fn layout(screen: &Screen) -> Vec<String> {
    let words = |line: &String| {
        let text = line.replace(|c: char| !c.is_ascii_alphabetic() && c != '%', " ");
        let varies = ["user", "users", "day", "days", "min"];
        let words = text.split_whitespace().filter(|w| !varies.contains(w));
        words.collect::<Vec<_>>().join(" ")
    };
    let columns = screen.lines.iter().position(|l| l.contains("COMMAND"));
    let mut out: Vec<String> = screen.lines[..=columns.unwrap_or(0)]
        .iter()
        .map(words)
        .collect();
    let last = &screen.lines[usize::from(screen.cursor.0)];
    out.extend(last.starts_with("out ").then(|| last.clone()));
    out
}

#[test]
fn top_shows_its_fields_and_the_sessions_processes() {
    let steps = [
        Prompt("out 0>"),
        Type("r top -d 100\n"),
        Shot("COMMAND"),
        Type("1"),
        Shot("%Cpu0"),
        Type("1"),
        Shot("%Cpu(s)"),
        Size(12, 80),
        Shot("COMMAND"),
        Type("q"),
        Prompt("out 0>"),
    ];
    same("top", &steps, layout, |level, screen| {
        let columns = screen.lines.iter().position(|l| l.contains("COMMAND"));
        let Some(columns) = columns.filter(|_| level == "namespaces") else {
            return;
        };
        let rows: Vec<_> = screen.lines[columns + 1..]
            .iter()
            .filter(|l| !l.is_empty())
            .collect();
        assert!(
            rows.len() <= 3 && rows.iter().any(|l| l.ends_with(" top")),
            "{screen:#?}"
        );
    });
}
