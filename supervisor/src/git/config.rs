//! Keys of a git configuration that make git run programs or send credentials elsewhere.

use super::named;
use crate::finding::Finding;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use stockade_enforce::doubt;

const MAX_SIZE: usize = 1 << 20;
const MAX_BYTES: u64 = MAX_SIZE as u64;

/// Of a value, in a message.
const MAX_SHOWN: usize = 200;

/// Section, key (`*` for any), what git does with it. A subsection may stand in between.
const RISKS: &[(&str, &str, &str)] = &[
    ("alias", "*", "git runs it when it starts with !"),
    ("browser", "*", "git runs it"),
    ("core", "alternaterefscommand", "git runs it"),
    ("core", "askpass", "git runs it and gives it passwords"),
    ("core", "attributesfile", "it names filters that git runs"),
    ("core", "editor", "git runs it"),
    ("core", "fsmonitor", "git runs it at each status"),
    ("core", "gitproxy", "git runs it"),
    ("core", "hookspath", "git runs what is there"),
    ("core", "pager", "git runs it"),
    ("core", "sshcommand", "git runs it at each fetch and push"),
    ("core", "worktree", "it points git at another tree"),
    (
        "credential",
        "*",
        "git runs its helper and gives it passwords",
    ),
    ("diff", "command", "git runs it"),
    ("diff", "external", "git runs it"),
    ("diff", "textconv", "git runs it"),
    ("difftool", "*", "git runs it"),
    (
        "extensions",
        "worktreeconfig",
        "it brings keys from another file",
    ),
    ("filter", "*", "git runs it at checkout and add"),
    ("gc", "recentobjectshook", "git runs it"),
    ("gpg", "*", "git runs its program"),
    ("guitool", "*", "git gui runs it"),
    ("hook", "*", "git runs it"),
    ("http", "proxy", "traffic goes there"),
    ("http", "sslverify", "certificates are not checked"),
    ("http", "extraheader", "it may hold credentials"),
    ("include", "path", "it brings keys from another file"),
    ("includeif", "path", "it brings keys from another file"),
    ("init", "templatedir", "hooks come from there"),
    ("instaweb", "*", "git runs it"),
    ("interactive", "difffilter", "git runs it"),
    ("lfs", "*", "git-lfs runs programs that it names"),
    ("man", "*", "git runs it"),
    ("merge", "driver", "git runs it"),
    ("mergetool", "*", "git runs it"),
    ("pager", "*", "git runs it"),
    ("protocol", "*", "it allows transports that run programs"),
    ("receive", "*", "git runs its hooks"),
    ("remote", "proxy", "traffic goes there"),
    ("remote", "pushurl", "pushes go there"),
    ("remote", "receivepack", "git runs it"),
    ("remote", "uploadpack", "git runs it"),
    ("remote", "url", "fetches and pushes go there"),
    ("remote", "vcs", "git runs it"),
    ("safe", "*", "it lifts a check of git"),
    ("sendemail", "*", "git runs its commands"),
    ("sequence", "editor", "git runs it"),
    ("submodule", "update", "git runs it when it starts with !"),
    ("submodule", "url", "fetches go there"),
    ("tar", "command", "git runs it"),
    ("trailer", "*", "git runs its command"),
    ("uploadpack", "packobjectshook", "git runs it"),
    ("url", "*", "fetches and pushes go there"),
    ("web", "browser", "git runs it"),
];

/// Whether git reads the file as a configuration of a repository or of the user.
fn is_config(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    let in_repository = path.iter().any(|p| p == ".git");
    name == ".gitconfig" || in_repository && matches!(name, "config" | "config.worktree")
}

/// Keys with values in their order, and whether these are all: git refuses a file as a whole that
/// it can't read to the end, and what is read here must not be less than git reads.
#[derive(Debug, PartialEq, Eq)]
struct Entries {
    keys: Vec<(String, String)>,
    whole: bool,
}

