//! What must hold of every text, every set of layers and every path. Shared by the ordinary tests
//! (`policy/tests/properties.rs`) and the fuzz targets (`fuzz/`): both hand over bytes.

use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use stockade_policy::{
    Access, Context, Decision, FileOperation, Hostname, Layer, Policy, PolicyText, Protocol,
    Source, Sources,
};

/// Any text is read or refused; each mistake lies within the text and can be shown.
pub fn parse(text: &str) {
    if let Err(found) = PolicyText::parse("p.toml", text) {
        assert!(!found.is_empty(), "refused without a reason");
        for mistake in found.iter().take(50) {
            let span = &mistake.span;
            assert!(span.start <= span.end && span.end <= text.len(), "{span:?}");
            assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end));
            let shown = mistake.render(text, false);
            assert!(shown.starts_with("error: "), "{shown}");
            let (line, column) = mistake.place(text);
            let place = format!("p.toml:{line}:{column}");
            assert!(shown.contains(&place), "{place} is not in {shown}");
            let bad = |c: char| c.is_control() && c != '\n';
            assert!(!shown.contains(bad), "{shown:?}");
        }
    }
    // what a layer says later (variables, what is taken away) is shown in the same text
    let layers = vec![source(Layer::User, text.into())];
    if let Err(found) = build(layers) {
        for mistake in found.iter().take(50).filter(|m| m.origin == "user.toml") {
            assert!(mistake.span.end <= text.len());
            mistake.render(text, true);
        }
    }
}

/// Layers from bytes: a system's, a user's, and the one of an untrusted project, which never makes
/// any access less strict.
pub fn merge(bytes: &[u8]) {
    let mut maker = Maker(bytes);
    let below = [Layer::System, Layer::User].map(|layer| source(layer, maker.text()));
    let project = source(Layer::Project { trusted: false }, maker.text());
    let Ok(before) = build(below.to_vec()) else {
        return;
    };
    let layers = [below.as_slice(), &[project]].concat();
    let Ok(after) = build(layers.clone()) else {
        return;
    };
    // an own loopback instead of the host's is another object, not a weaker verdict
    let same_network = before.setting("network.namespace").map(|s| &s.value)
        == after.setting("network.namespace").map(|s| &s.value);
    accesses(&mut maker, |access| {
        let loopback =
            matches!(access, Access::Connect { address: Some(a), .. } if a.is_loopback());
        if loopback && !same_network {
            return;
        }
        let (old, new) = (before.decide(access), after.decide(access));
        assert!(
            new.verdict >= old.verdict,
            "{access:?} was {old:?} and is {new:?}\n{}",
            show(&layers)
        );
        if new.rule != old.rule {
            assert!(
                new.rule.as_str().starts_with("project:"),
                "{new:?} after {old:?}"
            );
        }
    });
    let set = |policy: &Policy, partial| policy.accepts(partial);
    for partial in ["absent", "written", "unix"] {
        assert!(set(&before, partial) || !set(&after, partial), "{partial}");
    }
}

/// The verdict on any access under any policy: an answer, the same each time and from a policy
/// built again, with a rule that exists.
pub fn verdict(bytes: &[u8]) {
    let mut maker = Maker(bytes);
    let layers: Vec<_> = [
        Layer::User,
        Layer::Project { trusted: true },
        Layer::CommandLine,
    ]
    .map(|layer| source(layer, maker.text()))
    .into();
    let Ok(policy) = build(layers.clone()) else {
        return;
    };
    let again = build(layers).expect("built before");
    accesses(&mut maker, |access| {
        let decided = policy.decide(access);
        assert_eq!(decided, policy.decide(access), "{access:?}");
        assert_eq!(decided, again.decide(access), "{access:?}");
        assert!(exists(&policy, &decided), "{access:?}: {decided:?}");
    });
}

fn exists(policy: &Policy, decided: &Decision) -> bool {
    decided.rule.as_str().starts_with("built-in:")
        || policy.rules().iter().any(|r| r.id == decided.rule)
        || policy.settings().any(|(_, s)| s.id == decided.rule)
}

pub fn context() -> Context {
    Context {
        workspaces: vec!["/w".into(), "/home/u/v".into()],
        home: "/home/u".into(),
        tmp: "/tmp".into(),
        config: "/home/u/.config".into(),
        cache: "/home/u/.cache".into(),
        runtime: "/run/user/1".into(),
        environment: [("SET".to_owned(), "/a".to_owned())].into(),
    }
}

fn source(layer: Layer, text: String) -> Source {
    let origin = format!("{}.toml", layer.name());
    Source {
        layer,
        origin,
        text,
    }
}

fn build(layers: Vec<Source>) -> Result<Policy, Vec<stockade_policy::Diagnostic>> {
    let sources = Sources {
        preset: Some("protect".into()),
        layers,
    };
    Policy::build(&sources, context())
}

fn show(layers: &[Source]) -> String {
    let texts: Vec<_> = layers
        .iter()
        .map(|s| format!("# {}\n{}", s.origin, s.text))
        .collect();
    texts.join("\n")
}

/// Policies and accesses from bytes, all few words long, so that rules and accesses meet. Bytes
/// that run out are zeros.
struct Maker<'b>(&'b [u8]);

