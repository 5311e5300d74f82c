//! One event a line.

use super::Sink;
use crate::event::Event;
use std::io::Write;

pub struct Json<W> {
    to: W,
}

impl<W: Write> Json<W> {
    pub fn new(to: W) -> Self {
        Self { to }
    }
}

impl<W: Write + Send> Sink for Json<W> {
    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.to, event)?;
        self.to.write_all(b"\n")
    }

    fn end(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}
