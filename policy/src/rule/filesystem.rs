use super::{Effect, Key, Shape, key};

const T: &str = "filesystem";

pub(super) const KEYS: &[Key] = &[
    key(
        T,
        "read",
        Shape::Paths,
        Effect::Loosens,
        "readable, with everything below",
    ),
    key(
        T,
        "write",
        Shape::Paths,
        Effect::Loosens,
        "readable and writable, with everything below",
    ),
    key(
        T,
        "private",
        Shape::Paths,
        Effect::Loosens,
        "an empty directory of the session's own, gone at its end",
    ),
    key(
        T,
        "overlay",
        Shape::Paths,
        Effect::Loosens,
        "the host's content; writes are kept beside it, per workspace",
    ),
    key(
        T,
        "deny_read",
        Shape::Paths,
        Effect::Tightens,
        "neither readable nor writable",
    ),
    key(
        T,
        "deny_write",
        Shape::Paths,
        Effect::Tightens,
        "not writable",
    ),
    key(
        T,
        "protect",
        Shape::Protect,
        Effect::Tightens,
        "names, existing or not, that programs outside act on",
    ),
];
