//! What files have besides their content, the machine's devices, names that change while they are used,
//! policies that lead elsewhere, files of a supplementary group.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use stockade_tests::{LEVELS, Place, stockade, text};

const ATTACK: &str = env!("CARGO_BIN_EXE_attack");

fn confined(place: &Place, level: &str, options: &[&str], words: &[&str]) -> Output {
    let own = ["run", "--quiet", "--require", level, "--allow-read", ATTACK];
    place.stockade(&[&own, options, &["--"], words].concat())
}

fn answers(said: &str) -> Vec<(&str, &str)> {
    said.lines()
        .map(|l| l.split_once(' ').unwrap_or((l, "")))
        .collect()
}

/// Flags, project, access list, attributes; mode, owner and times by a descriptor.
#[test]
fn what_a_file_has_besides_its_content_stays() {
    let place = Place::new("besides");
    let (outside, inside) = (place.outside().join("file"), place.work().join("file"));
    let fresh = || {
        for path in [&outside, &inside] {
            std::fs::write(path, "text").unwrap();
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
        }
    };
    let (outside, inside) = (outside.to_str().unwrap(), inside.to_str().unwrap());
    fresh();
    let native = text(
        &Command::new(ATTACK)
            .args(["besides", outside])
            .output()
            .unwrap(),
    );
    let good = answers(&native).iter().filter(|(_, a)| *a == "ok").count();
    // a file system may lack flags or projects
    assert!(good >= 8, "{native}");
    for level in LEVELS {
        fresh();
        let said = |path| {
            let words = [ATTACK, "besides", path];
            text(&confined(&place, level, &["--allow-read", outside], &words))
        };
        assert_eq!(said(inside), native, "{level}");
        let said = said(outside);
        // Partial `metadata`
        if level == "landlock" {
            assert_eq!(said, native);
            continue;
        }
        for ((what, answer), (_, native)) in answers(&said).into_iter().zip(answers(&native)) {
            assert!(
                answer == "EROFS" || native != "ok" && answer == native,
                "{what}: {answer}"
            );
        }
    }
}

/// Whose mode and times everybody on the machine depends on.
#[test]
fn a_device_is_used_and_stays_as_it_is() {
    let place = Place::new("devices");
    let script = "grep ' /dev/[a-z]* ' /proc/self/mountinfo | cut -d' ' -f5,6 | cut -d, -f1; echo x >/dev/null && head -c 3 /dev/zero | wc -c";
    let said = text(&confined(&place, "namespaces", &[], &["sh", "-c", script]));
    let lines: Vec<_> = said.lines().collect();
    for device in ["full", "null", "random", "tty", "urandom", "zero"] {
        let line = format!("/dev/{device} ro");
        assert!(lines.contains(&line.as_str()), "{device}: {said}");
    }
    assert_eq!(lines.last(), Some(&"3"), "{said}");
}

/// With a /dev of the test's own: its nodes are root's to make.
#[test]
fn root_does_not_change_a_device_of_the_machine() {
    let place = Place::new("nodes");
    let script = "mount -t tmpfs none \"$1\" && cd \"$1\" && mkdir pts shm && \
        for d in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0'; do \
        set -- \"$@\" && mknod -m 666 ${d%% *} c ${d#* } || exit 9; done; \
        mount --move . /dev && cd \"$2\" && \"$3\" run --quiet --require namespaces -- sh -c \"$4\" </dev/null; \
        stat -c '%a %Y' /dev/null /dev/zero";
    let inside = "for f in /dev/null /dev/zero /proc/self/fd/0; do chmod 600 $f || echo refused; touch -d @7 $f || echo refused; done 2>/dev/null; cat; echo end >/dev/null && echo used";
    let folder = place.path().join("dev");
    std::fs::create_dir(&folder).unwrap();
    let mut unshare = place.command("unshare");
    unshare.args(["--mount", "sh", "-c", script, "sh"]);
    unshare
        .arg(folder)
        .arg(place.work())
        .arg(stockade())
        .arg(inside);
    let out = unshare.output().unwrap();
    if !nix::unistd::geteuid().is_root() {
        // nobody else can, with or without a session
        let native = place
            .command("chmod")
            .args(["666", "/dev/null"])
            .output()
            .unwrap();
        assert!(
            !out.status.success() && !native.status.success(),
            "{}",
            text(&out)
        );
        return;
    }
    let said = text(&out);
    let refused = said.lines().filter(|l| *l == "refused").count();
    assert_eq!(refused, 6, "{said}");
    assert!(said.contains("used"), "{said}");
    let nodes: Vec<_> = said.lines().filter(|l| l.starts_with("666 ")).collect();
    assert!(nodes.len() == 2 && !said.contains(" 7\n"), "{said}");
}

