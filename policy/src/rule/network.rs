use super::{Effect, Key, Shape, key};

const T: &str = "network";

pub(super) const KEYS: &[Key] = &[
    key(
        T,
        "default",
        Shape::Mode(&["allow", "ask", "deny"]),
        Effect::Compared,
        "destinations that no rule names",
    ),
    key(
        T,
        "allow",
        Shape::Network,
        Effect::Loosens,
        "host, *.host, address or CIDR, with :port or :low-high",
    ),
    key(
        T,
        "deny",
        Shape::Network,
        Effect::Tightens,
        "refused, whatever allows it less specifically",
    ),
    key(
        T,
        "ask",
        Shape::Network,
        Effect::Tightens,
        "asked of a person; nobody there is a refusal",
    ),
    key(
        T,
        "host_ports",
        Shape::Ports,
        Effect::Loosens,
        "the host's loopback ports, reachable inside: HOST[:INSIDE]",
    ),
    key(
        T,
        "publish",
        Shape::Ports,
        Effect::Loosens,
        "the session's ports on the host's loopback: HOST[:INSIDE]",
    ),
    key(
        T,
        "unix",
        Shape::Paths,
        Effect::Loosens,
        "Unix sockets of the host that may be connected to",
    ),
    key(
        T,
        "namespace",
        Shape::Mode(&["host", "private"]),
        Effect::Compared,
        "the session's own network or the host's",
    ),
];
