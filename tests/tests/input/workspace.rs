//! Which directories a session may have.

use crate::{Ground, User, refused, runs};
use std::os::unix::fs::{PermissionsExt, symlink};

#[test]
fn the_root_the_home_and_what_holds_it_are_refused_unless_forced() {
    Ground::each("workspace-home", |ground| {
        let (home, holds) = (ground.at("home"), ground.at(""));
        for path in ["/", home.to_str().unwrap(), holds.to_str().unwrap()] {
            let says = ["holds the home", "--force-workspace"];
            let mut command = ground.touch(&["-w", path]);
            ground.check(path, &mut command, &refused(&says));
        }
        // forced, the directory itself is writable: what it says there is so
        for path in [&home, &holds] {
            let script = format!("echo made > {}/made", path.display());
            let mut command = ground.stockade(&["run", "--force-workspace", "-w"]);
            command.arg(path).args(["--", "sh", "-c", &script]);
            if path == &holds {
                ground.give(path);
            }
            let out = command.output().unwrap();
            if std::fs::read_to_string(path.join("made")).ok().as_deref() != Some("made\n") {
                ground.fail("forced", &stockade_tests::text(&out));
            }
        }
    });
}

#[test]
fn a_link_is_resolved_and_said() {
    Ground::each("workspace-link", |ground| {
        let link = ground.at("link");
        symlink(ground.at("work"), &link).unwrap();
        let link = link.to_str().unwrap().to_owned();
        let real = ground.at("work").display().to_string();
        let says = [format!("the workspace {link} is {real}")];
        let says: Vec<&str> = says.iter().map(String::as_str).collect();
        let mut command = ground.touch(&["-w", &link]);
        ground.check("link", &mut command, &runs(&says));
        let mut command = ground.stockade(&["run", "--quiet", "-w", &link, "--", "pwd"]);
        let out = command.output().unwrap();
        assert_eq!(stockade_tests::text(&out), format!("{real}\n"));
        // a link to the home is the home
        let home = ground.at("to-home");
        symlink(ground.at("home"), &home).unwrap();
        let mut command = ground.touch(&["-w", home.to_str().unwrap()]);
        ground.check("link to home", &mut command, &refused(&["holds the home"]));
    });
}

#[test]
fn what_is_no_usable_directory_is_refused() {
    Ground::each("workspace-wrong", |ground| {
        let missing = ground.at("missing");
        let file = ground.write("outside/file", "");
        let closed = ground.folder("outside/closed");
        std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o300)).unwrap();
        let star = ground.folder("outside/a*b");
        let mut rows = vec![
            (&missing, "No such file or directory"),
            (&file, "not a directory"),
            (&star, "a pattern in policies"),
        ];
        if ground.user == User::Ordinary {
            rows.push((&closed, "Permission denied"));
        }
        for (path, says) in rows {
            let path = path.to_str().unwrap();
            let mut command = ground.touch(&["-w", path]);
            ground.check(path, &mut command, &refused(&[path, says]));
        }
    });
}

#[test]
fn a_directory_that_is_gone_needs_another_workspace() {
    Ground::each("workspace-gone", |ground| {
        ground.folder("outside/gone");
        let work = ground.at("work");
        let gone = ground.at("outside/gone");
        let mut command = ground.without("directory", &[]);
        command.current_dir(&gone);
        ground.check("gone", &mut command, &refused(&["workspace .", "No such"]));
        ground.folder("outside/gone");
        let mut command = ground.without("directory", &["-w", work.to_str().unwrap()]);
        command.current_dir(&gone);
        ground.check("gone, -w", &mut command, &runs(&[]));
    });
}
