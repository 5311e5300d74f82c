use super::{Effect, Key, Shape, key};

pub(super) const KEYS: &[Key] = &[key(
    "syscalls",
    "deny",
    Shape::SystemCalls,
    Effect::Tightens,
    "system calls refused besides those always refused",
)];

/// The form of a system call's name; whether the kernel has it is the seccomp backend's to know.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
