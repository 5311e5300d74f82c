//! Programs that make terminals: a new one at `namespaces` is the session's own. At `landlock` it is
//! the host's, where the user's other terminals are, and takes a rule.

use crate::Work;

pub const TERMINALS: &[&str] = &["--allow-write", "/dev/ptmx", "--allow-write", "/dev/pts"];

#[test]
fn a_recorded_terminal() {
    Work::new("script").options("landlock", TERMINALS).same(
        r#"script -qec 'tty > /dev/null && echo on a terminal; test -w /dev/tty && echo writable; stty size > /dev/null && echo sized; exit 3' log < /dev/null || echo $?
           grep -c terminal log; rm log; script -qec 'git --version | cat; ls --color=auto -d .' /dev/null < /dev/null | wc -l
           python3 -c 'import pty, sys; sys.exit(pty.spawn(["sh", "-c", "test -t 0 && echo spawned"]))' < /dev/null"#,
    );
}

/// What the rule of the test above is for, and that it is not there by itself.
#[test]
fn a_new_terminal_without_a_rule() {
    let script =
        "python3 -c 'import os; os.openpty()' 2> errors; echo $?; tail -1 errors; rm errors";
    let place = stockade_tests::Place::with_project("programs-pty");
    let said = |level| {
        let out = place.stockade(&[
            "run",
            "--quiet",
            "--require",
            level,
            "--",
            "sh",
            "-c",
            script,
        ]);
        String::from_utf8(out.stdout).unwrap()
    };
    assert_eq!(said("namespaces"), "0\n");
    assert_eq!(
        said("landlock"),
        "1\nPermissionError: [Errno 13] Permission denied\n"
    );
}
