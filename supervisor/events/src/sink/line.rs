//! Text that fits a screen, with nothing in it that a terminal would obey.

use std::fmt::Write;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// In quotes, as C would write it; text stays text.
pub fn quoted(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        escape(chunk.valid(), &mut out);
        for byte in chunk.invalid() {
            // writing to a String can't fail
            write!(out, "\\x{byte:02x}").unwrap_or(());
        }
    }
    out.push('"');
    out
}

fn escape(text: &str, out: &mut String) {
    let plain = |b: u8| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\';
    if text.bytes().all(plain) {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '"' | '\\' | '\n' | '\t' | '\r' => out.extend(c.escape_default()),
            c if c.is_ascii_control() => write!(out, "\\x{:02x}", c as u32).unwrap_or(()),
            c => out.push_str(&stockade_policy::escaped(c.encode_utf8(&mut [0; 4]))),
        }
    }
}

/// As a shell would take it, as far as that can be told in a line.
pub fn word(bytes: &[u8]) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_./=:,+@%^".contains(b);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let text = quoted(bytes);
    let inner = &text[1..text.len() - 1];
    if inner.contains(['\\', '\'']) {
        text
    } else {
        format!("'{inner}'")
    }
}

pub fn width(text: &str) -> usize {
    text.width()
}

/// Which end of a text says more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Head,
    Tail,
}

/// At most `room` columns of it; `…` stands for what is missing.
pub fn cut(text: &str, room: usize, keep: Keep) -> String {
    if width(text) <= room {
        return text.into();
    }
    let quote = text.len() > 1 && text.starts_with('"') && text.ends_with('"') && room > 3;
    let mut room = room.saturating_sub(1 + usize::from(quote));
    let mut fits = |c: &char| {
        let columns = c.width().unwrap_or(0);
        let fits = columns <= room;
        room = room.saturating_sub(if fits { columns } else { room });
        fits
    };
    match keep {
        Keep::Head => {
            let head: String = text.chars().take_while(&mut fits).collect();
            format!("{head}…{}", if quote { "\"" } else { "" })
        }
        Keep::Tail => {
            let tail: Vec<char> = text.chars().rev().take_while(&mut fits).collect();
            let tail: String = tail.into_iter().rev().collect();
            format!("{}…{tail}", if quote { "\"" } else { "" })
        }
    }
}

/// No part is cut shorter than this as long as that helps.
const SHORTEST: usize = 8;

/// Parts joined by `, ` within `room`: the longest are cut first.
pub fn fit(parts: &[(String, Keep)], room: usize) -> String {
    let widths: Vec<usize> = parts.iter().map(|(text, _)| width(text)).collect();
    let between = 2 * parts.len().saturating_sub(1);
    let needs = |most: usize| widths.iter().map(|w| (*w).min(most)).sum::<usize>() + between;
    let longest = widths.iter().copied().max().unwrap_or(0);
    let (mut most, mut over) = (SHORTEST, longest.max(SHORTEST) + 1);
    while over - most > 1 {
        let middle = usize::midpoint(most, over);
        if needs(middle) > room {
            over = middle;
        } else {
            most = middle;
        }
    }
    let all: Vec<String> = parts
        .iter()
        .map(|(text, keep)| cut(text, most, *keep))
        .collect();
    cut(&all.join(", "), room, Keep::Head)
}

/// Three digits that count, and a unit.
pub fn duration(nanoseconds: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")];
    let unit = UNITS.into_iter().find(|(size, _)| nanoseconds >= *size);
    let Some((size, name)) = unit else {
        return format!("{nanoseconds} ns");
    };
    let (whole, rest) = (nanoseconds / size, nanoseconds % size);
    match whole {
        0..10 => format!("{whole}.{:02} {name}", rest * 100 / size),
        10..100 => format!("{whole}.{} {name}", rest * 10 / size),
        _ => format!("{whole} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let hostile = b"a\x1b]0;title\x07\x9b\xc2\x9b\xe2\x80\xae\"\\\n\xff\x7f";
        let shown = r#""a\x1b]0;title\x07\x9b\u{9b}\u{202e}\"\\\n\xff\x7f""#;
        assert_eq!(quoted(hostile), shown);
        assert_eq!(quoted("häßlich 漢字".as_bytes()), "\"häßlich 漢字\"");
        let shown = ["a b".as_bytes(), b"", b"-c", b"it's", b"\x1b", b"a;b"].map(word);
        assert_eq!(
            shown,
            ["'a b'", "''", "-c", "\"it's\"", r#""\x1b""#, "'a;b'"]
        );
    }

    #[test]
    fn what_is_cut_has_the_width_that_there_is() {
        let path = "\"/usr/share/zoneinfo/Europe/Berlin\"";
        assert_eq!(cut(path, 40, Keep::Tail), path);
        assert_eq!(cut(path, 12, Keep::Tail), "\"…pe/Berlin\"");
        assert_eq!(cut(path, 12, Keep::Head), "\"/usr/shar…\"");
        // two columns each
        assert_eq!(cut("漢字漢字", 6, Keep::Head), "漢字…");
        for room in 1..40 {
            for keep in [Keep::Head, Keep::Tail] {
                assert!(width(&cut(path, room, keep)) <= room, "{room}");
            }
            let parts = [path, "O_RDONLY|O_CLOEXEC", "3"].map(|t| (t.into(), Keep::Head));
            assert!(width(&fit(&parts, room)) <= room, "{room}");
        }
        let parts = [(path.into(), Keep::Tail), ("O_RDONLY".into(), Keep::Head)];
        assert_eq!(fit(&parts, 28), "\"…o/Europe/Berlin\", O_RDONLY");
    }

    #[test]
    fn durations_have_three_digits() {
        let all = [0, 999, 1000, 12_345, 999_999, 1_234_567, 61_000_000_000];
        assert_eq!(
            all.map(duration),
            [
                "0 ns", "999 ns", "1.00 µs", "12.3 µs", "999 µs", "1.23 ms", "61.0 s"
            ]
        );
    }
}
