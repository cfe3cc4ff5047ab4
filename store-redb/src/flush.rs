//! Writing of delayed commits to disk, on a separate thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use session_core::{Error, ErrorKind, Result};
use session_store_kit::batch::Pass;

/// Longest time for which a commit stays in memory only.
const DELAY: Duration = Duration::from_secs(1);

/// Handle that wakes the thread. The thread flushes what is left and ends when the handle is dropped.
pub(crate) struct Flusher {
    /// Whether there are commits in memory of which the thread has been told.
    dirty: Arc<AtomicBool>,
    wake: SyncSender<()>,
}

impl Flusher {
    /// Starts the thread, which calls `flush` within a second of a notification. It has `pass` until it has ended.
    pub(crate) fn start(flush: impl FnMut() -> Result<()> + Send + 'static, pass: Pass) -> Result<Self> {
        Self::with_delay(DELAY, flush, pass)
    }

    fn with_delay(delay: Duration, mut flush: impl FnMut() -> Result<()> + Send + 'static, pass: Pass) -> Result<Self> {
        let (wake, woken) = sync_channel(1);
        let dirty = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&dirty);
        let work = move || {
            while woken.recv().is_ok() {
                let goes_on = waits(&woken, delay);
                // Before the flush: what is committed during it is flushed the next time.
                told.store(false, Ordering::SeqCst);
                if let Err(error) = flush() {
                    tracing::error!(%error, "delayed commits of the session database could not be written to disk");
                }
                if !goes_on {
                    break;
                }
            }
            drop((flush, pass));
        };
        thread::Builder::new().name("redb-flush".to_owned()).spawn(work).map_err(|error| {
            Error::fixed(ErrorKind::Other, "the system cannot start a thread for delayed commits").with_source(&error)
        })?;
        Ok(Self { dirty, wake })
    }

    /// Tells the thread that there are commits in memory.
    pub(crate) fn notify(&self) {
        if !self.dirty.swap(true, Ordering::SeqCst) {
            // A full channel means that the thread has been told already.
            let _ = self.wake.try_send(());
        }
    }
}

/// Waits for `delay`. Returns `false` as soon as the handle is dropped.
fn waits(woken: &Receiver<()>, delay: Duration) -> bool {
    let end = Instant::now() + delay;
    loop {
        match woken.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use session_store_kit::batch::Entrance;

    use super::*;

    #[test]
    fn commits_are_flushed_after_the_delay_and_at_the_end() {
        for delay in [Duration::ZERO, Duration::from_secs(3600)] {
            let entrance = Entrance::default();
            let (flushed, flushes) = channel();
            let flush = move || {
                flushed.send(()).unwrap();
                Ok(())
            };
            let flusher = Flusher::with_delay(delay, flush, entrance.enter().unwrap()).unwrap();
            flusher.notify();
            if delay.is_zero() {
                flushes.recv().unwrap();
                flusher.notify();
                flushes.recv().unwrap();
                flusher.notify();
            }
            drop(flusher);
            flushes.recv().unwrap();
            assert!(flushes.recv().is_err(), "the thread has ended");
        }
    }
}
