//! Every access kind, at both levels, allowed and denied, with the exact errno; and with
//! enforcement off every denied probe succeeds.

use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use stockade_tests::{LEVELS, Place, stockade, text};

fn probe() -> &'static str {
    stockade_tests::probe(env!("CARGO_BIN_EXE_probe"))
}

/// `{w}` the workspace, `{o}` a directory outside that a rule shows, `{h}` the home, `{x}` one
/// that no rule names, `{pid}` a process outside, `{port}` a port where the host listens.
struct Row {
    probe: &'static [&'static str],
    /// At `namespaces` and at `landlock`.
    answers: Answers,
    /// Where the kernel's Landlock ABI is at least the first and below the second.
    other: Option<(u32, u32, Answers)>,
    /// The name of the Partial that a denied access which succeeds is covered by.
    partial: &'static str,
}

type Answers = [&'static str; 2];

const fn row(
    probe: &'static [&'static str],
    namespaces: &'static str,
    landlock: &'static str,
) -> Row {
    Row {
        probe,
        answers: [namespaces, landlock],
        other: None,
        partial: "",
    }
}

impl Row {
    const fn below(self, abi: u32, answers: Answers) -> Self {
        Self {
            other: Some((0, abi, answers)),
            ..self
        }
    }

    const fn from(self, abi: u32, answers: Answers) -> Self {
        Self {
            other: Some((abi, u32::MAX, answers)),
            ..self
        }
    }

    const fn partial(self, name: &'static str) -> Self {
        Self {
            partial: name,
            ..self
        }
    }

    fn answers(&self, abi: u32) -> Answers {
        match self.other {
            Some((least, below, other)) if least <= abi && abi < below => other,
            Some(_) | None => self.answers,
        }
    }
}

/// What a session is for.
const ALLOWED: &[Row] = &[
    row(&["read", "{w}/file"], "ok", "ok"),
    row(&["list", "{w}"], "ok", "ok"),
    row(&["write", "{w}/file"], "ok", "ok"),
    row(&["truncate-write", "{w}/file"], "ok", "ok"),
    // cutting without opening for writing: no right of Landlock below ABI 3, refused everywhere then
    row(&["truncate-open", "{w}/file"], "ok", "ok").below(3, ["ok", "EPERM"]),
    row(&["truncate", "{w}/file"], "ok", "ok").below(3, ["ok", "EPERM"]),
    row(&["create", "{w}/new"], "ok", "ok"),
    row(&["mkdir", "{w}/folder"], "ok", "ok"),
    row(&["mkfifo", "{w}/fifo"], "ok", "ok"),
    row(&["symlink", "{w}/sym"], "ok", "ok"),
    row(&["rename", "{w}/file", "{w}/sub/moved"], "ok", "ok"),
    row(&["link", "{w}/file", "{w}/sub/linked"], "ok", "ok"),
    row(&["remove", "{w}/file"], "ok", "ok"),
    row(&["chmod", "{w}/file", "755"], "ok", "ok"),
    row(&["times", "{w}/file"], "ok", "ok"),
    row(&["xattr", "{w}/file"], "ok", "ok"),
    row(&["exec", "{w}/program"], "ok", "ok"),
    row(&["read", "{o}/file"], "ok", "ok"),
    row(&["exec", "/bin/true"], "ok", "ok"),
    row(&["read", "/proc/self/root{w}/file"], "ok", "ok"),
    row(&["tmpfile", "{w}"], "ok", "ok"),
    row(&["rmdir", "{w}/sub"], "ok", "ok"),
    row(&["exchange", "{w}/file", "{w}/sub"], "ok", "ok"),
    row(&["chown", "{w}/file"], "ok", "ok"),
    row(&["pair"], "ok", "ok"),
    row(&["prlimit", "0"], "ok", "ok"),
    row(&["nice", "0"], "ok", "ok"),
    // System V objects are the session's own, or none
    row(&["shm"], "ok", "EPERM"),
    row(&["bind", "0"], "ok", "ok"),
    // at `landlock` no other netlink socket is made than NETLINK_ROUTE's
    row(&["family", "16", "3", "0"], "ok", "ok"),
    row(&["family", "16", "3", "16"], "ok", "EPERM"),
    row(&["write", "/dev/null"], "ok", "ok"),
    row(&["signal", "0"], "ok", "ok"),
    row(&["unix-own", "{w}/own.sock"], "ok", "ok"),
    row(&["listen", "{w}/own.sock"], "ok", "ok"),
];

