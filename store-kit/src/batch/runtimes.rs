//! A value for each tokio runtime.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use session_core::Result;
use tokio::runtime::{Handle, Id};

use crate::batch::CLOSED;

/// Keeps one value for each calling tokio runtime, such as connections, queues or permits.
///
/// A connection works only while the runtime that made it runs. A permit may be given to a task that is no longer polled.
/// So calls must not wait for values that runtimes share: an idle or stopped runtime would hold up the others.
/// A runtime's value is made by its first call, and dropped when the runtime ends or on [`close`](Self::close).
///
/// ```
/// use session_store_kit::batch::PerRuntime;
/// use tokio::sync::Semaphore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> session_core::Result<()> {
/// let room = PerRuntime::new(|| Ok(Semaphore::new(32)));
/// let here = room.get()?;
/// let _permit = here.acquire().await;
/// assert_eq!(room.get()?.available_permits(), 31);
/// # Ok(())
/// # }
/// ```
pub struct PerRuntime<T>(Arc<Values<T>>);

struct Values<T> {
    make: Box<dyn Fn() -> Result<T> + Send + Sync>,
    /// `None` once closed.
    made: RwLock<Option<Made<T>>>,
}

/// Values of the runtimes that have called.
type Made<T> = Vec<(Id, Arc<T>)>;

impl<T: Send + Sync + 'static> PerRuntime<T> {
    /// Makes each value by `make`, on the runtime that it is for.
    pub fn new(make: impl Fn() -> Result<T> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Values { make: Box::new(make), made: RwLock::new(Some(Vec::new())) }))
    }

    /// Like [`new`](Self::new), with `first` as the value of the calling runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn with(first: T, make: impl Fn() -> Result<T> + Send + Sync + 'static) -> Self {
        let this = Self::new(make);
        // Nothing can have closed it yet.
        let _ = this.insert(Handle::current().id(), first);
        this
    }

    /// Returns the value of the calling runtime, and makes it if there is none.
    ///
    /// # Errors
    /// The error of making the value, and [`CLOSED`] after [`close`](Self::close).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn get(&self) -> Result<Arc<T>> {
        let runtime = Handle::current().id();
        if let Some(value) = find(self.0.read().as_ref().ok_or(CLOSED)?, runtime) {
            return Ok(value);
        }
        self.insert(runtime, (self.0.make)()?)
    }

    fn insert(&self, runtime: Id, new: T) -> Result<Arc<T>> {
        let new = Arc::new(new);
        let mut made = self.0.write();
        let values = made.as_mut().ok_or(CLOSED)?;
        // Another thread of this runtime may have been faster.
        if let Some(value) = find(values, runtime) {
            return Ok(value);
        }
        values.push((runtime, Arc::clone(&new)));
        drop(made);
        let values: Weak<Values<T>> = Arc::downgrade(&self.0);
        tell_at_end(runtime, values);
        Ok(new)
    }

    /// Gives up the values of all runtimes. Later calls of [`get`](Self::get) return [`CLOSED`].
    ///
    /// Returns the value of the calling runtime, if it has made one. The others are dropped once the calls that use them end.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn close(&self) -> Option<Arc<T>> {
        // Dropped without the lock, because dropping connections may take a while.
        let made = self.0.write().take()?;
        find(&made, Handle::current().id())
    }
}

fn find<T>(made: &[(Id, Arc<T>)], runtime: Id) -> Option<Arc<T>> {
    made.iter().find(|(of, _)| *of == runtime).map(|(_, value)| Arc::clone(value))
}

impl<T> Values<T> {
    /// Locks the values. Only complete entries are added and removed under this lock, so a poisoned lock guards nothing half done.
    fn read(&self) -> RwLockReadGuard<'_, Option<Made<T>>> {
        self.made.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<Made<T>>> {
        self.made.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for PerRuntime<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for PerRuntime<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerRuntime").field("runtimes", &self.0.read().as_ref().map(Vec::len)).finish_non_exhaustive()
    }
}

