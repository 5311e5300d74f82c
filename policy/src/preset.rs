//! Presets: reviewed data, a reason per line.

#[derive(Debug, PartialEq, Eq)]
pub struct Preset {
    pub name: &'static str,
    pub text: &'static str,
}

macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        pub const PRESETS: &[Preset] = &[$(Preset { name: $name, text: include_str!(concat!("../presets/", $name, ".toml")) }),*];
    };
}

presets![
    "system",
    "protect",
    "home",
    "agent",
    "build",
    "ci",
    "read-only",
    "locked"
];

/// What is known of each coding agent.
pub const AGENTS: &str = include_str!("../presets/agents.toml");
