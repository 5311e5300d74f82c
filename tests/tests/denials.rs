//! What was refused is named with its rule, and nothing else is: accesses that are refused and accesses that fail for
//! other reasons, in one session at each level. Takes root, or CAP_BPF and CAP_PERFMON.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use stockade_tests::{LEVELS, Place, stockade, text};

#[path = "denials/cases.rs"]
mod cases;

use cases::{OTHERS, REFUSED};

fn probe() -> &'static str {
    stockade_tests::probe(env!("CARGO_BIN_EXE_probe"))
}

/// What the host has while a session runs.
struct Host {
    place: Place,
    outsider: std::process::Child,
    tcp: std::net::TcpListener,
    _listeners: Vec<UnixListener>,
    _datagrams: UnixDatagram,
    /// Open for writing: it is not executed.
    _busy: std::fs::File,
}

/// The same names in each of them.
fn fill(folder: &Path) {
    for below in [
        "sub",
        "empty",
        "full/inner",
        "closed",
        "none",
        "still",
        ".git/hooks",
    ] {
        std::fs::create_dir_all(folder.join(below)).unwrap();
    }
    let numbered = (0..20).map(|n| format!("f{n}"));
    let names = [
        "file",
        "hidden",
        "fixed",
        "locked",
        "closed/inner",
        "still/file",
        "readonly",
    ];
    for name in names.map(String::from).into_iter().chain(numbered) {
        std::fs::write(folder.join(name), "text").unwrap();
    }
    for name in ["program", "refused", "busy"] {
        stockade_tests::install("/bin/true".as_ref(), &folder.join(name));
    }
    for (name, mode) in [
        ("locked", 0),
        ("none", 0),
        ("still", 0o555),
        ("readonly", 0o444),
    ] {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.join(name), mode).unwrap();
    }
}

impl Host {
    fn new(name: &str) -> Self {
        use std::os::linux::net::SocketAddrExt;
        let place = Place::new(name);
        let outsider = Command::new("sleep")
            .arg("600")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let name = format!("stockade-{}", outsider.id());
        let name = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
        let folders = [place.work(), place.outside(), place.path().join("unnamed")];
        folders.iter().for_each(|folder| fill(folder));
        let [work, outside, unnamed] = &folders;
        symlink(unnamed.join("f8"), work.join("to-hidden")).unwrap();
        symlink("loop", work.join("loop")).unwrap();
        symlink("nothing", work.join("dangling")).unwrap();
        // a socket that nobody listens on any more
        drop(UnixListener::bind(work.join("stale")).unwrap());
        std::fs::create_dir_all(place.home().join("keys")).unwrap();
        std::fs::write(place.home().join("secret"), "text").unwrap();
        std::fs::write(place.home().join("secret2"), "text").unwrap();
        let bind = |folder: &PathBuf| UnixListener::bind(folder.join("socket")).unwrap();
        let mut listeners: Vec<_> = folders.iter().map(bind).collect();
        listeners.push(UnixListener::bind_addr(&name).unwrap());
        Self {
            _listeners: listeners,
            _datagrams: UnixDatagram::bind(outside.join("datagrams")).unwrap(),
            _busy: std::fs::File::options()
                .append(true)
                .open(work.join("busy"))
                .unwrap(),
            tcp: std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
            outsider,
            place,
        }
    }

    fn filled(&self, text: &str) -> String {
        let path = |p: PathBuf| p.display().to_string();
        text.replace("{w}", &path(self.place.work()))
            .replace("{o}", &path(self.place.outside()))
            .replace("{h}", &path(self.place.home()))
            .replace("{x}", &path(self.place.path().join("unnamed")))
            .replace("{long}", &"n".repeat(300))
            .replace("{pid}", &self.outsider.id().to_string())
            .replace("{port}", &self.tcp.local_addr().unwrap().port().to_string())
    }

