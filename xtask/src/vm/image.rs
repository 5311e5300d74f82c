//! The guest's disk and initramfs: the programs of this machine with their libraries, and what is
//! built here.

use super::fetch::Fetched;
use super::{Guest, must, output};
use crate::top;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the guest has what is built here: a place that no preset names.
const OWN: &str = "srv/stockade";

fn text(e: std::io::Error) -> String {
    e.to_string()
}

/// Executables by target name, as cargo reports them. stockade itself as it is shipped: emulated, the
/// unoptimised one takes minutes more.
fn built(guest: &Guest) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut out = BTreeMap::new();
    let mut suites = vec!["test", "--package", "stockade-tests", "--no-run"];
    for suite in all_suites(guest) {
        suites.extend(["--test", suite]);
    }
    for arguments in [
        vec![
            "build",
            "--release",
            "--package",
            "stockade",
            "--bin",
            "stockade",
        ],
        vec![
            "build",
            "--package",
            "stockade-tests",
            "--bin",
            "probe",
            "--bin",
            "traced",
        ],
        suites,
    ] {
        let done = Command::new("cargo")
            .args(&arguments)
            .arg("--message-format=json-render-diagnostics")
            .current_dir(top())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| format!("cargo: {e}"))?;
        if !done.status.success() {
            return Err(format!("cargo {}: {}", arguments.join(" "), done.status));
        }
        for line in String::from_utf8_lossy(&done.stdout).lines() {
            let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else {
                continue;
            };
            let executable = message["executable"].as_str();
            if let (Some(path), Some(name)) = (executable, message["target"]["name"].as_str()) {
                out.insert(name.to_owned(), PathBuf::from(path));
            }
        }
    }
    Ok(out)
}

/// The dynamic loader and the libraries of an executable.
fn libraries(program: &Path) -> Result<Vec<PathBuf>, String> {
    let listed = output(Command::new("ldd").arg(program))?;
    let path = |line: &str| {
        let words = line.split_whitespace();
        let found = words.into_iter().find(|w| w.starts_with('/'))?;
        Some(PathBuf::from(found))
    };
    Ok(listed.lines().filter_map(path).collect())
}

struct Root(PathBuf);

impl Root {
    fn place(&self, path: &Path) -> Result<PathBuf, String> {
        let to = self.0.join(path.strip_prefix("/").unwrap_or(path));
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(text)?;
        }
        Ok(to)
    }

    fn copy(&self, path: &Path) -> Result<(), String> {
        let to = self.place(path)?;
        if !to.exists() {
            let failed = |e| format!("{}: {e}", path.display());
            fs::copy(path, &to).map_err(failed)?;
        }
        Ok(())
    }

    fn program(&self, path: &Path) -> Result<(), String> {
        self.copy(path)?;
        libraries(path)?.iter().try_for_each(|l| self.copy(l))
    }

    fn folder(&self, path: &Path) -> Result<(), String> {
        for entry in fs::read_dir(path).map_err(text)?.flatten() {
            match entry.file_type().map_err(text)?.is_dir() {
                true => self.folder(&entry.path())?,
                false => self.copy(&entry.path())?,
            }
        }
        Ok(())
    }

    fn write(&self, path: &str, content: &str) -> Result<(), String> {
        fs::write(self.place(Path::new(path))?, content).map_err(text)
    }

    /// Without what only a debugger reads.
    fn own(&self, from: &Path, name: &str) -> Result<(), String> {
        libraries(from)?.iter().try_for_each(|l| self.copy(l))?;
        let to = self.place(&Path::new("/").join(OWN).join(name))?;
        must(Command::new("strip").arg("-g").arg("-o").arg(&to).arg(from))?;
        mode(&to, 0o755)
    }
}

fn mode(path: &Path, mode: u32) -> Result<(), String> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(text)
}

