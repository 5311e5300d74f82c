//! Host names and network rules, parsed once into validated types.

use std::net::IpAddr;

/// Lower case, no trailing dot, letters, digits, hyphen and underscore in labels of 1 to 63
/// bytes, 253 in all; a label that begins with an underscore names a service record, no host. IDN
/// must be written in its ASCII form, so that there is one spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hostname(String);

impl Hostname {
    pub fn parse(text: &str) -> Result<Self, String> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.is_empty() {
            return Err("no host is named".into());
        }
        if name.len() > 253 {
            return Err(format!(
                "a host name has at most 253 bytes, not {}",
                name.len()
            ));
        }
        if !name.is_ascii() {
            return Err("write the name in its ASCII form (xn--…)".into());
        }
        for label in name.split('.') {
            if label.is_empty() {
                return Err("a host name has no empty part between dots".into());
            }
            if label.len() > 63 {
                return Err("a part of a host name has at most 63 bytes".into());
            }
            let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            if !label.bytes().all(good) || label.starts_with(['-', '_']) || label.ends_with('-') {
                return Err(format!(
                    "`{}` is no part of a host name",
                    label.escape_default()
                ));
            }
        }
        if name
            .split('.')
            .next_back()
            .is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(
                "a name that ends in a number is neither a host name nor an address".into(),
            );
        }
        Ok(Self(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Udp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    Name(Hostname),
    /// `*.host`: every name below it, not the name itself.
    Below(Hostname),
    /// Address and prefix length in bits.
    Network(IpAddr, u8),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRule {
    pub peer: Peer,
    /// First and last port, both included.
    pub ports: (u16, u16),
    /// Both when absent in the text.
    pub protocol: Option<Protocol>,
}

impl NetworkRule {
    /// `[tcp://|udp://]HOST|*.HOST|IP|CIDR[:PORT[-PORT]]`; an IPv6 address with a port stands in brackets.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (protocol, rest) = match text.split_once("://") {
            None => (None, text),
            Some(("tcp", rest)) => (Some(Protocol::Tcp), rest),
            Some(("udp", rest)) => (Some(Protocol::Udp), rest),
            Some(("https", rest)) if !rest.contains(['/', ':']) => {
                return Err(format!("write `{rest}:443` for https"));
            }
            Some((other, _)) => return Err(format!("`{other}://` is neither tcp:// nor udp://")),
        };
        let (peer, ports) = split_ports(rest)?;
        Ok(Self {
            peer: parse_peer(peer)?,
            ports,
            protocol,
        })
    }

    pub fn matches(
        &self,
        name: Option<&Hostname>,
        address: Option<IpAddr>,
        port: u16,
        protocol: Protocol,
    ) -> bool {
        let peer = match &self.peer {
            Peer::Name(host) => name == Some(host),
            Peer::Below(host) => name.is_some_and(|n| {
                n.0.strip_suffix(host.as_str())
                    .is_some_and(|head| head.len() > 1 && head.ends_with('.'))
            }),
            Peer::Network(net, bits) => address.is_some_and(|a| within(a, *net, *bits)),
        };
        peer && (self.ports.0..=self.ports.1).contains(&port)
            && self.protocol.is_none_or(|p| p == protocol)
    }

    /// More is more specific: a name or a whole address, then the prefix, then fewer ports.
    pub fn specificity(&self) -> (u8, usize, u16) {
        let (kind, size) = match &self.peer {
            Peer::Name(n) => (2, n.0.len()),
            Peer::Below(n) => (1, n.0.len()),
            Peer::Network(a, bits) => (if *bits == width(*a) { 2 } else { 1 }, usize::from(*bits)),
        };
        (kind, size, u16::MAX - (self.ports.1 - self.ports.0))
    }
}

