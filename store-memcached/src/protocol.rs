//! The server's protocol: the meta commands that the store sends, and the replies.
//!
//! <https://docs.memcached.org/protocols/meta/> describes them.

use std::fmt::Write as _;
use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use session_core::Timestamp;

use crate::schema;

/// Longest line that a server sends.
const LONGEST_LINE: usize = 8 * 1024;

/// A reply to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `VA`: a value, and the number that it keeps until it is changed.
    Value(Bytes, u64),
    /// `EN`: no value has this name.
    Miss,
    /// `HD`: the command was carried out.
    Done,
    /// `NS`: a value has this name already.
    NotStored,
    /// `EX`: the value has been changed.
    Changed,
    /// `NF`: no value has this name any more.
    NotFound,
    /// An error: the whole line.
    Error(String),
    /// Another line, such as the version or a statistic.
    Line(String),
}

/// Condition of a command that stores a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Condition {
    /// No value has this name.
    Absent,
    /// The value still has this number.
    Unchanged(u64),
}

/// Appends a command that reads a value.
pub(crate) fn get(out: &mut Vec<u8>, name: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"mg ");
    name(out);
    out.extend_from_slice(b" v c\r\n");
}

/// Appends a command that stores a value, for the server to remove after `expires_at`.
pub(crate) fn set(
    out: &mut Vec<u8>,
    name: impl FnOnce(&mut Vec<u8>),
    value: &[u8],
    expires_at: Timestamp,
    condition: Condition,
) {
    out.extend_from_slice(b"ms ");
    name(out);
    let mut flags = format!(" {} T{}", value.len(), schema::expiry(expires_at));
    // Writing to a string does not fail.
    let _ = match condition {
        Condition::Absent => write!(flags, " ME\r\n"),
        Condition::Unchanged(number) => write!(flags, " C{number}\r\n"),
    };
    out.extend_from_slice(flags.as_bytes());
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a command that removes a value, if it still has this number.
pub(crate) fn delete(out: &mut Vec<u8>, name: impl FnOnce(&mut Vec<u8>), number: u64) {
    out.extend_from_slice(b"md ");
    name(out);
    out.extend_from_slice(format!(" C{number}\r\n").as_bytes());
}

/// Takes a reply from the bytes that a server has sent. Returns `None` if it is not complete.
///
/// # Errors
/// If the bytes are no reply of a Memcached server.
pub(crate) fn take(read: &mut BytesMut) -> io::Result<Option<Reply>> {
    let Some(end) = read.iter().position(|byte| *byte == b'\n') else {
        return if read.len() > LONGEST_LINE { Err(strange()) } else { Ok(None) };
    };
    if end == 0 || read[end - 1] != b'\r' {
        return Err(strange());
    }
    let line = str::from_utf8(&read[..end - 1]).map_err(|_| strange())?;
    let mut words = line.split(' ');
    let reply = match words.next().unwrap_or_default() {
        "VA" => {
            let length: usize = words.next().and_then(|length| length.parse().ok()).ok_or_else(strange)?;
            let number = words.find_map(|flag| flag.strip_prefix('c')).and_then(|number| number.parse().ok());
            let number = number.ok_or_else(strange)?;
            let whole = end.checked_add(1 + 2).and_then(|at| at.checked_add(length)).ok_or_else(strange)?;
            if read.len() < whole {
                read.reserve(whole - read.len());
                return Ok(None);
            }
            read.advance(end + 1);
            let value = read.split_to(length).freeze();
            if !read.starts_with(b"\r\n") {
                return Err(strange());
            }
            read.advance(2);
            return Ok(Some(Reply::Value(value, number)));
        }
        "EN" => Reply::Miss,
        "HD" => Reply::Done,
        "NS" => Reply::NotStored,
        "EX" => Reply::Changed,
        "NF" => Reply::NotFound,
        "ERROR" | "CLIENT_ERROR" | "SERVER_ERROR" => Reply::Error(line.to_owned()),
        _ => Reply::Line(line.to_owned()),
    };
    read.advance(end + 1);
    Ok(Some(reply))
}

/// Error of bytes that no Memcached server sends.
fn strange() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no reply of a Memcached server")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(bytes: &[u8]) -> Vec<Reply> {
        let mut read = BytesMut::from(bytes);
        std::iter::from_fn(|| take(&mut read).unwrap()).collect()
    }

    #[test]
    fn each_reply_is_told_apart() {
        let replies = b"VA 4 c17\r\na\r\nb\r\nEN\r\nHD\r\nNS\r\nEX\r\nNF\r\nVERSION 1.6.18\r\nSERVER_ERROR out of memory\r\nVA 0 c1\r\n\r\n";
        assert_eq!(
            taken(replies),
            [
                Reply::Value(Bytes::from_static(b"a\r\nb"), 17),
                Reply::Miss,
                Reply::Done,
                Reply::NotStored,
                Reply::Changed,
                Reply::NotFound,
                Reply::Line("VERSION 1.6.18".into()),
                Reply::Error("SERVER_ERROR out of memory".into()),
                Reply::Value(Bytes::new(), 1),
            ]
        );
    }

    #[test]
    fn what_no_server_sends_is_an_error() {
        for bytes in
            [&b"\n"[..], b"HD\n", b"VA x c1\r\n", b"VA 1\r\nx\r\n", b"VA 1 c1\r\nxyz", b"\xff\r\n", &[b'x'; 9000]]
        {
            assert!(take(&mut BytesMut::from(bytes)).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn a_reply_in_pieces_is_the_same(value: Vec<u8>, number: u64, cut in 0..100_usize) {
            let mut sent = format!("VA {} c{number}\r\n", value.len()).into_bytes();
            sent.extend(&value);
            sent.extend(b"\r\nHD\r\n");
            let cut = cut.min(sent.len());
            let mut read = BytesMut::from(&sent[..cut]);
            let mut replies: Vec<_> = std::iter::from_fn(|| take(&mut read).unwrap()).collect();
            read.extend_from_slice(&sent[cut..]);
            replies.extend(std::iter::from_fn(|| take(&mut read).unwrap()));
            prop_assert_eq!(replies, [Reply::Value(value.into(), number), Reply::Done]);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let mut read = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = take(&mut read) {}
        }
    }
}
