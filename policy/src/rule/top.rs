use super::{Effect, Key, Shape, key};

pub(super) const KEYS: &[Key] = &[
    key(
        "",
        "version",
        Shape::Version,
        Effect::Neutral,
        "format of the file; 1",
    ),
    key(
        "",
        "extends",
        Shape::Names,
        Effect::Loosens,
        "presets below this file, merged left to right",
    ),
    key(
        "",
        "description",
        Shape::Text,
        Effect::Neutral,
        "one sentence for people",
    ),
    key(
        "",
        "final",
        Shape::Flag,
        Effect::Tightens,
        "layers above this one count only where they are stricter",
    ),
];
