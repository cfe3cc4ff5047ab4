//! Locks and atomics that record each use, for an explorer of interleavings.
//!
//! Two adjacent polls without a common lock have the same effect in either order. Of the interleavings that differ only in such
//! swaps, the explorer runs one. The explorer of the crate `session-conformance` reads from here which locks a poll has used.

use std::cell::{Cell, RefCell};
use std::sync::{LockResult, MutexGuard};

/// A use of a lock or atomic, with the number of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The lock or atomic was created.
    Made(u64),
    /// The atomic was read.
    Read(u64),
    /// The lock was taken, or the atomic was written.
    Written(u64),
}

thread_local! {
    static NEXT: Cell<u64> = const { Cell::new(0) };
    static ACCESSES: RefCell<Option<Vec<Access>>> = const { RefCell::new(None) };
}

/// Starts recording the uses by this thread. Objects created from now on are numbered from zero.
pub fn begin() {
    NEXT.set(0);
    ACCESSES.set(Some(Vec::new()));
}

/// Returns the uses recorded since the last call, in order.
pub fn take() -> Vec<Access> {
    ACCESSES.with_borrow_mut(|accesses| accesses.as_mut().map(std::mem::take).unwrap_or_default())
}

/// Stops recording on this thread.
pub fn end() {
    ACCESSES.set(None);
}

fn record(access: Access) {
    ACCESSES.with_borrow_mut(|accesses| {
        if let Some(accesses) = accesses {
            accesses.push(access);
        }
    });
}

/// Number of a lock or atomic.
#[derive(Debug)]
struct Object(u64);

impl Object {
    fn new() -> Self {
        let number = NEXT.replace(NEXT.get() + 1);
        record(Access::Made(number));
        Self(number)
    }

    fn read(&self) {
        record(Access::Read(self.0));
    }

    fn written(&self) {
        record(Access::Written(self.0));
    }
}

/// A mutex that records when it is locked.
#[derive(Debug)]
pub(crate) struct Mutex<T> {
    object: Object,
    inner: std::sync::Mutex<T>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { object: Object::new(), inner: std::sync::Mutex::new(value) }
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        self.object.written();
        self.inner.lock()
    }

    pub(crate) fn get_mut(&mut self) -> LockResult<&mut T> {
        self.inner.get_mut()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// Atomics that record when they are used.
pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::Ordering;

    use super::Object;

    macro_rules! atomics {
        ($($name:ident: $value:ty;)+) => {
            $(
                #[doc = concat!("An observed `", stringify!($name), "`.")]
                #[derive(Debug)]
                pub(crate) struct $name {
                    object: Object,
                    inner: std::sync::atomic::$name,
                }

                impl $name {
                    pub(crate) fn new(value: $value) -> Self {
                        Self { object: Object::new(), inner: std::sync::atomic::$name::new(value) }
                    }

                    pub(crate) fn load(&self, order: Ordering) -> $value {
                        self.object.read();
                        self.inner.load(order)
                    }
                }

                impl Default for $name {
                    fn default() -> Self {
                        Self::new(<$value>::default())
                    }
                }
            )+
        };
    }

    atomics! {
        AtomicI64: i64;
        AtomicUsize: usize;
    }

    impl AtomicI64 {
        pub(crate) fn store(&self, value: i64, order: Ordering) {
            self.object.written();
            self.inner.store(value, order);
        }
    }

    impl AtomicUsize {
        pub(crate) fn fetch_add(&self, by: usize, order: Ordering) -> usize {
            self.object.written();
            self.inner.fetch_add(by, order)
        }

        pub(crate) fn fetch_sub(&self, by: usize, order: Ordering) -> usize {
            self.object.written();
            self.inner.fetch_sub(by, order)
        }
    }
}
