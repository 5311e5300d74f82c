//! What the kernel says of sockets: sock_diag(7); about single ones by the cookie that no other socket
//! ever has.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

/// linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h, linux/unix_diag.h.
const HEADER: usize = 16;
const DONE: u16 = 3;
const BY_FAMILY: u16 = 20;
const REQUEST: u16 = 1;
pub const REQUEST_DUMP: u16 = 0x301;
const TCP: u8 = 6;
const LISTENING: u8 = 10;
const SHOW_FILE: u32 = 2;
/// What stands before the attributes of an answer about a Unix socket, and the attribute.
const UNIX: usize = 16;
const FILE: u16 = 1;

/// A bound Unix socket and the file that it is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnixFile {
    pub cookie: u64,
    /// The low half of the file's inode number.
    pub inode: u32,
    /// As the file system's mount names it: major, minor.
    pub device: (u32, u32),
}

/// The cookie of the socket that would take a connection to the address, where one listens.
pub fn tcp_listener(address: SocketAddr) -> Option<u64> {
    let (family, octets) = match address.ip() {
        IpAddr::V4(ip) => (nix::libc::AF_INET, ip.octets().to_vec()),
        IpAddr::V6(ip) => (nix::libc::AF_INET6, ip.octets().to_vec()),
    };
    let mut body = vec![u8::try_from(family).ok()?, TCP, 0, 0];
    body.extend([255; 4]); // every state
    body.extend(address.port().to_be_bytes());
    body.extend([0; 2]);
    body.extend(&octets);
    body.resize(8 + 4 + 32, 0);
    // by the loopback device, the first of every network namespace: as the connection would come
    body.extend(1_u32.to_ne_bytes());
    body.extend([255; 8]); // any cookie
    let mut found = None;
    let asked = ask(REQUEST, &body, |answer| {
        let listens = answer.get(1) == Some(&LISTENING);
        found = listens.then(|| cookie(answer, 44)).flatten();
    });
    asked.ok()??;
    found
}