    fn run(&self, level: &str, options: &[&str], command: &[&str]) -> Output {
        let mut run = self.place.command(stockade());
        run.args(["run", "--require", level, "--denials", "always"])
            .args(["--allow-read", &self.filled("{o}")])
            .args(options);
        run.arg("--").args(command).output().unwrap()
    }

    /// Rules of every kind.
    fn ruled(&self, level: &str, command: &[&str]) -> Output {
        let below = |name: &str| self.filled(&format!("{{o}}/{name}"));
        let (hidden, closed, refused) = (below("hidden"), below("closed"), below("refused"));
        let options = [
            ["--allow-read", probe()],
            ["--deny-read", &hidden],
            ["--deny-read", &closed],
            ["--deny-exec", &refused],
            ["--deny-write", "fixed"],
        ];
        self.run(level, &options.concat(), command)
    }

    /// Each line in one process; its answer.
    fn answers(&self, level: &str, lines: &[String]) -> Vec<String> {
        let list = self.place.work().join("list");
        std::fs::write(&list, lines.join("\n")).unwrap();
        let list = list.display().to_string();
        let out = self.ruled(level, &[probe(), "each", &list]);
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        let answers: Vec<String> = said
            .lines()
            .map(|l| l.rsplit_once(": ").unwrap_or_default().1.to_owned())
            .collect();
        assert_eq!(answers.len(), lines.len(), "{level}: {}", text(&out));
        answers
    }

    /// Of the last session: (verb, object) and rule.
    fn named(&self) -> BTreeMap<(String, String), String> {
        let out = self.place.stockade(&["why", "--json"]);
        assert!(out.status.success(), "{}", text(&out));
        let of = |line: &str| {
            let denial: serde_json::Value = serde_json::from_str(line).unwrap();
            let word = |key: &str| denial[key].as_str().unwrap().to_owned();
            ((word("verb"), word("object")), word("rule"))
        };
        String::from_utf8_lossy(&out.stdout)
            .lines()
            .map(of)
            .collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.outsider.kill().unwrap();
        self.outsider.wait().unwrap();
    }
}

#[test]
fn each_refusal_is_named_with_its_rule() {
    for (n, level) in LEVELS.iter().enumerate() {
        let host = Host::new(&format!("refused-{level}"));
        let rows: Vec<_> = REFUSED
            .iter()
            .filter(|r| !r.answers[n].is_empty())
            .collect();
        assert!(rows.len() >= 60, "{level}: {}", rows.len());
        let lines: Vec<_> = rows.iter().map(|r| host.filled(r.probe)).collect();
        let answers = host.answers(level, &lines);
        let named = host.named();
        let mut wrong = Vec::new();
        for ((row, line), answer) in rows.iter().zip(&lines).zip(&answers) {
            if answer != row.answers[n] {
                wrong.push(format!("{line}: {answer}, not {}", row.answers[n]));
            }
            let key = (row.verb.to_owned(), host.filled(row.object));
            match named.get(&key) {
                None => wrong.push(format!("{line}: {key:?} is not named")),
                Some(rule) if !rule.contains(&host.filled(row.rule)) => {
                    wrong.push(format!("{line}: {rule}, not {}", row.rule));
                }
                Some(_) => {}
            }
        }
        assert!(
            wrong.is_empty(),
            "{level}:\n{}\n{named:#?}",
            wrong.join("\n")
        );
    }
}

#[test]
fn what_fails_for_another_reason_is_not_named() {
    for (n, level) in LEVELS.iter().enumerate() {
        let host = Host::new(&format!("others-{level}"));
        let rows: Vec<_> = OTHERS.iter().filter(|r| !r.1[n].is_empty()).collect();
        assert!(rows.len() >= 60, "{level}: {}", rows.len());
        let lines: Vec<_> = rows.iter().map(|r| host.filled(r.0)).collect();
        let answers = host.answers(level, &lines);
        let wrong: Vec<_> = rows
            .iter()
            .zip(&lines)
            .zip(&answers)
            .filter(|((row, _), answer)| *answer != row.1[n])
            .map(|((row, line), answer)| format!("{line}: {answer}, not {}", row.1[n]))
            .collect();
        assert!(wrong.is_empty(), "{level}:\n{}", wrong.join("\n"));
        let named = host.named();
        assert!(named.is_empty(), "{level}: {named:#?}");
    }
}

