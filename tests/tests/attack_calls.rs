//! Every system call there is, and every one that is refused again with bits that the kernel does not
//! read: what the filter's lists say is what is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use stockade_tests::{LEVELS, Place, text};

const ATTACK: &str = env!("CARGO_BIN_EXE_attack");

const ALLOWED: &str = include_str!("../../supervisor/enforce/src/backend/seccomp/allowed.txt");
const REFUSED: &str = include_str!("../../supervisor/enforce/src/backend/seccomp/refused.txt");
const NUMBERS: &str = include_str!("../../supervisor/enforce/src/backend/seccomp/numbers.txt");

/// Refused by the presets, or answered by what the kernel itself asks for, whatever the arguments are.
const OTHERWISE: &[(&str, &str, &str)] = &[
    ("unshare", "EPERM", "EPERM"),
    // with no type there is no socket; of all ones the family is no number that is there
    ("socket", "EPERM", "ENOSYS"),
    // CAP_SETGID
    ("setgroups", "EPERM", "EPERM"),
];

/// Objects with numbers or names that processes of the same user share where no ipc namespace is.
const SHARED: &[&str] = &[
    "mq_open",
    "mq_unlink",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
];

/// uprobe(2): the kernel lets it past (kernel/seccomp.c), and it does nothing but from a probe of the kernel's own.
const PAST_EVERY_FILTER: &[i64] = if cfg!(target_arch = "x86_64") {
    &[335, 336]
} else {
    &[]
};

/// What a kernel may lack: natively ENOSYS too.
fn lacks(call: i64) -> bool {
    let out = Command::new(ATTACK)
        .args(["numbers", &call.to_string()])
        .output();
    text(&out.unwrap()).contains(" ENOSYS ENOSYS")
}

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.lines()
        .map(|l| l.split('#').next().unwrap().trim())
        .filter(|l| !l.is_empty())
}

fn numbers() -> BTreeMap<&'static str, i64> {
    let column = if cfg!(target_arch = "x86_64") { 1 } else { 2 };
    let pair = |line: &'static str| {
        let words: Vec<_> = line.split(' ').collect();
        Some((words[0], words[column].parse().ok()?))
    };
    names(NUMBERS).filter_map(pair).collect()
}

fn confined(level: &str, words: &[&str]) -> String {
    // several at once, each with a place of its own
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let place = Place::new(&format!("calls-{}", COUNT.fetch_add(1, Relaxed)));
    let own = [
        "run",
        "--quiet",
        "--require",
        level,
        "--allow-read",
        ATTACK,
        "--",
        ATTACK,
    ];
    let out = place.stockade(&[&own, words].concat());
    assert_eq!(out.status.code(), Some(0), "{level}: {}", text(&out));
    text(&out)
}

fn expected(name: &str, level: &str) -> Option<[&'static str; 2]> {
    let otherwise = OTHERWISE.iter().find(|(n, _, _)| *n == name);
    if let Some((_, zeros, ones)) = otherwise {
        return Some([zeros, ones]);
    }
    let shared = level == "landlock" && SHARED.contains(&name);
    (shared || names(REFUSED).any(|n| n == name)).then_some(["EPERM", "EPERM"])
}

