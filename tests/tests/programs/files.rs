//! Watchers, locks, mappings and large files.

use crate::Work;

#[test]
fn watchers() {
    // until it is seen it grows
    Work::new("watch").unlike(&["d/b"]).before("mkdir d").same(
        r#"inotifywait -q -e create -e moved_to --format '%e %f' -m d > events & watcher=$!
           until grep -q inotify /proc/$watcher/fdinfo/3 2> /dev/null; do sleep 0.02; done
           echo x > d/a; mv d/a d/b; until grep -q MOVED_TO events; do sleep 0.02; done; kill $watcher; wait $watcher || true; cat events
           node -e '
             const fs = require("fs"); const w = fs.watch("d", (e, n) => { console.log(n); w.close(); });
             setTimeout(() => fs.writeFileSync("d/seen", "x"), 50)'
           node -e '
             const fs = require("fs"); fs.watchFile("d/b", { interval: 20 }, (c, p) => { console.log(c.size > p.size); fs.unwatchFile("d/b"); clearInterval(more); });
             const more = setInterval(() => fs.appendFileSync("d/b", "more"), 50)'"#,
    );
}

#[test]
fn locks_mappings_and_sparse_files() {
    Work::new("files").same(
        r#"python3 - <<'X'
import errno, fcntl, mmap, os, shutil
f = open("f", "w+b"); fcntl.flock(f, fcntl.LOCK_EX); g = open("f", "rb")
try: fcntl.flock(g, fcntl.LOCK_SH | fcntl.LOCK_NB)
except OSError as e: print(errno.errorcode[e.errno])
fcntl.lockf(f, fcntl.LOCK_EX, 10, 0); f.truncate(1 << 20)
m = mmap.mmap(f.fileno(), 1 << 20); m[5000:5004] = b"text"; m.flush(); print(open("f", "rb").read()[5000:5004])
os.posix_fallocate(f.fileno(), 0, 4096); print(os.lseek(f.fileno(), 0, os.SEEK_HOLE) > 0); print(os.copy_file_range(f.fileno(), os.open("h", os.O_WRONLY | os.O_CREAT, 0o644), 100, 5000))
s = open("sparse", "wb"); s.seek((5 << 30) - 1); s.write(b"x"); s.close(); print(os.stat("sparse").st_size, os.stat("sparse").st_blocks < 100); os.remove("sparse")
os.mkfifo("p"); os.link("f", "l"); os.rename("l", "n"); os.symlink("n", "s"); print(os.readlink("s")); os.utime("n", (1, 2)); print(os.stat("n").st_mtime)
os.makedirs("deep/" + "/".join("d" * 50)); print(len(list(os.walk("deep")))); shutil.rmtree("deep"); os.chmod("f", 0o600)
t = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600); os.write(t, b"tmp"); os.link(f"/proc/self/fd/{t}", "linked", src_dir_fd=os.open(".", os.O_DIRECTORY), follow_symlinks=True); print(open("linked").read())
d = os.open(".", os.O_DIRECTORY); os.mkdir("rel", dir_fd=d); os.replace("n", "rel/n"); print(os.listdir(d).__len__()); os.sync(); os.fsync(d)
print(os.statvfs(".").f_bsize > 0, os.access(".", os.W_OK), os.access("/usr/bin/env", os.X_OK)); os.sendfile(os.open("g", os.O_CREAT | os.O_WRONLY, 0o644), os.open("linked", os.O_RDONLY), 0, 3); print(open("g").read())
X
           stat -c '%a %F' *"#,
    );
}
