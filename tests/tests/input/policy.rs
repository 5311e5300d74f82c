//! Policy files and flags.

use crate::{Expected, Ground, User, refused, runs};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// What stands in the file after `version = 1`, and what is said of it.
const WRONG: &[(&str, &[&str])] = &[
    (
        "[filesystem]\nreed = ['/x']",
        &["unknown key `reed`", "did you mean `read`?", ":3:1"],
    ),
    (
        "[filesistem]\nread = ['/x']",
        &["unknown key or table `filesistem`", "`filesystem`"],
    ),
    ("[filesystem]\nread = 1", &["`read` is a list"]),
    ("[filesystem]\nread = [1]", &["is a text in quotes"]),
    ("[limits]\nprocesses = 'many'", &["is a whole number"]),
    ("[limits]\nprocesses = 0", &["is a whole number from 1"]),
    ("filesystem = 3", &["`filesystem` is a table"]),
    ("[filesystem]\nread = []", &["`read` is an empty list"]),
    ("[filesystem]\nread = ['']", &["empty text"]),
    (
        "[exec]\ndefault = 'alow'",
        &["`alow` is no value of `default`", "did you mean `allow`?"],
    ),
    (
        "[filesystem]\nprotect = [{ path = 'x', mode = 'denny' }]",
        &["`denny` is no value of `mode`"],
    ),
    ("[filesystem]\nread = ['/a/../b']", &["a `..` component"]),
    (
        "[filesystem]\nread = [\"/a\\u0000b\"]",
        &["contains a NUL byte"],
    ),
    (
        "[environment.set]\nA = \"x\\u0000\"",
        &["contains a NUL byte"],
    ),
    (
        "[filesystem]\nread = ['relative']",
        &["neither absolute nor"],
    ),
    (
        "[enforcement]\naccept_partial = ['absnet']",
        &["did you mean `absent`?"],
    ),
    ("[filesystem", &["error:"]),
    ("version = 1", &["duplicate key"]),
];

#[test]
fn a_mistake_in_any_file_is_shown_and_nothing_starts() {
    Ground::each("policy-wrong", |ground| {
        for (text, says) in WRONG {
            let text = format!("version = 1\n{text}\n");
            let path = ground.write("outside/p.toml", &text);
            let mut command = ground.touch(&["--policy", path.to_str().unwrap()]);
            ground.check(&text, &mut command, &refused(says));
            for file in ["home/.config/stockade/policy.toml", "work/.stockade.toml"] {
                let path = ground.write(file, &text);
                let name = format!("{file}: {text}");
                let mut command = ground.touch(&[]);
                // a project's file names what it would protect, relative names included
                ground.check(&name, &mut command, &refused(says));
                std::fs::remove_file(path).unwrap();
            }
        }
        // presets are not for a project to choose, so that one is for the others
        let text = "version = 1\nextends = 'agnet'\n";
        ground.write("home/.config/stockade/policy.toml", text);
        let expected = refused(&["no preset `agnet`", "did you mean `agent`?"]);
        let mut command = ground.touch(&[]);
        ground.check("extends", &mut command, &expected);
        ground.write("home/.config/stockade/policy.toml", "version = 2\n");
        let mut command = ground.touch(&[]);
        ground.check(
            "version 2",
            &mut command,
            &refused(&["needs a newer stockade"]),
        );
    });
}

#[test]
fn a_mistake_in_a_flag_is_shown_and_nothing_starts() {
    let rows: &[(&[&str], &[&str])] = &[
        (&["--preset", "agnet"], &["did you mean `agent`?"]),
        (&["--preset", "\u{1b}[31m"], &["\\u{1b}[31m"]),
        (&["--require", "namespace"], &["namespaces"]),
        (&["--require", "\u{1b}[31m"], &["invalid value"]),
        (&["--agent", "cluade"], &["no agent `cluade`", "claude"]),
        (&["--allow-read", "../x"], &["a `..` component"]),
        (&["--allow-read", ""], &["error"]),
        (&["--allow-read", "/a\u{1b}/../b"], &["\\u{1b}"]),
        (&["--allow-write=/a,/b/../c"], &["a `..` component"]),
        (&["--deny-exec", "${nothing}"], &["unknown variable"]),
        (&["--allow-net", "host name:1"], &["command line"]),
        (&["--allow-net", "example.com:99999"], &["command line"]),
        (&["-e", "NAME"], &["NAME=VALUE"]),
        (&["-e", "=x"], &["no name of a variable"]),
        (&["--no-such-flag"], &["unexpected argument"]),
        (&["--policy", "/does/not/exist"], &["/does/not/exist"]),
    ];
    Ground::each("flags-wrong", |ground| {
        for (flags, says) in rows {
            let mut command = ground.touch(flags);
            ground.check(&format!("{flags:?}"), &mut command, &refused(says));
        }
        for words in [&["run"][..], &["run", "--"], &["nonsense"], &[]] {
            let mut command = ground.stockade(words);
            ground.check(&format!("{words:?}"), &mut command, &refused(&["stockade"]));
        }
    });
}