fn read(path: &Path) -> Entries {
    let mut bytes = Vec::new();
    // a file that can't be read tells git nothing either
    if let Some(file) = doubt::answer(path, crate::protect::open(path)) {
        doubt::answer(path, file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    }
    let mut found = parse(&String::from_utf8_lossy(&bytes));
    found.whole &= bytes.len() <= MAX_SIZE;
    found
}

/// Every key with its value, in order; `section.subsection.key`.
pub fn all(path: &Path) -> Vec<(String, String)> {
    read(path).keys
}

/// The last value of one key, as git takes it.
pub fn value_of(path: &Path, key: &str) -> Option<String> {
    let found = read(path).keys.into_iter().filter(|(k, _)| k == key);
    found.map(|(_, value)| value).next_back()
}

/// The risky keys with their values; none when it is no configuration.
pub fn keys(path: &Path) -> BTreeMap<String, Vec<String>> {
    let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in read(path).keys {
        if because(&key).is_some() {
            out.entry(key).or_default().push(value);
        }
    }
    // what includes it is asked last: few files have such keys
    if !out.is_empty() && !is_config(path) && !named::reads(path) {
        out.clear();
    }
    out
}

/// Keys that are new, or whose values are; and that there may be more.
pub fn risks(path: &Path, was: &BTreeMap<String, Vec<String>>) -> Vec<Finding> {
    let mut out = Vec::new();
    for (key, values) in keys(path) {
        let fresh: Vec<&String> = values
            .iter()
            .filter(|v| !was.get(&key).is_some_and(|old| old.contains(v)))
            .collect();
        if let (Some(value), Some(because)) = (fresh.last(), because(&key)) {
            let value: String = value.chars().take(MAX_SHOWN).collect();
            let text = format!("{}: {key} = {value} ({because})", path.display());
            out.push(Finding::grave(text));
        }
    }
    if is_config(path) && !read(path).whole {
        out.push(Finding::grave(format!(
            "{}: longer or other than what can be judged, it may make git run programs; look at it before git does",
            path.display()
        )));
    }
    out
}

fn because(key: &str) -> Option<&'static str> {
    let (section, rest) = key.split_once('.')?;
    let name = rest.rsplit_once('.').map_or(rest, |(_, name)| name);
    RISKS
        .iter()
        .find(|(s, k, _)| *s == section && (*k == "*" || *k == name))
        .map(|(_, _, because)| *because)
}

/// What git skips.
const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

/// `section.subsection.key` and value as git reads them (config.c, `git_parse_source`).
fn parse(text: &str) -> Entries {
    // `get_next_char` does so before anything else, even after a backslash
    let text = text.replace("\r\n", "\n");
    let (mut keys, mut section) = (Vec::new(), String::new());
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let whole = loop {
        rest = rest.trim_start_matches(BLANK);
        match rest.chars().next() {
            None => break true,
            Some('#' | ';') => rest = rest.split_once('\n').map_or("", |(_, r)| r),
            Some('[') => match header(&rest[1..]) {
                Some((name, tail)) => (section, rest) = (name, tail),
                None => break false,
            },
            Some(_) => match variable(rest) {
                Some((key, value, tail)) => {
                    keys.push((format!("{section}.{key}"), value));
                    rest = tail;
                }
                None => break false,
            },
        }
    };
    Entries { keys, whole }
}

/// `name "sub"]` or `name.sub]`.
fn header(text: &str) -> Option<(String, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.'))?;
    let (name, mut rest) = text.split_at(end);
    let mut section = name.to_ascii_lowercase();
    rest = rest.trim_start_matches([' ', '\t']);
    if let Some(quoted) = rest.strip_prefix('"') {
        let mut sub = String::new();
        let mut chars = quoted.char_indices();
        rest = loop {
            match chars.next()? {
                (at, '"') => break &quoted[at + 1..],
                (_, '\\') => sub.push(chars.next()?.1),
                (_, '\n') => return None,
                (_, c) => sub.push(c),
            }
        };
        section = format!("{section}.{sub}");
    }
    rest.trim_start_matches([' ', '\t'])
        .strip_prefix(']')
        .map(|tail| (section, tail))
}

fn variable(text: &str) -> Option<(String, String, &str)> {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .unwrap_or(text.len());
    let (key, rest) = text.split_at(end);
    if !key.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let key = key.to_ascii_lowercase();
    let rest = rest.trim_start_matches([' ', '\t']);
    match rest.strip_prefix('=') {
        Some(rest) => {
            let (value, tail) = value(rest)?;
            Some((key, value, tail))
        }
        None if rest.is_empty() || rest.starts_with('\n') => Some((key, "true".into(), rest)),
        None => None,
    }
}

