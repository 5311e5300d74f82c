//! For people: one line an event, in the order in which things ended, under a header for each action.

use super::line::{Keep, cut, fit, quoted, width, word};
use super::{Format, Look, Out, Sink, Unwritten};
use crate::claim::Says;
use crate::event::{ActionName, Event, Kind, Missing};
use crate::value::{Address, Argument, Bytes, Value};
use std::collections::{HashMap, HashSet};
use stockade_abi::{Count, CountKey};

pub const FORMAT: Format = Format {
    name: "text",
    about: "one line an event, for people",
    counts: false,
    open: |out, look| Box::new(Terminal::new(out, look)),
};

struct Terminal {
    out: Out,
    look: Look,
    names: HashMap<u32, ActionName>,
    begun: HashSet<u32>,
    /// Whose header was last, and what it was claimed to be.
    speaks: Option<(u32, Option<String>)>,
}

/// A line in parts: what is done, what it is done to, what came of it.
#[derive(Debug, Default)]
struct Line {
    head: String,
    parts: Vec<(String, Keep)>,
    tail: &'static str,
    result: String,
    style: &'static str,
}

const PLAIN: &str = "";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const RESET: &str = "\x1b[0m";

/// Columns for a result behind the column where results begin.
const RESULT: usize = 12;
/// That column where no screen has an end.
const COLUMN: usize = 56;

fn text(bytes: &Bytes) -> String {
    quoted(&bytes.0)
}

/// One argument as strace(1) shows it.
pub fn value(value: &Value) -> String {
    match value {
        Value::Number(n) => n.to_string(),
        Value::Unsigned(n) => n.to_string(),
        Value::Descriptor(n) => n.to_string(),
        Value::Pointer(0) => "NULL".into(),
        Value::Pointer(at) => format!("{at:#x}"),
        Value::Unreadable(at) => format!("{at:#x}?"),
        Value::Path(path) => text(&path.text),
        Value::Text(bytes) | Value::Bytes(bytes) => text(bytes),
        Value::Mode(mode) => format!("{mode:#05o}").replacen("0o", "0", 1),
        Value::Flags(flags) => flags.clone(),
        Value::Address(address) => self::address(address),
        Value::Strings(all) => {
            let all: Vec<String> = all.iter().map(text).collect();
            format!("[{}]", all.join(", "))
        }
        Value::Descriptors(all) => format!("{all:?}"),
        Value::Fields(all) => {
            let field = |a: &Argument| format!("{}={}", a.name, self::value(&a.value));
            let all: Vec<String> = all.iter().map(field).collect();
            format!("{{{}}}", all.join(", "))
        }
    }
}

fn address(address: &Address) -> String {
    match address {
        Address::Inet { host, port } => format!("{host}:{port}"),
        Address::Inet6 { host, port } => format!("[{host}]:{port}"),
        Address::Unix { path, .. } => format!("unix:{}", text(path)),
        Address::Abstract { name } => format!("unix:@{}", text(name)),
        Address::Unnamed => "unix:".into(),
        Address::Netlink { pid, groups } => format!("netlink:{pid}:{groups:#x}"),
        Address::Other { family, bytes } => format!("family {family}:{}", text(bytes)),
    }
}

/// Of a path the end says more.
fn part(argument: &Argument) -> (String, Keep) {
    let keep = if matches!(argument.value, Value::Path(_)) {
        Keep::Tail
    } else {
        Keep::Head
    };
    (value(&argument.value), keep)
}

/// What an action is called, as a shell would take it.
pub fn name(name: &ActionName) -> String {
    let words: Vec<String> = name.0.iter().map(|w| word(&w.0)).collect();
    words.join(" ")
}

fn simple(head: String, style: &'static str) -> Line {
    Line {
        head,
        style,
        ..Line::default()
    }
}

/// What happened, without who did it.
fn line(kind: &Kind) -> Line {
    match kind {
        Kind::Call {
            call,
            arguments,
            result,
            errno,
            filtered,
            rule,
            ..
        } => {
            let result = came_to(*result, *errno, *filtered);
            let rule = rule.iter().map(|r| format!(" [{}]", word(r.as_bytes())));
            Line {
                head: format!("{call}("),
                parts: arguments.iter().map(part).collect(),
                tail: ")",
                result: rule.fold(result, |all, rule| all + &rule),
                style: if errno.is_some() { RED } else { PLAIN },
            }
        }
        Kind::Fork { parent, thread } => {
            let what = if *thread { "thread" } else { "process" };
            simple(format!("+ {what} of {parent}"), DIM)
        }
        Kind::Exec {
            file,
            arguments,
            environment,
            ..
        } => Line {
            head: "exec ".into(),
            parts: std::iter::once((text(file), Keep::Tail))
                .chain(arguments.iter().map(|a| (text(a), Keep::Head)))
                .collect(),
            tail: "",
            result: format!("/* {} variables */", environment.len()),
            style: GREEN,
        },
        Kind::Exit {
            status: Some(status),
            ..
        } => simple(format!("exits with {status}"), DIM),
        Kind::Exit { signal, .. } => simple(format!("ended by {}", signal_name(*signal)), RED),
        Kind::Uring { operation, .. } => simple(format!("io_uring {operation}"), PLAIN),
        Kind::Action { name: of } => simple(name(of), BOLD),
        Kind::Claim { says, id, label } => simple(claim(says, id, label), PLAIN),
        Kind::FalseClaim { of, says } => {
            let says = quoted(says.as_bytes());
            simple(format!("false claim of action {of}: {says}"), RED)
        }
        Kind::Unknown { number, size } => {
            let what = format!("record of unknown kind {number}, {size} bytes");
            simple(what, RED)
        }
        Kind::Missing(missing) => simple(lacking(missing), RED),
    }
}

