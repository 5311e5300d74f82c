//! What programs ask of the system: who, when, how much.

use crate::Work;
use stockade_tests::{LEVELS, Place, stockade, text};

#[test]
fn users_and_groups() {
    Work::new("users").same(
        "id -u; id -g; id -un; id; whoami; groups; getent passwd $(id -u) | cut -d: -f1-5; getent group $(id -g) | cut -d: -f1,3
         getent passwd root | cut -d: -f1,3; stat -c '%U %G' .; ls -ld . | cut -d' ' -f3,4; echo ~; logname 2> /dev/null || echo none
         python3 -c 'import getpass, os, pwd; print(pwd.getpwuid(os.getuid()).pw_name, os.getgroups() == [] or os.getgid())'",
    );
}

#[test]
fn time_and_languages() {
    Work::new("locale").same(
        "TZ=America/New_York date -d @0; TZ=Asia/Tokyo date -d @0 +%c; date -d @0; TZ=UTC date +%Y | grep -c 20;
         locale; locale -a | head -3; LC_ALL=C sort <<< $'b\\nA\\na'; printf 'gr\\xc3\\xb6\\xc3\\x9fe\\n'; echo 'größe' | wc -m; date +%Z
         python3 -c 'import time, locale, zoneinfo; locale.setlocale(locale.LC_ALL, \"\"); print(time.tzname, zoneinfo.ZoneInfo(\"Europe/Berlin\"))'
         node -e 'console.log(new Date(0).toLocaleString(\"de-DE\", { timeZone: \"Europe/Berlin\" }))'; iconv -t latin1 <<< größe | wc -c",
    );
}

#[test]
fn the_machine() {
    Work::new("machine").same(
        "nproc; getconf PAGESIZE; getconf _NPROCESSORS_ONLN; uname -sm; df -h . > /dev/null; df --output=target . | tail -1 | wc -l; free > /dev/null; uptime > /dev/null
         test \"$(ps -o comm= -p $$)\" = bash; ps aux | grep -c '[p]s aux' > /dev/null; pgrep -x bash > /dev/null; head -1 /proc/meminfo | cut -d: -f1; cat /proc/self/comm
         test -r /proc/self/maps; ls -d /proc/self/fd; cat /proc/sys/kernel/ostype; nproc --all; cat /proc/cpuinfo | grep -c ^processor; lscpu | grep -c Architecture
         ls -d /sys/devices/system/cpu > /dev/null; cat /sys/devices/system/cpu/online; cat /etc/os-release | head -1; test -d /tmp; test -w /tmp; test -w /var/tmp
         hostname > /dev/null; which bash; file /bin/sh 2> /dev/null | wc -l > /dev/null; command -v git; ldconfig -p 2> /dev/null | wc -l > /dev/null; cat /proc/loadavg | wc -w",
    );
}

/// A session's policy holds for everything in it: a second one says so instead of half working.
#[test]
fn a_session_in_a_session() {
    let place = Place::with_project("programs-nested");
    let program = stockade().display().to_string();
    for level in LEVELS {
        let outer = [
            "run",
            "--quiet",
            "--require",
            level,
            "--allow-read",
            &program,
            "--",
        ];
        let run = |inner: &[&str]| place.stockade(&[&outer[..], inner].concat());
        let refused = run(&[&program, "run", "--", "true"]);
        assert_eq!(refused.status.code(), Some(125), "{level}");
        assert!(
            text(&refused).contains("this runs in a session already"),
            "{}",
            text(&refused)
        );
        assert_eq!(run(&["true"]).status.code(), Some(0), "{level}");
    }
}

/// A configuration of the project's; the user's own, beside the keys, takes a rule.
#[test]
fn ssh_reads_its_configuration() {
    Work::new("ssh")
        .before("printf 'Host h\\n  User me\\n  Port 2222\\nHost *\\n  Compression yes\\n' > config")
        .same("ssh -F config -G h | grep -E '^(user|port|hostname|compression) '; ssh -V 2>&1 | cut -c1-7; ssh-keygen -q -t ed25519 -N '' -f key; wc -l < key.pub; rm key*");
}
