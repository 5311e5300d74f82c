//! A hostile checkout, and what a caller passes without thinking: who wrote the workspace chooses nothing.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use stockade_tests::{LEVELS, Place, install, stockade, text};

/// A home with a secret in a directory that no rule names.
fn place(name: &str) -> (Place, PathBuf) {
    let place = Place::new(name);
    let secret = place.home().join("Documents");
    std::fs::create_dir(&secret).unwrap();
    std::fs::write(secret.join("plain"), "SECRET\n").unwrap();
    (place, secret)
}

fn run(place: &Place, level: &str, words: &[&str]) -> String {
    let arguments = ["run", "--quiet", "--require", level, "--"];
    text(&place.stockade(&[&arguments, words].concat()))
}

#[test]
fn a_link_under_a_name_that_rules_speak_of_opens_nothing() {
    for level in LEVELS {
        let (place, secret) = place("links");
        for name in [".envrc", ".mcp.json", ".idea", ".stockade-x"] {
            symlink(&secret, place.work().join(name)).unwrap();
        }
        std::fs::create_dir_all(secret.join("hooks")).unwrap();
        std::fs::remove_dir_all(place.work().join(".git")).unwrap();
        symlink(&secret, place.work().join(".git")).unwrap();
        let script = format!(
            "cat {0}/plain .envrc/plain .mcp.json/plain .idea/plain .git/plain; echo x > .idea/made; true",
            secret.display()
        );
        let out = run(&place, level, &["sh", "-c", &script]);
        assert!(!out.contains("SECRET"), "{level}: {out}");
        assert!(!secret.join("made").exists(), "{level}");
        // and what is there is read where a rule shows it
        let shown = secret.display().to_string();
        let arguments = [
            "run",
            "--quiet",
            "--require",
            level,
            "--allow-read",
            &shown,
            "--",
        ];
        let out = place.stockade(&[&arguments, ["cat", ".envrc/plain"].as_slice()].concat());
        assert_eq!(String::from_utf8_lossy(&out.stdout), "SECRET\n", "{level}");
        // within the workspace it is held where the link leads
        std::fs::create_dir(place.work().join("vs")).unwrap();
        std::fs::write(place.work().join("vs/tasks.json"), "good\n").unwrap();
        symlink("vs", place.work().join(".vscode")).unwrap();
        run(
            &place,
            level,
            &[
                "sh",
                "-c",
                "echo bad > vs/tasks.json; echo bad > .vscode/tasks.json",
            ],
        );
        let kept = std::fs::read_to_string(place.work().join("vs/tasks.json")).unwrap();
        // refused at one level, put back at the end at the other
        assert_eq!(kept, "good\n", "{level}");
    }
}

#[test]
fn a_command_by_way_of_the_workspace_opens_nothing() {
    for level in LEVELS {
        let (place, secret) = place("by-way");
        std::fs::write(secret.join("package.json"), "{}").unwrap();
        let show = "#!/bin/sh\ncat ~/Documents/plain || echo refused\n";
        for program in [secret.join("tool"), place.work().join("real")] {
            let fresh = place.path().join("fresh");
            std::fs::write(&fresh, show).unwrap();
            install(&fresh, &program);
        }
        symlink(secret.join("tool"), place.work().join("run")).unwrap();
        symlink(&secret, place.work().join("lnk")).unwrap();
        symlink("lnk/../../work/real", place.work().join("round")).unwrap();
        for command in ["./run", "./round", "./real"] {
            let out = run(&place, level, &[command]);
            assert!(!out.contains("SECRET"), "{level} {command}: {out}");
        }
        assert!(
            run(&place, level, &["./real"]).contains("refused"),
            "{level}"
        );
        // the user's own command opens its package
        let tool = secret.join("tool").display().to_string();
        assert_eq!(run(&place, level, &[&tool]), "SECRET\n", "{level}");
    }
}

