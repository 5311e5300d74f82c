//! strace(1)'s classes of system calls.

use stockade_events::calls::{self, Class, TABLE};

/// Those whose calls are decoded say it themselves.
const DECODED: &[(&str, Class)] = &[
    ("%file", Class::File),
    ("%desc", Class::Descriptor),
    ("%network", Class::Network),
    ("%process", Class::Process),
];

/// The others by name; a name that this architecture does not have is none of its calls.
const NAMED: &[(&str, &str)] = &[
    (
        "%signal",
        "kill tkill tgkill pidfd_send_signal pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo \
         rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sigaltstack signalfd signalfd4",
    ),
    (
        "%ipc",
        "msgctl msgget msgrcv msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget",
    ),
    (
        "%memory",
        "brk get_mempolicy io_destroy io_setup io_uring_register madvise map_shadow_stack mbind migrate_pages mincore \
         mlock mlock2 mlockall mmap move_pages mprotect mremap mseal msync munlock munlockall munmap pkey_mprotect \
         process_madvise remap_file_pages set_mempolicy set_mempolicy_home_node shmat shmdt",
    ),
    (
        "%creds",
        "capget capset getegid geteuid getgid getgroups getresgid getresuid getuid prctl setfsgid setfsuid setgid \
         setgroups setregid setresgid setresuid setreuid setuid",
    ),
    (
        "%clock",
        "adjtimex clock_adjtime clock_getres clock_gettime clock_settime gettimeofday settimeofday time",
    ),
    (
        "%pure",
        "getegid geteuid getgid getpgrp getpid getppid gettid getuid",
    ),
    ("%stat", "stat"),
    ("%lstat", "lstat"),
    ("%fstat", "fstat newfstatat statx"),
    ("%%stat", "stat lstat fstat newfstatat statx"),
    ("%statfs", "statfs"),
    ("%fstatfs", "fstatfs"),
    ("%%statfs", "statfs fstatfs ustat"),
];

pub fn names() -> impl Iterator<Item = &'static str> {
    let decoded = DECODED.iter().map(|(name, _)| *name);
    decoded.chain(NAMED.iter().map(|(name, _)| *name))
}

/// The older names have no sign, and only these classes have one.
fn modern(name: &str) -> &str {
    match name {
        "file" => "%file",
        "desc" => "%desc",
        "network" | "%net" => "%network",
        "process" => "%process",
        "signal" => "%signal",
        "ipc" => "%ipc",
        "memory" => "%memory",
        name => name,
    }
}

/// The numbers of a class's calls; none where there is no such class.
pub fn members(name: &str) -> Option<Box<dyn Iterator<Item = i64>>> {
    let name = modern(name);
    if let Some((_, class)) = DECODED.iter().find(|(n, _)| *n == name) {
        let of = TABLE.iter().filter(|c| c.classes.contains(class));
        return Some(Box::new(of.map(|c| c.number)));
    }
    let (_, all) = NAMED.iter().find(|(n, _)| *n == name)?;
    let numbers = all.split_whitespace().filter_map(calls::number);
    Some(Box::new(numbers.map(i64::from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_call_and_every_class_has_one() {
        for (class, all) in NAMED {
            assert!(members(class).expect("a class").count() > 0, "{class}");
            for name in all.split_whitespace() {
                // younger than some libseccomp
                let young = ["map_shadow_stack", "mseal", "set_mempolicy_home_node"];
                let known = calls::number(name).is_some() || young.contains(&name);
                assert!(known || cfg!(not(target_arch = "x86_64")), "{class} {name}");
            }
        }
        for (class, _) in DECODED {
            assert!(members(class).expect("a class").count() > 0, "{class}");
        }
        assert!(members("%nothing").is_none() && members("stat").is_none());
    }
}
