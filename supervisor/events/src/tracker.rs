//! Records become events: who a process is, which action it belongs to, what a call's arguments say.

use crate::calls;
use crate::claim::{Claims, NOBODY, Sent};
use crate::event::{ActionName, Event, Exe, Kind, VERSION};
use crate::record::{Pieces, Record, decode};
use crate::value::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use stockade_abi::{Call, Exec, Exit, Fork, Head, LongText, PIECES, flag};

/// CLOCK_MONOTONIC and the wall's clock at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    difference: u64,
}

impl Clock {
    pub fn at(monotonic: u64, wall: SystemTime) -> Self {
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
        Self {
            difference: wall.saturating_sub(monotonic),
        }
    }

    fn wall(self, monotonic: u64) -> u64 {
        monotonic.saturating_add(self.difference)
    }

    /// Of CLOCK_MONOTONIC, at a time of the wall's.
    pub fn monotonic(self, wall: u64) -> u64 {
        wall.saturating_sub(self.difference)
    }
}

#[derive(Debug, Clone, Default)]
struct Process {
    exe: Exe,
    inside: u32,
    action: u32,
}

/// A process that ran before it was traced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    pub process: u32,
    pub exe: Vec<u8>,
    pub inside: u32,
    pub action: u32,
    pub arguments: Vec<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Action {
    /// The process that began it.
    first: u32,
    named: bool,
    /// The name was longer than what is kept of one.
    cut: bool,
    /// That process has ended.
    over: bool,
}

/// What came of a call that has not ended yet, before the call itself.
#[derive(Debug, Default)]
struct Long {
    serial: u32,
    texts: Vec<Box<LongText>>,
}

/// Everything that is known of a session's processes.
pub struct Tracker {
    session: Arc<str>,
    clock: Clock,
    processes: HashMap<u32, Process>,
    actions: HashMap<u32, Action>,
    /// By thread, which is in one call at a time.
    long: HashMap<u32, Long>,
    /// The process that executes the command, until it does.
    begins: Option<u32>,
    claims: Claims,
    /// The agent's own executable runs, or has run.
    agent_began: bool,
    /// The newest time that was seen.
    last: u64,
}

impl Tracker {
    /// `begins`: a process whose calls are stockade's own until it executes the command.
    pub fn new(session: &str, clock: Clock, begins: Option<u32>) -> Self {
        let mut actions = HashMap::new();
        let first = begins.unwrap_or(0);
        let zero = Action {
            first,
            ..Action::default()
        };
        actions.insert(0, zero);
        Self {
            session: session.into(),
            clock,
            processes: HashMap::new(),
            actions,
            long: HashMap::new(),
            begins,
            claims: Claims::default(),
            agent_began: false,
            last: 0,
        }
    }

    /// A process that runs already: what it is, and the action that it was labelled with.
    pub fn know(&mut self, known: Known, time: u64, mut to: impl FnMut(&Event)) {
        let Known {
            process,
            exe,
            inside,
            action,
            arguments,
        } = known;
        let new = Process {
            exe: Exe(exe.into()),
            inside,
            action,
        };
        self.processes.insert(process, new);
        let of = self.actions.entry(action).or_default();
        if std::mem::replace(&mut of.named, true) {
            return;
        }
        of.first = process;
        let head = Head {
            action,
            process,
            thread: process,
            time,
            ..Head::default()
        };
        let name = ActionName(arguments.into_iter().map(Bytes).collect());
        to(&self.event(&head, Kind::Action { name }));
    }

    /// How many processes are known and have not ended.
    pub fn alive(&self) -> usize {
        self.processes.len()
    }

    /// Those whose ends were not recorded.
    pub fn forget(&mut self, gone: impl Fn(u32) -> bool) {
        self.processes.retain(|process, _| !gone(*process));
    }

    /// Whether the agent's own executable was executed.
    pub fn agent_began(&self) -> bool {
        self.agent_began
    }

    /// A claim, attributed by the label of who sent it, else by what the kernel recorded of its fork.
    pub fn claim(&mut self, mut sent: Sent, mut to: impl FnMut(&Event)) {
        let known = self.processes.get(&sent.process).map(|p| p.action);
        sent.action = sent.action.or(known);
        self.claims.wait(sent);
        self.advance(&mut to);
    }

    /// Those whose sender is known, but none before another of the same id.
    fn advance(&mut self, to: &mut impl FnMut(&Event)) {
        for (action, sent) in self.claims.ready() {
            if let Some(kind) = self.claims.take(action, &sent) {
                let head = Head {
                    action,
                    process: sent.process,
                    thread: sent.process,
                    time: sent.time,
                    ..Head::default()
                };
                to(&self.event(&head, kind));
            }
        }
    }