#[test]
fn a_program_of_the_workspace_is_no_agent() {
    for level in LEVELS {
        let place = Place::new("namesake");
        let state = place.home().join(".claude");
        std::fs::create_dir(&state).unwrap();
        std::fs::write(state.join(".credentials.json"), "TOKEN\n").unwrap();
        let fresh = place.path().join("fresh");
        std::fs::write(
            &fresh,
            "#!/bin/sh\ncat ${CLAUDE_CONFIG_DIR:-~/.claude}/.credentials.json\n",
        )
        .unwrap();
        install(&fresh, &place.work().join("claude"));
        let out = run(&place, level, &["./claude"]);
        assert!(!out.contains("TOKEN"), "{level}: {out}");
        // who names it has decided
        let arguments = [
            "run",
            "--quiet",
            "--require",
            level,
            "--keep-agent-sandbox",
            "--agent",
            "claude",
        ];
        let out = place.stockade(&[&arguments, ["--", "./claude"].as_slice()].concat());
        assert_eq!(text(&out), "TOKEN\n", "{level}");
    }
}

#[test]
fn what_stockade_keeps_is_not_for_a_session() {
    let place = Place::new("kept");
    assert_eq!(
        place.stockade(&["run", "--", "true"]).status.code(),
        Some(0)
    );
    let local = place.home().join(".local").display().to_string();
    let run = |level: &str, script: &str| {
        place.stockade(&[
            "run",
            "--require",
            level,
            "-w",
            &local,
            "--",
            "sh",
            "-c",
            script,
        ])
    };
    let script = format!(
        "touch {local}/fine; ls {local}/state/stockade/trust {local}/state/stockade/sessions; mkdir -p {local}/state/stockade/trust; echo x > {local}/state/stockade/trust/made"
    );
    let out = run("namespaces", &script);
    assert!(text(&out).contains("Permission denied"), "{}", text(&out));
    assert!(place.home().join(".local/fine").exists());
    assert!(
        !place
            .home()
            .join(".local/state/stockade/trust/made")
            .exists()
    );
    let out = run("landlock", "touch started");
    assert_eq!(out.status.code(), Some(125), "{}", text(&out));
    assert!(text(&out).contains("XDG_STATE_HOME"), "{}", text(&out));
    // the policy is the user's own to write
    let config = place.home().join(".config");
    std::fs::create_dir_all(config.join("stockade")).unwrap();
    let config = config.display().to_string();
    for level in LEVELS {
        let script = format!("echo 'version = 1' > {config}/stockade/policy.toml");
        let out = place.stockade(&[
            "run",
            "--require",
            level,
            "-w",
            &config,
            "--",
            "sh",
            "-c",
            &script,
        ]);
        let there = place.home().join(".config/stockade/policy.toml").exists();
        assert!(!there, "{level}: {}", text(&out));
    }
}

#[test]
fn a_directory_on_a_standard_stream_is_refused() {
    for level in LEVELS {
        let (place, secret) = place("stream");
        for stream in ["0<", "1<", "2<"] {
            let script = format!(
                "{} run --require {level} -- touch started {stream} {} 3>&2",
                stockade().display(),
                secret.display()
            );
            let out = place.command("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(
                out.status.code(),
                Some(125),
                "{level} {stream}: {}",
                text(&out)
            );
            assert!(!place.work().join("started").exists(), "{level} {stream}");
        }
    }
}

#[test]
fn a_file_that_is_passed_read_only_is_not_cut() {
    for level in LEVELS {
        let (place, secret) = place("cut");
        let plain = secret.join("plain");
        let probe = env!("CARGO_BIN_EXE_probe");
        for how in ["truncate-open", "truncate", "write"] {
            let command = |program: &str| {
                let mut command = place.command(program);
                command.stdin(Stdio::from(File::open(&plain).unwrap()));
                command
            };
            let mut confined = command(stockade().to_str().unwrap());
            confined.args([
                "run",
                "--quiet",
                "--require",
                level,
                "--allow-read",
                probe,
                "--",
                probe,
            ]);
            let out = confined.args([how, "/proc/self/fd/0"]).output().unwrap();
            assert_eq!(text(&out), "EACCES\n", "{level} {how}");
            assert_eq!(
                std::fs::read_to_string(&plain).unwrap(),
                "SECRET\n",
                "{level} {how}"
            );
            // it is read, and without a session it is cut
            let mut reads = command(stockade().to_str().unwrap());
            reads.args(["run", "--quiet", "--require", level, "--", "cat"]);
            assert_eq!(text(&reads.output().unwrap()), "SECRET\n", "{level}");
        }
        let mut native = Command::new(probe);
        native.args(["truncate-open", "/proc/self/fd/0"]);
        native.stdin(Stdio::from(File::open(&plain).unwrap()));
        assert_eq!(text(&native.output().unwrap()), "ok\n");
        assert_eq!(std::fs::read_to_string(&plain).unwrap(), "");
    }
}