/// Components of patterns; the names among them are components of paths too.
const PARTS: &[&str] = &["a", "b", "c", ".git", "a*", "*b", "*", "**", "[*]"];
const ROOTS: &[&str] = &["", "~", "${workspace}", "${env:SET}", "/usr", "/a"];
const PEERS: &[&str] = &[
    "a.example",
    "*.example",
    "b.a.example",
    "*.a.example",
    "a.example:80",
    "a.example:80-90",
    "tcp://a.example",
    "udp://*.example:53",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.3",
    "127.0.0.1",
    "0.0.0.0/0",
    "::/0",
    "::1",
    "[::1]:80",
];
const LISTS: &[&str] = &[
    "read",
    "write",
    "private",
    "overlay",
    "deny_read",
    "deny_write",
    "protect",
];
const MODES: &[(&str, &[&str])] = &[
    ("network.default", &["allow", "ask", "deny"]),
    ("network.namespace", &["host", "private"]),
    ("exec.default", &["allow", "deny"]),
    ("exec.written", &["allow", "deny"]),
    ("process.ptrace", &["allow", "deny"]),
    ("process.user_namespaces", &["allow", "deny"]),
];

impl Maker<'_> {
    fn byte(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(*first)
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.byte() % all.len()]
    }

    fn pattern(&mut self) -> String {
        let mut out = self.of(ROOTS).to_owned();
        for _ in 0..1 + self.byte() % 3 {
            out += "/";
            out += self.of(PARTS);
        }
        out
    }

    fn mark(&mut self) -> &'static str {
        // seldom: most texts do not stand below, and then the policy is refused
        if self.byte() % 16 == 15 { "!" } else { "" }
    }

    /// One layer.
    fn text(&mut self) -> String {
        let mut lists = std::collections::BTreeMap::<String, Vec<String>>::new();
        let mut out = String::from("version = 1\n");
        if self.byte() % 8 == 7 {
            out += "final = true\n";
        }
        for _ in 0..self.byte() % 8 {
            let (key, text) = match self.byte() % 4 {
                0 | 1 => (format!("filesystem.{}", self.of(LISTS)), self.pattern()),
                2 => (
                    format!("exec.{}", self.of(&["allow", "ask", "deny"])),
                    self.pattern(),
                ),
                _ => {
                    let key = format!("network.{}", self.of(&["allow", "ask", "deny"]));
                    (key, self.of(PEERS).to_owned())
                }
            };
            let text = format!("{}{text}", self.mark());
            lists.entry(key).or_default().push(text);
        }
        for (key, texts) in lists {
            out += &format!("{key} = {texts:?}\n");
        }
        for (key, words) in MODES {
            if self.byte() % 4 == 3 {
                out += &format!("{key} = {:?}\n", self.of(words));
            }
        }
        out
    }

    /// Absolute; its names are words of the patterns or any bytes.
    fn path(&mut self) -> Vec<u8> {
        let mut out = self
            .of(&["", "/home/u", "/w", "/home/u/v", "/a", "/usr"])
            .as_bytes()
            .to_vec();
        for _ in 0..1 + self.byte() % 4 {
            match self.byte() {
                255 => out.extend(b"/\xff\xfe\x01"),
                n => out.extend(format!("/{}", PARTS[n % PARTS.len()]).as_bytes()),
            }
        }
        out
    }
}

/// A few accesses of every kind.
fn accesses(maker: &mut Maker<'_>, mut look: impl FnMut(&Access<'_>)) {
    use FileOperation::{Create, Metadata, Read, Remove, Write};
    for _ in 0..2 {
        let (from, to) = (maker.path(), maker.path());
        let path = |bytes: &'_ Vec<u8>| Path::new(std::ffi::OsStr::from_bytes(bytes)).to_owned();
        let (from, to) = (path(&from), path(&to));
        for operation in [Read, Write, Create, Remove, Metadata] {
            look(&Access::File {
                operation,
                path: &from,
            });
        }
        look(&Access::Rename {
            from: &from,
            to: &to,
        });
        look(&Access::Link {
            from: &from,
            to: &to,
        });
        look(&Access::Unix { path: &to });
        for written in [false, true] {
            look(&Access::Exec { path: &to, written });
        }
        connections(maker, &mut look);
    }
    for (inside, ptrace) in [(false, false), (false, true), (true, false), (true, true)] {
        look(&Access::Process { inside, ptrace });
    }
    look(&Access::UserNamespace);
    look(&Access::SystemCall {
        name: "personality",
    });
}

fn connections(maker: &mut Maker<'_>, look: &mut impl FnMut(&Access<'_>)) {
    let name = maker.of(&[
        "a.example",
        "b.a.example",
        "c.b.a.example",
        "example",
        "other",
    ]);
    let name = Hostname::parse(name).expect("a name");
    let address: IpAddr = maker
        .of(&[
            "10.1.2.3",
            "10.9.9.9",
            "127.0.0.1",
            "::1",
            "::ffff:10.1.2.3",
            "8.8.8.8",
        ])
        .parse()
        .expect("an address");
    let port = maker.of(&[80, 85, 443, 53]);
    let protocol = maker.of(&[Protocol::Tcp, Protocol::Udp]);
    for (name, address) in [
        (Some(&name), None),
        (None, Some(address)),
        (Some(&name), Some(address)),
    ] {
        look(&Access::Connect {
            name,
            address,
            port,
            protocol,
        });
    }
    look(&Access::Bind { address, port });
}
