//! The trace-event format of Chrome, which Perfetto opens: an action is a track ("process"), with its threads below.

use super::{Format, Out, Sink, Unwritten, json, terminal};
use crate::claim::Says;
use crate::event::{Event, Kind};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::Write;
use stockade_abi::{Count, CountKey};

pub const FORMAT: Format = Format {
    name: "chrome",
    about: "a file for ui.perfetto.dev and chrome://tracing",
    counts: false,
    open: |out, _| Box::new(Chrome::new(out)),
};

struct Chrome {
    out: Out,
    actions: HashSet<u32>,
    /// With the program that its thread ran when it was last named.
    threads: HashSet<(u32, u32)>,
}

/// The format counts in microseconds.
fn microseconds(nanoseconds: u64) -> String {
    format!("{}.{:03}", nanoseconds / 1000, nanoseconds % 1000)
}

impl Chrome {
    fn new(mut out: Out) -> Self {
        // the list may stay open: a trace that was cut off can still be read
        out.text().extend(b"[");
        let mut chrome = Self {
            out,
            actions: HashSet::new(),
            threads: HashSet::new(),
        };
        chrome.name("process_name", 0, 0, "action 0");
        chrome.out.is_whole();
        chrome.actions.insert(0);
        chrome
    }

    /// A comma and the end of the line stand before each but the first, so that no missing one is seen.
    fn next(&mut self) -> &mut Vec<u8> {
        let to = self.out.text();
        to.extend(if self.actions.is_empty() {
            &b"\n"[..]
        } else {
            b",\n"
        });
        to
    }

    fn name(&mut self, what: &str, action: u32, thread: u32, name: &str) {
        let line = json!({
            "ph": "M", "name": what, "pid": action, "tid": thread, "args": { "name": name },
        });
        json::write(self.next(), &line);
    }

    /// Tracks have names before anything is on them.
    fn tracks(&mut self, event: &Event) {
        if self.actions.insert(event.action) {
            let name = format!("action {}", event.action);
            self.name("process_name", event.action, 0, &name);
        }
        if let Kind::Action { name } = &event.kind {
            let name = format!("action {}: {}", event.action, terminal::name(name));
            self.name("process_name", event.action, 0, &name);
        }
        let executes = matches!(event.kind, Kind::Exec { .. });
        if self.threads.insert((event.action, event.tid)) || executes {
            let program = event.exe.0.rsplit(|b| *b == b'/').next().unwrap_or(&[]);
            let name = format!("{} {}", String::from_utf8_lossy(program), event.tid);
            self.name("thread_name", event.action, event.tid, &name);
        }
    }

    /// `more` begins with a comma.
    fn put(&mut self, event: &Event, name: &str, more: &str, mut arguments: Value) {
        let (action, thread, time) = (event.action, event.tid, microseconds(event.time));
        let to = self.next();
        to.extend(b"{\"name\":");
        json::write(to, &name);
        // a vector takes everything
        write!(
            to,
            ",\"pid\":{action},\"tid\":{thread},\"ts\":{time}{more},\"args\":"
        )
        .unwrap_or(());
        if let Some(claimed) = &event.claimed {
            arguments["claimed"] = json!(claimed);
        }
        if event.overlaps {
            arguments["overlaps"] = json!(true);
        }
        json::write(to, &arguments);
        to.push(b'}');
    }

    fn instant(&mut self, event: &Event, name: &str) {
        let arguments = serde_json::to_value(&event.kind).unwrap_or_default();
        self.put(event, name, ",\"ph\":\"i\",\"s\":\"t\"", arguments);
    }
}

impl Sink for Chrome {
    fn event(&mut self, event: &Event) {
        let of_process = !matches!(event.kind, Kind::Missing(_) | Kind::Unknown { .. });
        if of_process {
            self.tracks(event);
        }
        match &event.kind {
            Kind::Call {
                call,
                arguments,
                result,
                errno,
                duration,
                ..
            } => {
                let more = format!(
                    ",\"ph\":\"X\",\"cat\":\"{}\",\"dur\":{}",
                    if errno.is_some() { "failed" } else { "call" },
                    microseconds(duration.unwrap_or(0))
                );
                let mut shown = serde_json::Map::new();
                for argument in arguments {
                    shown.insert(
                        argument.name.into(),
                        terminal::value(&argument.value).into(),
                    );
                }
                shown.insert("result".into(), json!(result));
                if let Some(errno) = errno {
                    shown.insert("errno".into(), json!(errno));
                }
                self.put(event, call, &more, Value::Object(shown));
            }
            Kind::Action { .. } => {}
            Kind::Exec { file, .. } => {
                let name = format!("exec {}", file.lossy());
                self.instant(event, &name);
            }
            Kind::Fork { thread, .. } => {
                self.instant(event, if *thread { "thread" } else { "fork" });
            }
            Kind::Exit { .. } => self.instant(event, "exit"),
            Kind::Uring { operation, .. } => {
                let name = format!("io_uring {operation}");
                self.instant(event, &name);
            }
            Kind::Claim { says, label, .. } => {
                let name = match says {
                    Says::Run => format!("claim: {label}"),
                    Says::Begin => format!("claim begins: {label}"),
                    Says::End => "claim ends".into(),
                };
                self.instant(event, &name);
            }
            Kind::FalseClaim { .. } => self.instant(event, "false claim"),
            Kind::Unknown { .. } => self.instant(event, "unknown record"),
            Kind::Missing(_) => self.instant(event, "missing"),
        }
        self.out.is_whole();
    }

    fn flush(&mut self) {
        self.out.flush();
    }

    fn end(&mut self, _: &[(CountKey, Count)]) {
        self.out.text().extend(b"\n]\n");
        self.out.end();
    }

    fn unwritten(&self) -> &Unwritten {
        self.out.unwritten()
    }
}
