//! By which file the kernel side knows an agent when it is executed: never by a name.

use super::Agent;
use crate::exit::Failure;
use crate::installation;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file as the kernel names it within, which stat(2) does not on overlayfs and btrfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executable {
    pub path: PathBuf,
    /// Of the file system (super_block.s_dev), as stat(2) would write it.
    pub device: u64,
    pub inode: u64,
    /// No program: the kernel executes its interpreter.
    pub is_script: bool,
}

impl Executable {
    pub fn at(path: &Path) -> std::io::Result<Self> {
        let mut options = File::options();
        let file = options.read(true).custom_flags(libc_o_path()).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        let number = file.as_raw_fd();
        // fs/proc/fd.c, seq_show: the inode's own number, the mount's
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}"))?;
        let field = |name: &str| {
            let line = info.lines().find_map(|l| l.strip_prefix(name));
            line.map(str::trim)
                .ok_or(std::io::Error::from(std::io::ErrorKind::Unsupported))
        };
        let inode = field("ino:")?.parse().map_err(std::io::Error::other)?;
        let device = device(field("mnt_id:")?)?;
        Ok(Self {
            path: path.into(),
            device,
            inode,
            is_script: !is_elf(path),
        })
    }

    /// As a filter takes it.
    pub fn numbers(&self) -> (u64, u64) {
        (self.device, self.inode)
    }
}

fn libc_o_path() -> i32 {
    nix::fcntl::OFlag::O_PATH.bits()
}

/// Of a mount's file system: `ID PARENT MAJOR:MINOR …`.
fn device(mount: &str) -> std::io::Result<u64> {
    let all = std::fs::read_to_string("/proc/self/mountinfo")?;
    let numbers = all.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let own = fields.next() == Some(mount);
        let (major, minor) = fields.nth(1).filter(|_| own)?.split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    let (major, minor) = numbers.ok_or(std::io::Error::from(std::io::ErrorKind::NotFound))?;
    Ok(nix::sys::stat::makedev(major, minor))
}

/// What `--agent-exe` names.
pub fn named(name: &OsStr) -> Result<Executable, Failure> {
    let path = find(name).ok_or_else(|| Failure::NotFound(name.into()))?;
    Executable::at(&path).map_err(|e| Failure::file("take for the agent's executable", &path, e))
}

/// An agent's own executable; none where its command is not there.
pub fn of(agent: &Agent, command: &OsStr) -> Result<Option<Executable>, Failure> {
    // a wrapper's name finds nothing: the agent's own does
    let own = [command]
        .into_iter()
        .filter(|c| agent.is_command(c))
        .map(OsString::from)
        .chain(agent.commands.iter().map(OsString::from));
    let Some(path) = own.into_iter().find_map(|name| find(&name)) else {
        return Ok(None);
    };
    let path = program(agent, &path);
    Executable::at(&path)
        .map(Some)
        .map_err(|e| Failure::file("take for the agent's executable", &path, e))
}

fn find(name: &OsStr) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let here = std::env::current_dir().unwrap_or_default();
    installation::find(name, &path, &here)?.canonicalize().ok()
}

/// The command itself where it is a program, else what its package has.
fn program(agent: &Agent, command: &Path) -> PathBuf {
    if is_elf(command) {
        return command.into();
    }
    let package = command
        .ancestors()
        .skip(1)
        .find(|a| a.join("package.json").is_file());
    let there = package.and_then(|package| {
        agent
            .executables
            .iter()
            .map(|text| package.join(filled(text)))
            .find_map(|p| p.canonicalize().ok())
    });
    there.unwrap_or_else(|| command.into())
}

fn is_elf(path: &Path) -> bool {
    let mut start = [0; 4];
    let read = File::open(path).and_then(|mut f| f.read_exact(&mut start));
    read.is_ok() && start == *b"\x7fELF"
}

fn filled(text: &str) -> String {
    let machine = std::env::consts::ARCH;
    let arch = match machine {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    text.replace("{arch}", arch).replace("{machine}", machine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn place(name: &str) -> PathBuf {
        let top = std::env::temp_dir().join(format!("stockade-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&top).unwrap();
        top.canonicalize().unwrap()
    }

    #[test]
    fn a_script_stands_for_the_program_that_it_starts() {
        let codex = super::super::of(Some("codex"), "".as_ref())
            .unwrap()
            .unwrap();
        let top = place("executable");
        let package = top.join("node_modules/@openai/codex");
        let script = package.join("bin/codex.js");
        let text = filled("../codex-linux-{arch}/vendor/{machine}-unknown-linux-musl/bin/codex");
        std::fs::create_dir_all(package.join("bin")).unwrap();
        std::fs::write(package.join("package.json"), "{}").unwrap();
        std::fs::write(&script, "#!/usr/bin/env node\n").unwrap();
        assert_eq!(program(&codex, &script), script);
        let native = top.join("node_modules/@openai").join(&text[3..]);
        std::fs::create_dir_all(native.parent().unwrap()).unwrap();
        std::fs::write(&native, "\x7fELF").unwrap();
        assert_eq!(program(&codex, &script), native);
        assert_eq!(program(&codex, &native), native);
        std::fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn a_file_has_one_name_within_the_kernel() {
        let top = place("numbers");
        let (one, two) = (top.join("one"), top.join("two"));
        std::fs::write(&one, "").unwrap();
        std::fs::write(&two, "").unwrap();
        std::fs::hard_link(&one, top.join("three")).unwrap();
        let numbers = |p: &Path| Executable::at(p).unwrap().numbers();
        assert_eq!(numbers(&one), numbers(&top.join("three")));
        assert_ne!(numbers(&one), numbers(&two));
        assert_eq!(numbers(&one).1, one.metadata().unwrap().ino());
        assert!(Executable::at(&top).is_err());
        std::fs::remove_dir_all(top).unwrap();
    }
}
