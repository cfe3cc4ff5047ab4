//! Parser for `Cookie` headers.
//!
//! Header lines are read as bytes, because a cookie that is not UTF-8 must not hide the session's cookie.
//! Only spaces and tabs are trimmed, and names are compared byte for byte, because a browser enforces the `__Host-` prefix
//! on the raw bytes. Trimming Unicode spaces or decoding `%5F` would accept `\u{2000}__Host-id` from a sibling domain.

use memchr::memchr;

use crate::cookie_value::Value;

/// Maximum number of values under one name that are looked up. Each may cost a call to the store.
///
/// An honest browser never sends more than two. A neighbouring host can plant some, and the browser sends those with the longest
/// path first. So a few more are tried, or the neighbour could hide the user's session.
const MOST_OPENED: usize = 16;

/// Maximum number of signatures or seals of one request that are verified.
const MOST_VERIFIED: usize = 64;

/// Usable values that a client sent under one cookie name, distinct and in the order of the header.
#[derive(Default)]
pub(crate) struct Candidates<'h> {
    pub(crate) first: Option<&'h str>,
    pub(crate) more: Vec<&'h str>,
    /// Whether there was also an unusable value.
    pub(crate) others: bool,
    verified: usize,
    cut: bool,
}

impl<'h> Candidates<'h> {
    /// Adds the first values of the cookie `name` in a line that are usable as `value`.
    pub(crate) fn read(&mut self, line: &'h [u8], name: &str, value: &Value) {
        for pair in pairs(line) {
            if let Some(text) = value_of(pair, name.as_bytes()) {
                self.add(text, value);
            }
        }
    }

    /// Reports an event if there were too many values to try them all.
    pub(crate) fn note_cut(&self, name: &str) {
        if self.cut {
            tracing::warn!(
                cookie = name,
                "a client sent very many values under one cookie name, and not all are tried: another host of the domain may plant cookies"
            );
        }
    }

    /// The value of a header, which is usable or not.
    pub(crate) fn of(text: &'h [u8], value: &Value) -> Self {
        let mut found = Self::default();
        found.add(text, value);
        found.others = found.first.is_none();
        found
    }

    fn add(&mut self, text: &'h [u8], value: &Value) {
        let Ok(text) = std::str::from_utf8(text) else { return };
        if self.first == Some(text) || self.more.contains(&text) {
            return;
        }
        if !value.is_well_formed(text) {
            self.others = true;
            return;
        }
        let full = self.first.is_some() && self.more.len() + 1 == MOST_OPENED;
        if full || self.verified == MOST_VERIFIED {
            (self.cut, self.others) = (true, true);
            return;
        }
        if value.is_verified() {
            self.verified += 1;
            if value.read(text).is_none() {
                self.others = true;
                return;
            }
        }
        match self.first {
            None => self.first = Some(text),
            Some(_) => self.more.push(text),
        }
    }
}

/// Returns the parts of a line between semicolons.
fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let whole = rest?;
        let end = memchr(b';', whole);
        rest = end.map(|end| &whole[end + 1..]);
        Some(end.map_or(whole, |end| &whole[..end]))
    })
}

