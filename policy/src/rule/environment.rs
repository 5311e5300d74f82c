use super::{Effect, Key, Shape, key};

const T: &str = "environment";

pub(super) const KEYS: &[Key] = &[
    key(
        T,
        "pass",
        Shape::Variables,
        Effect::Loosens,
        "variables handed to the agent; `*` within a name",
    ),
    key(
        T,
        "drop",
        Shape::Variables,
        Effect::Tightens,
        "variables kept from the agent, in small and capital letters alike, unless `pass` names them in full",
    ),
    key(
        T,
        "set",
        Shape::Assignments,
        Effect::Loosens,
        "variables with a value of the policy's own",
    ),
];