/// The text of what is no policy never appears: neither of a link that the user names, nor of a name that
/// is no preset's.
#[test]
fn a_policy_that_leads_to_a_secret_shows_nothing_of_it() {
    let place = Place::new("leads");
    let secret = place.path().join("secret");
    std::fs::write(&secret, "first: hunter1\nhunter2 = \"hunter3\"\n").unwrap();
    let link = place.path().join("link.toml");
    std::os::unix::fs::symlink(&secret, &link).unwrap();
    let extends = place.path().join("extends.toml");
    let text_of = format!("version = 1\nextends = \"{}\"\n", secret.display());
    std::fs::write(&extends, text_of).unwrap();
    for level in LEVELS {
        for policy in [&link, &extends] {
            let named = policy.to_str().unwrap();
            let out = confined(&place, level, &["--policy", named], &["touch", "started"]);
            let said = text(&out);
            assert_eq!(out.status.code(), Some(125), "{level}: {said}");
            assert!(said.contains(named), "{level}: {said}");
            // of the line that is wrong the token alone
            for word in ["hunter1", "hunter2", "hunter3"] {
                assert!(!said.contains(word), "{level} {named}: {said}");
            }
            assert!(!place.work().join("started").exists());
        }
        let out = place.stockade(&["check", link.to_str().unwrap()]);
        let said = text(&out);
        assert!(
            out.status.code() == Some(1) && !said.contains("hunter"),
            "{said}"
        );
        // a link to a policy is one
        let good = place.path().join("good.toml");
        std::fs::write(&good, "version = 1\nextends = \"agent\"\n").unwrap();
        let led = place.path().join(format!("{level}.toml"));
        std::os::unix::fs::symlink(&good, &led).unwrap();
        let out = confined(
            &place,
            level,
            &["--policy", led.to_str().unwrap()],
            &["true"],
        );
        assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    }
}

/// What stands under a protected name is moved away; what it leads to is not touched.
#[test]
fn a_link_is_moved_away_and_its_target_stays() {
    for level in LEVELS {
        let place = Place::new("target");
        let kept = place.outside().join("kept");
        std::fs::write(&kept, "kept\n").unwrap();
        let script = "ln -s \"$1\" .envrc; ln -s \"$1\" plain; mkfifo .lvimrc";
        let words = ["sh", "-c", script, "sh", kept.to_str().unwrap()];
        let said = text(&confined(&place, level, &[], &words));
        for name in [".envrc", ".lvimrc"] {
            assert!(
                place.work().join(name).symlink_metadata().is_err(),
                "{level}: {said}"
            );
            assert!(
                said.contains(&format!("{name} appeared")),
                "{level}: {said}"
            );
        }
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), "kept\n", "{level}");
        // under another name it stays
        assert!(place.work().join("plain").is_symlink(), "{level}");
    }
}

/// A directory that nobody can enter hides what a session left until its mode is given back.
#[test]
fn a_directory_that_cannot_be_entered_hides_nothing() {
    let changed = "echo evil > .git/hooks/pre-commit; echo evil > .envrc; echo evil > .vscode/tasks.json; mkdir .idea; \
        echo evil > .idea/workspace.xml; chmod 0 .idea";
    for level in LEVELS {
        for closed in [
            ".vscode",
            ".git .vscode",
            "\"$PWD\"",
            "\"${PWD%/*}\"",
            "~",
            "~/.local",
            "~/.local/state/stockade/sessions",
            "$(for n in $(seq 0 99); do echo ${STOCKADE_OWN%/own}/original-$n; done) 2>/dev/null",
        ] {
            // at `namespaces` the modes of the workspace alone are the session's to change
            let place = Place::new("entry");
            std::fs::create_dir(place.work().join(".vscode")).unwrap();
            for kept in [".envrc", ".vscode/tasks.json"] {
                std::fs::write(place.work().join(kept), "good\n").unwrap();
            }
            let script = format!("{changed}; chmod 0 {closed}; true");
            let said =
                text(&place.stockade(&["run", "--require", level, "--", "sh", "-c", &script]));
            let there = |name: &str| place.work().join(name).symlink_metadata().is_ok();
            for kept in [".envrc", ".vscode/tasks.json"] {
                let now = std::fs::read_to_string(place.work().join(kept));
                assert_eq!(
                    now.ok().as_deref(),
                    Some("good\n"),
                    "{level} {closed} {kept}: {said}"
                );
            }
            assert!(!there(".git/hooks/pre-commit"), "{level} {closed}: {said}");
            assert!(!there(".idea/workspace.xml"), "{level} {closed}: {said}");
            let mode = place.work().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o700, 0o700, "{level} {closed}");
            assert!(
                said.contains("could not be entered"),
                "{level} {closed}: {said}"
            );
        }
    }
}

/// The overlay shows the host's content as its lower layer, what is denied there not.
#[test]
fn what_is_denied_below_an_overlay_stays_hidden() {
    let policy = "version = 1\nextends = \"agent\"\n[filesystem]\noverlay = [\"~/.cache/ccache\"]\n\
        deny_read = [\"~/.cache/ccache/secret\", \"~/.cache/ccache/sub\"]\n";
    let script = "cd ~/.cache/ccache && cat plain; cat secret sub/s; mv secret x; ln secret y; mv sub z; \
        cp -r sub \"$TMPDIR/sub\"; cat x y z/s \"$TMPDIR/sub/s\"; rm -f secret; cat secret; true";
    for level in LEVELS {
        let place = Place::new("below");
        let cache = place.home().join(".cache/ccache");
        std::fs::create_dir_all(cache.join("sub")).unwrap();
        for (name, content) in [
            ("plain", "plain\n"),
            ("secret", "SECRET\n"),
            ("sub/s", "SECRET\n"),
        ] {
            std::fs::write(cache.join(name), content).unwrap();
        }
        let file = place.path().join("policy.toml");
        std::fs::write(&file, policy).unwrap();
        let options = ["--policy", file.to_str().unwrap()];
        let said = text(&confined(&place, level, &options, &["sh", "-c", script]));
        assert!(
            said.starts_with("plain\n") && !said.contains("SECRET"),
            "{level}: {said}"
        );
        assert_eq!(
            std::fs::read_to_string(cache.join("secret")).unwrap(),
            "SECRET\n",
            "{level}"
        );
        // natively it is read
        let native = place
            .command("sh")
            .args(["-c", "cat ~/.cache/ccache/secret"])
            .output();
        assert_eq!(text(&native.unwrap()), "SECRET\n");
    }
}
