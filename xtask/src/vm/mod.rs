//! `cargo xtask vm run [KERNEL…] [-- FILTER…]`: the end-to-end suites on real other kernels, in QEMU without hardware
//! virtualisation; ends with `N passed, N failed`. `cargo xtask vm shell KERNEL`: a shell in one of them.

mod console;
mod fetch;
mod image;

use crate::counts::Counts;
use crate::{packages, top};
use console::Results;
use serde::Deserialize;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
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
    /// Its processors take turns on one thread of the host's.
    #[serde(default)]
    one_thread: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Guest {
    levels: Vec<String>,
    suites: Vec<String>,
    /// Those that take privileges that an ordinary user has not.
    root_suites: Vec<String>,
    programs: Vec<String>,
    folders: Vec<String>,
    #[serde(skip)]
    filters: Vec<String>,
    /// Instead of the suites.
    #[serde(skip)]
    shell: bool,
}

/// Which kernels, and what runs in them; everything where nothing is named.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    kernels: Vec<String>,
    /// SUITE, or SUITE::PART.
    filters: Vec<String>,
}

impl Wanted {
    fn parse(words: &[String]) -> Self {
        let (kernels, filters) = match words.iter().position(|w| w == "--") {
            Some(at) => (&words[..at], &words[at + 1..]),
            None => (words, &[][..]),
        };
        Self {
            kernels: kernels.into(),
            filters: filters.into(),
        }
    }
}

/// What is named, all of `there` where nothing is; a name that is not there is an error.
fn chosen(what: &str, there: &[String], names: &[String]) -> Result<Vec<String>, String> {
    match names.iter().find(|n| !there.contains(n)) {
        Some(unknown) => Err(format!(
            "no {what} {unknown}: there are {}",
            there.join(", ")
        )),
        None if names.is_empty() => Ok(there.to_vec()),
        None => Ok(names.to_vec()),
    }
}

const USAGE: &str =
    "usage: cargo xtask vm run [KERNEL]... [-- FILTER...] | cargo xtask vm shell KERNEL";

pub fn run(words: &[String]) -> Result<(), String> {
    let yes = words.iter().any(|w| w == "--yes");
    let words: Vec<String> = words.iter().filter(|w| *w != "--yes").cloned().collect();
    match words.split_first() {
        Some((run, rest)) if run == "run" => {
            let counts = counted(yes, &Wanted::parse(rest))?;
            println!("{counts}");
            counts.verdict()
        }
        Some((shell, [kernel])) if shell == "shell" => self::shell(yes, kernel),
        _ => Err(USAGE.into()),
    }
}

/// What is to run, of all that there is.
fn select(data: &mut Data, wanted: &Wanted) -> Result<(), String> {
    let names: Vec<String> = data.kernel.iter().map(|k| k.name.clone()).collect();
    let kernels = chosen("kernel", &names, &wanted.kernels)?;
    let asked = |k: &Kernel| wanted.kernels.contains(&k.name) || !k.by_name_only;
    data.kernel
        .retain(|k| kernels.contains(&k.name) && asked(k));
    let guest = &mut data.guest;
    let suite = |filter: &String| filter.split("::").next().unwrap_or(filter).to_owned();
    let named: Vec<String> = wanted.filters.iter().map(suite).collect();
    let there = [guest.suites.as_slice(), &guest.root_suites].concat();
    let suites = chosen("suite", &there, &named)?;
    guest.suites.retain(|s| suites.contains(s));
    guest.root_suites.retain(|s| suites.contains(s));
    guest.filters.clone_from(&wanted.filters);
    Ok(())
}

fn data() -> Result<Data, String> {
    let file = top().join("vm-images/kernels.toml");
    let data = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    toml::from_str(&data).map_err(|e| format!("{}: {e}", file.display()))
}

