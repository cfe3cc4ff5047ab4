//! Capabilities of a store.

/// Capabilities of a [`Store`](crate::Store). Each field has a method of the same name that sets it.
///
/// ```
/// use session_core::Capabilities;
///
/// let can = Capabilities::new().durable(true).max_data_len(Some(400_000));
/// assert!(can.durable && !can.scan);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether records outlive the process.
    pub durable: bool,
    /// Whether several instances, in several processes, see the same records.
    pub shared: bool,
    /// Whether the server removes expired records itself, by its own clock.
    pub expires_itself: bool,
    /// Whether [`sessions_of`](crate::Store::sessions_of) and [`delete_all`](crate::Store::delete_all) are supported.
    pub by_principal: bool,
    /// Whether [`scan`](crate::Store::scan) is supported.
    pub scan: bool,
    /// Whether the store drops every write on purpose. A session over such a store needs no cookie.
    pub discards: bool,
    /// Maximum length of [`Record::data`](crate::Record::data) in bytes. `None` if only memory limits it.
    pub max_data_len: Option<usize>,
    /// Whether the store keeps records in this process's memory as they are, and bounds how many of them share their decoded form.
    #[doc(hidden)]
    pub shares_decoding: bool,
}

impl Capabilities {
    /// Returns the capabilities of a store that has only the required operations.
    pub const fn new() -> Self {
        Self {
            durable: false,
            shared: false,
            expires_itself: false,
            by_principal: false,
            scan: false,
            discards: false,
            max_data_len: None,
            shares_decoding: false,
        }
    }

    /// Sets [`durable`](#structfield.durable).
    #[must_use]
    pub const fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Sets [`shared`](#structfield.shared).
    #[must_use]
    pub const fn shared(mut self, shared: bool) -> Self {
        self.shared = shared;
        self
    }

    /// Sets [`expires_itself`](#structfield.expires_itself).
    #[must_use]
    pub const fn expires_itself(mut self, expires_itself: bool) -> Self {
        self.expires_itself = expires_itself;
        self
    }

    /// Sets [`by_principal`](#structfield.by_principal).
    #[must_use]
    pub const fn by_principal(mut self, by_principal: bool) -> Self {
        self.by_principal = by_principal;
        self
    }

    /// Sets [`scan`](#structfield.scan).
    #[must_use]
    pub const fn scan(mut self, scan: bool) -> Self {
        self.scan = scan;
        self
    }

    /// Sets [`discards`](#structfield.discards).
    #[must_use]
    pub const fn discards(mut self, discards: bool) -> Self {
        self.discards = discards;
        self
    }

    /// Sets [`max_data_len`](#structfield.max_data_len).
    #[must_use]
    pub const fn max_data_len(mut self, bytes: Option<usize>) -> Self {
        self.max_data_len = bytes;
        self
    }

    /// Sets [`shares_decoding`](#structfield.shares_decoding).
    #[doc(hidden)]
    #[must_use]
    pub const fn shares_decoding(mut self, shares: bool) -> Self {
        self.shares_decoding = shares;
        self
    }
}
