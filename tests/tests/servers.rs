//! Programs that talk to themselves: a server and its client, as development is full of them. What
//! they print directly is what they print in a session, at both levels.

use stockade_tests::{LEVELS, Place, probe, stockade, text};

/// Compared with the run without stockade, each in a workspace of its own.
fn same(name: &str, program: &str, script: &str, options: &[&str]) {
    let alone = Place::new(&format!("{name}-alone"));
    let ran = |place: &Place, confined: Option<&str>| {
        let mut command = match confined {
            None => place.command(program),
            Some(level) => {
                let mut command = place.command(stockade());
                // what a name of a socket may have is little, and this place's is long
                command.env("XDG_STATE_HOME", place.path().join("s"));
                command.args(["run", "--quiet", "--require", level]);
                command.args(options).args(["--", program]);
                command
            }
        };
        let flag = if program == "node" { "-e" } else { "-c" };
        let out = command.args([flag, script]).output().unwrap();
        let printed = String::from_utf8_lossy(&out.stdout).into_owned();
        if out.status.success() {
            (Some(0), printed)
        } else {
            (out.status.code(), text(&out))
        }
    };
    let expected = ran(&alone, None);
    assert_eq!(expected.0, Some(0), "{name}: {}", expected.1);
    assert!(expected.1.contains("done\n"), "{name}: {}", expected.1);
    for level in LEVELS {
        let place = Place::new(&format!("{name}-{level}"));
        assert_eq!(ran(&place, Some(level)), expected, "{name} at {level}");
    }
}