fn split_ports(text: &str) -> Result<(&str, (u16, u16)), String> {
    let (peer, port) = if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']').ok_or("`[` without `]`")?;
        if !inside.contains(':') {
            return Err(format!("`[{inside}]`: brackets hold an IPv6 address"));
        }
        (
            inside,
            if after.is_empty() {
                None
            } else {
                Some(after.strip_prefix(':').ok_or("after `]` comes `:PORT`")?)
            },
        )
    } else if text.matches(':').count() == 1 {
        let (peer, port) = text.split_once(':').unwrap_or((text, ""));
        (peer, Some(port))
    } else {
        (text, None)
    };
    let Some(port) = port else {
        return Ok((peer, (1, u16::MAX)));
    };
    let one = |t: &str| match t.parse::<u16>() {
        Ok(n) if n > 0 && !t.starts_with(['+', '0']) => Ok(n),
        Ok(_) | Err(_) => Err(format!("`{t}` is no port (1 to 65535)")),
    };
    let (low, high) = port.split_once('-').unwrap_or((port, port));
    let (low, high) = (one(low)?, one(high)?);
    if low > high {
        Err(format!("port range {low}-{high} runs backwards"))
    } else {
        Ok((peer, (low, high)))
    }
}

fn parse_peer(text: &str) -> Result<Peer, String> {
    if let Some(below) = text.strip_prefix("*.") {
        return Ok(Peer::Below(host(below)?));
    }
    let (address, bits) = text
        .split_once('/')
        .map_or((text, None), |(a, b)| (a, Some(b)));
    if let Ok(address) = address.parse::<IpAddr>() {
        let bits = match bits {
            None => width(address),
            Some(b) => b
                .parse()
                .ok()
                .filter(|n: &u8| *n <= width(address) && n.to_string() == b)
                .ok_or(format!("`/{b}` is no prefix length"))?,
        };
        if masked(address, bits) != number(address) {
            return Err(format!("{text} has bits set beyond its prefix"));
        }
        return Ok(Peer::Network(address, bits));
    }
    if bits.is_some() {
        return Err("a rule names a host or `ADDRESS/BITS`, no path on a host".into());
    }
    if text.matches(':').count() > 1 {
        return Err(format!("`{text}` is no IPv6 address"));
    }
    Ok(Peer::Name(host(text)?))
}

/// A name as a rule has it. On the wire it may end in a dot; a rule has one spelling.
fn host(text: &str) -> Result<Hostname, String> {
    match text.strip_suffix('.') {
        Some(name) if !name.is_empty() => Err(format!("write `{name}` without the dot at its end")),
        _ => Hostname::parse(text),
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    }
}

fn masked(address: IpAddr, bits: u8) -> u128 {
    let shift = u32::from(width(address) - bits);
    if shift >= 128 {
        0
    } else {
        number(address) >> shift << shift
    }
}

fn within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    // an IPv4-mapped address is the IPv4 address it reaches
    let address = address.to_canonical();
    address.is_ipv4() == network.is_ipv4() && masked(address, bits) == number(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        assert_eq!(
            Hostname::parse("Example.COM.").unwrap().as_str(),
            "example.com"
        );
        for bad in [
            "",
            ".",
            "a..b",
            "-a.b",
            "a\0.b",
            "bücher.de",
            "1.2.3",
            "_dmarc.example.com",
            &"a".repeat(64),
        ] {
            assert!(Hostname::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn below_is_not_the_name_and_not_a_suffix() {
        let rule = NetworkRule::parse("*.example.com").unwrap();
        let hit = |n| rule.matches(Some(&Hostname::parse(n).unwrap()), None, 443, Protocol::Tcp);
        assert!(hit("a.example.com") && !hit("example.com") && !hit("badexample.com"));
    }

    #[test]
    fn addresses_ports_and_ranges() {
        let rule = NetworkRule::parse("tcp://10.0.0.0/8:80-90").unwrap();
        let at = |a: &str, p, proto| rule.matches(None, Some(a.parse().unwrap()), p, proto);
        assert!(at("10.1.2.3", 85, Protocol::Tcp) && at("::ffff:10.1.2.3", 85, Protocol::Tcp));
        assert!(
            !at("11.0.0.1", 85, Protocol::Tcp)
                && !at("10.1.2.3", 91, Protocol::Tcp)
                && !at("10.1.2.3", 85, Protocol::Udp)
        );
        for bad in [
            "10.0.0.1/8",
            "10.0.0.0/33",
            "a:0",
            "a:99999",
            "a:9-1",
            "http://a",
            "0x7f.1",
            "[::1",
            "a:+80",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "[10.0.0.1]:80",
            "[a.example]:80",
        ] {
            assert!(NetworkRule::parse(bad).is_err(), "{bad}");
        }
        assert!(NetworkRule::parse("[::1]:80").is_ok() && NetworkRule::parse("::1").is_ok());
    }
}
