//! Layers, order and the reference semantics, each in both directions.

mod common;

use common::context;
use proptest::prelude::*;
use std::path::Path;
use stockade_policy::{
    Access, Decision, FileOperation, Layer, PRESETS, Policy, Source, Sources, Verdict,
};

fn layer(layer: Layer, text: &str) -> Source {
    Source {
        origin: layer.name().to_owned() + ".toml",
        layer,
        text: format!("version = 1\n{text}"),
    }
}

fn policy(layers: Vec<Source>) -> Policy {
    let sources = Sources {
        preset: None,
        layers,
    };
    Policy::build(&sources, context()).unwrap_or_else(|e| panic!("{e:#?}"))
}

fn file(policy: &Policy, operation: FileOperation, path: &str) -> Decision {
    policy.decide(&Access::File {
        operation,
        path: Path::new(path),
    })
}

fn mistakes(text: &str) -> Vec<String> {
    let sources = Sources {
        preset: None,
        layers: vec![layer(Layer::User, text)],
    };
    let found = Policy::build(&sources, context()).expect_err("accepted");
    found
        .iter()
        .map(|d| format!("{} {}", d.message, d.help.clone().unwrap_or_default()))
        .collect()
}

#[test]
fn every_preset_builds() {
    for preset in PRESETS {
        let sources = Sources {
            preset: Some(preset.name.into()),
            layers: vec![],
        };
        let policy = Policy::build(&sources, context())
            .unwrap_or_else(|e| panic!("{}: {e:#?}", preset.name));
        assert!(
            policy.warnings.is_empty(),
            "{}: {:?}",
            preset.name,
            policy.warnings
        );
    }
}

#[test]
fn the_agent_preset_says_what_it_promises() {
    use FileOperation::{Create, Read, Write};
    let p = policy(vec![]);
    let rule = |d: Decision| (d.verdict, d.rule.to_string());
    assert_eq!(
        rule(file(&p, Write, "/home/u/w/src/a.rs")),
        (
            Verdict::Allow,
            "agent:filesystem.write:\"${workspace}\"".into()
        )
    );
    assert_eq!(
        rule(file(&p, Create, "/home/u/w/.git/hooks/pre-commit")),
        (
            Verdict::Deny,
            "protect:filesystem.protect:\".git/hooks/*\"".into()
        )
    );
    assert_eq!(
        file(&p, Write, "/home/u/w/.git/config").verdict,
        Verdict::Allow,
        "reported, not refused"
    );
    assert_eq!(rule(file(&p, Write, "/etc/passwd")).0, Verdict::Deny);
    assert_eq!(rule(file(&p, Read, "/etc/shadow")).0, Verdict::Deny);
    assert_eq!(file(&p, Read, "/usr/bin/env").verdict, Verdict::Allow);
    assert_eq!(file(&p, Write, "/usr/bin/env").verdict, Verdict::Deny);
    assert_eq!(rule(file(&p, Write, "/home/u/.gitconfig")).0, Verdict::Deny);
    assert_eq!(
        rule(file(&p, Write, "/home/u/new")),
        (Verdict::Allow, "home:filesystem.private:\"~\"".into())
    );
    assert_eq!(
        file(&p, Read, "/home/u/.cargo/credentials.toml").verdict,
        Verdict::Deny
    );
    assert_eq!(
        file(&p, Write, "/home/u/.cargo/registry/x").verdict,
        Verdict::Allow
    );
}

#[test]
fn the_more_specific_pattern_decides_then_the_higher_layer_then_the_stricter() {
    let p = policy(vec![
        layer(
            Layer::System,
            "[filesystem]\nwrite = ['/d']\ndeny_write = ['/d/x', '/d/**/k']",
        ),
        layer(Layer::User, "[filesystem]\nwrite = ['/d/x']"),
    ]);
    let write = |path| file(&p, FileOperation::Write, path).verdict;
    assert_eq!(write("/d/a"), Verdict::Allow);
    assert_eq!(
        write("/d/x"),
        Verdict::Allow,
        "equal patterns: the higher layer"
    );
    assert_eq!(write("/d/a/k"), Verdict::Deny);
    let same = policy(vec![layer(
        Layer::User,
        "[filesystem]\nwrite = ['/e']\ndeny_write = ['/e']",
    )]);
    assert_eq!(
        file(&same, FileOperation::Write, "/e/a").verdict,
        Verdict::Deny,
        "one layer: the stricter"
    );
}

