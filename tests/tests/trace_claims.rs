//! What hooks claim: it labels what it is true of, changes no action, and is shown as false where it is.

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use stockade_tests::{Place, install, stockade, text};

/// A record as stockade sends it.
const SIZE: usize = 256;

fn with_stockade(place: &Place) -> (PathBuf, String) {
    let bin = place.path().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    install(stockade(), &bin.join("stockade"));
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display());
    (bin.join("stockade"), path)
}

fn command(place: &Place, calls: &str, script: &str) -> Command {
    assert!(nix::unistd::geteuid().is_root(), "eBPF programs take root");
    let (program, path) = with_stockade(place);
    let mut command = place.command("timeout");
    command.arg("60").arg(program);
    command.args(["trace", "--json", "-e", calls, "-o"]);
    command.arg(place.path().join("events"));
    command.args(["--", "bash", "-c", script]).env("PATH", path);
    command
}

fn events(place: &Place) -> Vec<Value> {
    let lines = std::fs::read_to_string(place.path().join("events")).unwrap();
    lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

/// What a script as the agent leads to.
fn traced(name: &str, calls: &str, script: &str) -> Vec<Value> {
    let place = Place::new(name);
    let out = command(&place, calls, script).output().unwrap();
    assert!(out.status.success(), "{}", text(&out));
    events(&place)
}

fn number(event: &Value, field: &str) -> u64 {
    event[field]
        .as_u64()
        .unwrap_or_else(|| panic!("{field}: {event}"))
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|e| e["kind"] == kind).collect()
}

/// The labels of an action's events.
fn labels(events: &[Value], action: u64) -> BTreeSet<&str> {
    let own = events.iter().filter(|e| number(e, "action") == action);
    own.filter_map(|e| e["claimed"].as_str()).collect()
}

#[test]
fn a_claim_is_of_its_own_action_alone() {
    let events = traced(
        "claims-own",
        "none",
        "stockade action run --id one --label first -- bash -c 'sleep 0.1; (true); (true)'\n\
         stockade action run --id one --label forged -- true\n\
         stockade action run --id two --label outer -- stockade action run --id three --label inner -- true\n\
         (true)",
    );
    assert_eq!(labels(&events, 1), ["first"].into());
    assert_eq!(labels(&events, 2), [].into());
    assert_eq!(labels(&events, 3), ["outer"].into());
    assert_eq!(labels(&events, 4), [].into());
    assert_eq!(labels(&events, 0), [].into());
    let wrong = of_kind(&events, "false_claim");
    assert_eq!(wrong.len(), 1, "{wrong:#?}");
    assert_eq!((number(wrong[0], "of"), number(wrong[0], "action")), (1, 2));
    assert_eq!(wrong[0]["says"], "one: forged");
    let claims: Vec<(u64, &str)> = of_kind(&events, "claim")
        .into_iter()
        .map(|e| (number(e, "action"), e["id"].as_str().unwrap()))
        .collect();
    assert_eq!(claims, [(1, "one"), (3, "two"), (3, "three")]);
    // everything that the action did after it
    let after = events.iter().skip_while(|e| e["kind"] != "claim");
    let own = after.filter(|e| number(e, "action") == 1);
    let own: Vec<_> = own.collect();
    assert!(
        own.len() > 6 && own.iter().all(|e| e["claimed"] == "first"),
        "{own:#?}"
    );
}

#[test]
fn notes_label_what_the_agent_does_meanwhile() {
    // a redirection is opened by the agent's own process
    let events = traced(
        "claims-notes",
        "openat",
        "note() { stockade action note --id \"$@\"; }\n\
         for f in before within-one within-both within-two after after-forged; do : >$f; done; exec 3<before; note a --label one begin; exec 3<within-one\n\
         note b --label two begin; exec 3<within-both; note a end; exec 3<within-two\n\
         note b end; exec 3<after; stockade action run --id c --label call -- bash -c '\n\
         stockade action note --id d --label forged begin'; exec 3<after-forged\n\
         note b end; note a --label again begin; note a --label twice begin; true",
    );
    let own = |name: &str| {
        let opened = |e: &&Value| e["arguments"][1]["path"]["text"] == name && e["action"] == 0;
        // made first, then read
        let event = events
            .iter()
            .rfind(opened)
            .unwrap_or_else(|| panic!("{name}"));
        (event["claimed"].as_str(), event["overlaps"] == true)
    };
    assert_eq!(own("before"), (None, false));
    assert_eq!(own("within-one"), (Some("one"), false));
    assert_eq!(own("within-both"), (Some("two"), true));
    assert_eq!(own("within-two"), (Some("two"), false));
    assert_eq!(own("after"), (None, false));
    assert_eq!(own("after-forged"), (None, false));
    let says: Vec<_> = of_kind(&events, "false_claim")
        .iter()
        .map(|e| e["says"].clone())
        .collect();
    assert_eq!(
        says,
        ["d: forged", "b: has not begun", "a: has begun already"]
    );
    // no hook is labelled by what it says of the agent
    let hooks = events
        .iter()
        .filter(|e| e["kind"] == "claim" && e["says"] != "run");
    assert!(hooks.clone().count() == 5 && hooks.clone().all(|e| e["claimed"].is_null()));
}