    /// Nothing that was recorded before `time` is still to come: who is unknown now is none of the session's.
    pub fn settle(&mut self, time: u64, mut to: impl FnMut(&Event)) {
        for sent in self.claims.of_nobody(time) {
            let kind = Kind::FalseClaim {
                of: 0,
                says: format!("sent by process {}, which is not traced", sent.process),
            };
            let head = Head {
                time: sent.time,
                ..Head::default()
            };
            to(&self.event(&head, kind));
        }
        self.advance(&mut to);
    }

    /// How many claims of each action's were dropped, at the end.
    pub fn dropped_claims(&self, mut to: impl FnMut(&Event)) {
        for (action, dropped) in self.claims.dropped() {
            // those of nobody's are shown with the agent's
            let action = if action == NOBODY { 0 } else { action };
            let kind = Kind::FalseClaim {
                of: action,
                says: format!("{dropped} claims that came too often were dropped"),
            };
            let head = Head {
                action,
                time: self.last,
                ..Head::default()
            };
            to(&self.event(&head, kind));
        }
    }

    /// The events that a record stands for, in their order.
    pub fn take(&mut self, bytes: &[u8], mut to: impl FnMut(&Event)) {
        let decoded = decode(bytes);
        if let Some(head) = decoded.as_ref().ok().and_then(Record::head) {
            self.last = head.time.max(self.last);
        }
        match decoded {
            Err(malformed) => {
                let kind = Kind::Unknown {
                    number: malformed.kind,
                    size: malformed.size,
                };
                to(&self.own(kind));
            }
            Ok(Record::Unknown(head)) => {
                let kind = Kind::Unknown {
                    number: head.kind,
                    size: head.size as usize,
                };
                to(&self.event(&head, kind));
            }
            Ok(Record::LongText(text)) => self.long(text),
            Ok(Record::Call(call, pieces)) => self.call(&call, pieces, &mut to),
            Ok(Record::Fork(fork)) => self.fork(&fork, &mut to),
            Ok(Record::Exec(exec)) => self.exec(&exec, &mut to),
            Ok(Record::Exit(exit)) => self.exit(&exit, &mut to),
            Ok(Record::Uring(uring)) => {
                let kind = Kind::Uring {
                    operation: calls::uring(uring.operation),
                    user_data: uring.user_data,
                };
                to(&self.event(&uring.head, kind));
            }
        }
    }

    /// About the trace itself, and no process's doing.
    pub fn own(&self, kind: Kind) -> Event {
        let head = Head {
            time: self.last,
            ..Head::default()
        };
        Event {
            claimed: None,
            overlaps: false,
            late: false,
            ..self.event(&head, kind)
        }
    }

    fn event(&self, head: &Head, kind: Kind) -> Event {
        let process = self.processes.get(&head.process);
        let (claimed, overlaps) = self.claims.label(head.action, head.time);
        Event {
            version: VERSION,
            time: head.time,
            wall: self.clock.wall(head.time),
            session: self.session.clone(),
            action: head.action,
            claimed,
            overlaps,
            late: self.actions.get(&head.action).is_some_and(|a| a.over),
            pid: head.process,
            tid: head.thread,
            inside: process.map_or(0, |p| p.inside),
            exe: process.map(|p| p.exe.clone()).unwrap_or_default(),
            kind,
        }
    }

    fn long(&mut self, text: Box<LongText>) {
        let long = self.long.entry(text.head.thread).or_default();
        // the call of those before was lost
        if long.serial != text.serial {
            long.serial = text.serial;
            long.texts.clear();
        }
        if long.texts.len() < PIECES {
            long.texts.push(text);
        }
    }

    fn fork(&mut self, fork: &Fork, to: &mut impl FnMut(&Event)) {
        let Head {
            process,
            thread,
            action,
            flags,
            ..
        } = fork.head;
        // a number that is given again: the end of the one before may have been lost
        self.long.remove(&thread);
        let is_thread = flags & flag::THREAD != 0;
        if !is_thread {
            let parent = self.processes.get(&fork.parent_process);
            let new = Process {
                exe: parent.map(|p| p.exe.clone()).unwrap_or_default(),
                inside: fork.inside,
                action,
            };
            self.processes.insert(process, new);
            self.begun(action, process);
        }
        let kind = Kind::Fork {
            parent: fork.parent_process,
            thread: is_thread,
        };
        to(&self.event(&fork.head, kind));
        self.claims.forked(&fork.head);
        self.advance(to);
    }

