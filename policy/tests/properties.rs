//! The properties of `common/properties.rs`, over random bytes and over every input that was
//! once found wrong (`tests/corpus/found/TARGET/`).

#[path = "common/properties.rs"]
mod properties;

use proptest::prelude::*;
use std::path::Path;

fn found(target: &str, property: impl Fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus/found")
        .join(target);
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries
        .map(|e| property(&std::fs::read(e.expect("an entry").path()).expect("an input")))
        .count()
}

fn as_text(bytes: &[u8]) {
    properties::parse(&String::from_utf8_lossy(bytes));
}

/// Files of the corpus with bytes changed: most of what they say is still said.
fn mutated() -> impl Strategy<Value = String> {
    let mut texts = Vec::new();
    for kind in ["accepted", "rejected"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/corpus")
            .join(kind);
        for entry in std::fs::read_dir(folder).expect("the corpus") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|e| e == "toml") {
                texts.push(std::fs::read_to_string(path).expect("a text"));
            }
        }
    }
    texts.sort();
    let piece = prop::sample::select(vec![
        "", "\"", "'", "[", "]", "{", "}", "=", "\n", "!", "**", "${", "\\u0000", "é", ",", "..",
    ]);
    let change = (any::<prop::sample::Index>(), 0..8_usize, piece);
    (
        prop::sample::select(texts),
        prop::collection::vec(change, 0..4),
    )
        .prop_map(|(text, changes)| {
            let mut chars: Vec<char> = text.chars().collect();
            for (at, gone, piece) in changes {
                let at = at.index(chars.len() + 1);
                let end = (at + gone).min(chars.len());
                chars.splice(at..end, piece.chars());
            }
            chars.into_iter().collect()
        })
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        properties::parse(&text);
    }

    #[test]
    fn nearly_good_text_is_read_or_refused(text in mutated()) {
        properties::parse(&text);
    }

    #[test]
    fn an_untrusted_project_never_makes_an_access_less_strict(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        properties::merge(&bytes);
    }

    #[test]
    fn every_access_has_one_verdict(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        properties::verdict(&bytes);
    }
}

#[test]
fn what_was_once_found_wrong_stays_right() {
    found("parse", as_text);
    found("verdict", properties::verdict);
    // an untrusted `ask`, more specific than a denial
    assert!(found("merge", properties::merge) > 0);
}
