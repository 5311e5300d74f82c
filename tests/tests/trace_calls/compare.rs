//! One call of both, field by field.

use crate::strace::{Line, fields, named, number, split, string};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub struct Comparison {
    /// Of strace's run to ours: processes and threads.
    ids: BTreeMap<u32, u32>,
    /// Of the thread that is compared, where it has another.
    root: Option<Vec<u8>>,
    /// Whether ours says of the call that is compared that something of it is cut.
    cut: bool,
    pub calls: usize,
    /// That are equal.
    pub fields: usize,
    /// Addresses and numbers that differ from run to run, of the same kind.
    pub kinds: usize,
    pub names: BTreeSet<String>,
    pub wrong: Vec<String>,
}

/// What one argument came to.
enum Found {
    Equal,
    Kind,
    Wrong(String),
}
use Found::{Equal, Kind, Wrong};

fn equal<T: PartialEq + std::fmt::Debug>(theirs: T, ours: T) -> Found {
    if theirs == ours {
        Equal
    } else {
        Wrong(format!("strace {theirs:?}, stockade {ours:?}"))
    }
}

/// Which strace shows without an argument that means nothing.
const FEWER: &[&str] = &["ioctl"];

/// (call, argument, strace's, ours): the same, said otherwise.
const OTHERWISE: &[(&str, &str, &str, &str)] = &[
    // zero is a name there
    ("remap_file_pages", "flags", "MAP_FILE", "0"),
    // for socket(2) it has the name
    ("socketpair", "protocol", "0", "IPPROTO_IP"),
    // two numbers in one
    (
        "ioprio_set",
        "priority",
        "IOPRIO_PRIO_VALUE(IOPRIO_CLASS_NONE, 0)",
        "0",
    ),
    (
        "quotactl",
        "cmd",
        "QCMD(0xffffff, 0xff)",
        "0xffffffffffffffff",
    ),
    // of sched_setattr(2) alone there
    (
        "sched_setscheduler",
        "policy",
        "0x40000003",
        "SCHED_BATCH|SCHED_RESET_ON_FORK",
    ),
    (
        "kexec_load",
        "flags",
        "KEXEC_ARCH_DEFAULT|KEXEC_ON_CRASH|KEXEC_PRESERVE_CONTEXT|0xfc",
        "0xff",
    ),
];

/// Arguments that the path after them begins at.
const DIRECTORIES: &[&str] = &["dirfd", "olddirfd", "newdirfd", "from", "to"];

/// Names of directories that together are shorter are never cut; what is cut is said.
const KEPT: usize = 2560;

/// (call, path, what strace calls its directory) in trees that are attached nowhere: they have no absolute path.
const DETACHED: &[(&str, &str, &str)] = &[
    ("openat", "new", "/"),
    ("mount_setattr", "", "/"),
    ("move_mount", "", "/"),
    ("openat", "deeper", "/sub"),
];

/// Results that differ from run to run.
const OWN_RESULT: &[&str] = &[
    "brk",
    "mmap",
    "mremap",
    "time",
    "times",
    "getsid",
    "getpgid",
    "getpgrp",
    "getppid",
    "clock_gettime",
];

impl Comparison {
    pub fn new(ids: BTreeMap<u32, u32>) -> Self {
        Self {
            ids,
            root: None,
            cut: false,
            calls: 0,
            fields: 0,
            kinds: 0,
            names: BTreeSet::new(),
            wrong: Vec::new(),
        }
    }

