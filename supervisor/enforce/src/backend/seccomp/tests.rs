use super::*;
use libseccomp::ScmpArch;

#[test]
fn the_tables_agree_with_each_other_and_with_the_library() {
    for name in names(ALLOWED).chain(names(REFUSED)) {
        assert!(known(name), "{name} has no number");
    }
    assert!(names(ALLOWED).all(|a| names(REFUSED).all(|r| a != r)));
    for (architecture, theirs) in [
        (Architecture::X86_64, ScmpArch::X8664),
        (Architecture::Aarch64, ScmpArch::Aarch64),
    ] {
        let mut checked = 0;
        for (name, number) in numbers(architecture) {
            // an older library may not know it; a negative number says that the call is not there
            match ScmpSyscall::from_name_by_arch(name, theirs) {
                Ok(call) if i32::from(call) >= 0 => {
                    assert_eq!(i32::from(call), number, "{name} on {architecture:?}");
                    checked += 1;
                }
                Ok(_) | Err(_) => {}
            }
        }
        assert!(checked > 250, "{architecture:?}: {checked} of them");
    }
}

fn compiled(cut_by_name: bool) -> Vec<u8> {
    compile(&rules(cut_by_name), &NoFilters).unwrap()
}

fn rules(cut_by_name: bool) -> Rules<'static> {
    Rules {
        user_namespaces: false,
        ptrace: false,
        inet: false,
        netlink: true,
        unix: false,
        own_group: true,
        cut_by_name,
        own_processes: true,
        denied: &[],
    }
}

/// Keeps what it is given, and gives it to whoever asks for the name.
#[derive(Default)]
struct Memory(std::cell::RefCell<BTreeMap<String, Vec<u8>>>);

impl Filters for Memory {
    fn kept(&self, name: &str) -> Option<Vec<u8>> {
        self.0.borrow().get(name).cloned()
    }

    fn keep(&self, name: &str, program: &[u8]) {
        self.0.borrow_mut().insert(name.into(), program.into());
    }
}

#[test]
fn a_program_is_kept_by_everything_that_it_was_made_of() {
    let memory = Memory::default();
    let fresh = compile(&rules(true), &memory).unwrap();
    assert_eq!(fresh, compiled(true));
    let names = || memory.0.borrow().keys().cloned().collect::<Vec<_>>();
    let first = names();
    assert_eq!(first.len(), 1);
    // the name finds it again: what stands there is taken
    memory.keep(&first[0], b"kept");
    assert_eq!(compile(&rules(true), &memory).unwrap(), b"kept");
    // each other rule is another name
    let denied = ["ptrace".to_owned()];
    let others = [
        rules(false),
        Rules {
            user_namespaces: true,
            ..rules(true)
        },
        Rules {
            ptrace: true,
            ..rules(true)
        },
        Rules {
            inet: true,
            ..rules(true)
        },
        Rules {
            netlink: false,
            ..rules(true)
        },
        Rules {
            unix: true,
            ..rules(true)
        },
        Rules {
            own_group: false,
            ..rules(true)
        },
        Rules {
            own_processes: false,
            ..rules(true)
        },
        Rules {
            denied: &denied,
            ..rules(true)
        },
    ];
    for (n, other) in others.iter().enumerate() {
        let program = compile(other, &memory).unwrap();
        assert_eq!(names().len(), n + 2, "{n}");
        assert_eq!(program, compile(other, &NoFilters).unwrap());
        assert_eq!(program, compile(other, &memory).unwrap());
    }
}

pub const EPERM: u32 = 0x0005_0000 | libc::EPERM as u32;
const ENOSYS: u32 = 0x0005_0000 | libc::ENOSYS as u32;
pub const ALLOW: u32 = 0x7fff_0000;

