//! Where events go. A sink that is slow or fails blocks nobody: what it misses is counted.

mod json;
mod terminal;

use crate::event::Event;
pub use json::Json;
pub use terminal::Terminal;

pub trait Sink: Send {
    fn event(&mut self, event: &Event) -> std::io::Result<()>;

    /// Nothing comes after it.
    fn end(&mut self) -> std::io::Result<()>;
}
