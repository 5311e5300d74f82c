//! Standard streams that are closed, full or gone; limits that stockade itself runs under.

use crate::{Expected, Ground, refused, runs};
use std::fs::OpenOptions;
use stockade_tests::LEVELS;

#[test]
fn a_closed_stream_is_no_reason_not_to_run() {
    Ground::each("streams", |ground| {
        for level in LEVELS {
            let options = ["--require", level];
            for script in [
                "exec \"$@\" <&-",
                "exec \"$@\" >&-",
                "exec \"$@\" 2>&-",
                "exec \"$@\" <&- >&- 2>&-",
            ] {
                let mut command = ground.by_shell(script, &options);
                ground.check(&format!("{script} at {level}"), &mut command, &runs(&[]));
                // no descriptor of stockade's own falls into the gap
                let mut show = ground.command("bash");
                show.args(["-c", script, "bash"])
                    .arg(ground.at("bin/stockade"));
                show.args(["run", "--quiet", "--require", level, "--", "bash", "-c"]);
                show.arg(
                    "touch started; exec 3>seen; for n in 0 1 2; do readlink /proc/$$/fd/$n >&3; done; ls -l /proc/$$/fd >&3",
                );
                ground.check(script, &mut show, &runs(&[]));
                let seen = std::fs::read_to_string(ground.at("work/seen")).unwrap();
                let closed = script.matches("&-").count();
                let null = seen.lines().take(3).filter(|l| *l == "/dev/null").count();
                if null < closed.max(1) || seen.contains("memfd") || seen.contains("socket") {
                    ground.fail(script, &seen);
                }
            }
        }
    });
}

#[test]
fn a_full_device_is_the_commands_own_failure() {
    Ground::each("full", |ground| {
        let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
        for level in LEVELS {
            let script = "touch started; exec echo x";
            let mut command =
                ground.stockade(&["run", "--require", level, "--", "sh", "-c", script]);
            command.stdout(full());
            let expected = Expected {
                status: 1,
                says: &[],
                started: true,
            };
            ground.check("run", &mut command, &expected);
        }
        let mut command = ground.stockade(&["plan"]);
        command.stdout(full());
        let expected = refused(&["cannot write the output", "No space left"]);
        ground.check("plan", &mut command, &expected);
    });
}

#[test]
fn a_reader_that_is_gone_ends_the_command_by_sigpipe() {
    Ground::each("pipe", |ground| {
        let gone = || {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer
        };
        for level in LEVELS {
            let mut command = ground.stockade(&["run", "--quiet", "--require", level, "--", "yes"]);
            command.stdout(gone());
            let out = command.output().unwrap();
            let signal = std::os::unix::process::ExitStatusExt::signal(&out.status);
            assert_eq!(signal, Some(13), "{}", stockade_tests::text(&out));
        }
        let mut command = ground.stockade(&["policy", "show"]);
        command.stdout(gone());
        let expected = Expected {
            status: 141,
            says: &[],
            started: false,
        };
        let out = ground.check("policy show", &mut command, &expected);
        assert!(out.stderr.is_empty(), "{}", stockade_tests::text(&out));
    });
}

#[test]
fn limits_of_the_caller_are_an_error_that_names_them_or_hold_for_the_command() {
    Ground::each("limits", |ground| {
        for level in LEVELS {
            let options = ["--require", level];
            let mut command = ground.by_shell("ulimit -n 16; exec \"$@\"", &options);
            // a view takes a descriptor for each of its mounts; rules of Landlock one after the other
            let expected = if level == "namespaces" {
                refused(&["opening", "EMFILE: Too many open files"])
            } else {
                runs(&[])
            };
            ground.check(&format!("16 files at {level}"), &mut command, &expected);
            let mut command = ground.by_shell("ulimit -f 0; exec \"$@\"", &options);
            let expected = refused(&["ulimit -f", "0 bytes"]);
            ground.check(&format!("no file size at {level}"), &mut command, &expected);
            // one that is only low is the command's: the soft limit comes back
            let mut command = ground.command("bash");
            command.args(["-c", "ulimit -Sn 20; exec \"$@\"", "bash"]);
            command.arg(ground.at("bin/stockade"));
            command.args(["run", "--quiet", "--require", level, "--", "sh", "-c"]);
            command.arg("touch started; ulimit -Sn");
            let out = ground.check(&format!("soft at {level}"), &mut command, &runs(&[]));
            if out.stdout != b"20\n" {
                ground.fail("soft limit", &stockade_tests::text(&out));
            }
        }
    });
}