/// What any host has: folders, programs, users.
fn host(root: &Root, guest: &Guest) -> Result<(), String> {
    for folder in [
        "usr/bin",
        "usr/sbin",
        "usr/lib",
        "usr/lib64",
        "proc",
        "sys",
        "dev",
        "run",
        "tmp",
        "var/tmp",
        "root",
        "home/user",
        "etc",
    ] {
        fs::create_dir_all(root.0.join(folder)).map_err(text)?;
    }
    for merged in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{merged}"), root.0.join(merged)).map_err(text)?;
    }
    root.copy(Path::new("/bin/busybox"))?;
    symlink("dash", root.0.join("usr/bin/sh")).map_err(text)?;
    for program in &guest.programs {
        root.program(Path::new(program))?;
    }
    for folder in &guest.folders {
        root.folder(Path::new(folder))?;
    }
    root.write(
        "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n",
    )?;
    root.write("/etc/group", "root:x:0:\ntty:x:5:\nuser:x:1000:\n")?;
    root.write("/etc/nsswitch.conf", "passwd: files\ngroup: files\n")?;
    root.write("/etc/hosts", "127.0.0.1 localhost\n")?;
    root.write("/etc/hostname", "guest\n")
}

fn all_suites(guest: &Guest) -> impl Iterator<Item = &String> {
    guest.suites.iter().chain(&guest.root_suites)
}

/// What vm-images/main reads: who runs which suite, and which tests of it.
fn plan(root: &Root, guest: &Guest) -> Result<(), String> {
    let write = |name: &str, content: &str| root.write(&format!("/{OWN}/{name}"), content);
    write("suites.user", &guest.suites.join(" "))?;
    let of_root: Vec<&str> = all_suites(guest).map(String::as_str).collect();
    write("suites.root", &of_root.join(" "))?;
    for suite in all_suites(guest) {
        let parts = guest
            .filters
            .iter()
            .filter_map(|f| f.strip_prefix(suite.as_str())?.strip_prefix("::"));
        write(
            &format!("filter-{suite}"),
            &parts.collect::<Vec<_>>().join(" "),
        )?;
    }
    if guest.shell {
        write("shell", "")?;
    }
    Ok(())
}

/// The same disk for each kernel; a boot changes none of it.
pub fn disk(guest: &Guest, work: &Path) -> Result<PathBuf, String> {
    let built = built(guest)?;
    let root = Root(work.join("root"));
    host(&root, guest)?;
    plan(&root, guest)?;
    let of = |name: &str| {
        built
            .get(name)
            .ok_or_else(|| format!("cargo built no {name}"))
    };
    root.own(of("stockade")?, "stockade")?;
    root.own(of("probe")?, "probe")?;
    root.own(of("traced")?, "traced")?;
    for suite in all_suites(guest) {
        root.own(of(suite)?, &format!("suite-{suite}"))?;
    }
    let main = root.place(&Path::new("/").join(OWN).join("main"))?;
    fs::copy(top().join("vm-images/main"), &main).map_err(text)?;
    mode(&main, 0o755)?;
    let disk = work.join("disk");
    let file = fs::File::create(&disk).map_err(text)?;
    file.set_len(512 << 20).map_err(text)?;
    let mut make = Command::new("/sbin/mkfs.ext4");
    make.args(["-q", "-F", "-E", "root_owner=0:0", "-d"]);
    must(make.arg(&root.0).arg(&disk))?;
    Ok(disk)
}

/// busybox, the kernel's modules, and the step to the disk.
pub fn initramfs(kernel: &Fetched, work: &Path) -> Result<PathBuf, String> {
    let root = Root(work.join("initramfs"));
    for folder in ["dev", "root", "modules"] {
        fs::create_dir_all(root.0.join(folder)).map_err(text)?;
    }
    root.copy(Path::new("/bin/busybox"))?;
    let init = root.place(Path::new("/init"))?;
    fs::copy(top().join("vm-images/init"), &init).map_err(text)?;
    mode(&init, 0o755)?;
    for (n, module) in kernel.modules.iter().enumerate() {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        // the shell's order is that of the list
        let to = root.place(Path::new(&format!("/modules/{n:02}-{name}")))?;
        fs::copy(module, to).map_err(text)?;
    }
    let archive = work.join("initramfs.cpio");
    let pack = "find . | cpio -o -H newc --quiet -R 0:0";
    let mut command = Command::new("sh");
    command.args(["-c", pack]).current_dir(&root.0);
    must(command.stdout(fs::File::create(&archive).map_err(text)?))?;
    fs::remove_dir_all(&root.0).map_err(text)?;
    Ok(archive)
}
