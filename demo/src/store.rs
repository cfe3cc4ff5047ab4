//! From a URL to a store.

use std::sync::Arc;

use session_core::{Result, Store};

/// Where sessions are kept.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) store: Arc<dyn Store>,
    /// What kind of place it is. The rest of the URL may hold a password and is nobody's business.
    pub(crate) name: String,
}

/// Opens the store that `url` names.
pub(crate) async fn connect(url: &str) -> Result<Place> {
    let store = store_any::connect(url).await?;
    Ok(Place { store, name: store_any::scheme(url).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use session_core::ErrorKind;

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
