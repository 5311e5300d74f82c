//! Plans over fixtures of hosts, compared with what stands in `plans/`. `UPDATE_SNAPSHOTS=1`
//! writes them anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use stockade_enforce::{
    Architecture, Cgroup, CompileError, HostFacts, Kind, Level, NoFilters, Notify, Plan, Request,
    Socket, Sockets, Source, Terminal, Tree, environment,
};
use stockade_policy::{Context, Layer, Policy, Sources};

/// A host of names only: links have a target, directories end in a slash.
struct Names(BTreeMap<PathBuf, Option<PathBuf>>);

const HOST: &[(&str, &str)] = &[
    ("/usr/", ""),
    ("/usr/bin/", ""),
    ("/usr/bin/make", ""),
    ("/usr/lib/", ""),
    ("/usr/lib64/", ""),
    ("/usr/lib64/ld-linux-x86-64.so.2", ""),
    ("/bin", "/usr/bin"),
    ("/lib", "/usr/lib"),
    ("/lib64", "/usr/lib64"),
    ("/etc/", ""),
    ("/etc/passwd", ""),
    ("/etc/hosts", ""),
    ("/etc/resolv.conf", "/run/resolv.conf"),
    ("/etc/localtime", "/usr/share/zoneinfo/UTC"),
    ("/etc/ssl/certs/", ""),
    ("/etc/ssl/private/", ""),
    ("/etc/ssh/ssh_config", ""),
    ("/etc/ssh/ssh_config.d/", ""),
    ("/etc/ssh/ssh_config.d/site.conf", ""),
    ("/proc/", ""),
    ("/dev/null", "special"),
    ("/home/u/", ""),
    ("/home/u/.bashrc", ""),
    ("/home/u/.gitconfig", "/home/u/dotfiles/gitconfig"),
    ("/home/u/dotfiles/gitconfig", ""),
    ("/home/u/.cargo/", ""),
    ("/home/u/.cargo/bin/", ""),
    ("/home/u/.cargo/registry/", ""),
    ("/home/u/.cargo/credentials.toml", ""),
    ("/home/u/.ssh/", ""),
    ("/home/u/.ssh/id_ed25519", ""),
    ("/home/u/w/", ""),
    ("/home/u/w/src/", ""),
    ("/home/u/w/.git/", ""),
    ("/home/u/w/.git/hooks/", ""),
    ("/home/u/w/.git/hooks/pre-commit", ""),
    ("/home/u/w/.git/config", ""),
    ("/home/u/w/.envrc", ""),
    ("/home/u/w/dev.sock", "special"),
    ("/home/u/w/src/renamed.sock", "special"),
    ("/home/u/w/src/stale.sock", "special"),
];

impl Names {
    fn new() -> Self {
        let mut all = BTreeMap::from([(PathBuf::from("/"), None)]);
        for (name, target) in HOST {
            let path = Path::new(name.trim_end_matches('/'));
            for above in path.ancestors().skip(1) {
                all.entry(above.into()).or_insert(None);
            }
            let file = !name.ends_with('/');
            all.insert(path.into(), file.then(|| PathBuf::from(target)));
        }
        Self(all)
    }
}

impl Tree for Names {
    fn kind(&self, path: &Path) -> Option<Kind> {
        Some(match self.0.get(path)?.as_ref().map(|t| t.to_str()) {
            None => Kind::Directory,
            Some(Some("")) => Kind::File,
            Some(Some("special")) => Kind::Special,
            Some(_) => Kind::Link,
        })
    }

    fn target(&self, link: &Path) -> Option<PathBuf> {
        let target = self.0.get(link)?.clone()?;
        target.is_absolute().then_some(target)
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        let mut at = PathBuf::from("/");
        for part in path.iter().skip(1) {
            at.push(part);
            if let Some(target) = self.target(&at) {
                at = self.real(&target)?;
            }
        }
        self.0.contains_key(&at).then_some(at)
    }

    fn socket(&self, path: &Path) -> Option<(u32, u64)> {
        let inodes = [("dev.sock", 1), ("renamed.sock", 2), ("stale.sock", 9)];
        let own = inodes.iter().find(|(name, _)| path.ends_with(name))?;
        Some((own.1, 1))
    }

    fn list(&self, directory: &Path) -> Rc<[(PathBuf, Kind)]> {
        let below = self.0.keys().filter(|p| p.parent() == Some(directory));
        below
            .filter_map(|p| Some((p.clone(), self.kind(p)?)))
            .collect()
    }
}

