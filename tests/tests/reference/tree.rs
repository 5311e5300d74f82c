//! A tree that can be looked at, compared and put back as it was, inode by inode: mounts and
//! Landlock's rules lie with the inodes.

use super::case::{Kind, Node, bytes, path_of};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Of everything in the tree, in seconds.
const TIME: i64 = 1_000_000_000;
const XATTR: &str = "user.stockade";

/// What one name is. Which object it is says the name under which it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    kind: char,
    mode: u32,
    object: Option<usize>,
    names: u64,
    size: u64,
    touched: &'static str,
    marked: bool,
    target: Option<PathBuf>,
}

impl State {
    pub fn is_directory(&self) -> bool {
        self.kind == 'd'
    }

    pub fn is_same(&self, other: &Self) -> bool {
        self.object == other.object
    }

    pub fn is_pipe(&self) -> bool {
        self.kind == 's'
    }

    pub fn is_link(&self) -> bool {
        self.kind == 'l'
    }
}

/// By names as bytes: names as paths are compared part by part.
pub type Snapshot = BTreeMap<OsString, State>;

/// What differs: the new state of each name, none where it is gone.
pub type Effect = BTreeMap<OsString, Option<State>>;

pub struct Tree {
    top: PathBuf,
    /// A second name of everything that is no directory, outside of what any rule names.
    vault: PathBuf,
    inodes: BTreeMap<u64, usize>,
    /// Names in the order of making; the number is the object's.
    names: Vec<PathBuf>,
    pub base: Snapshot,
}

/// Exits with 0. Every file of a tree is this program, followed by the file's number.
pub fn program() -> Vec<u8> {
    const CODE: &[u8] = if cfg!(target_arch = "aarch64") {
        // mov x0, 0; mov x8, 93; svc 0
        &[0, 0, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 1, 0, 0, 0xd4]
    } else {
        // xor edi, edi; mov eax, 60; syscall
        &[0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05, 0x90, 0x90, 0x90]
    };
    const AT: u64 = 0x40_0000;
    let machine: u16 = if cfg!(target_arch = "aarch64") {
        183
    } else {
        62
    };
    let length = 120 + CODE.len() as u64;
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    out.extend(2_u16.to_le_bytes());
    out.extend(machine.to_le_bytes());
    out.extend(1_u32.to_le_bytes());
    for word in [AT + 120, 64, 0] {
        out.extend(word.to_le_bytes());
    }
    out.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        out.extend(half.to_le_bytes());
    }
    // PT_LOAD, readable and executable
    for half in [1_u32, 5] {
        out.extend(half.to_le_bytes());
    }
    for word in [0, AT, AT, length, length, 0x1000] {
        out.extend(word.to_le_bytes());
    }
    out.extend(CODE);
    out
}

impl Tree {
    /// `place` is a directory of the test's own; the tree's nodes are below it.
    pub fn make(place: &Path, nodes: &[Node]) -> Self {
        let vault = place.join("vault");
        std::fs::create_dir(&vault).unwrap();
        let mut tree = Self {
            top: place.to_owned(),
            vault,
            inodes: BTreeMap::new(),
            names: Vec::new(),
            base: Snapshot::new(),
        };
        for node in nodes {
            tree.add(node);
        }
        // last, so that the tree could be made
        for node in nodes.iter().filter(|n| n.kind != Kind::Link) {
            let path = tree.top.join(path_of(&node.path));
            std::fs::set_permissions(&path, Permissions::from_mode(node.mode)).unwrap();
        }
        for name in &tree.names {
            touch(name);
        }
        tree.base = tree.look(true);
        tree
    }

    fn add(&mut self, node: &Node) {
        let path = self.top.join(path_of(&node.path));
        let target = || bytes(&node.target);
        match node.kind {
            Kind::Directory => std::fs::create_dir(&path).unwrap(),
            Kind::File => std::fs::write(&path, self.content(self.names.len())).unwrap(),
            Kind::Fifo => {
                let mode = Mode::from_raw_mode(0o600);
                rustix::fs::mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap();
            }
            Kind::Link => {
                let target = target();
                // as a root of its own the place stands for /
                let to = match target.strip_prefix(b"/") {
                    Some(below) => self.top.join(path_of(&String::from_utf8_lossy(below))),
                    None => super::case::path_from(target),
                };
                std::os::unix::fs::symlink(to, &path).unwrap();
            }
            Kind::Hard => {
                let of = self.top.join(path_of(&node.target));
                std::fs::hard_link(of, &path).unwrap();
            }
        }
        let inode = path.symlink_metadata().unwrap().ino();
        let number = self.names.len();
        self.names.push(path.clone());
        if let std::collections::btree_map::Entry::Vacant(new) = self.inodes.entry(inode) {
            new.insert(number);
            if node.kind != Kind::Directory {
                link(&path, &self.vault.join(number.to_string()));
            }
        }
    }

    fn content(&self, number: usize) -> Vec<u8> {
        [program(), number.to_string().into_bytes()].concat()
    }