#[test]
fn a_rule_is_taken_away_by_its_text_alone() {
    let p = policy(vec![layer(
        Layer::User,
        "[filesystem]\ndeny_read = ['!~/.netrc']\nread = ['~/.netrc']",
    )]);
    assert_eq!(
        file(&p, FileOperation::Read, "/home/u/.netrc").verdict,
        Verdict::Allow
    );
    let found = mistakes("[filesystem]\nread = ['!/nothing/here']");
    assert!(
        found[0].contains("no rule below has exactly the text"),
        "{found:?}"
    );
}

#[test]
fn every_mistake_is_reported_at_once() {
    let found = mistakes(
        "[filesystem]\nraed = ['/a']\nwrite = []\nread = ['/a/../b', 'a', '${env:UNSET}', '${wokspace}']\n[network]\nallow = ['a:0']\ndefault = 'alow'\n[limits]\nmemory = '4X'\n[nope]\na = 1",
    );
    let want = [
        "did you mean `read`?",
        "empty list",
        "did you mean `allow`?",
        "is no size",
        "is no port",
        "unknown key or table `nope`",
    ];
    for text in want {
        assert!(found.iter().any(|f| f.contains(text)), "{text}: {found:#?}");
    }
    // four of them paths, which are read when the layers are merged
    assert_eq!(found.len(), 10, "{found:#?}");
}

#[test]
fn a_text_taken_away_is_gone_from_every_layer_below() {
    let p = policy(vec![
        layer(Layer::System, "[filesystem]\nread = ['/d', '/e']"),
        layer(Layer::User, "[filesystem]\nread = ['/d']"),
        layer(Layer::CommandLine, "[filesystem]\nread = ['!/d']"),
    ]);
    assert_eq!(file(&p, FileOperation::Read, "/d").verdict, Verdict::Deny);
    assert_eq!(file(&p, FileOperation::Read, "/e").verdict, Verdict::Allow);
}

fn connect(policy: &Policy, name: &str) -> Verdict {
    policy.verdict(&Access::Connect {
        name: Some(&stockade_policy::Hostname::parse(name).unwrap()),
        address: None,
        port: 443,
        protocol: stockade_policy::Protocol::Tcp,
    })
}

#[test]
fn an_untrusted_ask_does_not_soften_a_denial() {
    let user = "[network]\ndefault = 'allow'\ndeny = ['*.bad.example', 'worse.example']";
    let project = "[network]\nask = ['a.bad.example', 'worse.example', 'other.example']";
    let with = |trusted| {
        policy(vec![
            layer(Layer::User, user),
            layer(Layer::Project { trusted }, project),
        ])
    };
    for name in ["a.bad.example", "worse.example"] {
        assert_eq!(connect(&with(false), name), Verdict::Deny, "{name}");
        assert_eq!(connect(&with(true), name), Verdict::Ask, "{name}");
    }
    assert_eq!(connect(&with(false), "other.example"), Verdict::Ask);
    assert_eq!(connect(&with(false), "plain.example"), Verdict::Allow);
}

#[test]
fn a_preset_is_not_taken_away() {
    let found = mistakes("extends = '!home'");
    assert!(
        found[0].contains("a preset can't be taken away"),
        "{found:?}"
    );
}

#[test]
fn an_unset_variable_with_a_default_drops_its_entry() {
    let p = policy(vec![layer(
        Layer::User,
        "[filesystem]\nread = ['${env:UNSET:-}', '${env:SET}/x']",
    )]);
    assert_eq!(
        file(&p, FileOperation::Read, "/set/x").verdict,
        Verdict::Allow
    );
}

