//! What git reads or runs that is found below a workspace or beside it, whatever it is called and
//! whoever named it, at both levels.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Output;
use stockade_tests::{LEVELS, Place, text};

fn host(place: &Place, script: &str) -> String {
    let out = place
        .command("sh")
        .args(["-ec", script])
        .current_dir(place.path())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", text(&out));
    text(&out)
}

fn run(place: &Place, level: &str, script: &str) -> Output {
    place.stockade(&["run", "--require", level, "--", "sh", "-c", script])
}

/// A script that `arm` writes to each of these names; none is there afterwards.
fn stays_unarmed(place: &Place, level: &str, names: &[&Path]) -> String {
    let words: Vec<_> = names.iter().map(|n| n.as_os_str()).collect();
    let script = "for f; do mkdir -p \"${f%/*}\"; echo evil > \"$f\"; done; : > fine";
    let arguments = ["run", "--require", level, "--", "sh", "-c", script, "sh"];
    let mut command = place.command(stockade_tests::stockade());
    let out = command.args(arguments).args(words).output().unwrap();
    for name in names {
        let there = place.work().join(name).symlink_metadata().is_ok();
        assert!(!there, "{level} {name:?}: {}", text(&out));
    }
    // everything else is for the session to write
    assert!(
        place.work().join("fine").exists(),
        "{level}: {}",
        text(&out)
    );
    std::fs::remove_file(place.work().join("fine")).unwrap();
    text(&out)
}

/// Names that a policy's text would read as something else, or can't hold.
const NAMES: &[&[u8]] = &[
    b"a$b",
    b"a${home}b",
    b"a*b",
    b"a[*]b",
    b"a\x7fb",
    b"a\"]\nwrite = [\"\n#b",
    b"a\\u0041\\",
    b"a\xff\xfeb",
    b"\xff",
];

#[test]
fn a_nested_repository_is_held_whatever_it_is_called() {
    for name in NAMES {
        let name = OsStr::from_bytes(name);
        let place = Place::new("named");
        let nested = place.work().join(name);
        std::fs::create_dir(&nested).unwrap();
        let init = place
            .command("git")
            .args(["init", "-q", "--template="])
            .arg(&nested)
            .status();
        assert!(init.unwrap().success());
        let hook = Path::new(name).join(".git/hooks/post-checkout");
        for level in LEVELS {
            stays_unarmed(&place, level, &[&hook]);
            let hooks = place.work().join(&hook);
            std::fs::create_dir_all(hooks.parent().unwrap()).unwrap();
            stays_unarmed(&place, level, &[&hook]);
            let script = "for d in *; do git -C \"$d\" config core.fsmonitor evil; done";
            let said = text(&run(&place, level, script));
            assert!(said.contains("core.fsmonitor = evil"), "{level}: {said}");
            let script = "git -C work/* config --unset core.fsmonitor";
            host(&place, script);
        }
    }
}

#[test]
fn what_the_command_needs_is_opened_whatever_it_is_called() {
    for level in LEVELS {
        for (name, opened) in [
            ("a$b*c[*]\u{7f}\"", "ran\n"),
            ("a${home}", "ran\n"),
            ("a\\", "ran\n"),
        ] {
            let place = Place::new("command");
            let folder = place.outside().join(name);
            std::fs::create_dir(&folder).unwrap();
            let fresh = place.path().join("fresh");
            std::fs::write(&fresh, "#!/bin/sh\necho ran\n").unwrap();
            stockade_tests::install(&fresh, &folder.join("tool"));
            let tool = folder.join("tool").display().to_string();
            let out = place.stockade(&["run", "--quiet", "--require", level, "--", &tool]);
            assert_eq!(text(&out), opened, "{level} {name}");
        }
        // what can't be said is not opened, and that is said
        let place = Place::new("command");
        let folder = place.outside().join(OsStr::from_bytes(b"a\xff"));
        std::fs::create_dir(&folder).unwrap();
        let fresh = place.path().join("fresh");
        std::fs::write(&fresh, "#!/bin/sh\necho ran\n").unwrap();
        stockade_tests::install(&fresh, &folder.join("tool"));
        let mut command = place.command(stockade_tests::stockade());
        let out = command
            .args(["run", "--quiet", "--require", level, "--"])
            .arg(folder.join("tool"))
            .output()
            .unwrap();
        assert!(
            text(&out).contains("not UTF-8: not opened"),
            "{}",
            text(&out)
        );
        assert!(!text(&out).contains("ran\n"), "{level}: {}", text(&out));
    }
}

