//! What a session binds and connects to: its own at both levels, never the host's, whatever is
//! changed while a call is looked at. A listener of the host's counts who came.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use stockade_tests::{LEVELS, Place, full, probe, stockade, text};

fn tries() -> &'static str {
    if full() { "10000" } else { "2000" }
}

fn tool() -> &'static str {
    probe(env!("CARGO_BIN_EXE_probe"))
}

fn session(place: &Place, level: &str) -> Command {
    let mut command = place.command(stockade());
    command.args(["run", "--quiet", "--require", level, "--allow-read", tool()]);
    command.arg("--allow-read").arg(place.outside());
    command
}

/// What the probe prints, confined.
fn tried(place: &Place, level: &str, words: &[&str]) -> String {
    let mut command = session(place, level);
    let out = command.args(["--", tool()]).args(words).output().unwrap();
    if out.stdout.is_empty() {
        return text(&out);
    }
    String::from_utf8_lossy(&out.stdout)
        .trim()
        .replace('\n', " ")
}

fn native(place: &Place, words: &[&str]) -> String {
    let out = place.command(tool()).args(words).output().unwrap();
    text(&out).trim().replace('\n', " ")
}

/// Connections that came to the host's own listener, which never waits.
fn came(listener: &UnixListener) -> usize {
    listener.set_nonblocking(true).unwrap();
    std::iter::from_fn(|| listener.accept().ok()).count()
}

/// Of `N of M`, followed by the probe's verdict.
fn made(said: &str) -> usize {
    let words: Vec<&str> = said.split(' ').collect();
    assert!(
        matches!(words[..], [_, "of", all, "ok"] if all == tries()),
        "{said}"
    );
    words[0].parse().unwrap()
}

#[test]
fn what_a_name_leads_to_is_decided_once() {
    for level in LEVELS {
        for what in ["link", "name", "directory"] {
            let place = Place::new(&format!("swap-{what}-{level}"));
            // names of one length, so that one written over the other is a name at each moment
            let (own, other) = (place.work().join("o"), place.outside().join("x"));
            let (own, other) = match what {
                "directory" => {
                    std::fs::create_dir_all(&own).unwrap();
                    std::fs::create_dir_all(&other).unwrap();
                    (own.join("socket"), other.join("socket"))
                }
                _ => (own, other),
            };
            let host = UnixListener::bind(&other).unwrap();
            let words = [own.to_str().unwrap(), other.to_str().unwrap()];
            let said = tried(&place, level, &["race", what, tries(), words[0], words[1]]);
            assert!(made(&said) > 0, "{what} at {level}: {said}");
            assert_eq!(came(&host), 0, "{what} at {level}: {said}");
            if level == LEVELS[0] {
                // without a session the other is reached in the same way
                let reached = || {
                    std::fs::remove_file(&own).unwrap();
                    native(&place, &["race", what, "500", words[0], words[1]]);
                    came(&host) > 0
                };
                assert!((0..100).any(|_| reached()), "{what}");
            }
        }
    }
}

#[test]
fn the_port_that_was_decided_on_is_the_one_that_is_reached() {
    for level in LEVELS {
        let place = Place::new(&format!("swap-port-{level}"));
        let host = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = host.local_addr().unwrap().port().to_string();
        let said = tried(&place, level, &["race", "port", tries(), "", &port]);
        assert!(made(&said) > 0, "{level}: {said}");
        host.set_nonblocking(true).unwrap();
        assert!(host.accept().is_err(), "{level}: {said}");
    }
}

#[test]
fn nothing_is_bound_where_the_session_may_not_write() {
    for level in LEVELS {
        let place = Place::new(&format!("swap-bind-{level}"));
        let (own, other) = (place.work().join("o"), place.outside().join("x"));
        let words = [own.to_str().unwrap(), other.to_str().unwrap()];
        let said = tried(
            &place,
            level,
            &["race", "bind", tries(), words[0], words[1]],
        );
        assert!(made(&said) > 0, "{level}: {said}");
        assert!(!other.exists(), "{level}: {said}");
        // over a link that leads out, whether or not something is there
        let link = place.work().join("link");
        for target in ["gone", "there"] {
            let target = place.outside().join(target);
            std::os::unix::fs::symlink(&target, &link).unwrap();
            let said = tried(&place, level, &["listen", link.to_str().unwrap()]);
            assert_eq!(said, "EADDRINUSE", "{level}");
            assert!(!target.exists(), "{level}");
            std::fs::remove_file(&link).unwrap();
            std::fs::write(place.outside().join("there"), "").unwrap();
            std::fs::remove_file(place.outside().join("there")).unwrap();
        }
        let expected = ["EROFS", "EACCES"][usize::from(level == "landlock")];
        assert_eq!(tried(&place, level, &["listen", words[1]]), expected);
    }
}