#[test]
fn final_of_an_untrusted_project_closes_nothing() {
    let p = policy(vec![
        layer(Layer::Project { trusted: false }, "final = true"),
        layer(Layer::CommandLine, "[filesystem]\nread = ['/u']"),
    ]);
    assert_eq!(file(&p, FileOperation::Read, "/u").verdict, Verdict::Allow);
}

#[test]
fn final_closes_what_is_above() {
    let p = policy(vec![
        layer(Layer::System, "final = true\n[filesystem]\nread = ['/s']"),
        layer(
            Layer::User,
            "[filesystem]\nread = ['/u']\ndeny_read = ['/s/k']",
        ),
    ]);
    assert_eq!(file(&p, FileOperation::Read, "/u").verdict, Verdict::Deny);
    assert_eq!(file(&p, FileOperation::Read, "/s/k").verdict, Verdict::Deny);
    assert_eq!(p.ignored.len(), 1);
}

fn entry() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "read",
        "write",
        "private",
        "overlay",
        "deny_read",
        "deny_write",
    ]);
    let path = prop::sample::select(vec![
        "/",
        "/a",
        "/a/b",
        "/a/**",
        "/a/*",
        "~",
        "~/.gitconfig",
        "${workspace}/x",
        "/usr",
        "/**/b",
    ]);
    (key, path, any::<bool>())
        .prop_map(|(k, p, remove)| format!("{k} = ['{}{p}']", if remove { "!" } else { "" }))
}

proptest! {
    #[test]
    fn an_untrusted_project_never_makes_an_access_less_strict(
        entries in prop::collection::btree_map("[a-f]", entry(), 1..4),
        mode in prop::sample::select(vec!["", "[network]\nnamespace = 'host'\ndefault = 'allow'", "[exec]\ndefault = 'allow'\nwritten = 'allow'"]),
    ) {
        let mut seen = std::collections::BTreeSet::new();
        let lines: Vec<_> = entries.values().filter(|e| seen.insert(e.split(' ').next().unwrap().to_owned())).cloned().collect();
        let text = format!("[filesystem]\n{}\n{mode}", lines.join("\n"));
        let before = policy(vec![]);
        let after = policy(vec![layer(Layer::Project { trusted: false }, &text)]);
        for path in ["/a", "/a/b", "/a/b/c", "/home/u/.gitconfig", "/home/u/w/x/y", "/usr/bin/env", "/home/u/.cargo/registry/z", "/etc/shadow"] {
            for operation in [FileOperation::Read, FileOperation::Write] {
                let access = Access::File { operation, path: Path::new(path) };
                prop_assert!(after.verdict(&access) >= before.verdict(&access), "{text}\n{path}");
            }
            for written in [true, false] {
                let access = Access::Exec { path: Path::new(path), written };
                prop_assert!(after.verdict(&access) >= before.verdict(&access), "{text}\n{path}");
            }
        }
        let connect = Access::Connect { name: None, address: Some("1.2.3.4".parse().unwrap()), port: 443, protocol: stockade_policy::Protocol::Tcp };
        prop_assert!(after.verdict(&connect) >= before.verdict(&connect));
    }
}

/// Names below a workspace unless they start with `~`.
const PROTECTED: &[&str] = &[
    ".git/hooks/pre-commit",
    ".git/modules/a/b/hooks/post-checkout",
    "~/.bashrc",
    "~/.zshrc",
    "~/.profile",
    "~/.gitconfig",
    "~/.config/git/config",
    "~/.ssh/authorized_keys",
    "~/.local/bin/ls",
    "~/.config/autostart/x.desktop",
    "~/.config/systemd/user/x.service",
    "/var/spool/cron/crontabs/u",
    ".envrc",
    ".mise.toml",
    ".vscode/tasks.json",
    ".vscode/settings.json",
    ".vscode/launch.json",
    ".idea/workspace.xml",
    ".devcontainer/devcontainer.json",
    ".claude/settings.json",
    ".claude/settings.local.json",
    ".claude/hooks/a.sh",
    ".mcp.json",
    ".codex/config.toml",
    ".cursor/mcp.json",
    ".gemini/settings.json",
    ".opencode/plugin/a.ts",
    ".stockade.toml",
];

