//! A host where something is missing: Landlock, user namespaces, /proc, room for the state.

use crate::{Ground, refused, runs};

#[test]
fn the_level_falls_and_says_so_or_nothing_starts() {
    Ground::each("levels", |ground| {
        let namespaces = ["--require", "namespaces"];
        let landlock = ["--require", "landlock"];
        let none = "user-namespaces";
        let mut command = ground.without(none, &[]);
        ground.check(none, &mut command, &runs(&["level landlock"]));
        let mut command = ground.without(none, &namespaces);
        let expected = refused(&["making the namespaces", "ENOSPC"]);
        ground.check("required", &mut command, &expected);
        let mut command = ground.without(none, &landlock);
        ground.check("landlock", &mut command, &runs(&[]));
        let mut command = ground.without("landlock", &[]);
        ground.check("without landlock", &mut command, &runs(&[]));
        let mut command = ground.without("landlock", &landlock);
        let expected = refused(&["not started", "landlock"]);
        ground.check("landlock required", &mut command, &expected);
        let mut command = ground.without("user-namespaces,landlock", &[]);
        let expected = refused(&["not started", "landlock"]);
        ground.check("without both", &mut command, &expected);
    });
}

#[test]
fn without_proc_nothing_starts() {
    Ground::each("proc", |ground| {
        for level in stockade_tests::LEVELS {
            let mut command = ground.without("proc", &["--require", level]);
            ground.check(level, &mut command, &refused(&["/proc is not mounted"]));
        }
    });
}

#[test]
fn a_state_folder_that_cannot_be_written_is_named() {
    Ground::each("state", |ground| {
        let state = ground.folder("state");
        let path = state.to_str().unwrap().to_owned();
        for level in stockade_tests::LEVELS {
            for (what, says) in [
                ("room", "No space left on device"),
                ("writing", "Read-only file system"),
            ] {
                let mut command = ground.without(&format!("{what}={path}"), &["--require", level]);
                command.env("XDG_STATE_HOME", &path);
                ground.check(what, &mut command, &refused(&[says, &path]));
            }
        }
        let file = ground.write("outside/file", "");
        let mut command = ground.touch(&[]);
        command.env("XDG_STATE_HOME", &file);
        ground.check("a file", &mut command, &refused(&["Not a directory"]));
    });
}
