//! Rows as one JSON parameter for statements with many keys: an array of arrays, with keys in hexadecimal digits.
//!
//! A statement is the same for any number of rows, so it is prepared once. No value is in its text, where a log would show it.

use std::fmt::Write as _;

use session_core::StoreKey;

/// Returns a row for each of `items`, in the order of their keys, with the key as its first column.
///
/// The server locks rows in the given order, and batches that lock in one order cannot deadlock with each other.
pub(crate) fn rows<T>(items: &[T], key: impl Fn(&T) -> &StoreKey, others: impl Fn(&mut Row, &T)) -> String {
    let mut row = Row(String::from("["));
    for item in sorted(items, &key) {
        row.0.push_str(if row.0.len() == 1 { "[" } else { ",[" });
        row.hex(key(item).as_bytes());
        others(&mut row, item);
        row.0.push(']');
    }
    row.0.push(']');
    row.0
}

/// Sorts items by key. All writers lock in this order, so that batches cannot deadlock with each other.
pub(crate) fn sorted<T>(items: &[T], key: impl Fn(&T) -> &StoreKey) -> Vec<&T> {
    let mut sorted: Vec<&T> = items.iter().collect();
    sorted.sort_unstable_by_key(|item| *key(item));
    sorted
}

/// A row that is being written. Each value that is added becomes the next column.
pub(crate) struct Row(String);

impl Row {
    pub(crate) fn number(&mut self, number: i64) {
        // Writing to a string does not fail.
        let _ = write!(self.0, ",{number}");
    }

    fn hex(&mut self, bytes: &[u8]) {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        self.0.reserve(2 * bytes.len() + 2);
        self.0.push('"');
        for byte in bytes {
            self.0.push(char::from(DIGITS[usize::from(byte >> 4)]));
            self.0.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        self.0.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_their_keys() {
        let items = [(StoreKey::from_bytes([0xb0; 32]), i64::MAX), (StoreKey::from_bytes([0x0a; 32]), -1)];
        let text = rows(&items, |item| &item.0, |row, item| row.number(item.1));
        let (first, second) = ("0a".repeat(32), "b0".repeat(32));
        assert_eq!(text, format!("[[\"{first}\",-1],[\"{second}\",9223372036854775807]]"));
        assert_eq!(rows(&items[..0], |item| &item.0, |_, _| ()), "[]");
    }
}
