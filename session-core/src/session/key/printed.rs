//! Text of a key.

use std::fmt::{self, Write};
use std::ops::Deref;

use super::typed::AnyKey;
use crate::{Error, ErrorKind, Result};

/// Maximum length in bytes of a key that is printed without an allocation. Most keys are a short `&str`.
const SHORT: usize = 64;

/// Text that a key prints.
pub(crate) struct PrintedKey {
    short: [u8; SHORT],
    len: usize,
    /// Whole text, if it is longer than `short`. Otherwise empty.
    long: String,
}

impl PrintedKey {
    /// Prints `key`. This runs code of the application, so no lock may be held.
    pub(crate) fn new(key: impl AnyKey) -> Result<Self> {
        let mut printed = Self { short: [0; SHORT], len: 0, long: String::new() };
        match key.write_to(&mut printed) {
            Ok(()) => Ok(printed),
            Err(fmt::Error) => {
                Err(Error::fixed(ErrorKind::Other, "a key could not be printed; its `Display` returned an error"))
            }
        }
    }
}

impl Write for PrintedKey {
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

impl Deref for PrintedKey {
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
    use std::fmt::Display;

    use proptest::prelude::*;

    use super::*;
    use crate::Key;

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
            prop_assert_eq!(&*PrintedKey::new(&*whole).unwrap(), &*whole);
            prop_assert_eq!(&*PrintedKey::new(Parts(parts)).unwrap(), &*whole);
        }
    }

    #[test]
    fn a_constant_key_is_its_name() {
        const LONG: &str = "a name that is longer than what is printed without an allocation, by a few characters";
        for name in ["", "cart", LONG] {
            let key = Key::<u64>::new(name);
            let borrowed: &Key<u64> = &key;
            assert_eq!((&*PrintedKey::new(key).unwrap(), &*PrintedKey::new(borrowed).unwrap()), (name, name));
        }
    }

    #[test]
    fn what_does_not_print_is_no_key() {
        assert_eq!(PrintedKey::new(Broken).err().unwrap().kind(), ErrorKind::Other);
    }
}
