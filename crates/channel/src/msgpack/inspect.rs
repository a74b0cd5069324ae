//! A look over a message before it is believed: that it is one MessagePack value, whole and no more.
//!
//! Whoever reads an array makes room for the length that the message claims, and nested claims multiply. Here the claims
//! are added up: each element takes a byte at least, and no more of them may be owed than bytes are left. What passes
//! costs its reader memory in proportion to the message, and no more stack than [`DEPTH_MAX`] levels take.

use core::fmt;
use rmp::Marker;
use std::error::Error;

/// The deepest nesting of arrays and maps; TypeScript's codec has the same.
pub const DEPTH_MAX: usize = 256;

/// Why a message is not one MessagePack value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// It ends in the middle of an element.
    TooShort,
    /// It claims more elements than it has bytes left.
    Overclaimed,
    /// It is nested deeper than [`DEPTH_MAX`].
    TooDeep,
    /// It has a byte that begins no element.
    Reserved,
    /// It goes on behind its value.
    TooLong,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "the message ends in the middle of an element",
            Self::Overclaimed => "the message claims more elements than it has bytes for",
            Self::TooDeep => "the message is nested too deep",
            Self::Reserved => "the message has a byte that begins no element",
            Self::TooLong => "the message goes on behind its value",
        })
    }
}

impl Error for Malformed {}

/// What is left of a message.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn skip(&mut self, count: usize) -> Result<(), Malformed> {
        self.0 = self.0.get(count..).ok_or(Malformed::TooShort)?;
        Ok(())
    }

    /// A length of so many bytes.
    fn length(&mut self, size: usize) -> Result<usize, Malformed> {
        let (bytes, rest) = self.0.split_at_checked(size).ok_or(Malformed::TooShort)?;
        self.0 = rest;
        let length = bytes
            .iter()
            .fold(0_u64, |length, &byte| length << 8 | u64::from(byte));
        // What doesn't fit is longer than any message.
        Ok(usize::try_from(length).unwrap_or(usize::MAX))
    }
}

/// The elements that are owed, by the arrays and maps that the place lies in.
struct Owed {
    total: usize,
    open: [usize; DEPTH_MAX + 1],
    depth: usize,
}

impl Owed {
    /// Takes one; `false` if none is owed.
    fn take(&mut self) -> bool {
        if self.total == 0 {
            return false;
        }
        self.total -= 1;
        while self.open[self.depth] == 0 {
            self.depth -= 1;
        }
        self.open[self.depth] -= 1;
        true
    }

    /// An array or map of so many elements begins.
    fn enter(&mut self, count: usize, left: usize) -> Result<(), Malformed> {
        self.total = self.total.saturating_add(count);
        if self.total > left {
            return Err(Malformed::Overclaimed);
        }
        if count > 0 {
            self.depth += 1;
            *self.open.get_mut(self.depth).ok_or(Malformed::TooDeep)? = count;
        }
        Ok(())
    }
}

/// Looks over a message.
///
/// # Errors
/// If it is not one whole value.
pub(super) fn inspect(message: &[u8]) -> Result<(), Malformed> {
    let mut rest = Rest(message);
    let mut owed = Owed {
        total: 1,
        open: [0; DEPTH_MAX + 1],
        depth: 0,
    };
    owed.open[0] = 1;
    while owed.take() {
        let (&head, behind) = rest.0.split_first().ok_or(Malformed::TooShort)?;
        rest.0 = behind;
        match Marker::from_u8(head) {
            Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => {
            }
            Marker::U8 | Marker::I8 => rest.skip(1)?,
            Marker::U16 | Marker::I16 | Marker::FixExt1 => rest.skip(2)?,
            Marker::FixExt2 => rest.skip(3)?,
            Marker::U32 | Marker::I32 | Marker::F32 => rest.skip(4)?,
            Marker::FixExt4 => rest.skip(5)?,
            Marker::U64 | Marker::I64 | Marker::F64 => rest.skip(8)?,
            Marker::FixExt8 => rest.skip(9)?,
            Marker::FixExt16 => rest.skip(17)?,
            Marker::FixStr(length) => rest.skip(length.into())?,
            Marker::FixArray(count) => owed.enter(count.into(), rest.0.len())?,
            Marker::FixMap(count) => owed.enter(2 * usize::from(count), rest.0.len())?,
            Marker::Str8 | Marker::Bin8 => {
                let length = rest.length(1)?;
                rest.skip(length)?;
            }
            Marker::Str16 | Marker::Bin16 => {
                let length = rest.length(2)?;
                rest.skip(length)?;
            }
            Marker::Str32 | Marker::Bin32 => {
                let length = rest.length(4)?;
                rest.skip(length)?;
            }
            Marker::Ext8 => {
                let length = rest.length(1)?;
                rest.skip(length + 1)?;
            }
            Marker::Ext16 => {
                let length = rest.length(2)?;
                rest.skip(length + 1)?;
            }
            Marker::Ext32 => {
                let length = rest.length(4)?;
                rest.skip(length.saturating_add(1))?;
            }
            Marker::Array16 => {
                let count = rest.length(2)?;
                owed.enter(count, rest.0.len())?;
            }
            Marker::Array32 => {
                let count = rest.length(4)?;
                owed.enter(count, rest.0.len())?;
            }
            Marker::Map16 => {
                let count = rest.length(2)?;
                owed.enter(2 * count, rest.0.len())?;
            }
            Marker::Map32 => {
                let count = rest.length(4)?;
                owed.enter(count.saturating_mul(2), rest.0.len())?;
            }
            Marker::Reserved => return Err(Malformed::Reserved),
        }
    }
    if rest.0.is_empty() {
        Ok(())
    } else {
        Err(Malformed::TooLong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_whole_value_passes() {
        let messages: [&[u8]; 6] = [
            &[0xc0],
            &[0x93, 1, 2, 0x81, 0xa1, b'a', 0x90],
            &[0xdc, 0, 1, 0xcb, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0xc7, 1, 0xff, 0],
            &[0xd4, 1, 0],
            &[0xd9, 2, b'a', b'b'],
        ];
        for message in messages {
            assert_eq!(inspect(message), Ok(()), "{message:x?}");
        }
        let mut deep = vec![0x91; DEPTH_MAX];
        deep.push(0xc0);
        assert_eq!(inspect(&deep), Ok(()));
    }

    #[test]
    fn everything_else_is_told() {
        let messages: [(&[u8], Malformed); 9] = [
            (&[], Malformed::TooShort),
            (&[0xcb, 1], Malformed::TooShort),
            (&[0xdb, 0xff, 0xff, 0xff, 0xff, 1], Malformed::TooShort),
            (&[0xc9, 0xff, 0xff, 0xff, 0xff, 1], Malformed::TooShort),
            (&[0xdd, 0xff, 0xff, 0xff, 0xff], Malformed::Overclaimed),
            (&[0xdf, 0xff, 0xff, 0xff, 0xff], Malformed::Overclaimed),
            (&[0x92, 0x92, 1, 2], Malformed::Overclaimed),
            (&[0xc1], Malformed::Reserved),
            (&[1, 2], Malformed::TooLong),
        ];
        for (message, malformed) in messages {
            assert_eq!(inspect(message), Err(malformed), "{message:x?}");
        }
        let mut deep = vec![0x91; DEPTH_MAX + 1];
        deep.push(0xc0);
        assert_eq!(inspect(&deep), Err(Malformed::TooDeep));
    }
}