#[test]
fn a_web_server_and_its_client() {
    const SCRIPT: &str = "
import http.server, threading, urllib.request
for address in ['', '127.0.0.1', 'localhost']:
    server = http.server.ThreadingHTTPServer((address, 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ['127.0.0.1', 'localhost']:
        with urllib.request.urlopen(f'http://{name}:{server.server_port}/') as page:
            print(address, name, page.status, b'Directory listing' in page.read())
    server.shutdown()
    server.server_close()
print('done')
";
    same("web", "python3", SCRIPT, &[]);
}

#[test]
fn unix_sockets_in_the_workspace_and_in_the_temporary_directory() {
    const SCRIPT: &str = "
import asyncio, os, socket, socketserver, tempfile, threading
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline())
def ask(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(b'hello\\n')
        return client.recv(100), client.getpeername() == path
os.makedirs('sub/deep')
for path in ['s', 'sub/s', os.path.abspath('sub/deep/s'), os.path.join(tempfile.gettempdir(), 's')]:
    os.umask(0o077)
    server = socketserver.ThreadingUnixStreamServer(path, Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(ask(path), oct(os.stat(path).st_mode))
    os.chdir('sub')
    os.symlink(os.path.join('..', path), 'link')
    print(ask('link')[0])
    os.unlink('link')
    os.chdir('..')
    server.shutdown()
    server.server_close()
    try:
        ask(path)
    except OSError as error:
        print(error.strerror)
    try:
        socket.socket(socket.AF_UNIX).bind(path)
    except OSError as error:
        print(error.strerror)
    os.unlink(path)
    socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind(path)
    os.unlink(path)
async def main():
    async def answer(reader, writer):
        writer.write(await reader.readline())
        writer.close()
    async def ask(connection):
        reader, writer = await connection
        writer.write(b'hello\\n')
        print(await reader.readline())
    await asyncio.start_unix_server(answer, 'a')
    await ask(asyncio.open_unix_connection('a'))
    server = await asyncio.start_server(answer, '127.0.0.1', 0)
    for each in server.sockets:
        await ask(asyncio.open_connection(*each.getsockname()[:2]))
asyncio.run(main())
print('done')
";
    same("unix", "python3", SCRIPT, &[]);
}

#[test]
fn node_with_its_servers_and_children() {
    const SCRIPT: &str = "
const http = require('http'), fs = require('fs'), child = require('child_process');
const get = (where) => new Promise((done, failed) => http.get(where, (answer) => {
    let text = ''; answer.on('data', (d) => text += d).on('end', () => done(text));
}).on('error', failed));
const listening = (...where) => new Promise((done) => {
    const server = http.createServer((_, answer) => answer.end('hello'));
    server.listen(...where, () => done(server));
});
(async () => {
    for (const where of [[0], [0, '127.0.0.1'], [0, 'localhost']]) {
        const server = await listening(...where);
        const { port } = server.address();
        for (const name of ['127.0.0.1', 'localhost']) {
            if (where[1] === 'localhost' && name === '127.0.0.1') continue;
            console.log(where[1], name, await get({ host: name, port, path: '/' }));
        }
        server.close();
    }
    const server = await listening('own.sock');
    console.log(await get({ socketPath: 'own.sock', path: '/' }));
    server.close();
    fs.writeFileSync('child.js', 'process.on(\"message\", (m) => { process.send(m + 1); process.exit() })');
    const forked = child.fork('./child.js');
    forked.send(41);
    console.log(await new Promise((done) => forked.on('message', done)));
    const refused = await get({ host: '127.0.0.1', port: 1 }).catch((e) => e.code);
    console.log(refused);
    console.log('done');
})();
";
    same("node", "node", SCRIPT, &[]);
}

#[test]
fn a_manager_of_shared_objects_and_a_pool_of_processes() {
    const MANAGER: &str = "
import multiprocessing
def work(shared, key):
    shared[key] = key * 2
with multiprocessing.Manager() as manager:
    shared = manager.dict()
    workers = [multiprocessing.Process(target=work, args=(shared, n)) for n in range(4)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
    print(sorted(shared.items()))
print('done')
";
    same("m", "python3", MANAGER, &[]);
    // its semaphores lie in /dev/shm, which at `landlock` is the host's and needs a rule
    const POOL: &str = "
import multiprocessing
with multiprocessing.Pool(2) as pool:
    print(pool.map(abs, [-1, -2, -3]))
print('done')
";
    same("pool", "python3", POOL, &["--allow-write", "/dev/shm"]);
    let place = Place::new("pool-without");
    let run = ["run", "--quiet", "--require", "landlock", "--", "python3"];
    let out = place.stockade(&[&run[..], &["-c", POOL]].concat());
    assert!(
        text(&out).contains("PermissionError: [Errno 13]"),
        "{}",
        text(&out)
    );
}

/// Below Landlock ABI 9 nothing else decides about Unix sockets, and nothing about TCP at all.
#[test]
fn where_somebody_listens_already_there_are_no_sockets_and_it_is_said() {
    let place = Place::new("taken");
    let tool = probe(env!("CARGO_BIN_EXE_probe"));
    let ran = |words: &[&str]| {
        let mut command = place.command(env!("CARGO_BIN_EXE_without"));
        command.args(["listener", "--"]).arg(stockade()).args(words);
        text(&command.output().unwrap())
    };
    let why = "listens to system calls already";
    assert!(ran(&["doctor"]).contains(why), "{}", ran(&["doctor"]));
    let plan = ran(&["plan", "--require", "landlock", "--", "true"]);
    let sockets = plan.lines().find(|l| l.starts_with("sockets"));
    assert!(sockets.is_some_and(|l| l.contains(why)), "{plan}");
    assert!(
        plan.contains("held       no_network by seccomp\n"),
        "{plan}"
    );
    let run = [
        "run",
        "--quiet",
        "--require",
        "landlock",
        "--allow-read",
        tool,
    ];
    let tried = |words: &[&str]| ran(&[&run[..], &["--", tool], words].concat());
    assert_eq!(tried(&["bind", "0"]), "EPERM\n");
    assert_eq!(tried(&["connect", "1"]), "EPERM\n");
    assert_eq!(tried(&["pair"]), "ok\n");
    assert_eq!(tried(&["read", "/etc/passwd"]), "ok\n");
    // and without: the same words, and the sockets are there
    let out = place.stockade(&[&run[..], &["--", tool, "bind", "0"]].concat());
    assert_eq!(text(&out), "ok\n");
}