#[test]
fn every_number_is_answered_as_the_lists_say() {
    let numbers = numbers();
    let by_number: BTreeMap<i64, &str> = numbers.iter().map(|(name, n)| (*n, *name)).collect();
    let allowed: BTreeSet<&str> = names(ALLOWED).collect();
    let unix_by_landlock = stockade_tests::doctor()["facts"]["landlock_abi"]
        .as_u64()
        .unwrap()
        >= 9;
    for level in LEVELS {
        let said = confined(level, &["numbers", "0:600"]);
        let mut wrong = Vec::new();
        let (mut let_through, mut refused) = (0, 0);
        for line in said.lines() {
            let words: Vec<_> = line.split(' ').collect();
            let [number, zeros, ones] = words[..] else {
                panic!("{line}")
            };
            let number: i64 = number.parse().unwrap();
            let name = by_number.get(&number).copied().unwrap_or("");
            let answers = [zeros, ones];
            let good = match expected(name, level) {
                Some(expected) => {
                    refused += 1;
                    answers == expected
                }
                // of no type: it could send datagrams to any name, where that is not Landlock's (ABI 9)
                None if name == "socketpair" && level == "landlock" => {
                    unix_by_landlock || answers == ["EPERM"; 2]
                }
                None if allowed.contains(name) => {
                    let_through += 1;
                    answers.contains(&"let") || lacks(number)
                }
                None => answers == ["ENOSYS"; 2] || PAST_EVERY_FILTER.contains(&number),
            };
            if !good {
                wrong.push(format!("{level} {name} {line}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(let_through > 200 && refused > 50, "{level}: {said}");
    }
}

/// Each of them does what it does where no filter is, or says that the user has no right to: what else is
/// refused inside could be the kernel's own word.
#[test]
fn what_is_refused_inside_is_known_to_the_kernel() {
    let numbers = numbers();
    let mut said = BTreeSet::new();
    for name in [
        "mount",
        "setns",
        "bpf",
        "add_key",
        "io_uring_setup",
        "name_to_handle_at",
        "personality",
    ] {
        let number = numbers[name].to_string();
        let out = Command::new(ATTACK).args(["numbers", &number]).output();
        said.insert(
            text(&out.unwrap())
                .split(' ')
                .nth(2)
                .unwrap()
                .trim()
                .to_owned(),
        );
        let inside = confined("landlock", &["numbers", &number]);
        assert!(inside.ends_with(" EPERM EPERM\n"), "{name}: {inside}");
    }
    assert!(said.contains("let"), "{said:?}");
}

/// The kernel reads 32 bits of the number; a number of x32 is another architecture's.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_number_of_x32_ends_the_process() {
    for level in LEVELS {
        let said = confined(level, &["numbers", "1073741824:1073742500"]);
        assert_eq!(said.lines().count(), 677);
        let wrong: Vec<_> = said
            .lines()
            .filter(|l| !l.ends_with(" SIGSYS SIGSYS"))
            .collect();
        assert!(wrong.is_empty(), "{level}: {wrong:?}");
        // and one that is no number at all does not
        assert_eq!(
            confined(level, &["numbers", "4096"]),
            "4096 ENOSYS ENOSYS\n"
        );
    }
}

#[test]
fn a_refused_call_is_refused_whatever_its_high_bits_are() {
    let numbers = numbers();
    for level in LEVELS {
        let all = names(REFUSED).chain(["unshare"]);
        let shared = SHARED.iter().copied().filter(|_| level == "landlock");
        let calls = all.chain(shared).filter_map(|name| numbers.get(name));
        let calls: Vec<String> = calls.map(ToString::to_string).collect();
        assert!(calls.len() > 50);
        let mut words = vec!["refused"];
        words.extend(calls.iter().map(String::as_str));
        let expected: String = calls.iter().map(|call| format!("{call} done\n")).collect();
        assert_eq!(confined(level, &words), expected, "{level}");
    }
}

#[test]
fn a_compared_argument_is_compared_whatever_its_high_bits_are() {
    let native = Command::new(ATTACK).arg("compared").output().unwrap();
    let native = text(&native);
    assert!(native.lines().count() > 20, "{native}");
    assert!(native.lines().all(|l| l.ends_with(" let let")), "{native}");
    for level in LEVELS {
        let said = confined(level, &["compared"]);
        assert_eq!(said.lines().count(), native.lines().count());
        for line in said.lines() {
            // whose process it is counts only where there are others
            let others = line.starts_with("others-") && level == "namespaces";
            let answers = if others { " let let" } else { " EPERM let" };
            assert!(line.ends_with(answers), "{level}: {line}");
        }
    }
}
