//! `tests/tiers.toml` and the tests there are.

use super::Checkout;
use crate::tiers::{FILE, Tiers};
use std::collections::BTreeMap;

/// Every integration test belongs to exactly one tier, and every tier's test is there.
pub fn tests(checkout: &Checkout) -> Vec<String> {
    let tiers = match checkout.text(FILE).map(Tiers::parse) {
        Some(Ok(tiers)) => tiers,
        Some(Err(why)) => return vec![why],
        None => return vec![format!("{FILE}: not there")],
    };
    let mut wrong = Vec::new();
    let folders = folders(checkout);
    let mut owners: BTreeMap<String, Vec<&str>> = checkout
        .files(".rs")
        .filter(|(path, _)| is_test(path, &folders))
        .map(|(path, _)| (path.to_owned(), Vec::new()))
        .collect();
    wrong.extend(same_names(owners.keys()));
    let mut with_units = Vec::new();
    for tier in &tiers.tier {
        if tier.steps.is_empty() && tier.targets.is_empty() {
            wrong.push(format!("{FILE}: tier {} runs nothing", tier.name));
        }
        for target in tier.targets.iter().chain(&tier.guests) {
            let Some(folder) = folders.get(target.package.as_str()) else {
                wrong.push(format!(
                    "{FILE}: {}: no crate {}",
                    tier.name, target.package
                ));
                continue;
            };
            if target.units {
                with_units.push(target.package.as_str());
            }
            for test in &target.tests {
                let path = format!("{folder}tests/{test}.rs");
                // one with parts is a folder
                let main = format!("{folder}tests/{test}/main.rs");
                let known = [&path, &main].into_iter().find(|p| owners.contains_key(*p));
                match known.and_then(|path| owners.get_mut(path)) {
                    Some(tiers) => tiers.push(&tier.name),
                    None => wrong.push(format!("{FILE}: {}: {path} is not there", tier.name)),
                }
            }
        }
    }
    for (path, tiers) in owners.iter().filter(|(_, tiers)| tiers.len() != 1) {
        wrong.push(format!(
            "{path}: in {} tiers of {FILE}, must be in one ({})",
            tiers.len(),
            tiers.join(", ")
        ));
    }
    for package in folders.keys() {
        let times = with_units.iter().filter(|p| *p == package).count();
        if times != 1 {
            wrong.push(format!(
                "{FILE}: the units of {package} run {times} times, must run once"
            ));
        }
    }
    wrong
}

/// A tier's tests run in one call over the workspace, by name.
fn same_names<'a>(paths: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    let twice = |path: &'a String| {
        let path_of_one = path.strip_suffix("/main.rs").unwrap_or(path);
        let name = path_of_one.rsplit('/').next().unwrap_or(path);
        let other = names.insert(name, path)?;
        Some(format!(
            "{path}: {other} has the same name; cargo would run both"
        ))
    };
    paths.filter_map(twice).collect()
}

/// Workspaces of their own: one that a nightly compiler runs for as long as one likes, one for another machine.
const APART: &[&str] = &["fuzz/Cargo.toml", "ebpf-probes/Cargo.toml"];

/// Each crate's folder, with a slash at its end, by name.
fn folders(checkout: &Checkout) -> BTreeMap<String, &str> {
    checkout
        .files("Cargo.toml")
        .filter(|(path, _)| !APART.contains(path))
        .filter_map(|(path, text)| {
            let manifest: toml::Table = text.parse().ok()?;
            let name = manifest.get("package")?.get("name")?.as_str()?.to_owned();
            Some((name, path.strip_suffix("Cargo.toml")?))
        })
        .collect()
}

/// Cargo's own rule: a file right below a crate's `tests/`, or the `main.rs` of a folder there.
fn is_test(path: &str, folders: &BTreeMap<String, &str>) -> bool {
    folders.values().any(|folder| {
        path.strip_prefix(folder)
            .and_then(|p| p.strip_prefix("tests/"))
            .is_some_and(|name| !name.contains('/') || is_main(name))
    })
}

fn is_main(name: &str) -> bool {
    name.strip_suffix("/main.rs")
        .is_some_and(|folder| !folder.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tier: &str) -> Vec<String> {
        let text = format!(
            "[commands]\n[[tier]]\nname = 'one'\nabout = ''\nprivileges = ''\nnetwork = ''\nminutes = 1\nneeds = []\n{tier}"
        );
        super::tests(&Checkout::of(&[
            (FILE, &text),
            ("c/Cargo.toml", "[package]\nname = \"c\"\n"),
            ("c/tests/a.rs", ""),
            ("c/tests/common/mod.rs", ""),
        ]))
    }

    #[test]
    fn a_test_in_no_tier_or_two_and_a_tiers_test_that_is_gone_are_found() {
        assert_eq!(
            of("targets = [{ package = 'c', units = true, tests = ['a'] }]"),
            Vec::<String>::new()
        );
        for bad in [
            "targets = [{ package = 'c', units = true }]",
            "targets = [{ package = 'c', units = true, tests = ['a', 'a'] }]",
            "targets = [{ package = 'c', units = true, tests = ['a', 'b'] }]",
            "targets = [{ package = 'c', tests = ['a'] }]",
            "targets = [{ package = 'c', units = true, tests = ['a'] }, { package = 'd', units = true }]",
        ] {
            assert_eq!(of(bad).len(), 1, "{bad}");
        }
        assert!(!of("").is_empty());
        let paths = ["a/tests/x.rs", "b/tests/x.rs", "b/tests/y.rs"].map(String::from);
        assert_eq!(same_names(paths.iter()).len(), 1);
    }
}
