//! URL options that seal any store: `key`, the variable that holds the keys, and `accept_plain`.

use std::borrow::Cow;
use std::sync::Arc;

use session_core::{Result, Store};
use session_store_kit::{split, wrong};

/// Keys and options for sealing a store's records.
#[cfg(feature = "sealed")]
pub(crate) struct Sealing {
    ring: session_crypto::KeyRing,
    accept_plain: bool,
}

/// Uninhabited, because sealing is not compiled in.
#[cfg(not(feature = "sealed"))]
pub(crate) enum Sealing {}

/// Removes the sealing options from the URL. Returns the remaining URL unchanged, and the sealing that they ask for.
pub(crate) fn take<'u>(scheme: &str, url: &'u str) -> Result<(Cow<'u, str>, Option<Sealing>)> {
    let options = url.split_once('?').map_or("", |(_, options)| options);
    let ours = |pair: &str| matches!(pair.split('=').next(), Some("key" | "accept_plain"));
    if !options.split('&').any(ours) {
        return Ok((url.into(), None));
    }
    if matches!(scheme, "cookie" | "null") {
        return wrong(format!("{scheme}: keeps no records, so there is nothing for `key` to seal"));
    }
    let (path, mut query) = split(url)?;
    let (variable, accept_plain) = (query.text("key"), query.truth("accept_plain")?.unwrap_or(false));
    let rest = query.drivers("the store's own", |_| true);
    let url = if rest.is_empty() { path.to_owned() } else { format!("{path}?{rest}") };
    let Some(variable) = variable else {
        return wrong("the option accept_plain goes with `key`, which names the variable with the keys");
    };
    Ok((url.into(), Some(sealing(&variable, accept_plain)?)))
}

#[cfg(feature = "sealed")]
fn sealing(variable: &str, accept_plain: bool) -> Result<Sealing> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    // A value that does not look like a name may be the key itself, so the error does not show it.
    if variable.is_empty() || variable.len() > 64 || !variable.bytes().all(is_name) {
        return wrong("the option key is the name of an environment's variable, such as SESSION_KEY, not a key");
    }
    // A name in capitals is a variable's, and is shown if it is not set.
    if variable.bytes().any(|byte| byte.is_ascii_lowercase()) && std::env::var_os(variable).is_none() {
        return wrong(
            "the variable that the option key names is not set; set it, and do not write the key itself in the URL",
        );
    }
    Ok(Sealing { ring: session_crypto::KeyRing::from_env_var(variable)?, accept_plain })
}

#[cfg(not(feature = "sealed"))]
fn sealing(_: &str, _: bool) -> Result<Sealing> {
    wrong("the option key takes the cargo feature `sealed`, which is not compiled in")
}

/// Wraps `store` in a sealing layer if the URL asked for it.
pub(crate) fn around(store: Arc<dyn Store>, sealing: Option<Sealing>) -> Arc<dyn Store> {
    match sealing {
        #[cfg(feature = "sealed")]
        Some(Sealing { ring, accept_plain }) => {
            Arc::new(session_store_layers::Sealed::new(store, &ring).accept_plain(accept_plain))
        }
        #[cfg(not(feature = "sealed"))]
        Some(never) => match never {},
        None => store,
    }
}
