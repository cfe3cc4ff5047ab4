#![doc = include_str!("../README.md")]

mod backends;
mod registry;
mod sealing;

use std::sync::Arc;

pub use registry::register;
use session_core::{Result, Store};

/// Opens the store that `url` names.
///
/// The scheme before the first `:` chooses the store. It is case-insensitive. The store reads the rest of the URL, except for the
/// options `key` and `accept_plain`, which wrap any store in a sealing layer.
///
/// The `connect` function of each store's crate documents its URL. For a scheme that was [`register`]ed, the registered function decides.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> session_core::Result<()> {
/// let url = std::env::var("SESSION_STORE").unwrap_or("memory:?max_entries=10000".to_owned());
/// let store = session_store_any::connect(&url).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ErrorKind::Config`](session_core::ErrorKind::Config) if the scheme is unknown or its store is not compiled in. The error lists the
/// available schemes. Otherwise any error of the store. No error of this crate quotes more of the URL than its scheme and the names of
/// options and variables.
pub async fn connect(url: &str) -> Result<Arc<dyn Store>> {
    let (scheme, connect) = registry::find(url)?;
    let (url, sealing) = sealing::take(&scheme, url)?;
    // Passed on in lower case, so that stores need not handle other spellings.
    let store = connect(format!("{scheme}{}", &url[scheme.len()..])).await?;
    Ok(sealing::around(store, sealing))
}

/// Returns the schemes that [`connect`] accepts now, sorted: those of compiled-in stores and those that were [`register`]ed.
///
/// ```
/// assert!(session_store_any::schemes().contains(&"memory".to_owned()));
/// ```
pub fn schemes() -> Vec<String> {
    registry::known()
}

/// Returns the scheme of `url` in lower case, such as `postgres`, or `None` if it has none.
///
/// The rest of the URL may be secret, so log only the scheme.
///
/// ```
/// assert_eq!(session_store_any::scheme("postgres://shop:secret@db.example/shop").as_deref(), Some("postgres"));
/// assert_eq!(session_store_any::scheme("sessions.db"), None);
/// ```
pub fn scheme(url: &str) -> Option<String> {
    registry::scheme(url)
}