#[test]
fn a_session_listens_on_the_loopback_alone() {
    let place = Place::new("loopback");
    for words in [&["every-address", "0"][..], &["unbound"]] {
        assert_eq!(native(&place, words), "0.0.0.0 ok");
        assert_eq!(tried(&place, "landlock", words), "127.0.0.1 ok");
        assert_eq!(tried(&place, "namespaces", words), "0.0.0.0 ok");
    }
    // a port of the host's is not shared and not taken over
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = host.local_addr().unwrap().port().to_string();
    let said = tried(&place, "landlock", &["every-address", &port]);
    assert_eq!(said, "EADDRINUSE");
    drop(host);
}

/// (level, option): what leads a connection elsewhere or makes it later.
const REFUSED_OPTIONS: &[(i32, i32)] = &[(1, 15), (1, 25), (1, 62), (0, 4), (6, 30)];

#[test]
fn no_option_leads_a_connection_elsewhere() {
    let place = Place::new("options");
    for (level, name) in REFUSED_OPTIONS {
        let (level, name) = (level.to_string(), name.to_string());
        let words = ["option", level.as_str(), name.as_str()];
        assert_eq!(
            tried(&place, "landlock", &words),
            "ENOPROTOOPT",
            "{words:?}"
        );
        assert_ne!(native(&place, &words), "ENOPROTOOPT", "{words:?}");
    }
    // SO_REUSEADDR, TCP_NODELAY
    for (level, name) in [("1", "2"), ("6", "1")] {
        assert_eq!(tried(&place, "landlock", &["option", level, name]), "ok");
    }
}

#[test]
fn sockets_that_take_an_address_with_each_message_are_not_made() {
    let place = Place::new("kinds");
    let made = |family: &str, kind: &str, protocol: &str| {
        tried(&place, "landlock", &["family", family, kind, protocol])
    };
    // AF_INET, AF_INET6: streams of TCP; not datagrams, raw, SCTP, MPTCP, and with bits on top
    for family in ["2", "10"] {
        assert_eq!(made(family, "1", "0"), "ok");
        assert_eq!(made(family, "1", "6"), "ok");
        assert_eq!(made(family, "524289", "0"), "ok");
        for (kind, protocol) in [
            ("2", "0"),
            ("3", "1"),
            ("1", "132"),
            ("1", "262"),
            ("5", "132"),
        ] {
            assert_eq!(
                made(family, kind, protocol),
                "EPERM",
                "{family} {kind} {protocol}"
            );
        }
    }
    // AF_PACKET, AF_VSOCK, AF_ALG
    for family in ["17", "40", "38"] {
        assert_eq!(made(family, "3", "0"), "EPERM", "{family}");
    }
}

#[test]
fn a_crowd_is_served() {
    for level in LEVELS {
        let place = Place::new(&format!("crowd-{level}"));
        assert_eq!(tried(&place, level, &["crowd", "1000"]), "ok", "{level}");
    }
}

/// A listener that has as many as it takes: who asks waits, and is taken later.
#[test]
fn a_connection_waits_until_it_is_taken() {
    let place = Place::new("waits");
    for how in ["taken", "alone"] {
        assert_eq!(native(&place, &["waiting", how]), "ok");
        for level in LEVELS {
            assert_eq!(
                tried(&place, level, &["waiting", how]),
                "ok",
                "{how} {level}"
            );
        }
    }
}

