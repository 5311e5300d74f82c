//! The line that `stockade why` prints does change the verdict, in both directions.

use stockade_tests::{Place, text};

fn why(place: &Place, verb: &str, object: &str, policy: Option<&str>) -> (String, String) {
    let mut arguments = vec!["why", "--json", verb, object];
    arguments.extend(policy.iter().flat_map(|file| ["--policy", *file]));
    let output = place.stockade(&arguments);
    let value: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output)));
    let word = |key: &str| value[key].as_str().expect("a text").to_owned();
    (word("verdict"), word("change"))
}

#[test]
fn the_line_changes_the_verdict() {
    let place = Place::new("why");
    std::fs::write(place.outside().join("a*b"), "x").expect("a file");
    let outside = place.outside().join("a*b").display().to_string();
    for (verb, object, before, after) in [
        ("write", "src/main.rs", "allow", "deny"),
        ("write", "/etc/passwd", "deny", "allow"),
        ("write", ".git/hooks/pre-commit", "deny", "allow"),
        ("write", ".envrc", "deny", "allow"),
        ("write", "~/new", "allow", "deny"),
        ("read", outside.as_str(), "deny", "allow"),
        ("read", "~/.netrc", "deny", "allow"),
        ("read", "/usr/bin/env", "allow", "deny"),
        ("exec", "/usr/bin/env", "allow", "deny"),
        ("connect", "a.example:443", "deny", "allow"),
        ("connect", "[2001:db8::1]:443", "deny", "allow"),
    ] {
        let (verdict, line) = why(&place, verb, object, None);
        assert_eq!(verdict, before, "{verb} {object}");
        let (table, entry) = line.split_once("] ").expect("[TABLE] KEY = …");
        let policy = format!("version = 1\n{table}]\n{entry}\n");
        std::fs::write(place.work().join("line.toml"), &policy).expect("the policy");
        let (verdict, _) = why(&place, verb, object, Some("line.toml"));
        assert_eq!(verdict, after, "{verb} {object} with\n{policy}");
    }
}