/// Returns the value in `pair` if its name is `name`. A pair without `=` is a value without a name (RFC 6265bis, 5.6).
fn value_of<'h>(pair: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    let equals = memchr(b'=', pair)?;
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
    use session_crypto::KeyRing;

    use super::*;

    const NAME: &str = "__Host-id";

    fn id(n: u8) -> String {
        // 43 characters. The unused bits of the last one must be zero.
        format!("{}A", char::from(b'a' + n).to_string().repeat(42))
    }

    fn candidates<'h>(lines: impl IntoIterator<Item = &'h [u8]>) -> Candidates<'h> {
        let mut found = Candidates::default();
        lines.into_iter().for_each(|line| found.read(line, NAME, &Value::Id));
        found
    }

    fn usable<'h>(found: &Candidates<'h>) -> Vec<&'h str> {
        found.first.into_iter().chain(found.more.iter().copied()).collect()
    }

    fn find<'h>(lines: &[&'h [u8]]) -> Vec<&'h str> {
        usable(&candidates(lines.iter().copied()))
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
    fn at_most_sixteen_are_looked_up() {
        let line = (0..20).map(|n| format!("__Host-id={}", id(n))).collect::<Vec<_>>().join("; ");
        assert_eq!(find(&[line.as_bytes()]).len(), MOST_OPENED);
    }

    fn signing() -> Value {
        let ring = KeyRing::new(&(0..32).collect::<Vec<u8>>()).unwrap();
        Value::Signed { signer: ring.signer("id", "id"), accept_unsigned: false }
    }

    #[test]
    fn forgeries_before_the_owners_value_do_not_hide_it_and_are_verified_within_a_bound() {
        let value = signing();
        let ours = value.write(&id(25), None).into_owned();
        // Distinct, and each as long as a signed value.
        let forged = |n: usize| format!("__Host-id={}.{n:0>50}; ", id(0));
        for (forgeries, found) in
            [(0, true), (1, true), (MOST_VERIFIED - 1, true), (MOST_VERIFIED, false), (2_000, false)]
        {
            let line = (0..forgeries).map(forged).collect::<String>() + "__Host-id=" + &ours;
            let mut candidates = Candidates::default();
            candidates.read(line.as_bytes(), NAME, &value);
            assert_eq!(usable(&candidates) == [ours.as_str()], found, "{forgeries}");
            assert!(candidates.verified <= MOST_VERIFIED);
            assert_eq!(candidates.cut, !found);
        }
    }

    #[test]
    fn values_that_no_key_could_have_signed_count_towards_no_bound() {
        let value = signing();
        let ours = value.write(&id(25), None).into_owned();
        let line = (0..500).map(|n| format!("__Host-id=junk{n}; ")).collect::<String>() + "__Host-id=" + &ours;
        let mut candidates = Candidates::default();
        candidates.read(line.as_bytes(), NAME, &value);
        assert_eq!((usable(&candidates), candidates.verified), (vec![ours.as_str()], 1));
    }

    #[test]
    fn malformed_values_take_no_place() {
        let line =
            format!("__Host-id=a; __Host-id=b; __Host-id=; __Host-id=\"{0}\"; __Host-id={0}=; __Host-id={0}", id(0));
        let found = candidates([line.as_bytes()]);
        assert_eq!(usable(&found), [id(0)]);
        assert!(found.others);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_no_harm(lines: Vec<Vec<u8>>) {
            let found = candidates(lines.iter().map(Vec::as_slice));
            prop_assert!(usable(&found).len() <= MOST_OPENED);
        }

        #[test]
        fn arbitrary_neighbours_do_not_hide_ours(before in "[^;]{0,20}", after: Vec<u8>, n in 0..26_u8) {
            let mut line = format!("{before};__Host-id={};", id(n)).into_bytes();
            line.extend_from_slice(&after);
            let name_is_absent = !String::from_utf8_lossy(&after).contains(NAME) && !before.contains(NAME);
            prop_assume!(name_is_absent);
            prop_assert_eq!(find(&[&line]), [id(n)]);
        }

        /// Neighbours by the grammar of RFC 6265, 4.2.1 and 4.1.1, and its odd cases: no value, no name, quotes, empty pairs, other spaces.
        #[test]
        fn ours_is_found_first_in_the_middle_and_last_among_any_neighbours(
            neighbours in prop::collection::vec(
                r#"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}=("[!#-+\x2d-:<-\[\]-~]{0,12}"|[!#-+\x2d-:<-\[\]-~]{0,12})|[a-z]{0,5}|=[a-z]{0,5}|[a-z]+==+|[ \t]*|"[a-z;=]{0,9}"#,
                0..6,
            ),
            separator in "; ?|;\t|;;|; ;",
            n in 0..26_u8,
        ) {
            prop_assume!(!neighbours.iter().any(|pair| pair.contains(NAME)));
            let ours = format!("{NAME}={}", id(n));
            for at in [0, neighbours.len() / 2, neighbours.len()] {
                let mut pairs = neighbours.clone();
                pairs.insert(at, ours.clone());
                let line = pairs.join(&separator);
                prop_assert_eq!(find(&[line.as_bytes()]), [id(n)], "{}", line);
                // HTTP/2 may send each pair on a line of its own.
                let lines: Vec<_> = pairs.iter().map(String::as_bytes).collect();
                prop_assert_eq!(find(&lines), [id(n)]);
            }
        }

        #[test]
        fn what_is_found_was_sent(line in "(__Host-id|x|[ \t])*=[A-Za-z0-9_;= \t-]{0,200}") {
            for value in find(&[line.as_bytes()]) {
                prop_assert!(line.contains(value) && Value::Id.is_well_formed(value));
            }
        }
    }
}
