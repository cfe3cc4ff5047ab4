//! Codecs, and limits of a session's size.

/// First byte of a JSON envelope.
pub(super) const JSON: u8 = b'{';

/// First byte of a MessagePack envelope: a map whose length takes 16 bits.
pub(super) const MESSAGEPACK: u8 = 0xde;

/// Maximum nesting of arrays and maps that is read, also by `serde_json`. A deeper value could overflow the reader's stack.
pub(super) const MAX_DEPTH: usize = 127;

/// Format of a session's record and of the values in it; see [`ManagerBuilder::codec`](crate::ManagerBuilder::codec).
///
/// A session keeps the codec that it was created in. The first byte of its record names the codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// JSON, which people and other programs can read. Bytes are stored as arrays of numbers.
    #[default]
    Json,
    /// MessagePack, with the feature `messagepack`. Bytes are stored as bytes, map keys can be of any type, and most values are smaller.
    ///
    /// Serde treats a `Vec<u8>` as an array, which takes one or two bytes per element. Use `serde_bytes` or `bytes::Bytes` to store
    /// raw bytes. Structs are stored with the names of their fields, so a later version of a struct may add or drop fields.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// use session_core::{Codec, Manager, NullStore};
    ///
    /// let manager = Manager::builder(NullStore).codec(Codec::MessagePack).build()?;
    /// let session = manager.open(None).await?;
    /// session.insert("thumbnail", serde_bytes::Bytes::new(&[0xff; 2_000]))?; // 2,003 bytes; as JSON it would be 8,001
    /// assert_eq!(session.get::<serde_bytes::ByteBuf>("thumbnail")?.unwrap().len(), 2_000);
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    #[cfg(feature = "messagepack")]
    MessagePack,
}

/// Limits of a session's size.
///
/// If a limit is exceeded, the write or the commit returns [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge).
/// The oldest flash messages are dropped first to make room.
///
/// ```
/// use session_core::Limits;
///
/// let limits = Limits::new().max_data_len(16 * 1024).max_keys(50);
/// assert_eq!(limits.max_flashes, 100);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Maximum encoded size of a session in bytes. 64 KiB unless set.
    ///
    /// A store with a smaller [`Capabilities::max_data_len`](crate::Capabilities::max_data_len) lowers it.
    pub max_data_len: usize,
    /// Maximum number of values. 1,000 unless set.
    pub max_keys: usize,
    /// Maximum number of flash messages under all keys together. 100 unless set. The oldest are dropped to make room.
    pub max_flashes: usize,
    /// Maximum nesting of arrays and objects in one value. 64 unless set.
    ///
    /// A limit above 127 counts as 127, because deeper values cannot be read.
    pub max_depth: usize,
}

impl Limits {
    /// Creates the default limits.
    pub const fn new() -> Self {
        Self { max_data_len: 64 * 1024, max_keys: 1_000, max_flashes: 100, max_depth: 64 }
    }

    /// Sets [`max_data_len`](#structfield.max_data_len).
    #[must_use]
    pub const fn max_data_len(mut self, bytes: usize) -> Self {
        self.max_data_len = bytes;
        self
    }

    /// Sets [`max_keys`](#structfield.max_keys).
    #[must_use]
    pub const fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Sets [`max_flashes`](#structfield.max_flashes).
    #[must_use]
    pub const fn max_flashes(mut self, flashes: usize) -> Self {
        self.max_flashes = flashes;
        self
    }

    /// Sets [`max_depth`](#structfield.max_depth).
    #[must_use]
    pub const fn max_depth(mut self, depth: usize) -> Self {
        self.max_depth = depth;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
