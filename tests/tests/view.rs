//! What a session sees: its private parts, its overlays, what it may know about itself.

use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::Output;
use stockade_tests::{LEVELS, Place, text};

fn sh(place: &Place, level: &str, script: &str) -> Output {
    place.stockade(&[
        "run",
        "--quiet",
        "--require",
        level,
        "--",
        "sh",
        "-c",
        script,
    ])
}

fn said(place: &Place, level: &str, script: &str) -> String {
    text(&sh(place, level, script)).trim_end().to_owned()
}

fn file(place: &Place, name: &str, content: &str) {
    let path = place.home().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

#[test]
fn a_session_knows_what_it_may_do() {
    for level in LEVELS {
        let place = Place::new("knows");
        assert_eq!(said(&place, level, "echo $STOCKADE"), "1");
        let policy = said(&place, level, "cat $STOCKADE_OWN/policy.md");
        let work = place.work().display().to_string();
        assert!(
            policy.contains(&work) && policy.contains("stockade why write PATH"),
            "{policy}"
        );
        assert!(policy.lines().count() <= 30, "{policy}");
        let changed = said(
            &place,
            level,
            "echo x >> $STOCKADE_OWN/policy.md || echo refused",
        );
        assert!(changed.contains("refused"), "{changed}");
        // from files alone, and the same answer as outside
        for object in [".git/hooks/x", "file", "/etc/shadow", "~/.ssh/id_rsa"] {
            for verb in ["read", "write"] {
                let inside = said(&place, level, &format!("stockade why {verb} '{object}'"));
                let outside = text(&place.stockade(&["why", verb, object]));
                assert_eq!(inside, outside.trim_end(), "{level} {verb} {object}");
            }
        }
    }
    let place = Place::new("knows-path");
    assert_eq!(
        said(&place, "namespaces", "echo $STOCKADE_OWN"),
        "/run/stockade"
    );
}

#[test]
fn an_overlay_shows_the_hosts_content_and_keeps_what_is_written() {
    let place = Place::new("overlay");
    file(&place, ".cargo/registry/kept", "of the host\n");
    file(&place, ".cargo/registry/removed", "of the host\n");
    let registry = place.home().join(".cargo/registry");
    let first =
        "cd ~/.cargo/registry && cat kept && echo inside > kept && echo new > new && rm removed";
    assert_eq!(said(&place, "namespaces", first), "of the host");
    // the host's stays as it was
    let read = |name: &str| std::fs::read_to_string(registry.join(name)).ok();
    assert_eq!(read("kept").as_deref(), Some("of the host\n"));
    assert_eq!(read("removed").as_deref(), Some("of the host\n"));
    assert_eq!(read("new"), None);
    // the next session in this workspace goes on with what the first wrote
    let second = "cd ~/.cargo/registry && cat kept new; ls removed";
    let out = said(&place, "namespaces", second);
    assert!(
        out.starts_with("inside\nnew\n") && out.contains("No such file"),
        "{out}"
    );
    // another workspace does not see it
    let other = place.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let other = other.display().to_string();
    let out = place.stockade(&[
        "run",
        "--quiet",
        "--require",
        "namespaces",
        "-w",
        &other,
        "--",
        "sh",
        "-c",
        "cat ~/.cargo/registry/kept; ls ~/.cargo/registry",
    ]);
    assert_eq!(text(&out), "of the host\nkept\nremoved\n");
    // at `landlock` nothing can stand in for it: read as it is, writes refused
    let out = said(
        &place,
        "landlock",
        "cat ~/.cargo/registry/kept; echo x > ~/.cargo/registry/y",
    );
    assert!(
        out.starts_with("of the host\n") && out.contains("Permission denied"),
        "{out}"
    );
    assert_eq!(read("y"), None);
}

#[test]
fn a_private_home_shows_start_up_files_and_no_secrets() {
    let place = Place::new("home");
    file(&place, ".bashrc", "start\n");
    file(&place, "dotfiles/gitconfig", "[user]\nname = linked\n");
    std::os::unix::fs::symlink("dotfiles/gitconfig", place.home().join(".gitconfig")).unwrap();
    file(&place, ".cargo/bin/tool", "#!/bin/sh\necho ran\n");
    let tool = place.home().join(".cargo/bin/tool");
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    file(&place, ".cargo/credentials.toml", "token\n");
    file(&place, ".aws/credentials", "token\n");
    for level in LEVELS {
        let out = said(
            &place,
            level,
            "cat ~/.bashrc; git config user.name; ~/.cargo/bin/tool; cat ~/.cargo/credentials.toml ~/.aws/credentials",
        );
        assert!(out.starts_with("start\nlinked\nran\n"), "{level}: {out}");
        assert!(!out.contains("token"), "{level}: {out}");
        let out = said(&place, level, "echo x >> ~/.bashrc || echo refused");
        assert!(out.contains("refused"), "{level}: {out}");
    }
    let out = said(
        &place,
        "namespaces",
        "mkdir -p ~/.config/new && echo x > ~/.config/new/f && cat ~/.config/new/f",
    );
    assert_eq!(out, "x");
    assert!(!place.home().join(".config").exists());
}

#[test]
fn files_made_in_the_workspace_belong_to_the_user() {
    for level in LEVELS {
        let place = Place::new("owner");
        assert_eq!(
            said(&place, level, "touch made && id -u"),
            place.work().metadata().unwrap().uid().to_string()
        );
        let (made, work) = (
            place.work().join("made").metadata().unwrap(),
            place.work().metadata().unwrap(),
        );
        assert_eq!((made.uid(), made.gid()), (work.uid(), work.gid()));
    }
}

#[test]
fn system_parts_are_the_sessions_own() {
    let place = Place::new("parts");
    let at = |script: &str| said(&place, "namespaces", script);
    assert_eq!(at("hostname"), "stockade");
    assert_eq!(at("echo $$ | grep -q '^[0-9]$' && echo low"), "low");
    assert_eq!(
        at("ls -A /dev/shm /run /var/tmp"),
        "/dev/shm:\n\n/run:\nstockade\n\n/var/tmp:"
    );
    assert_eq!(
        at("ls /dev | sort | tr '\\n' ' '"),
        "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"
    );
    assert_eq!(
        at(
            "cat /etc/ssh/ssh_config >/dev/null 2>&1; stat -c %u /etc/ssh/ssh_config 2>/dev/null || id -u"
        ),
        at("id -u")
    );
    assert_eq!(
        at("getent passwd $(id -u) | cut -d: -f6"),
        place.home().display().to_string()
    );
    for write in [
        "/proc/sys/kernel/hostname",
        "/proc/sysrq-trigger",
        "/sys/kernel/uevent_helper",
    ] {
        let out = at(&format!("echo x > {write} || echo refused"));
        assert!(out.contains("refused"), "{write}: {out}");
    }
    for read in ["/proc/kcore", "/proc/keys", "/proc/kmsg"] {
        let out = at(&format!("head -c 1 {read} || echo refused"));
        assert!(out.contains("refused"), "{read}: {out}");
    }
}

#[test]
fn what_looks_like_a_secret_is_not_passed() {
    for level in LEVELS {
        let place = Place::new("secrets");
        let run = |extra: &[&str]| {
            let mut words = vec!["run", "--quiet", "--require", level];
            words.extend(extra);
            words.extend(["--", "env"]);
            let mut command = place.command(stockade_tests::stockade());
            command.args(words);
            command
                .env("GH_TOKEN", "one")
                .env("DATABASE_URL", "postgres://u:two@h/db");
            command
                .env("LD_AUDIT_TEST", "three")
                .env("EDITOR", "vi")
                .env("SSH_AUTH_SOCK", "/four")
                .env("npm_config__authtoken", "five")
                .env("REMOTE", "https://github_pat_six@h/r")
                .env("UPSTREAM", "ssh://git@h/r")
                .env("OLDPWD", "/seven");
            text(&command.output().unwrap())
        };
        let out = run(&[]);
        for secret in ["one", "two", "three", "four", "five", "six"] {
            assert!(!out.contains(secret), "{level}: {out}");
        }
        for kept in ["EDITOR=vi", "UPSTREAM=ssh://git@h/r", "OLDPWD=/seven"] {
            assert!(out.contains(kept), "{level}: {out}");
        }
        let out = run(&[
            "--allow-env",
            "GH_TOKEN",
            "-e",
            "MADE=here",
            "--deny-env",
            "EDITOR",
        ]);
        assert!(
            out.contains("GH_TOKEN=one") && out.contains("MADE=here"),
            "{level}: {out}"
        );
        assert!(!out.contains("EDITOR"), "{level}: {out}");
    }
}

#[test]
fn no_descriptor_of_the_caller_is_inherited() {
    for level in LEVELS {
        let place = Place::new("descriptors");
        let secret = place.path().join("secret");
        std::fs::write(&secret, "secret").unwrap();
        let script = format!(
            "exec 7<{} 9</; {} run --quiet --require {level} -- sh -c 'cat <&7; ls /proc/self/fd'",
            secret.display(),
            stockade_tests::stockade().display()
        );
        let out = place.command("sh").args(["-c", &script]).output().unwrap();
        // ls has one of its own for the directory
        assert_eq!(
            String::from_utf8_lossy(&out.stdout),
            "0\n1\n2\n3\n",
            "{level}: {}",
            text(&out)
        );
        assert!(!text(&out).contains("secret"), "{level}: {}", text(&out));
    }
}

#[test]
fn the_first_process_gives_nothing() {
    let place = Place::new("first");
    for (read, file) in [
        ("cat", "environ"),
        ("cat", "mem"),
        ("cat", "maps"),
        ("cat", "exe"),
        ("readlink", "fd/0"),
        ("ls", "root/"),
        ("ls", "cwd/"),
        ("readlink", "ns/mnt"),
    ] {
        let out = sh(&place, "namespaces", &format!("{read} /proc/1/{file}"));
        assert_ne!(out.status.code(), Some(0), "{file}: {}", text(&out));
        let own = sh(
            &place,
            "namespaces",
            &format!("{read} /proc/self/{file} >/dev/null"),
        );
        // reading at address 0 is an error of its own
        assert!(
            own.status.code() == Some(0) || file == "mem",
            "{file}: {}",
            text(&own)
        );
    }
    // the streams, two sockets and the lock of the session's record; where names can be listed at all, by a user with the id 0
    let listed = said(&place, "namespaces", "ls /proc/1/fd 2>/dev/null");
    assert!(listed.lines().count() <= 6, "{listed}");
    let traced = said(
        &place,
        "namespaces",
        "{ kill -9 1; kill -STOP 1; } 2>/dev/null; grep -c . /proc/1/status",
    );
    assert!(
        traced
            .lines()
            .last()
            .unwrap()
            .parse::<u32>()
            .is_ok_and(|n| n > 10),
        "{traced}"
    );
}

#[test]
fn several_workspaces_are_writable_and_protected() {
    for level in LEVELS {
        let place = Place::new("several");
        let other = place.path().join("other");
        std::fs::create_dir_all(other.join(".git/hooks")).unwrap();
        let (work, other_name) = (
            place.work().display().to_string(),
            other.display().to_string(),
        );
        let run = |script: &str| {
            let arguments = [
                "run",
                "--require",
                level,
                "-w",
                &work,
                "-w",
                &other_name,
                "--",
            ];
            text(&place.stockade(&[&arguments, ["sh", "-c", script].as_slice()].concat()))
        };
        assert_eq!(
            run(&format!("echo x > made && echo x > {other_name}/made")),
            ""
        );
        assert!(place.work().join("made").exists() && other.join("made").exists());
        let out = run(&format!(
            "echo x > {other_name}/.git/hooks/pre-commit; echo x > {other_name}/.envrc"
        ));
        assert!(
            !other.join(".git/hooks/pre-commit").exists() && !other.join(".envrc").exists(),
            "{out}"
        );
        assert!(out.contains("quarantine"), "{out}");
    }
}

#[test]
fn what_the_command_closes_its_reader_sees_closed() {
    for level in LEVELS {
        let place = Place::new("closes");
        // the reader ends although the command goes on; the command ends when the reader is done
        let script = format!(
            "{} run --quiet --require {level} -- sh -c 'exec >&-; until test -e done; do sleep 0.05; done' | {{ cat; touch done; }}",
            stockade_tests::stockade().display()
        );
        let out = place
            .command("timeout")
            .args(["60", "sh", "-c", &script])
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(0), "{level}: {}", text(&out));
    }
}

