//! Names with spaces, newlines, escapes and bytes that are no UTF-8: passed unchanged, or refused.

use crate::{Ground, refused};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use stockade_tests::LEVELS;

const TEXT: &[&str] = &[
    "two words",
    "new\nline",
    "esc\u{1b}[31m",
    "ünïcode",
    "$x'\"\\",
];
const BYTES: &[u8] = b"by\xfftes\x80";

fn odd() -> OsString {
    OsString::from_vec(BYTES.to_vec())
}

/// The last words of a `stockade` that prints exactly what the session sees.
fn seen(ground: &Ground, level: &str, set: impl Fn(&mut std::process::Command)) -> Vec<u8> {
    let mut command = ground.stockade(&["run", "--quiet", "--require", level]);
    set(&mut command);
    let out = command.output().unwrap();
    let clean = out.status.success() && out.stderr.is_empty();
    assert!(clean, "{level} {command:?}: {}", stockade_tests::text(&out));
    out.stdout
}

#[test]
fn arguments_and_variables_are_passed_byte_for_byte() {
    Ground::each("names-passed", |ground| {
        let words: Vec<OsString> = TEXT.iter().map(OsString::from).chain([odd()]).collect();
        let expected: Vec<u8> = words
            .iter()
            .flat_map(|w| [w.as_bytes(), b"\0"].concat())
            .collect();
        for level in LEVELS {
            let got = seen(ground, level, |command| {
                command.args(["--", "printf", "%s\\0"]).args(&words);
            });
            assert_eq!(got, expected, "arguments at {level}");
            for word in &words {
                let got = seen(ground, level, |command| {
                    command.env("ODD", word);
                    command.args(["--", "sh", "-c", "printf %s \"$ODD\""]);
                });
                assert_eq!(OsStr::from_bytes(&got), word, "value at {level}");
                let mut name = OsString::from("ODD_");
                name.push(word);
                let got = seen(ground, level, |command| {
                    command.env(&name, "value");
                    command.args(["--", "cat", "/proc/self/environ"]);
                });
                let row = [name.as_bytes(), b"=value"].concat();
                assert!(got.split(|b| *b == 0).any(|v| v == row), "{name:?}");
            }
            // what looks like a secret is not passed because it is no text
            let got = seen(ground, level, |command| {
                command.env(OsString::from_vec(b"A\xff_TOKEN".to_vec()), "hunter2");
                command.env("URL", OsString::from_vec(b"x://u:p\xff@h".to_vec()));
                command.args(["--", "env", "-0"]);
            });
            let shown = String::from_utf8_lossy(&got).into_owned();
            assert!(
                !shown.contains("hunter2") && !shown.contains("u:p"),
                "{shown}"
            );
        }
    });
}

#[test]
fn directories_and_commands_may_have_any_name() {
    Ground::each("names-used", |ground| {
        let words: Vec<OsString> = TEXT.iter().map(OsString::from).chain([odd()]).collect();
        for word in &words {
            let folder = ground.folder(ground.at("work").join(word));
            let program = folder.join(word);
            stockade_tests::install("/bin/pwd".as_ref(), &program);
            for level in LEVELS {
                let work = ground.at("work");
                let got = seen(ground, level, |command| {
                    command.arg("-w").arg(&work).arg("--").arg(&program);
                    command.current_dir(&folder);
                });
                let expected = [folder.as_os_str().as_bytes(), b"\n"].concat();
                assert_eq!(OsStr::from_bytes(&got), OsStr::from_bytes(&expected));
            }
        }
        // as the workspace itself: where a policy can name it
        for word in TEXT {
            let folder = ground.folder(ground.at("outside").join(word));
            for level in LEVELS {
                seen(ground, level, |command| {
                    command.arg("-w").arg(&folder);
                    command.args(["--", "sh", "-c", "echo x > made; rm made"]);
                    command.current_dir(&folder);
                });
            }
        }
        let folder = ground.folder(ground.at("outside").join(odd()));
        let mut command = ground.touch(&["-w"]);
        command = {
            let arguments: Vec<OsString> = command.get_args().map(OsStr::to_owned).collect();
            let at = arguments.iter().position(|a| a == "-w").unwrap() + 1;
            let mut again = std::process::Command::new(command.get_program());
            again.args(&arguments[..at]).arg(&folder);
            again.args(&arguments[at..]);
            again.current_dir(ground.at("work")).env_clear();
            again
                .env("HOME", ground.at("home"))
                .env("PATH", "/usr/bin:/bin");
            again
        };
        let expected = refused(&["the workspace", "is not UTF-8"]);
        ground.check("bytes as workspace", &mut command, &expected);
    });
}

