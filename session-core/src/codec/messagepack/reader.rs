//! Reader of untrusted MessagePack, which finds the next value and its end.
//!
//! It allocates nothing, and checks every length against the bytes that are left.

use rmp::Marker;

use super::super::limits::MAX_DEPTH;

/// Reason why bytes are not one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// The bytes are cut short or are not MessagePack.
    Form,
    /// The value is nested deeper than [`MAX_DEPTH`].
    Depth,
}

/// Start of a value: the whole value, or the length of an array or a map whose values follow.
enum Head<'a> {
    /// A number, a bool, nil, bytes or an extension.
    Other,
    Str(&'a [u8]),
    Array(u32),
    /// Number of pairs.
    Map(u32),
}

/// Bytes that are left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Bad> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Bad::Form)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Reads a length that takes `bytes` bytes, at most four.
    fn len(&mut self, bytes: usize) -> Result<u32, Bad> {
        Ok(self.take(bytes)?.iter().fold(0, |len, byte| len << 8 | u32::from(*byte)))
    }

    /// Reads a length that takes `bytes` bytes, and returns that many bytes after it.
    fn sized(&mut self, bytes: usize) -> Result<&'a [u8], Bad> {
        let len = self.len(bytes)?;
        self.take(usize::try_from(len).map_err(|_| Bad::Form)?)
    }

    fn other(&mut self, len: usize) -> Result<Head<'a>, Bad> {
        self.take(len).map(|_| Head::Other)
    }

    /// Reads the head of the next value. The values inside an array or a map are left to read.
    fn head(&mut self) -> Result<Head<'a>, Bad> {
        match Marker::from_u8(self.take(1)?[0]) {
            Marker::Null | Marker::False | Marker::True | Marker::FixPos(_) | Marker::FixNeg(_) => Ok(Head::Other),
            Marker::U8 | Marker::I8 => self.other(1),
            Marker::U16 | Marker::I16 => self.other(2),
            Marker::U32 | Marker::I32 | Marker::F32 => self.other(4),
            Marker::U64 | Marker::I64 | Marker::F64 => self.other(8),
            Marker::FixStr(len) => self.take(len.into()).map(Head::Str),
            Marker::Str8 => self.sized(1).map(Head::Str),
            Marker::Str16 => self.sized(2).map(Head::Str),
            Marker::Str32 => self.sized(4).map(Head::Str),
            Marker::Bin8 => self.sized(1).map(|_| Head::Other),
            Marker::Bin16 => self.sized(2).map(|_| Head::Other),
            Marker::Bin32 => self.sized(4).map(|_| Head::Other),
            Marker::FixArray(len) => Ok(Head::Array(len.into())),
            Marker::Array16 => self.len(2).map(Head::Array),
            Marker::Array32 => self.len(4).map(Head::Array),
            Marker::FixMap(pairs) => Ok(Head::Map(pairs.into())),
            Marker::Map16 => self.len(2).map(Head::Map),
            Marker::Map32 => self.len(4).map(Head::Map),
            // An extension has one byte for its type.
            Marker::FixExt1 => self.other(1 + 1),
            Marker::FixExt2 => self.other(1 + 2),
            Marker::FixExt4 => self.other(1 + 4),
            Marker::FixExt8 => self.other(1 + 8),
            Marker::FixExt16 => self.other(1 + 16),
            Marker::Ext8 => self.ext(1),
            Marker::Ext16 => self.ext(2),
            Marker::Ext32 => self.ext(4),
            Marker::Reserved => Err(Bad::Form),
        }
    }

    fn ext(&mut self, bytes: usize) -> Result<Head<'a>, Bad> {
        let len = usize::try_from(self.len(bytes)?).map_err(|_| Bad::Form)?;
        self.other(1)?;
        self.other(len)
    }

    /// Skips one value and returns its nesting.
    pub(super) fn skip(&mut self) -> Result<usize, Bad> {
        self.skip_at(0)
    }

    /// Skips one value at the nesting `level`. It is recursive, but no deeper than [`MAX_DEPTH`].
    fn skip_at(&mut self, level: usize) -> Result<usize, Bad> {
        let values = match self.head()? {
            Head::Array(len) => u64::from(len),
            Head::Map(pairs) => u64::from(pairs) * 2,
            Head::Other | Head::Str(_) => return Ok(level),
        };
        let inside = level + 1;
        if inside > MAX_DEPTH {
            return Err(Bad::Depth);
        }
        // Each value takes at least one byte, so the loop ends with the bytes, even if the length is wrong.
        (0..values).try_fold(inside, |deepest, _| Ok(deepest.max(self.skip_at(inside)?)))
    }

    /// Reads the bytes of one whole value.
    pub(super) fn value(&mut self) -> Result<&'a [u8], Bad> {
        let before = self.0;
        self.skip()?;
        Ok(&before[..before.len() - self.0.len()])
    }

    pub(super) fn str(&mut self) -> Result<&'a str, Bad> {
        match self.head()? {
            Head::Str(text) => std::str::from_utf8(text).map_err(|_| Bad::Form),
            _ => Err(Bad::Form),
        }
    }

    pub(super) fn array(&mut self) -> Result<u32, Bad> {
        match self.head()? {
            Head::Array(len) => Ok(len),
            _ => Err(Bad::Form),
        }
    }

    /// Reads a map. The function reads the value of each pair.
    pub(super) fn map(&mut self, mut pair: impl FnMut(&mut Self, &'a str) -> Result<(), Bad>) -> Result<(), Bad> {
        let Head::Map(pairs) = self.head()? else { return Err(Bad::Form) };
        (0..pairs).try_for_each(|_| {
            let key = self.str()?;
            pair(self, key)
        })
    }
}
