use super::{Effect, Key, Shape, key};

const T: &str = "enforcement";

pub(super) const KEYS: &[Key] = &[
    key(
        T,
        "require",
        Shape::Mode(&["landlock", "namespaces", "bpf"]),
        Effect::Compared,
        "the lowest level to start at",
    ),
    key(
        T,
        "accept_partial",
        Shape::Partials,
        Effect::Loosens,
        "what may be held in part, by name",
    ),
];
