//! Opening of a store by its `sqlite:` URL.

use std::path::PathBuf;

use session_core::Result;
use session_store_kit::{decode, split, wrong};

use crate::{SqliteStore, SqliteStoreBuilder, Synchronous};

impl SqliteStore {
    /// Opens the store that `url` describes.
    ///
    /// `sqlite://sessions.db` is relative to the working directory, `sqlite:///var/lib/app/sessions.db` absolute,
    /// `sqlite::memory:` in memory. Characters may be percent-encoded.
    /// Options: `namespace`, `timeout` in ms, `synchronous` (`normal`, `full`), `create` (`true`, `false`), `readers`;
    /// [`SqliteStoreBuilder`] explains them.
    ///
    /// ```
    /// use session_store_sqlite::SqliteStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> session_core::Result<()> {
    /// let store = SqliteStore::connect("sqlite::memory:?namespace=web_sessions&timeout=2000").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for an invalid URL, and the errors of [`SqliteStoreBuilder::open`].
    pub async fn connect(url: &str) -> Result<Self> {
        parse(url)?.open().await
    }
}

fn parse(url: &str) -> Result<SqliteStoreBuilder> {
    let (place, mut query) = split(url)?;
    let Some(place) = place.strip_prefix("sqlite:") else {
        return wrong("a URL of this store begins with sqlite:");
    };
    let mut builder = match place.strip_prefix("//").unwrap_or(place) {
        ":memory:" => SqliteStoreBuilder::in_memory(),
        "" => {
            return wrong(
                "the URL names no file; sqlite://sessions.db is relative, sqlite:///var/sessions.db absolute",
            );
        }
        path => SqliteStoreBuilder::at(PathBuf::from(decode(path)?)),
    };
    builder.settings.read(&mut query)?;
    let words = [("normal", Synchronous::Normal), ("full", Synchronous::Full)];
    if let Some(synchronous) = query.one_of("synchronous", &words)? {
        builder = builder.synchronous(synchronous);
    }
    if let Some(create) = query.truth("create")? {
        builder = builder.create(create);
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
    use crate::config::Location;

    fn file(url: &str) -> PathBuf {
        match parse(url).unwrap().location() {
            Location::File(path) => path.clone(),
            Location::Memory => panic!("{url} is memory"),
        }
    }

    #[test]
    fn paths_are_relative_or_absolute_and_may_be_escaped() {
        assert_eq!(file("sqlite://sessions.db"), Path::new("sessions.db"));
        assert_eq!(file("sqlite:sessions.db"), Path::new("sessions.db"));
        assert_eq!(file("sqlite:///var/x.db"), Path::new("/var/x.db"));
        assert_eq!(file("sqlite://a%20b%3F.db?create=false"), Path::new("a b?.db"));
        for memory in ["sqlite::memory:", "sqlite://:memory:", "sqlite://:memory:?namespace=a"] {
            assert!(matches!(parse(memory).unwrap().location(), Location::Memory), "{memory}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, part) in [
            ("postgres://db", "begins with sqlite:"),
            ("sqlite:", "names no file"),
            ("sqlite://", "names no file"),
            ("sqlite://?create=true", "names no file"),
            (
                "sqlite://a.db?creat=true",
                "unknown option in the URL, perhaps `create` misspelt; known are namespace, timeout",
            ),
            ("sqlite://a.db?create=maybe", "create is not true or false"),
            ("sqlite://a.db?create", "create is not true or false"),
            ("sqlite://a.db?timeout=5s", "milliseconds"),
            ("sqlite://a.db?timeout=-1", "milliseconds"),
            ("sqlite://a.db?synchronous=off", "normal or full"),
            ("sqlite://a.db?readers=many", "a number"),
            ("sqlite://%ff.db", "not UTF-8"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(part), "{url}: {error}");
        }
    }
}
