//! Compiled system call filters, kept in the user's state folder. What is odd about a file there in
//! any way is no filter: then one is compiled, which takes some milliseconds and is always right.

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use stockade_enforce::Filters;

/// Programs have 4,096 instructions of eight bytes at most (BPF_MAXINSNS).
const MAX_BYTES: usize = 8 * 4096;
const HASH: usize = 32;
/// A library's mistake that was mended under the same version does not outlive this.
const SECONDS: u64 = 30 * 24 * 60 * 60;

/// `state/filters`.
pub struct Store {
    folder: PathBuf,
    /// Not by a command that only says what would be.
    keeps: bool,
}

impl Store {
    pub fn new(state: &Path, keeps: bool) -> Self {
        let folder = state.join("filters");
        Self { folder, keeps }
    }

    fn directory(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let directory = open(&self.folder, flags, Mode::empty())?;
        if fstat(&directory)?.st_uid != geteuid().as_raw() {
            return Err(Errno::EPERM);
        }
        Ok(directory)
    }

    fn write(&self, name: &str, program: &[u8]) -> Result<(), Errno> {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder);
        made.map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)))?;
        let directory = self.directory()?;
        self.remove_old(directory.as_fd());
        let fresh = format!(".new-{}", std::process::id());
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = openat(&directory, fresh.as_str(), flags | OFlag::O_CLOEXEC, mode)?;
        let bytes = [&hash(name, program)[..], program].concat();
        let written = File::from(file).write_all(&bytes);
        let written = written.map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)));
        let moved = written.and_then(|()| renameat(&directory, fresh.as_str(), &directory, name));
        moved.inspect_err(|_| remove(directory.as_fd(), OsStr::new(&fresh)))
    }

    fn remove_old(&self, directory: BorrowedFd<'_>) {
        for entry in std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
        {
            let changed = entry.metadata().and_then(|m| m.modified());
            if changed.is_ok_and(|changed| !is_fresh(changed)) {
                remove(directory, &entry.file_name());
            }
        }
    }
}

/// One that can't be removed is not taken either.
fn remove(directory: BorrowedFd<'_>, name: &OsStr) {
    unlinkat(directory, name, UnlinkatFlags::NoRemoveDir).unwrap_or(());
}

/// Neither old nor of the future.
fn is_fresh(changed: SystemTime) -> bool {
    let age = SystemTime::now().duration_since(changed);
    age.is_ok_and(|age| age.as_secs() < SECONDS)
}

/// Of the name too: a file that stands under another one is damaged.
fn hash(name: &str, program: &[u8]) -> [u8; HASH] {
    let mut hash = Sha256::new();
    hash.update(name);
    hash.update([0]);
    hash.update(program);
    hash.finalize().into()
}

fn read(directory: BorrowedFd<'_>, name: &str) -> Result<Option<Vec<u8>>, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = openat(directory, name, flags, Mode::empty())?;
    let stat = fstat(&file)?;
    let kind = stat.st_mode & SFlag::S_IFMT.bits();
    let changed = u64::try_from(stat.st_mtime).ok();
    let changed = changed.map(|s| UNIX_EPOCH + std::time::Duration::from_secs(s));
    let whole = kind == SFlag::S_IFREG.bits()
        && stat.st_uid == geteuid().as_raw()
        && stat.st_mode & 0o7777 == 0o600
        && stat.st_nlink == 1
        && changed.is_some_and(is_fresh);
    if !whole {
        return Ok(None);
    }
    let mut bytes =
        Vec::with_capacity(usize::try_from(stat.st_size).map_or(0, |n| n.min(MAX_BYTES + HASH)));
    let most = u64::try_from(MAX_BYTES + HASH + 1).unwrap_or(0);
    let got = File::from(file).take(most).read_to_end(&mut bytes);
    got.map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)))?;
    let Some((kept, program)) = bytes.split_first_chunk::<HASH>() else {
        return Ok(None);
    };
    let sound = !program.is_empty()
        && program.len() <= MAX_BYTES
        && program.len().is_multiple_of(8)
        && *kept == hash(name, program);
    Ok(sound.then(|| program.to_vec()))
}

impl Filters for Store {
    fn kept(&self, name: &str) -> Option<Vec<u8>> {
        read(self.directory().ok()?.as_fd(), name).ok().flatten()
    }

