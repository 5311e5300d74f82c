//! The grammar as data: a key is one row here, and parser, JSON Schema, documentation and the
//! filter for untrusted layers all read it. A new table is one file and its line in [`RULES`].

mod enforcement;
mod environment;
mod exec;
mod filesystem;
mod limits;
mod network;
mod process;
mod syscalls;
mod top;

pub use limits::{bytes, seconds};
pub use syscalls::is_name as is_system_call_name;

/// The shape of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Version,
    Text,
    Flag,
    /// A text or a list of texts.
    Names,
    Paths,
    /// A path, or `{ path, mode, because }`; a path without a root is below each workspace.
    Protect,
    Network,
    Ports,
    SystemCalls,
    /// Names of environment variables, `*` allowed.
    Variables,
    /// `NAME = "value"`.
    Assignments,
    /// One of these words, from the least strict to the strictest.
    Mode(&'static [&'static str]),
    Bytes,
    Count,
    Seconds,
    /// Names of what may be held in part.
    Partials,
}

/// What an entry of the key does; an untrusted layer's `Loosens` entries do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Loosens,
    Tightens,
    /// Scalars: counts where the value is the stricter one.
    Compared,
    /// Says nothing about what is allowed.
    Neutral,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Empty at the top of the file.
    pub table: &'static str,
    pub name: &'static str,
    pub shape: Shape,
    pub effect: Effect,
    /// The release in which the key came.
    pub since: &'static str,
    pub doc: &'static str,
}

impl Key {
    /// `table.key`, as ids have it.
    pub fn path(&self) -> String {
        if self.table.is_empty() {
            self.name.into()
        } else {
            format!("{}.{}", self.table, self.name)
        }
    }
}

pub const RULES: &[&[Key]] = &[
    top::KEYS,
    filesystem::KEYS,
    exec::KEYS,
    network::KEYS,
    process::KEYS,
    syscalls::KEYS,
    limits::KEYS,
    environment::KEYS,
    enforcement::KEYS,
];

/// A key that is decided and comes in a later release: a file that uses it is told which.
#[derive(Debug, PartialEq, Eq)]
pub struct Later {
    pub table: &'static str,
    pub name: &'static str,
    pub since: &'static str,
}

/// Moved to [`RULES`] by the release that has it. None is decided now.
pub const LATER: &[Later] = &[];

pub fn keys() -> impl Iterator<Item = &'static Key> {
    RULES.iter().flat_map(|table| table.iter())
}

pub fn find(table: &str, name: &str) -> Option<&'static Key> {
    keys().find(|k| k.table == table && k.name == name)
}

/// Partial holds that a policy may accept, by name (DESIGN's table and SECURITY.md explain each).
pub const PARTIALS: &[&str] = &[
    "absent", "inside", "leftover", "loader", "metadata", "overlay", "private", "replaced",
    "signals", "unix", "written",
];

/// One row.
const fn key(
    table: &'static str,
    name: &'static str,
    shape: Shape,
    effect: Effect,
    doc: &'static str,
) -> Key {
    Key {
        table,
        name,
        shape,
        effect,
        since: "0.1.0",
        doc,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Vec<u32> {
        text.split('.').map(|n| n.parse().unwrap()).collect()
    }

    #[test]
    fn a_key_is_either_here_or_comes_later() {
        let own = release(env!("CARGO_PKG_VERSION"));
        for key in keys() {
            assert!(release(key.since) <= own, "{} is later", key.path());
        }
        for Later { table, name, since } in LATER {
            assert!(release(since) > own, "{table}.{name} is here");
            assert!(find(table, name).is_none(), "{table}.{name} is here");
        }
    }
}