    pub fn call(&mut self, line: &Line, event: &Value) {
        self.calls += 1;
        self.cut = event["cut"] == true;
        self.names.insert(line.call.clone());
        let result = self.result(line, event);
        self.found(line, "result", result);
        let ours = event["arguments"].as_array().expect("arguments");
        let theirs = self.arguments(line);
        if theirs.len() != ours.len() && !FEWER.contains(&line.call.as_str()) {
            let text = format!("{} arguments, ours {}", theirs.len(), ours.len());
            self.found(line, "arguments", Wrong(text));
            return;
        }
        let mut base = None;
        for (theirs, ours) in theirs.iter().zip(ours) {
            let name = ours["name"].as_str().expect("a name");
            let (_, path) = named(theirs);
            for found in self.argument(line, theirs, ours, base.take()) {
                self.found(line, name, found);
            }
            base = path.filter(|_| DIRECTORIES.contains(&name));
        }
        if line.call == "chroot" && event["result"] == 0 {
            let root = ours[0]["path"]["absolute"].as_str();
            self.root = root.map(|root| root.as_bytes().into());
        }
    }

    pub fn next_thread(&mut self) {
        self.root = None;
    }

    /// What ours should say of a path from a directory that strace names as it sees it.
    fn absolute(&self, call: &str, text: &[u8], base: Vec<u8>) -> Option<Vec<u8>> {
        if text.first() == Some(&b'/') {
            return Some(text.into());
        }
        let is = |d: &&(&str, &str, &str)| {
            d.0 == call && d.1.as_bytes() == text && d.2.as_bytes() == base
        };
        if self.cut && base.len() > KEPT {
            return None;
        }
        if DETACHED.iter().any(|d| is(&d)) {
            return None;
        }
        let base = match &self.root {
            Some(root) => base.strip_prefix(root.as_slice())?.into(),
            None => base,
        };
        Some(match (text, base.as_slice()) {
            (b"", _) => base,
            (_, b"/") => [b"/", text].concat(),
            _ => [&base, &b"/"[..], text].concat(),
        })
    }

    fn found(&mut self, line: &Line, what: &str, found: Found) {
        match found {
            Equal => self.fields += 1,
            Kind => self.kinds += 1,
            Wrong(why) => self.wrong.push(format!("{}: {what}: {why}", line.text)),
        }
    }

    /// In the order of the kernel's.
    fn arguments(&self, line: &Line) -> Vec<String> {
        if line.call != "clone" {
            return line.arguments.clone();
        }
        let named: BTreeMap<_, _> = line
            .arguments
            .iter()
            .filter_map(|a| a.split_once('='))
            .collect();
        let of = |name| {
            named
                .get(name)
                .map_or_else(|| "0".into(), ToString::to_string)
        };
        vec![
            of("flags"),
            of("child_stack"),
            of("parent_tid"),
            of("child_tidptr"),
            of("tls"),
        ]
    }

    fn id(&self, theirs: i128, ours: i128) -> bool {
        let of = |n| u32::try_from(n).ok();
        theirs == ours || of(theirs).and_then(|n| self.ids.get(&n).copied()) == of(ours)
    }

    fn result(&self, line: &Line, event: &Value) -> Found {
        let (theirs, ours) = (line.result.as_deref(), event["result"].as_i64());
        let (Some(theirs), Some(ours)) = (theirs, ours) else {
            return equal(theirs.is_some(), ours.is_some());
        };
        let first = theirs.split([' ', '<']).next().unwrap_or_default();
        if first == "-1" || first == "?" {
            let errno = theirs.split(' ').nth(1).unwrap_or_default();
            return equal(errno, event["errno"].as_str().unwrap_or("none"));
        }
        let Some(first) = number(first) else {
            return Wrong(format!("what is {theirs}"));
        };
        let first = if first > i64::MAX.into() {
            first - (1 << 64)
        } else {
            first
        };
        if self.id(first, ours.into()) {
            return Equal;
        }
        if OWN_RESULT.contains(&line.call.as_str()) && (first > 0) == (ours > 0) {
            return Kind;
        }
        equal(first, ours.into())
    }

