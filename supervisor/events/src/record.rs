//! Records as the kernel side wrote them. Nothing here panics, whatever the bytes are.

use stockade_abi::{Call, Exec, Exit, Fork, Head, LongText, Piece, Uring, kind};
use zerocopy::FromBytes;

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub enum Record<'a> {
    Call(Box<Call>, Pieces<'a>),
    LongText(Box<LongText>),
    Fork(Fork),
    Exec(Box<Exec>),
    Exit(Exit),
    Uring(Uring),
    /// Of a kind that this version does not know.
    Unknown(Head),
}

impl Record<'_> {
    /// None of a kind that is not known: nothing in it is believed.
    pub fn head(&self) -> Option<&Head> {
        Some(match self {
            Self::Call(call, _) => &call.head,
            Self::LongText(text) => &text.head,
            Self::Fork(fork) => &fork.head,
            Self::Exec(exec) => &exec.head,
            Self::Exit(exit) => &exit.head,
            Self::Uring(uring) => &uring.head,
            Self::Unknown(_) => return None,
        })
    }
}

/// What became of some bytes.
pub type Decoded<'a> = Result<Record<'a>, Malformed>;

/// Shorter than its kind, or than it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    pub kind: u16,
    pub size: usize,
}

/// What was read of a call's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pieces<'a> {
    pieces: [Piece; stockade_abi::PIECES],
    text: &'a [u8],
}

impl<'a> Pieces<'a> {
    /// Each with its text; what does not fit into the record is empty.
    pub fn iter(self) -> impl Iterator<Item = (Piece, &'a [u8])> {
        let mut rest = self.text;
        self.pieces.into_iter().filter_map(move |piece| {
            let size = usize::from(piece.size).min(rest.len());
            let (text, after) = rest.split_at(size);
            rest = after;
            (piece.what != 0).then_some((piece, text))
        })
    }
}

pub fn decode(bytes: &[u8]) -> Decoded<'_> {
    let malformed = |kind| Malformed {
        kind,
        size: bytes.len(),
    };
    let (head, _) = Head::read_from_prefix(bytes).map_err(|_| malformed(0))?;
    let short = malformed(head.kind);
    // what is behind the record is none of it
    let Some(bytes) = bytes.get(..head.size as usize) else {
        return Err(short);
    };
    Ok(match head.kind {
        kind::CALL => {
            let (call, text) = Call::read_from_prefix(bytes).map_err(|_| short)?;
            let pieces = call.pieces;
            Record::Call(Box::new(call), Pieces { pieces, text })
        }
        kind::LONG_TEXT => {
            let (text, _) = LongText::read_from_prefix(bytes).map_err(|_| short)?;
            Record::LongText(Box::new(text))
        }
        kind::FORK => Record::Fork(Fork::read_from_prefix(bytes).map_err(|_| short)?.0),
        kind::EXEC => {
            let (exec, _) = Exec::read_from_prefix(bytes).map_err(|_| short)?;
            Record::Exec(Box::new(exec))
        }
        kind::EXIT => Record::Exit(Exit::read_from_prefix(bytes).map_err(|_| short)?.0),
        kind::URING => Record::Uring(Uring::read_from_prefix(bytes).map_err(|_| short)?.0),
        _ => Record::Unknown(head),
    })
}
