//! The merged policy: every rule with its id, every setting with the rule that set it.

use crate::diagnostic::{Diagnostic, nearest};
use crate::glob::{Context, Glob};
use crate::hostname::NetworkRule;
use crate::merge::{self, Layer, Sources};
use crate::rule::{self, Effect, Key, Shape};
use crate::text::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

/// `LAYER:table.key:"text"`; never an index, so that it stays true when a list grows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct RuleId(String);

impl RuleId {
    pub fn new(layer: &str, key: &str, text: &str) -> Self {
        Self(format!("{layer}:{key}:{text:?}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone)]
pub struct Rule {
    pub id: RuleId,
    pub key: &'static Key,
    pub text: String,
    /// Height of its layer: the higher decides between equal patterns.
    pub rank: usize,
    /// Its layer may only tighten.
    pub restricted: bool,
    /// Of a preset or of what stockade knows of an agent: nobody asked for it by name.
    pub supplied: bool,
    /// Of path rules; empty when a variable with a default was unset.
    pub globs: Vec<Glob>,
    /// Of network rules.
    pub peer: Option<NetworkRule>,
    /// `protect`: allowed and reported.
    pub report: bool,
    pub because: Option<String>,
}

/// A scalar and the rule that set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub value: String,
    pub id: RuleId,
}

#[derive(Debug, Clone)]
pub struct Policy {
    pub context: Context,
    rules: Vec<Rule>,
    settings: BTreeMap<String, Setting>,
    /// Entries of an untrusted layer that do not count, each once.
    pub ignored: Vec<RuleId>,
    pub warnings: Vec<Diagnostic>,
}

/// Settings where no layer says anything: the strictest, by name.
const BUILT_IN: &[(&str, &str)] = &[
    ("exec.default", "deny"),
    ("exec.written", "allow"),
    ("network.default", "deny"),
    ("network.namespace", "private"),
    ("process.user_namespaces", "deny"),
    ("process.ptrace", "allow"),
];

impl Policy {
    pub fn build(sources: &Sources, context: Context) -> Result<Self, Vec<Diagnostic>> {
        let (stacked, mut found) = merge::stack(sources);
        let built_in = |(key, value): &(&str, &str)| {
            let id = RuleId::new("built-in", key, value);
            (
                (*key).to_owned(),
                Setting {
                    value: (*value).into(),
                    id,
                },
            )
        };
        let mut policy = Self {
            context,
            rules: Vec::new(),
            settings: BUILT_IN.iter().map(built_in).collect(),
            ignored: Vec::new(),
            warnings: Vec::new(),
        };
        for (rank, layer) in stacked.iter().enumerate() {
            found.extend(policy.remove(layer));
            for entry in layer.text.entries.iter().filter(|e| !e.removes) {
                if layer.restricted && !merge::counts(entry) {
                    // a mistake is one whether the rule counts or not
                    found.extend(policy.globs(entry, layer).err());
                    policy.ignore(layer, entry);
                } else if let Some(mistake) = policy.add(entry, layer, rank) {
                    found.push(mistake);
                }
            }
        }
        if found.is_empty() {
            policy.warn(&stacked);
            Ok(policy)
        } else {
            let place = |d: &Diagnostic| {
                let layer = sources.layers.iter().position(|s| s.origin == d.origin);
                (layer, d.span.start)
            };
            found.sort_by_cached_key(place);
            Err(found)
        }
    }

    fn ignore(&mut self, layer: &merge::Stacked, entry: &Entry) {
        if entry.key.effect != Effect::Neutral {
            self.ignored.push(id_of(&layer.layer, entry));
        }
    }

    /// Takes away the rules of lower layers that a layer names with `"!text"`.
    fn remove(&mut self, layer: &merge::Stacked) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let removals: Vec<_> = layer.text.entries.iter().filter(|e| e.removes).collect();
        if removals.is_empty() {
            return found;
        }
        let mut below: HashMap<_, Vec<usize>> = HashMap::new();
        for (n, rule) in self.rules.iter().enumerate() {
            let of = (rule.key.table, rule.key.name, rule.text.clone());
            below.entry(of).or_default().push(n);
        }
        let mut gone = HashSet::new();
        for entry in removals {
            if layer.restricted && !merge::counts(entry) {
                self.ignore(layer, entry);
                continue;
            }
            let of = (entry.key.table, entry.key.name, entry.text.clone());
            match below.remove(&of) {
                Some(rules) => gone.extend(rules),
                None => {
                    // a hint looks at every rule: where it is much too much, none is needed
                    let hinted = found.len() < HINTS;
                    let below = if hinted { &*self.rules } else { &[] };
                    found.push(missing(layer, entry, below));
                }
            }
        }
        let mut n = 0;
        self.rules.retain(|_| {
            n += 1;
            !gone.contains(&(n - 1))
        });
        found
    }

    /// A scalar of a layer that may only tighten counts where it is stricter.
    fn set(&mut self, key: &Key, value: &str, id: RuleId, strictness: u64, restricted: bool) {
        let stricter = self
            .settings
            .get(&key.path())
            .and_then(|s| strictness_of(key, &s.value))
            .is_none_or(|old| strictness > old);
        if restricted && !stricter {
            self.ignored.push(id);
            return;
        }
        let setting = Setting {
            value: value.to_owned(),
            id,
        };
        self.settings.insert(key.path(), setting);
    }

    /// What the entry's path stands for; nothing where the key takes none.
    fn globs(&self, entry: &Entry, layer: &merge::Stacked) -> Result<Vec<Glob>, Diagnostic> {
        let relative = match entry.key.shape {
            Shape::Paths => false,
            Shape::Protect => true,
            _ => return Ok(Vec::new()),
        };
        let environment = layer.layer.may_read_environment();
        Glob::parse(&entry.text, &self.context, environment, relative).map_err(|error| {
            let message = format!("{error}: `{}`", entry.text);
            let mut found = Diagnostic::error(&layer.text.origin, entry.span.clone(), message);
            found.help = error.help(&entry.text);
            found
        })
    }

    fn add(&mut self, entry: &Entry, stacked: &merge::Stacked, rank: usize) -> Option<Diagnostic> {
        let Entry {
            key,
            text,
            removes: _,
            report,
            because,
            span: _,
        } = entry;
        let merge::Stacked {
            layer,
            text: _,
            restricted,
        } = stacked;
        let id = id_of(layer, entry);
        if matches!(
            key.shape,
            Shape::Version | Shape::Text | Shape::Flag | Shape::Names
        ) {
            return None;
        }
        if let Some(strictness) = strictness_of(key, text) {
            self.set(key, text, id, strictness, *restricted);
            return None;
        }
        let globs = match self.globs(entry, stacked) {
            Ok(globs) => globs,
            Err(mistake) => return Some(mistake),
        };
        let peer = if key.shape == Shape::Network {
            NetworkRule::parse(text).ok()
        } else {
            None
        };
        let rule = Rule {
            id,
            key,
            text: text.clone(),
            rank,
            restricted: *restricted,
            supplied: matches!(layer, Layer::Preset(_) | Layer::Found(_)),
            globs,
            peer,
            report: *report,
            because: because.clone(),
        };
        self.rules.push(rule);
        None
    }

    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rules of one key, in order.
    pub fn of<'p>(&'p self, table: &'p str, name: &'p str) -> impl Iterator<Item = &'p Rule> {
        self.rules
            .iter()
            .filter(move |r| r.key.table == table && r.key.name == name)
    }

