//! Layout rules that the compiler and clippy do not hold. Each is a pure function over the
//! checkout's texts, so that a test can show it failing.

mod crates;
mod documents;
mod files;
mod source;
mod tiers;

use crate::counts::Counts;
use std::collections::BTreeMap;
use std::path::Path;

/// The checkout's texts by path, relative to its top.
pub struct Checkout(BTreeMap<String, String>);

pub struct Rule {
    pub name: &'static str,
    /// One line each: where, what, why or what to do.
    pub check: fn(&Checkout) -> Vec<String>,
}

pub const RULES: &[Rule] = &[
    rule("dependencies go one way", crates::direction),
    rule("every crate names its licence", crates::licences),
    rule("policy does no I/O", source::purity),
    rule("unsafe only where it is argued", source::unsafe_code),
    rule("no wildcard over requirements", source::wildcards),
    rule("functions stay short", source::functions),
    rule("nothing is a stub or ignored", source::stubs),
    rule("files stay short", files::length),
    rule("no machine of ours is named", files::private),
    rule("every test has one tier", tiers::tests),
    rule("the code map is true", documents::code_map),
    rule("links lead somewhere", documents::links),
    rule(
        "tests that documents name are there",
        documents::named_tests,
    ),
    rule("every promise has its test", documents::promises),
];

const fn rule(name: &'static str, check: fn(&Checkout) -> Vec<String>) -> Rule {
    Rule { name, check }
}

/// Prints what breaks a rule; counts the rules.
pub fn run() -> Result<Counts, String> {
    let checkout = Checkout::read(&crate::top())?;
    let mut counts = Counts::default();
    for rule in RULES {
        let found = (rule.check)(&checkout);
        counts += Counts::one(found.is_empty());
        if !found.is_empty() {
            println!("tidy: {}", rule.name);
            found.iter().for_each(|line| println!("    {line}"));
        }
    }
    Ok(counts)
}

impl Checkout {
    /// Everything but what is built or git's own. What is not UTF-8 has no lines to judge.
    fn read(top: &Path) -> Result<Self, String> {
        let mut texts = BTreeMap::new();
        let mut folders = vec![top.to_owned()];
        while let Some(folder) = folders.pop() {
            let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
            for entry in std::fs::read_dir(&folder).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let kind = entry.file_type().map_err(failed)?;
                let name = entry.file_name();
                if kind.is_dir() && name != "target" && name != ".git" {
                    folders.push(entry.path());
                } else if kind.is_file()
                    && let Ok(text) = std::fs::read_to_string(entry.path())
                {
                    let path = entry.path();
                    let below = path.strip_prefix(top).map_err(|e| e.to_string())?;
                    texts.insert(below.display().to_string(), text);
                }
            }
        }
        Ok(Self(texts))
    }

    fn files<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .iter()
            .filter(move |(path, _)| path.ends_with(ending))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// A file, or a folder that holds one.
    fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let below = format!("{path}/");
        self.0.contains_key(path) || self.0.keys().any(|k| k.starts_with(&below))
    }
}

#[cfg(test)]
impl Checkout {
    fn of(files: &[(&str, &str)]) -> Self {
        let own = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        Self(files.iter().map(own).collect())
    }
}
