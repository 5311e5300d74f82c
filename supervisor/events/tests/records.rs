//! Records that are whole, cut, longer than they say, of unknown kinds, out of order, or no records at all.

mod common;

use fastrand::Rng;
use stockade_abi::{
    Call, EXEC_ARGUMENTS, Exec, Exit, Fork, Head, LongText, PIECES, Piece, Uring, kind,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

fn bytes(random: &mut Rng, size: usize) -> Vec<u8> {
    // what hurts is more frequent than chance has it
    const HOSTILE: &[u8] = b"\x1b]0;\x07\x9b\xc2\x9b\xe2\x80\xae/\\\"'\n\0\0\0 a=";
    let mut one = || match random.u8(..4) {
        0 => HOSTILE[random.usize(..HOSTILE.len())],
        1 => random.u8(b'a'..=b'z'),
        _ => random.u8(..),
    };
    (0..size).map(|_| one()).collect()
}

fn any<T: FromBytes>(random: &mut Rng) -> T {
    T::read_from_bytes(&bytes(random, size_of::<T>())).expect("as many as it has")
}

fn head(random: &mut Rng, kind: u16, size: usize) -> Head {
    Head {
        kind,
        flags: random.u16(..128),
        size: u32::try_from(size).expect("small"),
        action: random.u32(..4),
        process: random.u32(..6),
        thread: random.u32(..8),
        padding: 0,
        time: random.u64(..1 << 40),
    }
}

fn plain<T: IntoBytes + Immutable>(value: &T) -> Vec<u8> {
    value.as_bytes().into()
}

/// As the kernel side writes them.
fn whole(random: &mut Rng) -> Vec<u8> {
    match random.u8(..8) {
        0 => {
            let mut record: LongText = any(random);
            record.head = head(random, kind::LONG_TEXT, size_of::<LongText>());
            record.serial = random.u32(..3);
            plain(&record)
        }
        1 => {
            let mut record: Fork = any(random);
            record.head = head(random, kind::FORK, size_of::<Fork>());
            record.parent_process = random.u32(..6);
            plain(&record)
        }
        2 => {
            let mut record: Exec = any(random);
            record.head = head(random, kind::EXEC, size_of::<Exec>());
            record.thread_before = random.u32(..8);
            // seldom more than there is room for
            let most = if random.u8(..10) == 0 {
                2 * EXEC_ARGUMENTS as u64
            } else {
                100
            };
            record.arguments_size = random.u64(..most);
            record.environment_size = random.u64(..most);
            record.file_size = random.u32(..1024);
            plain(&record)
        }
        3 => {
            let mut record: Exit = any(random);
            record.head = head(random, kind::EXIT, size_of::<Exit>());
            plain(&record)
        }
        4 => {
            let mut record: Uring = any(random);
            record.head = head(random, kind::URING, size_of::<Uring>());
            record.operation = random.u32(..80);
            plain(&record)
        }
        _ => call(random),
    }
}

fn call(random: &mut Rng) -> Vec<u8> {
    let count = random.usize(..600);
    let text = bytes(random, count);
    let mut record: Call = any(random);
    record.head = head(random, kind::CALL, size_of::<Call>() + text.len());
    record.call = random.u32(..520);
    record.serial = random.u32(..3);
    record.result = match random.u8(..3) {
        0 => random.i64(-4100..0),
        1 => random.i64(..),
        _ => 0,
    };
    record.pieces = [(); PIECES].map(|()| Piece {
        what: random.u8(..10),
        argument: random.u8(..7),
        size: random.u16(..260),
    });
    [plain(&record), text].concat()
}

/// As nobody writes them.
fn spoilt(random: &mut Rng, mut record: Vec<u8>) -> Vec<u8> {
    match random.u8(..6) {
        0 => record.truncate(random.usize(..=record.len())),
        1 => {
            let more = random.usize(..64);
            record.extend(bytes(random, more));
        }
        2 => {
            for _ in 0..random.usize(1..8) {
                let at = random.usize(..record.len());
                record[at] = random.u8(..);
            }
        }
        3 => {
            // the size that it says
            record[4..8].copy_from_slice(&random.u32(..).to_ne_bytes());
        }
        4 => {
            let size = random.usize(..200);
            record = bytes(random, size);
        }
        _ => {}
    }
    record
}

#[test]
fn whatever_the_records_are_the_output_is_well_formed() {
    let mut random = Rng::with_seed(7);
    let mut made = 0;
    for _ in 0..200 {
        let count = random.usize(1..100);
        let all: Vec<Vec<u8>> = (0..count)
            .map(|_| {
                let record = whole(&mut random);
                if random.bool() {
                    spoilt(&mut random, record)
                } else {
                    record
                }
            })
            .collect();
        let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
        made += all.len();
        common::records(&all);
    }
    assert!(made > 8_000, "{made}");
}

#[test]
fn every_event_is_as_the_schema_says() {
    let schema: serde_json::Value =
        serde_json::from_str(stockade_events::json_schema()).expect("the schema is JSON");
    let schema = jsonschema::draft202012::new(&schema).expect("the schema is one");
    let mut random = Rng::with_seed(11);
    let mut kinds = std::collections::BTreeMap::new();
    for _ in 0..40 {
        let all: Vec<Vec<u8>> = (0..50).map(|_| whole(&mut random)).collect();
        let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
        common::events(&all, |event| {
            let value = serde_json::to_value(event).expect("JSON");
            let wrong: Vec<_> = schema.iter_errors(&value).map(|e| e.to_string()).collect();
            assert_eq!(wrong, Vec::<String>::new(), "{value:#}");
            let kind = value["kind"].as_str().expect("a kind").to_owned();
            *kinds.entry(kind).or_insert(0) += 1;
            // and no more than it says
            let mut more = value.clone();
            more["more"] = 1.into();
            assert!(!schema.is_valid(&more));
            let mut less = value;
            less["pid"].take();
            assert!(!schema.is_valid(&less));
        });
    }
    let seen: Vec<&str> = kinds.keys().map(String::as_str).collect();
    assert_eq!(
        seen,
        [
            "action",
            "call",
            "claim",
            "exec",
            "exit",
            "false_claim",
            "fork",
            "missing",
            "uring"
        ]
    );
}
