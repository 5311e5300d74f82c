//! What is to be executed, and the variables it is found by.

use crate::{Expected, Ground, refused, runs};
use stockade_tests::LEVELS;

const fn not_run<'a>(status: i32, says: &'a [&'a str]) -> Expected<'a> {
    Expected {
        status,
        says,
        started: false,
    }
}

#[test]
fn what_cannot_be_executed_is_said_as_a_shell_says_it() {
    Ground::each("command", |ground| {
        ground.write("work/plain", "touch started\n");
        ground.script("work/no-line", "touch started\n");
        ground.script("work/lost", "#!/no/such\n");
        ground.script("work/script", "#!/bin/sh\ntouch started\n");
        std::fs::create_dir(ground.at("work/folder")).unwrap();
        let rows: &[(&str, Expected<'_>)] = &[
            (
                "no-such-command",
                not_run(127, &["no-such-command: command not found"]),
            ),
            ("./no-such", not_run(127, &["no-such", "ENOENT"])),
            ("./lost", not_run(127, &["lost", "ENOENT"])),
            ("", not_run(127, &["command not found"])),
            ("./plain", not_run(126, &["plain", "EACCES"])),
            ("./folder", not_run(126, &["folder", "EACCES"])),
            ("/usr", not_run(126, &["/usr", "EACCES"])),
            ("./no-line", not_run(126, &["no-line", "Exec format error"])),
            ("./script", runs(&[])),
            ("./plain/below", not_run(126, &["ENOTDIR"])),
            ("no\u{1b}such", not_run(127, &["no\\u{1b}such"])),
        ];
        for level in LEVELS {
            for (word, expected) in rows {
                let mut command = ground.stockade(&["run", "--require", level, "--", word]);
                ground.check(&format!("{word:?} at {level}"), &mut command, expected);
            }
            // found by PATH, and not executable
            let mut command = ground.stockade(&["run", "--require", level, "--", "plain"]);
            command.env("PATH", format!("/usr/bin:{}", ground.at("work").display()));
            ground.check("by PATH", &mut command, &not_run(126, &["plain"]));
            // there and executable, and no rule shows it
            let hidden = ground.script("outside/hidden", "#!/bin/sh\ntouch started\n");
            let deny = ["--deny-exec", hidden.to_str().unwrap()];
            let mut command = ground.stockade(&["run", "--require", level]);
            command.args(deny).arg("--").arg(&hidden);
            ground.check("denied", &mut command, &not_run(126, &["hidden", "EACCES"]));
        }
    });
}

#[test]
fn an_odd_home_is_refused_and_none_is_the_databases() {
    Ground::each("home", |ground| {
        let home = |ground: &Ground, value: Option<&str>| {
            let mut command = ground.touch(&[]);
            match value {
                Some(value) => command.env("HOME", value),
                None => command.env_remove("HOME"),
            };
            command.output().unwrap()
        };
        let relative = home(ground, Some("a/b"));
        let says = ["HOME is `a/b`, not an absolute path"];
        ground.checked("HOME relative", &relative, &refused(&says));
        let empty = home(ground, Some(""));
        let says = ["HOME is ``, not an absolute path"];
        ground.checked("HOME empty", &empty, &refused(&says));
        let missing = home(ground, Some("/no/such"));
        let says = ["HOME", "/no/such", "No such file"];
        ground.checked("HOME missing", &missing, &refused(&says));
        let unset = home(ground, None);
        // the user database's: there or not, it is said
        let user = nix::unistd::User::from_uid(match ground.user {
            crate::User::Own => nix::unistd::getuid(),
            crate::User::Ordinary => crate::NOBODY.into(),
        });
        let database = user.unwrap().unwrap().dir;
        let expected = if database.is_dir() {
            runs(&[])
        } else {
            refused(&["No such file", "HOME"])
        };
        ground.checked("HOME unset", &unset, &expected);
    });
}

#[test]
fn path_and_tmpdir_may_be_odd() {
    Ground::each("variables", |ground| {
        for level in LEVELS {
            let mut command = ground.touch(&["--require", level]);
            command.env("TMPDIR", "/no/such");
            ground.check("TMPDIR missing", &mut command, &runs(&[]));
            for path in [None, Some("")] {
                let show = ["run", "--quiet", "--require", level, "--"];
                let mut command = ground.stockade(&show);
                command.args(["sh", "-c", "touch started; echo $PATH"]);
                match path {
                    Some(path) => command.env("PATH", path),
                    None => command.env_remove("PATH"),
                };
                if ground.user == crate::User::Ordinary {
                    // setpriv itself is found before
                    let mut by_env = ground.command("env");
                    match path {
                        Some(_) => by_env.arg("PATH="),
                        None => by_env.args(["-u", "PATH"]),
                    };
                    by_env.arg(ground.at("bin/stockade")).args(show);
                    by_env.args(["sh", "-c", "touch started; echo $PATH"]);
                    command = by_env;
                }
                let out = ground.check(&format!("PATH {path:?}"), &mut command, &runs(&[]));
                let shown = String::from_utf8_lossy(&out.stdout).into_owned();
                // no empty component: that would be the current directory
                if !shown.starts_with("/usr/local/bin:/usr/bin:/bin:/") || shown.contains("::") {
                    ground.fail("PATH", &shown);
                }
            }
        }
    });
}

#[test]
fn many_variables_and_long_arguments_are_passed() {
    Ground::each("large", |ground| {
        for level in LEVELS {
            let script = "touch started; env | grep -c ^MANY_; printf %s \"$LONG\" | wc -c";
            let mut command = ground.stockade(&["run", "--quiet", "--require", level]);
            command.args(["--", "sh", "-c", script]);
            command.envs((0..5000).map(|n| (format!("MANY_{n}"), "x")));
            command.env("LONG", "x".repeat(120_000));
            let out = ground.check("variables", &mut command, &runs(&[]));
            assert_eq!(String::from_utf8_lossy(&out.stdout), "5000\n120000\n");
            let mut command = ground.stockade(&["run", "--quiet", "--require", level]);
            command.args([
                "--",
                "sh",
                "-c",
                "touch started; printf %s \"$@\" | wc -c",
                "sh",
            ]);
            command.args((0..10).map(|_| "y".repeat(100_000)));
            let out = ground.check("arguments", &mut command, &runs(&[]));
            assert_eq!(String::from_utf8_lossy(&out.stdout), "1000000\n");
        }
    });
}
