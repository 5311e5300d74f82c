//! Random cases, from a seed alone.

use super::case::{Case, Kind, Node, Operation};
use fastrand::Rng;

/// Components of names.
const NAMES: &[&str] = &[
    "a", "b", "c", "d", "a b", "[x]", "ü", "a*", "$v", "%FF%FE", ".git", "hooks", "ab", "-n",
    ".envrc",
];
/// Of patterns; the names of the tree among them.
const PARTS: &[&str] = &[
    "a", "b", "c", "d", "a b", "[x]", "ü", "a[*]", "[$]v", ".git", "hooks", "ab", "a*", "*b", "*",
    "**",
];
const ROOTS: [&str; 4] = ["work", "home", "outside", "other"];

pub fn case(rng: &mut Rng, level: &str, operations: usize) -> Case {
    let workspace = *choose(rng, &["work", "work", "home/work"]);
    let tree = tree(rng, workspace);
    let policy = policy(rng, workspace, &tree);
    let operations = (0..operations).map(|_| operation(rng, &tree)).collect();
    Case {
        about: String::new(),
        level: level.into(),
        policy,
        workspace: workspace.into(),
        tree,
        operations,
    }
}

fn choose<'t, T>(rng: &mut Rng, all: &'t [T]) -> &'t T {
    &all[rng.usize(..all.len())]
}

/// True in one of `n`.
fn one_in(rng: &mut Rng, n: usize) -> bool {
    rng.usize(..n) == 0
}

fn tree(rng: &mut Rng, workspace: &str) -> Vec<Node> {
    let directory = |path: &str, mode| Node {
        path: path.into(),
        kind: Kind::Directory,
        mode,
        target: String::new(),
    };
    let mut tree: Vec<Node> = ROOTS.iter().map(|r| directory(r, 0o755)).collect();
    if workspace != "work" {
        tree.push(directory(workspace, 0o755));
    }
    let wanted = rng.usize(20..60);
    for _ in 0..wanted {
        let folders: Vec<&Node> = tree.iter().filter(|n| n.kind == Kind::Directory).collect();
        // one of the last made, so that some are deep
        let within = if one_in(rng, 3) {
            folders[folders.len() - 1]
        } else {
            *choose(rng, &folders)
        };
        let path = format!("{}/{}", within.path, choose(rng, NAMES));
        if path.matches('/').count() > 6 || tree.iter().any(|n| n.path == path) {
            continue;
        }
        let node = node(rng, path, &tree);
        tree.push(node);
    }
    tree
}

fn node(rng: &mut Rng, path: String, tree: &[Node]) -> Node {
    let files: Vec<&Node> = tree.iter().filter(|n| n.kind == Kind::File).collect();
    let (kind, target) = match rng.usize(..20) {
        0..8 => (Kind::Directory, String::new()),
        8..15 => (Kind::File, String::new()),
        15 => (Kind::Fifo, String::new()),
        16 if !files.is_empty() => (Kind::Hard, choose(rng, &files).path.clone()),
        _ => (Kind::Link, target(rng, tree)),
    };
    let mode = match kind {
        Kind::Directory => *choose(rng, &[0o755, 0o755, 0o755, 0o700, 0o555]),
        Kind::Hard => tree.iter().find(|n| n.path == target).map_or(0, |n| n.mode),
        _ => *choose(
            rng,
            &[0o755, 0o755, 0o644, 0o700, 0o600, 0o444, 0o555, 0o000],
        ),
    };
    Node {
        path,
        kind,
        mode,
        target,
    }
}

fn target(rng: &mut Rng, tree: &[Node]) -> String {
    let name = choose(rng, NAMES);
    match rng.usize(..10) {
        0..6 => format!("/{}", choose(rng, tree).path),
        6 => format!("/{}/{name}", choose(rng, tree).path),
        7 => format!("../{name}"),
        _ => (*name).to_owned(),
    }
}

/// A path of the tree as a policy says it.
fn rooted(path: &str, workspace: &str) -> String {
    let path = path.replace("a*", "a[*]").replace("$v", "[$]v");
    let path = path.replace("%FF%FE", "*");
    let below = |root: &str| {
        let rest = path.strip_prefix(root)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
    };
    match (below(workspace), below("home"), below("outside")) {
        (Some(rest), _, _) => format!("${{workspace}}{rest}"),
        (_, Some(rest), _) => format!("~{rest}"),
        (_, _, Some(rest)) => format!("{{outside}}{rest}"),
        _ => "${workspace}/a".into(),
    }
}

fn pattern(rng: &mut Rng, workspace: &str, tree: &[Node]) -> String {
    if one_in(rng, 4) {
        let root = *choose(rng, &["work", "home", "outside", workspace]);
        let mut out = rooted(root, workspace);
        for _ in 0..rng.usize(1..4) {
            out = out + "/" + *choose(rng, PARTS);
        }
        return out;
    }
    let path = &choose(rng, tree).path;
    let parts = path.split('/').enumerate().map(|(n, part)| match part {
        _ if n > 1 && one_in(rng, 8) => "*",
        part => part,
    });
    let parts: Vec<&str> = parts.collect();
    let tail = *choose(rng, &["", "", "", "", "/*", "/**", "/**/a", "/ab"]);
    rooted(&parts.join("/"), workspace) + tail
}

