//! Keys of values: constants with a type, and values that print.

use std::fmt::{self, Display};
use std::marker::PhantomData;

/// Key of a value of type `T`, for a constant.
///
/// The type is written once, where the key is declared. Calls of [`Session`](crate::Session) infer it.
/// The key is the text `name`, so `Key::new("cart")` and `"cart"` name the same value.
///
/// ```
/// # pollster::block_on(async {
/// use session_core::Key;
/// # use session_core::{Manager, NullStore};
///
/// const CART: Key<Vec<u64>> = Key::new("cart");
///
/// # let session = Manager::new(NullStore).open(None).await?;
/// session.update(CART, |items| items.push(4711))?;
/// let items = session.get(CART)?.unwrap_or_default();
/// assert_eq!(items, [4711]);
/// # session.discard();
/// # Ok::<(), session_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Key<T: ?Sized> {
    name: &'static str,
    of: PhantomData<fn() -> Box<T>>,
}

impl<T: ?Sized> Key<T> {
    /// Creates the key with the text `name`.
    ///
    /// ```
    /// use session_core::Key;
    ///
    /// const THEME: Key<String> = Key::new("theme");
    /// assert_eq!(THEME.name(), "theme");
    /// ```
    pub const fn new(name: &'static str) -> Self {
        Self { name, of: PhantomData }
    }

    /// Returns the text of the key.
    ///
    /// ```
    /// use session_core::Key;
    ///
    /// assert_eq!(Key::<u64>::new("visits").name(), "visits");
    /// ```
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<T: ?Sized> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Key<T> {}

impl<T: ?Sized> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.name)
    }
}

/// Key of a value, for calls that do not depend on the value's type: a [`Key`], or any value that implements `Display`.
///
/// ```
/// # pollster::block_on(async {
/// # use session_core::{Key, Manager, NullStore};
/// const CART: Key<Vec<u64>> = Key::new("cart");
///
/// # let session = Manager::new(NullStore).open(None).await?;
/// assert!(!session.contains(CART));
/// assert!(!session.contains("cart"));
/// assert!(!session.contains(4711));
/// # Ok::<(), session_core::Error>(())
/// # }).unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a key of a session's value",
    note = "a key is a `session_core::Key`, or any type that implements `Display`"
)]
pub trait AnyKey {
    /// Writes the text of the key.
    ///
    /// # Errors
    /// The error of `out`, or of the key's `Display`.
    fn write_to(&self, out: &mut impl fmt::Write) -> fmt::Result;
}

impl<K: Display + ?Sized> AnyKey for K {
    fn write_to(&self, out: &mut impl fmt::Write) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl<T: ?Sized> AnyKey for Key<T> {
    fn write_to(&self, out: &mut impl fmt::Write) -> fmt::Result {
        out.write_str(self.name)
    }
}

impl<T: ?Sized> AnyKey for &Key<T> {
    fn write_to(&self, out: &mut impl fmt::Write) -> fmt::Result {
        out.write_str(self.name)
    }
}

/// Key of a value of type `T`: a [`Key<T>`], or any value that implements `Display`.
///
/// A `Key<T>` fixes the type. For any other key the caller names it, or the compiler infers it from how the value is used.
///
/// ```
/// # pollster::block_on(async {
/// # use session_core::{Key, Manager, NullStore};
/// const VISITS: Key<u64> = Key::new("visits");
///
/// # let session = Manager::new(NullStore).open(None).await?;
/// session.insert(VISITS, &3)?;
/// assert_eq!(session.get(VISITS)?, Some(3));
/// assert_eq!(session.get::<u64>("visits")?, Some(3));
/// # session.discard();
/// # Ok::<(), session_core::Error>(())
/// # }).unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a key of a `{T}`",
    note = "a key is a `session_core::Key<{T}>`, or any type that implements `Display`"
)]
pub trait IntoKey<T: ?Sized>: AnyKey {}

impl<T: ?Sized, K: Display> IntoKey<T> for K {}

impl<T: ?Sized> IntoKey<T> for Key<T> {}

impl<T: ?Sized> IntoKey<T> for &Key<T> {}