    fn argument(
        &self,
        line: &Line,
        theirs: &str,
        ours: &Value,
        base: Option<Vec<u8>>,
    ) -> Vec<Found> {
        let object = ours.as_object().expect("an argument");
        let (kind, value) = object
            .iter()
            .find(|(key, _)| *key != "name")
            .expect("a value");
        let name = ours["name"].as_str().unwrap_or_default();
        let otherwise = |o: &&(&str, &str, &str, &str)| {
            (o.0, o.1, o.2) == (line.call.as_str(), name, theirs) && value == o.3
        };
        if OTHERWISE.iter().any(|o| otherwise(&o)) {
            return vec![Equal];
        }
        match kind.as_str() {
            "path" => return self.path(line, theirs, value, base),
            "fields" => return self.fields_of(theirs, value),
            "strings" => return vec![strings(theirs, value)],
            "address" => return address(theirs, value),
            _ => {}
        }
        vec![match kind.as_str() {
            "number" | "unsigned" => self.number(theirs, value),
            "descriptor" => {
                let (number, _) = named(theirs);
                equal(number, &value.to_string())
            }
            "descriptors" => {
                let within = theirs.trim_start_matches('[').trim_end_matches(']');
                let all = split(within);
                let all: Vec<&str> = all.iter().map(|d| named(d).0).collect();
                equal(format!("[{}]", all.join(",")), value.to_string())
            }
            "pointer" | "unreadable" => pointer(theirs, value),
            "text" | "bytes" => match string(theirs) {
                Some(text) => equal(shown(&text), value.as_str().unwrap_or_default().into()),
                None => Wrong(format!("strace {theirs}, stockade {value}")),
            },
            "mode" => equal(mode(theirs), value.as_u64()),
            "flags" => flags(named(theirs).0, value.as_str().unwrap_or_default()),
            _ => Wrong(format!("an unknown kind: {kind}")),
        }]
    }

    fn path(&self, line: &Line, theirs: &str, ours: &Value, base: Option<Vec<u8>>) -> Vec<Found> {
        // longer than any path may be
        let theirs = theirs.strip_suffix("...").unwrap_or(theirs);
        let Some(text) = string(theirs) else {
            return vec![Wrong(format!("strace {theirs}, stockade {ours}"))];
        };
        let is = ours["text"].as_str().unwrap_or_default();
        let mut found = vec![equal(shown(&text), is.into())];
        if base.as_ref().is_some_and(|b| b.starts_with(b"/proc/")) {
            found.push(Kind);
        } else if let Some(base) = base {
            let absolute = self.absolute(&line.call, &text, base).map(|a| shown(&a));
            let is = ours["absolute"].as_str().map(String::from);
            found.push(equal(absolute, is));
        }
        found
    }

    fn number(&self, theirs: &str, ours: &Value) -> Found {
        let ours = ours
            .as_i64()
            .map_or_else(|| ours.as_u64().map(i128::from), |n| Some(n.into()));
        // before and after
        let theirs = theirs.split(" => ").next().unwrap_or_default();
        let theirs_is = match theirs.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            Some(within) => status(within),
            None => number(theirs),
        };
        match (theirs_is, ours) {
            (Some(a), Some(b)) if self.id(a, b) => Equal,
            (a, b) => Wrong(format!("strace {theirs} ({a:?}), stockade {b:?}")),
        }
    }

    /// Fields that strace shows too: it leaves out some that are zero.
    fn fields_of(&self, theirs: &str, ours: &Value) -> Vec<Found> {
        let ours = ours.as_array().expect("fields");
        let bracketed = theirs.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        if let Some(within) = bracketed.filter(|w| !w.starts_with('{')) {
            return before_and_after(within, ours);
        }
        if theirs.starts_with('[') || theirs.starts_with("{it_interval=") {
            return vec![times(theirs, ours)];
        }
        // less of it than there should be, which strace does not look at
        if theirs.starts_with("0x") && ours.len() < 3 {
            return vec![Kind];
        }
        let before = theirs.split(" => ").next().unwrap_or_default();
        let all = fields(before);
        let found: Vec<Found> = ours.iter().filter_map(|f| field(f, &all)).collect();
        if found.is_empty() {
            return vec![Wrong(format!("strace {theirs}, stockade {ours:?}"))];
        }
        found
    }
}

