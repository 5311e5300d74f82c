//! A kernel by its Debian package, fetched once: through apt with a configuration of its own, which
//! reads other suites without touching the system's lists.

use super::{Kernel, must, output};
use crate::tools;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is kept of the packages.
pub struct Fetched {
    /// Name and version of each package.
    pub packages: String,
    pub image: PathBuf,
    /// Uncompressed, in the order of loading.
    pub modules: Vec<PathBuf>,
}

pub fn cache() -> Result<PathBuf, String> {
    Ok(tools::cache()?.join("kernels"))
}

pub fn kernel(kernel: &Kernel, cache: &Path) -> Result<Fetched, String> {
    let folder = cache.join(&kernel.name);
    if let Some(found) = kept(kernel, &folder) {
        return Ok(found);
    }
    let fresh = cache.join(format!("{}.{}", kernel.name, std::process::id()));
    let outcome = fetch(kernel, &fresh);
    if outcome.is_ok() {
        remove(&folder)?;
        fs::rename(&fresh, &folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    remove(&fresh)?;
    outcome?;
    kept(kernel, &folder).ok_or_else(|| format!("{}: incomplete after fetching", folder.display()))
}

fn remove(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {e}", folder.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn kept(kernel: &Kernel, folder: &Path) -> Option<Fetched> {
    let found = Fetched {
        packages: fs::read_to_string(folder.join("packages")).ok()?,
        image: folder.join("vmlinuz"),
        modules: kernel.modules.iter().map(|m| module(folder, m)).collect(),
    };
    let complete = found.image.exists() && found.modules.iter().all(|m| m.exists());
    complete.then_some(found)
}

fn module(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.ko"))
}

/// The system's own mirror: the first source that carries a whole release.
fn mirror() -> Result<String, String> {
    let all = output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(RELEASE)",
        "Created-By: Packages",
    ]))?;
    let whole = all.lines().find_map(|line| {
        let (uri, release) = line.split_once(' ')?;
        (!release.contains('-')).then(|| uri.to_owned())
    });
    whole.ok_or_else(|| "apt has no source of a Debian release, so no kernel can be had".into())
}

/// apt's own options for one suite, with all its state below `folder`.
struct Apt(Vec<String>);

impl Apt {
    fn new(suite: &str, folder: &Path) -> Result<Self, String> {
        for below in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(folder.join(below)).map_err(|e| e.to_string())?;
        }
        let list = folder.join("sources.list");
        let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let line = format!(
            "deb [arch=amd64 signed-by={keys}] {} {suite} main\n",
            mirror()?
        );
        fs::write(&list, line).map_err(|e| format!("{}: {e}", list.display()))?;
        let below = |name: &str| folder.join(name).display().to_string();
        let options = [
            format!("Dir::Etc::sourcelist={}", list.display()),
            "Dir::Etc::sourceparts=/dev/null".into(),
            format!("Dir::State::Lists={}", below("lists")),
            format!("Dir::Cache={}", below("")),
            "Acquire::Languages=none".into(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
            // the folder is this user's, and apt's own could not write to it
            "APT::Sandbox::User=root".into(),
        ];
        Ok(Self(
            options
                .iter()
                .flat_map(|o| ["-o".into(), o.clone()])
                .collect(),
        ))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.0);
        command
    }

    /// A field of a package's newest version.
    fn field(&self, package: &str, field: &str) -> Result<String, String> {
        let mut show = self.command("apt-cache");
        let text = output(show.args(["show", "--no-all-versions", package]))?;
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix(field)?.strip_prefix(": "));
        line.map(str::to_owned)
            .ok_or_else(|| format!("{package}: no {field}"))
    }

    /// The package that the pattern names, among what `from` depends on, directly or through others.
    fn behind(&self, from: &str, pattern: &str) -> Result<String, String> {
        let (head, tail) = pattern.split_once('*').ok_or("a pattern has one *")?;
        let mut open = vec![from.to_owned()];
        for _ in 0..4 {
            let mut next = Vec::new();
            for package in &open {
                let depends = self.field(package, "Depends")?;
                let names = depends.split(", ").filter_map(|d| d.split(' ').next());
                // of alternatives the first; `linux-` leaves out what is not the kernel's
                next.extend(names.filter(|n| n.starts_with("linux-")).map(str::to_owned));
            }
            let middle = |n: &&String| {
                let middle = n.strip_prefix(head).and_then(|n| n.strip_suffix(tail));
                middle.is_some_and(|m| m.starts_with(|c: char| c.is_ascii_digit()))
            };
            if let Some(found) = next.iter().find(middle) {
                return Ok(found.clone());
            }
            next.retain(|n| n.contains("image"));
            open = next;
        }
        Err(format!("{from} leads to no package {pattern}"))
    }
}

fn fetch(kernel: &Kernel, folder: &Path) -> Result<(), String> {
    println!("fetching {} from {}", kernel.follow, kernel.suite);
    let apt = Apt::new(&kernel.suite, &folder.join("apt"))?;
    must(apt.command("apt-get").args(["-qq", "update"]))?;
    let mut kept = String::new();
    let content = folder.join("content");
    for pattern in &kernel.packages {
        let package = apt.behind(&kernel.follow, pattern)?;
        let version = apt.field(&package, "Version")?;
        let mut download = apt.command("apt-get");
        must(
            download
                .args(["-qq", "download", &package])
                .current_dir(folder),
        )?;
        let files = fs::read_dir(folder).map_err(|e| e.to_string())?;
        let archives = files.flatten().map(|e| e.path());
        let archive = archives
            .filter(|p| p.extension().is_some_and(|e| e == "deb"))
            .find(|p| p.display().to_string().contains(&format!("/{package}_")))
            .ok_or_else(|| format!("{package}: apt left no archive"))?;
        must(Command::new("dpkg").arg("-x").arg(&archive).arg(&content))?;
        fs::remove_file(&archive).map_err(|e| e.to_string())?;
        kept.push_str(&format!("{package} {version}\n"));
    }
    keep(kernel, &content, folder)?;
    remove(&content)?;
    remove(&folder.join("apt"))?;
    // last: its presence says that all is there
    fs::write(folder.join("packages"), kept).map_err(|e| e.to_string())
}

/// The image and the modules of the list, out of the packages' trees.
fn keep(kernel: &Kernel, content: &Path, folder: &Path) -> Result<(), String> {
    let mut open = vec![content.to_owned()];
    let mut files = Vec::new();
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(&path).map_err(|e| e.to_string())?.flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                open.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned());
    let image = files
        .iter()
        .find(|p| name(p).is_some_and(|n| n.starts_with("vmlinuz")));
    let image = image.ok_or_else(|| format!("{}: no vmlinuz in its packages", kernel.name))?;
    fs::copy(image, folder.join("vmlinuz")).map_err(|e| e.to_string())?;
    for wanted in &kernel.modules {
        let found = files.iter().find(|p| {
            let file = name(p).unwrap_or_default();
            file == format!("{wanted}.ko") || file == format!("{wanted}.ko.xz")
        });
        let found =
            found.ok_or_else(|| format!("{}: no module {wanted} in its packages", kernel.name))?;
        let to = module(folder, wanted);
        if found.extension().is_some_and(|e| e == "xz") {
            let unpacked = Command::new("xz").arg("-dc").arg(found).output();
            let unpacked = unpacked.map_err(|e| format!("xz: {e}"))?;
            fs::write(to, unpacked.stdout).map_err(|e| e.to_string())?;
        } else {
            fs::copy(found, to).map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}
