use super::decode::absolute;
use super::flags::Set;
use super::flags::files::{AT, OPEN, WHENCE};
use super::flags::network::SOCKET;
use super::flags::processes::CLONE3;
use super::*;
use crate::value::{Address, Bytes};
use std::collections::BTreeSet;

#[test]
fn each_call_has_one_row() {
    let numbers: BTreeSet<i64> = TABLE.iter().map(|c| c.number).collect();
    let names: BTreeSet<&str> = TABLE.iter().map(|c| c.name).collect();
    assert_eq!(numbers.len(), TABLE.len());
    assert_eq!(names.len(), TABLE.len());
    assert!(TABLE.len() >= 320, "{}", TABLE.len());
    assert!(numbers.iter().all(|n| usize::try_from(*n).unwrap() < CALLS));
}

/// The library of system call filters has a table of its own.
#[test]
fn names_and_numbers_belong_together() {
    let mut compared = 0;
    for call in TABLE {
        let known = ScmpSyscall::from_name(call.name).ok();
        let Some(number) = known.map(i32::from).filter(|n| *n >= 0) else {
            continue;
        };
        assert_eq!(i64::from(number), call.number, "{}", call.name);
        compared += 1;
    }
    assert!(compared >= 300, "{compared}");
}

/// What the kernel side has no room for would be shown as a bare pointer.
#[test]
fn every_argument_is_read() {
    for call in TABLE {
        let picks = all_picks(call);
        assert!(picks.len() <= PICKS, "{}", call.name);
        assert!(call.arguments.len() <= 6, "{}", call.name);
        let count = u8::try_from(call.arguments.len()).unwrap();
        for pick in picks {
            assert!(pick.argument < count, "{}", call.name);
            let length = matches!(
                pick.what,
                pick::ADDRESS | pick::ADDRESS_OUT | pick::SIZED_OUT
            );
            assert!(!length || pick.with < count, "{}", call.name);
        }
        for (_, kind) in call.arguments {
            if let Kind::By(cases) = kind {
                assert!(pick(0, cases.otherwise).is_none(), "{}", call.name);
                assert!(cases.argument < count, "{}", call.name);
            }
            if let Kind::Struct(layout) | Kind::StructOf(layout, _) = kind {
                let last = layout.fields.last().unwrap();
                assert!(last.at + last.size <= layout.size, "{}", call.name);
            }
        }
    }
}

#[test]
fn a_length_that_is_pointed_to_is_read_before() {
    for call in TABLE {
        for (_, kind) in call.arguments {
            if let Kind::AddressOut(length) | Kind::SizedOut(length) = kind {
                let (_, of) = call.arguments[usize::from(*length)];
                assert!(matches!(of, Kind::Length), "{}", call.name);
            }
        }
    }
}

fn calls_of(class: Class) -> BTreeSet<&'static str> {
    let of = |c: &&Decoding| c.classes.contains(&class);
    TABLE.iter().filter(of).map(|c| c.name).collect()
}

/// Samples of strace(1)'s own lists, both ways.
#[test]
fn classes_are_those_of_strace() {
    let (file, descriptor) = (calls_of(Class::File), calls_of(Class::Descriptor));
    let (network, process) = (calls_of(Class::Network), calls_of(Class::Process));
    for name in [
        "openat",
        "execve",
        "statx",
        "getcwd",
        "mount",
        "fanotify_mark",
    ] {
        assert!(file.contains(name), "{name}");
    }
    for name in ["read", "fstat", "connect", "mq_open"] {
        assert!(!file.contains(name), "{name}");
    }
    for name in ["openat", "read", "mmap", "epoll_wait", "bpf", "pidfd_open"] {
        assert!(descriptor.contains(name), "{name}");
    }
    for name in ["connect", "execve", "mprotect", "clone"] {
        assert!(!descriptor.contains(name), "{name}");
    }
    for name in ["connect", "sendfile", "accept4", "recvmmsg"] {
        assert!(network.contains(name), "{name}");
    }
    assert!(!network.contains("read") && !network.contains("splice"));
    for name in ["clone", "clone3", "execve", "exit_group", "wait4", "kill"] {
        assert!(process.contains(name), "{name}");
    }
    assert!(!process.contains("getpid") && !process.contains("setpgid"));
}

#[test]
fn flags_are_named_and_the_rest_is_a_number() {
    let text = |set: &Set, raw: libc::c_int| set.text(low_of(raw));
    assert_eq!(text(&OPEN, 0), "O_RDONLY");
    let make = libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC;
    assert_eq!(text(&OPEN, make), "O_WRONLY|O_CREAT|O_CLOEXEC");
    assert_eq!(
        text(&OPEN, libc::O_TMPFILE | libc::O_RDWR),
        "O_RDWR|O_TMPFILE"
    );
    assert_eq!(text(&OPEN, libc::O_DIRECTORY), "O_RDONLY|O_DIRECTORY");
    // three is no way to open
    assert_eq!(text(&OPEN, 3), "0x3");
    assert_eq!(text(&AT, 0), "0");
    assert_eq!(text(&AT, 0x40000), "0x40000");
    assert_eq!(text(&WHENCE, libc::SEEK_END), "SEEK_END");
    assert_eq!(text(&WHENCE, 77), "0x4d");
    let stream = libc::SOCK_STREAM | libc::SOCK_NONBLOCK;
    assert_eq!(text(&SOCKET, stream), "SOCK_STREAM|SOCK_NONBLOCK");
    assert_eq!(CLONE3.text(0x2_0000_0100), "CLONE_VM|CLONE_INTO_CGROUP");
}

