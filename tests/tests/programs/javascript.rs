//! npm and node.

use crate::{Work, kept_folder};
use std::path::PathBuf;
use std::process::Command;
use stockade_tests::{LEVELS, Place};

/// npm's cache and a lock file, as one installation with a network leaves them.
fn packages() -> PathBuf {
    let pins: toml::Table = include_str!("../../programs.toml").parse().unwrap();
    let pins: Vec<String> = pins["npm"]
        .as_table()
        .unwrap()
        .iter()
        .map(|(name, version)| format!("{name}@{}", version.as_str().unwrap()))
        .collect();
    kept_folder(&format!("npm-{}", pins.join("-")), |folder| {
        std::fs::write(
            folder.join("package.json"),
            r#"{ "name": "work", "version": "1.0.0" }"#,
        )
        .unwrap();
        let done = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--loglevel=error"])
            .args(["--save-exact", "--cache", "cache"])
            // addresses in the lock file: without them npm asks for them
            .arg("--omit-lockfile-registry-resolved=false")
            .args(&pins)
            .current_dir(folder)
            .status();
        assert!(done.unwrap().success(), "npm install {pins:?}");
        for made in ["node_modules", "cache/_logs"] {
            std::fs::remove_dir_all(folder.join(made)).unwrap();
        }
    })
}

/// The package with its cache in `at`, below the place.
pub fn copy(place: &Place, at: &str) {
    let from = packages();
    for (name, to) in [
        ("package.json", "home/project/"),
        ("package-lock.json", "home/project/"),
        ("cache", at),
    ] {
        let done = Command::new("cp")
            .args(["-r", "--preserve=mode", "--"])
            .arg(from.join(name))
            .arg(place.path().join(to))
            .status();
        assert!(done.unwrap().success(), "{name}");
    }
    let done = Command::new("chmod")
        .args(["-R", "a+rwX"])
        .args([place.path().join(at), place.work()])
        .status();
    assert!(done.unwrap().success());
}

#[test]
fn npm_install_and_tests() {
    Work::new("npm")
        .prepare(|place| copy(place, "home/project/.cache"))
        .before(
            "mkdir test; echo 'module.exports = (a, b) => a + b' > sum.js
             cat > test/sum.test.js <<'X'
const sum = require('../sum');
const { it } = process.env.JEST_WORKER_ID ? globalThis : require('node:test');
const { equal } = require('node:assert');
for (let n = 0; n < 5; n++) it(`adds ${n}`, () => equal(sum(n, 1), n + 1));
it('runs programs', () => equal(require('child_process').execSync('echo out').toString(), 'out\\n'));
X
             cp test/sum.test.js test/more.test.js; npm pkg set scripts.test='node --test test' scripts.build='echo built > built'",
        )
        // the packages are counted; the cache keeps times and logs
        .unlike(&["node_modules", ".cache"])
        .same(
            "export npm_config_update_notifier=false # it asks the network
             npm ci --offline --no-audit --no-fund --cache .cache 2>&1 | sed 's/ in .*//'; ls node_modules | wc -l
             npm ls --depth 0 --cache .cache; export npm_config_cache=.cache NO_COLOR=1
             npm test 2>&1 | grep -vE 'duration|time'; npm run -s build; npx jest --silent 2>&1 | sed 's/ ([0-9.]* m*s)//' | grep -vE '^(Time|Ran)' | sort; npm pack --silent --ignore-scripts; node -p 'require(\"express\") && 1'; rm *.tgz",
        );
}

/// The user's cache in the home is an overlay; at `landlock` caches are the session's own and start empty.
#[test]
fn the_cache_of_the_home() {
    for level in LEVELS {
        let place = Place::with_project("programs-npm-home");
        copy(&place, "home/.npm");
        let script = "npm ci --offline --no-audit --no-fund > out 2>&1; echo $?; grep -c ENOTCACHED out; ls node_modules | wc -l";
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
        let said = String::from_utf8(out.stdout).unwrap();
        let lines: Vec<&str> = said.lines().collect();
        match level {
            "namespaces" => assert!(lines[..2] == ["0", "0"] && lines[2] != "0", "{said}"),
            _ => assert!(
                lines[0] == "1" && lines[1] != "0" && lines[2] == "0",
                "{said}"
            ),
        }
        assert!(
            !place.home().join(".npm/_logs").exists(),
            "written to the home"
        );
    }
}

#[test]
fn processes_threads_and_watchers() {
    Work::new("node").same(
        r#"cat > child.js <<'X'
process.on('message', m => { process.send({ got: m }); process.disconnect(); });
X
           cat > main.mjs <<'X'
import { spawnSync, execFileSync, fork, spawn } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import fs from 'node:fs'; import os from 'node:os'; import path from 'node:path'; import zlib from 'node:zlib'; import crypto from 'node:crypto';
const r = spawnSync('sh', ['-c', 'cat; echo err >&2; exit 3'], { input: 'in' }); console.log(r.status, String(r.stdout), String(r.stderr), r.error);
console.log(spawnSync('no-such-program').error.code, spawnSync('sleep', ['100'], { timeout: 100 }).signal, String(execFileSync('node', ['-p', '6*7'])));
const child = fork('./child.js'); child.send('hello'); console.log(await once(child, 'message').then(([m]) => m)); console.log(await once(child, 'exit'));
const worker = new Worker('require("worker_threads").parentPort.postMessage(process.cwd() !== "")', { eval: true }); console.log((await once(worker, 'message'))[0]);
const p = spawn('tr', ['a-z', 'A-Z']); p.stdin.end('upper'); console.log(String((await once(p.stdout, 'data'))[0]));
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'x-')); fs.writeFileSync(dir + '/f', 'x'); fs.cpSync(dir, 'copied', { recursive: true }); fs.rmSync(dir, { recursive: true });
console.log(fs.readdirSync('copied'), os.homedir() === process.env.HOME, os.cpus().length, os.userInfo().username, zlib.gzipSync('x').length, crypto.createHash('sha1').update('x').digest('hex'));
await new Promise(done => { const w = fs.watch('.', (e, n) => { if (n === 'seen') { console.log('seen'); w.close(); done(); } }); fs.writeFileSync('seen', 'x'); });
const alive = setInterval(() => {}, 1000), signal = once(process, 'SIGUSR2'); process.kill(process.pid, 'SIGUSR2'); console.log(await signal); clearInterval(alive);
const bytes = new Uint8Array([0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,7,1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,106,11]);
console.log((await WebAssembly.instantiate(bytes)).instance.exports.add(2, 3), await fs.promises.readFile('seen', 'utf8'), globalThis.performance.now() > 0);
X
           node main.mjs; echo 'console.log(process.stdin.isTTY, process.stdout.isTTY)' | node -; node -e 'process.exit(7)' || echo $?; node --check child.js"#,
    );
}
