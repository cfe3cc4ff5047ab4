//! Log output of the code under test.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Writer that keeps what is written to it. Clones share one text.
///
/// ```
/// use std::io::Write as _;
///
/// let log = session_conformance::log::Log::default();
/// let mut writer = log.clone(); // for example `tracing_subscriber::fmt().with_writer(move || writer.clone())`
/// writeln!(writer, "WARN the store is full")?;
/// assert!(log.text().contains("WARN"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Returns what was written so far. Bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