/// Each of these succeeds with enforcement off.
const DENIED: &[Row] = &[
    row(&["write", "{o}/file"], "EROFS", "EACCES"),
    row(&["truncate-write", "{o}/file"], "EROFS", "EACCES"),
    row(&["truncate-open", "{o}/file"], "EROFS", "EACCES").below(3, ["EROFS", "EPERM"]),
    row(&["truncate-neither", "{o}/file"], "EROFS", "EACCES").below(3, ["EROFS", "EPERM"]),
    row(&["truncate", "{o}/file"], "EROFS", "EACCES").below(3, ["EROFS", "EPERM"]),
    row(&["create", "{o}/new"], "EROFS", "EACCES"),
    row(&["mkdir", "{o}/folder"], "EROFS", "EACCES"),
    row(&["mkfifo", "{o}/fifo"], "EROFS", "EACCES"),
    row(&["symlink", "{o}/sym"], "EROFS", "EACCES"),
    row(&["remove", "{o}/file"], "EROFS", "EACCES"),
    row(&["rename", "{o}/file", "{o}/moved"], "EROFS", "EACCES"),
    row(&["rename", "{o}/file", "{w}/moved"], "EXDEV", "EACCES"),
    row(&["link", "{o}/file", "{o}/linked"], "EROFS", "EACCES"),
    row(&["link", "{o}/file", "{w}/linked"], "EXDEV", "EXDEV"),
    row(&["rmdir", "{o}/sub"], "EROFS", "EACCES"),
    row(&["tmpfile", "{o}"], "EROFS", "EACCES"),
    row(&["exchange", "{o}/file", "{w}/file"], "EXDEV", "EACCES"),
    row(&["write", "/proc/self/root{o}/file"], "EROFS", "EACCES"),
    row(&["read", "/proc/self/root{x}/file"], "ENOENT", "EACCES"),
    row(&["chown", "{o}/file"], "EROFS", "ok").partial("metadata"),
    row(&["chmod", "{o}/file", "700"], "EROFS", "ok").partial("metadata"),
    row(&["times", "{o}/file"], "EROFS", "ok").partial("metadata"),
    row(&["xattr", "{o}/file"], "EROFS", "ok").partial("metadata"),
    row(&["chmod", "{w}/file", "4755"], "EPERM", "EPERM"),
    // no rule names it: not there, or not readable
    row(&["read", "{x}/file"], "ENOENT", "EACCES"),
    row(&["list", "{x}"], "ENOENT", "EACCES"),
    row(&["create", "{x}/new"], "ENOENT", "EACCES"),
    row(&["exec", "{x}/program"], "ENOENT", "EACCES"),
    row(&["read", "{h}/secret"], "ENOENT", "EACCES"),
    // a rule hides it inside what another shows
    row(&["read", "{o}/hidden"], "EACCES", "EACCES"),
    row(&["list", "{o}/closed"], "EACCES", "EACCES"),
    row(&["exec", "{o}/refused"], "EACCES", "EACCES"),
    row(&["loader", "{o}/refused"], "ok", "ok").partial("loader"),
    // inside a writable tree: at `landlock` compared at the end
    row(&["write", "{w}/fixed"], "EROFS", "ok").partial("inside"),
    row(&["create", "{w}/.git/hooks/pre-commit"], "EROFS", "ok").partial("inside"),
    row(&["signal", "{pid}"], "ESRCH", "EPERM")
        .below(6, ["ESRCH", "ok"])
        .partial("signals"),
    row(&["ptrace", "{pid}"], "ESRCH", "EPERM"),
    row(&["environ", "{pid}"], "ENOENT", "EACCES"),
    row(&["connect", "{port}"], "ECONNREFUSED", "ECONNREFUSED"),
    row(&["fastopen", "{port}"], "EPERM", "EPERM"),
    row(&["unix", "{o}/socket"], "EACCES", "EACCES"),
    row(&["unix", "{w}/socket"], "EACCES", "EACCES"),
    row(&["pair-sends", "{o}/datagrams"], "EACCES", "EPERM").from(9, ["EACCES", "EACCES"]),
    row(&["abstract", "stockade-{pid}"], "ECONNREFUSED", "EPERM"),
    row(&["prlimit", "{pid}"], "ESRCH", "EPERM"),
    row(&["nice", "{pid}"], "ESRCH", "EPERM"),
    row(&["user-namespace"], "EPERM", "EPERM"),
    row(&["lease", "{w}/file"], "EPERM", "EPERM"),
    row(&["tiocsti", "plain"], "EPERM", "EPERM"),
    row(&["tiocsti", "high"], "EPERM", "EPERM"),
    // mount, bpf, perf_event_open, keyctl, io_uring_setup: by number
    row(&["call32"], "SIGSYS", "SIGSYS"),
    row(&["call", "165"], "EPERM", "EPERM"),
    // setns, unshare, open_tree, userfaultfd, add_key, and the last with bits that the kernel does not read
    row(&["call", "308"], "EPERM", "EPERM"),
    row(&["call", "272"], "EPERM", "EPERM"),
    row(&["call", "428"], "EPERM", "EPERM"),
    row(&["call", "323"], "EPERM", "EPERM"),
    row(&["call", "248"], "EPERM", "EPERM"),
    row(&["call", "321"], "EPERM", "EPERM"),
    row(&["call", "298"], "EPERM", "EPERM"),
    row(&["call", "250"], "EPERM", "EPERM"),
    row(&["call", "425"], "EPERM", "EPERM"),
];

