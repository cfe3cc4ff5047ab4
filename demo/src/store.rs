//! Opens the store that a URL names.

use std::sync::Arc;

use session_tower::{Error, Store};

/// Store of the sessions, and its name.
#[derive(Clone, Debug)]
pub(crate) struct NamedStore {
    pub(crate) store: Arc<dyn Store>,
    /// Scheme of the URL. The rest is not shown, because it may hold a password.
    pub(crate) name: String,
}

/// Opens the store that `url` names.
pub(crate) async fn connect(url: &str) -> Result<NamedStore, Error> {
    let store = session_store_any::connect(url).await?;
    Ok(NamedStore { store, name: session_store_any::scheme(url).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use session_tower::ErrorKind;

    use super::connect;

    #[tokio::test]
    async fn a_url_chooses_the_store() {
        assert_eq!(connect("memory://").await.unwrap().name, "memory");
        assert_eq!(connect("memory:").await.unwrap().name, "memory");
        assert_eq!(connect("sqlite::memory:").await.unwrap().name, "sqlite");
    }

    #[tokio::test]
    async fn a_wrong_url_is_a_wrong_configuration() {
        for url in ["", "sessions.db", "memory://x", "etcd://me:secret@db/x", "sqlite://"] {
            let error = connect(url).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }
}