#[test]
fn the_summary_and_the_session_itself_say_the_same() {
    for level in LEVELS {
        let host = Host::new(&format!("said-{level}"));
        let file = host.filled("{o}/file");
        let script = format!(
            "for n in 1 2 3; do echo x > {file}; done; stockade why; cat $STOCKADE_OWN/denials.jsonl; \
             echo '{{\"hook_event_name\":\"PostToolUse\"}}' | stockade hooks claude --tell; \
             echo again; echo | stockade hooks codex --tell; \
             (echo x > $STOCKADE_OWN/denials.jsonl) 2>&1; exit 7"
        );
        let out = host.run(level, &[], &["sh", "-c", &script]);
        assert_eq!(out.status.code(), Some(7), "{level}: {}", text(&out));
        let (inside, said) = (
            String::from_utf8_lossy(&out.stdout).into_owned(),
            String::from_utf8_lossy(&out.stderr).into_owned(),
        );
        let verb = if inside.contains("denied  create") {
            "create"
        } else {
            "write"
        };
        let what = format!("{verb} {file} (");
        let summary = format!("stockade: denied: {what}");
        assert!(said.contains(&summary), "{level}: {said}");
        assert!(
            said.contains(", 3 times) by built-in:filesystem.write"),
            "{said}"
        );
        let line = format!("to allow: [filesystem] write = [\"{file}\"]");
        assert!(said.contains(&line), "{said}");
        assert!(
            inside.starts_with(&format!("denied  {what}")),
            "{level}: {inside}"
        );
        assert!(inside.contains("\"times\":3"), "{inside}");
        let (told, after) = inside.split_once("again\n").unwrap();
        let told = told.lines().last().unwrap();
        let told: serde_json::Value = serde_json::from_str(told).unwrap();
        let told = &told["hookSpecificOutput"];
        assert_eq!(told["hookEventName"], "PostToolUse");
        assert!(
            told["additionalContext"].as_str().unwrap().contains(&what),
            "{told}"
        );
        // once, and the file is the supervisor's
        assert!(!after.contains("hookSpecificOutput"), "{after}");
        assert!(after.contains("cannot create"), "{after}");
    }
}

#[test]
fn a_session_without_denials_says_nothing() {
    for level in LEVELS {
        let host = Host::new(&format!("nothing-{level}"));
        let command = "cat nothing; stockade why; echo | stockade hooks claude --tell; exit 1";
        let out = host.run(level, &[], &["sh", "-c", command]);
        let said = text(&out);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(
            lines,
            [
                "nothing was denied in this session",
                "cat: nothing: No such file or directory"
            ],
            "{level}"
        );
    }
}

#[test]
fn events_carry_verdict_and_rule() {
    for level in LEVELS {
        let host = Host::new(&format!("trace-{level}"));
        let (file, trace) = (
            host.filled("{o}/file"),
            host.place.path().join("trace.jsonl"),
        );
        let script = format!("echo x > {file}; echo x > made; mkdir -p sub/new; cat nothing");
        let path = trace.display().to_string();
        let out = host.run(level, &["--trace", &path], &["sh", "-c", &script]);
        let events =
            std::fs::read_to_string(&trace).unwrap_or_else(|e| panic!("{e}: {}", text(&out)));
        let events: Vec<serde_json::Value> = events
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        let of = |name: &str| {
            let is = |e: &&serde_json::Value| {
                e["kind"] == "call" && e["arguments"].to_string().contains(name)
            };
            let found = events.iter().find(is);
            found.unwrap_or_else(|| panic!("{level}: no call about {name}: {events:#?}"))
        };
        let denied = of(&file);
        assert_eq!(denied["verdict"], "deny", "{denied}");
        assert!(
            denied["rule"]
                .as_str()
                .unwrap()
                .contains("filesystem.write"),
            "{denied}"
        );
        for allowed in ["made\"", "sub/new"] {
            let allowed = of(allowed);
            assert_eq!(allowed["verdict"], "allow", "{allowed}");
            assert!(
                allowed["rule"].as_str().unwrap().contains("workspace"),
                "{allowed}"
            );
        }
        assert!(of("nothing")["verdict"].is_null());
    }
}