#[test]
fn a_session_within_a_session_says_why_not() {
    for level in LEVELS {
        let place = Place::new("within");
        let out = sh(&place, level, "stockade run -- touch started");
        assert_eq!(out.status.code(), Some(125), "{level}: {}", text(&out));
        assert!(
            text(&out).contains("in a session already"),
            "{level}: {}",
            text(&out)
        );
        assert!(!place.work().join("started").exists());
    }
}

#[test]
fn sockets_of_the_host_are_covered_wherever_they_are() {
    let place = Place::new("sockets");
    let at = |name: &str| place.work().join(name);
    std::fs::create_dir_all(at("deep/er")).unwrap();
    std::os::unix::fs::symlink("deep", at("link")).unwrap();
    let folder = std::fs::File::open(at("deep/er")).unwrap();
    let own = format!("/proc/self/fd/{}/relative", folder.as_raw_fd());
    let streams = [
        at("plain"),
        at("was"),
        at("link/linked"),
        own.into(),
        at("twice"),
    ];
    let streams = streams.map(|path| UnixListener::bind(path).unwrap());
    let datagram = UnixDatagram::bind(at("datagram")).unwrap();
    drop(UnixListener::bind(at("stale")).unwrap());
    std::fs::rename(at("was"), at("deep/renamed")).unwrap();
    std::fs::hard_link(at("twice"), at("deep/again")).unwrap();
    let probe = stockade_tests::probe(env!("CARGO_BIN_EXE_probe"));
    let names = [
        "plain",
        "deep/renamed",
        "deep/linked",
        "link/linked",
        "deep/er/relative",
        "twice",
        "deep/again",
        "datagram",
    ];
    for name in names {
        let path = at(name).display().to_string();
        let native = place.command(probe).args(["unix", &path]).output().unwrap();
        assert!(
            ["ok\n", "EPROTOTYPE\n"].contains(&text(&native).as_str()),
            "{name}: {native:?}"
        );
        let words = [
            "run",
            "--quiet",
            "--require",
            "namespaces",
            "--allow-read",
            probe,
            "--",
        ];
        let inside = place.stockade(&[&words[..], &[probe, "unix", &path]].concat());
        assert_eq!(text(&inside), "EACCES\n", "{name}");
    }
    // what nobody listens at any more is a file like others
    assert_eq!(
        said(&place, "namespaces", "rm stale && echo removed"),
        "removed"
    );
    drop((streams, datagram));
}
