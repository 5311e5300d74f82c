//! Who an event belongs to, when numbers are given again, threads execute, and records are missing.

use std::time::SystemTime;
use stockade_abi::{Call, Exec, Exit, Fork, Head, LONG, LongText, Piece, flag, kind, piece};
use stockade_events::{Argument, Clock, Event, Kind, PathText, Tracker, Value};
use zerocopy::{FromZeros, Immutable, IntoBytes};

fn tracker(begins: Option<u32>) -> Tracker {
    Tracker::new("test", Clock::at(0, SystemTime::UNIX_EPOCH), begins)
}

/// A process or a thread of an action.
#[derive(Clone, Copy)]
struct Who {
    action: u32,
    process: u32,
    thread: u32,
}

fn who(action: u32, process: u32) -> Who {
    Who {
        action,
        process,
        thread: process,
    }
}

fn head<T>(kind: u16, flags: u16, who: Who) -> Head {
    Head {
        kind,
        flags,
        size: u32::try_from(size_of::<T>()).expect("small"),
        action: who.action,
        process: who.process,
        thread: who.thread,
        ..Head::default()
    }
}

/// The events of one record.
fn take<T: IntoBytes + Immutable>(tracker: &mut Tracker, record: &T) -> Vec<Event> {
    let mut events = Vec::new();
    tracker.take(record.as_bytes(), |event| events.push(event.clone()));
    events
}

fn forks(tracker: &mut Tracker, parent: Who, child: Who) -> Vec<Event> {
    let mut record = Fork::new_zeroed();
    record.head = head::<Fork>(kind::FORK, 0, child);
    record.parent_process = parent.process;
    record.parent_action = parent.action;
    record.inside = child.process + 1000;
    take(tracker, &record)
}

fn executes(tracker: &mut Tracker, who: Who, before: u32, file: &str) -> Vec<Event> {
    let mut record = Exec::new_zeroed();
    record.head = head::<Exec>(kind::EXEC, 0, who);
    record.thread_before = before;
    record.file[..file.len()].copy_from_slice(file.as_bytes());
    record.file_size = u32::try_from(file.len() + 1).expect("short");
    record.arguments[..5].copy_from_slice(b"a\0b\0\0");
    record.arguments_size = 4;
    take(tracker, &record)
}

fn exits(tracker: &mut Tracker, who: Who, status: u32, last: bool) -> Vec<Event> {
    let mut record = Exit::new_zeroed();
    let flags = if last { flag::LAST } else { 0 };
    record.head = head::<Exit>(kind::EXIT, flags, who);
    record.status = status;
    take(tracker, &record)
}

fn long(tracker: &mut Tracker, who: Who, serial: u32, text: &[u8]) {
    let mut record = LongText::new_zeroed();
    record.head = head::<LongText>(kind::LONG_TEXT, 0, who);
    record.serial = serial;
    record.text[..text.len()].copy_from_slice(text);
    record.piece = Piece {
        what: piece::PATH,
        argument: 1,
        size: u16::try_from(text.len()).expect("short"),
    };
    assert_eq!(take(tracker, &record), []);
}

/// openat(2), its path elsewhere.
fn calls(tracker: &mut Tracker, who: Who, serial: u32) -> Vec<Event> {
    let mut record = Call::new_zeroed();
    record.head = head::<Call>(kind::CALL, 0, who);
    let number = stockade_events::calls::number("openat").expect("known");
    (record.call, record.serial, record.result) = (number, serial, -2);
    record.arguments[1] = 0x1000;
    record.pieces[0] = Piece {
        what: piece::ELSEWHERE,
        argument: 1,
        size: 0,
    };
    take(tracker, &record)
}

/// What a call's event says of its path.
fn path(events: &[Event]) -> Option<&PathText> {
    let [event] = events else {
        panic!("one event: {events:?}")
    };
    let Kind::Call { arguments, .. } = &event.kind else {
        panic!("a call: {event:?}")
    };
    arguments.iter().find_map(|a: &Argument| match &a.value {
        Value::Path(path) => Some(path),
        _ => None,
    })
}

fn exe(events: &[Event]) -> &[u8] {
    &events.last().expect("an event").exe.0
}

