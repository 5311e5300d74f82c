//! One event a line, for programs.

use super::{Format, Out, Sink, Unwritten};
use crate::event::Event;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::io::Write;
use stockade_abi::{Count, CountKey};

pub const FORMAT: Format = Format {
    name: "json",
    about: "one JSON object a line (`--schema` describes it)",
    counts: false,
    open: |out, _| Box::new(Json { out }),
};

struct Json {
    out: Out,
}

/// What a terminal would obey is escaped besides what JSON asks for: JSON is looked at in terminals too.
pub struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        to: &mut W,
        fragment: &str,
    ) -> std::io::Result<()> {
        // JSON itself has escaped what is below a space
        let plain = |b: u8| b.is_ascii() && b != 0x7f;
        if fragment.bytes().all(plain) {
            return to.write_all(fragment.as_bytes());
        }
        for c in fragment.chars() {
            let mut buffer = [0; 4];
            let text = &*c.encode_utf8(&mut buffer);
            if stockade_policy::escaped(text) == text {
                to.write_all(text.as_bytes())?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(to, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

pub fn write(to: &mut Vec<u8>, value: &impl Serialize) {
    let before = to.len();
    let mut serializer = Serializer::with_formatter(&mut *to, Harmless);
    // neither a vector nor plain data fails
    if value.serialize(&mut serializer).is_err() {
        to.truncate(before);
    }
}

impl Sink for Json {
    fn event(&mut self, event: &Event) {
        let text = self.out.text();
        write(text, event);
        text.push(b'\n');
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
