#![doc = include_str!("../README.md")]

#[cfg(feature = "batch")]
mod any_write;
#[cfg(feature = "batch")]
pub mod batch;
mod builder;
#[cfg(feature = "batch")]
mod clock;
#[cfg(feature = "files")]
mod files;
#[cfg(feature = "mutants")]
#[doc(hidden)]
pub mod mutant;
#[cfg(all(feature = "batch", not(feature = "mutants")))]
mod mutant;
mod names;
#[cfg(feature = "batch")]
pub mod operations;
#[cfg(feature = "batch")]
pub mod outcome;
#[cfg(all(unix, feature = "files"))]
mod owners;
mod password;
mod path;
mod pem;
mod server;
mod settings;
mod stored;
#[cfg(feature = "tls")]
mod tls;
mod url;
#[cfg(feature = "batch")]
mod wait;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

#[cfg(feature = "batch")]
pub use any_write::AnyWrite;
#[cfg(feature = "batch")]
pub use clock::ClockCheck;
#[cfg(feature = "files")]
pub use files::{is_at, open_private, private};
pub use names::nearest;
#[cfg(all(unix, feature = "files"))]
pub use owners::{PathError, check_access, check_owners};
pub use password::PasswordSource;
pub use path::absolute;
pub use pem::{Pem, check_pem};
pub use server::{ServerUrl, host_and_port};
use session_core::{Error, ErrorKind, Record, Result};
pub use settings::{Settings, UrlSettings};
pub use stored::{WRONG_TYPE, stored_principal, stored_record};
#[cfg(feature = "tls")]
pub use tls::tls_config;
pub use url::{Query, check_copied, decode, split};
#[cfg(feature = "batch")]
pub use wait::waiting;

/// Error of a call or of opening that had no answer within its time-out: [`ErrorKind::Unavailable`].
///
/// ```
/// use session_store_kit::TIMED_OUT;
///
/// assert_eq!(TIMED_OUT.to_string(), "the session store is unavailable: no answer within the time-out");
/// ```
pub const TIMED_OUT: Error = Error::fixed(ErrorKind::Unavailable, "no answer within the time-out");

/// Returns the error of a wrong URL or option: [`ErrorKind::Config`].
///
/// A literal is kept as it is, so it may show the form of a URL with a password. Other texts are redacted.
///
/// ```
/// assert!(session_store_kit::wrong::<()>("the URL names no file").is_err());
/// ```
///
/// # Errors
/// Always.
pub fn wrong<T>(message: impl Into<Cow<'static, str>>) -> Result<T> {
    Err(match message.into() {
        Cow::Borrowed(literal) => Error::fixed(ErrorKind::Config, literal),
        Cow::Owned(text) => Error::new(ErrorKind::Config, text),
    })
}

/// Checks that an option's value is within its range.
///
/// ```
/// assert!(session_store_kit::within("pool", 8, 1..=1000).is_ok());
/// let error = session_store_kit::within("pool", 0, 1..=1000).unwrap_err();
/// assert!(error.to_string().ends_with("pool must be 1 to 1000"));
/// ```
///
/// # Errors
/// [`ErrorKind::Config`] if the value is out of range.
pub fn within(name: &str, value: usize, range: RangeInclusive<usize>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    if *range.end() == usize::MAX {
        return wrong(format!("{name} must be at least {}", range.start()));
    }
    wrong(format!("{name} must be {} to {}", range.start(), range.end()))
}

/// Maximum length of a record's data, 16 MiB, in stores whose server allows more.
///
/// A longer record would keep the batches of other calls waiting.
pub const MAX_DATA_LEN: usize = 16 << 20;

/// Checks that a record's data is at most `max` bytes long.
///
/// ```
/// use session_core::{Bytes, Record, Timestamp, Version};
///
/// let record = Record::new(Version::random(), Timestamp::MIN, Timestamp::MAX, None, Bytes::from_static(b"{}"));
/// assert!(session_store_kit::fits(&record, 2).is_ok());
/// assert!(session_store_kit::fits(&record, 1).is_err());
/// ```
///
/// # Errors
/// [`ErrorKind::TooLarge`] if the data is longer.
pub fn fits(record: &Record, max: usize) -> Result<()> {
    if record.data.len() <= max {
        return Ok(());
    }
    Err(Error::new(ErrorKind::TooLarge, format!("the data of the session is longer than {max} bytes")))
}

/// Checks that an existing table or file belongs to this store and has the layout of this release.
///
/// `stored` is the layout number noted when it was made, if any. `known` is the number of this release. `what` names the table
/// or file in the error.
///
/// ```
/// use session_store_kit::check_layout;
///
/// assert!(check_layout("the table `web`", Some(1), 1).is_ok());
/// let error = check_layout("the table `web`", Some(2), 1).unwrap_err();
/// assert!(error.to_string().ends_with("the table `web` has layout 2; this release reads and writes layout 1"));
/// let error = check_layout("the table `web`", None, 1).unwrap_err();
/// assert!(error.to_string().ends_with("the table `web` was not made by this store; choose another namespace"));
/// ```
///
/// # Errors
/// [`ErrorKind::Config`] if it was not made by this store, or has another layout.
pub fn check_layout(what: impl fmt::Display, stored: Option<i64>, known: i64) -> Result<()> {
    match stored {
        Some(stored) if stored == known => Ok(()),
        Some(other) => wrong(format!("{what} has layout {other}; this release reads and writes layout {known}")),
        None => wrong(format!("{what} was not made by this store; choose another namespace")),
    }
}

/// Whether `host` is this machine.
///
/// A connection to it cannot be intercepted on a network. True for `localhost` and for loopback addresses. IPv6 addresses may have brackets.
/// Names are not looked up, because their addresses may change.
///
/// ```
/// use session_store_kit::is_loopback;
///
/// assert!(is_loopback("localhost") && is_loopback("127.0.0.1") && is_loopback("[::1]"));
/// assert!(!is_loopback("10.0.0.7") && !is_loopback("localhost.example"));
/// ```
pub fn is_loopback(host: &str) -> bool {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
