//! What a session leaves that would act outside later: attacks on the comparison at its end, at
//! both levels, as this user and, where that is root, as an ordinary one too.

use std::path::PathBuf;
use std::process::{Command, Output};
use stockade_tests::{LEVELS, Place, install, stockade, text};

const NOBODY: &str = "65534";

struct Host {
    place: Place,
    ordinary: bool,
}

impl Host {
    /// At each level, as each user; the workspace is as `setup` makes it.
    fn each(name: &str, setup: &str, test: impl Fn(&Self, &str)) {
        let root = nix::unistd::geteuid().is_root();
        for ordinary in [false, true].into_iter().filter(|o| root || !o) {
            for level in LEVELS {
                let place = Place::new(name);
                let bin = place.path().join("bin");
                std::fs::create_dir(&bin).unwrap();
                install(stockade(), &bin.join("stockade"));
                if ordinary {
                    let owner = format!("{NOBODY}:{NOBODY}");
                    let mut give = Command::new("chown");
                    let given = give.arg("-R").arg(owner).arg(place.path()).status();
                    assert!(given.unwrap().success());
                }
                let host = Self { place, ordinary };
                host.outside(setup);
                test(&host, level);
            }
        }
    }

    fn command(&self, program: &str) -> Command {
        if !self.ordinary {
            return self.place.command(program);
        }
        let mut command = self.place.command("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
        command.arg("--").arg(program);
        command
    }

    /// A script of the user's, in the workspace; what it prints.
    fn outside(&self, script: &str) -> String {
        let out = self.command("sh").args(["-ec", script]).output().unwrap();
        assert!(out.status.success(), "{script}: {}", text(&out));
        text(&out)
    }

    fn stockade(&self, arguments: &[&str]) -> Output {
        let program = self.place.path().join("bin/stockade");
        let mut command = self.command(program.to_str().unwrap());
        command.args(arguments).output().unwrap()
    }

    /// A session that does `script`, and what is said at its end.
    fn session(&self, level: &str, script: &str) -> String {
        let out = self.stockade(&["run", "--require", level, "--", "sh", "-ec", script]);
        let said = text(&out);
        assert_eq!(out.status.code(), Some(0), "{level}: {script}: {said}");
        said
    }

    fn work(&self, name: &str) -> PathBuf {
        self.place.work().join(name)
    }

    fn is_there(&self, name: &str) -> bool {
        self.work(name).symlink_metadata().is_ok()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.work(name)).unwrap_or_default()
    }

    fn entries(&self) -> Vec<String> {
        let out = text(&self.stockade(&["quarantine", "list"]));
        let first = |l: &str| l.split(' ').next().unwrap_or("").to_owned();
        out.lines().map(first).collect()
    }
}

const REPOSITORY: &str = "rm -rf .git && git init -q -b main . && git config user.name t \
    && git config user.email t@localhost && git commit -q --allow-empty -m one";

/// A copy of the repository that runs things: at each status, and at each checkout.
const EVIL: &str = "cp -r .git evil && printf '#!/bin/sh\\ntouch ran\\n' > evil/hooks/post-checkout \
    && chmod +x evil/hooks/post-checkout && git config -f evil/config core.fsmonitor 'touch ran; false'";

#[test]
fn git_is_not_led_to_another_directory() {
    for (script, left) in [
        ("echo ../evil > .git/commondir", ".git/commondir"),
        ("mv .git old && echo 'gitdir: evil' > .git", ".git"),
        ("mv .git old && ln -s evil .git", ".git"),
        (
            "mv .git/hooks .git/before && ln -s ../evil/hooks .git/hooks",
            ".git/hooks",
        ),
        (
            "mkdir .git/modules && ln -s ../../evil .git/modules/lib",
            ".git/modules/lib",
        ),
    ] {
        Host::each("led", REPOSITORY, |host, level| {
            let script = format!("{EVIL} && {script}");
            let out = host.stockade(&["run", "--require", level, "--", "sh", "-ec", &script]);
            let said = text(&out);
            let done = out.status.code() == Some(0);
            // a mount holds it in its place
            let held = level == "namespaces" && left == ".git/hooks";
            assert!(done || held, "{level}: {said}");
            if done {
                assert!(said.contains(&format!("work/{left} ")), "{said}");
                assert!(!host.is_there(left), "{level}: {script}: {said}");
            }
            host.outside("git status >/dev/null 2>&1 || true; git checkout -q -b x || true");
            assert!(!host.is_there("ran"), "{level}: {script}: {said}");
        });
    }
}

