//! Arguments, from registers and from what was read of memory.

use super::{Decoding, Kind, Layout, flags, low};
use crate::record::Pieces;
use crate::value::{Address, Argument, Bytes, PathText, Value};
use stockade_abi::{Call, LongText, piece};

/// Of a host or a domain (include/uapi/linux/utsname.h).
const LONGEST_NAME: u64 = 64;

/// What was read for one argument.
#[derive(Clone, Copy)]
struct Own<'a> {
    number: u8,
    call: &'a Call,
    pieces: Pieces<'a>,
    long: &'a [Box<LongText>],
}

pub fn unknown(call: &Call) -> Vec<Argument> {
    let names = ["a0", "a1", "a2", "a3", "a4", "a5"];
    let all = names.into_iter().zip(call.arguments);
    all.map(|(name, value)| Argument {
        name,
        value: Value::Pointer(value),
    })
    .collect()
}

pub fn arguments(
    decoding: &'static Decoding,
    call: &Call,
    pieces: Pieces<'_>,
    long: &[Box<LongText>],
) -> Vec<Argument> {
    let all = decoding.arguments.iter().zip(call.arguments);
    (0..)
        .zip(all)
        .filter_map(|(number, ((name, kind), raw))| {
            let own = Own {
                number,
                call,
                pieces,
                long,
            };
            let kind = match kind {
                Kind::By(cases) => cases.of(&call.arguments),
                kind => *kind,
            };
            let value = value(kind, raw, own)?;
            Some(Argument { name, value })
        })
        .collect()
}

impl<'a> Own<'a> {
    fn of(self, argument: u8, what: u8) -> impl Iterator<Item = &'a [u8]> {
        self.pieces
            .iter()
            .filter(move |(p, _)| p.argument == argument && p.what == what)
            .map(|(_, text)| text)
    }

    fn get(self, what: u8) -> Option<&'a [u8]> {
        self.of(self.number, what).next()
    }

    /// Beside the call or in a record of its own.
    fn whole(self, what: u8) -> Option<&'a [u8]> {
        let long = || {
            let of = |l: &&LongText| l.piece.argument == self.number && l.piece.what == what;
            let long = self.long.iter().map(Box::as_ref).find(of)?;
            long.text.get(..usize::from(long.piece.size))
        };
        self.get(what).or_else(long)
    }

    /// Without its NUL.
    fn text(self) -> Option<Bytes> {
        let text = self.whole(piece::PATH)?;
        Some(Bytes(text.strip_suffix(&[0]).unwrap_or(text).into()))
    }

    fn base(self) -> Option<Base<'a>> {
        let of = |what, deleted| {
            let names = self.get(what)?;
            Some(Base { names, deleted })
        };
        of(piece::BASE, false).or_else(|| of(piece::BASE_DELETED, true))
    }

    /// How long a buffer is that the kernel wrote to: no longer than it was given.
    fn given(self, length: u8) -> usize {
        let given = self.of(length, piece::BYTES).next();
        let given = given.and_then(|b| number(b, 0, 4)).unwrap_or(u64::MAX);
        usize::try_from(given).unwrap_or(usize::MAX)
    }

    /// A pointer that nothing was read of.
    fn pointer(self, raw: u64) -> Value {
        if self.get(piece::UNREADABLE).is_some() {
            Value::Unreadable(raw)
        } else {
            Value::Pointer(raw)
        }
    }

    fn path(self) -> Option<Value> {
        let text = self.text()?;
        let base = self.base();
        let relative = text.0.first() != Some(&b'/');
        Some(Value::Path(PathText {
            absolute: absolute(&text.0, base.map(|b| b.names)).map(Bytes),
            deleted: relative && base.is_some_and(|b| b.deleted),
            text,
        }))
    }

    /// A relative name of a socket begins where a path does.
    fn address(self, most: usize) -> Option<Value> {
        let bytes = self.get(piece::ADDRESS)?;
        let mut address = Address::of(bytes.get(..most).unwrap_or(bytes))?;
        if let Address::Unix { path, absolute } = &mut address {
            *absolute = self::absolute(&path.0, self.base().map(|b| b.names)).map(Bytes);
        }
        Some(Value::Address(address))
    }

    /// `int`, `unsigned` or `long` that a pointer leads to.
    fn pointed(self, size: usize) -> Option<u64> {
        number(self.get(piece::BYTES)?, 0, size)
    }
}

#[derive(Clone, Copy)]
struct Base<'a> {
    names: &'a [u8],
    deleted: bool,
}

fn signed(raw: u64) -> i64 {
    low(raw).cast_signed().into()
}