/// `core.hooksPath` as each configuration may say it, and where git then looks.
const HOOKS: &[(&str, &str)] = &[
    ("git -C work config core.hooksPath hh", "hh"),
    ("git -C work config core.hooksPath 'h$x*'", "h$x*"),
    ("git -C work config core.hooksPath ~/../work/hh", "hh"),
    ("git -C work config core.hooksPath '~/../work/hh'", "hh"),
    ("git -C work config core.hooksPath .git/own", ".git/own"),
    ("git config --global core.hooksPath .githooks", ".githooks"),
    ("git config --global core.hooksPath '~/../work/hh'", "hh"),
    (
        "mkdir -p home/.config/git && git config --file home/.config/git/config core.hooksPath hh",
        "hh",
    ),
    (
        "git -C work config include.path ../shared && git config --file work/shared core.hooksPath hh",
        "hh",
    ),
    (
        "git config --global includeIf.gitdir:/nowhere/.path more && git config --file home/more core.hooksPath hh",
        "hh",
    ),
    (
        "git init -q work/a/n && git -C work/a/n config core.hooksPath ../hh",
        "a/hh",
    ),
    (
        "git init -q work/a/n && git config --global core.hooksPath hh",
        "a/n/hh",
    ),
    (
        "ln -s real work/hh && mkdir work/real && git -C work config core.hooksPath hh",
        "real",
    ),
];

#[test]
fn a_directory_of_hooks_is_held_there_or_not() {
    for (named, folder) in HOOKS {
        let place = Place::new("hooks-path");
        host(&place, "git init -q work");
        host(&place, named);
        let hook = Path::new(folder).join("pre-commit");
        for level in LEVELS {
            stays_unarmed(&place, level, &[&hook]);
            std::fs::create_dir_all(place.work().join(folder)).unwrap();
            stays_unarmed(&place, level, &[&hook]);
        }
    }
    // what holds the working tree itself can't be held, and that is said
    let place = Place::new("hooks-path");
    host(
        &place,
        "git init -q work && git -C work config core.hooksPath .",
    );
    for level in LEVELS {
        let said = stays_unarmed(&place, level, &[]);
        assert!(said.contains("names it for hooks"), "{level}: {said}");
    }
}

/// Which file git includes, and how.
const INCLUDED: &[(&str, &str)] = &[
    (
        "git -C work config include.path ../shared.ini",
        "shared.ini",
    ),
    (
        "git -C work config include.path ../one && git config --file work/one include.path 'd/two*'",
        "d/two*",
    ),
    (
        "git config --global includeIf.onbranch:x.path '~/../work/mine'",
        "mine",
    ),
    (
        "mkdir home/dots && ln -s ../work/dots home/.gitconfig && git config --file work/dots a.b c",
        "dots",
    ),
];

#[test]
fn keys_of_an_included_file_are_named() {
    for (included, file) in INCLUDED {
        for level in LEVELS {
            let place = Place::new("included");
            host(&place, "git init -q work");
            host(&place, included);
            let arm = format!(
                "mkdir -p d; git config --file '{file}' core.fsmonitor evil; git config --file other core.pager evil"
            );
            for _ in 0..2 {
                let said = text(&run(&place, level, &arm));
                let path = place.work().join(file).display().to_string();
                let key = format!("{path}: core.fsmonitor = evil");
                assert!(said.contains(&key), "{level} {included}: {said}");
                // what git does not read is nobody's business
                assert!(!said.contains("core.pager"), "{level} {included}: {said}");
                let disarm = format!("git config --file 'work/{file}' --unset core.fsmonitor");
                host(&place, &disarm);
            }
        }
    }
}

