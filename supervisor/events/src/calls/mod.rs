//! System calls: what their arguments are, what is read of them, and how they are shown.

mod flags;
mod table;

use crate::record::Pieces;
use crate::value::{Address, Argument, Bytes, PathText, Value};
use libseccomp::ScmpSyscall;
use std::sync::LazyLock;
use stockade_abi::{CALLS, Call, LongText, PICKS, Pick, Shape, flag, pick, piece};
pub use table::{Class, TABLE};

/// A call that is decoded.
#[derive(Debug)]
pub struct Decoding {
    pub number: i64,
    pub name: &'static str,
    pub arguments: &'static [(&'static str, Kind)],
    pub classes: &'static [Class],
}

/// What an argument is. A number names another argument of the same call.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `int`
    Int,
    /// `long`, `off_t`
    Long,
    Unsigned,
    Hexadecimal,
    Descriptor,
    /// A directory's, or AT_FDCWD.
    Directory,
    Pointer,
    /// A path, from the directory of that argument.
    PathAt(u8),
    /// From the current directory.
    Path,
    /// A string that is no path of the caller's.
    Text,
    Mode,
    Flags(&'static flags::Set),
    Signal,
    /// Its length is that argument.
    Address(u8),
    /// The kernel writes it; that argument points to its length.
    AddressOut(u8),
    /// struct msghdr
    Message,
    Strings,
    /// As many bytes as the result says.
    Result,
    /// Two descriptors that the kernel writes.
    Pair,
}

static BY_NUMBER: LazyLock<Vec<Option<&'static Decoding>>> = LazyLock::new(|| {
    let mut all = vec![None; CALLS];
    for call in TABLE {
        if let Some(slot) = usize::try_from(call.number)
            .ok()
            .and_then(|n| all.get_mut(n))
        {
            *slot = Some(call);
        }
    }
    all
});

static NAMES: LazyLock<Vec<Option<String>>> = LazyLock::new(|| {
    let name = |n| {
        ScmpSyscall::from_raw_syscall(i32::try_from(n).ok()?)
            .get_name()
            .ok()
    };
    (0..CALLS).map(name).collect()
});

fn decoding(number: u32) -> Option<&'static Decoding> {
    BY_NUMBER.get(number as usize).copied().flatten()
}

/// `syscall_N` where it has none.
pub fn name_of(number: u32) -> String {
    let known = NAMES.get(number as usize).and_then(Clone::clone);
    known.unwrap_or_else(|| format!("syscall_{number}"))
}

pub fn name(call: &Call) -> String {
    if call.head.flags & flag::FOREIGN != 0 {
        return format!("i386_{}", call.call);
    }
    name_of(call.call)
}

/// The number of a name of this architecture.
pub fn number(name: &str) -> Option<u32> {
    NAMES
        .iter()
        .position(|n| n.as_deref() == Some(name))
        .and_then(|n| u32::try_from(n).ok())
}

/// What the kernel side is to read of each call.
pub fn shapes() -> Vec<(usize, Shape)> {
    TABLE
        .iter()
        .filter_map(|call| {
            let number = usize::try_from(call.number).ok()?;
            Some((number, shape(call)))
        })
        .collect()
}

fn shape(call: &Decoding) -> Shape {
    let mut picks = [Pick::NONE; PICKS];
    let all = call
        .arguments
        .iter()
        .enumerate()
        .filter_map(|(n, (_, kind))| {
            let pick = |what, with, size| Pick {
                what,
                argument: u8::try_from(n).unwrap_or(0),
                with,
                size,
            };
            Some(match kind {
                Kind::Path => pick(pick::PATH, pick::CWD, 0),
                Kind::PathAt(directory) => pick(pick::PATH, *directory, 0),
                Kind::Text => pick(pick::TEXT, 0, 0),
                Kind::Address(length) => pick(pick::ADDRESS, *length, 0),
                Kind::AddressOut(length) => pick(pick::ADDRESS_OUT, *length, 0),
                Kind::Message => pick(pick::MESSAGE, 0, 0),
                Kind::Strings => pick(pick::STRINGS, 0, 0),
                Kind::Result => pick(pick::RESULT_OUT, 0, 0),
                Kind::Pair => pick(pick::BYTES_OUT, 0, 8),
                Kind::Int
                | Kind::Long
                | Kind::Unsigned
                | Kind::Hexadecimal
                | Kind::Descriptor
                | Kind::Directory
                | Kind::Pointer
                | Kind::Mode
                | Kind::Flags(_)
                | Kind::Signal => return None,
            })
        });
    for (slot, pick) in picks.iter_mut().zip(all) {
        *slot = pick;
    }
    Shape { picks }
}