#[test]
fn what_a_policy_has_to_name_is_refused_when_it_cannot() {
    Ground::each("names-refused", |ground| {
        for flag in ["--allow-read", "--allow-env", "--preset", "-e"] {
            let mut command = ground.stockade(&["run", flag]);
            command.arg(odd()).args(crate::TOUCH);
            ground.check(flag, &mut command, &refused(&["invalid UTF-8"]));
        }
        let home = ground.folder(ground.at("outside").join(odd()));
        for (name, value) in [
            ("HOME", &home),
            ("TMPDIR", &home),
            ("XDG_CACHE_HOME", &home),
        ] {
            let mut command = ground.touch(&[]);
            command.env(name, value);
            ground.check(name, &mut command, &refused(&["is not UTF-8"]));
        }
        let mut command = ground.touch(&[]);
        command.env("TMPDIR", "/tmp/*");
        ground.check("star", &mut command, &refused(&["TMPDIR", "a pattern"]));
    });
}

/// A name that is no text must not be a way past the comparison at the end.
#[test]
fn protected_names_may_have_any_bytes() {
    Ground::each("names-protected", |ground| {
        let mut hook = OsString::from("work/.git/hooks/pre-");
        hook.push(odd());
        for level in LEVELS {
            // one that is there already does not stop the start
            let before = ground.at(&hook);
            std::fs::write(&before, "old").unwrap();
            ground.give(&before);
            let script = r#"
                module=$(printf '.git/modules/m\377/hooks') && mkdir -p "$module"
                echo x > "$module/post-checkout"; ln -s "$(printf 'to\377')" .envrc; touch started"#;
            let mut command = ground.stockade(&["run", "--require", level, "--", "sh", "-c"]);
            command.arg(script);
            let says = ["modules", ".envrc appeared and is in the quarantine"];
            let out = ground.check(level, &mut command, &crate::runs(&says));
            let module = ground
                .at("work/.git/modules")
                .join(OsStr::from_bytes(b"m\xff"));
            for made in [module.join("hooks/post-checkout"), ground.at("work/.envrc")] {
                if made.symlink_metadata().is_ok() {
                    ground.fail(level, &format!("{made:?}: {}", stockade_tests::text(&out)));
                }
            }
            let listed = ground.stockade(&["quarantine", "list"]).output().unwrap();
            let listed = stockade_tests::text(&listed);
            let ids: Vec<&str> = listed.lines().filter_map(|l| l.split(' ').next()).collect();
            assert_eq!(ids.len(), 2, "{listed}");
            for id in ids {
                let restored = ground
                    .stockade(&["quarantine", "restore", "--yes", id])
                    .output();
                let restored = restored.unwrap();
                assert!(
                    restored.status.success(),
                    "{}",
                    stockade_tests::text(&restored)
                );
            }
            assert!(module.join("hooks/post-checkout").is_file());
            std::fs::remove_dir_all(ground.at("work/.git/modules")).unwrap();
            std::fs::remove_file(ground.at("work/.envrc")).unwrap();
            std::fs::remove_file(before).unwrap();
        }
    });
}
