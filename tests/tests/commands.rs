//! `plan` without a command, `policy add`, and what `generate` makes of the command line.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use stockade_tests::{Place, stockade, text};

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

const FILE: &str = "home/.config/stockade/policy.toml";

#[test]
fn plan_without_a_command_is_the_shells() {
    let place = Place::new("plan");
    let command = |shell: Option<&str>, words: &[&str]| {
        let mut command = place.command(stockade());
        command.args(words);
        match shell {
            Some(shell) => command.env("SHELL", shell),
            None => command.env_remove("SHELL"),
        };
        let out = command.output().unwrap();
        assert!(out.status.success(), "{}", text(&out));
        String::from_utf8(out.stdout).unwrap()
    };
    let row = |shown: String| {
        let line = shown.lines().find(|l| l.starts_with("command "));
        line.unwrap().split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(row(command(Some("/bin/bash"), &["plan"])), "/bin/bash");
    assert_eq!(row(command(None, &["plan"])), "/bin/sh");
    assert_eq!(row(command(None, &["plan", "--", "true"])), "/usr/bin/true");
    let json = command(None, &["plan", "--json", "--require", "landlock"]);
    let plan: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(plan["level"], "landlock");
    assert_eq!(plan["arguments"], serde_json::json!(["/bin/sh"]));
    // nothing was started or left
    assert!(!place.home().join(".local/state/stockade/sessions").exists());
}

#[test]
fn the_line_that_why_prints_can_be_added() {
    let place = Place::new("add");
    let outside = place.outside().display().to_string();
    std::fs::write(place.outside().join("file"), "text").unwrap();
    let path = place.outside().join("file").display().to_string();
    let cat = || place.stockade(&["run", "--quiet", "--", "cat", &path]);
    assert_eq!(cat().status.code(), Some(1), "{}", text(&cat()));
    let why = text(&place.stockade(&["why", "read", &outside]));
    let line = why.lines().find_map(|l| l.strip_prefix("change   "));
    let line = line.expect("a line that would change it");
    let out = place.stockade(&["policy", "add", line]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    let file = place.path().join(FILE);
    let says = text(&out);
    assert!(
        says.contains(line) && says.contains(file.to_str().unwrap()),
        "{says}"
    );
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        format!("version = 1\n\n[filesystem]\nread = [{outside:?}]\n")
    );
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    assert_eq!(mode(&place.home().join(".config")), 0o700);
    assert_eq!(text(&cat()), "text");
    let again = place.stockade(&["policy", "add", line]);
    assert!(text(&again).contains("has it already"), "{}", text(&again));
}

#[test]
fn comments_mode_and_link_stay() {
    let place = Place::new("add-keeps");
    let kept = place.outside().join("settings.toml");
    let before =
        "# mine\nversion = 1\n\n[filesystem] # what I need\nread = [\n  \"/opt/a\", # one\n]\n";
    std::fs::write(&kept, before).unwrap();
    std::fs::set_permissions(&kept, PermissionsExt::from_mode(0o640)).unwrap();
    let file = place.path().join(FILE);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    symlink(&kept, &file).unwrap();
    let out = place.stockade(&["policy", "add", "filesystem.read = [\"/opt/b\"]"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    assert_eq!(file.read_link().unwrap(), kept);
    assert_eq!(mode(&kept), 0o640);
    let after = std::fs::read_to_string(&kept).unwrap();
    assert_eq!(after, before.replace("one\n]", "one\n  \"/opt/b\",\n]"));
    let beside = std::fs::read_dir(place.outside()).unwrap().count();
    assert_eq!(beside, 1, "no temporary file is left");
}

#[test]
fn what_would_be_wrong_is_not_written() {
    let place = Place::new("add-wrong");
    let file = place.path().join(FILE);
    let rows = [
        ("filesystem.reed = ['/x']", "did you mean `read`?"),
        ("[filesystem] read = ['/a/../b']", "a `..` component"),
        ("[filesystem] read = []", "empty list"),
        ("exec.default = 'alow'", "did you mean `allow`?"),
        ("filesystem.read = ", "it takes one line of a policy"),
        ("\u{1b}[31m", "\\u{1b}[31m"),
        ("", "nothing to add"),
    ];
    for existing in [None, Some("version = 1 # kept\n")] {
        if let Some(existing) = existing {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, existing).unwrap();
        }
        for (line, says) in rows {
            let out = place.stockade(&["policy", "add", line]);
            let printed = text(&out);
            assert_eq!(out.status.code(), Some(125), "{line:?}: {printed}");
            assert!(printed.contains(says), "{line:?}: {printed}");
            let now = std::fs::read_to_string(&file).ok();
            assert_eq!(now.as_deref(), existing, "{line:?}");
        }
    }
    // one that is wrong already is shown, and left
    std::fs::write(&file, "version = 1\nread = [\n").unwrap();
    let out = place.stockade(&["policy", "add", "filesystem.read = ['/x']"]);
    assert_eq!(out.status.code(), Some(125), "{}", text(&out));
    assert!(text(&out).contains("error"), "{}", text(&out));
    let now = std::fs::read_to_string(&file).unwrap();
    assert_eq!(now, "version = 1\nread = [\n");
}

#[test]
fn a_session_cannot_add() {
    let place = Place::new("add-inside");
    for level in stockade_tests::LEVELS {
        let script = "stockade policy add \"filesystem.read = ['/x']\"";
        let words = ["run", "--quiet", "--require", level, "--", "sh", "-c"];
        let out = place.stockade(&[&words[..], &[script]].concat());
        let printed = text(&out);
        assert_eq!(out.status.code(), Some(125), "{level}: {printed}");
        assert!(printed.contains("nothing in a session"), "{printed}");
        assert!(!place.path().join(FILE).exists());
    }
}

#[test]
fn the_manual_page_has_every_command_and_option() {
    let place = Place::new("manual");
    let page = |words: &[&str]| {
        let out = place.stockade(words);
        assert!(out.status.success(), "{}", text(&out));
        String::from_utf8(out.stdout).unwrap()
    };
    let manual = page(&["generate", "man"]).replace("\\-", "-");
    let completions = page(&["generate", "completions", "bash"]);
    let commands: &[&[&str]] = &[
        &["run"],
        &["plan"],
        &["why"],
        &["check"],
        &["trust"],
        &["hooks"],
        &["policy", "show"],
        &["policy", "presets"],
        &["policy", "schema"],
        &["policy", "add"],
        &["quarantine", "list"],
        &["quarantine", "restore"],
        &["doctor"],
        &["generate", "man"],
        &["generate", "completions"],
    ];
    for words in commands {
        let heading = format!(".SH \"STOCKADE {}\"", words.join(" ").to_uppercase());
        let from = manual.find(&heading).unwrap_or_else(|| panic!("{heading}"));
        let rest = &manual[from + heading.len()..];
        let section = &rest[..rest.find("\n.SH ").unwrap_or(rest.len())];
        // what the help of each says is the list to compare with
        let help = page(&[words, &["--help"][..]].concat());
        let options = help
            .split([' ', ',', '\n', '.', '[', '='])
            .filter(|w| w.starts_with("--") && w.len() > 2);
        for option in options {
            assert!(section.contains(option), "{words:?} {option}: {section}");
            assert!(completions.contains(option), "{words:?} {option}");
        }
    }
    assert!(!manual.contains("__stage") && !manual.contains("__STAGE"));
}
