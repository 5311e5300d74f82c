//! `tests/tiers.toml`: what a tier runs and what it needs.

use serde::Deserialize;
use std::collections::BTreeMap;

pub const FILE: &str = "tests/tiers.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tiers {
    /// Package → the command that makes it unnecessary where it is on PATH.
    pub commands: BTreeMap<String, String>,
    pub tier: Vec<Tier>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    pub name: String,
    pub about: String,
    pub privileges: String,
    /// Without, none of it can run; that is said and counted.
    #[serde(default)]
    pub root: bool,
    pub network: String,
    /// About, on two cores, with everything built.
    pub minutes: u32,
    pub needs: Vec<String>,
    #[serde(default)]
    pub steps: Vec<Step>,
    #[serde(default)]
    pub targets: Vec<Target>,
    /// What only the step `machines` runs, inside of them.
    #[serde(default)]
    pub guests: Vec<Target>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Format,
    Clippy,
    Tidy,
    Licences,
    Aarch64,
    Probes,
    Machines,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub package: String,
    /// The library and the programs.
    #[serde(default)]
    pub units: bool,
    /// Integration tests.
    #[serde(default)]
    pub tests: Vec<String>,
}

impl Tiers {
    pub fn read() -> Result<Self, String> {
        let path = crate::top().join(FILE);
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Self::parse(&text)
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|e| format!("{FILE}: {e}"))
    }

    /// Those named, in the file's order; all where none is.
    pub fn chosen(&self, names: &[String]) -> Result<Vec<&Tier>, String> {
        if let Some(unknown) = names
            .iter()
            .find(|n| self.tier.iter().all(|t| t.name != **n))
        {
            let known: Vec<&str> = self.tier.iter().map(|t| t.name.as_str()).collect();
            return Err(format!(
                "no tier {unknown:?} in {FILE}; there are: {}",
                known.join(", ")
            ));
        }
        let wanted = |tier: &&Tier| names.is_empty() || names.contains(&tier.name);
        Ok(self.tier.iter().filter(wanted).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[commands]\n[[tier]]\nname = 'a'\nabout = ''\nprivileges = ''\nnetwork = ''\nminutes = 1\nneeds = []\n";

    #[test]
    fn a_misspelt_step_key_or_tier_is_refused() {
        let tiers = Tiers::parse(TEXT).unwrap();
        assert_eq!(tiers.chosen(&["a".into()]).unwrap().len(), 1);
        assert!(
            tiers
                .chosen(&["b".into()])
                .unwrap_err()
                .contains("there are: a")
        );
        assert!(Tiers::parse(&format!("{TEXT}steps = ['clipy']")).is_err());
        assert!(Tiers::parse(&format!("{TEXT}step = ['clippy']")).is_err());
    }
}
