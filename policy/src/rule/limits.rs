use super::{Effect, Key, Shape, key};

const T: &str = "limits";

pub(super) const KEYS: &[Key] = &[
    key(
        T,
        "memory",
        Shape::Bytes,
        Effect::Compared,
        "memory of the whole session, such as \"4G\"",
    ),
    key(
        T,
        "processes",
        Shape::Count,
        Effect::Compared,
        "processes and threads of the whole session",
    ),
    key(
        T,
        "cpu",
        Shape::Seconds,
        Effect::Compared,
        "processor time of each process, such as \"30m\"",
    ),
    key(
        T,
        "wall",
        Shape::Seconds,
        Effect::Compared,
        "time from start to end of the session",
    ),
    key(
        T,
        "files",
        Shape::Count,
        Effect::Compared,
        "open files of each process",
    ),
    key(
        T,
        "file_size",
        Shape::Bytes,
        Effect::Compared,
        "size of each file written",
    ),
];

fn scaled(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match &text[digits.len()..] {
        "" => 1,
        unit => units.iter().find(|(u, _)| unit == u.to_string())?.1,
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain
        .then(|| digits.parse::<u64>().ok()?.checked_mul(scale))
        .flatten()
        .filter(|n| *n > 0)
}

/// `512`, `64K`, `4G`: bytes, in powers of 1,024.
pub fn bytes(text: &str) -> Option<u64> {
    scaled(
        text,
        &[
            ('K', 1 << 10),
            ('M', 1 << 20),
            ('G', 1 << 30),
            ('T', 1 << 40),
        ],
    )
}

/// `90`, `90s`, `30m`, `2h`: seconds.
pub fn seconds(text: &str) -> Option<u64> {
    scaled(text, &[('s', 1), ('m', 60), ('h', 3600)])
}
