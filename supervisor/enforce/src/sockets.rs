//! Unix sockets of the host that have names, as the kernel lists them.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::os::fd::AsRawFd;
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

/// Part of a netlink message: linux/netlink.h, linux/sock_diag.h, linux/unix_diag.h.
const HEADER: usize = 16;
const DONE: u16 = 3;
const BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
const SHOW_NAME_AND_FILE: u32 = 1 | 2;
/// What stands before the attributes of an answer.
const DIAG: usize = 16;
const NAME: u16 = 0;
const FILE: u16 = 1;

/// None where the kernel has no such list, or one that is not understood.
fn ask() -> Result<Option<Vec<Socket>>, Errno> {
    let kernel = match socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    ) {
        Ok(kernel) => kernel,
        Err(Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT) => return Ok(None),
        Err(other) => return Err(other),
    };
    let mut request = Vec::new();
    let family = nix::libc::AF_UNIX.cast_unsigned();
    request.extend(40_u32.to_ne_bytes());
    request.extend(BY_FAMILY.to_ne_bytes());
    request.extend(REQUEST_DUMP.to_ne_bytes());
    request.extend([0; 8]);
    // the family is a byte, as are the three that follow
    request.extend(family.to_le_bytes());
    for word in [u32::MAX, 0, SHOW_NAME_AND_FILE, u32::MAX, u32::MAX] {
        request.extend(word.to_ne_bytes());
    }
    send(kernel.as_raw_fd(), &request, MsgFlags::empty())?;
    let (mut out, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let length = recv(kernel.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        match answers(buffer.get(..length).unwrap_or(&[]), &mut out) {
            Some(true) => return Ok(Some(out)),
            Some(false) => {}
            None => return Ok(None),
        }
    }
}

/// Whether these were the last; none for an error.
fn answers(mut rest: &[u8], out: &mut Vec<Socket>) -> Option<bool> {
    while !rest.is_empty() {
        let length = usize::try_from(native_u32(rest, 0)?).ok()?;
        match native_u16(rest, 4)? {
            DONE => return Some(true),
            BY_FAMILY => out.extend(one(rest.get(HEADER + DIAG..length)?)),
            _ => return None,
        }
        rest = rest.get(aligned(length)..).unwrap_or(&[]);
    }
    Some(false)
}

/// None when it has no file.
fn one(mut rest: &[u8]) -> Option<Socket> {
    let (mut path, mut inode) = (None, None);
    while !rest.is_empty() {
        let length = usize::from(native_u16(rest, 0)?);
        match native_u16(rest, 2)? {
            NAME => path = rest.get(4..length),
            FILE => inode = native_u32(rest, 4),
            _ => {}
        }
        // an attribute is never shorter than its head
        rest = rest.get(aligned(length.max(4))..).unwrap_or(&[]);
    }
    let name = path.unwrap_or_default().split(|b| *b == 0).next();
    Some(Socket {
        path: OsStr::from_bytes(name.unwrap_or_default()).into(),
        inode: Some(inode?),
    })
}

pub fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

pub fn native_u16(bytes: &[u8], at: usize) -> Option<u16> {
    let part = bytes.get(at..at + 2)?;
    part.try_into().ok().map(u16::from_ne_bytes)
}

pub fn native_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let part = bytes.get(at..at + 4)?;
    part.try_into().ok().map(u32::from_ne_bytes)
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
    fn a_cut_or_strange_answer_is_an_error() {
        for bytes in [&[0; 3][..], &[40, 0, 0, 0, 20, 0], &[255; 64]] {
            assert_eq!(answers(bytes, &mut Vec::new()), None, "{bytes:?}");
        }
        // a length of nothing ends
        let head = [0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(answers(&head, &mut Vec::new()), None);
        assert_eq!(one(&[0, 0, 9, 0]), None);
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