    /// The action, which that process began if nobody did.
    fn begun(&mut self, action: u32, process: u32) -> &mut Action {
        self.actions.entry(action).or_insert_with(|| Action {
            first: process,
            ..Action::default()
        })
    }

    fn exit(&mut self, exit: &Exit, to: &mut impl FnMut(&Event)) {
        self.long.remove(&exit.head.thread);
        if exit.head.flags & flag::LAST == 0 {
            return;
        }
        // as wait(2) says it
        let (code, signal) = (exit.status >> 8 & 0xff, exit.status & 0x7f);
        let ended = |n: u32| i32::try_from(n).ok();
        let kind = Kind::Exit {
            status: ended(code).filter(|_| signal == 0),
            signal: ended(signal).filter(|_| signal != 0),
        };
        to(&self.event(&exit.head, kind));
        self.processes.remove(&exit.head.process);
        if let Some(action) = self.actions.get_mut(&exit.head.action) {
            action.over |= action.first == exit.head.process;
        }
    }

    fn call(&mut self, call: &Call, pieces: Pieces<'_>, to: &mut impl FnMut(&Event)) {
        let long = self.long.remove(&call.head.thread);
        // stockade's own, until the command is executed
        if self.begins == Some(call.head.process) {
            return;
        }
        let long = long.filter(|l| l.serial == call.serial);
        let long = long.map(|l| l.texts).unwrap_or_default();
        let result = (call.head.flags & flag::NO_RESULT == 0).then_some(call.result);
        let errno = result.filter(|r| (-4095..0).contains(r));
        let unseen = call.head.flags & flag::NO_ENTRY != 0;
        let kind = Kind::Call {
            call: calls::name(call),
            arguments: calls::arguments(call, pieces, &long),
            result,
            errno: errno.and_then(|r| i32::try_from(-r).ok()).map(calls::errno),
            duration: (!unseen).then_some(call.duration),
            filtered: unseen && errno.is_some(),
            cut: call.head.flags & flag::CUT != 0,
            verdict: None,
            rule: None,
        };
        to(&self.event(&call.head, kind));
    }

    fn exec(&mut self, exec: &Exec, to: &mut impl FnMut(&Event)) {
        let head = &exec.head;
        if self.begins == Some(head.process) {
            self.begins = None;
        }
        // it takes its leader's number in the middle of the call
        if exec.thread_before != head.thread
            && let Some(long) = self.long.remove(&exec.thread_before)
        {
            self.long.insert(head.thread, long);
        }
        let file_size = (exec.file_size as usize)
            .saturating_sub(1)
            .min(exec.file.len());
        let file = exec.file[..file_size].to_vec();
        let (arguments, some) = strings(&exec.arguments, exec.arguments_size);
        let (environment, more) = strings(&exec.environment, exec.environment_size);
        let names = environment.into_iter().map(|Bytes(text)| {
            let end = text.iter().position(|b| *b == b'=').unwrap_or(text.len());
            Bytes(text[..end].into())
        });
        let process = Process {
            exe: Exe(file.as_slice().into()),
            inside: exec.inside,
            action: head.action,
        };
        self.processes.insert(head.process, process);
        self.agent_began |= head.flags & flag::AGENT != 0;
        let action = self.begun(head.action, head.process);
        // codex executes its preamble, longer than what is kept of one, and that the command itself
        let better = !action.named || action.cut && !some;
        let names_it = better && action.first == head.process;
        action.named |= names_it;
        action.cut = some && (names_it || action.cut);
        if names_it {
            let name = ActionName(arguments.clone());
            to(&self.event(head, Kind::Action { name }));
        }
        let kind = Kind::Exec {
            file: Bytes(file),
            arguments,
            environment: names.collect(),
            cut: some || more,
        };
        to(&self.event(head, kind));
    }
}

/// Each without its NUL, and whether there was more than is here.
fn strings(bytes: &[u8], size: u64) -> (Vec<Bytes>, bool) {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    // the last byte is never used (read less than there is room for)
    let kept = &bytes[..size.min(bytes.len() - 1)];
    let cut = kept.len() < size;
    let text = kept.strip_suffix(&[0]).unwrap_or(kept);
    if text.is_empty() {
        return (Vec::new(), cut);
    }
    let all = text.split(|b| *b == 0).map(|s| Bytes(s.into()));
    (all.collect(), cut)
}