fn came_to(result: Option<i64>, errno: Option<&str>, filtered: bool) -> String {
    match (result, errno) {
        (None, _) => "= ?".into(),
        (Some(_), Some(errno)) if filtered => format!("= -1 {errno} (filter)"),
        (Some(_), Some(errno)) => format!("= -1 {errno}"),
        (Some(result), None) => format!("= {result}"),
    }
}

fn claim(says: &Says, id: &str, label: &str) -> String {
    let (id, label) = (quoted(id.as_bytes()), quoted(label.as_bytes()));
    match says {
        Says::Run => format!("claims to be {label} ({id})"),
        Says::Begin => format!("claims that {label} begins ({id})"),
        Says::End => format!("claims that {id} ends"),
    }
}

fn signal_name(signal: Option<i32>) -> String {
    let number = signal.unwrap_or(0);
    nix::sys::signal::Signal::try_from(number)
        .map_or_else(|_| format!("signal {number}"), |s| s.as_str().into())
}

pub fn lacking(missing: &Missing) -> String {
    let Missing {
        kept: _,
        lost,
        skipped,
        unfinished,
        unreadable: _,
        unlabelled,
        uncounted,
        unwritten,
    } = missing;
    let skipped: u64 = skipped.iter().map(|(_, times)| times).sum();
    let all = [
        (*lost, "events lost for want of room"),
        (skipped, "skipped by the kernel"),
        (*unfinished, "calls without an end"),
        (*unlabelled, "processes not seen"),
        (*uncounted, "calls not counted"),
        (*unwritten, "events not written"),
    ];
    let all = all.iter().filter(|(n, _)| *n != 0);
    let all: Vec<String> = all.map(|(n, what)| format!("{n} {what}")).collect();
    format!("missing: {}", all.join(", "))
}

impl Line {
    /// With spaces before the result, within the columns that are left.
    fn fitted(&self, left: Option<usize>) -> (String, &str) {
        let whole = width(&self.head) + width(self.tail);
        let gap = usize::from(!self.result.is_empty());
        let (room, column) = match left {
            None => (usize::MAX, COLUMN),
            Some(left) => {
                let taken = width(&self.result) + gap;
                (
                    left.saturating_sub(taken),
                    left.saturating_sub(taken.max(RESULT + 1)),
                )
            }
        };
        let parts = fit(&self.parts, room.saturating_sub(whole));
        let body = format!("{}{parts}{}", self.head, self.tail);
        let mut body = cut(&body, room, Keep::Head);
        if gap != 0 {
            let pad = column.saturating_sub(width(&body)) + gap;
            body.extend(std::iter::repeat_n(' ', pad));
        }
        (body, &self.result)
    }
}

impl Terminal {
    fn new(out: Out, look: Look) -> Self {
        Self {
            out,
            look,
            names: HashMap::new(),
            begun: HashSet::new(),
            speaks: None,
        }
    }

    fn header(&mut self, event: &Event) {
        let mut header = format!("── action {}", event.action);
        if let Some(of) = self.names.get(&event.action) {
            header = format!("{header}  {}", name(of));
        }
        if let Some(claimed) = &event.claimed {
            header = format!("{header}  claimed: {}", word(claimed.as_bytes()));
        }
        if event.overlaps {
            header += "  (overlaps)";
        }
        if event.late {
            header += "  (late)";
        }
        if let Some(columns) = self.look.width {
            header = cut(&header, columns, Keep::Head);
        }
        self.put(BOLD, &header);
        self.out.text().push(b'\n');
        self.speaks = Some((event.action, event.claimed.clone()));
    }

    fn put(&mut self, style: &str, text: &str) {
        let coloured = self.look.colour && !style.is_empty();
        let to = self.out.text();
        if coloured {
            to.extend(style.as_bytes());
        }
        to.extend(text.as_bytes());
        if coloured {
            to.extend(RESET.as_bytes());
        }
    }
}

/// The exec itself has said it.
fn is_said(kind: &Kind) -> bool {
    match kind {
        Kind::Call { call, result, .. } => {
            matches!(&**call, "execve" | "execveat") && *result == Some(0)
        }
        Kind::Missing(missing) => missing.is_nothing(),
        _ => false,
    }
}

impl Sink for Terminal {
    fn event(&mut self, event: &Event) {
        let first = self.begun.insert(event.action);
        // that an action begins is what its header says
        if first && matches!(event.kind, Kind::Fork { .. }) || is_said(&event.kind) {
            return;
        }
        if let Kind::Action { name } = &event.kind {
            self.names.insert(event.action, name.clone());
            self.header(event);
            return self.out.is_whole();
        }
        if let Kind::Missing(missing) = &event.kind {
            self.put(RED, &format!("── {}", lacking(missing)));
            self.out.text().push(b'\n');
            return self.out.is_whole();
        }
        let speaks = |(action, claimed): &(u32, Option<String>)| {
            *action == event.action && *claimed == event.claimed
        };
        if !self.speaks.as_ref().is_some_and(speaks) {
            self.header(event);
        }
        let line = line(&event.kind);
        let margin = format!("{:>7} ", event.tid);
        let left = self.look.width.map(|w| w.saturating_sub(margin.len()));
        let (body, result) = line.fitted(left);
        self.put(DIM, &margin);
        let of_body = if line.style == RED && !result.is_empty() {
            PLAIN
        } else {
            line.style
        };
        self.put(of_body, &body);
        self.put(line.style, result);
        self.out.text().push(b'\n');
        self.out.is_whole();
    }

    fn flush(&mut self) {
        self.out.flush();
    }

    fn end(&mut self, _: &[(CountKey, Count)]) {
        self.out.end();
    }

    fn unwritten(&self) -> &Unwritten {
        self.out.unwritten()
    }
}