/// Whether the kernel answers such questions at all; where it can it loads the modules for it now.
pub fn answers() -> Result<bool, Errno> {
    // lists of sockets in no state
    let tcp = |family: i32| {
        let mut body = vec![u8::try_from(family).unwrap_or(0), TCP, 0, 0];
        body.resize(56, 0);
        body
    };
    let mut unix = unix_request(0, u64::MAX, SHOW_FILE);
    unix.get_mut(4..8).unwrap_or_default().fill(0);
    let lists = [tcp(nix::libc::AF_INET), tcp(nix::libc::AF_INET6), unix];
    for body in lists {
        if ask(REQUEST_DUMP, &body, |_| {})?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What this socket is bound to, if it still lives.
pub fn unix_file(socket_inode: u32, socket_cookie: u64) -> Option<UnixFile> {
    let mut found = None;
    let body = unix_request(socket_inode, socket_cookie, SHOW_FILE);
    ask(REQUEST, &body, |answer| found = of_unix(answer)).ok()??;
    found
}

/// Every bound Unix socket of this network namespace; none where the kernel has no such list.
pub fn unix_files() -> Option<Vec<UnixFile>> {
    let mut found = Vec::new();
    let body = unix_request(0, u64::MAX, SHOW_FILE);
    ask(REQUEST_DUMP, &body, |answer| found.extend(of_unix(answer))).ok()??;
    Some(found)
}

/// In every state; of inode 0 and that cookie each one.
pub fn unix_request(inode: u32, cookie: u64, show: u32) -> Vec<u8> {
    // the family is a byte, as are the three that follow
    let mut body = nix::libc::AF_UNIX.to_le_bytes().to_vec();
    let halves = [cookie as u32, (cookie >> 32) as u32];
    for word in [u32::MAX, inode, show, halves[0], halves[1]] {
        body.extend(word.to_ne_bytes());
    }
    body
}

fn cookie(answer: &[u8], at: usize) -> Option<u64> {
    let (low, high) = (native_u32(answer, at)?, native_u32(answer, at + 4)?);
    Some(u64::from(high) << 32 | u64::from(low))
}

fn of_unix(answer: &[u8]) -> Option<UnixFile> {
    let mut file = None;
    of_unix_attributes(answer, |name, value| {
        if name == FILE {
            file = native_u32(value, 0).zip(native_u32(value, 4));
        }
    })?;
    let (inode, device) = file?;
    Some(UnixFile {
        cookie: cookie(answer, 8)?,
        inode,
        // twenty bits of minor, as the kernel keeps it
        device: (device >> 20, device & 0xf_ffff),
    })
}

/// Name and value of each attribute of an answer about a Unix socket; none where it is cut.
pub fn of_unix_attributes(answer: &[u8], mut each: impl FnMut(u16, &[u8])) -> Option<()> {
    let mut rest = answer.get(UNIX..)?;
    while !rest.is_empty() {
        let length = usize::from(native_u16(rest, 0)?);
        each(
            native_u16(rest, 2)?,
            rest.get(4..length).unwrap_or_default(),
        );
        // an attribute is never shorter than its head
        rest = rest.get(aligned(length.max(4))..).unwrap_or(&[]);
    }
    Some(())
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn native_u16(bytes: &[u8], at: usize) -> Option<u16> {
    let part = bytes.get(at..at + 2)?;
    part.try_into().ok().map(u16::from_ne_bytes)
}

pub fn native_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let part = bytes.get(at..at + 4)?;
    part.try_into().ok().map(u32::from_ne_bytes)
}

fn kernel() -> Result<Option<OwnedFd>, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let protocol = SockProtocol::NetlinkSockDiag;
    match socket(AddressFamily::Netlink, SockType::Raw, flags, protocol) {
        Err(Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT) => Ok(None),
        kernel => kernel.map(Some),
    }
}

/// None for an answer that is an error, which nothing found is to a request about one socket.
pub fn ask(kind: u16, body: &[u8], mut each: impl FnMut(&[u8])) -> Result<Option<()>, Errno> {
    let Some(kernel) = kernel()? else {
        return Ok(None);
    };
    let length = u32::try_from(HEADER + body.len()).map_err(|_| Errno::EMSGSIZE)?;
    let mut request = length.to_ne_bytes().to_vec();
    request.extend(BY_FAMILY.to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend([0; 8]);
    request.extend(body);
    send(kernel.as_raw_fd(), &request, MsgFlags::empty())?;
    let mut buffer = vec![0; if kind == REQUEST { 4096 } else { 1 << 16 }];
    loop {
        let got = match recv(kernel.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Err(Errno::EINTR) => continue,
            got => got?,
        };
        match part(buffer.get(..got).unwrap_or(&[]), &mut each) {
            Part::More if kind == REQUEST => return Ok(Some(())),
            Part::More => {}
            Part::Last => return Ok(Some(())),
            Part::Error => return Ok(None),
        }
    }
}

/// What a message of an answer is.
enum Part {
    More,
    Last,
    /// Also what is not understood.
    Error,
}

fn part(message: &[u8], each: &mut impl FnMut(&[u8])) -> Part {
    let mut rest = message;
    let mut read = || -> Option<Part> {
        while !rest.is_empty() {
            let length = usize::try_from(native_u32(rest, 0)?).ok()?;
            match native_u16(rest, 4)? {
                // with it comes what ended the list
                DONE => return (native_u32(rest, HEADER)? == 0).then_some(Part::Last),
                BY_FAMILY => each(rest.get(HEADER..length)?),
                _ => return None,
            }
            rest = rest.get(aligned(length)..).unwrap_or(&[]);
        }
        Some(Part::More)
    };
    read().unwrap_or(Part::Error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::notify::option;
    use std::net::TcpListener;
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixListener;

    fn cookie_of(socket: impl AsFd) -> u64 {
        option(socket.as_fd(), nix::libc::SOL_SOCKET, nix::libc::SO_COOKIE).unwrap()
    }

    #[test]
    fn what_the_kernel_has_no_list_of_is_no_empty_list() {
        assert_eq!(answers(), Ok(true));
        let mut body = vec![2, 200, 0, 0];
        body.resize(56, 0);
        // a protocol that there is not, and a family
        assert_eq!(ask(REQUEST_DUMP, &body, |_| {}), Ok(None));
        body[0] = 200;
        assert_eq!(ask(REQUEST_DUMP, &body, |_| {}), Ok(None));
    }

    #[test]
    fn a_cut_or_strange_answer_is_an_error() {
        let strange = |bytes: &[u8]| matches!(part(bytes, &mut |_| {}), Part::Error);
        for bytes in [&[0; 3][..], &[40, 0, 0, 0, 20, 0], &[255; 64]] {
            assert!(strange(bytes), "{bytes:?}");
        }
        // a length of nothing ends
        let head = [0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(strange(&head));
    }

    #[test]
    fn a_listener_is_found_by_each_address_that_leads_to_it() {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = one.local_addr().unwrap();
        assert_eq!(tcp_listener(address), Some(cookie_of(&one)));
        let elsewhere = SocketAddr::new([127, 0, 0, 2].into(), address.port());
        assert_eq!(tcp_listener(elsewhere), None);
        let every = TcpListener::bind("0.0.0.0:0").unwrap();
        let address = SocketAddr::new([127, 0, 0, 9].into(), every.local_addr().unwrap().port());
        assert_eq!(tcp_listener(address), Some(cookie_of(&every)));
        drop(every);
        assert_eq!(tcp_listener(address), None);
    }

    #[test]
    fn a_unix_socket_is_known_by_its_cookie_as_long_as_it_lives() {
        let place = std::env::temp_dir().join(format!("stockade-diag-{}", std::process::id()));
        std::fs::create_dir(&place).unwrap();
        let listener = UnixListener::bind(place.join("s")).unwrap();
        let socket = u32::try_from(nix::sys::stat::fstat(&listener).unwrap().st_ino).unwrap();
        let cookie = cookie_of(&listener);
        let found = unix_file(socket, cookie).unwrap();
        let file = place.join("s").metadata().unwrap();
        assert_eq!(u64::from(found.inode), file.ino() & u64::from(u32::MAX));
        let device = (nix::libc::major(file.dev()), nix::libc::minor(file.dev()));
        assert_eq!(found.device, device);
        assert_eq!(unix_file(socket, cookie + 1), None);
        assert!(unix_files().unwrap().contains(&found));
        drop(listener);
        assert_eq!(unix_file(socket, cookie), None);
        std::fs::remove_dir_all(&place).unwrap();
    }
}
