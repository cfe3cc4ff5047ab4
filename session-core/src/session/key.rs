//! Printed key of a value.

use std::fmt::{self, Display, Write};
use std::ops::Deref;

use crate::{Error, ErrorKind, Result};

/// Maximum length in bytes of a key that is printed without an allocation. Most keys are a short `&str`.
const SHORT: usize = 64;

/// Text that a key prints.
pub(super) struct Key {
    short: [u8; SHORT],
    len: usize,
    /// Whole text, if it is longer than `short`. Otherwise empty.
    long: String,
}

impl Key {
    /// Prints `key`. This runs code of the application, so no lock may be held.
    pub(super) fn new(key: impl Display) -> Result<Self> {
        let mut printed = Self { short: [0; SHORT], len: 0, long: String::new() };
        match write!(printed, "{key}") {
            Ok(()) => Ok(printed),
            Err(fmt::Error) => {
                Err(Error::fixed(ErrorKind::Other, "a key could not be printed; its `Display` returned an error"))
            }
        }
    }
}

impl Write for Key {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match self.short.get_mut(self.len..self.len + text.len()) {
            Some(room) if self.long.is_empty() => {
                room.copy_from_slice(text.as_bytes());
                self.len += text.len();
            }
            _ => {
                if self.long.is_empty() {
                    let short = String::from_utf8_lossy(&self.short[..self.len]).into_owned();
                    self.long = short;
                }
                self.long.push_str(text);
            }
        }
        Ok(())
    }
}

impl Deref for Key {
    type Target = str;

    fn deref(&self) -> &str {
        if self.long.is_empty() {
            // Only whole strings were copied, so the bytes are valid UTF-8.
            std::str::from_utf8(&self.short[..self.len]).unwrap_or_default()
        } else {
            &self.long
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Key that prints its parts one by one.
    struct Parts(Vec<String>);

    impl Display for Parts {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.iter().try_for_each(|part| f.write_str(part))
        }
    }

    struct Broken;

    impl Display for Broken {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half")?;
            Err(fmt::Error)
        }
    }

    proptest! {
        #[test]
        fn a_key_is_what_it_prints(parts in proptest::collection::vec(".{0,40}", 0..6)) {
            let whole = parts.concat();
            prop_assert_eq!(&*Key::new(&*whole).unwrap(), &*whole);
            prop_assert_eq!(&*Key::new(Parts(parts)).unwrap(), &*whole);
        }
    }

    #[test]
    fn what_does_not_print_is_no_key() {
        assert_eq!(Key::new(Broken).err().unwrap().kind(), ErrorKind::Other);
    }
}
