//! Servers and their clients on the session's own loopback, and Unix sockets in the workspace.

use crate::Work;

const SERVE: &str = r#"up() { for n in $(seq 500); do "$@" > /dev/null 2>&1 && return; sleep 0.02; done; echo "$* never succeeded"; exit 1; }
"#;

fn same(work: Work, script: &str) {
    work.same(&format!("{SERVE}{script}"));
}

#[test]
fn a_web_server_of_python_and_curl() {
    same(
        Work::new("http").before("echo page > index.html; mkdir d; echo x > d/f"),
        r#"python3 -m http.server 18080 --bind 127.0.0.1 2> log & server=$!
           up curl -sf http://127.0.0.1:18080/; curl -s http://localhost:18080/; curl -s http://127.0.0.1:18080/d/f; curl -s -o /dev/null -w '%{http_code}\n' http://127.0.0.1:18080/none
           python3 -c 'import urllib.request as u; print(u.urlopen("http://localhost:18080/index.html").read())'
           clients=; for n in 1 2 3 4; do curl -s http://127.0.0.1:18080/ & clients="$clients $!"; done; wait $clients; kill $server; wait $server || true
           curl -s http://127.0.0.1:18081/ || echo refused $?; rm log"#,
    );
}

#[test]
fn sockets_of_python() {
    same(
        Work::new("sockets"),
        r#"python3 - <<'X'
import asyncio, os, socket, socketserver, threading
a, b = socket.socketpair(); a.send(b"pair"); print(b.recv(9))
s = socket.socket(socket.AF_UNIX); s.bind("sock"); s.listen(); print(os.stat("sock").st_mode & 0o170000 == 0o140000)
c = socket.socket(socket.AF_UNIX); c.connect("sock"); d, _ = s.accept(); c.send(b"unix"); print(d.recv(9)); 
r, w = os.pipe(); socket.send_fds(c, [b"fd"], [r]); m, fds, _, _ = socket.recv_fds(d, 9, 1); os.write(w, b"passed"); print(m, os.read(fds[0], 9)); os.remove("sock")
t = socket.create_server(("127.0.0.1", 0)); p = t.getsockname()[1]; e = socket.create_connection(("127.0.0.1", p)); f, peer = t.accept(); print(peer[0], p > 0)
e.sendall(b"x" * 100000); got = 0
while got < 100000: got += len(f.recv(65536))
print(got); e.shutdown(socket.SHUT_WR); print(f.recv(1)); e.settimeout(0.05)
try: e.recv(1)
except TimeoutError: print("time-out")
try: socket.create_connection(("127.0.0.1", 1))
except OSError as x: print(x)
async def main():
    async def echo(r, w): w.write(await r.readline()); await w.drain(); w.close()
    s = await asyncio.start_server(echo, "127.0.0.1", 0); r, w = await asyncio.open_connection(*s.sockets[0].getsockname())
    w.write(b"asyncio\n"); print(await r.read()); w.close(); s.close()
    s = await asyncio.start_unix_server(echo, "aio"); r, w = await asyncio.open_unix_connection("aio"); w.write(b"unix asyncio\n"); print(await r.read()); w.close(); s.close(); os.remove("aio")
asyncio.run(main())
class H(socketserver.StreamRequestHandler):
    def handle(self): self.wfile.write(self.rfile.readline().upper())
with socketserver.ThreadingTCPServer(("127.0.0.1", 0), H) as s:
    threading.Thread(target=s.serve_forever, daemon=True).start()
    with socket.create_connection(s.server_address) as c: c.sendall(b"threads\n"); print(c.recv(20))
    s.shutdown()
X"#,
    );
}

/// At `landlock` a socket that takes a name with each message is not made: no filter sees such names.
#[test]
fn datagrams_by_name() {
    let script = "python3 - 2> errors <<'X'; echo $?; tail -1 errors; rm errors
import os, socket
u = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); u.bind('dgram')
v = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); v.sendto(b'datagram', 'dgram'); print(u.recv(20)); os.remove('dgram')
X";
    let place = stockade_tests::Place::with_project("programs-datagrams");
    let said = |level| {
        let run = [
            "run",
            "--quiet",
            "--require",
            level,
            "--",
            "sh",
            "-c",
            script,
        ];
        String::from_utf8(place.stockade(&run).stdout).unwrap()
    };
    assert_eq!(said("namespaces"), "b'datagram'\n0\n");
    assert_eq!(
        said("landlock"),
        "1\nPermissionError: [Errno 1] Operation not permitted\n"
    );
}

