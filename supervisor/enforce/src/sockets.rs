//! Unix sockets of the host that have names, as the kernel lists them.

use crate::diag;
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// One that is bound, whether or not it listens: datagram sockets never do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Socket {
    /// As its program wrote it: perhaps relative, through links, or renamed since.
    #[serde(with = "crate::bytes::path")]
    pub path: PathBuf,
    /// The low half of the file's inode number; none where the kernel doesn't say.
    pub inode: Option<u32>,
}

/// Those of this network namespace.
pub fn sockets() -> Result<Vec<Socket>, Errno> {
    let mut out = match ask()? {
        Some(all) => all,
        None => of_table(&std::fs::read_to_string("/proc/net/unix").unwrap_or_default()),
    };
    out.sort();
    out.dedup();
    Ok(out)
}

/// linux/unix_diag.h.
const SHOW_NAME_AND_FILE: u32 = 1 | 2;
const NAME: u16 = 0;
const FILE: u16 = 1;

/// None where the kernel has no such list, or one that is not understood.
fn ask() -> Result<Option<Vec<Socket>>, Errno> {
    let mut out = Vec::new();
    let body = diag::unix_request(0, u64::MAX, SHOW_NAME_AND_FILE);
    let asked = diag::ask(diag::REQUEST_DUMP, &body, |answer| out.extend(one(answer)))?;
    Ok(asked.map(|()| out))
}

/// None when it has no file.
fn one(answer: &[u8]) -> Option<Socket> {
    let (mut path, mut inode) = (None, None);
    diag::of_unix_attributes(answer, |name, value| match name {
        NAME => path = Some(value.to_owned()),
        FILE => inode = diag::native_u32(value, 0),
        _ => {}
    })?;
    let path = path.unwrap_or_default();
    let name = path.split(|b| *b == 0).next();
    Some(Socket {
        path: OsStr::from_bytes(name.unwrap_or_default()).into(),
        inode: Some(inode?),
    })
}

/// `/proc/net/unix`: the path is what follows the seventh word and one blank.
fn of_table(table: &str) -> Vec<Socket> {
    let named = |line: &str| {
        let mut rest = line;
        for _ in 0..7 {
            rest = rest.trim_start().split_once(' ')?.1;
        }
        rest.starts_with('/').then(|| Socket {
            path: rest.into(),
            inode: None,
        })
    };
    table.lines().skip(1).filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::{UnixDatagram, UnixListener};

    #[test]
    fn the_kernel_names_files_whatever_became_of_their_names() {
        let place = std::env::temp_dir().join(format!("stockade-sockets-{}", std::process::id()));
        std::fs::create_dir(&place).unwrap();
        let (bound, renamed) = (place.join("a b"), place.join("renamed"));
        let listener = UnixListener::bind(&bound).unwrap();
        let datagram = UnixDatagram::bind(place.join("d")).unwrap();
        std::fs::rename(&bound, &renamed).unwrap();
        let found = |path: &PathBuf| {
            let inode = path.metadata().unwrap().ino() & u64::from(u32::MAX);
            let all = sockets().unwrap();
            let mut hits = all
                .into_iter()
                .filter(|s| s.inode.map(u64::from) == Some(inode));
            hits.next().map(|s| s.path)
        };
        assert_eq!(found(&renamed), Some(bound));
        assert_eq!(found(&place.join("d")), Some(place.join("d")));
        drop((listener, datagram));
        assert_eq!(found(&renamed), None);
        std::fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn a_strange_answer_about_one_is_none() {
        let attribute = [0, 0, 9, 0];
        assert_eq!(one(&[&[0; 16][..], &attribute].concat()), None);
    }

    #[test]
    fn a_table_gives_every_socket_with_a_path() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000: 00000002 00000000 00010000 0001 01     1 /run/docker.sock\n\
            0000: 00000002 00000000 00000000 0002 01 20001 /run/a b\n\
            0000: 00000002 00000000 00010000 0001 01     3 @abstract\n\
            0000: 00000002 00000000 00010000 0001 01     4\n";
        let paths: Vec<PathBuf> = of_table(table).into_iter().map(|s| s.path).collect();
        assert_eq!(paths, ["/run/docker.sock", "/run/a b"].map(PathBuf::from));
    }
}
