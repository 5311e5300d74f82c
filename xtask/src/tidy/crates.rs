//! Who may depend on whom, and under which licence.

use super::Checkout;
use std::collections::BTreeMap;

/// Each crate and which of ours it may depend on; `None`: any.
const CRATES: &[(&str, Option<&[&str]>)] = &[
    ("stockade-policy", Some(&[])),
    ("stockade-abi", Some(&[])),
    ("stockade-probes", Some(&["stockade-abi"])),
    ("stockade-enforce", Some(&["stockade-policy"])),
    ("stockade-bpf", Some(&["stockade-policy", "stockade-abi"])),
    (
        "stockade-events",
        Some(&["stockade-policy", "stockade-abi"]),
    ),
    (
        "stockade",
        Some(&[
            "stockade-policy",
            "stockade-abi",
            "stockade-enforce",
            "stockade-bpf",
            "stockade-events",
        ]),
    ),
    ("stockade-tests", None),
    ("xtask", None),
    (
        "stockade-fuzz",
        Some(&["stockade-policy", "stockade-abi", "stockade-events"]),
    ),
];

/// Nothing depends on these.
const LEAVES: &[&str] = &["xtask", "stockade-tests"];

/// Crates that only `stockade` itself may use: the command line, and whatever starts threads.
const ONLY_STOCKADE: &[&str] = &["clap", "clap_complete", "clap_mangen", "tokio"];

const LICENCES: &[&str] = &["MIT OR Apache-2.0"];

fn manifests(checkout: &Checkout) -> Vec<(&str, Result<toml::Table, String>)> {
    checkout
        .files("Cargo.toml")
        .map(|(path, text)| (path, text.parse().map_err(|e| format!("{path}: {e}"))))
        .collect()
}

/// The package names behind a manifest's dependencies, of every kind and target.
fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let mut found = Vec::new();
    let mut tables = vec![manifest];
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    tables.extend(
        targets
            .into_iter()
            .flat_map(|t| t.values())
            .filter_map(toml::Value::as_table),
    );
    for table in tables {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (key, value) in table
                .get(kind)
                .and_then(toml::Value::as_table)
                .into_iter()
                .flatten()
            {
                let renamed = value.get("package").and_then(toml::Value::as_str);
                found.push(renamed.unwrap_or(key).to_owned());
            }
        }
    }
    found
}

pub fn direction(checkout: &Checkout) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut ours = BTreeMap::new();
    for (path, manifest) in manifests(checkout) {
        let manifest = match manifest {
            Ok(manifest) => manifest,
            Err(why) => {
                wrong.push(why);
                continue;
            }
        };
        let name = manifest
            .get("package")
            .and_then(|p| p.get("name")?.as_str());
        if let Some(name) = name.map(str::to_owned) {
            ours.insert(name, (path, dependencies(&manifest)));
        }
    }
    for (name, (path, needs)) in &ours {
        let Some((_, allowed)) = CRATES.iter().find(|(known, _)| known == name) else {
            wrong.push(format!(
                "{path}: {name} has no line in tidy's table of crates"
            ));
            continue;
        };
        for need in needs {
            let internal = ours.contains_key(need);
            let refused = allowed.is_some_and(|a| !a.contains(&need.as_str()));
            if internal && (refused || LEAVES.contains(&need.as_str())) {
                wrong.push(format!("{path}: {name} may not depend on {need}"));
            }
            if ONLY_STOCKADE.contains(&need.as_str()) && name != "stockade" {
                wrong.push(format!("{path}: {need} belongs in the crate stockade only"));
            }
        }
    }
    wrong
}

pub fn licences(checkout: &Checkout) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, manifest) in manifests(checkout) {
        let Ok(manifest) = manifest else { continue };
        let package = manifest.get("package");
        let of_all = manifest.get("workspace").and_then(|w| w.get("package"));
        for licence in [package, of_all]
            .into_iter()
            .flatten()
            .map(|t| t.get("license"))
        {
            let inherited = licence.and_then(|l| l.get("workspace")?.as_bool()) == Some(true);
            let known = licence
                .and_then(toml::Value::as_str)
                .is_some_and(|l| LICENCES.contains(&l));
            if !inherited && !known {
                wrong.push(format!("{path}: no licence, or not one of {LICENCES:?}"));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "[package]\nname = \"stockade-policy\"\nlicense.workspace = true\n";
    const ENFORCE: &str =
        "[package]\nname = \"stockade-enforce\"\nlicense = \"MIT OR Apache-2.0\"\n";

    #[test]
    fn a_dependency_against_the_direction_is_found() {
        let with = |more: &str| {
            let policy = format!("{POLICY}{more}");
            direction(&Checkout::of(&[
                ("policy/Cargo.toml", &policy),
                ("e/Cargo.toml", ENFORCE),
            ]))
        };
        assert_eq!(with(""), Vec::<String>::new());
        for bad in [
            "[dependencies]\nstockade-enforce = { path = \"..\" }\n",
            "[dev-dependencies]\nother = { package = \"stockade-enforce\", path = \"..\" }\n",
            "[target.'cfg(unix)'.dependencies]\nclap = \"4\"\n",
        ] {
            assert_eq!(with(bad).len(), 1, "{bad}");
        }
        let unknown = Checkout::of(&[("n/Cargo.toml", "[package]\nname = \"new\"\n")]);
        assert_eq!(direction(&unknown).len(), 1);
    }

    #[test]
    fn nothing_depends_on_the_tests() {
        let tests = "[package]\nname = \"stockade-tests\"\n";
        let xtask = "[package]\nname = \"xtask\"\n[dependencies]\nstockade-tests = \"1\"\n";
        let checkout = Checkout::of(&[("t/Cargo.toml", tests), ("x/Cargo.toml", xtask)]);
        assert_eq!(direction(&checkout).len(), 1);
    }

    #[test]
    fn a_missing_or_foreign_licence_is_found() {
        let of = |text: &str| licences(&Checkout::of(&[("a/Cargo.toml", text)])).len();
        assert_eq!((of(POLICY), of(ENFORCE)), (0, 0));
        assert_eq!(of("[package]\nname = \"a\"\n"), 1);
        assert_eq!(
            of("[package]\nname = \"a\"\nlicense = \"GPL-3.0-only\"\n"),
            1
        );
        assert_eq!(of("[workspace.package]\nversion = \"1\"\n"), 1);
    }
}