fn low_of(raw: libc::c_int) -> u64 {
    u64::from(raw.cast_unsigned())
}

#[test]
fn relative_paths_begin_at_their_directory() {
    let of = |text: &[u8], base: Option<&[u8]>| {
        absolute(text, base).map(|b| String::from_utf8(b).unwrap())
    };
    assert_eq!(of(b"/a/b", None).as_deref(), Some("/a/b"));
    assert_eq!(of(b"a", None), None);
    assert_eq!(
        of(b"a/../b", Some(b"two\0one\0")).as_deref(),
        Some("/one/two/a/../b")
    );
    assert_eq!(of(b"a", Some(b"")).as_deref(), Some("/a"));
    assert_eq!(of(b"", Some(b"two\0one\0")).as_deref(), Some("/one/two"));
    assert_eq!(of(b"", Some(b"")).as_deref(), Some("/"));
    assert_eq!(of(b"/", Some(b"one\0")).as_deref(), Some("/"));
}

#[test]
fn addresses_of_every_family() {
    let of = |family: libc::c_int, rest: &[u8]| {
        let family = u16::try_from(family).unwrap().to_ne_bytes();
        Address::of(&[&family, rest].concat())
    };
    let unix = |path: &[u8]| Address::Unix {
        path: Bytes(path.into()),
        absolute: None,
    };
    assert_eq!(
        of(libc::AF_INET, &[0, 80, 127, 0, 0, 1]),
        Some(Address::Inet {
            host: "127.0.0.1".into(),
            port: 80
        })
    );
    let mut six = [0; 26];
    six[..2].copy_from_slice(&443_u16.to_be_bytes());
    six[21] = 1;
    assert_eq!(
        of(libc::AF_INET6, &six),
        Some(Address::Inet6 {
            host: "::1".into(),
            port: 443
        })
    );
    assert_eq!(of(libc::AF_UNIX, b"/run/s\0"), Some(unix(b"/run/s")));
    assert_eq!(of(libc::AF_UNIX, b"s"), Some(unix(b"s")));
    assert_eq!(of(libc::AF_UNIX, b""), Some(Address::Unnamed));
    let name = Bytes(b"n\0m".to_vec());
    assert_eq!(
        of(libc::AF_UNIX, b"\0n\0m"),
        Some(Address::Abstract { name })
    );
    let netlink = [&[0; 2][..], &7_u32.to_ne_bytes(), &1_u32.to_ne_bytes()].concat();
    assert_eq!(
        of(libc::AF_NETLINK, &netlink),
        Some(Address::Netlink { pid: 7, groups: 1 })
    );
    let bytes = Bytes(b"x".to_vec());
    assert_eq!(
        of(libc::AF_VSOCK, b"x"),
        Some(Address::Other { family: 40, bytes })
    );
    // too short for what they say that they are
    assert_eq!(Address::of(&[1]), None);
    assert_eq!(of(libc::AF_INET, &[0, 80, 127]), None);
    assert_eq!(of(libc::AF_INET6, &six[..12]), None);
    assert_eq!(of(libc::AF_NETLINK, &netlink[..7]), None);
}

/// Whatever the kernel side wrote: pieces of arguments that are none, sizes that lie, text that ends early.
#[test]
fn no_record_is_too_odd_to_be_decoded() {
    use crate::record::{Record, decode};
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let (mut decoded, mut shown) = (0, 0);
    for round in 0..40 {
        for call in TABLE {
            let mut bytes: Vec<u8> = Vec::new();
            while bytes.len() < size_of::<Call>() + round * 40 {
                bytes.extend(random().to_ne_bytes());
            }
            let long = u32::try_from(bytes.len()).unwrap();
            let mut whole = |at: usize, value: &[u8]| {
                bytes[at..at + value.len()].copy_from_slice(value);
            };
            let head = size_of::<stockade_abi::Head>();
            whole(0, &stockade_abi::kind::CALL.to_ne_bytes());
            // not of another architecture
            whole(2, &[0, 0]);
            whole(4, &long.to_ne_bytes());
            whole(head, &u32::try_from(call.number).unwrap().to_ne_bytes());
            // kinds of pieces and arguments that there are, most of the time
            for n in 0..stockade_abi::PIECES {
                let at = size_of::<Call>() - 4 * (stockade_abi::PIECES - n);
                let (what, argument) = ((random() % 10) as u8, (random() % 7) as u8);
                whole(at, &[what, argument, (random() % 64) as u8, 0]);
            }
            let Ok(Record::Call(record, pieces)) = decode(&bytes) else {
                panic!("{bytes:?}");
            };
            let all = arguments(&record, pieces, &[]);
            assert!(all.len() <= call.arguments.len(), "{}", call.name);
            decoded += 1;
            shown += usize::from(!serde_json::to_string(&all).unwrap().is_empty());
        }
    }
    assert_eq!((decoded, shown), (40 * TABLE.len(), 40 * TABLE.len()));
}
