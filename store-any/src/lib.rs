#![doc = include_str!("../README.md")]

mod backends;
mod registry;
mod sealing;

use std::sync::Arc;

pub use registry::register;
use session_core::{Result, Store};

/// Opens the store that `url` names. The scheme, the part before the first `:`, chooses it, in upper or lower case;
/// everything else is that store's to read, options included.
///
/// `connect` of the crate of the store, or of what was [`register`]ed, says what the URL may have.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> session_core::Result<()> {
/// let url = std::env::var("SESSION_STORE").unwrap_or("memory:?max_entries=10000".to_owned());
/// let store = store_any::connect(&url).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ErrorKind::Config`](session_core::ErrorKind::Config) if the scheme is unknown or its store is not compiled in,
/// naming those that are, and whatever the store answers. No error quotes more of the URL than its scheme.
pub async fn connect(url: &str) -> Result<Arc<dyn Store>> {
    let (scheme, connect) = registry::find(url)?;
    let (url, sealing) = sealing::take(url)?;
    // As it is written in the documentation: stores need not know that schemes have no case.
    let store = connect(format!("{scheme}{}", &url[scheme.len()..])).await?;
    Ok(sealing::around(store, sealing))
}

/// The schemes that [`connect`] knows now, in order: compiled in or [`register`]ed.
///
/// ```
/// assert!(store_any::schemes().contains(&"memory".to_owned()));
/// ```
pub fn schemes() -> Vec<String> {
    registry::known()
}

/// The scheme of `url` as [`connect`] understands it, such as `postgres`; what else is in the URL may be secret.
///
/// ```
/// assert_eq!(store_any::scheme("postgres://shop:secret@db.example/shop").as_deref(), Some("postgres"));
/// assert_eq!(store_any::scheme("sessions.db"), None);
/// ```
pub fn scheme(url: &str) -> Option<String> {
    registry::scheme(url)
}