fn policy(rng: &mut Rng, workspace: &str, tree: &[Node]) -> String {
    let preset = *choose(
        rng,
        &[
            "system",
            "system",
            "agent",
            "agent",
            "locked",
            "read-only",
            "build",
        ],
    );
    let mut out = format!("version = 1\nextends = [\"{preset}\"]\n[filesystem]\n");
    let keys = [
        "read",
        "write",
        "private",
        "overlay",
        "deny_read",
        "deny_write",
        "protect",
    ];
    for key in keys {
        let mut texts: Vec<String> = Vec::new();
        let common = match key {
            "read" => "{outside}",
            "write" => "${workspace}",
            _ => "",
        };
        if !common.is_empty() && !one_in(rng, 3) {
            texts.push(common.into());
        }
        let most = match key {
            "private" | "overlay" => 2,
            _ => 4,
        };
        for _ in 0..rng.usize(..most) {
            let mut text = pattern(rng, workspace, tree);
            // none is made in the host's tree: one that is not there is seldom
            if most == 2 && !one_in(rng, 8) {
                let folders = tree.iter().filter(|n| n.kind == Kind::Directory);
                let folders: Vec<&Node> = folders.filter(|n| n.path != workspace).collect();
                text = rooted(&choose(rng, &folders).path, workspace);
            }
            texts.push(text);
        }
        out += &list(key, &texts);
    }
    out += &exec(rng, workspace, tree);
    out += "[enforcement]\naccept_partial = [\"absent\", \"inside\", \"leftover\", \"loader\", \"metadata\", ";
    out + "\"overlay\", \"private\", \"replaced\", \"signals\", \"unix\", \"written\"]\n"
}

fn exec(rng: &mut Rng, workspace: &str, tree: &[Node]) -> String {
    let mut out = String::from("[exec]\n");
    if one_in(rng, 4) {
        out += "default = \"deny\"\n";
    }
    for key in ["allow", "deny"] {
        let texts: Vec<String> = match one_in(rng, 3) {
            true => (0..rng.usize(1..3))
                .map(|_| pattern(rng, workspace, tree))
                .collect(),
            false => Vec::new(),
        };
        out += &list(key, &texts);
    }
    out
}

fn list(key: &str, texts: &[String]) -> String {
    if texts.is_empty() {
        return String::new();
    }
    let mut out = format!("{key} = [\n");
    for text in texts {
        out += &format!("    {},\n", toml::Value::from(text.as_str()));
    }
    out + "]\n"
}

const ONE: &[&str] = &[
    "read",
    "read",
    "read",
    "list",
    "write",
    "write",
    "append",
    "cut",
    "cut-reading",
    "cut-neither",
    "truncate",
    "create",
    "create",
    "open-or-create",
    "mkdir",
    "mkfifo",
    "symlink",
    "unlink",
    "unlink",
    "rmdir",
    "chmod",
    "times",
    "xattr",
    "chown",
    "exec",
];
const TWO: &[&str] = &["rename", "rename", "rename-new", "exchange", "link", "link"];

fn operation(rng: &mut Rng, tree: &[Node]) -> Operation {
    let two = one_in(rng, 4);
    let name = *choose(rng, if two { TWO } else { ONE });
    let makes = ["create", "mkdir", "mkfifo", "symlink", "open-or-create"].contains(&name);
    let kind = match name {
        "list" | "rmdir" => Some(Kind::Directory),
        "exec" | "write" | "cut" | "append" | "truncate" => Some(Kind::File),
        _ => None,
    };
    let path = if makes {
        new(rng, tree)
    } else {
        existing(rng, tree, kind)
    };
    let to = match (two, name) {
        (false, _) => String::new(),
        (true, "exchange") => existing(rng, tree, None),
        (true, _) if one_in(rng, 3) => existing(rng, tree, None),
        (true, _) => new(rng, tree),
    };
    Operation {
        name: name.into(),
        path,
        to,
        alias: one_in(rng, 32),
    }
}

fn existing(rng: &mut Rng, tree: &[Node], kind: Option<Kind>) -> String {
    let fitting: Vec<&Node> = tree.iter().filter(|n| Some(n.kind) == kind).collect();
    if !fitting.is_empty() && !one_in(rng, 5) {
        return choose(rng, &fitting).path.clone();
    }
    match rng.usize(..12) {
        0 => new(rng, tree),
        _ => choose(rng, tree).path.clone(),
    }
}

/// A name in a directory or below a link, there or not.
fn new(rng: &mut Rng, tree: &[Node]) -> String {
    let folders: Vec<&Node> = tree
        .iter()
        .filter(|n| matches!(n.kind, Kind::Directory | Kind::Link))
        .collect();
    format!("{}/{}", choose(rng, &folders).path, choose(rng, NAMES))
}