/// None where the argument means nothing.
fn value(kind: Kind, raw: u64, own: Own<'_>) -> Option<Value> {
    if let Some(value) = plain(kind, raw) {
        return Some(value);
    }
    let read = match kind {
        Kind::Nothing => return None,
        Kind::Path | Kind::PathAt(_) => own.path(),
        Kind::Text => own.text().map(Value::Text),
        Kind::AddressOut(length) => own.address(own.given(length)),
        Kind::Address(_) | Kind::Message | Kind::MessageOut => own.address(usize::MAX),
        Kind::TextOf(length) => own
            .get(piece::BYTES)
            .filter(|_| own.call.arguments.get(usize::from(length)) <= Some(&LONGEST_NAME))
            .map(|text| Value::Text(Bytes(text.into()))),
        Kind::Strings => own.get(piece::STRING).map(strings),
        Kind::Result => {
            let bytes = own.whole(piece::BYTES);
            bytes.map(|text| Value::Text(Bytes(text.strip_suffix(&[0]).unwrap_or(text).into())))
        }
        Kind::Pair => own.get(piece::BYTES).map(descriptors),
        Kind::Sized(length) => {
            let size = own.call.arguments.get(usize::from(length)).copied();
            let size = usize::try_from(size.map_or(0, low)).unwrap_or(0);
            own.get(piece::BYTES).map(|b| option(b, size))
        }
        Kind::SizedOut(length) => {
            let bytes = own.get(piece::BYTES);
            let size = own.given(length);
            bytes.map(|b| option(b.get(..size).unwrap_or(b), size.min(b.len())))
        }
        Kind::Length => length(own),
        Kind::LongIn => own.pointed(8).map(|n| Value::Number(n.cast_signed())),
        // a call that has nothing to say writes nothing
        Kind::IntOut if own.call.result > 0 => own.pointed(4).map(|n| Value::Number(signed(n))),
        Kind::Struct(layout) | Kind::StructOf(layout, _) => {
            own.get(piece::BYTES).map(|bytes| fields(layout, bytes))
        }
        Kind::By(_)
        | Kind::IntOut
        | Kind::Int
        | Kind::Long
        | Kind::Unsigned
        | Kind::Half
        | Kind::Hexadecimal
        | Kind::Id
        | Kind::Descriptor
        | Kind::Directory
        | Kind::Pointer
        | Kind::Mode
        | Kind::Flags(_)
        | Kind::Wide(_)
        | Kind::Signal => None,
    };
    Some(read.unwrap_or_else(|| own.pointer(raw)))
}

/// What the register says by itself.
fn plain(kind: Kind, raw: u64) -> Option<Value> {
    let half = low(raw);
    Some(match kind {
        Kind::Int => Value::Number(signed(raw)),
        Kind::Long => Value::Number(raw.cast_signed()),
        Kind::Unsigned => Value::Unsigned(raw),
        Kind::Half => Value::Unsigned(half.into()),
        Kind::Hexadecimal if raw == 0 => Value::Flags("0".into()),
        Kind::Hexadecimal => Value::Flags(format!("{raw:#x}")),
        Kind::Id if half == u32::MAX => Value::Number(-1),
        Kind::Id => Value::Unsigned(half.into()),
        Kind::Pointer => Value::Pointer(raw),
        Kind::Directory if half.cast_signed() == libc::AT_FDCWD => Value::Flags("AT_FDCWD".into()),
        Kind::Descriptor | Kind::Directory => Value::Descriptor(half.cast_signed()),
        Kind::Mode => Value::Mode(half),
        Kind::Flags(set) => Value::Flags(set.text(half.into())),
        Kind::Wide(set) => Value::Flags(set.text(raw)),
        Kind::Signal => Value::Flags(flags::signal(half)),
        _ => return None,
    })
}

/// As the machine writes it; none where there are not so many bytes.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let mut whole = [0; 8];
    let from = bytes.get(at..at.checked_add(size)?)?;
    let to = if cfg!(target_endian = "little") {
        whole.get_mut(..size)?
    } else {
        whole.get_mut(8_usize.checked_sub(size)?..)?
    };
    to.copy_from_slice(from);
    Some(u64::from_ne_bytes(whole))
}

/// Those that are there whole: a caller may pass less than all.
fn fields(layout: &'static Layout, bytes: &[u8]) -> Value {
    let field = |field: &super::Field| {
        let raw = number(bytes, field.at.into(), field.size.into())?;
        let value = plain(field.kind, raw)?;
        let name = field.name;
        Some(Argument { name, value })
    };
    Value::Fields(layout.fields.iter().map_while(field).collect())
}

/// Each with its NUL.
fn strings(bytes: &[u8]) -> Value {
    let split = bytes.split_inclusive(|b| *b == 0);
    let text = |s: &[u8]| Bytes(s.strip_suffix(&[0]).unwrap_or(s).into());
    Value::Strings(split.map(text).collect())
}

fn descriptors(bytes: &[u8]) -> Value {
    let one = |four: &[u8; 4]| i32::from_ne_bytes(*four);
    let (all, _) = bytes.as_chunks::<4>();
    Value::Descriptors(all.iter().map(one).collect())
}

/// Most are an `int`.
fn option(bytes: &[u8], size: usize) -> Value {
    match number(bytes, 0, 4) {
        Some(n) if size == 4 => Value::Number(signed(n)),
        _ => Value::Bytes(Bytes(bytes.into())),
    }
}

fn length(own: Own<'_>) -> Option<Value> {
    let mut all = own.of(own.number, piece::BYTES);
    let mut next = |name| {
        let raw = all.next().and_then(|b| number(b, 0, 4))?;
        let value = Value::Number(signed(raw));
        Some(Argument { name, value })
    };
    let before = next("before")?;
    let fields = std::iter::once(before).chain(next("after"));
    Some(Value::Fields(fields.collect()))
}

/// `base`: the names from its directory up to the root, each with a NUL.
pub(super) fn absolute(text: &[u8], base: Option<&[u8]>) -> Option<Vec<u8>> {
    if text.first() == Some(&b'/') {
        return Some(text.into());
    }
    let base = base?;
    let names = base.split(|b| *b == 0).filter(|name| !name.is_empty());
    let names: Vec<&[u8]> = names.collect();
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