const REPORTED: &[&str] = &[
    ".git/config",
    ".git/config.worktree",
    ".git/modules/a/config",
    ".github/workflows/ci.yml",
    "CLAUDE.md",
    "AGENTS.md",
    ".claude/commands/a.md",
    ".claude/agents/a.md",
    ".claude/skills/a/SKILL.md",
    "package.json",
];

/// Beside the names above; nothing acts on these.
const NEITHER: &[&str] = &[
    ".git/HEAD",
    ".git/hooks.old/x",
    ".vscode/extensions.json",
    ".claude/notes.md",
    "src/settings.json",
    "src/.envrc.example",
    "docs/CLAUDE.md",
];

#[test]
fn the_protect_table_holds_what_acts_outside_later() {
    let p = policy(vec![]);
    let at = |name: &str| match name.strip_prefix('~') {
        Some(tail) => format!("/home/u{tail}"),
        None if name.starts_with('/') => name.into(),
        None => format!("/home/u/w/{name}"),
    };
    let reports = |name: &str| {
        p.of("filesystem", "protect")
            .any(|r| r.report && r.globs.iter().any(|g| g.covers(Path::new(&at(name)))))
    };
    for name in PROTECTED {
        let decided = file(&p, FileOperation::Create, &at(name));
        assert_eq!(decided.verdict, Verdict::Deny, "{name}");
        let by = decided.rule.as_str();
        assert!(
            by.starts_with("protect:filesystem.protect:"),
            "{name}: {by}"
        );
    }
    for name in REPORTED {
        let decided = file(&p, FileOperation::Write, &at(name)).verdict;
        assert!(decided == Verdict::Allow && reports(name), "{name}");
    }
    for name in NEITHER {
        let decided = file(&p, FileOperation::Write, &at(name)).verdict;
        assert!(decided == Verdict::Allow && !reports(name), "{name}");
    }
}

#[test]
fn every_protected_name_has_a_reason() {
    let p = policy(vec![]);
    let mut count = 0;
    for rule in p.of("filesystem", "protect") {
        assert!(
            rule.because.as_deref().is_some_and(|b| b.len() > 5),
            "{}",
            rule.id
        );
        count += 1;
    }
    assert!(count > 100, "{count}");
}

#[test]
fn a_name_is_an_entry_of_its_directory() {
    use FileOperation::{Create, Remove, Write};
    let p = policy(vec![layer(
        Layer::User,
        "extends = [\"system\"]\n[filesystem]\nread = [\"/o\"]\nwrite = [\"/w\", \"/v/file\"]\n",
    )]);
    let verdict = |operation, path| file(&p, operation, path).verdict;
    for (path, entry) in [
        ("/w/a", Verdict::Allow),
        ("/w", Verdict::Deny),
        ("/v/file", Verdict::Deny),
    ] {
        assert_eq!(verdict(Write, path), Verdict::Allow, "{path}");
        assert_eq!(verdict(Create, path), entry, "{path}");
        assert_eq!(verdict(Remove, path), entry, "{path}");
    }
    // what is only read could be written by its new name
    let pairs = [
        ("/w/a", "/w/b", Verdict::Allow),
        ("/o/a", "/w/b", Verdict::Deny),
        ("/w/a", "/o/b", Verdict::Deny),
        ("/v/file", "/w/b", Verdict::Deny),
    ];
    for (from, to, expected) in pairs {
        let (a, b) = (Path::new(from), Path::new(to));
        for access in [
            Access::Link { from: a, to: b },
            Access::Rename { from: a, to: b },
        ] {
            assert_eq!(p.verdict(&access), expected, "{access:?}");
        }
    }
}