/// supertest starts the server on a port of its own; a worker of jest each file.
#[test]
fn express_under_jest() {
    same(
        Work::new("express")
            .prepare(|place| crate::javascript::copy(place, "home/project/.cache"))
            .before(
                "cat > app.js <<'X'
const app = require('express')();
app.get('/hello', (req, res) => res.json({ hello: req.query.who }));
module.exports = app;
X
                 cat > app.test.js <<'X'
const request = require('supertest'), app = require('./app');
test('answers', async () => { const r = await request(app).get('/hello?who=you'); expect(r.body).toEqual({ hello: 'you' }); });
test('unknown', () => request(app).get('/none').expect(404));
X
                 sed s/you/me/g app.test.js > more.test.js",
            )
            .unlike(&["node_modules", ".cache"]),
        r#"npm ci --offline --no-audit --no-fund --silent --cache .cache; NO_COLOR=1 npx --cache .cache jest 2>&1 | sed 's/ ([0-9.]* m*s)//' | grep -v Time | sort
           node -e '
             const s = require("http").createServer((q, r) => r.end("served")).listen(0, async () => {
               console.log(await (await fetch(`http://localhost:${s.address().port}/`)).text()); s.close(); })'
           cat > cluster.js <<'X'
const cluster = require('cluster'), http = require('http');
const answer = port => http.get({ port, host: '127.0.0.1' }, r => r.on('data', d => { console.log(String(d)); process.exit(0); }));
if (cluster.isPrimary) cluster.fork().on('message', answer);
else { const s = http.createServer((q, r) => r.end('worker')).listen(0, '127.0.0.1', () => process.send(s.address().port)); }
X
           node cluster.js"#,
    );
}

#[test]
fn redis() {
    same(
        Work::new("redis"),
        // the same program by its other name: the package of that one starts a server on the machine
        r#"ln -s "$(command -v redis-check-rdb)" redis-server; ./redis-server --port 16379 --bind 127.0.0.1 --unixsocket "$PWD/redis.sock" --save '' --daemonize no > log & server=$!
           up redis-cli -p 16379 ping; redis-cli -p 16379 set a 1; redis-cli -p 16379 incr a; redis-cli -s redis.sock get a
           redis-cli -p 16379 eval 'return redis.call("get", "a") * 2' 0; redis-benchmark -q -p 16379 -n 500 -t set,get -P 4 2>&1 | grep -c requests
           redis-cli -p 16379 shutdown nosave; wait $server; rm log redis-server; ls"#,
    );
}

/// A terminal multiplexer's socket is a Unix socket in its temporary directory.
#[test]
fn bash_under_tmux() {
    Work::new("tmux").options("landlock", crate::terminal::TERMINALS).same(
        r#"export TMUX_TMPDIR=$PWD SHELL=/bin/bash; trap 'tmux kill-server 2> /dev/null; rm -rf tmux-*' EXIT; tmux -f /dev/null new-session -d -x 60 -y 12 'exec bash --norc -i'
           see() { for n in $(seq 200); do tmux capture-pane -p | grep -q "$1" && return; sleep 0.05; done; tmux capture-pane -p; exit 1; }
           see bash-; tmux send-keys 'echo re""ady; tty > /dev/null && echo o""n a terminal' Enter; see ready; see 'on a terminal'
           tmux send-keys 'sleep 100' Enter; sleep 0.1; tmux send-keys C-c; tmux send-keys 'echo st""atus $?' Enter; see 'status 130'
           tmux split-window -d 'exec sleep 100'; tmux list-panes -F '#{pane_width}x#{pane_height}'; tmux resize-window -x 40; until tmux capture-pane -p | grep -q '[0-9] 40$'; do tmux send-keys 'stty size' Enter; sleep 0.1; done
           true"#,
    );
}