fn facts() -> HostFacts {
    HostFacts {
        architecture: Architecture::X86_64,
        landlock_abi: 7,
        user_namespaces: true,
        uid: 1000,
        gid: 1000,
        groups: vec![1000],
        cgroup: Cgroup::WithoutControllers,
        notify: Notify::Possible,
        // one where it was bound, one that was renamed, one whose name another has now, one hidden
        sockets: [
            ("/home/u/w/dev.sock", 1),
            ("relative", 2),
            ("/home/u/w/dev.sock", 3),
            ("/run/docker.sock", 4),
        ]
        .map(|(path, inode)| Socket {
            path: path.into(),
            inode: Some(inode),
        })
        .into(),
    }
}

fn policy(preset: &str, text: &str) -> Policy {
    let layer = stockade_policy::Source {
        layer: Layer::User,
        origin: "user".into(),
        text: format!("version = 1\n{text}"),
    };
    let sources = Sources {
        preset: Some(preset.into()),
        layers: vec![layer],
    };
    let context = Context {
        workspaces: vec!["/home/u/w".into()],
        home: "/home/u".into(),
        tmp: "/tmp".into(),
        config: "/home/u/.config".into(),
        cache: "/home/u/.cache".into(),
        runtime: "/run/user/1000".into(),
        environment: BTreeMap::new(),
    };
    Policy::build(&sources, context).unwrap_or_else(|e| panic!("{e:#?}"))
}

fn plan(policy: &Policy, facts: &HostFacts, level: Level) -> Plan {
    compiled(policy, facts, level).unwrap()
}

fn compiled(policy: &Policy, facts: &HostFacts, level: Level) -> Result<Plan, CompileError> {
    let variables = [
        ("PATH", "/usr/bin:/bin"),
        ("API_TOKEN", "s"),
        ("LD_PRELOAD", "/x.so"),
        ("DATABASE_URL", "postgres://u:p@h/db"),
        ("LANG", "C"),
    ];
    let variables = variables.map(|(k, v)| (k.into(), v.into())).into();
    let overlays = |path: &Path| {
        let name = path.display().to_string().replace('/', "-");
        let folder = Path::new("/home/u/.local/state/stockade/overlays").join(&name[1..]);
        (folder.join("upper"), folder.join("work"))
    };
    Plan::compile(&Request {
        policy,
        facts,
        tree: &Names::new(),
        level,
        terminal: Terminal::None,
        files_passed: false,
        command: &["make".into(), "test".into()],
        executable: "/usr/bin/make".into(),
        directory: "/home/u/w".into(),
        environment: environment(policy, &variables),
        user: "u".into(),
        group: "users".into(),
        overlays: &overlays,
        copies: &[],
        folder: "/home/u/.local/state/stockade/sessions/1".into(),
        texts: &[("policy.md", "what is allowed\n".into())],
        filters: &NoFilters,
        program: Some("/usr/bin/stockade".into()),
    })
}

/// What differs from host to host: who holds what, and what Landlock is asked.
fn answers(plan: &Plan) -> String {
    let mut out = format!("level {}\n", plan.level);
    for held in &plan.held {
        writeln!(out, "held {} by {}", held.requirement, held.backend).unwrap();
    }
    for part in &plan.partial {
        let words = (&part.requirement, &part.backend, &part.name, &part.why);
        writeln!(
            out,
            "partial {} by {} ({}): {}",
            words.0, words.1, words.2, words.3
        )
        .unwrap();
    }
    for unmet in &plan.unmet {
        writeln!(
            out,
            "unmet {} of {}: {}",
            unmet.requirement, unmet.rule, unmet.why
        )
        .unwrap();
    }
    match &plan.landlock {
        None => out += "landlock none\n",
        Some(l) => writeln!(
            out,
            "landlock files {:#x} network {:#x} scopes {:#x} rules {}",
            l.files,
            l.network,
            l.scopes,
            l.rules.len()
        )
        .unwrap(),
    }
    let masked = plan.view.iter().filter(|i| {
        matches!(i.source, Source::Masked { .. }) && i.because.contains("socket of the host")
    });
    for item in masked {
        writeln!(out, "covered socket {}", item.at.display()).unwrap();
    }
    out
}

fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/plans")
        .join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        kept, text,
        "{name} is another plan now; UPDATE_SNAPSHOTS=1 takes it"
    );
}

