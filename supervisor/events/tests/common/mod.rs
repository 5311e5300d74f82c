//! Records as the kernel side could have written them, or not, and what must hold of all that is made of them.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use stockade_abi::{Count, CountKey};
use stockade_events::claim::{Claim, Says, Sent};
use stockade_events::sink::{Look, Out, SINKS, Sink};
use stockade_events::{Clock, Event, Kind, Missing, Tracker};
use unicode_width::UnicodeWidthStr;

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        let bytes = self.0.lock().expect("no panic").clone();
        String::from_utf8(bytes).expect("every sink writes text")
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn sink(name: &str, width: Option<usize>) -> (Box<dyn Sink>, Kept) {
    let kept = Kept::default();
    let format = SINKS.iter().find(|f| f.name == name).expect("a sink");
    let look = Look {
        colour: false,
        width,
    };
    ((format.open)(Out::new(Box::new(kept.clone())), look), kept)
}

fn claim(says: Says, id: &str, action: Option<u32>) -> Sent {
    Sent {
        time: 0,
        process: 1,
        action,
        claim: Some(Claim::new(says, id, "hostile\x1b]0;title\x07\u{9b}\n")),
    }
}

/// The events of records, however they look; `with` sees each.
pub fn events(records: &[&[u8]], mut with: impl FnMut(&Event)) {
    let clock = Clock::at(0, SystemTime::UNIX_EPOCH);
    let mut tracker = Tracker::new("test", clock, None);
    // the second is the first's; the last is nobody's
    let begin = [
        claim(Says::Run, "a", Some(1)),
        claim(Says::Run, "a", Some(2)),
        claim(Says::Begin, "b", Some(3)),
        claim(Says::Begin, "c", Some(3)),
        claim(Says::Run, "d", None),
    ];
    for sent in begin {
        tracker.claim(sent, &mut with);
    }
    for record in records {
        tracker.take(record, &mut with);
    }
    tracker.claim(claim(Says::End, "b", Some(3)), &mut with);
    tracker.settle(u64::MAX, &mut with);
    with(&tracker.own(Kind::Missing(Missing::default())));
}

const COLUMNS: usize = 80;

/// Whatever the records are, nothing panics, every sink's output is well formed, and none of it is obeyed by a terminal.
pub fn records(records: &[&[u8]]) {
    let mut sinks = ["text", "json", "summary", "chrome"].map(|name| sink(name, Some(COLUMNS)));
    let mut made = 0;
    events(records, |event| {
        made += 1;
        sinks.iter_mut().for_each(|(sink, _)| sink.event(event));
    });
    for (sink, _) in &mut sinks {
        let key = CountKey { action: 1, call: 0 };
        let counts = [(key, Count::default())];
        sink.end(&counts);
        assert_eq!(sink.unwritten().events, 0);
    }
    let [text, json, summary, chrome] = sinks.map(|(_, kept)| kept.text());
    for line in text.lines().chain(summary.lines()) {
        assert!(line.width() <= COLUMNS, "{line:?}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    assert_eq!(json.lines().count(), made);
    for line in json.lines() {
        assert!(!line.chars().any(char::is_control), "{line:?}");
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(event["version"], 1);
    }
    let all: Vec<serde_json::Value> = serde_json::from_str(&chrome).expect("JSON");
    assert!(!all.is_empty());
}
