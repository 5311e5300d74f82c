//! Arguments, decoded.

use serde::Serialize;
use std::borrow::Cow;

/// One argument of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Argument {
    pub name: &'static str,
    #[serde(flatten)]
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    Number(i64),
    Unsigned(u64),
    Descriptor(i32),
    /// An address in the caller's memory; 0 is NULL.
    Pointer(u64),
    Path(PathText),
    Text(Bytes),
    /// Octal.
    Mode(u32),
    /// Names joined by `|`, what has none in hexadecimal.
    Flags(String),
    Address(Address),
    Strings(Vec<Bytes>),
    Descriptors(Vec<i32>),
    /// Of a structure.
    Fields(Vec<Argument>),
    /// Of a buffer.
    Bytes(Bytes),
    /// The pointer led nowhere.
    Unreadable(u64),
}

/// Bytes that are text most of the time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    pub fn lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

/// As text where it is UTF-8, else with `\xNN` for each byte that is not; a backslash is `\\` then.
impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        as_text(&self.0, to)
    }
}

pub(crate) fn as_text<S: serde::Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => to.serialize_str(text),
        Err(_) => to.serialize_str(&quoted_invalid(bytes)),
    }
}

fn quoted_invalid(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            // writing to a String can't fail
            write!(out, "\\x{byte:02x}").unwrap_or(());
        }
    }
    out
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathText {
    /// As it was passed.
    pub text: Bytes,
    /// From the root of the process, `.` and `..` not resolved; none where it could not be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absolute: Option<Bytes>,
    /// The directory that it begins at was removed: `absolute` is where it was.
    #[serde(skip_serializing_if = "is_false")]
    pub deleted: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    Inet {
        host: String,
        port: u16,
    },
    Inet6 {
        host: String,
        port: u16,
    },
    Unix {
        path: Bytes,
        /// As a path's; none for what the kernel wrote.
        #[serde(skip_serializing_if = "Option::is_none")]
        absolute: Option<Bytes>,
    },
    Abstract {
        name: Bytes,
    },
    /// Without a name.
    Unnamed,
    Netlink {
        pid: u32,
        groups: u32,
    },
    Other {
        family: u16,
        bytes: Bytes,
    },
}

impl Address {
    /// Of a `struct sockaddr` of any family.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let (family, rest) = bytes.split_first_chunk::<2>()?;
        let family = u16::from_ne_bytes(*family);
        Some(match i32::from(family) {
            libc::AF_INET => {
                let (port, rest) = rest.split_first_chunk::<2>()?;
                let host: [u8; 4] = *rest.first_chunk()?;
                Self::Inet {
                    host: std::net::Ipv4Addr::from(host).to_string(),
                    port: u16::from_be_bytes(*port),
                }
            }
            libc::AF_INET6 => {
                let (port, rest) = rest.split_first_chunk::<2>()?;
                let host: [u8; 16] = *rest.get(4..)?.first_chunk()?;
                Self::Inet6 {
                    host: std::net::Ipv6Addr::from(host).to_string(),
                    port: u16::from_be_bytes(*port),
                }
            }
            libc::AF_UNIX => match rest {
                [] => Self::Unnamed,
                [0, name @ ..] => Self::Abstract {
                    name: Bytes(name.into()),
                },
                path => {
                    let end = path.iter().position(|b| *b == 0).unwrap_or(path.len());
                    Self::Unix {
                        path: Bytes(path[..end].into()),
                        absolute: None,
                    }
                }
            },
            libc::AF_NETLINK => {
                let rest = rest.get(2..)?;
                let (pid, rest) = rest.split_first_chunk::<4>()?;
                Self::Netlink {
                    pid: u32::from_ne_bytes(*pid),
                    groups: u32::from_ne_bytes(*rest.first_chunk()?),
                }
            }
            _ => Self::Other {
                family,
                bytes: Bytes(rest.into()),
            },
        })
    }
}
