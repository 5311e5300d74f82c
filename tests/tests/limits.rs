//! Limits of each process and of time, at both levels; a limit that needs a cgroup where there is none.

use std::os::unix::process::ExitStatusExt;
use std::process::Output;
use stockade_tests::{LEVELS, Place, doctor, text};

fn limited(place: &Place, level: &str, limits: &str, command: &[&str]) -> Output {
    let file = place.path().join("limits.toml");
    std::fs::write(&file, format!("version = 1\n[limits]\n{limits}\n")).unwrap();
    let file = file.display().to_string();
    let arguments = ["run", "--require", level, "--policy", &file, "--"];
    place.stockade(&[&arguments, command].concat())
}

#[test]
fn limits_of_each_process_are_held() {
    for level in LEVELS {
        let place = Place::new("rlimits");
        let sh = |limits: &str, script: &str| limited(&place, level, limits, &["sh", "-c", script]);
        // the soft and the hard one, so that nothing inside raises it
        let out = sh(
            "files = 64",
            "ulimit -Sn; ulimit -Hn; ulimit -n 65 || echo refused",
        );
        assert!(
            text(&out).starts_with("64\n64\n") && text(&out).contains("refused"),
            "{}",
            text(&out)
        );
        let out = sh(
            "file_size = \"1M\"",
            "head -c 1048576 /dev/zero > full && head -c 1 /dev/zero >> full",
        );
        assert_ne!(out.status.code(), Some(0), "{}", text(&out));
        assert_eq!(
            std::fs::metadata(place.work().join("full")).unwrap().len(),
            1 << 20
        );
        let out = limited(
            &place,
            level,
            "cpu = \"1s\"",
            &["sh", "-c", "while :; do :; done"],
        );
        let by = out.status.signal();
        assert!(by == Some(9) || by == Some(24), "{level}: {out:?}");
    }
}

#[test]
fn a_session_whose_time_is_over_is_ended() {
    for level in LEVELS {
        let place = Place::new("wall");
        let script = "touch started; (setsid sleep 600 &); sleep 600; touch survived";
        let out = limited(&place, level, "wall = \"1s\"", &["sh", "-c", script]);
        assert_eq!(out.status.code(), Some(124), "{}", text(&out));
        assert!(text(&out).contains("(limits.wall)"), "{}", text(&out));
        assert!(place.work().join("started").exists());
        assert!(!place.work().join("survived").exists());
        // one that is done in time is not touched
        let out = limited(&place, level, "wall = \"1h\"", &["sh", "-c", "exit 3"]);
        assert_eq!(out.status.code(), Some(3), "{}", text(&out));
    }
}

/// Whether /sys is a new one or, with the host's network, the host's.
#[test]
fn no_session_sees_the_cgroup_file_system() {
    let place = Place::new("sys");
    let host = place.path().join("host.toml");
    let text_of = "version = 1\n[network]\nnamespace = \"host\"\ndefault = \"allow\"\n";
    std::fs::write(&host, text_of).unwrap();
    let host = host.display().to_string();
    let natively = place.command("ls").arg("/sys/fs/cgroup").output().unwrap();
    assert!(natively.status.success() && !natively.stdout.is_empty());
    for network in [[].as_slice(), &["--policy", &host]] {
        let list = |path: &str| {
            let arguments = ["run", "--quiet", "--require", "namespaces"];
            let out = place.stockade(&[&arguments, network, &["--", "ls", path]].concat());
            (out.status.code(), text(&out))
        };
        assert_eq!(list("/sys/devices").0, Some(0));
        let (code, said) = list("/sys/fs/cgroup");
        assert_ne!(code, Some(0), "{network:?}: {said}");
    }
}

#[test]
fn without_a_group_a_limit_stops_the_launch_and_says_what_helps() {
    let delegated = doctor()["facts"]["cgroup"]["delegated"].is_string();
    let place = Place::new("no-group");
    for level in LEVELS {
        let limited = place.path().join("limited.toml");
        std::fs::write(&limited, "version = 1\n[limits]\nmemory = \"64M\"\n").unwrap();
        let limited = limited.display().to_string();
        let run = |more: &[&str]| {
            let arguments = ["run", "--quiet", "--dry-run", "--json", "--require", level];
            let out = place.stockade(&[&arguments, more, &["--", "true"]].concat());
            let plan: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
            plan["unmet"].as_array().unwrap().clone()
        };
        assert!(run(&[]).is_empty());
        let unmet = run(&["--policy", &limited]);
        if delegated {
            assert!(unmet.is_empty(), "{unmet:?}");
            continue;
        }
        assert_eq!(unmet.len(), 1, "{unmet:?}");
        assert!(unmet[0].to_string().contains("systemd-run --user --scope"));
        let started = place.stockade(&["run", "--policy", &limited, "--", "touch", "started"]);
        assert_eq!(started.status.code(), Some(125), "{}", text(&started));
        assert!(!place.work().join("started").exists());
    }
}
