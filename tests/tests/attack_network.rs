//! Datagrams to ports of the host, whatever the address says of its family.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;
use stockade_tests::{LEVELS, Place, text};

const ATTACK: &str = env!("CARGO_BIN_EXE_attack");

/// How many datagrams are there by now.
fn received(socket: &UdpSocket) -> usize {
    socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let mut byte = [0; 1];
    std::iter::from_fn(|| socket.recv(&mut byte).ok()).count()
}

#[test]
fn no_datagram_reaches_a_port_of_the_host() {
    for (family, listens) in [("4", "127.0.0.1:0"), ("0", "127.0.0.1:0"), ("6", "[::1]:0")] {
        let host = UdpSocket::bind(listens).unwrap();
        let port = host.local_addr().unwrap().port().to_string();
        let words = [ATTACK, "datagram", family, &port];
        let native = Command::new(ATTACK).args(&words[1..]).output().unwrap();
        assert_eq!(text(&native), "datagram ok\n", "{family}");
        assert_eq!(received(&host), 1, "{family}");
        for level in LEVELS {
            let place = Place::new("datagram");
            let own = [
                "run",
                "--quiet",
                "--require",
                level,
                "--allow-read",
                ATTACK,
                "--",
            ];
            let said = text(&place.stockade(&[&own, &words[..]].concat()));
            // at `namespaces` it goes to the session's own loopback, where nobody listens
            let expected = if level == "namespaces" { "ok" } else { "EPERM" };
            assert_eq!(said, format!("datagram {expected}\n"), "{level} {family}");
            assert_eq!(received(&host), 0, "{level} {family}");
        }
    }
}
