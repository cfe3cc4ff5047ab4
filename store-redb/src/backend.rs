//! The file as redb sees it: redb's own backend, with a bound on the file's length and a count of it.

use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{BackendError, StorageBackend};

/// A backend whose length is bounded and known without a call to the system.
#[derive(Debug)]
pub(crate) struct Bounded<B> {
    inner: B,
    max_len: u64,
    len: AtomicU64,
    /// Greatest length since the count was last set back.
    longest: Arc<AtomicU64>,
}

impl<B: StorageBackend> Bounded<B> {
    pub(crate) fn new(inner: B, max_len: u64) -> io::Result<Self> {
        let len = inner.len()?;
        Ok(Self { inner, max_len, len: AtomicU64::new(len), longest: Arc::new(AtomicU64::new(len)) })
    }

    /// Returns the greatest length so far. Set it to the present length to count from there.
    pub(crate) fn longest(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.longest)
    }
}

impl<B: StorageBackend> StorageBackend for Bounded<B> {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if len > self.max_len && len > self.len.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.set_len(len)?;
        self.len.store(len, Ordering::Relaxed);
        self.longest.fetch_max(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