#[test]
fn a_sender_that_is_gone_is_known_by_its_fork() {
    let script = "for n in {1..20}; do stockade action note --id $n --label $n begin\n\
                  stockade action note --id $n end; done";
    let events = traced("claims-gone", "none", script);
    let claims = of_kind(&events, "claim");
    let actions: BTreeSet<u64> = claims.iter().map(|e| number(e, "action")).collect();
    let wrong = of_kind(&events, "false_claim");
    assert_eq!((claims.len(), actions.len()), (40, 40), "{wrong:#?}");
    assert_eq!(wrong.len(), 0);
}

#[test]
fn a_flood_and_garbage_are_counted_and_change_nothing() {
    let flood = r#"
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def send(b): s.sendto(b, os.environ["STOCKADE_ACTION_SOCKET"])
for b in (b"", b"x", b"act1" + bytes(252), b"act1" + bytes([1, 9, 1, 0]) + b"\xff" * 248, b"act1" + bytes([1, 65, 0]) + b"a" * 249, bytes(100000)):
    send(b)
for n in range(500):
    send((b"act1" + bytes([1, 3, 5, 0]) + (b"%03d" % n).ljust(64, b"\0") + b"flood").ljust(256, b"\0"))
"#;
    let place = Place::new("claims-flood");
    std::fs::write(place.work().join("flood.py"), flood).unwrap();
    let script = "python3 flood.py; stockade action run --id own --label other -- true; true";
    let out = command(&place, "none", script).output().unwrap();
    assert!(out.status.success(), "{}", text(&out));
    let events = events(&place);
    let says: Vec<&str> = of_kind(&events, "false_claim")
        .iter()
        .map(|e| e["says"].as_str().unwrap())
        .collect();
    let (garbage, rest) = says.split_at(6);
    assert!(
        garbage.iter().all(|s| *s == "is no record of a claim"),
        "{says:?}"
    );
    let [first, last] = rest else {
        panic!("{says:?}")
    };
    assert_eq!(*first, "claims too often: what follows is dropped");
    let dropped: usize = last.split(' ').next().unwrap().parse().unwrap();
    let taken = of_kind(&events, "claim")
        .iter()
        .filter(|e| e["action"] == 1)
        .count();
    assert_eq!(taken + dropped, 500, "{last}");
    // 32 at once, six of them garbage, and a few more while it lasts
    assert!((26..100).contains(&taken), "{taken}");
    assert_eq!(labels(&events, 1), ["flood"].into());
    // nobody else waits for it
    assert_eq!(labels(&events, 2), ["other"].into());
}

#[test]
fn who_is_not_traced_claims_nothing() {
    let place = Place::new("claims-outside");
    let mut command = command(&place, "none", "echo $STOCKADE_ACTION_SOCKET; read -r x");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    let mut from = BufReader::new(child.stdout.take().unwrap());
    from.read_line(&mut line).unwrap();
    let socket = Path::new(line.trim());
    let mut record = [0; SIZE];
    record[..7].copy_from_slice(b"act1\x01\x01\x01");
    (record[8], record[72]) = (b'i', b'l');
    let own = UnixDatagram::unbound().unwrap();
    assert_eq!(own.send_to(&record, socket).unwrap(), SIZE);
    writeln!(child.stdin.take().unwrap(), "go").unwrap();
    assert!(child.wait().unwrap().success());
    let events = events(&place);
    let wrong = of_kind(&events, "false_claim");
    let says = format!(
        "sent by process {}, which is not traced",
        std::process::id()
    );
    assert_eq!(wrong.len(), 1, "{events:#?}");
    assert_eq!(wrong[0]["says"], says);
    assert!(events.iter().all(|e| e["claimed"].is_null()));
    // nothing is left
    assert!(!socket.exists() && !socket.parent().unwrap().exists());
}

#[test]
fn a_trace_without_a_socket_says_so() {
    let place = Place::new("claims-no-socket");
    let script = "stockade action run --id a --label b -- true; echo \"<$STOCKADE_ACTION_SOCKET>\"";
    let mut command = command(&place, "none", script);
    let out = command.env("TMPDIR", "/nonexistent").output().unwrap();
    assert!(out.status.success(), "{}", text(&out));
    let said = "<>\nstockade: no claims of hooks are taken, there is no socket for them: No such file or directory (os error 2)\n";
    assert_eq!(text(&out), said);
    let events = events(&place);
    assert!(events.iter().all(|e| e["claimed"].is_null()) && events.len() > 3);
}

#[test]
fn where_nobody_listens_the_command_is_all() {
    let place = Place::new("claims-nobody");
    let run = |arguments: &[&str], socket: Option<&str>| {
        let mut command = place.command(stockade());
        command.arg("action").args(arguments);
        command.envs(socket.map(|s| ("STOCKADE_ACTION_SOCKET", s)));
        let out = command.output().unwrap();
        (out.status.code(), text(&out))
    };
    for socket in [None, Some("/nonexistent/socket"), Some("")] {
        let three = [
            "run",
            "--id",
            "a",
            "--label",
            "b",
            "--",
            "sh",
            "-c",
            "echo on; exit 3",
        ];
        assert_eq!(run(&three, socket), (Some(3), "on\n".into()));
        assert_eq!(
            run(&["note", "--id", "a", "begin"], socket),
            (Some(0), String::new())
        );
        let missing = ["run", "--id", "a", "--label", "b", "--", "no-such-command"];
        assert_eq!(run(&missing, socket).0, Some(127));
    }
}