/// One that waits does not reach who takes the port when the session has left it.
#[test]
fn a_connection_that_waits_is_never_anothers() {
    let came_to_the_host = |mut command: Command| {
        command.args([tool(), "waiting", "ends"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port: u16 = lines.next().unwrap().unwrap().parse().unwrap();
        let host = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let answer = lines.next().unwrap().unwrap();
        child.wait().unwrap();
        host.set_nonblocking(true).unwrap();
        (std::iter::from_fn(|| host.accept().ok()).count(), answer)
    };
    let place = Place::new("hijack");
    assert_eq!(
        came_to_the_host(place.command("/usr/bin/env")),
        (2, "ok".into())
    );
    let mut command = session(&place, "landlock");
    command.arg("--");
    assert_eq!(came_to_the_host(command), (0, "ECONNREFUSED".into()));
}

#[test]
fn a_call_is_performed_on_what_the_kernel_would_take() {
    let place = Place::new("arguments");
    let name = place.work().join("s");
    let words = |what: &'static str| [what, name.to_str().unwrap()];
    for what in ["high", "not-dumpable", "flood"] {
        let clean = || {
            for entry in std::fs::read_dir(place.work()).unwrap().flatten() {
                let path = entry.path();
                if !path.is_dir() {
                    std::fs::remove_file(path).unwrap();
                }
            }
        };
        assert_eq!(native(&place, &words(what)), "ok", "{what}");
        clean();
        for level in LEVELS {
            // what nobody may look into has nothing performed
            let refused = level == "landlock" && what == "not-dumpable";
            let expected = if refused { "EPERM" } else { "ok" };
            assert_eq!(
                tried(&place, level, &words(what)),
                expected,
                "{what} {level}"
            );
            clean();
        }
    }
}

fn children(of: u32) -> Vec<i32> {
    let path = format!("/proc/{of}/task/{of}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .map(|n| n.parse().unwrap())
        .collect()
}

/// The supervisor is gone in the middle of what it performs: nothing is reached, and nobody goes on.
#[test]
fn without_its_supervisor_a_session_connects_to_nothing() {
    for round in 0..10 {
        let place = Place::new(&format!("killed-{round}"));
        let other = place.outside().join("x");
        let host = UnixListener::bind(&other).unwrap();
        let own = place.work().join("o");
        let mut command = session(&place, "landlock");
        let words = ["race", "name", "100000000"];
        command
            .args(["--", tool()])
            .args(words)
            .arg(&own)
            .arg(&other);
        let mut supervisor = command.stdout(Stdio::piped()).spawn().unwrap();
        until_there(&own);
        std::thread::sleep(std::time::Duration::from_millis(round * 3));
        let below = children(supervisor.id());
        supervisor.kill().unwrap();
        supervisor.wait().unwrap();
        // the pipe's end is the last process's end
        let mut rest = String::new();
        supervisor
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut rest)
            .unwrap();
        // what was being performed, or came after
        assert!(["", "ENOSYS\n"].contains(&rest.as_str()), "{rest}");
        assert_eq!(came(&host), 0);
        for pid in below {
            gone(pid);
        }
    }
}

fn until_there(path: &Path) {
    while !path.exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

fn gone(pid: i32) {
    while kill(Pid::from_raw(pid), None::<Signal>).is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[test]
fn a_rule_opens_the_socket_that_it_names_and_no_other() {
    for level in LEVELS {
        let place = Place::new(&format!("named-{level}"));
        let file = |name: &str| -> PathBuf { place.outside().join(name) };
        std::fs::create_dir(file("folder")).unwrap();
        let names = ["one", "folder/two", "three"].map(file);
        let listeners = names.clone().map(|name| UnixListener::bind(name).unwrap());
        let policy = place.path().join("unix.toml");
        let rule = format!(
            "version = 1\n[network]\nunix = [{:?}, {:?}]\n",
            names[0],
            file("folder/**")
        );
        std::fs::write(&policy, rule).unwrap();
        let answer = |name: &Path| {
            let mut command = session(&place, level);
            command.arg("--policy").arg(&policy);
            let out = command.args(["--", tool(), "unix"]).arg(name).output();
            text(&out.unwrap()).trim().to_owned()
        };
        assert_eq!(answer(&names[0]), "ok", "{level}");
        assert_eq!(answer(&names[1]), "ok", "{level}");
        assert_eq!(answer(&names[2]), "EACCES", "{level}");
        assert_eq!(listeners.each_ref().map(came), [1, 1, 0], "{level}");
    }
}