/// Tried inside alone: nothing is sent to addresses of others.
const ELSEWHERE: &[Row] = &[
    row(&["connect-elsewhere", "80"], "ENETUNREACH", "ENETUNREACH"),
    row(&["datagram-elsewhere", "53"], "ENETUNREACH", "EPERM"),
];

const PROGRAMS: [&str; 2] = ["program", "refused"];

/// What the host has while the probes run, put anew before each.
struct Host {
    place: Place,
    outsider: std::process::Child,
    tcp: std::net::TcpListener,
    _abstract: UnixListener,
}

impl Host {
    fn new(n: usize) -> Self {
        let place = Place::new(&format!("access-{n}"));
        let outsider = Command::new("sleep")
            .arg("600")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        use std::os::linux::net::SocketAddrExt;
        let name = format!("stockade-{}", outsider.id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
        let host = Self {
            place,
            _abstract: UnixListener::bind_addr(&address).unwrap(),
            tcp: std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
            outsider,
        };
        for folder in host.folders() {
            for program in PROGRAMS {
                stockade_tests::install("/bin/true".as_ref(), &host.kept(&folder, program));
            }
        }
        host
    }

    /// The workspace, a directory that a rule shows, one that no rule names.
    fn folders(&self) -> [PathBuf; 3] {
        let hidden = self.place.path().join("unnamed");
        [self.place.work(), self.place.outside(), hidden]
    }

    /// Where a program is kept from probe to probe, out of every session's reach.
    fn kept(&self, folder: &Path, program: &str) -> PathBuf {
        let folder = folder.file_name().unwrap().to_string_lossy();
        self.place.path().join(format!("kept-{folder}-{program}"))
    }

    /// The tree as every probe finds it. The listeners live as long as the probe runs.
    fn reset(&self) -> ([UnixListener; 2], UnixDatagram) {
        for folder in self.folders() {
            if folder.exists() {
                std::fs::remove_dir_all(&folder).unwrap();
            }
            for below in ["sub", "closed", ".git/hooks"] {
                std::fs::create_dir_all(folder.join(below)).unwrap();
            }
            for file in ["file", "hidden", "fixed"] {
                std::fs::write(folder.join(file), "text").unwrap();
            }
            // a file of its own for each name: Landlock's rules lie with the file
            for program in PROGRAMS {
                let kept = self.kept(&folder, program);
                std::fs::hard_link(kept, folder.join(program)).unwrap();
            }
        }
        std::fs::write(self.place.home().join("secret"), "text").unwrap();
        let listeners = [self.place.outside(), self.place.work()]
            .map(|folder| UnixListener::bind(folder.join("socket")).unwrap());
        let datagrams = UnixDatagram::bind(self.place.outside().join("datagrams"));
        (listeners, datagrams.unwrap())
    }

    fn words(&self, row: &Row) -> Vec<String> {
        let path = |p: std::path::PathBuf| p.display().to_string();
        row.probe
            .iter()
            .map(|word| {
                word.replace("{w}", &path(self.place.work()))
                    .replace("{o}", &path(self.place.outside()))
                    .replace("{h}", &path(self.place.home()))
                    .replace("{x}", &path(self.place.path().join("unnamed")))
                    .replace("{pid}", &self.outsider.id().to_string())
                    .replace("{port}", &self.tcp.local_addr().unwrap().port().to_string())
            })
            .collect()
    }

    fn native(&self, row: &Row) -> String {
        let _listeners = self.reset();
        let out = self.place.command(probe()).args(self.words(row)).output();
        text(&out.unwrap()).trim().to_owned()
    }

    /// The same policy whatever is asked of it.
    fn under(&self, level: &str) -> Command {
        let outside = self.place.outside();
        let below = |name: &str| outside.join(name).display().to_string();
        let mut command = self.place.command(stockade());
        command
            .args(["run", "--quiet", "--require", level])
            .args(["--allow-read", probe(), "--allow-read", &below("")])
            .args([
                "--deny-read",
                &below("hidden"),
                "--deny-read",
                &below("closed"),
            ])
            .args(["--deny-exec", &below("refused")])
            .args(["--deny-write", "fixed"]);
        command
    }

    fn confined(&self, row: &Row, level: &str) -> String {
        let _listeners = self.reset();
        let mut command = self.under(level);
        let out = command.args(["--", probe()]).args(self.words(row)).output();
        let out = out.unwrap();
        // the summary is on standard error; a launch that failed says nothing on the other
        if out.stdout.is_empty() {
            return text(&out);
        }
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// The names of what the plan says is held in part.
    fn partials(&self, level: &str) -> Vec<String> {
        let _listeners = self.reset();
        let mut command = self.under(level);
        let out = command.args(["--dry-run", "--json", "--", "true"]).output();
        let plan: serde_json::Value = serde_json::from_slice(&out.unwrap().stdout).unwrap();
        let all = plan["partial"].as_array().unwrap();
        let name = |p: &serde_json::Value| p["name"].as_str().unwrap().to_owned();
        all.iter().map(name).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.outsider.kill().unwrap();
        self.outsider.wait().unwrap();
    }
}

/// What is not as documented.
fn wrong(host: &Host, abi: u32, kind: &str, row: &Row) -> Vec<String> {
    let mut wrong = Vec::new();
    // nothing is sent to addresses of others
    let native = if kind == "elsewhere" {
        "ok".to_owned()
    } else {
        host.native(row)
    };
    if native != "ok" {
        wrong.push(format!(
            "{kind} {:?}: {native} without enforcement",
            row.probe
        ));
    }
    for (level, expected) in LEVELS.iter().zip(row.answers(abi)) {
        let answer = host.confined(row, level);
        // of a child that was killed the signal counts
        let killed = answer.starts_with("Signaled") && answer.contains(expected);
        if answer != expected && !killed {
            wrong.push(format!(
                "{kind} {:?} at {level}, ABI {abi}: {answer}, not {expected}",
                row.probe
            ));
        }
        // what succeeds though it is denied, the plan must say
        if kind == "denied" && expected == "ok" {
            let said = host.partials(level);
            if !said.iter().any(|name| name == row.partial) {
                wrong.push(format!(
                    "{:?} at {level}, ABI {abi}: not in the plan as {:?}: {said:?}",
                    row.probe, row.partial
                ));
            }
        }
    }
    wrong
}

#[test]
fn every_access_is_answered_as_documented() {
    let abi = stockade_tests::doctor()["facts"]["landlock_abi"].as_u64();
    let abi = u32::try_from(abi.unwrap()).unwrap();
    let all = [
        (ALLOWED, "allowed"),
        (DENIED, "denied"),
        (ELSEWHERE, "elsewhere"),
    ];
    let rows: Vec<_> = all
        .iter()
        .flat_map(|(rows, kind)| rows.iter().map(|row| (*kind, row)))
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // each with a tree of its own
    let part = |n: usize| {
        let host = Host::new(n);
        let mine = rows.iter().skip(n).step_by(threads);
        mine.flat_map(|(kind, row)| wrong(&host, abi, kind, row))
            .collect::<Vec<_>>()
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads).map(|n| scope.spawn(move || part(n))).collect();
        let found = parts.into_iter().flat_map(|p| p.join().unwrap());
        found.collect()
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
