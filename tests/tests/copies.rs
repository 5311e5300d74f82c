//! What an agent replaces in its private home and finds in the user's afterwards.

use stockade_tests::{Place, text};

/// Replaces ~/.claude.json by rename, as the agent does, with what is in the workspace.
const REPLACE: &str = "cp fresh.json ~/.fresh && mv ~/.fresh ~/.claude.json";

fn replaced(place: &Place, host: &str, fresh: &str) -> (String, String) {
    std::fs::write(place.home().join(".claude.json"), host).unwrap();
    std::fs::write(place.work().join("fresh.json"), fresh).unwrap();
    let out = place.stockade(&[
        "run",
        "--require",
        "namespaces",
        "--agent",
        "claude",
        "--",
        "sh",
        "-c",
        REPLACE,
    ]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    let host = std::fs::read_to_string(place.home().join(".claude.json")).unwrap();
    (host, text(&out))
}

#[test]
fn what_an_agent_would_run_outside_is_not_copied_back() {
    let place = Place::new("risky");
    let fresh = r#"{"n": 2, "mcpServers": {"x": {"command": "/bin/evil"}},
        "projects": {"/p": {"hasTrustDialogAccepted": true, "allowedTools": [], "seen": 1}}}"#;
    let (host, said) = replaced(&place, r#"{"n": 1}"#, fresh);
    let host: serde_json::Value = serde_json::from_str(&host).unwrap();
    let expected = serde_json::json!({"n": 2, "projects": {"/p": {"allowedTools": [], "seen": 1}}});
    assert_eq!(host, expected);
    for key in [
        r#"mcpServers = {"x":{"command":"/bin/evil"}} was not copied back"#,
        "projects./p.hasTrustDialogAccepted = true was not copied back",
    ] {
        assert!(said.contains(key), "{said}");
    }
    assert!(!said.contains("allowedTools"), "{said}");
}

#[test]
fn what_starts_nothing_is_copied_back_without_a_word() {
    let place = Place::new("harmless");
    let (host, said) = replaced(
        &place,
        r#"{"mcpServers": {"x": 1}}"#,
        r#"{"mcpServers": {"x":1},  "n": 2}"#,
    );
    assert_eq!(host, r#"{"mcpServers": {"x":1},  "n": 2}"#);
    assert!(!said.contains(".claude.json"), "{said}");
}

#[test]
fn settings_that_the_agent_reads_instead_are_protected() {
    let place = Place::new("instead");
    let run = |name: &str| {
        let script = format!("echo '{{}}' > ~/.claude/{name}");
        let words = ["run", "--agent", "claude", "--require", "namespaces", "--"];
        text(&place.stockade(&[&words[..], &["sh", "-c", &script]].concat()))
    };
    let said = run(".config.json");
    assert!(said.contains(".config.json appeared"), "{said}");
    assert!(!place.home().join(".claude/.config.json").exists());
    run("other.json");
    assert!(place.home().join(".claude/other.json").exists());
}
