//! docs/exit-status.md, row by row.

use crate::{Ground, NOBODY, User};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

const DOCUMENT: &str = include_str!("../../../docs/exit-status.md");

/// Status and command of each row.
fn rows() -> Vec<(String, String)> {
    let cells = |line: &str| -> Vec<String> {
        line.split('|')
            .map(|c| c.trim().trim_matches('`').to_owned())
            .collect()
    };
    let table = DOCUMENT.lines().filter(|l| l.starts_with("| ")).skip(2);
    table
        .map(cells)
        .map(|row| (row[1].clone(), row[2].clone()))
        .collect()
}

/// What provokes the row; none for a row that this test does not know.
fn provoke(ground: &Ground, status: &str, of: &str) -> Option<Command> {
    let run = |words: &[&str]| {
        let mut command = ground.stockade(&["run", "--quiet"]);
        command.args(words);
        command
    };
    Some(match (status, of) {
        ("0", "run") => run(&["--", "true"]),
        ("N", "run") => run(&["--", "sh", "-c", "exit 77"]),
        ("signal", "run") => run(&["--", "sh", "-c", "kill -USR1 $$"]),
        ("124", "run") => {
            let policy = "version = 1\n[limits]\nwall = '1s'\n";
            let policy = ground.write("outside/wall.toml", policy);
            run(&["--policy", policy.to_str()?, "--", "sleep", "100"])
        }
        ("125", "every command") => ground.stockade(&["why", "read", "/x", "--preset", "none"]),
        ("126", "run") => run(&["--", "/etc/passwd"]),
        ("127", "run") => run(&["--", "no-such-command"]),
        ("141", "every other command") => {
            let mut command = ground.stockade(&["policy", "schema"]);
            command.stdout(std::io::pipe().ok()?.1);
            command
        }
        ("1", "check") => {
            let policy = ground.write("outside/wrong.toml", "version = 1\nx = 1\n");
            ground.stockade(&["check", policy.to_str()?])
        }
        ("1", "doctor") => {
            let mut command = ground.command(ground.at("bin/without"));
            command.args(["user-namespaces,landlock", "--"]);
            command.arg(ground.at("bin/stockade")).arg("doctor");
            command
        }
        ("1", "trust") => {
            ground.write("work/.stockade.toml", "version = 1\n");
            let mut command = ground.command("script");
            let line = format!("{} trust < /dev/tty", ground.at("bin/stockade").display());
            command.args(["-qec", &line, "/dev/null"]);
            command
        }
        _ => return None,
    })
}

#[test]
fn every_row_of_the_document_is_so() {
    let rows = rows();
    assert_eq!(rows.len(), 11, "{rows:?}");
    for user in crate::users() {
        let ground = Ground::new("status", user);
        assert!(user == User::Own || nix::unistd::geteuid().as_raw() != NOBODY);
        for (status, of) in &rows {
            let mut command = provoke(&ground, status, of)
                .unwrap_or_else(|| panic!("{status} of {of} is not known to this test"));
            let out = command.output().unwrap();
            let expected = match status.as_str() {
                "N" => 77,
                // USR1
                "signal" => {
                    assert_eq!(out.status.signal(), Some(10), "{status}: {out:?}");
                    continue;
                }
                number => number.parse().unwrap(),
            };
            let printed = stockade_tests::text(&out);
            assert_eq!(out.status.code(), Some(expected), "{of}: {printed}");
            let says = printed.contains("stockade: ") || printed.contains("error");
            assert!(expected != 125 || says, "{status}: {printed}");
        }
    }
}
