//! What a caller may hand down: closed streams, low limits, signals, filters, odd places. The
//! right level or a clear error, and never an agent that may do more.

use crate::ground::{Ground, confined, text_of, users};
use Ends::{Either, Falls, Refused, Runs};
use stockade_tests::LEVELS;

#[derive(Debug, Clone, Copy)]
enum Ends {
    /// At the level that is required.
    Runs,
    /// At level `landlock`, said when nothing is required; required, `namespaces` is refused.
    Falls,
    /// 125 with this text.
    Refused(&'static str),
    /// One of both, as memory and descriptors suffice: before stockade's first line the loader
    /// or Rust's start may end it.
    Either,
}

struct Cases {
    ground: Ground,
    wrong: Vec<String>,
}

impl Cases {
    fn each(name: &str, cases: impl Fn(&mut Self)) {
        let mut wrong = Vec::new();
        for user in users() {
            let ground = Ground::new(name, user);
            let mut of_user = Self {
                ground,
                wrong: Vec::new(),
            };
            cases(&mut of_user);
            let shown = of_user.wrong.into_iter().map(|w| format!("{user:?} {w}"));
            wrong.extend(shown);
        }
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    }

    /// `script` is what the shell does before it executes stockade, at either level.
    fn case(&mut self, script: &str, ends: Ends) {
        for level in LEVELS {
            self.one(script, &["--require", level], level, ends);
        }
        if matches!(ends, Falls) {
            self.one(script, &[], "landlock", ends);
        }
    }

    fn one(&mut self, script: &str, options: &[&str], level: &str, ends: Ends) {
        let whole = format!("{script} \"$@\"");
        let whole = if script.starts_with("exec \"$@\"") {
            script
        } else {
            &whole
        };
        let out = self.ground.by_shell(whole, options).output().unwrap();
        let (said, report) = (text_of(&out.stderr), self.ground.report());
        let status = out.status.code();
        let mut wrong = self.ground.wrong();
        let ran = !report.is_empty();
        if ran {
            wrong.extend(confined(level, &report).err());
        }
        let ended = matches!(status, Some(125)) && said.contains("stockade: ");
        let early = matches!(status, None | Some(126 | 127 | 134 | 139));
        let right = match ends {
            Runs => ran && status == Some(0),
            Falls if level == "namespaces" => !ran && ended,
            Falls if options.is_empty() => {
                ran && status == Some(0) && said.contains("stockade: level landlock (")
            }
            Falls => ran && status == Some(0),
            Refused(text) => !ran && ended && said.contains(text),
            Either => (ran && status == Some(0)) || (!ran && (ended || early)),
        };
        if !right {
            wrong.push(format!("{status:?}, the agent ran: {ran}"));
        }
        if said.contains("panicked") {
            wrong.push("panics".into());
        }
        if !wrong.is_empty() {
            let wrong = wrong.join("; ");
            self.wrong
                .push(format!("`{script}` {options:?} {ends:?}: {wrong}\n{said}"));
        }
        self.ground.restore();
    }
}

#[test]
fn closed_streams_change_nothing() {
    Cases::each("streams", |cases| {
        for closed in [
            "<&-",
            ">&-",
            "2>&-",
            "<&- >&-",
            "<&- 2>&-",
            ">&- 2>&-",
            "<&- >&- 2>&-",
        ] {
            cases.case(&format!("exec \"$@\" {closed}"), Runs);
        }
    });
}

#[test]
fn limits_end_a_launch_and_loosen_nothing() {
    Cases::each("limits", |cases| {
        for files in [3, 5, 7, 9, 11, 13, 16, 20, 29] {
            cases.case(&format!("ulimit -n {files}; exec"), Either);
        }
        cases.case("ulimit -n 64; exec", Either);
        cases.case("ulimit -n 512; exec", Runs);
        for megabytes in [8, 16, 24, 32, 48] {
            cases.case(&format!("ulimit -v {}; exec", megabytes << 10), Either);
        }
        cases.case("ulimit -f 0; exec", Refused("files may have 0 bytes"));
        cases.case("ulimit -t 5; exec", Runs);
        cases.case("ulimit -u 1; exec", Either);
        cases.case("ulimit -s 256; exec", Either);
        cases.case("ulimit -c 0; ulimit -l 0; ulimit -q 0; exec", Runs);
        // no timer can be had, which calls that are performed for a session need
        cases.case("ulimit -i 0; exec", Either);
        // the report of the agent has more
        cases.case("ulimit -f 4096; exec", Runs);
    });
}

#[test]
fn signals_that_are_ignored_or_blocked_change_nothing() {
    Cases::each("signals", |cases| {
        for signals in ["CHLD", "PIPE", "XFSZ", "CHLD,PIPE,HUP,INT,TERM,XFSZ,USR1"] {
            cases.case(&format!("exec env --ignore-signal={signals}"), Runs);
            cases.case(&format!("exec env --block-signal={signals}"), Runs);
        }
        cases.case("exec env --block-signal", Runs);
    });
}

#[test]
fn a_caller_that_is_confined_itself_gets_no_less() {
    Cases::each("confined", |cases| {
        cases.case("exec setpriv --no-new-privs", Runs);
        cases.case("exec \"$PLACE/bin/without\" no-filter --", Runs);
        // a process in a Landlock domain may not mount (security/landlock/fs.c, hook_sb_mount)
        cases.case("exec \"$PLACE/bin/probe\" in-domain", Falls);
        cases.case("exec \"$PLACE/bin/without\" user-namespaces --", Falls);
        cases.case("exec unshare --user --map-root-user", Runs);
        // as root it may not even map itself
        cases.case("exec setpriv --inh-caps=-all --bounding-set=-all", Either);
    });
}

#[test]
fn odd_places_run_at_the_right_level_or_not() {
    Cases::each("places", |cases| {
        let chroot = "mkdir -p \"$PLACE/home/root\" && exec unshare --user --map-root-user --mount \
            bash -c 'mount --rbind / \"$PLACE/home/root\" && exec /usr/sbin/chroot \"$PLACE/home/root\" \"$@\"' bash";
        cases.case(chroot, Falls);
        cases.case("mkdir gone; cd gone; rmdir ../gone; exec", Runs);
        let read_only = "exec unshare --user --map-root-user --mount \
            bash -c 'mount --bind \"$PLACE\" \"$PLACE\" && mount -o remount,bind,ro \"$PLACE\" \
            && mount -o remount,bind,ro / && cd \"$PLACE/work\" && exec \"$@\"' bash";
        cases.case(read_only, Refused("Read-only file system"));
        cases.case("cd /proc/self; exec", Runs);
        cases.case("exec env -u PATH", Runs);
        cases.case("exec env -i HOME=\"$PLACE/home\"", Runs);
        cases.case("exec env HOME=home", Refused("not an absolute path"));
        cases.case("exec env HOME=/nowhere/at/all", Refused("No such file"));
        cases.case("exec env HOME=", Refused("not an absolute path"));
        cases.case("umask 0777; exec", Either);
        cases.case("umask 0; exec", Runs);
    });
}