#[test]
fn a_link_in_place_of_a_protected_directory_is_moved_away() {
    for (directory, setup) in [
        (".idea", "true"),
        (".vscode", "true"),
        (".claude", "true"),
        (".git/hooks", "rmdir .git/hooks"),
    ] {
        Host::each("place", setup, |host, level| {
            let script = format!(
                "mkdir q && echo evil > q/tasks.json && ln -s \"$PWD/q\" {directory} && ln -s q other"
            );
            let said = host.session(level, &script);
            assert!(
                said.contains(&format!("work/{directory} is a link now")),
                "{said}"
            );
            assert!(!host.is_there(directory), "{level}: {said}");
            // what no rule names is the session's to make
            assert!(host.is_there("other") && host.read("q/tasks.json") == "evil\n");
        });
    }
}

#[test]
fn a_link_that_was_there_stays_and_what_appears_through_it_does_not() {
    Host::each("was", "mkdir conf && ln -s conf .vscode", |host, level| {
        let said = host.session(level, "echo evil > conf/tasks.json; echo > conf/other");
        assert!(!host.is_there("conf/tasks.json"), "{level}: {said}");
        assert!(host.is_there(".vscode") && host.is_there("conf/other"));
    });
}

#[test]
fn what_git_runs_in_a_new_repository_is_found() {
    Host::each("new", REPOSITORY, |host, level| {
        let said = host.session(
            level,
            "git init -q sub && cd sub && printf '#!/bin/sh\\ntouch ../ran\\n' > .git/hooks/post-checkout \
             && chmod +x .git/hooks/post-checkout && git config core.fsmonitor evil \
             && git -c user.name=t -c user.email=t@localhost commit -q --allow-empty -m one; \
             mkdir ../led && cp -r .git ../forged && echo 'gitdir: ../forged' > ../led/.git; \
             mkdir ../link && ln -s ../forged ../link/.git",
        );
        assert!(said.contains("core.fsmonitor = evil"), "{said}");
        for gone in ["sub/.git/hooks/post-checkout", "led/.git", "link/.git"] {
            assert!(!host.is_there(gone), "{level}: {gone}: {said}");
        }
        // the repository itself is the session's to make
        host.outside("cd sub && git -c core.fsmonitor= checkout -q -b x && git log --oneline");
        assert!(!host.is_there("ran"));
    });
}

#[test]
fn worktrees_and_submodules_made_by_a_session_stay() {
    Host::each("made", REPOSITORY, |host, level| {
        let said = host.session(
            level,
            "git worktree add -q side -b side && git init -q lib && cd lib \
             && git -c user.name=t -c user.email=t@localhost commit -q --allow-empty -m one && cd .. \
             && git -c protocol.file.allow=always submodule --quiet add ./lib sub",
        );
        assert!(!said.contains("quarantine"), "{level}: {said}");
        host.outside("git -C side status && git -C sub log");
        let forged = "echo ../../../evil > .git/worktrees/side/commondir";
        let out = host.stockade(&["run", "--require", level, "--", "sh", "-ec", forged]);
        assert_eq!(out.status.code() == Some(0), level == "landlock");
        assert_eq!(host.read(".git/worktrees/side/commondir"), "../..\n");
    });
}

#[test]
fn what_existed_and_was_changed_is_put_back() {
    let setup = "mkdir .vscode && echo good > .vscode/tasks.json && echo good > .git/hooks/pre-push \
        && chmod 755 .git/hooks/pre-push && echo good > .envrc && chmod 640 .envrc";
    let script = "mv .vscode x && mkdir .vscode && echo evil > .vscode/tasks.json \
        && mv .git y && mkdir -p .git/hooks && ln -s /bin/true .git/hooks/pre-push";
    Host::each("back", setup, |host, level| {
        let said = host.session(level, script);
        for name in [".vscode/tasks.json", ".git/hooks/pre-push"] {
            let line = format!("work/{name} was changed though it is protected");
            assert_eq!(said.matches(&line).count(), 1, "{level}: {said}");
            assert_eq!(host.read(name), "good\n", "{level}: {said}");
        }
        let modes = host.outside("stat -c %a .git/hooks/pre-push .envrc");
        assert_eq!(modes, "755\n640\n", "{level}");
        assert!(!said.contains(".envrc"), "{said}");
    });
}

#[test]
fn what_a_rule_lets_the_session_write_stays_as_it_wrote_it() {
    Host::each("allowed", "echo good > .envrc", |host, level| {
        let write = ["run", "--require", level, "--allow-write=.envrc", "--"];
        let out = host.stockade(&[&write[..], &["sh", "-c", "echo new > .envrc"]].concat());
        assert_eq!((out.status.code(), text(&out).as_str()), (Some(0), ""));
        assert_eq!(host.read(".envrc"), "new\n", "{level}");
    });
}

