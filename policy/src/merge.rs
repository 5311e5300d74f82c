//! Layers, low to high: `extends` expanded, untrusted layers reduced to what tightens.

use crate::diagnostic::{Diagnostic, nearest};
use crate::preset::PRESETS;
use crate::rule::Effect;
use crate::text::{Entry, PolicyText};

/// Where a layer comes from; the order is the order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    Preset(String),
    /// What was found to be needed: by the command's installation, an agent, a repository.
    Found(String),
    System,
    User,
    Project {
        trusted: bool,
    },
    CommandLine,
}

impl Layer {
    /// As rule ids begin.
    pub fn name(&self) -> &str {
        match self {
            Self::Preset(name) | Self::Found(name) => name,
            Self::System => "system",
            Self::User => "user",
            Self::Project { .. } => "project",
            Self::CommandLine => "command-line",
        }
    }

    /// `${env:…}` in a layer that comes with untrusted code would carry the user's secrets into names.
    pub fn may_read_environment(&self) -> bool {
        match self {
            Self::Preset(_) | Self::Found(_) | Self::System | Self::User | Self::CommandLine => {
                true
            }
            Self::Project { .. } => false,
        }
    }
}

/// The text of one layer.
#[derive(Debug, Clone)]
pub struct Source {
    pub layer: Layer,
    pub origin: String,
    pub text: String,
}

/// All layers of a session, and the preset that is lowest unless one of them extends another.
#[derive(Debug, Clone)]
pub struct Sources {
    pub preset: Option<String>,
    pub layers: Vec<Source>,
}

pub(crate) struct Stacked {
    pub layer: Layer,
    pub text: PolicyText,
    /// Only what tightens counts.
    pub restricted: bool,
}

pub(crate) const DEFAULT_PRESET: &str = "agent";

/// The layers in order, presets before the layer that extends them, each preset once.
pub(crate) fn stack(sources: &Sources) -> (Vec<Stacked>, Vec<Diagnostic>) {
    let mut out: Vec<Stacked> = Vec::new();
    let mut found = Vec::new();
    let mut parsed = Vec::new();
    for Source {
        layer,
        origin,
        text,
    } in &sources.layers
    {
        let (text, mistakes) = PolicyText::read(origin, text);
        found.extend(mistakes);
        parsed.push((layer.clone(), text));
    }
    let extends = |layer: &Layer, text: &PolicyText| {
        !matches!(layer, Layer::Project { .. })
            && text.entries.iter().any(|e| e.key.name == "extends")
    };
    match &sources.preset {
        Some(name) => add_preset(name, "--preset", 0..0, &mut out, &mut found, 0),
        None if parsed.iter().any(|(l, t)| extends(l, t)) => {}
        None => add_preset(DEFAULT_PRESET, "preset", 0..0, &mut out, &mut found, 0),
    }
    let mut closed = false;
    for (layer, text) in parsed {
        let untrusted = matches!(layer, Layer::Project { trusted: false });
        for entry in text
            .entries
            .iter()
            .filter(|e| e.key.name == "extends" && e.key.table.is_empty())
        {
            // what a preset allows, an untrusted layer may not add
            if !untrusted && !closed {
                add_preset(
                    &entry.text,
                    &text.origin,
                    entry.span.clone(),
                    &mut out,
                    &mut found,
                    0,
                );
            }
        }
        let last = text.entries.iter().any(|e| e.key.name == "final");
        out.push(Stacked {
            layer,
            text,
            restricted: untrusted || closed,
        });
        // who may not allow may not take the user's word away either
        closed |= last && !untrusted;
    }
    (out, found)
}

fn add_preset(
    name: &str,
    origin: &str,
    span: std::ops::Range<usize>,
    out: &mut Vec<Stacked>,
    found: &mut Vec<Diagnostic>,
    depth: usize,
) {
    if out.iter().any(|s| s.layer == Layer::Preset(name.into())) {
        return;
    }
    let Some(preset) = PRESETS.iter().find(|p| p.name == name) else {
        let names = PRESETS.iter().map(|p| p.name);
        let help = match nearest(name, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("presets: {}", names.collect::<Vec<_>>().join(", ")),
        };
        found.push(Diagnostic::error(origin, span, format!("no preset `{name}`")).help(help));
        return;
    };
    if depth > PRESETS.len() {
        found.push(Diagnostic::error(
            origin,
            span,
            format!("preset `{name}` extends itself"),
        ));
        return;
    }
    match PolicyText::parse(&format!("preset {name}"), preset.text) {
        Ok(text) => {
            for entry in text.entries.iter().filter(|e| e.key.name == "extends") {
                add_preset(
                    &entry.text,
                    &text.origin,
                    entry.span.clone(),
                    out,
                    found,
                    depth + 1,
                );
            }
            out.push(Stacked {
                layer: Layer::Preset(name.into()),
                text,
                restricted: false,
            });
        }
        Err(mistakes) => found.extend(mistakes),
    }
}

/// Whether an entry of a restricted layer counts at all (scalars are compared later).
pub(crate) fn counts(entry: &Entry) -> bool {
    match entry.key.effect {
        // taking any rule away can loosen: a `read` taken from a private home makes it writable
        Effect::Tightens => !entry.removes,
        Effect::Compared => true,
        Effect::Loosens | Effect::Neutral => false,
    }
}
