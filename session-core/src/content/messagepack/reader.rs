//! MessagePack taken apart without trust: what comes next, and where a value ends.
//!
//! Nothing is allocated, and every length is held against what is really there before anybody believes it.

use rmp::Marker;

use super::super::value::MAX_DEPTH;

/// Why bytes are not one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// Cut short, or no MessagePack at all.
    Form,
    /// Nested deeper than anything is read.
    Depth,
}

/// The head of a value: all of it, or how many values follow that belong to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Head<'a> {
    Nil,
    Bool(bool),
    Int(i128),
    F32(f32),
    F64(f64),
    Str(&'a [u8]),
    Bin(&'a [u8]),
    Ext,
    Array(u32),
    /// So many pairs.
    Map(u32),
}

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Bad> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Bad::Form)?;
        self.0 = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Bad> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Bad::Form)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// A length that `N` bytes hold.
    fn len<const N: usize>(&mut self) -> Result<u32, Bad> {
        Ok(self.fixed::<N>()?.into_iter().fold(0, |len, byte| len << 8 | u32::from(byte)))
    }

    fn sized<const N: usize>(&mut self) -> Result<&'a [u8], Bad> {
        let len = self.len::<N>()?;
        self.take(usize::try_from(len).map_err(|_| Bad::Form)?)
    }

    fn ext(&mut self, len: u32) -> Result<Head<'a>, Bad> {
        let [_type] = self.fixed()?;
        self.take(usize::try_from(len).map_err(|_| Bad::Form)?)?;
        Ok(Head::Ext)
    }

    /// The next value's head. What follows an array's or a map's is left to be read.
    pub(super) fn head(&mut self) -> Result<Head<'a>, Bad> {
        let [first] = self.fixed()?;
        Ok(match Marker::from_u8(first) {
            Marker::Null => Head::Nil,
            Marker::False => Head::Bool(false),
            Marker::True => Head::Bool(true),
            Marker::FixPos(n) => Head::Int(n.into()),
            Marker::FixNeg(n) => Head::Int(n.into()),
            Marker::U8 => Head::Int(u8::from_be_bytes(self.fixed()?).into()),
            Marker::U16 => Head::Int(u16::from_be_bytes(self.fixed()?).into()),
            Marker::U32 => Head::Int(u32::from_be_bytes(self.fixed()?).into()),
            Marker::U64 => Head::Int(u64::from_be_bytes(self.fixed()?).into()),
            Marker::I8 => Head::Int(i8::from_be_bytes(self.fixed()?).into()),
            Marker::I16 => Head::Int(i16::from_be_bytes(self.fixed()?).into()),
            Marker::I32 => Head::Int(i32::from_be_bytes(self.fixed()?).into()),
            Marker::I64 => Head::Int(i64::from_be_bytes(self.fixed()?).into()),
            Marker::F32 => Head::F32(f32::from_be_bytes(self.fixed()?)),
            Marker::F64 => Head::F64(f64::from_be_bytes(self.fixed()?)),
            Marker::FixStr(len) => Head::Str(self.take(len.into())?),
            Marker::Str8 => Head::Str(self.sized::<1>()?),
            Marker::Str16 => Head::Str(self.sized::<2>()?),
            Marker::Str32 => Head::Str(self.sized::<4>()?),
            Marker::Bin8 => Head::Bin(self.sized::<1>()?),
            Marker::Bin16 => Head::Bin(self.sized::<2>()?),
            Marker::Bin32 => Head::Bin(self.sized::<4>()?),
            Marker::FixArray(len) => Head::Array(len.into()),
            Marker::Array16 => Head::Array(self.len::<2>()?),
            Marker::Array32 => Head::Array(self.len::<4>()?),
            Marker::FixMap(len) => Head::Map(len.into()),
            Marker::Map16 => Head::Map(self.len::<2>()?),
            Marker::Map32 => Head::Map(self.len::<4>()?),
            Marker::FixExt1 => self.ext(1)?,
            Marker::FixExt2 => self.ext(2)?,
            Marker::FixExt4 => self.ext(4)?,
            Marker::FixExt8 => self.ext(8)?,
            Marker::FixExt16 => self.ext(16)?,
            Marker::Ext8 => {
                let len = self.len::<1>()?;
                self.ext(len)?
            }
            Marker::Ext16 => {
                let len = self.len::<2>()?;
                self.ext(len)?
            }
            Marker::Ext32 => {
                let len = self.len::<4>()?;
                self.ext(len)?
            }
            Marker::Reserved => return Err(Bad::Form),
        })
    }

    /// Passes over one value and answers how deeply it nests.
    pub(super) fn skip(&mut self) -> Result<usize, Bad> {
        self.skip_at(0)
    }

    /// Recursive, but never deeper than what is refused.
    fn skip_at(&mut self, level: usize) -> Result<usize, Bad> {
        let values = match self.head()? {
            Head::Array(len) => u64::from(len),
            Head::Map(pairs) => u64::from(pairs) * 2,
            _ => return Ok(level),
        };
        let inside = level + 1;
        if inside > MAX_DEPTH {
            return Err(Bad::Depth);
        }
        // A length that lies ends with the bytes: each value takes one at least.
        (0..values).try_fold(inside, |deepest, _| Ok(deepest.max(self.skip_at(inside)?)))
    }

    /// The bytes of one whole value.
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

    /// Reads a map, each pair by `pair`.
    pub(super) fn map(&mut self, mut pair: impl FnMut(&mut Self, &'a str) -> Result<(), Bad>) -> Result<(), Bad> {
        let Head::Map(pairs) = self.head()? else { return Err(Bad::Form) };
        (0..pairs).try_for_each(|_| {
            let key = self.str()?;
            pair(self, key)
        })
    }
}
