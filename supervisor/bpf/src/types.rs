//! BTF: how a kernel's structures lie (Documentation/bpf/btf.rst). Read once, and only as far as fields are asked for.

use std::collections::HashMap;

/// What is kept of a type.
enum Type {
    /// A structure or a union: where its members are in the data, and how many.
    Members {
        at: usize,
        count: usize,
        /// Offsets have the size of a bit field in their upper byte.
        bit_fields: bool,
    },
    /// `const`, `volatile`, `typedef`: another type under another name.
    Other(u32),
    Opaque,
}

pub struct Types {
    data: Vec<u8>,
    strings: usize,
    types: Vec<Type>,
    by_name: HashMap<Vec<u8>, Vec<u32>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no BTF of this machine's byte order")]
pub struct Malformed;

const MAGIC: u16 = 0xeb9f;
const TYPE: usize = 12;
const MEMBER: usize = 12;

fn word(data: &[u8], at: usize) -> Result<u32, Malformed> {
    let bytes = data.get(at..).and_then(<[u8]>::first_chunk::<4>);
    bytes.map(|b| u32::from_ne_bytes(*b)).ok_or(Malformed)
}

fn size(data: &[u8], at: usize) -> Result<usize, Malformed> {
    word(data, at).map(|n| n as usize)
}

impl Types {
    pub fn parse(data: Vec<u8>) -> Result<Self, Malformed> {
        let magic = data.first_chunk::<2>().map(|b| u16::from_ne_bytes(*b));
        if magic != Some(MAGIC) {
            return Err(Malformed);
        }
        let header = size(&data, 4)?;
        let begin = header + size(&data, 8)?;
        let end = begin + size(&data, 12)?;
        let strings = header + size(&data, 16)?;
        let mut all = Self {
            data,
            strings,
            // the first type is void
            types: vec![Type::Opaque],
            by_name: HashMap::new(),
        };
        let mut at = begin;
        while at < end {
            at += all.one(at)?;
        }
        Ok(all)
    }

    /// How long the type is.
    fn one(&mut self, at: usize) -> Result<usize, Malformed> {
        let (name, info, of) = (
            size(&self.data, at)?,
            word(&self.data, at + 4)?,
            word(&self.data, at + 8)?,
        );
        let count = (info & 0xffff) as usize;
        // BTF_KIND_…, and what follows the common part
        let (rest, kind) = match info >> 24 & 0x1f {
            // INT, VAR, DECL_TAG
            1 | 14 | 17 => (4, Type::Opaque),
            // ARRAY
            3 => (12, Type::Opaque),
            // STRUCT, UNION
            4 | 5 => (
                MEMBER * count,
                Type::Members {
                    at: at + TYPE,
                    count,
                    bit_fields: info >> 31 == 1,
                },
            ),
            // ENUM, FUNC_PROTO
            6 | 13 => (8 * count, Type::Opaque),
            // TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG
            8..=11 | 18 => (0, Type::Other(of)),
            // PTR, FWD, FUNC, FLOAT
            2 | 7 | 12 | 16 => (0, Type::Opaque),
            // DATASEC, ENUM64
            15 | 19 => (12 * count, Type::Opaque),
            _ => return Err(Malformed),
        };
        let id = u32::try_from(self.types.len()).map_err(|_| Malformed)?;
        if name != 0 && matches!(kind, Type::Members { .. } | Type::Other(_)) {
            let name = self.text(name)?.to_vec();
            self.by_name.entry(name).or_default().push(id);
        }
        self.types.push(kind);
        Ok(TYPE + rest)
    }

    fn text(&self, offset: usize) -> Result<&[u8], Malformed> {
        let rest = self.data.get(self.strings + offset..).ok_or(Malformed)?;
        rest.split(|b| *b == 0).next().ok_or(Malformed)
    }

    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name.as_bytes())
    }

    /// In bytes; also of a structure without a name within.
    pub fn offset(&self, structure: &str, field: &str) -> Option<u32> {
        let ids = self.by_name.get(structure.as_bytes())?;
        ids.iter()
            .find_map(|id| self.member(*id, field.as_bytes(), 8))
    }

    /// `deep`: so many structures within each other, whatever the data say.
    fn member(&self, id: u32, field: &[u8], deep: u32) -> Option<u32> {
        let deep = deep.checked_sub(1)?;
        let (at, count, bit_fields) = match self.types.get(id as usize)? {
            Type::Members {
                at,
                count,
                bit_fields,
            } => (*at, *count, *bit_fields),
            Type::Other(of) => return self.member(*of, field, deep),
            Type::Opaque => return None,
        };
        (0..count).find_map(|n| {
            let at = at + MEMBER * n;
            let name = self.text(size(&self.data, at).ok()?).ok()?;
            let of = word(&self.data, at + 4).ok()?;
            let bits = word(&self.data, at + 8).ok()?;
            let bits = if bit_fields { bits & 0xff_ffff } else { bits };
            if name == field {
                return Some(bits / 8);
            }
            if !name.is_empty() {
                return None;
            }
            Some(bits / 8 + self.member(of, field, deep)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct a { int; union { int x; int y; }; int z; }` with the union 4 bytes in, and a typedef of it.
    fn data() -> Vec<u8> {
        let strings = b"\0a\0x\0y\0z\0t\0first\0";
        let types: Vec<u32> = [
            &[0, 1 << 24, 4, 32][..],
            &[0, 5 << 24 | 2, 4, 3, 1, 0, 5, 1, 0],
            &[1, 4 << 24 | 3, 12, 11, 1, 0, 0, 2, 32, 7, 1, 64],
            &[9, 8 << 24, 3],
        ]
        .concat();
        let length = u32::try_from(types.len() * 4).unwrap();
        let mut out = MAGIC.to_ne_bytes().to_vec();
        out.extend([1, 0]);
        for n in [24, 0, length, length, u32::try_from(strings.len()).unwrap()] {
            out.extend(n.to_ne_bytes());
        }
        types.iter().for_each(|n| out.extend(n.to_ne_bytes()));
        out.extend(strings);
        out
    }

    #[test]
    fn fields_are_found_in_what_has_no_name_too() {
        let types = Types::parse(data()).unwrap();
        let offsets = ["first", "x", "y", "z", "a"].map(|f| types.offset("a", f));
        assert_eq!(offsets, [Some(0), Some(4), Some(4), Some(8), None]);
        assert_eq!(types.offset("t", "z"), Some(8));
        assert_eq!(types.offset("b", "z"), None);
        assert!(types.has("t") && !types.has("x"));
    }

    #[test]
    fn what_is_cut_or_changed_is_refused_or_says_something() {
        let whole = data();
        for end in 0..whole.len() {
            if let Ok(types) = Types::parse(whole[..end].to_vec()) {
                types.offset("a", "z");
            }
            for bit in 0..8 {
                let mut other = whole.clone();
                other[end] ^= 1 << bit;
                if let Ok(types) = Types::parse(other) {
                    types.offset("a", "z");
                }
            }
        }
        assert!(Types::parse(whole[..20].to_vec()).is_err());
        assert!(Types::parse(b"ELF".to_vec()).is_err());
    }
}
