//! Linked worktrees, submodules, nested repositories, at both levels; and what only claims to be one.

use std::process::Output;
use stockade_tests::{LEVELS, Place, text};

/// A repository with one commit in `outside/main`, and a linked worktree of it as the workspace.
fn worktree(name: &str) -> Place {
    let place = Place::new(name);
    std::fs::remove_dir_all(place.work()).unwrap();
    host(
        &place,
        "git init -q -b main outside/main && cd outside/main && git config user.name t && git config user.email t@localhost \
        && echo 1 > a && git add a && git commit -qm one && git worktree add -q ../../work -b side",
    );
    place
}

fn host(place: &Place, script: &str) {
    let out = place
        .command("sh")
        .args(["-ec", script])
        .current_dir(place.path())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", text(&out));
}

fn run(place: &Place, level: &str, script: &str) -> Output {
    place.stockade(&["run", "--require", level, "--", "sh", "-ec", script])
}

#[test]
fn a_linked_worktree_commits_and_its_hooks_and_configuration_stay() {
    for level in LEVELS {
        let place = worktree("worktree");
        let out = run(
            &place,
            level,
            "echo 2 > a && git commit -qam two && git log --oneline | wc -l && git status --short",
        );
        assert_eq!(
            (out.status.code(), text(&out).as_str()),
            (Some(0), "2\n"),
            "{level}"
        );
        let common = place.outside().join("main/.git");
        // refused, or moved to the quarantine at the end
        let hook = common.join("hooks/pre-commit");
        let out = run(&place, level, &format!("echo x > {}", hook.display()));
        assert_eq!(
            out.status.code() == Some(0),
            level == "landlock",
            "{}",
            text(&out)
        );
        assert!(!hook.exists());
        let out = run(&place, level, "git config core.pager evil");
        assert!(text(&out).contains("core.pager = evil"), "{}", text(&out));
        host(&place, "git -C outside/main config --unset core.pager");
        host(
            &place,
            "cd outside/main && git log --oneline side | wc -l | grep -q 2 && git fsck --no-progress",
        );
    }
}

#[test]
fn a_git_file_that_only_claims_is_not_believed() {
    for (name, forge) in [
        (
            "elsewhere",
            "rm work/.git && echo \"gitdir: $PWD/outside/other/.git\" > work/.git",
        ),
        (
            "worktree",
            "rm work/.git && echo \"gitdir: $PWD/outside/main/.git/worktrees/third\" > work/.git",
        ),
        (
            "link",
            "ln -s main/.git/worktrees/work outside/alias && echo \"gitdir: $PWD/outside/alias\" > work/.git",
        ),
        ("nothing", "echo nothing > work/.git"),
    ] {
        let place = worktree("forged");
        host(
            &place,
            "git init -q outside/other && cd outside/main && git worktree add -q ../third -b third",
        );
        host(&place, forge);
        for level in LEVELS {
            let out = run(&place, level, "git status >/dev/null 2>&1 || echo refused");
            let said = text(&out);
            assert!(
                said.contains("refused") && said.contains("not opened"),
                "{name} {level}: {said}"
            );
        }
    }
}

#[test]
fn a_submodule_and_a_nested_repository_keep_their_hooks() {
    let place = Place::new("nested");
    host(
        &place,
        "rm -rf work/.git && git init -q work && git init -q work/a/nested && mkdir -p work/a/nested/.git/hooks && git -C work/a/nested config core.hooksPath ../hooks && mkdir work/a/hooks",
    );
    // the directory that it names is relative to the nested repository's own working tree
    for refused in ["a/nested/.git/hooks/post-commit", "a/hooks/post-commit"] {
        let out = run(&place, "namespaces", &format!("echo x > {refused}"));
        let made = place.work().join(refused).exists();
        assert!(
            out.status.code() != Some(0) && !made,
            "{refused}: {}",
            text(&out)
        );
    }
    host(
        &place,
        "git init -q outside/lib && git -C outside/lib -c user.name=t -c user.email=t@localhost commit -q --allow-empty -m one \
        && cd work && git -c protocol.file.allow=always submodule add -q ../outside/lib lib",
    );
    let hook = ".git/modules/lib/hooks/post-checkout";
    let out = run(&place, "namespaces", &format!("echo x > {hook}"));
    assert_ne!(out.status.code(), Some(0), "{}", text(&out));
    // the submodule alone as the workspace
    let lib = place.work().join("lib").display().to_string();
    let script = "git -c user.name=t -c user.email=t@localhost commit -q --allow-empty -m two && git log --oneline | wc -l";
    let out = place.stockade(&["run", "-w", &lib, "--", "sh", "-ec", script]);
    assert_eq!((out.status.code(), text(&out).as_str()), (Some(0), "2\n"));
}