fn json(mut plan: Plan) -> String {
    assert!(!plan.filter.is_empty());
    plan.filter.clear();
    if let Sockets::Supervisor { filter, .. } = &mut plan.sockets {
        assert!(!filter.is_empty());
        filter.clear();
    }
    serde_json::to_string_pretty(&plan).unwrap() + "\n"
}

#[test]
fn whole_plans() {
    let agent = policy("agent", "");
    for level in Level::ALL {
        compare(
            &format!("agent-{level}.json"),
            &json(plan(&agent, &facts(), level)),
        );
    }
    let text = "[filesystem]\nread = ['/home/u']\ndeny_read = ['~/.ssh']\n[exec]\ndefault = 'deny'\nallow = ['/usr/bin']\nwritten = 'deny'\n\
        [limits]\nfiles = 100\nwall = '1h'\n[enforcement]\naccept_partial = ['written']";
    let strict = policy("locked", text);
    for level in Level::ALL {
        compare(
            &format!("strict-{level}.json"),
            &json(plan(&strict, &facts(), level)),
        );
    }
}

#[test]
fn every_landlock_abi() {
    let policy = policy("agent", "");
    let mut text = String::new();
    for landlock_abi in 0..=9 {
        for level in Level::ALL {
            let facts = HostFacts {
                landlock_abi,
                ..facts()
            };
            writeln!(text, "== ABI {landlock_abi}").unwrap();
            text += &answers(&plan(&policy, &facts, level));
        }
    }
    compare("landlock.txt", &text);
}

#[test]
fn every_kind_of_cgroup() {
    let policy = policy("agent", "[limits]\nmemory = '1G'\nprocesses = 100\n");
    let kinds = [
        Cgroup::None,
        Cgroup::WithoutControllers,
        Cgroup::NotDelegated,
        Cgroup::Delegated("/sys/fs/cgroup/user.slice/a.scope".into()),
    ];
    let mut text = String::new();
    for cgroup in kinds {
        writeln!(text, "== {cgroup:?}").unwrap();
        let facts = HostFacts { cgroup, ..facts() };
        let plan = plan(&policy, &facts, Level::Namespaces);
        for line in answers(&plan).lines().filter(|l| l.contains("limit")) {
            writeln!(text, "{line}").unwrap();
        }
    }
    compare("cgroup.txt", &text);
}

#[test]
fn root_and_the_other_architecture() {
    let policy = policy("agent", "");
    let root = HostFacts {
        uid: 0,
        gid: 0,
        groups: vec![],
        ..facts()
    };
    let aarch64 = HostFacts {
        architecture: Architecture::Aarch64,
        ..facts()
    };
    for level in Level::ALL {
        let usual = plan(&policy, &facts(), level);
        let of_root = plan(&policy, &root, level);
        assert_eq!(usual.held, of_root.held);
        assert_eq!(usual.partial, of_root.partial);
        // numbers of system calls differ, what is decided does not
        assert_eq!(json(usual), json(plan(&policy, &aarch64, level)));
    }
}

#[test]
fn a_plan_comes_back_from_its_text() {
    for level in Level::ALL {
        let made = plan(&policy("agent", ""), &facts(), level);
        let text = serde_json::to_string(&made).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), made);
    }
}

#[test]
fn a_destination_that_somebody_asks_for_stops_and_one_of_an_agent_is_listed() {
    let text = "[network]\nallow = ['api.example.org:443']";
    let asked = plan(&policy("agent", text), &facts(), Level::Namespaces);
    assert_eq!(
        (asked.unmet.len(), asked.unmet[0].requirement.as_str()),
        (1, "network")
    );
    let of_agent = stockade_policy::Source {
        layer: Layer::Found("agent-x".into()),
        origin: "agent".into(),
        text: format!("version = 1\n{text}"),
    };
    let sources = |open: &str| Sources {
        preset: Some("agent".into()),
        layers: vec![
            of_agent.clone(),
            stockade_policy::Source {
                layer: Layer::User,
                origin: "user".into(),
                text: format!("version = 1\n{open}"),
            },
        ],
    };
    let context = policy("agent", "").context;
    let compiled = |open: &str| {
        let policy = Policy::build(&sources(open), context.clone()).unwrap();
        plan(&policy, &facts(), Level::Namespaces)
    };
    let listed = compiled("");
    assert_eq!(listed.not_reachable, ["api.example.org:443"]);
    assert!(listed.unmet.is_empty());
    let open = compiled("[network]\nnamespace = 'host'\ndefault = 'allow'");
    assert!(open.not_reachable.is_empty() && open.unmet.is_empty());
}

