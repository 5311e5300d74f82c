//! `cargo xtask vm [--kernel NAME]… [--suite NAME]…`: the end-to-end suites on real other kernels, in QEMU without
//! hardware virtualisation; ends with `N passed, N failed`.

mod console;
mod fetch;
mod image;

use crate::counts::Counts;
use crate::{packages, top};
use console::Results;
use serde::Deserialize;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const NEEDED: &[&str] = &[
    "binutils",
    "busybox-static",
    "cpio",
    "e2fsprogs",
    "git",
    "gcc",
    "libc6-dev",
    "libseccomp-dev",
    "qemu-system-x86",
    "xz-utils",
];

/// A boot that takes longer hangs.
const MOST: Duration = Duration::from_secs(1500);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    kernel: Vec<Kernel>,
    guest: Guest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kernel {
    name: String,
    suite: String,
    follow: String,
    packages: Vec<String>,
    modules: Vec<String>,
    landlock_abi: u64,
    #[serde(default)]
    by_name_only: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Guest {
    levels: Vec<String>,
    suites: Vec<String>,
    programs: Vec<String>,
    folders: Vec<String>,
}

/// What the flag names, all of `there` where it is not given; a name that is not there is an error.
fn chosen(flag: &str, there: &[String], names: &[String]) -> Result<Vec<String>, String> {
    match names.iter().find(|n| !there.contains(n)) {
        Some(unknown) => Err(format!("{flag} {unknown}: there are {}", there.join(", "))),
        None if names.is_empty() => Ok(there.to_vec()),
        None => Ok(names.to_vec()),
    }
}

pub fn run(yes: bool, kernels: &[String], suites: &[String]) -> Result<(), String> {
    let counts = counted(yes, kernels, suites)?;
    println!("{counts}");
    counts.verdict()
}

pub fn counted(yes: bool, kernels: &[String], suites: &[String]) -> Result<Counts, String> {
    let file = top().join("vm-images/kernels.toml");
    let data = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut data: Data = toml::from_str(&data).map_err(|e| format!("{}: {e}", file.display()))?;
    let names: Vec<String> = data.kernel.iter().map(|k| k.name.clone()).collect();
    let wanted = chosen("--kernel", &names, kernels)?;
    let asked = |k: &Kernel| kernels.contains(&k.name) || !k.by_name_only;
    data.kernel.retain(|k| wanted.contains(&k.name) && asked(k));
    data.guest.suites = chosen("--suite", &data.guest.suites, suites)?;
    packages::ensure(NEEDED, yes)?;
    let cache = fetch::cache()?;
    let work = cache.join(format!("work.{}", std::process::id()));
    std::fs::create_dir_all(&work).map_err(|e| format!("{}: {e}", work.display()))?;
    let outcome = all(&data, &cache, &work);
    std::fs::remove_dir_all(&work).map_err(|e| format!("{}: {e}", work.display()))?;
    let (passed, failed) = outcome?;
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Ok(Counts {
        passed: number(passed),
        failed: number(failed),
        skipped: 0,
    })
}

fn all(data: &Data, cache: &Path, work: &Path) -> Result<(usize, usize), String> {
    let disk = image::disk(&data.guest, work)?;
    let (mut passed, mut failed) = (0, 0);
    let mut table = Vec::new();
    for kernel in &data.kernel {
        println!("== {}", kernel.name);
        match one(kernel, &data.guest, &disk, cache, work) {
            Ok((packages, results)) => {
                passed += results.passed();
                failed += results.failed();
                table.push(results.row(&kernel.name, &packages));
            }
            // a kernel that can't be had or booted is a failure, and the others are tried all the same
            Err(why) => {
                println!("{}: {why}", kernel.name);
                failed += 1;
            }
        }
    }
    for row in console::HEAD.iter().map(|h| (*h).to_owned()).chain(table) {
        println!("{row}");
    }
    Ok((passed, failed))
}

fn one(
    kernel: &Kernel,
    guest: &Guest,
    disk: &Path,
    cache: &Path,
    work: &Path,
) -> Result<(String, Results), String> {
    let fetched = fetch::kernel(kernel, cache)?;
    print!("{}", fetched.packages);
    let initramfs = image::initramfs(&fetched, work)?;
    let log = cache.join(format!("{}.log", kernel.name));
    let results = boot(&fetched.image, &initramfs, disk, &log)?.check(kernel, guest);
    for wrong in &results.wrong {
        println!("{}: {wrong}", kernel.name);
    }
    println!(
        "{}: {} passed, {} failed; the whole console is in {}",
        kernel.name,
        results.passed(),
        results.failed(),
        log.display()
    );
    Ok((fetched.packages, results))
}

/// A virtual machine whose console is this process's to read.
fn start(image: &Path, initramfs: &Path, disk: &Path) -> Result<Child, String> {
    let machine = "-accel tcg,thread=multi -cpu max -m 2048 -smp 2 -no-reboot \
        -display none -serial stdio -monitor none -nic none";
    let kernel = "console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off";
    let disk = format!("file={},format=raw,if=virtio,snapshot=on", disk.display());
    Command::new("qemu-system-x86_64")
        .args(machine.split_ascii_whitespace())
        .args(["-append", kernel])
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-drive", &disk])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("qemu-system-x86_64: {e}"))
}

/// The console's lines as they come, until the guest is off or its time is over.
fn boot(image: &Path, initramfs: &Path, disk: &Path, log: &Path) -> Result<Results, String> {
    let mut child = start(image, initramfs, disk)?;
    let stdout = child.stdout.take().ok_or("no console")?;
    let (to, lines) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line)
                .trim_end_matches('\r')
                .to_owned();
            if to.send(line).is_err() {
                break;
            }
        }
    });
    let mut log = std::fs::File::create(log).map_err(|e| format!("{}: {e}", log.display()))?;
    let (mut results, until) = (Results::default(), Instant::now() + MOST);
    loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                writeln!(log, "{line}").map_err(|e| e.to_string())?;
                results.line(&line);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                results
                    .wrong
                    .push(format!("not done after {} s", MOST.as_secs()));
                child.kill().map_err(|e| e.to_string())?;
                break;
            }
        }
    }
    child.wait().map_err(|e| e.to_string())?;
    reader
        .join()
        .map_err(|_| "the console's reader ended by a panic")?;
    Ok(results)
}

fn must(command: &mut Command) -> Result<(), String> {
    let status = command.status();
    let status = status.map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {status}"))
    }
}

fn output(command: &mut Command) -> Result<String, String> {
    let done = command.output();
    let done = done.map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    if done.status.success() {
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&done.stderr);
        Err(format!("{command:?}: {}: {}", done.status, said.trim()))
    }
}
