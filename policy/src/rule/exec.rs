use super::{Effect, Key, Shape, key};

const T: &str = "exec";

pub(super) const KEYS: &[Key] = &[
    key(
        T,
        "default",
        Shape::Mode(&["allow", "deny"]),
        Effect::Compared,
        "what may be executed where no rule says it",
    ),
    key(T, "allow", Shape::Paths, Effect::Loosens, "may be executed"),
    key(
        T,
        "deny",
        Shape::Paths,
        Effect::Tightens,
        "may not be executed",
    ),
    key(
        T,
        "ask",
        Shape::Paths,
        Effect::Tightens,
        "as deny: the kernel's answer cannot wait for a person",
    ),
    key(
        T,
        "written",
        Shape::Mode(&["allow", "deny"]),
        Effect::Compared,
        "executing what the session itself wrote",
    ),
];