/// Names below a workspace that programs outside act on by themselves.
const RUN: &[&str] = &[
    ".mise.dev.toml",
    ".mise/config.toml",
    "mise/config.local.toml",
    ".autoenv",
    ".direnv/flake-profile.rc",
    ".lvimrc",
    ".lazy.lua",
    ".vim/coc-settings.json",
    ".dir-locals.el",
    ".helix/languages.toml",
    ".fleet/settings.json",
    ".nova/Configuration.json",
    ".vs/tasks.vs.json",
    ".theia/tasks.json",
    "x.sublime-project",
    ".gdbinit",
    ".lldbinit",
    ".pryrc",
    ".irbrc",
    ".cline/mcp.json",
    ".trae/mcp.json",
    ".kilo/mcp.json",
    ".github/copilot/mcp.json",
];

/// Names that honest work writes, and that steer programs outside.
const STEER: &[&str] = &[
    "lefthook.toml",
    ".lefthook.yml",
    ".overcommit.yml",
    ".gitmodules",
    ".git/info/attributes",
    ".env",
    ".tool-versions",
    ".venv/bin/python",
    ".cargo/config.toml",
    "rust-toolchain.toml",
    ".npmrc",
    ".yarnrc.yml",
    ".yarn/releases/yarn.cjs",
    ".mvn/jvm.config",
    ".bazelrc",
    "devbox.json",
    "flake.nix",
    "shell.nix",
];

#[test]
fn what_acts_outside_later_is_held_or_said() {
    for level in LEVELS {
        let place = Place::new("later");
        let script = "for f; do mkdir -p \"$(dirname \"$f\")\"; echo new > \"$f\"; done";
        let arguments = ["run", "--require", level, "--", "sh", "-c", script, "sh"];
        // the last is nothing to anybody outside
        let words = [&arguments, RUN, STEER, ["src/main.rs"].as_slice()].concat();
        let said = text(&place.stockade(&words));
        for name in RUN {
            assert!(!place.work().join(name).exists(), "{level} {name}: {said}");
        }
        for name in STEER {
            assert!(place.work().join(name).is_file(), "{level} {name}");
            let made = place.work().join(name);
            let topmost = made.parent().unwrap().display().to_string();
            let made = made.display().to_string();
            let is_said = said.contains(&format!("{made} was made"))
                || said.contains(&format!("{topmost} was made"));
            assert!(is_said, "{level} {name}: {said}");
        }
        assert!(place.work().join("src/main.rs").is_file() && !said.contains("main.rs"));
    }
}

#[test]
fn names_are_shown_as_what_they_are() {
    for level in LEVELS {
        let place = Place::new("shown");
        let script = "echo x > \"$1\"; git config --file .git/config core.pager \"$1\"";
        let name = ".yarn/plugins/a\u{202e}b\u{200b}c";
        std::fs::create_dir_all(place.work().join(".yarn/plugins")).unwrap();
        std::fs::write(place.work().join(".yarn/plugins/d"), "").unwrap();
        let out = place.stockade(&[
            "run",
            "--require",
            level,
            "--",
            "sh",
            "-c",
            script,
            "sh",
            name,
        ]);
        let said = text(&out);
        assert!(!said.contains(['\u{202e}', '\u{200b}']), "{level}: {said}");
        let shown = ".yarn/plugins/a\\u{202e}b\\u{200b}c";
        let made = format!("{shown} was made");
        let key = format!("core.pager = {shown}");
        assert!(
            said.contains(&made) && said.contains(&key),
            "{level}: {said}"
        );
    }
}
