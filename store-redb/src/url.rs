//! Opening of a store by its `redb:` URL.

use std::path::PathBuf;

use session_core::Result;
use session_store_kit::{decode, split, wrong};

use crate::{Durability, RedbStore, RedbStoreBuilder};

impl RedbStore {
    /// Opens the store that `url` describes.
    ///
    /// `redb://sessions.redb` is relative to the working directory, `redb:///var/lib/app/sessions.redb` absolute.
    /// Characters may be percent-encoded.
    /// Options: `namespace`, `timeout` in ms, `durability` (`immediate`, `delayed`), `create` (`true`, `false`), `cache` in MiB,
    /// `readers`; [`RedbStoreBuilder`] explains them.
    ///
    /// ```
    /// use session_store_redb::RedbStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> session_core::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let url = format!("redb://{}/sessions.redb?namespace=web_sessions&timeout=2000", directory.path().display());
    /// # let _ = stringify!(
    /// let url = "redb:///var/lib/shop/sessions.redb?namespace=web_sessions&timeout=2000";
    /// # );
    /// let store = RedbStore::connect(&url).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for an invalid URL, and the errors of [`RedbStoreBuilder::open`].
    pub async fn connect(url: &str) -> Result<Self> {
        parse(url)?.open().await
    }
}

fn parse(url: &str) -> Result<RedbStoreBuilder> {
    let (place, mut query) = split(url)?;
    let Some(place) = place.strip_prefix("redb:") else {
        return wrong("a URL of this store begins with redb:");
    };
    let mut builder = match place.strip_prefix("//").unwrap_or(place) {
        "" => {
            return wrong(
                "the URL names no file; redb://sessions.redb is relative, redb:///var/sessions.redb absolute",
            );
        }
        path => RedbStoreBuilder::at(PathBuf::from(decode(path)?)),
    };
    builder.settings.read(&mut query)?;
    let words = [("immediate", Durability::Immediate), ("delayed", Durability::Delayed)];
    if let Some(durability) = query.one_of("durability", &words)? {
        builder = builder.durability(durability);
    }
    if let Some(create) = query.truth("create")? {
        builder = builder.create(create);
    }
    if let Some(cache) = query.number("cache")? {
        builder = builder.cache(cache);
    }
    if let Some(readers) = query.number("readers")? {
        builder = builder.readers(readers);
    }
    query.finish()?;
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use session_core::ErrorKind;

    use super::*;

    fn file(url: &str) -> PathBuf {
        parse(url).unwrap().path
    }

    #[test]
    fn paths_are_relative_or_absolute_and_may_be_escaped() {
        assert_eq!(file("redb://sessions.redb"), Path::new("sessions.redb"));
        assert_eq!(file("redb:sessions.redb"), Path::new("sessions.redb"));
        assert_eq!(file("redb:///var/x.redb"), Path::new("/var/x.redb"));
        assert_eq!(file("redb://a%20b%3F.redb?create=false"), Path::new("a b?.redb"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, part) in [
            ("postgres://db", "begins with redb:"),
            ("redb:", "names no file"),
            ("redb://", "names no file"),
            ("redb://?create=true", "names no file"),
            (
                "redb://a.redb?creat=true",
                "unknown option in the URL, perhaps `create` misspelt; known are namespace, timeout",
            ),
            ("redb://a.redb?create=maybe", "create is not true or false"),
            ("redb://a.redb?timeout=5s", "milliseconds"),
            ("redb://a.redb?durability=none", "immediate or delayed"),
            ("redb://a.redb?cache=64MB", "a number"),
            ("redb://a.redb?readers=many", "a number"),
            ("redb://%ff.redb", "not UTF-8"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(part), "{url}: {error}");
        }
    }
}
