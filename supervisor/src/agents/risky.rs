//! Keys of an agent's settings that act outside: what a session writes there is not copied back.

use super::data::Mark;
use serde_json::{Map, Value};

/// A setting that the session changed and the host keeps as it was.
#[derive(Debug, PartialEq, Eq)]
pub struct Held {
    pub key: String,
    /// As JSON; none when the session removed it.
    pub value: Option<String>,
    pub because: String,
}

/// What may be copied back.
#[derive(Debug)]
pub struct Outgoing {
    pub bytes: Vec<u8>,
    pub held: Vec<Held>,
}

/// `inside` with the host's values at the risky keys; none when it is no JSON object: then nobody
/// knows what the agent would read in it. Without risky keys any content is as good as another.
pub fn outgoing(inside: &[u8], host: Option<&[u8]>, risky: &[Mark]) -> Option<Outgoing> {
    let bytes = inside.to_vec();
    let mut held = Vec::new();
    if risky.is_empty() {
        return Some(Outgoing { bytes, held });
    }
    let mut value = Value::Object(object(inside)?);
    let host = host.and_then(object).map(Value::Object);
    for mark in risky {
        let parts: Vec<&str> = mark.path.split('.').collect();
        hold(&mut value, host.as_ref(), &parts, "", mark, &mut held);
    }
    if held.is_empty() {
        // as the agent wrote it, to the byte
        return Some(Outgoing { bytes, held });
    }
    let bytes = serde_json::to_vec_pretty(&value).ok()?;
    Some(Outgoing { bytes, held })
}

/// As JavaScript reads it: invalid UTF-8 replaced, a byte order mark skipped, surrogates alone allowed.
fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    let text = String::from_utf8_lossy(bytes);
    let text = without_lone_surrogates(text.strip_prefix('\u{feff}').unwrap_or(&text));
    serde_json::from_str(&text).ok()
}

/// An agent cuts texts in the middle of a pair, and its language can write the half.
fn without_lone_surrogates(text: &str) -> String {
    let unit = |at: &str| {
        let digits = at.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let next = rest.get(6..).and_then(unit);
        let (kept, taken) = match (unit(rest), next) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (&rest[..12], 12),
            (Some(0xd800..=0xdfff), _) => ("\\ufffd", 6),
            // with the character that it escapes, which may be a backslash itself
            _ => {
                let length = rest.chars().take(2).map(char::len_utf8).sum();
                (&rest[..length], length)
            }
        };
        out.push_str(kept);
        rest = &rest[taken..];
    }
    out + rest
}

/// Allows, names and starts nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// `*` stands for each key of an object.
fn hold(
    inside: &mut Value,
    host: Option<&Value>,
    parts: &[&str],
    above: &str,
    mark: &Mark,
    out: &mut Vec<Held>,
) {
    let (Some(map), [part, rest @ ..]) = (inside.as_object_mut(), parts) else {
        return;
    };
    if !rest.is_empty() {
        for (key, value) in map.iter_mut().filter(|(k, _)| *part == "*" || part == k) {
            let below = format!("{above}{key}.");
            let host = host.and_then(|h| h.get(key));
            hold(value, host, rest, &below, mark, out);
        }
        return;
    }
    let theirs = host.and_then(|h| h.get(*part));
    let fresh = map.get(*part).filter(|v| !is_empty(v));
    if fresh == theirs.filter(|v| !is_empty(v)) {
        return;
    }
    out.push(Held {
        key: format!("{above}{part}"),
        value: fresh.map(Value::to_string),
        because: mark.because.clone(),
    });
    match theirs {
        Some(value) => map.insert((*part).into(), value.clone()),
        None => map.remove(*part),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn marks() -> Vec<Mark> {
        ["servers", "projects.*.tools"]
            .map(|path| Mark {
                path: path.into(),
                because: "it runs".into(),
            })
            .into()
    }

    type Keys = Vec<(String, Option<String>)>;

    /// What is copied back, and the keys and values that are not.
    fn of(inside: &str, host: &str) -> Option<(Value, Keys)> {
        let out = outgoing(inside.as_bytes(), Some(host.as_bytes()), &marks())?;
        let held = out.held.into_iter().map(|h| (h.key, h.value)).collect();
        Some((serde_json::from_slice(&out.bytes).unwrap(), held))
    }

    #[test]
    fn new_and_changed_values_stay_out_and_the_rest_arrives() {
        let (value, held) = of(
            r#"{"servers": {"x": "evil"}, "n": 2, "projects": {"/a.b": {"tools": ["all"], "n": 1}}}"#,
            r#"{"servers": {"x": "good"}, "n": 1}"#,
        )
        .unwrap();
        let expected = json!({"servers": {"x": "good"}, "n": 2, "projects": {"/a.b": {"n": 1}}});
        assert_eq!(value, expected);
        assert_eq!(
            held,
            [
                ("servers".into(), Some(r#"{"x":"evil"}"#.into())),
                ("projects./a.b.tools".into(), Some(r#"["all"]"#.into())),
            ]
        );
    }

    #[test]
    fn what_is_as_it_was_or_empty_is_copied_to_the_byte() {
        for (inside, host) in [
            (
                "{ \"servers\":{\"x\":1},\n\"n\":2}",
                r#"{"servers": {"x": 1}}"#,
            ),
            (r#"{"servers": {},  "projects": {"/p": {"tools": []}}}"#, ""),
        ] {
            let out = outgoing(inside.as_bytes(), Some(host.as_bytes()), &marks()).unwrap();
            assert_eq!(
                (out.bytes.as_slice(), out.held),
                (inside.as_bytes(), vec![])
            );
        }
    }

    #[test]
    fn what_the_session_removed_the_host_keeps() {
        for inside in ["{}", r#"{"servers": {}}"#] {
            let (value, held) = of(inside, r#"{"servers": {"x": 1}}"#).unwrap();
            assert_eq!(value, json!({"servers": {"x": 1}}));
            assert_eq!(held, [("servers".into(), None)]);
        }
    }

    #[test]
    fn only_a_json_object_is_judged() {
        for inside in ["servers: x", "[]", "", "\u{feff}\u{feff}{}", "{} // x"] {
            assert!(of(inside, "{}").is_none(), "{inside:?}");
        }
        let any = outgoing(b"text", None, &[]).unwrap();
        assert_eq!(any.bytes, b"text");
    }

    #[test]
    fn it_is_read_as_javascript_reads_it() {
        let evil = r#""servers": {"x": 1}}"#;
        for start in [
            "\u{feff}{",
            r#"{"n": "\ud83d", "#,
            r#"{"n": "\\\udc00\n", "#,
        ] {
            let (_, held) = of(&format!("{start}{evil}"), "{}").unwrap();
            assert_eq!(held.len(), 1, "{start:?}");
        }
        let bytes = [b"{\"n\": \"\xff\", ".as_slice(), evil.as_bytes()].concat();
        assert_eq!(outgoing(&bytes, None, &marks()).unwrap().held.len(), 1);
        let pair = r#""\ud83d\ude00 \\ud800 é\u00e9""#;
        assert_eq!(without_lone_surrogates(pair), pair);
        assert_eq!(
            without_lone_surrogates(r"\ud83d\ud83d\ude00"),
            r"\ufffd\ud83d\ude00"
        );
    }
}
