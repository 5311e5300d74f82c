//! For people: one line an event.

use super::Sink;
use crate::event::{Event, Kind};
use crate::value::{Address, Argument, Bytes, Value};
use std::io::Write;

pub struct Terminal<W> {
    to: W,
}

impl<W: Write> Terminal<W> {
    pub fn new(to: W) -> Self {
        Self { to }
    }
}

/// In quotes, as C would write it: no byte from inside reaches a terminal as it is.
pub fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

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

/// What happened, in one line, without who did it.
pub fn line(kind: &Kind) -> String {
    match kind {
        Kind::Call {
            call,
            arguments,
            result,
            errno,
            ..
        } => {
            let all: Vec<String> = arguments.iter().map(|a| value(&a.value)).collect();
            let result = match (result, errno) {
                (None, _) => "?".into(),
                (Some(_), Some(errno)) => format!("-1 {errno}"),
                (Some(result), None) => result.to_string(),
            };
            format!("{call}({}) = {result}", all.join(", "))
        }
        Kind::Fork { parent, thread } => {
            format!("{} of {parent}", if *thread { "thread" } else { "process" })
        }
        Kind::Exec { arguments, .. } => {
            let all: Vec<String> = arguments.iter().map(text).collect();
            format!("exec [{}]", all.join(", "))
        }
        Kind::Exit {
            status: Some(status),
            ..
        } => format!("exits with {status}"),
        Kind::Exit { signal, .. } => format!("ended by signal {}", signal.unwrap_or(0)),
        Kind::Uring { operation, .. } => format!("io_uring {operation}"),
        Kind::Action { name } => {
            let all: Vec<String> = name.0.iter().map(text).collect();
            format!("action: {}", all.join(" "))
        }
        Kind::FalseClaim { of, says } => {
            format!("false claim of action {of}: {}", quoted(says.as_bytes()))
        }
        Kind::Unknown { number, size } => format!("record of unknown kind {number}, {size} bytes"),
        Kind::Missing {
            lost,
            skipped,
            unfinished,
            unreadable,
            unlabelled,
            unwritten,
        } => format!(
            "lost {lost}, skipped {skipped:?}, unfinished {unfinished}, unreadable {unreadable}, unlabelled {unlabelled}, unwritten {unwritten}"
        ),
    }
}

impl<W: Write + Send> Sink for Terminal<W> {
    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        writeln!(
            self.to,
            "{:>3} {:>7} {}",
            event.action,
            event.tid,
            line(&event.kind)
        )
    }

    fn end(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}