/// What the program answers to a call of this architecture: an interpreter of classic BPF as far as
/// seccomp filters use it, so that the bytes are tested and not what they were made from.
pub fn answer(program: &[u8], name: &str, arguments: [u64; 4]) -> u32 {
    static NUMBERS: std::sync::OnceLock<BTreeMap<&str, i32>> = std::sync::OnceLock::new();
    let all = NUMBERS.get_or_init(|| numbers(Architecture::HOST).collect());
    let number = all.get(name).copied();
    let architecture: u32 = match Architecture::HOST {
        Architecture::X86_64 => 0xc000_003e,
        Architecture::Aarch64 => 0xc000_00b7,
    };
    let mut data = vec![number.unwrap().cast_unsigned(), architecture, 0, 0];
    data.extend(arguments.iter().flat_map(|a| [*a as u32, (a >> 32) as u32]));
    data.resize(16, 0);
    let (mut at, mut a) = (0, 0_u32);
    loop {
        let b = &program[at * 8..at * 8 + 8];
        let code = u16::from_ne_bytes([b[0], b[1]]);
        let k = u32::from_ne_bytes([b[4], b[5], b[6], b[7]]);
        at += 1;
        let mut jump = |holds: bool| at += usize::from(if holds { b[2] } else { b[3] });
        match code {
            0x20 => a = data[k as usize / 4],
            0x54 => a &= k,
            0x05 => at += k as usize,
            0x15 => jump(a == k),
            0x25 => jump(a > k),
            0x35 => jump(a >= k),
            0x45 => jump(a & k != 0),
            0x06 => return k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

/// Every combination of the bits that count, with the high half set and not: the reference is the
/// sentence, the program what libseccomp made of it.
#[test]
fn files_are_opened_cut_and_made_as_the_rules_say() {
    for cut_by_name in [true, false] {
        let program = compiled(cut_by_name);
        let bits = [1, 2, O_TRUNC, 0o100, 0o20_000_000, 0o200, 1 << 32];
        for n in 0..1_u64 << bits.len() {
            let set = bits.iter().enumerate().filter(|(i, _)| n & (1 << i) != 0);
            let flags = set.fold(0, |all, (_, bit)| all | bit);
            for mode in [0, 0o644, 0o4755, 0o2755, 0o6000] {
                let makes = flags & MAKES != 0;
                let opens_to_write = matches!(flags & O_ACCMODE, 1 | 2);
                let cuts = flags & O_TRUNC != 0 && !opens_to_write && !cut_by_name;
                let refused = makes && mode & SET_ID != 0 || cuts;
                let expected = if refused { EPERM } else { ALLOW };
                let said = answer(&program, "openat", [0, 0, flags, mode]);
                assert_eq!(said, expected, "openat {flags:#o} {mode:#o} {cut_by_name}");
                if Architecture::HOST == Architecture::X86_64 {
                    let said = answer(&program, "open", [0, flags, mode, 0]);
                    assert_eq!(said, expected, "open {flags:#o} {mode:#o} {cut_by_name}");
                }
            }
        }
        let expected = if cut_by_name { ALLOW } else { EPERM };
        assert_eq!(answer(&program, "truncate", [0; 4]), expected);
        // by a descriptor that was opened for writing
        assert_eq!(answer(&program, "ftruncate", [0; 4]), ALLOW);
        // its flags are in memory
        assert_eq!(answer(&program, "openat2", [0; 4]), ENOSYS);
    }
}

#[test]
fn a_pair_that_sends_to_names_is_refused() {
    let program = compiled(true);
    for kind in 0..16 {
        for flags in [0, libc::SOCK_CLOEXEC as u64, 1 << 32] {
            let said = answer(&program, "socketpair", [AF_UNIX, kind | flags, 0, 0]);
            let expected = if matches!(kind, 1 | 5) { ALLOW } else { EPERM };
            assert_eq!(said, expected, "{kind} {flags:#x}");
        }
    }
}

#[test]
fn no_file_is_leased() {
    let program = compiled(true);
    let with = |command: u64| answer(&program, "fcntl", [0, command, 0, 0]);
    for high in [0, 1 << 32, u64::MAX << 32] {
        for command in (0..4096).chain((0..32).map(|n| 1 << n)) {
            let expected = if command == F_SETLEASE { EPERM } else { ALLOW };
            assert_eq!(with(high | command), expected, "{command:#x}");
            let more = F_SETLEASE | 0x8000_0000 | command;
            assert_eq!(with(high | more), ALLOW, "{more:#x}");
        }
    }
}
