//! Parser for `Cookie` headers.
//!
//! Header lines are read as bytes, because a cookie that is not UTF-8 must not hide the session's cookie.
//! Only spaces and tabs are trimmed, and names are compared byte for byte, because a browser enforces the `__Host-` prefix
//! on the raw bytes. Trimming Unicode spaces or decoding `%5F` would accept `\u{2000}__Host-id` from a sibling domain.

/// Maximum number of values tried under one name.
///
/// An honest browser never sends more than two, and each may cost a round trip to the store.
const MOST: usize = 4;

/// Usable values that a client sent under one cookie name.
#[derive(Clone, Copy, Default)]
pub(crate) struct Candidates<'h> {
    values: [&'h str; MOST],
    len: usize,
    others: bool,
}

impl<'h> Candidates<'h> {
    /// Finds the first distinct values of the cookie `name` that are `usable`.
    pub(crate) fn find(lines: impl IntoIterator<Item = &'h [u8]>, name: &str, usable: impl Fn(&str) -> bool) -> Self {
        let mut found = Self::default();
        for line in lines {
            for pair in line.split(|&b| b == b';') {
                if let Some(value) = value_of(pair, name.as_bytes()) {
                    found.add(value, &usable);
                }
            }
        }
        found
    }

    fn add(&mut self, value: &'h [u8], usable: impl Fn(&str) -> bool) {
        let Ok(value) = std::str::from_utf8(value) else { return };
        if self.len == MOST || self.usable().contains(&value) {
            return;
        }
        if usable(value) {
            self.values[self.len] = value;
            self.len += 1;
        } else {
            self.others = true;
        }
    }

    /// Distinct usable values in the order of the header.
    pub(crate) fn usable(&self) -> &[&'h str] {
        &self.values[..self.len]
    }

    /// Whether there was also an unusable value.
    pub(crate) const fn has_others(&self) -> bool {
        self.others
    }
}

/// Returns the value in `pair` if its name is `name`. A pair without `=` is a value without a name (RFC 6265bis, 5.6).
fn value_of<'h>(pair: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    let equals = pair.iter().position(|&b| b == b'=')?;
    (trim(&pair[..equals]) == name).then(|| trim(&pair[equals + 1..]))
}

/// Trims only spaces and tabs (RFC 6265bis, 5.6: "WSP").
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cookie_value::Value;

    const NAME: &str = "__Host-id";

    fn id(n: u8) -> String {
        // 43 characters. The unused bits of the last one must be zero.
        format!("{}A", char::from(b'a' + n).to_string().repeat(42))
    }

    fn candidates<'h>(lines: impl IntoIterator<Item = &'h [u8]>) -> Candidates<'h> {
        Candidates::find(lines, NAME, |value| Value::Id.is_usable(value))
    }

    fn find<'h>(lines: &[&'h [u8]]) -> Vec<&'h str> {
        candidates(lines.iter().copied()).usable().to_vec()
    }

    #[test]
    fn ours_is_found_among_others_on_any_line() {
        let line = format!("a=b;\t__Host-id =  {} ; c=d", id(0));
        assert_eq!(find(&[line.as_bytes()]), [id(0)]);
        assert_eq!(find(&[b"a=b", line.as_bytes(), b""]), [id(0)]);
    }

    #[test]
    fn a_neighbour_that_is_not_utf8_hides_nothing() {
        let mut line = b"\xff\xfe=\xff; lang=\xe9; ".to_vec();
        line.extend_from_slice(format!("__Host-id={}; x=", id(0)).as_bytes());
        line.push(0xff);
        assert_eq!(find(&[&line]), [id(0)]);
    }

    #[test]
    fn a_name_in_disguise_is_not_ours() {
        for name in
            ["\u{2000}__Host-id", "\u{a0}__Host-id", "%5F_Host-id", "__host-id", "\u{b}__Host-id", "\"__Host-id\""]
        {
            let line = format!("{name}={}", id(0));
            assert!(find(&[line.as_bytes()]).is_empty(), "{name:?}");
        }
    }

    #[test]
    fn the_same_value_twice_is_one() {
        let line = format!("__Host-id={0}; __Host-id={0}; __Host-id={1}", id(0), id(1));
        assert_eq!(find(&[line.as_bytes()]), [id(0), id(1)]);
    }

    #[test]
    fn at_most_four_are_looked_at() {
        let line = (0..20).map(|n| format!("__Host-id={}", id(n))).collect::<Vec<_>>().join("; ");
        assert_eq!(find(&[line.as_bytes()]).len(), 4);
    }

    #[test]
    fn malformed_values_take_no_place() {
        let line =
            format!("__Host-id=a; __Host-id=b; __Host-id=; __Host-id=\"{0}\"; __Host-id={0}=; __Host-id={0}", id(0));
        let found = candidates([line.as_bytes()]);
        assert_eq!(found.usable(), [id(0)]);
        assert!(found.has_others());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_no_harm(lines: Vec<Vec<u8>>) {
            let found = candidates(lines.iter().map(Vec::as_slice));
            prop_assert!(found.usable().len() <= MOST);
        }

        #[test]
        fn arbitrary_neighbours_do_not_hide_ours(before in "[^;]{0,20}", after: Vec<u8>, n in 0..26_u8) {
            let mut line = format!("{before};__Host-id={};", id(n)).into_bytes();
            line.extend_from_slice(&after);
            let name_is_absent = !String::from_utf8_lossy(&after).contains(NAME) && !before.contains(NAME);
            prop_assume!(name_is_absent);
            prop_assert_eq!(find(&[&line]), [id(n)]);
        }

        #[test]
        fn what_is_found_was_sent(line in "(__Host-id|x|[ \t])*=[A-Za-z0-9_;= \t-]{0,200}") {
            for value in find(&[line.as_bytes()]) {
                prop_assert!(line.contains(value) && Value::Id.is_usable(value));
            }
        }
    }
}