/// Drops the value of a runtime.
trait Forget: Send + Sync {
    fn forget(&self, runtime: Id);
}

impl<T: Send + Sync> Forget for Values<T> {
    fn forget(&self, runtime: Id) {
        let mut made = self.write();
        let gone = made.as_mut().and_then(|made| {
            let at = made.iter().position(|(of, _)| *of == runtime)?;
            Some(made.swap_remove(at))
        });
        drop(made);
        // Without the lock, because dropping connections may take a while.
        drop(gone);
    }
}

/// Runtimes in use, each with the values to drop when it ends.
static RUNTIMES: Mutex<Runtimes> = Mutex::new(Vec::new());

type Runtimes = Vec<(Id, Vec<Weak<dyn Forget>>)>;

fn runtimes() -> MutexGuard<'static, Runtimes> {
    RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes `values` forget the calling runtime when it ends. One task per runtime does this for all values in the process, because
/// a runtime drops its tasks when it ends.
fn tell_at_end(runtime: Id, values: Weak<dyn Forget>) {
    let mut runtimes = runtimes();
    if let Some((_, told)) = runtimes.iter_mut().find(|(id, _)| *id == runtime) {
        told.retain(|values| values.strong_count() > 0);
        told.push(values);
        return;
    }
    runtimes.push((runtime, vec![values]));
    drop(runtimes);
    let ends = Ends(runtime);
    // Without the lock, because a runtime that is shutting down drops the task at once.
    tokio::spawn(async move {
        let _ends = ends;
        pending::<()>().await;
    });
}

/// Held by a task of the runtime, and dropped when the runtime ends.
struct Ends(Id);

impl Drop for Ends {
    fn drop(&mut self) {
        let mut runtimes = runtimes();
        let at = runtimes.iter().position(|(id, _)| *id == self.0);
        let told = at.map(|at| runtimes.swap_remove(at).1).unwrap_or_default();
        drop(runtimes);
        for values in told.iter().filter_map(Weak::upgrade) {
            values.forget(self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    fn get<T: Send + Sync + 'static>(values: &PerRuntime<T>, on: &Runtime) -> Arc<T> {
        on.block_on(async { values.get().unwrap() })
    }

    #[test]
    fn each_runtime_keeps_its_own_value_until_it_ends() {
        let values = PerRuntime::new(|| Ok(()));
        let (a, b) = (runtime(), runtime());
        let (of_a, of_b) = (get(&values, &a), get(&values, &b));
        assert!(Arc::ptr_eq(&of_a, &get(&values, &a)) && Arc::ptr_eq(&of_b, &get(&values, &b)));
        assert!(!Arc::ptr_eq(&of_a, &of_b));
        drop(a);
        assert_eq!((Arc::strong_count(&of_a), Arc::strong_count(&of_b)), (1, 2));
        drop(values);
        assert_eq!(Arc::strong_count(&of_b), 1);
    }

    #[test]
    fn closing_gives_up_the_values_of_all_runtimes() {
        let values = PerRuntime::new(|| Ok(()));
        let (a, b) = (runtime(), runtime());
        let (of_a, of_b) = (get(&values, &a), get(&values, &b));
        let returned = a.block_on(async { values.clone().close() }).unwrap();
        assert!(Arc::ptr_eq(&returned, &of_a));
        assert_eq!((Arc::strong_count(&of_a), Arc::strong_count(&of_b)), (2, 1));
        for on in [&a, &b] {
            assert_eq!(on.block_on(async { values.get() }).unwrap_err().to_string(), CLOSED.to_string());
            assert!(on.block_on(async { values.close() }).is_none());
        }
    }

    #[test]
    fn one_task_of_a_runtime_serves_all_values() {
        let on = runtime();
        let values: Vec<_> = (0..10).map(|n| PerRuntime::new(move || Ok(n))).collect();
        let got: Vec<_> = values.iter().map(|values| get(values, &on)).collect();
        assert_eq!(on.metrics().num_alive_tasks(), 1);
        drop(on);
        assert!(got.iter().all(|value| Arc::strong_count(value) == 1));
    }
}
