//! One layer as written: TOML to entries with places. Every mistake is collected.

mod value;

use crate::diagnostic::{Diagnostic, Lines};
use crate::rule::{self, Key, Later, Shape};
use std::collections::BTreeSet;
use std::ops::Range;
use toml::de::{DeTable, DeValue};
use value::{
    MODES, check, example, integer, is_variable, meant, no_value, scalar, takes, unknown, version,
};

type Spanned<'t> = toml::Spanned<DeValue<'t>>;

/// Larger files are refused: a policy is written by people.
pub const MAX_BYTES: usize = 8 << 20;
/// Rules in one file.
pub const MAX_RULES: usize = 200_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: &'static Key,
    pub text: String,
    /// Written as `"!text"`: takes the rule with exactly this text away.
    pub removes: bool,
    /// `protect`: `report` instead of `deny`.
    pub report: bool,
    pub because: Option<String>,
    pub span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyText {
    pub origin: String,
    pub entries: Vec<Entry>,
}

/// A message, and what to do about it.
type Wrong = (String, Option<String>);

struct Parser<'o> {
    origin: &'o str,
    later: &'o [Later],
    entries: Vec<Entry>,
    found: Vec<Diagnostic>,
}

impl PolicyText {
    pub fn parse(origin: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let (text, found) = Self::read(origin, text);
        if found.is_empty() {
            Ok(text)
        } else {
            Err(found)
        }
    }

    /// What could be read, and every mistake: what other checks find is then reported with them.
    pub(crate) fn read(origin: &str, text: &str) -> (Self, Vec<Diagnostic>) {
        Self::read_knowing(origin, text, rule::LATER)
    }

    fn read_knowing(origin: &str, text: &str, later: &[Later]) -> (Self, Vec<Diagnostic>) {
        let mut parser = Parser {
            origin,
            later,
            entries: Vec::new(),
            found: Vec::new(),
        };
        if text.len() > MAX_BYTES {
            let message = format!("policy of {} bytes; at most {MAX_BYTES}", text.len());
            parser.fail(0..0, message);
        } else {
            let (table, errors) = DeTable::parse_recoverable(text);
            parser.syntax(text, &errors);
            if errors.is_empty() {
                parser.top(table.get_ref());
            }
        }
        if parser.entries.len() > MAX_RULES {
            let message = format!("{} rules; at most {MAX_RULES}", parser.entries.len());
            parser.fail(0..0, message);
        }
        let Parser {
            entries,
            found,
            origin: _,
            later: _,
        } = parser;
        let origin = origin.into();
        (Self { origin, entries }, found)
    }
}