#[test]
fn a_rule_that_a_stricter_one_shadows_is_a_warning() {
    Ground::each("policy-shadowed", |ground| {
        let text = "version = 1\n[filesystem]\nread = ['/opt/x']\ndeny_read = ['/opt/x']\n";
        ground.write("home/.config/stockade/policy.toml", text);
        let expected = runs(&[
            "warning",
            "`/opt/x` has no effect",
            "user:filesystem.deny_read",
        ]);
        let mut command = ground.touch(&[]);
        ground.check("shadowed", &mut command, &expected);
    });
}

#[test]
fn what_is_no_readable_text_is_refused_by_name() {
    Ground::each("policy-kind", |ground| {
        let folder = ground.folder("outside/folder");
        let fifo = ground.at("outside/fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
        ground.give(&fifo);
        let bytes = ground.write("outside/latin1", b"version = 1 # \xe9\n");
        let closed = ground.write("outside/closed", "version = 1\n");
        std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o000)).unwrap();
        let mut rows = vec![
            (&folder, "not a regular file"),
            (&fifo, "not a regular file"),
            (&bytes, "not UTF-8 at byte 14"),
        ];
        if ground.user == User::Ordinary {
            rows.push((&closed, "Permission denied"));
        }
        for (path, says) in rows {
            let path = path.to_str().unwrap();
            let mut command = ground.touch(&["--policy", path]);
            ground.check(path, &mut command, &refused(&[says, path]));
        }
        let odd = ground.write("outside/a\u{1b}[31m\nb", "version = 2\n");
        let mut command = ground.touch(&["--policy", odd.to_str().unwrap()]);
        ground.check(
            "escape in its name",
            &mut command,
            &refused(&["a\\u{1b}[31m\\nb"]),
        );
    });
}

#[test]
fn a_projects_link_to_a_secret_shows_nothing_of_it() {
    Ground::each("policy-link", |ground| {
        let secret = ground.write("home/secret", "hunter2 = [\n");
        std::os::unix::fs::symlink(&secret, ground.at("work/.stockade.toml")).unwrap();
        let expected = refused(&[".stockade.toml", "a symbolic link"]);
        for mut command in [
            ground.touch(&[]),
            ground.stockade(&["plan"]),
            ground.stockade(&["trust", "--yes"]),
            ground.stockade(&["why", "read", "/etc/passwd"]),
        ] {
            let out = ground.check("link", &mut command, &expected);
            let printed = stockade_tests::text(&out);
            assert!(!printed.contains("hunter2"), "{printed}");
        }
    });
}

#[test]
fn large_files_end_in_sensible_time() {
    let rules = |n: usize| {
        let list: Vec<String> = (0..n).map(|i| format!("'/opt/none/{i}'")).collect();
        format!("version = 1\n[filesystem]\nread = [{}]\n", list.join(",\n"))
    };
    let big = format!("version = 1\n# {}\n", "x".repeat(10 << 20));
    let rows = [
        ("10 MB", big, refused(&["bytes; at most"])),
        ("100,000 rules", rules(100_000), runs(&[])),
        (
            "250,000 rules",
            rules(250_000),
            refused(&["rules; at most"]),
        ),
    ];
    Ground::each("policy-large", |ground| {
        for level in stockade_tests::LEVELS {
            for (name, text, expected) in &rows {
                let path = ground.write("outside/large.toml", text);
                let options = ["--policy", path.to_str().unwrap(), "--require", level];
                let mut command = ground.touch(&options);
                let Expected {
                    status,
                    says,
                    started,
                } = *expected;
                let begun = Instant::now();
                ground.check(
                    &format!("{name} at {level}"),
                    &mut command,
                    &Expected {
                        status,
                        says,
                        started,
                    },
                );
                let took = begun.elapsed();
                println!("{name} at {level}: {took:?}");
                // a debug build on a busy machine; a square of the number of rules takes minutes
                if took > Duration::from_secs(20) {
                    ground.fail(name, &format!("took {took:?}"));
                }
            }
        }
    });
}
