//! Rules over plain text: how long a file may be, and what it may not name.

use super::Checkout;

const LONGEST: usize = 600;

/// Longer, each with its reason.
const LONG: &[(&str, &str)] = &[
    ("Cargo.lock", "written by cargo"),
    ("LICENSE-APACHE", "the licence's own text"),
    (
        "supervisor/enforce/tests/plans/agent-namespaces.json",
        "a snapshot",
    ),
    (
        "supervisor/enforce/tests/plans/strict-namespaces.json",
        "a snapshot",
    ),
];

pub fn length(checkout: &Checkout) -> Vec<String> {
    let over = |(path, text): (&str, &str)| {
        let lines = text.lines().count();
        let exempt = LONG.iter().any(|(known, _)| *known == path);
        (lines > LONGEST && !exempt)
            .then(|| format!("{path}: {lines} lines, {LONGEST} at most; split it by what it does"))
    };
    checkout.files("").filter_map(over).collect()
}

/// Hosts of package registries, in two halves so that this file passes its own rule.
const REGISTRIES: &[(&str, &str)] = &[
    ("crates", ".io"),
    ("npmjs", ".org"),
    ("npmjs", ".com"),
    ("pypi", ".org"),
    ("pythonhosted", ".org"),
    ("deb.debian", ".org"),
    ("proxy.golang", ".org"),
    ("rubygems", ".org"),
];

/// Where checkouts and home directories lie on somebody's machine, in halves likewise.
const PLACES: &[(&str, &str)] = &[
    ("/root", "/"),
    ("/Users", "/"),
    ("/work", "/"),
    ("/workspace", "/"),
    ("/builds", "/"),
];

/// Home directories of examples.
const EXAMPLES: &[&str] = &["u", "user", "you", "alice", "me"];

/// What may: cargo writes its own name for the default registry; a guest's paths are no machine's.
const EXEMPT: &[&str] = &["Cargo.lock", "ebpf-probes/Cargo.lock", "vm-images/init"];

pub fn private(checkout: &Checkout) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in checkout.files("") {
        if EXEMPT.contains(&path) {
            continue;
        }
        for (n, line) in text.lines().enumerate() {
            let mut say = |what: &str| wrong.push(format!("{path}:{}: names {what}", n + 1));
            for (a, b) in REGISTRIES {
                if line.contains(&format!("{a}{b}")) {
                    say("a package registry's host");
                }
            }
            if PLACES
                .iter()
                .any(|(a, b)| starts_a_path(line, &format!("{a}{b}")))
                || somebodys_home(line)
            {
                say("a path of one machine");
            }
        }
    }
    wrong
}

/// Whether `path` stands in the line at a path's beginning, rather than inside a longer one.
fn starts_a_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| begins(line, at))
}

fn begins(line: &str, at: usize) -> bool {
    let inside = |c: char| c.is_alphanumeric() || "._-}~/*".contains(c);
    !line[..at].ends_with(inside)
}

fn somebodys_home(line: &str) -> bool {
    let homes = concat!("/ho", "me/");
    line.match_indices(homes).any(|(at, _)| {
        let rest = &line[at + homes.len()..];
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '*'))
            .unwrap_or(rest.len());
        let name = &rest[..end];
        let pattern = name.contains('*');
        begins(line, at) && !name.is_empty() && !pattern && !EXAMPLES.contains(&name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_found() {
        let long = "x\n".repeat(LONGEST + 1);
        let of = |path: &str| length(&Checkout::of(&[(path, &long)])).len();
        assert_eq!((of("a.rs"), of("Cargo.lock")), (1, 0));
        assert!(length(&Checkout::of(&[("a.rs", &"x\n".repeat(LONGEST))])).is_empty());
    }

    #[test]
    fn a_registry_and_a_machines_path_are_found() {
        let of = |text: &str| private(&Checkout::of(&[("a.md", text)])).len();
        for bad in [
            concat!("see https://crates", ".io/x"),
            concat!("registry.npmjs", ".org"),
            concat!("built in /root", "/x"),
            concat!("`/ho", "me/somebody/src`"),
            concat!("\"/work", "/checkout\""),
        ] {
            assert_eq!(of(bad), 1, "{bad}");
        }
        for good in [
            concat!("/ho", "me/u/w"),
            concat!("../outside/work", "/.git"),
            concat!("~/root", "/x"),
            "crates, io",
        ] {
            assert_eq!(of(good), 0, "{good}");
        }
    }
}