impl Parser<'_> {
    fn fail(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.wrong(span, (message.into(), None));
    }

    fn wrong(&mut self, span: Range<usize>, (message, help): Wrong) {
        let mut found = Diagnostic::error(self.origin, span, message);
        found.help = help;
        self.found.push(found);
    }

    /// One a line, and none that only follows from a list that was never closed.
    fn syntax(&mut self, text: &str, errors: &[toml::de::Error]) {
        let unclosed = errors.len() > 1
            && errors
                .iter()
                .any(|e| e.message().contains("unclosed array"));
        let mut errors: Vec<_> = errors
            .iter()
            .map(|e| (e.span().unwrap_or(0..0), e))
            .collect();
        errors.sort_by_key(|(span, _)| span.start);
        let (lines, mut last) = (Lines::new(text), None);
        for (span, error) in errors {
            let line = lines.number(span.start);
            if last == Some(line) || (unclosed && last.is_some()) {
                continue;
            }
            last = Some(line);
            let help = match error.message() {
                "duplicate key" => Some("a key or table stands once; put both into one"),
                _ if unclosed => Some("a list above is not closed: its `]` is missing"),
                _ if text.trim_start().starts_with('{') => Some(
                    "a policy is TOML, not JSON: `version = 1`, then `[filesystem]` and its keys",
                ),
                _ => None,
            };
            let message = format!("not TOML: {}", error.message());
            self.wrong(span, (message, help.map(str::to_owned)));
        }
    }

    fn top(&mut self, table: &DeTable<'_>) {
        match table.iter().find(|(k, _)| k.get_ref() == "version") {
            None => {
                let help = Some("write `version = 1` first".into());
                self.wrong(0..0, ("no `version`".into(), help));
            }
            Some((_, value)) => {
                if let Some(wrong) = version(value) {
                    // of another version's keys nothing can be said
                    return self.wrong(value.span(), wrong);
                }
            }
        }
        let tables: BTreeSet<&str> = rule::keys()
            .map(|k| k.table)
            .filter(|t| !t.is_empty())
            .collect();
        for (name, value) in table {
            match value.get_ref() {
                DeValue::Table(inner) if tables.contains(&**name.get_ref()) => {
                    for (key, value) in inner {
                        self.key(name.get_ref(), key.get_ref(), key.span(), value);
                    }
                }
                _ if tables.contains(&**name.get_ref()) => {
                    let help = format!("write `[{}]` on a line of its own", name.get_ref());
                    let message = format!("`{}` is a table", name.get_ref());
                    self.wrong(value.span(), (message, Some(help)));
                }
                _ => self.key("", name.get_ref(), name.span(), value),
            }
        }
    }

    fn key(&mut self, table: &str, name: &str, span: Range<usize>, value: &Spanned<'_>) {
        match rule::find(table, name) {
            Some(key) => self.value(key, value),
            None => self.wrong(span, unknown(table, name, self.later)),
        }
    }

    fn value(&mut self, key: &'static Key, value: &Spanned<'_>) {
        let name = key.name;
        match key.shape {
            // looked at before anything else
            Shape::Version => {}
            Shape::Flag => match value.get_ref() {
                DeValue::Boolean(true) => self.entry(key, "true".into(), value.span()),
                DeValue::Boolean(false) => {}
                _ => self.fail(value.span(), format!("`{name}` is true or false")),
            },
            Shape::Text | Shape::Mode(_) | Shape::Bytes | Shape::Seconds => match value.get_ref() {
                DeValue::String(text) => match scalar(key, text) {
                    None => self.entry(key, (**text).into(), value.span()),
                    Some(wrong) => self.wrong(value.span(), wrong),
                },
                other => {
                    let help = match (key.shape, other) {
                        (Shape::Mode(words), _) => Some(takes(words)),
                        (Shape::Bytes | Shape::Seconds, DeValue::Integer(n)) if n.radix() == 10 => {
                            Some(format!("write `{name} = \"{}\"`", n.as_str()))
                        }
                        _ => example(key.shape),
                    };
                    let message = format!("`{name}` is a text in quotes");
                    self.wrong(value.span(), (message, help));
                }
            },
            Shape::Count => match integer(value.get_ref()).map(u32::try_from) {
                Some(Ok(n)) if n > 0 => self.entry(key, n.to_string(), value.span()),
                _ => {
                    let message = format!("`{name}` is a whole number from 1 to {}", u32::MAX);
                    let quoted = match value.get_ref() {
                        DeValue::String(text) => text.parse::<u32>().ok(),
                        _ => None,
                    };
                    let help = quoted.map(|n| format!("write `{name} = {n}`"));
                    self.wrong(value.span(), (message, help));
                }
            },
            Shape::Assignments => self.assignments(key, value),
            Shape::Names if matches!(value.get_ref(), DeValue::String(_)) => self.item(key, value),
            Shape::Names
            | Shape::Paths
            | Shape::Protect
            | Shape::Network
            | Shape::Ports
            | Shape::SystemCalls
            | Shape::Variables
            | Shape::Partials => self.list(key, value),
        }
    }

    fn assignments(&mut self, key: &'static Key, value: &Spanned<'_>) {
        let DeValue::Table(table) = value.get_ref() else {
            let message = format!("`{}` is a table", key.name);
            let help = Some(format!("such as `{} = {{ NAME = \"value\" }}`", key.name));
            return self.wrong(value.span(), (message, help));
        };
        for (name, value) in table {
            let good = is_variable(name.get_ref()) && !name.get_ref().contains('*');
            match value.get_ref() {
                DeValue::String(text) if good && !text.contains('\0') => {
                    self.entry(key, format!("{}={text}", name.get_ref()), value.span())
                }
                DeValue::String(_) if good => self.fail(value.span(), "value contains a NUL byte"),
                _ if good => {
                    let message = format!("`{}` is a text in quotes", name.get_ref());
                    self.fail(value.span(), message);
                }
                _ => self.fail(
                    name.span(),
                    format!("`{}` is no name of a variable", name.get_ref()),
                ),
            }
        }
    }

    fn list(&mut self, key: &'static Key, value: &Spanned<'_>) {
        let name = key.name;
        let wrong = match value.get_ref() {
            DeValue::Array(items) if items.is_empty() => (
                format!("`{name}` is an empty list"),
                Some("an empty list adds nothing; leave the key out".into()),
            ),
            DeValue::Array(items) => return items.iter().for_each(|item| self.item(key, item)),
            DeValue::String(text) => (
                format!("`{name}` is a list"),
                Some(format!("write `{name} = [{:?}]`", &**text)),
            ),
            _ => (format!("`{name}` is a list"), example(key.shape)),
        };
        self.wrong(value.span(), wrong);
    }

    fn item(&mut self, key: &'static Key, value: &Spanned<'_>) {
        let span = value.span();
        match value.get_ref() {
            DeValue::String(text) => {
                let (removes, text) = text
                    .strip_prefix('!')
                    .map_or((false, &**text), |t| (true, t));
                let wrong = match key.shape {
                    Shape::Names if removes => Some((
                        "a preset can't be taken away".into(),
                        Some("`\"!…\"` takes single rules away, in the list of their key".into()),
                    )),
                    _ => check(key, text).err(),
                };
                if let Some(wrong) = wrong {
                    return self.wrong(span, wrong);
                }
                self.entries.push(Entry {
                    key,
                    text: text.into(),
                    removes,
                    report: false,
                    because: None,
                    span,
                });
            }
            DeValue::Table(table) if key.shape == Shape::Protect => self.protect(key, table, span),
            _ => {
                let message = format!("an entry of `{}` is a text in quotes", key.name);
                self.wrong(span, (message, example(key.shape)));
            }
        }
    }

    fn protect(&mut self, key: &'static Key, table: &DeTable<'_>, span: Range<usize>) {
        const KEYS: [&str; 3] = ["path", "mode", "because"];
        let (mut path, mut report, mut because) = (None, false, None);
        for (name, value) in table {
            let name_text = &**name.get_ref();
            if !KEYS.contains(&name_text) {
                let help = meant(name_text, &KEYS)
                    .unwrap_or_else(|| "it takes `path`, `mode`, `because`".into());
                let message = format!("unknown key `{name_text}` in an entry of `protect`");
                self.wrong(name.span(), (message, Some(help)));
                continue;
            }
            let DeValue::String(text) = value.get_ref() else {
                self.fail(value.span(), format!("`{name_text}` is a text in quotes"));
                continue;
            };
            match (name_text, &**text) {
                ("path", text) => path = Some((text.to_owned(), value.span())),
                ("mode", "deny") => report = false,
                ("mode", "report") => report = true,
                ("mode", other) => self.wrong(value.span(), no_value("mode", other, MODES)),
                (_, text) => because = Some(text.to_owned()),
            }
        }
        match path {
            Some((text, span)) if text.starts_with('!') => self.wrong(
                span,
                (
                    "a rule is taken away by its text alone".into(),
                    Some(format!("write `{text:?}` in place of the table")),
                ),
            ),
            Some((text, span)) => match check(key, &text) {
                Ok(()) => self.entries.push(Entry {
                    key,
                    text,
                    removes: false,
                    report,
                    because,
                    span,
                }),
                Err(wrong) => self.wrong(span, wrong),
            },
            // a `path` of a wrong type is one mistake, not two
            None if table.iter().any(|(k, _)| k.get_ref() == "path") => {}
            None => self.wrong(span, ("no `path`".into(), example(key.shape))),
        }
    }

    fn entry(&mut self, key: &'static Key, text: String, span: Range<usize>) {
        self.entries.push(Entry {
            key,
            text,
            removes: false,
            report: false,
            because: None,
            span,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: &[Later] = &[
        Later {
            table: "filesystem",
            name: "watch",
            since: "0.2.0",
        },
        Later {
            table: "observe",
            name: "sinks",
            since: "0.3.0",
        },
        Later {
            table: "",
            name: "label",
            since: "0.4.0",
        },
    ];

    fn messages(text: &str) -> Vec<String> {
        let (_, found) = PolicyText::read_knowing("p.toml", text, LATER);
        found.into_iter().map(|d| d.message).collect()
    }

    #[test]
    fn a_key_of_a_later_release_names_the_release() {
        let found = messages(
            "version = 1\nlabel = 'x'\n[filesystem]\nwatch = ['/a']\n[observe]\nsinks = ['a']\n",
        );
        assert_eq!(found.len(), 3, "{found:?}");
        for want in [
            "`watch` needs stockade ≥ 0.2.0",
            "`observe` needs stockade ≥ 0.3.0",
            "`label` needs stockade ≥ 0.4.0",
        ] {
            assert!(found.iter().any(|f| f == want), "{want}: {found:?}");
        }
        // the same words elsewhere are as unknown as any
        assert_eq!(
            messages("version = 1\n[exec]\nwatch = ['/a']\n"),
            ["unknown key `watch` in [exec]"]
        );
    }

    #[test]
    fn of_a_later_version_nothing_else_is_said() {
        let found = messages("version = 2\nnever = 'heard'\n");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("version 2 needs a newer stockade"));
        assert_eq!(messages("version = 0x1\n"), [""; 0]);
        assert_eq!(messages("version = 0\n"), ["there is no such version"]);
    }

    #[test]
    fn numbers_are_read_in_their_base() {
        let read = |text: &str| {
            let (text, found) = PolicyText::read("p.toml", text);
            assert!(found.is_empty(), "{found:?}");
            text.entries[0].text.clone()
        };
        assert_eq!(read("version = 1\n[limits]\nfiles = 0x10\n"), "16");
        assert_eq!(read("version = 1\n[limits]\nfiles = 1_000\n"), "1000");
    }
}
