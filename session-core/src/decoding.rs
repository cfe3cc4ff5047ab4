//! Decoded form of a record's data, which copies of the record share.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::mutant::{self, Mutant};

/// Decoded form of a record's data. Copies of the record share it, and the first of them that is read fills it in.
///
/// It is for stores in this process's memory, so that a session that is read again and again is decoded once.
/// A copy may have been given other data, so it counts only for the very buffer that it was made from.
#[derive(Clone, Default)]
pub(crate) struct Decoding(Option<Arc<Shared>>);

struct Shared {
    data: Bytes,
    decoded: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Decoding {
    /// Creates a decoded form of `data` that the first reader fills in.
    pub(crate) fn of(data: &Bytes) -> Self {
        Self(Some(Arc::new(Shared { data: data.clone(), decoded: OnceLock::new() })))
    }

    pub(crate) const fn is_shared(&self) -> bool {
        self.0.is_some()
    }

    /// Returns what a copy with the same `data` has filled in.
    pub(crate) fn get<T: Any>(&self, data: &Bytes) -> Option<&T> {
        self.shared(data)?.decoded.get()?.downcast_ref()
    }

    /// Fills in what `data` was decoded to, unless another copy has done so.
    pub(crate) fn fill<T: Any + Send + Sync>(&self, data: &Bytes, decoded: impl FnOnce() -> T) {
        if let Some(shared) = self.shared(data) {
            shared.decoded.get_or_init(|| Arc::new(decoded()));
        }
    }

    /// Returns the same for the copy that has `data` in the buffer `to`.
    pub(crate) fn moved(&self, data: &Bytes, to: &Bytes) -> Self {
        let Some(shared) = self.shared(data) else { return Self::default() };
        Self(Some(Arc::new(Shared { data: to.clone(), decoded: shared.decoded.clone() })))
    }

    /// Returns what is shared, if it belongs to this very buffer.
    ///
    /// A store or a layer over it may have given a copy other data, such as decrypted ones.
    fn shared(&self, data: &Bytes) -> Option<&Shared> {
        let place = |data: &Bytes| (data.as_ptr(), data.len());
        let is_own = |shared: &&Shared| place(&shared.data) == place(data) || mutant::is(Mutant::TrustsAnyDecoding);
        self.0.as_deref().filter(is_own)
    }
}

/// Records are equal whether or not they are decoded.
impl PartialEq for Decoding {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Decoding {}

impl fmt::Debug for Decoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Decoding").field(&self.0.as_ref().map(|shared| shared.decoded.get().is_some())).finish()
    }
}