/// Decoded as the table says; without a row each is a number.
pub fn arguments(call: &Call, pieces: Pieces<'_>, long: &[Box<LongText>]) -> Vec<Argument> {
    let foreign = call.head.flags & flag::FOREIGN != 0;
    let Some(decoding) = decoding(call.call).filter(|_| !foreign) else {
        let names = ["a0", "a1", "a2", "a3", "a4", "a5"];
        let all = names.into_iter().zip(call.arguments);
        return all
            .map(|(name, value)| Argument {
                name,
                value: Value::Pointer(value),
            })
            .collect();
    };
    let all = decoding.arguments.iter().zip(call.arguments).enumerate();
    all.map(|(n, ((name, kind), raw))| {
        let number = u8::try_from(n).unwrap_or(u8::MAX);
        Argument {
            name,
            value: value(
                *kind,
                raw,
                Own {
                    number,
                    pieces,
                    long,
                },
            ),
        }
    })
    .collect()
}

/// What was read for one argument.
#[derive(Clone, Copy)]
struct Own<'a> {
    number: u8,
    pieces: Pieces<'a>,
    long: &'a [Box<LongText>],
}

impl<'a> Own<'a> {
    fn get(self, what: u8) -> Option<&'a [u8]> {
        self.pieces
            .iter()
            .find(|(p, _)| p.argument == self.number && p.what == what)
            .map(|(_, text)| text)
    }

    /// Beside the call or in a record of its own, without its NUL.
    fn text(self, what: u8) -> Option<&'a [u8]> {
        let long = || {
            let of = |l: &&LongText| l.piece.argument == self.number && l.piece.what == what;
            let long = self.long.iter().map(Box::as_ref).find(of)?;
            long.text.get(..usize::from(long.piece.size))
        };
        let text = self.get(what).or_else(long)?;
        Some(text.strip_suffix(&[0]).unwrap_or(text))
    }
}

fn signed(raw: u64) -> i64 {
    i64::from((raw & u64::from(u32::MAX)) as u32 as i32)
}

fn value(kind: Kind, raw: u64, own: Own<'_>) -> Value {
    let half = (raw & u64::from(u32::MAX)) as u32;
    let missing = || {
        if own.get(piece::UNREADABLE).is_some() {
            Value::Unreadable(raw)
        } else {
            Value::Pointer(raw)
        }
    };
    match kind {
        Kind::Int => Value::Number(signed(raw)),
        Kind::Long => Value::Number(raw.cast_signed()),
        Kind::Unsigned => Value::Unsigned(raw),
        Kind::Hexadecimal | Kind::Pointer => Value::Pointer(raw),
        Kind::Descriptor => Value::Descriptor(half.cast_signed()),
        Kind::Directory if half.cast_signed() == libc::AT_FDCWD => Value::Flags("AT_FDCWD".into()),
        Kind::Directory => Value::Descriptor(half.cast_signed()),
        Kind::Mode => Value::Mode(half),
        Kind::Flags(set) => Value::Flags(set.text(raw)),
        Kind::Signal => Value::Flags(flags::signal(half)),
        Kind::Path | Kind::PathAt(_) => own.text(piece::PATH).map_or_else(missing, |text| {
            Value::Path(PathText {
                absolute: absolute(text, own.get(piece::BASE)).map(Bytes),
                text: Bytes(text.into()),
            })
        }),
        Kind::Text => own
            .text(piece::PATH)
            .map_or_else(missing, |text| Value::Text(Bytes(text.into()))),
        Kind::Address(_) | Kind::AddressOut(_) | Kind::Message => own
            .get(piece::ADDRESS)
            .and_then(Address::of)
            .map_or_else(missing, Value::Address),
        Kind::Strings => {
            let of = |p: &stockade_abi::Piece| p.argument == own.number && p.what == piece::STRING;
            let all = own.pieces.iter().filter(|(p, _)| of(p));
            let all: Vec<Bytes> = all
                .map(|(_, text)| Bytes(text.strip_suffix(&[0]).unwrap_or(text).into()))
                .collect();
            if all.is_empty() {
                missing()
            } else {
                Value::Strings(all)
            }
        }
        Kind::Result | Kind::Pair => own
            .get(piece::BYTES)
            .map_or_else(missing, |text| Value::Bytes(Bytes(text.into()))),
    }
}

/// `base`: the names from its directory up to the root, each with a NUL.
fn absolute(text: &[u8], base: Option<&[u8]>) -> Option<Vec<u8>> {
    if text.first() == Some(&b'/') {
        return Some(text.into());
    }
    let base = base?;
    let mut names: Vec<&[u8]> = base
        .strip_suffix(&[0])
        .unwrap_or(base)
        .split(|b| *b == 0)
        .collect();
    names.retain(|name| !name.is_empty());
    let mut out = Vec::new();
    for name in names.iter().rev() {
        out.push(b'/');
        out.extend(*name);
    }
    if text.is_empty() {
        return Some(if out.is_empty() { b"/".into() } else { out });
    }
    out.push(b'/');
    out.extend(text);
    Some(out)
}

/// As errno(3) names it.
pub fn errno(number: i32) -> &'static str {
    flags::errno(number)
}

/// The name of an io_uring operation, as linux/io_uring.h has it.
pub fn uring(operation: u32) -> String {
    flags::uring(operation)
}
