//! What can be said of single names and values: whether they are good, and what to do if not.

use super::{Spanned, Wrong};
use crate::diagnostic::nearest;
use crate::hostname::NetworkRule;
use crate::rule::{self, Key, Later, PARTIALS, Shape};
use toml::de::DeValue;

/// Of `protect`.
pub(super) const MODES: &[&str] = &["deny", "report"];

pub(super) fn integer(value: &DeValue<'_>) -> Option<i64> {
    match value {
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).ok(),
        _ => None,
    }
}

pub(super) fn version(value: &Spanned<'_>) -> Option<Wrong> {
    let own = env!("CARGO_PKG_VERSION");
    match (value.get_ref(), integer(value.get_ref())) {
        (_, Some(1)) => None,
        (_, Some(n)) if n > 1 => Some((
            format!("version {n} needs a newer stockade than {own}"),
            Some("this one reads version 1".into()),
        )),
        (DeValue::Integer(_), _) => Some((
            "there is no such version".into(),
            Some("write `version = 1`".into()),
        )),
        _ => Some((
            "`version` is a whole number".into(),
            Some("write `version = 1`".into()),
        )),
    }
}

/// A key or table that this release does not have.
pub(super) fn unknown(table: &str, name: &str, later: &[Later]) -> Wrong {
    let own = env!("CARGO_PKG_VERSION");
    let what = if table.is_empty() {
        format!("unknown key or table `{name}`")
    } else {
        format!("unknown key `{name}` in [{table}]")
    };
    let comes = later
        .iter()
        .find(|l| (l.table == table && l.name == name) || (table.is_empty() && l.table == name));
    if let Some(comes) = comes {
        let help = format!("this is stockade {own}: install a newer one, or leave the key out");
        return (
            format!("`{name}` needs stockade ≥ {}", comes.since),
            Some(help),
        );
    }
    let keys = rule::keys().filter(|k| k.table == table).map(|k| k.name);
    let tables = rule::keys()
        .map(|k| k.table)
        .filter(|t| table.is_empty() && !t.is_empty());
    let help = if let Some(near) = nearest(name, keys.chain(tables)) {
        format!("did you mean `{near}`?")
    } else if let Some(other) = rule::keys().find(|k| k.name == name) {
        if other.table.is_empty() {
            format!("`{name}` stands at the top of the file, before every table")
        } else {
            format!("`{name}` belongs to [{}]", other.table)
        }
    } else if let Some((at, near)) = elsewhere(name) {
        format!("did you mean `{near}` in [{at}]?")
    } else {
        format!("stockade {own} does not know it; a newer one may")
    };
    (what, Some(help))
}

/// The nearest key of any table.
pub(super) fn elsewhere(name: &str) -> Option<(&'static str, &'static str)> {
    // short words are like too many
    if name.len() < 5 {
        return None;
    }
    let near = nearest(name, rule::keys().map(|k| k.name))?;
    rule::keys()
        .find(|k| k.name == near && !k.table.is_empty())
        .map(|k| (k.table, k.name))
}

pub(super) fn meant(word: &str, known: &[&str]) -> Option<String> {
    nearest(word, known.iter().copied()).map(|near| format!("did you mean `{near}`?"))
}

pub(super) fn no_value(name: &str, text: &str, words: &[&str]) -> Wrong {
    (
        format!("`{text}` is no value of `{name}`"),
        Some(meant(text, words).unwrap_or_else(|| takes(words))),
    )
}

pub(super) fn takes(words: &[&str]) -> String {
    let list: Vec<_> = words.iter().map(|w| format!("`{w}`")).collect();
    format!("it takes {}", list.join(", "))
}

/// What a value of the shape looks like.
pub(super) fn example(shape: Shape) -> Option<String> {
    let text = match shape {
        Shape::Version | Shape::Text | Shape::Flag | Shape::Count | Shape::Mode(_) => return None,
        Shape::Names => "such as `[\"agent\"]`",
        Shape::Paths => "such as `[\"~/notes\", \"${workspace}/**/*.pem\"]`",
        Shape::Protect => {
            "such as `[\".envrc\", { path = \"Makefile\", mode = \"report\", because = \"make runs it\" }]`"
        }
        Shape::Network => "such as `[\"example.com:443\", \"*.example.com\", \"10.0.0.0/8\"]`",
        Shape::Ports => "such as `[\"5432\", \"8080:80\"]`",
        Shape::SystemCalls => "such as `[\"personality\"]`",
        Shape::Variables => "such as `[\"LANG\", \"LC_*\"]`",
        Shape::Assignments => "such as `{ NAME = \"value\" }`",
        Shape::Bytes => "such as \"512M\" or \"4G\"",
        Shape::Seconds => "such as \"90s\", \"30m\" or \"2h\"",
        Shape::Partials => "such as `[\"absent\"]`",
    };
    Some(text.into())
}

pub(super) fn scalar(key: &Key, text: &str) -> Option<Wrong> {
    match key.shape {
        Shape::Mode(words) if !words.contains(&text) => Some(no_value(key.name, text, words)),
        Shape::Bytes if rule::bytes(text).is_none() => Some((
            format!("`{text}` is no size: a whole number above 0, with K, M, G, T or no unit"),
            example(key.shape),
        )),
        Shape::Seconds if rule::seconds(text).is_none() => Some((
            format!("`{text}` is no time: a whole number above 0, with s, m, h or no unit"),
            example(key.shape),
        )),
        _ => None,
    }
}

/// Names of variables, `*` allowed; bytes that an environment cannot hold are refused.
pub(super) fn is_variable(text: &str) -> bool {
    !text.is_empty() && !text.contains(['=', '\0']) && !text.chars().any(char::is_whitespace)
}

/// What can be said of one item without knowing variables.
pub(super) fn check(key: &Key, text: &str) -> Result<(), Wrong> {
    let shown = |what: &str| Err((format!("`{text}` {what}"), example(key.shape)));
    match key.shape {
        _ if text.is_empty() => Err(("empty text".into(), example(key.shape))),
        _ if text.contains('\0') => Err((format!("`{text}` contains a NUL byte"), None)),
        Shape::Network => NetworkRule::parse(text).map(|_| ()).map_err(|why| {
            let help = match text {
                "*" => Some("of every host: `default = \"allow\"`".into()),
                // the message says it all
                _ if why.starts_with("write ") => None,
                _ => example(key.shape),
            };
            (why, help)
        }),
        Shape::Ports if ports(text).is_none() => shown("is not HOST[:INSIDE], each a port"),
        Shape::SystemCalls if !rule::is_system_call_name(text) => {
            shown("is no name of a system call")
        }
        Shape::Variables if !is_variable(text) => shown("is no name of a variable"),
        Shape::Partials if !PARTIALS.contains(&text) => Err((
            format!("nothing is held in part under the name `{text}`"),
            meant(text, PARTIALS).or_else(|| Some(format!("names: {}", PARTIALS.join(", ")))),
        )),
        _ => Ok(()),
    }
}

/// `HOST[:INSIDE]`.
pub fn ports(text: &str) -> Option<(u16, u16)> {
    let one = |t: &str| {
        t.parse::<u16>()
            .ok()
            .filter(|_| t.starts_with(|c: char| ('1'..='9').contains(&c)))
    };
    match text.split_once(':') {
        None => one(text).map(|p| (p, p)),
        Some((host, inside)) => Some((one(host)?, one(inside)?)),
    }
}