    fn keep(&self, name: &str, program: &[u8]) {
        if self.keeps {
            // without it the next start compiles again
            self.write(name, program).unwrap_or(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    const NAME: &str = "name";
    const PROGRAM: &[u8] = b"12345678";

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let own = format!("stockade-filters-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(own);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn store(&self) -> Store {
            Store::new(&self.0, true)
        }

        fn file(&self) -> PathBuf {
            self.0.join("filters").join(NAME)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn what_was_kept_is_found_by_its_name_alone() {
        let place = Place::new("kept");
        let store = place.store();
        assert_eq!(store.kept(NAME), None);
        Store::new(&place.0, false).keep(NAME, PROGRAM);
        assert_eq!(store.kept(NAME), None, "a plan keeps nothing");
        store.keep(NAME, PROGRAM);
        store.keep(NAME, PROGRAM);
        assert_eq!(store.kept(NAME).as_deref(), Some(PROGRAM));
        assert_eq!(store.kept("other"), None);
        let names = fs::read_dir(place.0.join("filters")).unwrap().count();
        assert_eq!(names, 1, "no temporary file is left");
        let mode = fs::metadata(place.file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    fn open_to_write(file: &Path) -> File {
        File::options().write(true).open(file).unwrap()
    }

    fn change(file: &Path, at: usize) {
        let mut bytes = fs::read(file).unwrap();
        bytes[at] ^= 1;
        fs::write(file, bytes).unwrap();
    }

    fn mode(file: &Path, mode: u32) {
        fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_that_is_odd_in_any_way_is_none_and_is_replaced() {
        let place = Place::new("odd");
        let (store, file) = (place.store(), place.file());
        let now = SystemTime::now();
        let other = place.0.join("other");
        let cut = |size| open_to_write(&file).set_len(size).unwrap();
        let changed = |time| open_to_write(&file).set_modified(time).unwrap();
        let twice = || fs::write(&file, fs::read(&file).unwrap().repeat(2)).unwrap();
        let odd: &[(&str, &dyn Fn())] = &[
            ("the program changed", &|| change(&file, HASH)),
            ("the hash changed", &|| change(&file, 0)),
            ("cut", &|| cut(HASH as u64 + 4)),
            ("nothing but a hash", &|| cut(HASH as u64)),
            ("empty", &|| cut(0)),
            ("longer", &twice),
            ("huge", &|| cut(1 << 30)),
            ("for others to read", &|| mode(&file, 0o644)),
            ("for others to write", &|| mode(&file, 0o620)),
            ("old", &|| changed(now - Duration::from_secs(SECONDS + 1))),
            ("of the future", &|| {
                changed(now + Duration::from_secs(3600))
            }),
            ("by another name", &|| {
                store.keep("else", PROGRAM);
                fs::rename(place.0.join("filters/else"), &file).unwrap();
            }),
            ("two names", &|| fs::hard_link(&file, &other).unwrap()),
            ("a link", &|| {
                fs::rename(&file, &other).unwrap();
                std::os::unix::fs::symlink(&other, &file).unwrap();
            }),
            ("a pipe", &|| {
                fs::remove_file(&file).unwrap();
                nix::unistd::mkfifo(&file, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
            }),
        ];
        for (what, make) in odd {
            store.keep(NAME, PROGRAM);
            assert_eq!(store.kept(NAME).as_deref(), Some(PROGRAM), "before {what}");
            make();
            assert_eq!(store.kept(NAME), None, "{what}");
        }
        store.keep(NAME, PROGRAM);
        assert_eq!(store.kept(NAME).as_deref(), Some(PROGRAM));
    }

    #[test]
    fn a_folder_that_is_a_link_is_not_used_and_old_programs_go() {
        let place = Place::new("folder");
        let store = place.store();
        store.keep(NAME, PROGRAM);
        let file = File::options().append(true).open(place.file()).unwrap();
        file.set_modified(UNIX_EPOCH).unwrap();
        store.keep("other", PROGRAM);
        assert!(!place.file().exists());
        assert_eq!(store.kept("other").as_deref(), Some(PROGRAM));
        fs::rename(place.0.join("filters"), place.0.join("real")).unwrap();
        std::os::unix::fs::symlink("real", place.0.join("filters")).unwrap();
        assert_eq!(store.kept("other"), None);
        store.keep(NAME, PROGRAM);
        assert!(!place.0.join("real").join(NAME).exists());
    }
}