fn value(text: &str) -> Option<(String, &str)> {
    let (mut out, mut kept, mut quoted) = (String::new(), 0, false);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\n' if quoted => return None,
            '\n' => {
                out.truncate(kept);
                return Some((out, &text[at + 1..]));
            }
            '#' | ';' if !quoted => {
                out.truncate(kept);
                let tail = text[at..].split_once('\n').map_or("", |(_, t)| t);
                return Some((out, tail));
            }
            '"' => {
                quoted = !quoted;
                kept = out.len();
            }
            // the end of the file is an end of line
            '\\' => match chars.next().map_or('\n', |(_, c)| c) {
                '\n' => {}
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'b' => out.push('\u{8}'),
                c @ ('"' | '\\') => out.push(c),
                _ => return None,
            },
            // so it is even after quotes with nothing in them
            c if !quoted && out.is_empty() && BLANK.contains(&c) => {}
            c => out.push(c),
        }
        // blanks at the end count only within quotes
        if quoted || !BLANK.contains(&c) {
            kept = out.len();
        }
    }
    out.truncate(kept);
    (!quoted).then_some((out, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const TEXTS: &[&str] = &[
        "[core]\n\tfsmonitor = \"evil --x\" # no\n\tbare\n[alias]x=!rm\\\n -rf\n",
        "[remote \"a.b\\\"c\"]\nurl = git@h:x;comment\n[Filter.LFS]\n clean = a  b  \n",
        "[core] pager = less\n; x\n[include]\n\tpath = \"/a b\" \n",
        "\u{feff}[credential \"https://h\"]\r\n helper = !f\r\n",
        "[user]\r\n\tname = a\\\r\nb\r\n[core]\r\n\tfsmonitor = evil1\r\n",
        "[core] fsmonitor = evil\\",
        "[core]\n\tbare\n\tpager = a\u{b}\u{c} \r b \r\n;\r[x]\n[a.B] c = \"q\" # \" \\\n",
        "[core]\tfsmonitor=\"a;b\"c;d\n[Alias \"x\"]\nx = !\"a\\tb\\\"\" \t \n",
    ];

    /// What git refuses.
    const REFUSED: &[&str] = &[
        "[core]\n\tpager = \"a\nb\"\n",
        "[core\nfsmonitor = evil\n",
        "[core]\n\tpager = a\\qb\n",
        "[core]\n\tbare # no\n",
        "\u{feff}\u{feff}[core]\nfsmonitor = evil\n",
        "\u{b}[core]\nfsmonitor = evil\n",
        "[core]\n2x = evil\n",
    ];

    fn place(name: &str) -> std::path::PathBuf {
        let id = std::process::id();
        let place = std::env::temp_dir().join(format!("stockade-config-{name}-{id}"));
        std::fs::create_dir_all(place.join(".git")).unwrap();
        place
    }

    /// Git's own reading; none when it refuses the file.
    fn of_git(file: &Path) -> Option<Vec<(String, String)>> {
        let out = Command::new("git")
            .args(["config", "--no-includes", "-z", "--list", "--file"])
            .arg(file)
            .current_dir("/")
            .output()
            .unwrap();
        let lines = String::from_utf8(out.stdout).unwrap();
        let pairs = lines
            .split_terminator('\0')
            .map(|l| l.split_once('\n').unwrap_or((l, "true")))
            .map(|(k, v)| (k.to_owned(), v.to_owned()));
        out.status.success().then(|| pairs.collect())
    }

    /// Before 2.45 git makes each blank within a value a space, later it keeps them.
    fn blank(mut entries: Entries) -> Entries {
        for (_, value) in &mut entries.keys {
            *value = value.replace(['\t', '\r', '\u{b}', '\u{c}'], " ");
        }
        entries
    }

    #[test]
    fn it_reads_as_git_reads() {
        let place = place("texts");
        let file = place.join("config");
        for text in TEXTS {
            std::fs::write(&file, text).unwrap();
            let keys = of_git(&file).unwrap_or_else(|| panic!("{text:?}"));
            assert_eq!(
                blank(parse(text)),
                blank(Entries { keys, whole: true }),
                "{text:?}"
            );
        }
        for text in REFUSED {
            std::fs::write(&file, text).unwrap();
            assert_eq!(of_git(&file), None, "{text:?}");
            assert!(!parse(text).whole, "{text:?}");
        }
        std::fs::remove_dir_all(&place).unwrap();
    }

    /// Every text of a few pieces: nothing that git reads is missed without a word.
    #[test]
    fn git_never_reads_more() {
        const PIECES: &[&str] = &[
            "[a]",
            "[a \"b\"]",
            "x",
            " = ",
            "\\",
            "\"",
            "\r",
            "\n",
            "#",
            "\t",
            "\u{c}",
            "é",
            "-",
        ];
        let place = place("pieces");
        let file = place.join("config");
        let (mut seed, mut read) = (7_u64, 0);
        for _ in 0..400 {
            let mut text = String::from("[a]\nx = ");
            for _ in 0..8 {
                // Knuth's MMIX generator: the same texts each time
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                text += PIECES[usize::try_from(seed >> 33).unwrap() % PIECES.len()];
            }
            std::fs::write(&file, &text).unwrap();
            let own = parse(&text);
            if let Some(keys) = of_git(&file) {
                assert_eq!(blank(own), blank(Entries { keys, whole: true }), "{text:?}");
                read += 1;
            }
        }
        assert!(read > 50, "git reads too few of them: {read}");
        std::fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn what_is_not_read_to_the_end_is_said() {
        let place = place("end");
        let file = place.join(".git/config");
        let said = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let findings = risks(&file, &BTreeMap::new());
            findings.iter().filter(|f| f.grave).count()
        };
        assert_eq!(said("[user]\nname = x\n"), 0);
        assert_eq!(said("[user]\nname = \"x\n"), 1);
        let long = format!("#{}\n[core]\nfsmonitor = evil\n", "x".repeat(MAX_SIZE));
        assert_eq!(said(&long), 1);
        assert_eq!(said(&long.replace("xx", "")), 1);
        std::fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn only_risky_keys_are_named() {
        assert!(because("core.fsmonitor").is_some() && because("filter.lfs.clean").is_some());
        assert!(because("user.email").is_none() && because("branch.main.merge").is_none());
    }
}
