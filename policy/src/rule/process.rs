use super::{Effect, Key, Shape, key};

const T: &str = "process";

pub(super) const KEYS: &[Key] = &[
    key(
        T,
        "user_namespaces",
        Shape::Mode(&["allow", "deny"]),
        Effect::Compared,
        "new user namespaces inside",
    ),
    key(
        T,
        "ptrace",
        Shape::Mode(&["allow", "deny"]),
        Effect::Compared,
        "debuggers on the session's own processes",
    ),
];
