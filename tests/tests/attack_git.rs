//! Directories that git takes for a repository though nothing there is called `.git`.

use std::path::Path;
use std::process::Output;
use stockade_tests::{LEVELS, Place, text};

fn sh(place: &Place, level: &str, script: &str) -> Output {
    place.stockade(&["run", "--require", level, "--", "sh", "-ec", script])
}

/// What git, outside of every session, makes of the directory: whether it ran what a session left there.
fn git_runs(place: &Place, folder: &str) -> bool {
    let ran = place.path().join("ran");
    let script = format!(
        "cd {folder} && git -c safe.directory='*' status; git -c safe.directory='*' fetch . +HEAD:refs/heads/x; true"
    );
    let out = place.command("sh").args(["-c", &script]).output().unwrap();
    assert!(out.status.success(), "{}", text(&out));
    let found = ran.exists();
    if found {
        std::fs::remove_file(ran).unwrap();
    }
    found
}

fn hook(folder: &str, ran: &Path) -> String {
    let file = format!("{folder}/hooks/reference-transaction");
    format!(
        "printf '#!/bin/sh\\ntouch {}\\n' > {file}; chmod +x {file};",
        ran.display()
    )
}

#[test]
fn a_new_bare_repository_arms_nothing() {
    for level in LEVELS {
        let place = Place::new("bare");
        let ran = place.path().join("ran");
        let made = "git init -q --bare a/made; git -C a/made -c user.name=t -c user.email=t@localhost \
            commit-tree -m one $(git -C a/made mktree </dev/null) >a/id; \
            git -C a/made update-ref HEAD $(cat a/id);";
        let forged = "mkdir -p forged/objects forged/refs forged/hooks; echo 'ref: refs/heads/main' > forged/HEAD; \
            printf '[core]\\n\\tbare = false\\n\\tworktree = .\\n\\tfsmonitor = ./evil\\n' > forged/config;";
        let led = "mkdir -p led/hooks; echo 'ref: refs/heads/main' > led/HEAD; echo ../a/made > led/commondir;";
        let script = format!(
            "{made} {forged} {led} {} {} {}",
            hook("a/made", &ran),
            hook("forged", &ran),
            hook("led", &ran)
        );
        // natively it is run
        let native = place.command("sh").args(["-ec", &script]).output().unwrap();
        assert!(native.status.success(), "{}", text(&native));
        assert!(git_runs(&place, "a/made"), "{level}");
        for folder in ["a", "forged", "led"] {
            std::fs::remove_dir_all(place.work().join(folder)).unwrap();
        }
        let out = sh(&place, level, &script);
        let said = text(&out);
        assert_eq!(out.status.code(), Some(0), "{level}: {said}");
        for folder in ["a/made", "forged", "led"] {
            let hook = place
                .work()
                .join(folder)
                .join("hooks/reference-transaction");
            assert!(!hook.exists(), "{level} {folder}: {said}");
        }
        assert!(
            !place.work().join("led/commondir").exists(),
            "{level}: {said}"
        );
        assert!(
            said.contains("forged/config: core.fsmonitor = ./evil"),
            "{level}: {said}"
        );
        assert!(!git_runs(&place, "a/made"), "{level}");
        // and what was honest in it is there
        let log = "git -c safe.directory='*' -C a/made log --format=%s";
        let out = place.command("sh").args(["-c", log]).output().unwrap();
        assert_eq!(text(&out), "one\n", "{level}");
    }
}

#[test]
fn a_bare_repository_that_was_there_keeps_its_hooks() {
    for level in LEVELS {
        let place = Place::new("bare-kept");
        let made = "git init -q --bare kept; mkdir -p kept/hooks";
        let out = place.command("sh").args(["-c", made]).output().unwrap();
        assert!(out.status.success(), "{}", text(&out));
        let push = "git init -q tree && cd tree && git -c user.name=t -c user.email=t@localhost \
            commit -q --allow-empty -m one && git push -q ../kept HEAD:refs/heads/pushed";
        let out = sh(&place, level, push);
        assert_eq!(out.status.code(), Some(0), "{level}: {}", text(&out));
        let out = sh(&place, level, "echo x > kept/hooks/post-receive");
        let there = place.work().join("kept/hooks/post-receive").exists();
        assert!(!there, "{level}: {}", text(&out));
        let refused = level == "namespaces";
        assert_eq!(
            out.status.code() != Some(0),
            refused,
            "{level}: {}",
            text(&out)
        );
    }
}

/// The workspace itself, where no `.git` is: git looks for that first.
#[test]
fn a_workspace_that_is_made_a_repository_arms_nothing() {
    for level in LEVELS {
        let place = Place::new("bare-root");
        std::fs::remove_dir_all(place.work().join(".git")).unwrap();
        let script = "mkdir objects refs hooks; echo 'ref: refs/heads/main' > HEAD; echo x > hooks/pre-commit; mkdir -p sub/.git/hooks; echo x > sub/.git/hooks/pre-commit";
        let said = text(&sh(&place, level, script));
        for hook in ["hooks/pre-commit", "sub/.git/hooks/pre-commit"] {
            assert!(!place.work().join(hook).exists(), "{level} {hook}: {said}");
        }
    }
}

/// As at `namespaces`, where mounts hold them: what was made is moved away at the end.
#[test]
fn a_submodule_and_a_nested_repository_are_compared_at_landlock() {
    let place = Place::new("compared");
    let made = "git init -q a/nested && git init -q ../outside/lib && git -C ../outside/lib -c user.name=t \
        -c user.email=t@localhost commit -q --allow-empty -m one && rm -rf .git && git init -q . \
        && git -c protocol.file.allow=always submodule add -q ../outside/lib lib";
    let out = place.command("sh").args(["-ec", made]).output().unwrap();
    assert!(out.status.success(), "{}", text(&out));
    let hooks = [
        "a/nested/.git/hooks/post-commit",
        ".git/modules/lib/hooks/post-checkout",
    ];
    for hook in hooks {
        let said = text(&sh(
            &place,
            "landlock",
            &format!("echo x > {hook}; echo x > made"),
        ));
        assert!(!place.work().join(hook).exists(), "{hook}: {said}");
        assert!(said.contains(&format!("{hook} appeared")), "{hook}: {said}");
        // and what git makes of it by itself stays
        assert!(place.work().join("made").exists());
    }
    let script = "cd lib && git -c user.name=t -c user.email=t@localhost commit -q --allow-empty -m two && git log --oneline | wc -l";
    let out = sh(&place, "landlock", script);
    assert_eq!(text(&out), "2\n");
}

/// Hooks that git copies into every repository the user makes later.
#[test]
fn a_template_in_the_workspace_is_held() {
    for level in LEVELS {
        let place = Place::new("template");
        let template = place.work().join("template");
        std::fs::create_dir_all(template.join("hooks")).unwrap();
        let text_of = format!("[init]\n\ttemplateDir = {}\n", template.display());
        std::fs::write(place.home().join(".gitconfig"), text_of).unwrap();
        let script = "echo x > template/hooks/post-checkout; echo x > template/description";
        let said = text(&sh(&place, level, script));
        assert!(
            !template.join("hooks/post-checkout").exists(),
            "{level}: {said}"
        );
        let script = "echo x > template/description";
        assert_eq!(sh(&place, level, script).status.code(), Some(0), "{level}");
        assert!(template.join("description").exists(), "{level}");
    }
}