#[test]
fn a_level_that_the_policy_requires_is_required() {
    let unmet = |required: &str, level| {
        let policy = policy("agent", &format!("[enforcement]\nrequire = '{required}'"));
        let plan = plan(&policy, &facts(), level);
        plan.unmet.iter().any(|u| u.requirement == "level")
    };
    for (required, landlock, namespaces) in [
        ("landlock", false, false),
        ("namespaces", true, false),
        ("bpf", true, true),
    ] {
        assert_eq!(unmet(required, Level::Landlock), landlock, "{required}");
        assert_eq!(unmet(required, Level::Namespaces), namespaces, "{required}");
    }
}

#[test]
fn without_the_kernels_list_the_names_of_sockets_count() {
    let mut facts = facts();
    let named = |path: &str| Socket {
        path: path.into(),
        inode: None,
    };
    // a socket, a file that has the name of one now, one of a tree that is not shown
    facts.sockets = ["/home/u/w/dev.sock", "/home/u/w/.envrc", "/run/docker.sock"]
        .map(named)
        .into();
    let plan = plan(&policy("agent", ""), &facts, Level::Namespaces);
    let covered: Vec<_> = plan
        .view
        .iter()
        .filter(|i| i.because.contains("socket of the host"))
        .map(|i| i.at.clone())
        .collect();
    assert_eq!(covered, [PathBuf::from("/home/u/w/dev.sock")]);
}

/// What stands at a path of the view.
fn at(policy: &Policy, path: &str) -> Option<Source> {
    let plan = plan(policy, &facts(), Level::Namespaces);
    let item = plan.view.into_iter().find(|i| i.at == Path::new(path));
    item.map(|i| i.source)
}

#[test]
fn of_a_denied_tree_the_directory_is_held_and_of_an_allowed_one_what_is_in_it() {
    for pattern in ["/home/u/w/src/**", "/home/u/w/src/*"] {
        let of = |key: &str| policy("agent", &format!("[filesystem]\n{key} = [\"{pattern}\"]\n"));
        let masked = Source::Masked { directory: true };
        assert_eq!(
            at(&of("deny_read"), "/home/u/w/src"),
            Some(masked),
            "{pattern}"
        );
        let held = at(&of("deny_write"), "/home/u/w/src");
        assert!(
            matches!(
                held,
                Some(Source::Host {
                    writable: false,
                    ..
                })
            ),
            "{held:?}"
        );
    }
    let shown = policy("agent", "[filesystem]\nread = [\"~/.ssh/**\"]\n");
    let key = at(&shown, "/home/u/.ssh/id_ed25519");
    assert!(
        matches!(
            key,
            Some(Source::Host {
                writable: false,
                ..
            })
        ),
        "{key:?}"
    );
    assert_eq!(at(&policy("agent", ""), "/home/u/.ssh/id_ed25519"), None);
}

#[test]
fn what_no_mount_can_show_is_refused_with_the_rule() {
    let refused = |text: &str| {
        let policy = policy("agent", &format!("[filesystem]\n{text}\n"));
        compiled(&policy, &facts(), Level::Namespaces).map_err(|e| e.to_string())
    };
    for (text, why) in [
        (
            "private = [\"${workspace}/none\"]",
            "/home/u/w/none does not exist",
        ),
        (
            "private = [\"${workspace}/.envrc\"]",
            "/home/u/w/.envrc is not a directory",
        ),
        (
            "deny_read = [\"${workspace}/src\"]\nread = [\"${workspace}/src/stale.sock\"]",
            "lies in /home/u/w/src, which another rule hides",
        ),
    ] {
        let said = refused(text).expect_err(text);
        assert!(
            said.starts_with("user:filesystem.") && said.contains(why),
            "{said}"
        );
    }
    assert!(refused("private = [\"${workspace}/src\"]").is_ok());
    // what is private and may not be written has nothing to show
    let both = policy(
        "agent",
        "[filesystem]\nprivate = [\"${workspace}/src\"]\ndeny_write = [\"${workspace}/src\"]\n",
    );
    let masked = Source::Masked { directory: true };
    assert_eq!(at(&both, "/home/u/w/src"), Some(masked));
}
