//! Events on their way into a file, a pipe or a terminal.

use std::io::{Error, ErrorKind, Write};

/// So much is collected before it is written.
const FULL: usize = 64 << 10;

/// What could not be written, and the first reason.
#[derive(Debug, Default)]
pub struct Unwritten {
    pub events: u64,
    pub first: Option<Error>,
}

/// Where a write fails, whole events are missing in what was written, never a part of one: its rest is what is
/// written next.
pub struct Out {
    to: Box<dyn Write + Send>,
    buffer: Vec<u8>,
    /// Where each event in the buffer ends.
    ends: Vec<usize>,
    /// The first one's begin was written already.
    torn: bool,
    unwritten: Unwritten,
}

impl Out {
    pub fn new(to: Box<dyn Write + Send>) -> Self {
        Self {
            to,
            buffer: Vec::with_capacity(2 * FULL),
            ends: Vec::new(),
            torn: false,
            unwritten: Unwritten::default(),
        }
    }

    /// To write an event to.
    pub fn text(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// What was written since the last time is one event.
    pub fn is_whole(&mut self) {
        self.ends.push(self.buffer.len());
        if self.buffer.len() >= FULL {
            self.flush();
        }
    }

    pub fn flush(&mut self) {
        let (written, error) = self.write();
        let Some(error) = error else {
            self.buffer.clear();
            self.ends.clear();
            self.torn = false;
            return;
        };
        self.unwritten.first.get_or_insert(error);
        let whole = self.ends.partition_point(|end| *end <= written);
        let begin = whole.checked_sub(1).map_or(0, |n| self.ends[n]);
        let end = self.ends.get(whole).copied().unwrap_or(self.buffer.len());
        let missing = self.ends.len() - whole;
        self.torn = written > begin || (whole == 0 && self.torn);
        self.ends.clear();
        if self.torn {
            self.buffer.truncate(end);
            self.buffer.drain(..written);
            self.ends.push(self.buffer.len());
        } else {
            self.buffer.clear();
        }
        self.unwritten.events += (missing as u64).saturating_sub(u64::from(self.torn));
    }

    /// How much of the buffer was written, and why no more.
    fn write(&mut self) -> (usize, Option<Error>) {
        let mut written = 0;
        while let Some(rest) = self.buffer.get(written..).filter(|r| !r.is_empty()) {
            match self.to.write(rest) {
                Ok(0) => return (written, Some(ErrorKind::WriteZero.into())),
                Ok(n) => written += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return (written, Some(error)),
            }
        }
        match self.to.flush() {
            Ok(()) => (written, None),
            Err(error) => (written, Some(error)),
        }
    }

    /// The last one.
    pub fn end(&mut self) {
        self.flush();
        self.unwritten.events += self.ends.len() as u64;
        self.ends.clear();
        self.buffer.clear();
    }

    pub fn unwritten(&self) -> &Unwritten {
        &self.unwritten
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Default)]
    struct Medium {
        kept: Vec<u8>,
        /// Bytes that it takes before it is full.
        room: usize,
    }

    struct Handle(Arc<Mutex<Medium>>);

    impl Write for Handle {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut medium = self.0.lock().expect("no panic");
            let size = bytes.len().min(medium.room);
            if size == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            medium.room -= size;
            medium.kept.extend(&bytes[..size]);
            Ok(size)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn event(out: &mut Out, number: u32) {
        writeln!(out.text(), "event {number}").expect("a vector");
        out.is_whole();
    }

    #[test]
    fn where_there_is_no_room_whole_events_are_missing_and_counted() {
        // however the room falls, with room again later
        for room in 0..60 {
            let medium = Arc::new(Mutex::new(Medium {
                room,
                ..Medium::default()
            }));
            let mut out = Out::new(Box::new(Handle(medium.clone())));
            (0..5).for_each(|n| event(&mut out, n));
            out.flush();
            out.flush();
            medium.lock().expect("no panic").room += 1000;
            (5..8).for_each(|n| event(&mut out, n));
            out.end();
            let text = String::from_utf8(medium.lock().expect("no panic").kept.clone());
            let text = text.expect("text");
            let lines: Vec<_> = text.lines().collect();
            assert!(text.ends_with("event 7\n"), "{room}: {text:?}");
            assert!(lines.iter().all(|l| l.len() == 7), "{room}: {text:?}");
            let unwritten = out.unwritten();
            assert_eq!(lines.len() as u64 + unwritten.events, 8, "{room}");
            assert_eq!(unwritten.first.is_some(), room < 40, "{room}");
        }
    }

    #[test]
    fn what_stays_torn_is_missing() {
        let medium = Arc::new(Mutex::new(Medium {
            room: 11,
            ..Medium::default()
        }));
        let mut out = Out::new(Box::new(Handle(medium)));
        (0..3).for_each(|n| event(&mut out, n));
        out.flush();
        event(&mut out, 3);
        out.end();
        assert_eq!(out.unwritten().events, 3);
    }
}
