//! The keys that sign ids and seal cookie sessions.

use session_core::{Error, ErrorKind, Result};
use session_tower::{CookieStore, KeyRing};

/// Where they are.
const VARIABLE: &str = "SESSION_SECRET";

/// The keys in `SESSION_SECRET`, the first of which writes; `None` if it is unset or empty.
pub(crate) fn given() -> Result<Option<KeyRing>> {
    match std::env::var_os(VARIABLE) {
        Some(text) if !text.is_empty() => KeyRing::from_env_var(VARIABLE).map(Some),
        _ => Ok(None),
    }
}

/// Makes `cookie:` a URL of its own beside those of all stores. Without keys there is one for as long as the program runs,
/// which logs a warning.
pub(crate) fn register(keys: Option<KeyRing>) -> Result<()> {
    store_any::register("cookie", move |url| {
        let keys = keys.clone();
        async move {
            if !matches!(&*url, "cookie:" | "cookie://") {
                let text = "nothing comes after `cookie:`: the keys are in SESSION_SECRET";
                return Err(Error::fixed(ErrorKind::Config, text));
            }
            Ok(CookieStore::new(&keys.unwrap_or_else(KeyRing::ephemeral)))
        }
    })
}
