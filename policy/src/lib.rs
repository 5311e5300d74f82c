//! What a session may do.
//!
//! `text` is one layer as written; [`Policy::build`] merges the layers, low to high, and
//! collects every mistake; [`Policy::decide`] is the reference semantics, naive on purpose:
//! each backend is tested against it. [`Policy::requirements`] lowers the rules to the small
//! closed set that backends hold.
#![forbid(unsafe_code)]

mod diagnostic;
mod glob;
mod hostname;
mod merge;
mod policy;
mod preset;
mod requirement;
pub mod rule;
mod schema;
mod text;
mod verdict;

pub use diagnostic::{Diagnostic, Lines, Severity, escaped, nearest};
pub use glob::{Context, Glob, GlobError};
pub use hostname::{Hostname, NetworkRule, Peer, Protocol};
pub use merge::{Layer, Source, Sources};
pub use policy::{Policy, Rule, RuleId, Setting};
pub use preset::{AGENTS, PRESETS, Preset};
pub use requirement::{Limit, PathRule, Requirement, RequirementKind};
pub use schema::json_schema;
pub use text::PolicyText;
pub use verdict::{Access, Decision, FileOperation, Verdict};