    pub fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.get(key)
    }

    pub fn settings(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.settings.iter().map(|(k, s)| (k.as_str(), s))
    }

    pub fn accepts(&self, partial: &str) -> bool {
        self.of("enforcement", "accept_partial")
            .any(|r| r.text == partial)
    }

    /// Rules that a stricter one of the same text makes void: the only case that is certain. A
    /// pattern that covers another is the less specific one and loses to it, and where two
    /// different texts stand for equal patterns (`~/x`, `${home}/x`) that holds for this session's
    /// variables alone.
    fn warn(&mut self, stacked: &[merge::Stacked]) {
        const PAIRS: &[(&str, &str)] = &[
            ("read", "deny_read"),
            ("write", "deny_write"),
            ("write", "deny_read"),
            ("allow", "deny"),
        ];
        let denied: HashMap<(&str, &str, &str), &Rule> = self
            .rules
            .iter()
            .map(|r| ((r.key.table, r.key.name, r.text.as_str()), r))
            .collect();
        for (rank, layer) in stacked.iter().enumerate() {
            for entry in layer.text.entries.iter().filter(|e| !e.removes) {
                for (_, deny) in PAIRS.iter().filter(|(allow, _)| *allow == entry.key.name) {
                    let Some(by) = denied.get(&(entry.key.table, *deny, entry.text.as_str()))
                    else {
                        continue;
                    };
                    if by.rank >= rank {
                        let message =
                            format!("`{}` has no effect: {} denies the same", entry.text, by.id);
                        self.warnings.push(Diagnostic::warning(
                            &layer.text.origin,
                            entry.span.clone(),
                            message,
                        ));
                    }
                }
            }
        }
    }
}

const HINTS: usize = 20;

/// `"!text"` without such a rule.
fn missing(layer: &merge::Stacked, entry: &Entry, below: &[Rule]) -> Diagnostic {
    let same = |key: &Key| std::ptr::eq(key, entry.key);
    let texts = below
        .iter()
        .filter(|r| same(r.key))
        .map(|r| r.text.as_str());
    let here = |e: &Entry| same(e.key) && !e.removes && e.text == entry.text;
    let elsewhere = |r: &&Rule| r.key.table == entry.key.table && r.text == entry.text;
    let message = format!("no rule below has exactly the text `{}`", entry.text);
    let help = if !below.is_empty() && layer.text.entries.iter().any(here) {
        "it stands in this file, which is not below itself: leave both out".to_owned()
    } else if let Some(near) = nearest(&entry.text, texts) {
        format!("did you mean {:?}?", format!("!{near}"))
    } else if let Some(other) = below.iter().find(elsewhere) {
        format!("it is a rule of `{}`", other.key.name)
    } else {
        let path = entry.key.path();
        format!("`stockade policy show` lists the rules of {path}")
    };
    Diagnostic::error(&layer.text.origin, entry.span.clone(), message).help(help)
}

fn id_of(layer: &Layer, entry: &Entry) -> RuleId {
    RuleId::new(layer.name(), &entry.key.path(), &entry.text)
}

/// How strict a scalar is; `None` where the key holds a list. The smaller limit is the stricter.
fn strictness_of(key: &Key, value: &str) -> Option<u64> {
    match key.shape {
        Shape::Mode(words) => words.iter().position(|w| *w == value).map(|n| n as u64),
        Shape::Bytes => rule::bytes(value).map(|n| u64::MAX - n),
        Shape::Seconds => rule::seconds(value).map(|n| u64::MAX - n),
        Shape::Count => value.parse::<u64>().ok().map(|n| u64::MAX - n),
        _ => None,
    }
}
