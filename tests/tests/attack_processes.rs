//! Processes outside, the session's own first one, what all processes of a user share, and what is left
//! behind.

use std::process::{Child, Command, Stdio};
use stockade_tests::{LEVELS, Place, text};

const ATTACK: &str = env!("CARGO_BIN_EXE_attack");

fn confined(place: &Place, level: &str, words: &[&str]) -> String {
    let own = [
        "run",
        "--quiet",
        "--require",
        level,
        "--allow-read",
        ATTACK,
        "--",
    ];
    text(&place.stockade(&[&own, words].concat()))
}

/// A process of the same user outside.
struct Outsider(Child);

impl Outsider {
    fn new() -> Self {
        Self(
            Command::new("sleep")
                .arg("600")
                .stdout(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    fn id(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Outsider {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What is tried, and how it is answered at `landlock`; at `namespaces` the process is not there.
const OF_A_PROCESS: &[(&str, &str)] = &[
    ("environ", "EACCES"),
    ("mem", "EACCES"),
    ("maps", "EACCES"),
    ("auxv", "EACCES"),
    ("io", "EACCES"),
    ("syscall", "EPERM"),
    ("personality", "EPERM"),
    ("pagemap", "EACCES"),
    ("mem-write", "EACCES"),
    ("exe", "EACCES"),
    ("exe-through", "EACCES"),
    ("root", "EACCES"),
    ("root-through", "EACCES"),
    ("cwd", "EACCES"),
    ("cwd-through", "EACCES"),
    ("fd/0", "EACCES"),
    ("fd/0-through", "EACCES"),
    ("ns/mnt", "EACCES"),
    ("ns/mnt-through", "EACCES"),
    ("seize", "EPERM"),
    ("vm-read", "EPERM"),
    ("descriptor", "EPERM"),
    ("advise", "EACCES"),
    ("compare", "EPERM"),
    ("futexes", "EPERM"),
    ("signal", "EPERM"),
    ("signal-thread", "EPERM"),
    ("signal-descriptor", "EPERM"),
    ("exists", "EPERM"),
    ("exists-thread", "EPERM"),
    ("exists-descriptor", "EPERM"),
    ("oom_score_adj", "EACCES"),
    ("comm", "EACCES"),
    ("coredump_filter", "EACCES"),
    ("timerslack_ns", "EACCES"),
];

fn answers(said: &str) -> Vec<(&str, &str)> {
    said.lines()
        .map(|l| l.split_once(' ').unwrap_or((l, "")))
        .collect()
}

#[test]
fn a_process_outside_gives_nothing() {
    let outsider = Outsider::new();
    let native = Command::new(ATTACK)
        .args(["process", &outsider.id()])
        .output()
        .unwrap();
    let native = text(&native);
    for (what, answer) in answers(&native) {
        // for others only with CAP_SYS_NICE
        if what != "advise" {
            assert_eq!(answer, "ok", "{what} without a session");
        }
    }
    let place = Place::new("outsider");
    let said = confined(&place, "landlock", &[ATTACK, "process", &outsider.id()]);
    let signals = stockade_tests::doctor()["facts"]["landlock_abi"]
        .as_u64()
        .unwrap()
        >= 6;
    let expected: Vec<_> = OF_A_PROCESS
        .iter()
        .map(|(what, answer)| {
            let open = !signals && (what.starts_with("signal") || what.starts_with("exists"));
            (*what, if open { "ok" } else { *answer })
        })
        .collect();
    assert_eq!(answers(&said), expected);
    let said = confined(&place, "namespaces", &[ATTACK, "process", &outsider.id()]);
    for ((what, answer), (expected, _)) in answers(&said).into_iter().zip(OF_A_PROCESS) {
        assert_eq!(what, *expected, "{said}");
        assert!(
            ["ENOENT", "ESRCH", "EBADF"].contains(&answer),
            "{what}: {answer}"
        );
    }
    assert_eq!(said.lines().count(), OF_A_PROCESS.len());
}

/// Of its own child a session sees and does all of it, but that nothing in /proc is written at `landlock`.
#[test]
fn a_process_inside_gives_everything() {
    let written = [
        "mem-write",
        "oom_score_adj",
        "comm",
        "coredump_filter",
        "timerslack_ns",
    ];
    for level in LEVELS {
        let place = Place::new("insider");
        let script = format!("sleep 600 & {ATTACK} process $!; kill $!");
        let said = confined(&place, level, &["sh", "-c", &script]);
        assert_eq!(said.lines().count(), OF_A_PROCESS.len(), "{level}: {said}");
        for (what, answer) in answers(&said) {
            let expected = match what {
                // of others only with CAP_SYS_NICE
                "advise" => "EPERM",
                what if level == "landlock" && written.contains(&what) => "EACCES",
                _ => "ok",
            };
            assert_eq!(answer, expected, "{level}: {what}");
        }
    }
}

/// init at `namespaces`; the process that ends what is left, and the supervisor, at `landlock`.
#[test]
fn what_watches_the_session_gives_nothing() {
    for level in LEVELS {
        let place = Place::new("watchers");
        // every process above, up to the one of this test
        let script = format!(
            "p=$$; while p=$(sed -n 's/^PPid:.//p' /proc/$p/status); [ \"$p\" -gt 0 ] && [ \"$p\" != $0 ]; do \
             echo \"# $p\"; {ATTACK} process $p; done"
        );
        let own = std::process::id().to_string();
        let said = confined(&place, level, &["sh", "-c", &script, &own]);
        let mut watchers = 0;
        for (what, answer) in answers(&said) {
            if what == "#" {
                watchers += 1;
                continue;
            }
            // what root may open of it: values that say who is ended first, which ends the session
            let values = ["oom_score_adj", "comm", "coredump_filter", "timerslack_ns"];
            let harmless = level == "namespaces" && values.contains(&what);
            let refused = ["EACCES", "EPERM", "ENOENT", "ESRCH"].contains(&answer);
            assert!(refused || harmless, "{level} {what}: {answer}\n{said}");
        }
        let least = if level == "namespaces" { 1 } else { 2 };
        assert!(watchers >= least, "{level}: {said}");
        // and it went on
        assert_eq!(confined(&place, level, &["echo", "on"]), "on\n");
    }
}

#[test]
fn queues_of_messages_are_the_sessions_own_or_none() {
    let name = format!("stockade-{}", std::process::id());
    let native = |what: &str| {
        let out = Command::new(ATTACK)
            .args(["queue", what, &name])
            .output()
            .unwrap();
        text(&out)
    };
    assert_eq!(native("make"), "make ok\n");
    for level in LEVELS {
        let place = Place::new("queues");
        let at = |what: &str| confined(&place, level, &[ATTACK, "queue", what, &name]);
        let none = if level == "namespaces" {
            "ENOENT"
        } else {
            "EPERM"
        };
        assert_eq!(at("open"), format!("open {none}\n"), "{level}");
        assert_eq!(at("remove"), format!("remove {none}\n"), "{level}");
    }
    // it was there all the time
    assert_eq!(native("open"), "open ok\n");
    assert_eq!(native("remove"), "remove ok\n");
}

/// Whose socket it is given, and which kind, decides: a root daemon's connection would be root's.
#[test]
fn the_keeper_serves_whoever_called_it_alone() {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, recv, send, socketpair};
    use std::os::fd::AsRawFd;
    let none = nix::sys::socket::MsgFlags::empty();
    for (kind, caller, says) in [
        (SockType::SeqPacket, "4242", "not of whoever called sudo"),
        (SockType::Stream, "0", "not of whoever called sudo"),
    ] {
        let (own, theirs) =
            socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let place = Place::new("keeper");
        let mut command = place.command(stockade_tests::stockade());
        command
            .arg("__keeper")
            .env("SUDO_UID", caller)
            .stdin(Stdio::from(theirs));
        let keeper = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(command);
        if !nix::unistd::geteuid().is_root() {
            let out = keeper.wait_with_output().unwrap();
            assert!(text(&out).contains("is for root"), "{}", text(&out));
            continue;
        }
        send(own.as_raw_fd(), b"b", none).unwrap();
        let mut bytes = [0; 4096];
        let n = recv(own.as_raw_fd(), &mut bytes, none).unwrap();
        let answer = String::from_utf8_lossy(&bytes[..n]).into_owned();
        assert!(answer.contains(says), "{answer}");
        // it is over with that
        assert_eq!(recv(own.as_raw_fd(), &mut bytes, none), Ok(0));
        keeper.wait_with_output().unwrap();
    }
}