/// A session in a linked worktree writes the common directory, as git must: what acts outside, in
/// the main working tree, in a submodule, in another worktree, is held or named.
#[test]
fn a_worktrees_session_does_not_arm_the_repository() {
    for (level, directory) in LEVELS.iter().flat_map(|l| [(l, ".git"), (l, "bare.git")]) {
        let place = Place::new("arms");
        let git = "git -c user.name=t -c user.email=t@localhost -c protocol.file.allow=always";
        host(
            &place,
            &format!(
                "rm -r work; git init -q lib; {git} -C lib commit -q --allow-empty -m one; git init -q outside/main; cd outside/main
                {git} submodule --quiet add ../../lib sub; {git} commit -qm one; rm -f .git/modules/sub/hooks/*
                [ {directory} = .git ] || mv .git {directory}; git --git-dir={directory} worktree add -q ../../work"
            ),
        );
        let common = place.outside().join("main").join(directory);
        let script = format!(
            "C={}; cd $C; armed() {{ printf '[core]\\n\\tfsmonitor = evil\\n' >> $1; }}
            git -C {} config extensions.worktreeConfig true; armed worktrees/work/config.worktree; armed config.worktree
            armed modules/sub/config; armed modules/sub/config.worktree; echo '* filter=evil' > info/attributes
            for h in hooks modules/sub/hooks; do mkdir -p $h; echo evil > $h/post-checkout; done
            echo ../../evil > commondir; echo ../../evil > modules/sub/commondir; echo ../../evil > worktrees/work/commondir
            echo /evil > worktrees/work/gitdir; echo x > objects/fine",
            common.display(),
            place.work().display()
        );
        let said = text(&run(&place, level, &script));
        assert!(common.join("objects/fine").exists(), "{level}: {said}");
        for armed in [
            "worktrees/work/config.worktree",
            "config.worktree",
            "modules/sub/config",
            "modules/sub/config.worktree",
        ] {
            let key = format!("{}: core.fsmonitor = evil", common.join(armed).display());
            assert!(said.contains(&key), "{level} {directory} {armed}: {said}");
        }
        let keys = format!(
            "{}: extensions.worktreeconfig",
            common.join("config").display()
        );
        for named in [keys.as_str(), "info/attributes was made"] {
            assert!(said.contains(named), "{level} {directory} {named}: {said}");
        }
        for held in [
            "hooks/post-checkout",
            "modules/sub/hooks/post-checkout",
            "commondir",
            "modules/sub/commondir",
        ] {
            assert!(!common.join(held).exists(), "{level} {directory} {held}");
        }
        for held in ["commondir", "gitdir"] {
            let now = std::fs::read_to_string(common.join("worktrees/work").join(held)).unwrap();
            let named = said.contains(&format!("{held} was changed"));
            // mounts hold it; without them it is at least said
            let said_so = named && *level == "landlock";
            assert!(!now.contains("evil") || said_so, "{level} {held}: {said}");
        }
    }
}

/// `git init --separate-git-dir`: a directory that is not called `.git`.
#[test]
fn a_git_directory_by_another_name_is_held() {
    for level in LEVELS {
        for tree in ["work/sub", "work"] {
            let place = Place::new("separate");
            let script = format!(
                "rm -r work/.git; git init -q --template= --separate-git-dir work/store {tree}; git -C {tree} config core.hooksPath hh"
            );
            host(&place, &script);
            let own = Path::new(tree)
                .strip_prefix("work")
                .unwrap()
                .join("hh/pre-commit");
            let held = [Path::new("store/hooks/pre-commit"), &own];
            stays_unarmed(&place, level, &held);
            let said = text(&run(
                &place,
                level,
                "git config -f store/config core.fsmonitor evil",
            ));
            let key = "work/store/config: core.fsmonitor = evil";
            assert!(said.contains(key), "{level} {tree}: {said}");
        }
    }
}
