//! Makes the file system operations that standard input names, one a line, and answers each with
//! the number of its errno, 0 where it succeeded: `rename 2f612f62 2f612f63`, paths in hexadecimal.
//! The first line it writes holds what a session says about its own layers.
#![forbid(unsafe_code)]

use rustix::fs::{
    self, AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use std::io::{BufRead, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

type Tried = Result<(), Errno>;

/// What no errno is: a program that was executed and did not end well.
const ENDED_BADLY: i32 = 9999;

fn main() -> std::io::Result<()> {
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let own = std::env::var_os("STOCKADE_OWN").map(|own| Path::new(&own).join("layers.json"));
    let layers = own.map(std::fs::read_to_string).transpose()?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", layers.unwrap_or_default().replace('\n', " "))?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split(' ');
        let name = words.next().unwrap_or("");
        let paths: Vec<PathBuf> = words.map(path).collect();
        let answer = match (name, paths.as_slice()) {
            ("exec", [path]) => exec(path),
            (_, [path]) => number(one(name, path)),
            (_, [from, to]) => number(two(name, from, to)),
            _ => libc::EINVAL,
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn path(word: &str) -> PathBuf {
    let byte = |n: usize| u8::from_str_radix(word.get(n..n + 2).unwrap_or(""), 16).unwrap_or(0);
    let bytes = (0..word.len()).step_by(2).map(byte).collect();
    std::ffi::OsString::from_vec(bytes).into()
}

fn number(tried: Tried) -> i32 {
    tried.map_or_else(Errno::raw_os_error, |()| 0)
}

fn one(name: &str, path: &Path) -> Tried {
    let new = Mode::from_raw_mode(0o644);
    let open = |flags| fs::open(path, flags | OFlags::CLOEXEC | OFlags::NONBLOCK, new);
    match name {
        "read" => open(OFlags::RDONLY).map(drop),
        "list" => {
            let opened = open(OFlags::RDONLY | OFlags::DIRECTORY)?;
            fs::Dir::read_from(&opened)?.try_for_each(|entry| entry.map(drop))
        }
        "write" => rustix::io::write(&open(OFlags::WRONLY)?, b"\x7f").map(drop),
        "append" => rustix::io::write(&open(OFlags::WRONLY | OFlags::APPEND)?, b"x").map(drop),
        "cut" => open(OFlags::WRONLY | OFlags::TRUNC).map(drop),
        "cut-reading" => open(OFlags::RDONLY | OFlags::TRUNC).map(drop),
        // access mode 3: neither readable nor writable, yet it is cut
        "cut-neither" => open(OFlags::RWMODE | OFlags::TRUNC).map(drop),
        "truncate" => {
            nix::unistd::truncate(path, 1).map_err(|e| Errno::from_raw_os_error(e as i32))
        }
        "create" => open(OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL).map(drop),
        "open-or-create" => open(OFlags::WRONLY | OFlags::CREATE).map(drop),
        "mkdir" => fs::mkdir(path, Mode::from_raw_mode(0o755)),
        "mkfifo" => fs::mknodat(CWD, path, fs::FileType::Fifo, new, 0),
        "symlink" => fs::symlink("a", path),
        "unlink" => fs::unlink(path),
        "rmdir" => fs::rmdir(path),
        "chmod" => fs::chmod(path, Mode::from_raw_mode(0o711 | 0o040)),
        "times" => times(path),
        "xattr" => fs::setxattr(path, "user.stockade", b"x", XattrFlags::empty()),
        "chown" => {
            let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
            let own = (Uid::from_raw(user.as_raw()), Gid::from_raw(group.as_raw()));
            fs::chown(path, Some(own.0), Some(own.1))
        }
        _ => Err(Errno::INVAL),
    }
}

fn two(name: &str, from: &Path, to: &Path) -> Tried {
    let rename = |flags| fs::renameat_with(CWD, from, CWD, to, flags);
    match name {
        "rename" => rename(RenameFlags::empty()),
        "rename-new" => rename(RenameFlags::NOREPLACE),
        "exchange" => rename(RenameFlags::EXCHANGE),
        "link" => fs::linkat(CWD, from, CWD, to, AtFlags::empty()),
        _ => Err(Errno::INVAL),
    }
}

/// One second after the epoch.
fn times(path: &Path) -> Tried {
    let second = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let both = Timestamps {
        last_access: second,
        last_modification: second,
    };
    fs::utimensat(CWD, path, &both, AtFlags::empty())
}

fn exec(path: &Path) -> i32 {
    let mut command = Command::new(path);
    command.env_clear().stdin(Stdio::null());
    match command.stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => 0,
        Ok(_) => ENDED_BADLY,
        Err(error) => error.raw_os_error().unwrap_or(ENDED_BADLY),
    }
}