fn field(ours: &Value, theirs: &BTreeMap<String, String>) -> Option<Found> {
    let name = ours["name"].as_str()?;
    let theirs = theirs.get(their_name(name))?;
    let (kind, value) = ours.as_object()?.iter().find(|(k, _)| *k != "name")?;
    Some(match kind.as_str() {
        "flags" if theirs.starts_with('{') => {
            let data = fields(theirs).remove("u64").unwrap_or_default();
            flags(&data, value.as_str()?)
        }
        "flags" => flags(theirs, value.as_str()?),
        "mode" => equal(mode(theirs), value.as_u64()),
        "pointer" => pointer(theirs, value),
        _ => {
            let signed = value.as_i64().map(i128::from);
            equal(number(theirs), signed.or(value.as_u64().map(i128::from)))
        }
    })
}

/// Seconds and parts of them, in the order in which they lie.
fn times(theirs: &str, ours: &[Value]) -> Found {
    let part = |p: &str| number(p.trim_end_matches(['}', ']', ',', ' ']));
    let words = theirs.split(['=', ',', ' ']).filter_map(part);
    let ours = ours
        .iter()
        .filter_map(|f| f["number"].as_i64().map(i128::from));
    equal(words.collect::<Vec<_>>(), ours.collect())
}

fn their_name(ours: &str) -> &str {
    match ours {
        "current" => "rlim_cur",
        "maximum" => "rlim_max",
        "seconds" => "tv_sec",
        "nanoseconds" => "tv_nsec",
        "microseconds" => "tv_usec",
        "type" => "l_type",
        "whence" => "l_whence",
        "start" => "l_start",
        "length" => "l_len",
        "set" => "attr_set",
        "clear" => "attr_clr",
        "handler" => "sa_handler",
        "files" => "handled_access_fs",
        "allowed" => "allowed_access",
        "parent" => "parent_fd",
        other => other,
    }
}

/// `128 => 16`
fn before_and_after(theirs: &str, ours: &[Value]) -> Vec<Found> {
    let theirs: Vec<Option<i128>> = theirs.split(" => ").map(number).collect();
    let mut all: Vec<Option<i128>> = ours
        .iter()
        .map(|f| f["number"].as_i64().map(i128::from))
        .collect();
    // strace shows one where both are the same
    if theirs.len() == 1 && all.len() == 2 && all[0] == all[1] {
        all.pop();
    }
    vec![equal(theirs, all)]
}

/// `{WIFEXITED(s) && WEXITSTATUS(s) == 4}` as the kernel says it.
fn status(text: &str) -> Option<i128> {
    if let Some(exited) = text.strip_prefix("{WIFEXITED(s) && WEXITSTATUS(s) == ") {
        return Some(number(exited.trim_end_matches('}'))? << 8);
    }
    number(text)
}

/// As a JSON string shows bytes.
fn shown(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.into();
    }
    let part = |chunk: std::str::Utf8Chunk<'_>| {
        let invalid: String = chunk
            .invalid()
            .iter()
            .map(|b| format!("\\x{b:02x}"))
            .collect();
        chunk.valid().replace('\\', "\\\\") + &invalid
    };
    bytes.utf8_chunks().map(part).collect()
}

/// Both lead nowhere, or somewhere.
fn pointer(theirs: &str, ours: &Value) -> Found {
    let ours = ours.as_u64().expect("an address");
    let theirs_is = match theirs {
        "SIG_DFL" => Some(0),
        "SIG_IGN" => Some(1),
        theirs => number(theirs),
    };
    match theirs_is {
        // of the program's own, and of no memory
        Some(n) if n < 65536 || ours < 65536 => equal(n, ours.into()),
        None if ours == 0 => Wrong(format!("strace {theirs}, stockade NULL")),
        _ => Kind,
    }
}

