//! What a system call attempts, and on what.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use stockade_events::{Address, Argument, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Asks what is there, and opens nothing.
    Look,
    Read,
    Write,
    Create,
    Remove,
    Metadata,
    Exec,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt<'a> {
    File {
        operation: Operation,
        path: PathBuf,
        /// Whether a link as its last name is followed.
        follow: bool,
    },
    Move {
        link: bool,
        from: PathBuf,
        to: PathBuf,
    },
    Connect {
        address: &'a Address,
        datagram: bool,
    },
    Process {
        id: i64,
        ptrace: bool,
    },
}

const LOOKS: &[(&str, bool)] = &[
    ("stat", true),
    ("lstat", false),
    ("newfstatat", true),
    ("statx", true),
    ("access", true),
    ("faccessat", true),
    ("faccessat2", true),
    ("readlink", false),
    ("readlinkat", false),
    ("chdir", true),
    ("statfs", true),
    ("getxattr", true),
    ("lgetxattr", false),
    ("listxattr", true),
    ("llistxattr", false),
    ("inotify_add_watch", true),
];

const METADATA: &[(&str, bool)] = &[
    ("chmod", true),
    ("fchmodat", true),
    ("fchmodat2", true),
    ("chown", true),
    ("lchown", false),
    ("fchownat", true),
    ("utime", true),
    ("utimes", true),
    ("futimesat", true),
    ("utimensat", true),
    ("setxattr", true),
    ("lsetxattr", false),
    ("removexattr", true),
    ("lremovexattr", false),
];

/// (call, operation, whether the last link is followed)
const OTHERS: &[(&str, Operation, bool)] = &[
    ("truncate", Operation::Write, true),
    ("mkdir", Operation::Create, false),
    ("mkdirat", Operation::Create, false),
    ("mknod", Operation::Create, false),
    ("mknodat", Operation::Create, false),
    ("symlink", Operation::Create, false),
    ("symlinkat", Operation::Create, false),
    ("unlink", Operation::Remove, false),
    ("unlinkat", Operation::Remove, false),
    ("rmdir", Operation::Remove, false),
    ("execve", Operation::Exec, true),
    ("execveat", Operation::Exec, true),
];

/// In the order in which the kernel comes to them; none where the call names no object that a rule is about.
pub fn attempts<'a>(call: &str, arguments: &'a [Argument]) -> Vec<Attempt<'a>> {
    match call {
        "open" | "openat" | "openat2" | "creat" => opens(call, arguments),
        "rename" | "renameat" | "renameat2" | "link" | "linkat" => {
            let [from, to] = paths(arguments).try_into().unwrap_or_default();
            let link = call.starts_with("link");
            if from == PathBuf::new() || to == PathBuf::new() {
                return Vec::new();
            }
            vec![Attempt::Move { link, from, to }]
        }
        "connect" | "sendto" | "sendmsg" => arguments
            .iter()
            .filter_map(|a| match &a.value {
                Value::Address(address) => Some(Attempt::Connect {
                    address,
                    datagram: call != "connect",
                }),
                _ => None,
            })
            .collect(),
        "kill" | "ptrace" => process(call, arguments).into_iter().collect(),
        _ => file(call, arguments).into_iter().collect(),
    }
}

fn file<'a>(call: &str, arguments: &[Argument]) -> Option<Attempt<'a>> {
    let of = |operation| {
        move |(name, follow): &(&str, bool)| (*name == call).then_some((operation, *follow))
    };
    let looks = LOOKS.iter().find_map(of(Operation::Look));
    let metadata = METADATA.iter().find_map(of(Operation::Metadata));
    let other = OTHERS.iter().find(|o| o.0 == call).map(|o| (o.1, o.2));
    let (operation, follow) = looks.or(metadata).or(other)?;
    let at = flags(arguments);
    // an empty path is about a descriptor that was opened before
    let path = paths(arguments).into_iter().next()?;
    Some(Attempt::File {
        operation,
        path,
        follow: follow && !at.iter().any(|f| f.ends_with("SYMLINK_NOFOLLOW")),
    })
}

fn opens<'a>(call: &str, arguments: &[Argument]) -> Vec<Attempt<'a>> {
    let Some(path) = paths(arguments).into_iter().next() else {
        return Vec::new();
    };
    let flags = flags(arguments);
    let has = |name: &str| flags.contains(&name);
    let creates = call == "creat" || has("O_CREAT");
    let follow = !(has("O_NOFOLLOW") || creates && has("O_EXCL"));
    let writes = ["O_WRONLY", "O_RDWR", "O_TRUNC", "O_TMPFILE"]
        .into_iter()
        .any(has)
        || call == "creat";
    let mut operations = Vec::new();
    if has("O_PATH") {
        operations.push(Operation::Look);
    } else {
        if creates {
            operations.push(Operation::Create);
        }
        // neither for reading nor for writing, yet it may be cut
        if !has("O_WRONLY") && call != "creat" {
            operations.push(Operation::Read);
        }
        if writes {
            operations.push(Operation::Write);
        }
    }
    operations
        .into_iter()
        .map(|operation| Attempt::File {
            operation,
            path: path.clone(),
            follow,
        })
        .collect()
}

fn process<'a>(call: &str, arguments: &[Argument]) -> Option<Attempt<'a>> {
    let ptrace = call == "ptrace";
    let id = number(arguments.get(usize::from(ptrace))?)?;
    (id > 0).then_some(Attempt::Process { id, ptrace })
}

pub fn number(argument: &Argument) -> Option<i64> {
    match &argument.value {
        Value::Number(n) => Some(*n),
        Value::Unsigned(n) | Value::Pointer(n) => {
            Some(i64::from(u32::try_from(*n).ok()?.cast_signed()))
        }
        Value::Descriptor(n) => Some((*n).into()),
        _ => None,
    }
}

fn flags(arguments: &[Argument]) -> Vec<&str> {
    arguments.iter().flat_map(names).collect()
}

fn names(argument: &Argument) -> Vec<&str> {
    match &argument.value {
        Value::Flags(text) => text.split('|').collect(),
        // of openat2
        Value::Fields(fields) => flags(fields),
        _ => Vec::new(),
    }
}

/// Absolute ones, as the session sees them.
fn paths(arguments: &[Argument]) -> Vec<PathBuf> {
    let path = |argument: &Argument| match &argument.value {
        Value::Path(path) if !path.text.0.is_empty() => {
            let absolute = path.absolute.as_ref()?;
            let name = OsString::from_vec(absolute.0.clone());
            absolute.0.starts_with(b"/").then(|| name.into())
        }
        _ => None,
    };
    arguments.iter().filter_map(path).collect()
}
