//! One layer as written: TOML to entries with places. Every mistake is collected.

use crate::diagnostic::{Diagnostic, nearest};
use crate::hostname::NetworkRule;
use crate::rule::{self, Key, PARTIALS, Shape};
use std::collections::BTreeSet;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

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

struct Parser<'o> {
    origin: &'o str,
    entries: Vec<Entry>,
    found: Vec<Diagnostic>,
}

impl PolicyText {
    pub fn parse(origin: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        if text.len() > MAX_BYTES {
            let message = format!("policy of {} bytes; at most {MAX_BYTES}", text.len());
            return Err(vec![Diagnostic::error(origin, 0..0, message)]);
        }
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut parser = Parser {
            origin,
            entries: Vec::new(),
            found: Vec::new(),
        };
        for error in &errors {
            parser.fail(error.span().unwrap_or(0..0), error.message());
        }
        if errors.is_empty() {
            parser.top(table.get_ref());
        }
        if parser.entries.len() > MAX_RULES {
            parser.fail(
                0..0,
                format!("{} rules; at most {MAX_RULES}", parser.entries.len()),
            );
        }
        let Parser {
            entries,
            found,
            origin: _,
        } = parser;
        if found.is_empty() {
            Ok(Self {
                origin: origin.into(),
                entries,
            })
        } else {
            Err(found)
        }
    }
}