fn mode(theirs: &str) -> Option<u64> {
    let one = |part: &str| match part {
        "S_IFIFO" => Some(0o010_000),
        "S_IFREG" => Some(0o100_000),
        "S_ISVTX" => Some(0o1000),
        "S_ISUID" => Some(0o4000),
        part => number(part).and_then(|n| u64::try_from(n).ok()),
    };
    theirs.split('|').map(one).sum()
}

fn flags(theirs: &str, ours: &str) -> Found {
    if theirs == ours {
        return Equal;
    }
    let set = |text: &str| -> BTreeSet<String> {
        let part = |p: &str| number(p).map_or_else(|| p.into(), |n| n.to_string());
        text.split('|').map(part).collect()
    };
    if set(theirs) == set(ours) {
        return Equal;
    }
    // a pointer, or what it leads to
    let leads = |text: &str| text.starts_with('[') || number(text).is_some_and(|n| n > 65536);
    if leads(theirs) && number(ours).is_some_and(|n| n > 65536) {
        return Kind;
    }
    Wrong(format!("strace {theirs}, stockade {ours}"))
}

fn strings(theirs: &str, ours: &Value) -> Found {
    let within = theirs.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let all = split(within.unwrap_or_default());
    let all: Option<Vec<String>> = all.iter().map(|s| string(s).map(|s| shown(&s))).collect();
    let ours: Vec<String> = serde_json::from_value(ours.clone()).expect("strings");
    equal(all, Some(ours))
}

fn address(theirs: &str, ours: &Value) -> Vec<Found> {
    // of a struct msghdr, or of the first of several
    let theirs = match theirs.find("msg_name=") {
        Some(at) => split(&theirs[at + "msg_name=".len()..]).swap_remove(0),
        None => theirs.to_owned(),
    };
    let all = fields(&theirs);
    let get = |name: &str| all.get(name).cloned().unwrap_or_default();
    let different = || Wrong(format!("strace {theirs}, stockade {ours}"));
    let Some((kind, is)) = ours.as_object().and_then(|o| o.iter().next()) else {
        let same = ours == "unnamed" && all.len() == 1 && get("sa_family") == "AF_UNIX";
        return vec![if same { Equal } else { different() }];
    };
    let host = is["host"].as_str().unwrap_or_default();
    let text = |of: &Value| of.as_str().map(String::from);
    match kind.as_str() {
        "inet" => vec![
            port(&get("sin_port"), is),
            equal(get("sin_addr"), format!("inet_addr(\"{host}\")")),
        ],
        // the macro has the field's name within
        "inet6" => vec![
            port(&get("sin6_port"), is),
            if theirs.contains(&format!("inet_pton(AF_INET6, \"{host}\", &sin6_addr)")) {
                Equal
            } else {
                different()
            },
        ],
        "unix" => vec![equal(
            string(&get("sun_path")).map(|p| shown(&p)),
            text(&is["path"]),
        )],
        "abstract" => {
            let name = get("sun_path").strip_prefix('@').and_then(string);
            vec![equal(name.map(|p| shown(&p)), text(&is["name"]))]
        }
        "netlink" => vec![
            equal(
                number(&get("nl_groups")),
                is["groups"].as_i64().map(i128::from),
            ),
            if (get("nl_pid") == "0") == (is["pid"] == 0) {
                Kind
            } else {
                different()
            },
        ],
        _ => vec![different()],
    }
}

/// Those that the kernel gave differ.
fn port(theirs: &str, ours: &Value) -> Found {
    let number = theirs
        .strip_prefix("htons(")
        .and_then(|t| t.strip_suffix(')'));
    let theirs = number.and_then(|n| n.parse::<u64>().ok());
    match (theirs, ours["port"].as_u64()) {
        (Some(32768..), Some(32768..)) => Kind,
        (theirs, ours) => equal(theirs, ours),
    }
}
