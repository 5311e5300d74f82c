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