impl Parser<'_> {
    fn fail(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.found
            .push(Diagnostic::error(self.origin, span, message));
    }

    fn top(&mut self, table: &DeTable<'_>) {
        if !table.iter().any(|(k, _)| k.get_ref() == "version") {
            self.found.push(
                Diagnostic::error(self.origin, 0..0, "no `version`")
                    .help("write `version = 1` first"),
            );
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
                    self.fail(value.span(), format!("`{}` is a table", name.get_ref()));
                }
                _ => self.key("", name.get_ref(), name.span(), value),
            }
        }
    }

    fn key(&mut self, table: &str, name: &str, span: Range<usize>, value: &Spanned<'_>) {
        let Some(key) = rule::find(table, name) else {
            self.unknown(table, name, span);
            return;
        };
        match key.shape {
            Shape::Version => match value.get_ref() {
                DeValue::Integer(n) if n.as_str() == "1" => {}
                DeValue::Integer(n) => {
                    let message = format!(
                        "version {} is not known to stockade {}",
                        n.as_str(),
                        env!("CARGO_PKG_VERSION")
                    );
                    self.found.push(
                        Diagnostic::error(self.origin, value.span(), message)
                            .help("needs a newer stockade; this one reads version 1"),
                    );
                }
                _ => self.fail(value.span(), "`version` is a whole number"),
            },
            Shape::Flag => match value.get_ref() {
                DeValue::Boolean(true) => self.entry(key, "true".into(), value.span()),
                DeValue::Boolean(false) => {}
                _ => self.fail(value.span(), format!("`{name}` is true or false")),
            },
            Shape::Text | Shape::Mode(_) | Shape::Bytes | Shape::Seconds => match value.get_ref() {
                DeValue::String(text) => self.scalar(key, text, value.span()),
                _ => self.fail(value.span(), format!("`{name}` is a text in quotes")),
            },
            Shape::Count => match value.get_ref() {
                DeValue::Integer(n) if n.as_str().parse::<u32>().is_ok_and(|n| n > 0) => {
                    self.entry(key, n.as_str().into(), value.span());
                }
                _ => self.fail(
                    value.span(),
                    format!("`{name}` is a whole number from 1 to {}", u32::MAX),
                ),
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
            | Shape::Partials => {
                self.list(key, value);
            }
        }
    }

    fn unknown(&mut self, table: &str, name: &str, span: Range<usize>) {
        let message = if table.is_empty() {
            format!("unknown key or table `{name}`")
        } else {
            format!("unknown key `{name}` in [{table}]")
        };
        let known = rule::keys().filter(|k| k.table == table).map(|k| k.name);
        let tables = rule::keys().filter(|_| table.is_empty()).map(|k| k.table);
        let help = if let Some(near) = nearest(name, known.chain(tables)) {
            format!("did you mean `{near}`?")
        } else if let Some(other) = rule::keys().find(|k| k.name == name) {
            format!("`{name}` belongs to [{}]", other.table)
        } else {
            format!(
                "stockade {} does not know it; a newer one may",
                env!("CARGO_PKG_VERSION")
            )
        };
        self.found
            .push(Diagnostic::error(self.origin, span, message).help(help));
    }

    fn scalar(&mut self, key: &'static Key, text: &str, span: Range<usize>) {
        let wrong = match key.shape {
            Shape::Mode(words) if !words.contains(&text) => {
                let near =
                    nearest(text, words.iter().copied()).map(|n| format!("did you mean `{n}`?"));
                let list = words
                    .iter()
                    .map(|w| format!("`{w}`"))
                    .collect::<Vec<_>>()
                    .join(", ");
                Some((
                    format!("`{text}` is no value of `{}`; it takes {list}", key.name),
                    near,
                ))
            }
            Shape::Bytes if rule::bytes(text).is_none() => Some((
                format!("`{text}` is no size"),
                Some("such as \"512M\" or \"4G\"".into()),
            )),
            Shape::Seconds if rule::seconds(text).is_none() => Some((
                format!("`{text}` is no time"),
                Some("such as \"90s\", \"30m\" or \"2h\"".into()),
            )),
            _ => None,
        };
        match wrong {
            None => self.entry(key, text.into(), span),
            Some((message, help)) => {
                let found = Diagnostic::error(self.origin, span, message);
                self.found.push(match help {
                    Some(help) => found.help(help),
                    None => found,
                });
            }
        }
    }

    fn assignments(&mut self, key: &'static Key, value: &Spanned<'_>) {
        let DeValue::Table(table) = value.get_ref() else {
            return self.fail(
                value.span(),
                format!("`{}` is a table of NAME = \"value\"", key.name),
            );
        };
        for (name, value) in table {
            let good = is_variable(name.get_ref()) && !name.get_ref().contains('*');
            match value.get_ref() {
                DeValue::String(text) if good && !text.contains('\0') => {
                    self.entry(key, format!("{}={text}", name.get_ref()), value.span())
                }
                DeValue::String(_) if good => self.fail(value.span(), "value contains a NUL byte"),
                _ if good => self.fail(value.span(), "the value is a text in quotes"),
                _ => self.fail(
                    name.span(),
                    format!("`{}` is no name of a variable", name.get_ref()),
                ),
            }
        }
    }

    fn list(&mut self, key: &'static Key, value: &Spanned<'_>) {
        match value.get_ref() {
            DeValue::Array(items) if items.is_empty() => {
                let found = Diagnostic::error(
                    self.origin,
                    value.span(),
                    format!("`{}` is an empty list", key.name),
                );
                self.found
                    .push(found.help("an empty list adds nothing; leave the key out"));
            }
            DeValue::Array(items) => items.iter().for_each(|item| self.item(key, item)),
            _ => self.fail(value.span(), format!("`{}` is a list", key.name)),
        }
    }

    fn item(&mut self, key: &'static Key, value: &Spanned<'_>) {
        match value.get_ref() {
            DeValue::String(text) => {
                let (removes, text) = text
                    .strip_prefix('!')
                    .map_or((false, &**text), |t| (true, t));
                if let Err((message, help)) = check(key, text) {
                    let found = Diagnostic::error(self.origin, value.span(), message);
                    return self.found.push(match help {
                        Some(help) => found.help(help),
                        None => found,
                    });
                }
                let span = value.span();
                self.entries.push(Entry {
                    key,
                    text: text.into(),
                    removes,
                    report: false,
                    because: None,
                    span,
                });
            }
            DeValue::Table(table) if key.shape == Shape::Protect => {
                self.protect(key, table, value.span())
            }
            _ => self.fail(
                value.span(),
                format!("an entry of `{}` is a text in quotes", key.name),
            ),
        }
    }

    fn protect(&mut self, key: &'static Key, table: &DeTable<'_>, span: Range<usize>) {
        let (mut path, mut report, mut because) = (None, false, None);
        for (name, value) in table {
            let DeValue::String(text) = value.get_ref() else {
                self.fail(value.span(), "the value is a text in quotes");
                continue;
            };
            match (&**name.get_ref(), &**text) {
                ("path", text) => path = Some(text.to_owned()),
                ("mode", "deny") => report = false,
                ("mode", "report") => report = true,
                ("mode", other) => self.fail(
                    value.span(),
                    format!("`{other}` is no mode; it takes `deny`, `report`"),
                ),
                ("because", text) => because = Some(text.to_owned()),
                (other, _) => self.fail(
                    name.span(),
                    format!("unknown key `{other}`; it takes `path`, `mode`, `because`"),
                ),
            }
        }
        match path {
            Some(text) => match check(key, &text) {
                Ok(()) => self.entries.push(Entry {
                    key,
                    text,
                    removes: false,
                    report,
                    because,
                    span,
                }),
                Err((message, _)) => self.fail(span, message),
            },
            None => self.fail(span, "no `path`"),
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

/// Names of variables, `*` allowed; bytes that an environment cannot hold are refused.
fn is_variable(text: &str) -> bool {
    !text.is_empty() && !text.contains(['=', '\0']) && !text.chars().any(char::is_whitespace)
}

/// What can be said of one item without knowing variables.
fn check(key: &Key, text: &str) -> Result<(), (String, Option<String>)> {
    let plain = |m: String| (m, None);
    match key.shape {
        _ if text.is_empty() => Err(plain("empty text".into())),
        Shape::Network => NetworkRule::parse(text).map(|_| ()).map_err(plain),
        Shape::Ports => ports(text)
            .map(|_| ())
            .ok_or_else(|| plain(format!("`{text}` is not HOST[:INSIDE], each a port"))),
        Shape::SystemCalls if !rule::is_system_call_name(text) => {
            Err(plain(format!("`{text}` is no name of a system call")))
        }
        Shape::Variables if !is_variable(text) => {
            Err(plain(format!("`{text}` is no name of a variable")))
        }
        Shape::Partials if !PARTIALS.contains(&text) => {
            let near =
                nearest(text, PARTIALS.iter().copied()).map(|n| format!("did you mean `{n}`?"));
            Err((
                format!("nothing is held in part under the name `{text}`"),
                near.or_else(|| Some(format!("names: {}", PARTIALS.join(", ")))),
            ))
        }
        _ => Ok(()),
    }
}

/// `HOST[:INSIDE]`.
pub fn ports(text: &str) -> Option<(u16, u16)> {
    let one = |t: &str| {
        t.parse::<u16>()
            .ok()
            .filter(|n| *n > 0 && t.bytes().all(|b| b.is_ascii_digit()))
    };
    match text.split_once(':') {
        None => one(text).map(|p| (p, p)),
        Some((host, inside)) => Some((one(host)?, one(inside)?)),
    }
}
