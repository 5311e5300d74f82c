//! System calls: what their arguments are, what is read of them, and how they are shown.

mod decode;
mod flags;
mod structs;
mod table;

use crate::record::Pieces;
use crate::value::Argument;
use libseccomp::ScmpSyscall;
use std::borrow::Cow;
use std::sync::LazyLock;
use stockade_abi::{CALLS, Call, LongText, PICKS, Pick, Shape, flag, pick};
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
    /// `size_t`, `unsigned long`
    Unsigned,
    /// `unsigned`
    Half,
    Hexadecimal,
    /// Of a user or a group; -1 is none.
    Id,
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
    /// Of `unsigned long`.
    Wide(&'static flags::Set),
    Signal,
    /// Its length is that argument.
    Address(u8),
    /// The kernel writes it; that argument points to its length.
    AddressOut(u8),
    /// struct msghdr, or the first of several.
    Message,
    /// One that the kernel fills.
    MessageOut,
    Strings,
    /// As many bytes as the result says.
    Result,
    /// Two descriptors that the kernel writes.
    Pair,
    /// An option's value, as long as that argument says.
    Sized(u8),
    /// Text without a NUL, as long as that argument says.
    TextOf(u8),
    /// The kernel writes it; that argument points to its length.
    SizedOut(u8),
    /// Points to a length, before and after.
    Length,
    /// Points to an offset.
    LongIn,
    /// Points to an `int` that the kernel writes.
    IntOut,
    Struct(&'static Layout),
    /// As much of it as that argument says.
    StructOf(&'static Layout, u8),
    /// Another argument says what it is.
    By(&'static Cases),
    /// It is there and means nothing.
    Nothing,
}

/// A structure of the caller's.
#[derive(Debug)]
pub struct Layout {
    pub size: u8,
    pub fields: &'static [Field],
}

/// Nothing that it points to is read.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub at: u8,
    pub size: u8,
    pub kind: Kind,
}

#[derive(Debug)]
pub struct Cases {
    /// Which decides.
    pub argument: u8,
    /// The first that is equal counts.
    pub cases: &'static [Case],
    /// Nothing that memory is read for.
    pub otherwise: Kind,
}

#[derive(Debug)]
pub struct Case {
    pub mask: u32,
    pub is: u32,
    pub kind: Kind,
}

impl Cases {
    fn of(&self, arguments: &[u64; 6]) -> Kind {
        let decides = arguments.get(usize::from(self.argument));
        let half = low(decides.copied().unwrap_or(0));
        self.cases
            .iter()
            .find(|case| half & case.mask == case.is)
            .map_or(self.otherwise, |case| case.kind)
    }
}

/// The lower half of a register: an `int`.
fn low(raw: u64) -> u32 {
    (raw & u64::from(u32::MAX)) as u32
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

/// The table's, and those of calls that are not decoded.
static NAMES: LazyLock<Vec<Option<String>>> = LazyLock::new(|| {
    let name = |n: usize| {
        if let Some(call) = BY_NUMBER.get(n).copied().flatten() {
            return Some(call.name.into());
        }
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
pub fn name_of(number: u32) -> Cow<'static, str> {
    match NAMES.get(number as usize).and_then(Option::as_deref) {
        Some(known) => known.into(),
        None => format!("syscall_{number}").into(),
    }
}

pub fn name(call: &Call) -> Cow<'static, str> {
    if call.head.flags & flag::FOREIGN != 0 {
        return format!("i386_{}", call.call).into();
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
    for (slot, pick) in picks.iter_mut().zip(all_picks(call)) {
        *slot = pick;
    }
    Shape { picks }
}

fn all_picks(call: &Decoding) -> Vec<Pick> {
    let numbered = (0..).zip(call.arguments);
    numbered
        .flat_map(|(n, (_, kind))| match kind {
            Kind::By(cases) => {
                let only = |case: &Case| {
                    Some(Pick {
                        when: cases.argument,
                        mask: case.mask,
                        is: case.is,
                        ..pick(n, case.kind)?
                    })
                };
                cases.cases.iter().filter_map(only).collect()
            }
            kind => Vec::from_iter(pick(n, *kind)),
        })
        .collect()
}

fn pick(argument: u8, kind: Kind) -> Option<Pick> {
    /// The longest value of an option that is kept.
    const VALUE: u8 = 64;
    let pick = |what, with, size| {
        Some(Pick {
            what,
            argument,
            with,
            size,
            ..Pick::NONE
        })
    };
    match kind {
        Kind::Path => pick(pick::PATH, pick::CWD, 0),
        Kind::PathAt(directory) => pick(pick::PATH, directory, 0),
        Kind::Text => pick(pick::TEXT, 0, 0),
        Kind::Address(length) => pick(pick::ADDRESS, length, 0),
        Kind::AddressOut(length) => pick(pick::ADDRESS_OUT, length, 0),
        Kind::Message => pick(pick::MESSAGE, 0, 0),
        Kind::MessageOut => pick(pick::MESSAGE_OUT, 0, 0),
        Kind::Strings => pick(pick::STRINGS, 0, 0),
        Kind::Result => pick(pick::RESULT_OUT, 0, 0),
        Kind::Pair => pick(pick::BYTES_OUT, pick::ALL, 8),
        Kind::Sized(length) | Kind::TextOf(length) => pick(pick::BYTES, length, VALUE),
        Kind::SizedOut(length) => pick(pick::SIZED_OUT, length, VALUE),
        Kind::Length => pick(pick::IN_OUT, pick::ALL, 4),
        Kind::LongIn => pick(pick::BYTES, pick::ALL, 8),
        Kind::IntOut => pick(pick::BYTES_OUT, pick::ALL, 4),
        Kind::Struct(layout) => pick(pick::BYTES, pick::ALL, layout.size),
        Kind::StructOf(layout, length) => pick(pick::BYTES, length, layout.size),
        Kind::Int
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
        | Kind::Signal
        | Kind::By(_)
        | Kind::Nothing => None,
    }
}

/// Decoded as the table says; without a row each is a number.
pub fn arguments(call: &Call, pieces: Pieces<'_>, long: &[Box<LongText>]) -> Vec<Argument> {
    let foreign = call.head.flags & flag::FOREIGN != 0;
    match decoding(call.call) {
        Some(known) if !foreign => decode::arguments(known, call, pieces, long),
        _ => decode::unknown(call),
    }
}

/// As errno(3) names it.
pub fn errno(number: i32) -> &'static str {
    flags::errno(number)
}

/// The name of an io_uring operation, as linux/io_uring.h has it.
pub fn uring(operation: u32) -> String {
    flags::uring(operation)
}

#[cfg(test)]
mod tests;