#[test]
fn a_change_that_a_program_outside_makes_stays() {
    Host::each("edited", "echo good > .envrc", |host, _| {
        let script = "touch ready; until [ -e go ]; do sleep 0.01; done";
        let program = host.place.path().join("bin/stockade");
        let mut command = host.command(program.to_str().unwrap());
        let run = ["run", "--require", "namespaces", "--", "sh", "-c", script];
        command.args(run).stderr(std::process::Stdio::piped());
        let child = command.spawn().unwrap();
        host.outside("until [ -e ready ]; do sleep 0.01; done; echo more >> .envrc; touch go");
        let said = text(&child.wait_with_output().unwrap());
        assert!(said.contains(".envrc was changed outside"), "{said}");
        assert_eq!(host.read(".envrc"), "good\nmore\n", "{said}");
    });
}

#[test]
fn an_original_is_restored_where_something_stands() {
    let setup = "mkdir .vscode && echo good > .vscode/tasks.json";
    Host::each("swap", setup, |host, level| {
        let said = host.session(level, "mv .vscode x");
        let id = host.entries().remove(0);
        assert!(said.contains(&format!("quarantine restore {id}")), "{said}");
        host.outside("mkdir .vscode && echo other > .vscode/tasks.json");
        let restored = text(&host.stockade(&["quarantine", "restore", "--yes", &id]));
        assert_eq!(host.read(".vscode/tasks.json"), "good\n", "{restored}");
        let other = host.entries().remove(0);
        assert!(
            restored.contains(&other) && other != id,
            "{other}: {restored}"
        );
        let shown = text(&host.stockade(&["quarantine", "show", &other]));
        assert!(shown.contains("  other\n"), "{shown}");
        // what appeared is not put over what stands there
        let refused = host.stockade(&["quarantine", "restore", "--yes", &other]);
        assert_eq!(refused.status.code(), Some(125));
        assert!(text(&refused).contains("move it away first"));
        assert_eq!(host.read(".vscode/tasks.json"), "good\n");
    });
}

#[test]
fn a_linked_worktree_is_not_led_to_another_repository() {
    let setup = "cd ../outside && git init -q main && cd main && git config user.name t \
        && git config user.email t@localhost && git commit -q --allow-empty -m one \
        && rm -rf ../../work/.git && git worktree add -q ../../work -b side";
    Host::each("linked", setup, |host, level| {
        let own = host
            .place
            .outside()
            .join("main/.git/worktrees/work/commondir");
        let script = format!(
            "cp -r ../outside/main/.git evil; echo $PWD/evil > {}",
            own.display()
        );
        let out = host.stockade(&["run", "--require", level, "--", "sh", "-ec", &script]);
        assert_eq!(out.status.code() == Some(0), level == "landlock");
        assert_eq!(
            std::fs::read_to_string(&own).unwrap(),
            "../..\n",
            "{}",
            text(&out)
        );
        // what git does there itself goes on
        host.session(
            level,
            "git commit -q --allow-empty -m two && git status --short",
        );
    });
}

/// Runs in the session, as who owns everything there.
const HOOK: &str = "printf '#!/bin/sh\\ntouch ran\\n' > .git/hooks/post-checkout && chmod +x .git/hooks/post-checkout";

#[test]
fn a_directory_that_cannot_be_listed_hides_nothing() {
    for (setup, script, hidden) in [
        (
            "rm -r .git/hooks",
            format!("mkdir .git/hooks && {HOOK} && chmod 311 .git/hooks"),
            ".git/hooks/post-checkout",
        ),
        (
            "true",
            "mkdir -p .idea/a && echo x > .idea/a/x && chmod 111 .idea/a .idea".into(),
            ".idea/a/x",
        ),
        (
            "true",
            "mkdir .vscode && echo x > .vscode/tasks.json && chmod 111 .vscode".into(),
            ".vscode/tasks.json",
        ),
        (
            "true",
            "echo x > a.code-workspace && chmod 311 .".into(),
            "a.code-workspace",
        ),
        (
            "true",
            "mkdir -p .git/modules/a/hooks && echo x > .git/modules/a/hooks/pre-push && chmod 311 .git/modules/a".into(),
            ".git/modules/a/hooks/pre-push",
        ),
    ] {
        let setup = format!("{REPOSITORY} && {setup}");
        Host::each("closed", &setup, |host, level| {
            let said = host.session(level, &script);
            assert!(said.contains("quarantine"), "{level}: {script}: {said}");
            // root passes every mode: as who owns it
            assert!(!host.is_there(hidden), "{level}: {script}: {said}");
            host.outside("git checkout -q -b x");
            assert!(!host.is_there("ran"), "{said}");
        });
    }
}

