//! Options of every store on a server or in files.

use std::time::Duration;

use session_core::{Namespace, Result, hours, seconds};

use crate::{Query, within, wrong};

/// Options that every store has, whatever its database. Part of each builder.
///
/// ```
/// use session_store_kit::Settings;
///
/// let (_, mut query) = session_store_kit::split("x://host?timeout=250")?;
/// let mut settings = Settings::new();
/// settings.read(&mut query)?;
/// assert_eq!(settings.timeout.as_millis(), 250);
/// assert_eq!(settings.check()?.as_str(), "sessions");
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The name of the table, prefix or collection, of the form that [`Namespace`] allows. Default: `sessions`.
    pub namespace: String,
    /// Maximum time of a call, waiting included, and of opening. 1 ms to 1 hour. Default: 5 s.
    pub timeout: Duration,
    /// Number of calls that may wait before further calls wait for room within their time-out. At least 1. Default: 16,384.
    pub queue: usize,
    /// How long opening is retried while the server is not reachable. At most 1 hour. Default: zero, one attempt.
    pub wait: Duration,
}

impl Settings {
    /// Returns the default options.
    pub fn new() -> Self {
        Self { namespace: Namespace::default().to_string(), timeout: seconds(5), queue: 16_384, wait: Duration::ZERO }
    }

    /// Takes `namespace`, `timeout` (in ms) and `queue` from a URL.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if a value has the wrong form.
    pub fn read(&mut self, query: &mut Query<'_>) -> Result<()> {
        if let Some(namespace) = query.text("namespace") {
            self.namespace = namespace;
        }
        if let Some(timeout) = query.millis("timeout")? {
            self.timeout = timeout;
        }
        if let Some(queue) = query.number("queue")? {
            self.queue = queue;
        }
        Ok(())
    }

    /// Takes `wait` (in ms) from the URL of a store on a server.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if the value has the wrong form.
    pub fn read_wait(&mut self, query: &mut Query<'_>) -> Result<()> {
        if let Some(wait) = query.millis("wait")? {
            self.wait = wait;
        }
        Ok(())
    }

    /// Checks that all options are within their ranges, and returns the namespace.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if an option is out of range.
    pub fn check(&self) -> Result<Namespace> {
        if !(Duration::from_millis(1)..=hours(1)).contains(&self.timeout) {
            return wrong("timeout must be 1 ms to 1 hour");
        }
        within("queue", self.queue, 1..=usize::MAX)?;
        if self.wait > hours(1) {
            return wrong("wait must be at most 1 hour");
        }
        Namespace::new(&self.namespace)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

/// Options that a URL gives for a store with a pool.
///
/// ```
/// use session_store_kit::{UrlSettings, Settings};
///
/// let (_, mut query) = session_store_kit::split("x://host?timeout=250&pool=4")?;
/// let given = UrlSettings::read(&mut query)?;
/// query.finish()?;
/// let (mut settings, mut create, mut pool) = (Settings::new(), true, 8);
/// given.put(&mut settings, &mut create, &mut pool);
/// assert_eq!((settings.timeout.as_millis(), create, pool), (250, true, 4));
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UrlSettings {
    /// Options that every store has.
    pub settings: Settings,
    /// Whether to create missing tables; `None` if the URL does not say.
    pub create: Option<bool>,
    /// Maximum number of connections; `None` if the URL does not say.
    pub pool: Option<usize>,
}

impl UrlSettings {
    /// Takes what [`Settings::read`] and [`Settings::read_wait`] take, `create` (`true` or `false`) and `pool` from a URL.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if a value has the wrong form.
    pub fn read(query: &mut Query<'_>) -> Result<Self> {
        let mut settings = Settings::new();
        settings.read(query)?;
        settings.read_wait(query)?;
        Ok(Self { settings, create: query.truth("create")?, pool: query.number("pool")? })
    }

    /// Puts the options into a builder's fields. `create` and `pool` stay as they are if the URL does not give them.
    pub fn put(self, settings: &mut Settings, create: &mut bool, pool: &mut usize) {
        *settings = self.settings;
        *create = self.create.unwrap_or(*create);
        *pool = self.pool.unwrap_or(*pool);
    }
}

#[cfg(test)]
mod tests {
    use session_core::ErrorKind;

    use super::*;

    #[test]
    fn what_is_out_of_range_is_said() {
        type Change = fn(&mut Settings);
        let wrong: [(Change, &str); 6] = [
            (|s| s.namespace = "X; drop table".to_owned(), "a namespace must have"),
            (|s| s.namespace = String::new(), "a namespace must have"),
            (|s| s.timeout = Duration::ZERO, "timeout must be 1 ms to 1 hour"),
            (|s| s.timeout = hours(1) + Duration::from_nanos(1), "timeout must be 1 ms to 1 hour"),
            (|s| s.queue = 0, "queue must be at least 1"),
            (|s| s.wait = hours(1) + Duration::from_nanos(1), "wait must be at most 1 hour"),
        ];
        for (change, part) in wrong {
            let mut settings = Settings::new();
            settings.check().unwrap();
            change(&mut settings);
            let error = settings.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