/// `use_it` gets the cache and a folder of this run's own, which is removed after it.
fn with_work<T>(
    yes: bool,
    use_it: impl FnOnce(&Path, &Path) -> Result<T, String>,
) -> Result<T, String> {
    packages::ensure(NEEDED, yes)?;
    let cache = fetch::cache()?;
    let work = cache.join(format!("work.{}", std::process::id()));
    std::fs::create_dir_all(&work).map_err(|e| format!("{}: {e}", work.display()))?;
    let outcome = use_it(&cache, &work);
    std::fs::remove_dir_all(&work).map_err(|e| format!("{}: {e}", work.display()))?;
    outcome
}

pub fn counted(yes: bool, wanted: &Wanted) -> Result<Counts, String> {
    let mut data = data()?;
    select(&mut data, wanted)?;
    let (passed, failed) = with_work(yes, |cache, work| all(&data, cache, work))?;
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Ok(Counts {
        passed: number(passed),
        failed: number(failed),
        skipped: 0,
    })
}

/// On this terminal, with everything that the suites have; the machine is off when the shell ends.
fn shell(yes: bool, name: &str) -> Result<(), String> {
    let mut data = data()?;
    let wanted = Wanted {
        kernels: vec![name.to_owned()],
        ..Wanted::default()
    };
    select(&mut data, &wanted)?;
    data.guest.shell = true;
    with_work(yes, |cache, work| {
        let disk = image::disk(&data.guest, work)?;
        for kernel in &data.kernel {
            let fetched = fetch::kernel(kernel, cache)?;
            let initramfs = image::initramfs(&fetched, work)?;
            must(&mut machine(
                &fetched.image,
                &initramfs,
                &disk,
                kernel.one_thread,
            ))?;
        }
        Ok(())
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
    let machine = machine(&fetched.image, &initramfs, disk, kernel.one_thread);
    let results = boot(machine, &log)?.check(kernel, guest);
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

fn machine(image: &Path, initramfs: &Path, disk: &Path, one_thread: bool) -> Command {
    let machine =
        "-cpu max -m 2048 -smp 2 -no-reboot -display none -serial stdio -monitor none -nic none";
    let threads = if one_thread { "single" } else { "multi" };
    // the kernel's test of its timer panics where a busy host lets an emulated one wait
    let kernel = "console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off no_timer_check";
    let disk = format!("file={},format=raw,if=virtio,snapshot=on", disk.display());
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-accel", &format!("tcg,thread={threads}")])
        .args(machine.split_ascii_whitespace())
        .args(["-append", kernel])
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-drive", &disk]);
    command
}

/// The console's lines as they come, until the guest is off or its time is over.
fn boot(mut machine: Command, log: &Path) -> Result<Results, String> {
    let mut child = machine
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("qemu-system-x86_64: {e}"))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Kernels, suites, suites that are root's.
    type Chosen = (Vec<String>, Vec<String>, Vec<String>);

    fn selected(words: &[&str]) -> Result<Chosen, String> {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        let mut data = data()?;
        select(&mut data, &Wanted::parse(&words))?;
        let kernels = data.kernel.into_iter().map(|k| k.name).collect();
        Ok((kernels, data.guest.suites, data.guest.root_suites))
    }

    #[test]
    fn kernels_come_before_the_dashes_and_filters_after() {
        let (kernels, suites, of_root) = selected(&[]).unwrap();
        assert_eq!(kernels, ["bookworm", "trixie", "sid"]);
        assert!(suites.len() > 1 && of_root == ["trace"]);
        let (kernels, suites, of_root) =
            selected(&["sid", "experimental", "--", "trace::fork"]).unwrap();
        assert_eq!(kernels, ["sid", "experimental"]);
        assert!(suites.is_empty() && of_root == ["trace"]);
        let unknown = |words: &[&str]| selected(words).unwrap_err();
        assert!(unknown(&["woody"]).starts_with("no kernel woody: there are bookworm"));
        assert!(unknown(&["--", "nothing"]).starts_with("no suite nothing: there are access"));
    }
}
