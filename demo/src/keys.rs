//! Keys that sign ids and seal cookie sessions.

use session_tower::{CookieStore, Error, ErrorKind, KeyRing};

/// Environment variable that holds the keys.
const VARIABLE: &str = "SESSION_SECRET";

/// Returns the keys in `SESSION_SECRET`, of which the first one writes; `None` if it is unset or empty.
pub(crate) fn given() -> Result<Option<KeyRing>, Error> {
    match std::env::var_os(VARIABLE) {
        Some(text) if !text.is_empty() => KeyRing::from_env_var(VARIABLE).map(Some),
        _ => Ok(None),
    }
}

/// Registers the URL `cookie:`. Without keys it uses a random key until the program ends, and logs a warning.
pub(crate) fn register(keys: Option<KeyRing>) -> Result<(), Error> {
    session_store_any::register("cookie", move |url| {
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
