//! Registry of URL schemes.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use session_core::{Result, Store};
use session_store_kit::{check_copied, nearest, wrong};

use crate::backends::{BACKENDS, Connect, boxed};

/// Schemes that the application added. They apply to the whole process, so that a URL has one meaning in it.
static REGISTERED: RwLock<BTreeMap<String, Connect>> = RwLock::new(BTreeMap::new());

/// Maximum length of a scheme. A longer text before a `:` may be a secret and is not treated as a scheme.
const LONGEST: usize = 32;

/// Registers `connect` to open stores whose URL has the scheme `scheme`, in the whole process.
///
/// A scheme has 2 to 32 characters of `a-z`, `0-9`, `+`, `-` and `.`, and the first is a letter
/// ([RFC 3986, 3.1](https://www.rfc-editor.org/rfc/rfc3986#section-3.1)). The schemes of this workspace's stores are reserved even if
/// they are not compiled in, so that the meaning of a URL never depends on a feature.
///
/// ```
/// use session_store_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> session_core::Result<()> {
/// session_store_any::register("mine", |url| async move {
///     let _options = url.strip_prefix("mine://");
///     Ok(MemoryStore::new())
/// })?;
/// let store = session_store_any::connect("mine://somewhere").await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ErrorKind::Config`](session_core::ErrorKind::Config) if `scheme` is malformed or already taken.
pub fn register<C, F, S>(scheme: &str, connect: C) -> Result<()>
where
    C: Fn(String) -> F + Send + Sync + 'static,
    F: Future<Output = Result<S>> + Send + 'static,
    S: Store,
{
    if !is_scheme(scheme) || scheme.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return wrong("a scheme has 2 to 32 characters of a-z, 0-9, +, - and ., the first a letter");
    }
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    if registered.contains_key(scheme) || BACKENDS.iter().any(|backend| backend.schemes.contains(&scheme)) {
        return wrong(format!("the scheme {scheme}: is taken"));
    }
    registered.insert(scheme.to_owned(), boxed(connect));
    Ok(())
}

/// Returns the scheme of `url` in lower case and the function that opens its store.
pub(crate) fn find(url: &str) -> Result<(String, Connect)> {
    check_copied(url)?;
    let Some(scheme) = scheme(url) else {
        return wrong(format!("a store's URL begins with a scheme and a colon; {}", choice()));
    };
    if let Some(backend) = BACKENDS.iter().find(|backend| backend.schemes.contains(&&*scheme)) {
        let Some(connect) = (backend.connect)() else {
            let feature = backend.feature;
            return wrong(format!(
                "{scheme}: takes the cargo feature `{feature}`, which is not compiled in; {}",
                choice()
            ));
        };
        return Ok((scheme, connect));
    }
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    match registered.get(&scheme) {
        Some(connect) => Ok((scheme.clone(), Arc::clone(connect))),
        // `CookieStore` is in `session-http`, on which this crate does not depend.
        None if scheme == "cookie" => wrong(
            "cookie: a session in its cookie has no store to connect to; give the layer's manager a `CookieStore`, \
             or `register` one under this scheme",
        ),
        // The scheme is not quoted, because it may be the beginning of a URL that has none: a user, or a part of a password.
        None => {
            let built_in = BACKENDS.iter().flat_map(|backend| backend.schemes.iter().copied());
            match nearest(&scheme, built_in.chain(registered.keys().map(String::as_str))) {
                Some(near) => {
                    wrong(format!("there is no store for the URL's scheme, perhaps `{near}:` misspelt; {}", choice()))
                }
                None => wrong(format!("there is no store for the URL's scheme; {}", choice())),
            }
        }
    }
}

pub(crate) fn scheme(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once(':')?;
    is_scheme(scheme).then(|| scheme.to_ascii_lowercase())
}

/// Whether `text` is a scheme. A single letter is not, because it would be the drive of a Windows path.
fn is_scheme(text: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    (2..=LONGEST).contains(&text.len()) && text.as_bytes()[0].is_ascii_alphabetic() && text.bytes().all(rest)
}

pub(crate) fn known() -> Vec<String> {
    let built_in = BACKENDS.iter().filter(|backend| (backend.connect)().is_some());
    let mut schemes: Vec<String> =
        built_in.flat_map(|backend| backend.schemes.iter().map(|scheme| (*scheme).to_owned())).collect();
    schemes.extend(REGISTERED.read().unwrap_or_else(PoisonError::into_inner).keys().cloned());
    schemes.sort();
    schemes
}

fn choice() -> String {
    let known: Vec<_> = known().into_iter().map(|scheme| format!("{scheme}:")).collect();
    match &*known {
        [] => "no store is compiled in: session-store-any has a cargo feature for each".to_owned(),
        known => format!("there are {}", known.join(" ")),
    }
}