#[test]
fn an_audit_says_what_would_be_denied_and_denies_nothing() {
    let host = Host::new("audit");
    let report = host.place.path().join("report.md");
    let script = host.filled("echo x > {o}/made; echo x > made; cat {x}/file > /dev/null; cat nothing; touch /tmp/stockade-touched-$$; rm /tmp/stockade-touched-$$; exit 3");
    let options = ["run", "--audit", "--json", "--summary"];
    let mut command = host.place.command(stockade());
    command
        .args(options)
        .arg(&report)
        .args(["--", "sh", "-c", &script]);
    let out = command.output().unwrap();
    assert_eq!(out.status.code(), Some(3), "{}", text(&out));
    assert!(host.place.outside().join("made").exists());
    let lines = String::from_utf8_lossy(&out.stdout).into_owned();
    let lines = lines.lines().filter(|l| l.starts_with('{'));
    let found: Vec<serde_json::Value> = lines.map(|l| serde_json::from_str(l).unwrap()).collect();
    let named = |verb: &str, object: &str| {
        let object = host.filled(object);
        found
            .iter()
            .any(|f| f["verb"] == verb && f["object"] == *object)
    };
    assert!(
        named("create", "{o}/made") && named("read", "{x}/file"),
        "{found:#?}"
    );
    let spoken_of = |text: &str| {
        found
            .iter()
            .any(|f| f["object"].as_str().unwrap().contains(text))
    };
    for allowed in ["work/made", "nothing", "stockade-touched-"] {
        assert!(!spoken_of(allowed), "{allowed}: {found:#?}");
    }
    let report = std::fs::read_to_string(&report).unwrap();
    assert!(
        report.contains(&host.filled("| create | `{o}/made` | 1 | `[filesystem] write = [")),
        "{report}"
    );
}

/// In a user namespace of its own root has the same capabilities, and they count for nothing.
#[test]
fn without_the_privilege_a_session_runs_and_says_so() {
    let place = Place::new("unprivileged");
    let run = |options: &[&str]| {
        let mut command = place.command("unshare");
        command.args(["-U", "-r"]).arg(stockade());
        command.args(["run", "--require", "landlock"]).args(options);
        command
            .args(["--", "sh", "-c", "touch made; exit 3"])
            .output()
            .unwrap()
    };
    let out = run(&[]);
    assert_eq!(out.status.code(), Some(3), "{}", text(&out));
    let said = text(&out);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.starts_with("stockade: denials are not visible: to list them takes root"),
        "{said}"
    );
    assert!(!place.stockade(&["why"]).status.success());
    std::fs::remove_file(place.work().join("made")).unwrap();
    // what was asked for and can't be had stops the run before it begins
    let out = run(&["--denials", "always"]);
    assert_eq!(out.status.code(), Some(125), "{}", text(&out));
    assert!(
        text(&out).contains("loading eBPF programs is refused (EPERM"),
        "{}",
        text(&out)
    );
    assert!(!place.work().join("made").exists());
    let sessions = place.home().join(".local/state/stockade/sessions");
    assert_eq!(std::fs::read_dir(sessions).into_iter().flatten().count(), 0);
}