#[test]
fn a_number_that_is_given_again_is_another_process() {
    let mut t = tracker(None);
    let (agent, one) = (who(0, 10), who(1, 20));
    executes(&mut t, agent, 10, "/bin/agent");
    let begins = forks(&mut t, agent, one);
    // until it executes something else it is what its parent is
    assert_eq!((exe(&begins), begins[0].inside), (&b"/bin/agent"[..], 1020));
    executes(&mut t, one, 20, "/bin/one");
    assert_eq!(exe(&calls(&mut t, one, 1)), b"/bin/one");
    exits(&mut t, one, 0, true);
    let again = who(2, 20);
    assert_eq!(exe(&forks(&mut t, agent, again)), b"/bin/agent");
    // the end of it is missing
    executes(&mut t, again, 20, "/bin/two");
    long(&mut t, again, 1, b"/of/the/one/before\0");
    assert_eq!(exe(&forks(&mut t, agent, who(3, 20))), b"/bin/agent");
    assert_eq!(path(&calls(&mut t, who(3, 20), 1)), None);
}

#[test]
fn a_thread_that_executes_takes_its_calls_along() {
    let mut t = tracker(None);
    executes(&mut t, who(0, 10), 10, "/bin/threads");
    let other = Who {
        thread: 11,
        ..who(0, 10)
    };
    long(&mut t, other, 5, b"/a/long/program\0");
    // the kernel gives it the leader's number before the call returns
    assert_eq!(
        exe(&executes(&mut t, who(0, 10), 11, "/bin/new")),
        b"/bin/new"
    );
    let events = calls(&mut t, who(0, 10), 5);
    assert_eq!(
        path(&events).map(|p| &*p.text.0),
        Some(&b"/a/long/program"[..])
    );
}

#[test]
fn a_long_text_belongs_to_its_call_alone() {
    let mut t = tracker(None);
    let one = who(0, 10);
    let text = [b'/'; LONG - 1];
    long(&mut t, one, 1, &text);
    assert_eq!(
        path(&calls(&mut t, one, 1)).map(|p| p.text.0.len()),
        Some(LONG - 1)
    );
    // once
    assert_eq!(path(&calls(&mut t, one, 1)), None);
    // the call itself was lost
    long(&mut t, one, 2, b"/two\0");
    long(&mut t, one, 3, b"/three\0");
    assert_eq!(
        path(&calls(&mut t, one, 3)).map(|p| &*p.text.0),
        Some(&b"/three"[..])
    );
    long(&mut t, one, 4, b"/four\0");
    assert_eq!(path(&calls(&mut t, one, 5)), None);
}

#[test]
fn late_is_what_outlives_the_first_process_of_its_action() {
    let mut t = tracker(None);
    let (agent, first, second) = (who(0, 10), who(1, 20), who(1, 21));
    executes(&mut t, agent, 10, "/bin/agent");
    forks(&mut t, agent, first);
    forks(&mut t, first, second);
    assert!(!calls(&mut t, second, 1)[0].late);
    // a thread of it is not the process
    assert_eq!(exits(&mut t, first, 0, false), []);
    assert!(!calls(&mut t, second, 2)[0].late);
    let end = exits(&mut t, first, 3 << 8, true);
    assert!(!end[0].late);
    assert_eq!(
        end[0].kind,
        Kind::Exit {
            status: Some(3),
            signal: None
        }
    );
    assert!(calls(&mut t, second, 3)[0].late);
    assert!(!calls(&mut t, agent, 1)[0].late);
    // of another action, and with the number of the first
    forks(&mut t, agent, who(2, 20));
    assert!(!calls(&mut t, who(2, 20), 1)[0].late);
    assert!(exits(&mut t, second, 9, true)[0].late);
}

#[test]
fn an_action_has_the_name_of_what_its_first_process_executes_first() {
    let mut t = tracker(Some(10));
    let kinds = |events: &[Event]| -> Vec<bool> {
        let named = |e: &Event| matches!(e.kind, Kind::Action { .. });
        events.iter().map(named).collect()
    };
    let agent = who(0, 10);
    // stockade's own until it executes the command
    assert_eq!(calls(&mut t, agent, 1), []);
    assert_eq!(kinds(&executes(&mut t, agent, 10, "/bin/a")), [true, false]);
    assert_eq!(calls(&mut t, agent, 2).len(), 1);
    assert_eq!(kinds(&executes(&mut t, agent, 10, "/bin/b")), [false]);
    forks(&mut t, agent, who(1, 20));
    forks(&mut t, who(1, 20), who(1, 21));
    assert_eq!(kinds(&executes(&mut t, who(1, 21), 21, "/bin/c")), [false]);
    assert_eq!(
        kinds(&executes(&mut t, who(1, 20), 20, "/bin/d")),
        [true, false]
    );
    // its begin is missing
    assert_eq!(
        kinds(&executes(&mut t, who(7, 30), 30, "/bin/e")),
        [true, false]
    );
}
