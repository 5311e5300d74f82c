//! Python: environments, tests, processes, watchers.

use crate::{Work, kept_folder};
use std::process::Command;
use stockade_tests::Place;

#[test]
fn a_virtual_environment_and_pytest() {
    Work::new("pytest").prepare(wheels).before(
        "mkdir pkg tests; echo 'def add(a, b): return a + b' > pkg/__init__.py
         printf 'import pkg, pytest, sys\\n@pytest.mark.parametrize(\"n\", range(20))\\ndef test_add(n): assert pkg.add(n, 1) == n + 1\\n' > tests/test_add.py
         printf 'def test_files(tmp_path):\\n    (tmp_path / \"f\").write_text(\"x\")\\n    assert (tmp_path / \"f\").read_text() == \"x\"\\n' > tests/test_files.py
         cat > tests/test_out.py <<'X'
import subprocess, sys
def test_out(capfd, monkeypatch):
    monkeypatch.setenv('A', 'b')
    subprocess.run([sys.executable, '-c', 'import os; print(os.environ[\"A\"])'], check=True)
    assert capfd.readouterr().out == 'b\\n'
X
",
    )
    // files that are compiled hold times
    .unlike(&["*.pyc", "lastfailed", "nodeids"])
    .says(&["venv/bin"])
    .same(
        "python3 -m venv .venv; . .venv/bin/activate; python -c 'import sys; print(sys.prefix)'
         pip install -q --disable-pip-version-check --no-index --find-links wheels pytest 2>&1; pip list --disable-pip-version-check 2>&1
         python -m pytest -q -p no:cacheprovider | sed 's/ in .*//'; pytest -q -k nothing | sed 's/ in .*//' || echo $?; rm -r .venv/lib .pytest_cache",
    );
}

/// pytest's wheels, as `pip download` leaves them.
fn wheels(place: &Place) {
    let pins: toml::Table = include_str!("../../programs.toml").parse().unwrap();
    let version = pins["pypi"]["pytest"].as_str().unwrap();
    let folder = kept_folder(&format!("pytest-{version}"), |folder| {
        let done = Command::new("/usr/bin/python3")
            .args([
                "-m",
                "pip",
                "download",
                "-q",
                "--only-binary",
                ":all:",
                "-d",
            ])
            .arg(folder)
            .arg(format!("pytest=={version}"))
            .status();
        assert!(done.unwrap().success(), "pip download pytest=={version}");
    });
    let done = Command::new("cp")
        .args(["-r", "--"])
        .arg(folder)
        .arg(place.work().join("wheels"))
        .status();
    assert!(done.unwrap().success());
}

#[test]
fn processes_threads_and_pipes() {
    Work::new("python-processes").same(
        r#"python3 - <<'X'
import asyncio, concurrent.futures, os, signal, subprocess, tempfile, threading
print(subprocess.run(["sh", "-c", "echo out; echo err >&2; exit 3"], capture_output=True))
print(subprocess.check_output("echo $0 | tr a-z A-Z", shell=True))
try: subprocess.run(["sleep", "100"], timeout=0.2)
except subprocess.TimeoutExpired as e: print(e.cmd)
async def main():
    p = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    print(await p.communicate(b"through cat"))
asyncio.run(main())
with concurrent.futures.ThreadPoolExecutor(8) as pool: print(sum(pool.map(lambda n: n * n, range(1000))))
pid = os.fork()
if pid == 0: os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
r, w = os.pipe(); os.write(w, b"piped"); print(os.read(r, 10))
signal.signal(signal.SIGALRM, lambda *a: print("alarm")); signal.setitimer(signal.ITIMER_REAL, 0.05); signal.pause()
with tempfile.TemporaryDirectory() as d: open(d + "/f", "w").write("x"); print(os.listdir(d))
with tempfile.TemporaryFile() as f: f.write(b"x"); print(f.tell())
t = threading.Thread(target=lambda: print("thread")); t.start(); t.join()
print(len(os.sched_getaffinity(0)) == os.cpu_count(), os.getpriority(os.PRIO_PROCESS, 0))
m = os.memfd_create("m"); os.write(m, b"12"); print(os.fstat(m).st_size)
X"#,
    );
}

const POOL: &str = r#"python3 - <<'X'
import multiprocessing as m
def f(n): return n * n
if __name__ == "__main__":
    with m.Pool(4) as pool: print(pool.map(f, range(10)))
    q = m.Queue(); p = m.Process(target=q.put, args=("queued",)); p.start(); print(q.get()); p.join()
    from multiprocessing import shared_memory
    s = shared_memory.SharedMemory(create=True, size=16); s.buf[0] = 7; print(s.buf[0]); s.close(); s.unlink()
X"#;

/// POSIX semaphores and shared memory are files of /dev/shm, which at `landlock` is the host's.
#[test]
fn multiprocessing_with_shared_memory() {
    Work::new("python-pool")
        .options("landlock", &["--allow-write", "/dev/shm"])
        .same(POOL);
}

#[test]
fn shared_memory_without_a_rule() {
    let script = "python3 -c 'import multiprocessing as m; m.Lock()' 2> errors; echo $?; tail -1 errors; rm errors";
    let place = Place::with_project("programs-shm");
    let said = |level| {
        let out = place.stockade(&[
            "run",
            "--quiet",
            "--require",
            level,
            "--",
            "sh",
            "-c",
            script,
        ]);
        String::from_utf8(out.stdout).unwrap()
    };
    assert_eq!(said("namespaces"), "0\n");
    assert_eq!(
        said("landlock"),
        "1\nPermissionError: [Errno 13] Permission denied\n"
    );
}

#[test]
fn sqlite() {
    Work::new("sqlite").same(
        r#"sqlite3 a.db 'pragma journal_mode=wal; create table t(a, b); insert into t values (1, "x"), (2, "y"); select * from t; pragma integrity_check'
           sqlite3 a.db '.dump'; sqlite3 a.db 'select count(*) from t' & wait
           python3 - <<'X'
import sqlite3, threading
c = sqlite3.connect("b.db"); c.execute("create table t(n)"); c.commit()
def add(k):
    d = sqlite3.connect("b.db", timeout=20)
    for n in range(20): d.execute("insert into t values (?)", (n,)); d.commit()
ts = [threading.Thread(target=add, args=(k,)) for k in range(4)]
[t.start() for t in ts]; [t.join() for t in ts]
print(c.execute("select count(*), sum(n) from t").fetchall())
X
           rm b.db"#,
    );
}
