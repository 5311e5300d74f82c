//! What the eBPF programs see of programs whose deeds are known: run as root, on a host that lets them be loaded.

mod harness;
mod left;
mod processes;

use harness::{SMALLEST, Session, whole};
use stockade_abi::{Call, piece};
use stockade_events::{Kind, Record};
use stockade_tests::Place;

/// A call's own numbers and the pieces of one kind.
fn pieces(record: Record<'_>, what: u8) -> Option<(Call, Vec<Vec<u8>>)> {
    let Record::Call(call, pieces) = record else {
        return None;
    };
    let of =
        |(piece, text): (stockade_abi::Piece, &[u8])| (piece.what == what).then(|| text.to_vec());
    Some((*call, pieces.iter().filter_map(of).collect()))
}

/// (call, the absolute path of each argument that is one, whether it succeeded or the errno)
type Deed = (String, Vec<String>, Result<(), String>);

fn deeds(seen: &harness::Seen) -> Vec<Deed> {
    let of = |event: stockade_events::Event| {
        let json = serde_json::to_value(&event).expect("an event");
        let Kind::Call { call, errno, .. } = event.kind else {
            return None;
        };
        let all = json["arguments"].as_array().expect("arguments");
        let paths = all.iter().filter_map(|a| a["path"]["absolute"].as_str());
        let result = errno.map_or(Ok(()), |errno| Err(errno.to_owned()));
        Some((
            call.into_owned(),
            paths.map(str::to_owned).collect(),
            result,
        ))
    };
    seen.events().into_iter().filter_map(of).collect()
}

const FILES: &[&str] = &["openat", "mkdirat", "renameat2", "unlinkat", "chdir"];

#[test]
fn files_are_seen_with_their_paths_and_results_in_order() {
    let place = Place::new("trace-files");
    let folder = place.outside().canonicalize().unwrap();
    let folder = folder.to_str().unwrap();
    let seen = whole(FILES, &["files", folder]);
    let deed = |call: &str, paths: &[&str], errno: Option<&str>| -> Deed {
        let paths = paths.iter().map(|p| format!("{folder}{p}")).collect();
        (call.into(), paths, errno.map_or(Ok(()), |e| Err(e.into())))
    };
    let (name, long) = ("n".repeat(255), "n".repeat(256));
    let deep = "n/".repeat(2047);
    let expected = [
        deed("openat", &[""], None),
        deed("openat", &["/made"], None),
        deed("mkdirat", &["/below"], None),
        deed("renameat2", &["/made", "/below/other"], None),
        deed("openat", &["/made"], Some("ENOENT")),
        deed("chdir", &[""], None),
        deed("openat", &["/below/../below/other"], None),
        deed("openat", &[&format!("/{name}")], Some("ENOENT")),
        deed("openat", &[&format!("/{long}")], Some("ENAMETOOLONG")),
        deed("openat", &[&format!("/{deep}")], Some("ENOENT")),
        deed("unlinkat", &["/below/other"], None),
        deed("unlinkat", &["/below"], None),
        // its pointer leads nowhere
        deed("openat", &[], Some("EFAULT")),
    ];
    let found = deeds(&seen);
    for (n, expected) in expected.iter().enumerate() {
        assert_eq!(found.get(n), Some(expected), "deed {n}");
    }
    assert_eq!(found.len(), expected.len(), "{:?}", found.last());
    assert_eq!(seen.tally.unreadable, 1);
    let durations = seen.calls("openat").into_iter().map(|c| c.duration);
    assert!(durations.into_iter().all(|d| d > 0));
}

#[test]
fn addresses_of_sockets_are_seen_as_they_were_passed() {
    let place = Place::new("trace-sockets");
    let path = place.outside().join("none").display().to_string();
    let seen = whole(&["connect", "socket"], &["sockets", &path]);
    let connects = seen.each().filter_map(|r| pieces(r, piece::ADDRESS));
    let connects: Vec<_> = connects
        .filter(|(call, _)| call.call == harness::number("connect"))
        .map(|(call, pieces)| (call.result, pieces))
        .collect();
    let unix = 1_u16.to_ne_bytes();
    let inet = [&2_u16.to_ne_bytes()[..], &[0, 1, 127, 0, 0, 1], &[0; 8]].concat();
    let expected = [
        (-libc::ENOENT, [&unix[..], path.as_bytes(), &[0]].concat()),
        (
            -libc::ECONNREFUSED,
            [&unix[..], b"\0stockade-nobody"].concat(),
        ),
        (-libc::ECONNREFUSED, inet),
    ];
    let expected = expected.map(|(result, text)| (i64::from(result), vec![text]));
    assert_eq!(connects, expected);
    assert_eq!(seen.calls("socket").len(), 2);
}

#[test]
fn counters_are_exact_although_the_smallest_ring_keeps_next_to_nothing() {
    let place = Place::new("trace-counters");
    let folder = place.outside().display().to_string();
    let names = ["getppid", "openat", "mkdirat", "clone"];
    let session = Session::new(&names, SMALLEST);
    let child = session.start(true, &["fixed", &folder]);
    let seen = session.read_late(child);
    let counted = names.map(|name| seen.counted(0, name));
    assert_eq!(counted, [1000, 100, 50, 20]);
    let of = |name: &str| {
        let call = harness::number(name);
        seen.counts[&stockade_abi::CountKey { action: 0, call }]
    };
    let failed = names.map(|name| of(name).failed);
    assert_eq!(failed, [0, 100, 50, 0]);
    for name in names {
        let count = of(name);
        let in_buckets: u64 = count.times.iter().map(|n| u64::from(*n)).sum();
        assert_eq!(in_buckets, count.calls, "{name}");
        assert!(count.time > 0, "{name}");
    }
    // each call, each process that begins, each that ends, and the first one's end
    let made = 1000 + 100 + 50 + 20 + 20 + 20 + 1;
    assert_eq!(seen.tally.kept, seen.records.len() as u64);
    assert!(seen.tally.lost > 1000, "{:?}", seen.tally);
    let missing = made - seen.tally.kept - seen.tally.lost;
    assert!(
        missing <= seen.missed,
        "{missing} of {made}, {:?}",
        seen.tally
    );
    assert_eq!(seen.tally.uncounted, 0);
}

#[test]
fn two_traces_at_once_are_never_mixed() {
    let names = ["getppid"];
    let (one, other) = (Session::new(&names, 1 << 20), Session::new(&names, 1 << 20));
    let of_one = one.start(true, &["actions", "8"]);
    let of_other = other.start(true, &["calls", "3000"]);
    let other = std::thread::spawn(move || other.read(of_other));
    let one = one.read(of_one);
    let other = other.join().unwrap();
    assert_eq!(other.counted(0, "getppid"), 3000);
    assert_eq!(other.calls("getppid").len(), 3000);
    assert!(
        other
            .calls("getppid")
            .iter()
            .all(|c| c.head.process == other.pid)
    );
    assert_eq!(one.total("getppid"), (11..=18).sum::<u64>());
    assert_eq!(one.calls("getppid").len() as u64, (11..=18).sum::<u64>());
    let mut own = one.said("pid");
    own.push(one.pid.into());
    let strange = one.calls("getppid").into_iter();
    let strange: Vec<_> = strange
        .filter(|c| !own.contains(&c.head.process.into()))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    assert_eq!(
        other
            .each()
            .filter(|r| matches!(r, Record::Fork(_)))
            .count(),
        0
    );
}