    /// Everything that there is in the place, but what no session is to see.
    fn look(&self, marks: bool) -> Snapshot {
        let mut out = Snapshot::new();
        let mut folders = vec![self.top.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if folder == self.top && super::case::OWN.iter().any(|own| path.ends_with(own)) {
                    continue;
                }
                let found = path.symlink_metadata().unwrap();
                if found.is_dir() {
                    folders.push(path.clone());
                }
                let state = self.state(&path, &found, marks);
                out.insert(path.into(), state);
            }
        }
        out
    }

    fn state(&self, path: &Path, found: &std::fs::Metadata, marks: bool) -> State {
        let kind = found.file_type();
        let directory = kind.is_dir();
        let touched = match found.mtime() {
            1 => "as asked",
            TIME => "",
            _ if directory => "",
            _ => "now",
        };
        let object = self.inodes.get(&found.ino()).copied();
        let marked = marks
            && !kind.is_symlink()
            && rustix::fs::lgetxattr(path, XATTR, &mut [0_u8; 8][..]).is_ok();
        State {
            kind: match () {
                () if directory => 'd',
                () if kind.is_symlink() => 'l',
                () if kind.is_file() => 'f',
                () => 's',
            },
            mode: found.mode() & 0o7777,
            object,
            names: if directory { 0 } else { found.nlink() },
            size: if kind.is_file() { found.len() } else { 0 },
            touched,
            marked,
            target: kind.is_symlink().then(|| path.read_link().unwrap()),
        }
    }

    /// With `marks`, extended attributes are looked at too.
    pub fn effect(&self, marks: bool) -> Effect {
        let now = self.look(marks);
        let names: BTreeSet<&OsString> = now.keys().chain(self.base.keys()).collect();
        names
            .into_iter()
            .filter(|n| now.get(*n) != self.base.get(*n))
            .map(|n| (n.clone(), now.get(n).cloned()))
            .collect()
    }

    /// Everything as it was made. False where a directory is another one now.
    pub fn restore(&mut self, effect: &Effect) -> bool {
        if effect.is_empty() {
            return true;
        }
        let object_at = |path: &Path| self.base.get(path.as_os_str()).and_then(|s| s.object);
        let moved = effect.iter().filter_map(|(path, state)| {
            let path = Path::new(path);
            let state = state.as_ref().filter(|s| s.kind == 'd')?;
            let object = state.object?;
            let above = path
                .parent()
                .and_then(|p| effect.get(p.as_os_str()))
                .cloned()
                .flatten();
            let with_it = above.is_some_and(|a| a.object != path.parent().and_then(object_at));
            (object_at(path) != Some(object) && !with_it).then(|| (path.to_owned(), object))
        });
        let moved: Vec<_> = moved.collect();
        for (path, object) in &moved {
            // a directory that can't be written can't be moved to another one
            std::fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
            std::fs::rename(path, self.vault.join(format!("moved-{object}"))).unwrap();
        }
        for (path, state) in effect.iter().rev() {
            // what is gone may be reached by way of a link that came to stand above
            let Some(state) = state else { continue };
            let was = self.base.get(path);
            let path = Path::new(path);
            let known = was.is_some_and(|b| b.object == state.object && b.kind == state.kind);
            if !known && !remove(path) {
                panic!("{}: {effect:#?}", path.display());
            }
        }
        for (_, object) in moved {
            let parked = self.vault.join(format!("moved-{object}"));
            std::fs::rename(parked, &self.names[object]).unwrap();
        }
        let mut same = true;
        for path in effect.keys() {
            if let Some(state) = self.base.get(path).cloned() {
                same &= self.put_back(Path::new(path), &state);
            }
        }
        for path in effect.keys().filter(|p| self.base.contains_key(*p)) {
            touch(Path::new(path));
        }
        let left = self.effect(true);
        assert!(left.is_empty(), "{effect:#?} left {left:#?}");
        same
    }

    fn put_back(&mut self, path: &Path, state: &State) -> bool {
        let mut same = true;
        let number = state.object.unwrap();
        if path.symlink_metadata().is_err() {
            if state.kind == 'd' {
                std::fs::create_dir(path).unwrap();
                self.inodes.retain(|_, object| *object != number);
                let inode = path.symlink_metadata().unwrap().ino();
                self.inodes.insert(inode, number);
                same = false;
            } else {
                link(&self.vault.join(number.to_string()), path);
            }
        }
        if state.kind == 'l' {
            return same;
        }
        if state.kind == 'f' {
            std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
            std::fs::write(path, self.content(number)).unwrap();
        }
        if state.kind == 'd' {
            std::fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
        }
        match rustix::fs::removexattr(path, XATTR) {
            Ok(()) | Err(rustix::io::Errno::NODATA | rustix::io::Errno::PERM) => {}
            Err(error) => panic!("{}: {error}", path.display()),
        }
        std::fs::set_permissions(path, Permissions::from_mode(state.mode)).unwrap();
        same
    }
}

fn link(from: &Path, to: &Path) {
    // the link itself
    rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty()).unwrap();
}

fn touch(path: &Path) {
    let time = Timespec {
        tv_sec: TIME,
        tv_nsec: 0,
    };
    let both = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &both, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// False where it holds something that should have been elsewhere.
fn remove(path: &Path) -> bool {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => std::fs::remove_dir(path).is_ok(),
        Ok(_) => std::fs::remove_file(path).is_ok(),
        Err(_) => true,
    }
}