#[test]
fn what_the_user_cannot_read_is_not_new() {
    let setup = "echo mine > .envrc && chmod 000 .envrc && mkdir .idea && echo > .idea/x && chmod 111 .idea";
    Host::each("unreadable", setup, |host, level| {
        assert_eq!(host.session(level, "true"), "", "{level}");
        assert!(host.is_there(".envrc") && host.entries().is_empty());
        // who owns them can change them at `landlock`
        if level == "landlock" && host.ordinary {
            let script = "chmod 600 .envrc && echo evil > .envrc && chmod 000 .envrc; \
                chmod 700 .idea && echo evil > .idea/y && chmod 111 .idea";
            let said = host.session(level, script);
            assert!(said.contains(".envrc was changed"), "{said}");
            assert!(said.contains(".idea was changed"), "{said}");
            assert!(!host.is_there(".envrc"), "{said}");
        }
    });
}

#[test]
fn a_crowd_of_names_hides_nothing() {
    let setup = format!("{REPOSITORY} && echo mine > .git/hooks/mine");
    for script in [
        // a directory that was there, one that is new, and ways that are new
        format!("cd .git/hooks && seq 1100 | split -l 1 -a 5 - f; cd ../.. && {HOOK}"),
        format!("rm -rf .git/hooks && mkdir .git/hooks && cd .git/hooks && seq 1100 | split -l 1 -a 5 - f; cd ../.. && {HOOK}"),
        "mkdir -p .idea && cd .idea && seq 1100 | split -l 1 -a 5 - f".into(),
        "mkdir -p .git/modules && cd .git/modules && seq 1100 | xargs mkdir; mkdir x && mkdir x/hooks && echo > x/hooks/pre-push".into(),
    ] {
        Host::each("crowd", &setup, |host, level| {
            let out = host.stockade(&["run", "--require", level, "--", "sh", "-c", &script]);
            let said = text(&out);
            assert!(!said.contains("could not"), "{level}: {said}");
            assert!(host.entries().len() < 5, "{level}: {said}");
            assert!(!host.is_there(".idea") && !host.is_there(".git/modules/x/hooks"), "{level}: {script}: {said}");
            host.outside("git checkout -q -b x");
            assert!(!host.is_there("ran"), "{said}");
            assert_eq!(host.read(".git/hooks/mine"), "mine\n", "{level}: {script}: {said}");
            // the next session starts
            host.session(level, "true");
        });
    }
}

#[test]
fn the_summary_is_said_whatever_is_left_in_the_sessions_folder() {
    Host::each("folder", REPOSITORY, |host, level| {
        let script = "mkdir $TMPDIR/x && touch $TMPDIR/x/f && chmod 000 $TMPDIR/x; \
            git config core.fsmonitor evil; echo > .envrc; \
            cd $TMPDIR; n=0; while [ $n -lt 1500 ]; do mkdir d; cd d; n=$((n+1)); done; exit 7";
        let run = ["run", "--require", level, "--", "sh", "-c", script];
        let out = host.stockade(&run);
        let said = text(&out);
        assert_eq!(out.status.code(), Some(7), "{level}: {said}");
        assert!(said.contains("core.fsmonitor = evil"), "{level}: {said}");
        assert!(!host.is_there(".envrc"), "{level}: {said}");
        let sessions = host.place.home().join(".local/state/stockade/sessions");
        assert_eq!(std::fs::read_dir(sessions).unwrap().count(), 0, "{level}");
        let next = host.session(level, "true");
        assert!(!next.contains("killed"), "{level}: {next}");
    });
}

#[test]
fn what_is_too_much_to_copy_to_another_file_system_is_put_aside() {
    let place = Place::new("aside");
    let deep =
        "mkdir .idea; cd .idea; n=0; while [ $n -lt 1500 ]; do mkdir d; cd d; n=$((n+1)); done";
    let huge = "mkdir .vscode; truncate -s 128M .vscode/tasks.json";
    let small = "echo small > .envrc";
    // a file system of the test's own for the workspace
    let script = format!(
        "mount -t tmpfs none {work} && cd {work} && {stockade} run --require landlock -- sh -c '{deep}; cd {work}; {huge}; {small}'; \
         ls -A; set -- $({stockade} quarantine list | grep idea); {stockade} quarantine drop $1 && ls -A",
        work = place.work().display(),
        stockade = stockade().display(),
    );
    let mut command = place.command("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    let said = text(&command.output().unwrap());
    assert!(!said.contains("could not"), "{said}");
    let named = |name: &str| said.lines().filter(|l| l.starts_with(name)).count();
    assert_eq!((named(".idea"), named(".envrc")), (0, 0), "{said}");
    // both, and after one was dropped the other
    assert_eq!(
        (named(".stockade-quarantine-"), named("dropped")),
        (3, 1),
        "{said}"
    );
}
