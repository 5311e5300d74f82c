//! Sockets that a session makes for itself, in more steps than one access.
#![forbid(unsafe_code)]

use super::*;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;

/// Names the own and the other's in turn while it is connected to, or bound, so many times. Prints
/// how often the call was made.
pub fn race(what: &str, tries: i32, own: &str, other: &str) -> Tried {
    let mut own = own.to_owned();
    match what {
        "port" => {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(of_io)?;
            own = listener.local_addr().map_err(of_io)?.port().to_string();
            std::thread::spawn(move || listener.incoming().for_each(drop));
        }
        "bind" => {}
        _ => {
            let listener = std::os::unix::net::UnixListener::bind(&own).map_err(of_io)?;
            std::thread::spawn(move || listener.incoming().for_each(drop));
        }
    }
    let (kind, names) = (what.to_owned(), [own.clone(), other.to_owned()]);
    let over = std::sync::Arc::new(AtomicBool::new(false));
    let ended = std::sync::Arc::clone(&over);
    share(&bytes_of(&own));
    flip(&kind, &own)?;
    let flips = std::thread::spawn(move || {
        let mut turn = names.iter().cycle();
        while let (false, Some(name)) = (ended.load(Ordering::Relaxed), turn.next()) {
            flip(&kind, name).unwrap_or(());
        }
    });
    let mut made = 0;
    for _ in 0..tries {
        let tried = match what {
            "link" => unix(UnixAddr::new("link")?),
            "directory" => unix(UnixAddr::new("socket")?),
            "bind" => with_shared(libc::bind),
            _ => with_shared(libc::connect),
        };
        made += i32::from(tried.is_ok());
        if what == "bind" {
            std::fs::remove_file(&own).unwrap_or(());
        }
    }
    over.store(true, Ordering::Relaxed);
    flips.join().map_err(|_| Errno::UnknownErrno)?;
    println!("{made} of {tries}");
    Ok(())
}

fn flip(what: &str, name: &str) -> Tried {
    let folder = || {
        std::path::Path::new(name)
            .parent()
            .unwrap_or(std::path::Path::new("/"))
    };
    match what {
        "link" => {
            std::os::unix::fs::symlink(name, "link.new").map_err(of_io)?;
            std::fs::rename("link.new", "link").map_err(of_io)
        }
        "directory" => std::env::set_current_dir(folder()).map_err(of_io),
        _ => {
            share(&bytes_of(name));
            Ok(())
        }
    }
}

/// Sockets until there is no descriptor left, then one more name: and after that all is as before.
pub fn flood(path: &str) -> Tried {
    let files = nix::sys::resource::Resource::RLIMIT_NOFILE;
    nix::sys::resource::setrlimit(files, 200, 200)?;
    let mut all = Vec::new();
    for n in 0.. {
        let bound = std::os::unix::net::UnixListener::bind(format!("{path}{n}"));
        match bound {
            Ok(listener) => all.push(listener),
            Err(error) if error.raw_os_error() == Some(libc::EMFILE) => break,
            Err(error) => return Err(of_io(error)),
        }
    }
    for n in 0..all.len() {
        let name = format!("{path}{n}");
        all.pop();
        unix(UnixAddr::new(name.as_str())?).or_else(|e| match e {
            Errno::ECONNREFUSED => Ok(()),
            other => Err(other),
        })?;
    }
    let name = format!("{path}.last");
    let last = std::os::unix::net::UnixListener::bind(&name).map_err(of_io)?;
    unix(UnixAddr::new(name.as_str())?)?;
    last.accept().map(drop).map_err(of_io)
}

/// So many connections at once, each by a thread of its own.
pub fn crowd(count: i32) -> Tried {
    let (listener, to) = few(1024)?;
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::io::Write::write_all(&mut &connection, b"x").unwrap_or(());
        }
    });
    let client = move || {
        let mut byte = [0];
        let mut connection = std::net::TcpStream::connect(to)?;
        std::io::Read::read_exact(&mut connection, &mut byte)
    };
    let spawn = |_| {
        std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(client)
    };
    let clients: Result<Vec<_>, _> = (0..count).map(spawn).collect();
    for client in clients.map_err(of_io)? {
        let outcome = client.join().map_err(|_| Errno::UnknownErrno)?;
        outcome.map_err(of_io)?;
    }
    Ok(())
}

/// A listener that takes so many connections and one more before they are accepted.
fn few(backlog: i32) -> nix::Result<(std::net::TcpListener, std::net::SocketAddr)> {
    let server = inet(SockType::Stream)?;
    bind(server.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0))?;
    nix::sys::socket::listen(&server, nix::sys::socket::Backlog::new(backlog)?)?;
    let listener = std::net::TcpListener::from(server);
    let to = listener.local_addr().map_err(of_io)?;
    Ok((listener, to))
}

/// Connections that are not taken: as many as fill the listener, one that does not wait, but where
/// it is to be alone, and one that does. Then the listener takes them, or ends.
pub fn waiting(how: &str) -> Tried {
    let (ends, alone) = (how == "ends", how == "alone");
    let (listener, to) = few(0)?;
    let _filling = std::net::TcpStream::connect(to).map_err(of_io)?;
    let pending = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    let address = SockaddrIn::new(127, 0, 0, 1, to.port());
    if !alone {
        let begun = connect(pending.as_raw_fd(), &address);
        if begun != Err(Errno::EINPROGRESS) {
            return begun.and(Err(Errno::EISCONN));
        }
    }
    let waits = std::thread::spawn(move || std::net::TcpStream::connect(to));
    std::thread::sleep(std::time::Duration::from_millis(200));
    if waits.is_finished() {
        return Err(Errno::EALREADY);
    }
    if ends {
        drop(listener);
        println!("{}", to.port());
        // long enough for the kernel to try again by itself, after 1 and 3 seconds
        std::thread::sleep(std::time::Duration::from_secs(4));
    } else {
        std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    }
    let outcome = waits.join().map_err(|_| Errno::UnknownErrno)?;
    if !ends && !alone {
        // the one that did not wait is connected too
        let mut made = [PollFd::new(pending.as_fd(), PollFlags::POLLOUT)];
        poll(&mut made, PollTimeout::from(60_000_u16))?;
        nix::sys::socket::getpeername::<SockaddrIn>(pending.as_raw_fd())?;
    }
    outcome.map(drop).map_err(of_io)
}

/// Binds to every address, listens, and prints what it was given; with a port it listens there.
pub fn every_address(port: u16) -> Tried {
    let server = inet(SockType::Stream)?;
    bind(server.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, port))?;
    given(server)
}

/// Listens without having bound.
pub fn unbound() -> Tried {
    given(inet(SockType::Stream)?)
}

fn given(server: std::os::fd::OwnedFd) -> Tried {
    nix::sys::socket::listen(&server, nix::sys::socket::Backlog::new(5)?)?;
    let listener = std::net::TcpListener::from(server);
    let address = listener.local_addr().map_err(of_io)?;
    println!("{}", address.ip());
    let to = std::net::SocketAddr::new([127, 0, 0, 1].into(), address.port());
    std::net::TcpStream::connect(to).map(drop).map_err(of_io)
}
