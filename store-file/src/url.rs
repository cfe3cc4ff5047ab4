//! Opening of a store by its `file:` URL.

use std::path::PathBuf;

use session_core::Result;
use session_store_kit::{decode, split, wrong};

use crate::{FileStore, FileStoreBuilder};

impl FileStore {
    /// Opens the store that `url` describes.
    ///
    /// `file://sessions` is relative to the working directory, `file:///var/lib/app/sessions` absolute.
    /// Characters may be percent-encoded.
    /// Options: `namespace`, `timeout` in ms, `queue`, `durable` and `create` (`true`, `false`), `readers`, `max_len` (bytes or `none`);
    /// [`FileStoreBuilder`] explains them.
    ///
    /// ```
    /// use session_store_file::FileStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> session_core::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let url = format!("file://{}/sessions", folder.path().display());
    /// # let _ = stringify!(
    /// let url = "file:///var/lib/app/sessions";
    /// # );
    /// let store = FileStore::connect(&format!("{url}?namespace=web_sessions&timeout=2000")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for an invalid URL, and the errors of [`FileStoreBuilder::open`].
    pub async fn connect(url: &str) -> Result<Self> {
        parse(url)?.open().await
    }
}

fn parse(url: &str) -> Result<FileStoreBuilder> {
    let (place, mut query) = split(url)?;
    let Some(place) = place.strip_prefix("file:") else {
        return wrong("a URL of this store begins with file:");
    };
    let mut builder = match place.strip_prefix("//").unwrap_or(place) {
        "" => return wrong("the URL names no folder; file://sessions is relative, file:///var/sessions absolute"),
        path => FileStoreBuilder::at(PathBuf::from(decode(path)?)),
    };
    builder.settings.read(&mut query)?;
    if let Some(durable) = query.truth("durable")? {
        builder = builder.durable(durable);
    }
    if let Some(create) = query.truth("create")? {
        builder = builder.create(create);
    }
    if let Some(readers) = query.number("readers")? {
        builder = builder.readers(readers);
    }
    match query.text("max_len").as_deref() {
        None => {}
        Some("none") => builder = builder.max_len(None),
        Some(bytes) => match bytes.parse() {
            Ok(bytes) => builder = builder.max_len(Some(bytes)),
            Err(_) => return wrong("the URL's option max_len is not a number of bytes or `none`"),
        },
    }
    query.finish()?;
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use session_core::ErrorKind;

    use super::*;

    #[test]
    fn paths_are_relative_or_absolute_and_may_be_escaped() {
        for (url, path) in [
            ("file://sessions", "sessions"),
            ("file:sessions", "sessions"),
            ("file:///var/lib/x", "/var/lib/x"),
            ("file:/var/lib/x", "/var/lib/x"),
            ("file://a%20b%3F?create=false", "a b?"),
        ] {
            assert_eq!(parse(url).unwrap().path, Path::new(path), "{url}");
        }
    }

    #[test]
    fn a_limit_is_a_number_or_none() {
        let limit = |url| parse(url).unwrap().max_len;
        assert_eq!(limit("file://x"), Some(1 << 20));
        assert_eq!(limit("file://x?max_len=4096"), Some(4096));
        assert_eq!(limit("file://x?max_len=none"), None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, part) in [
            ("sqlite://db", "begins with file:"),
            ("file:", "names no folder"),
            ("file://", "names no folder"),
            ("file://?create=true", "names no folder"),
            (
                "file://a?creat=true",
                "unknown option in the URL, perhaps `create` misspelt; known are namespace, timeout",
            ),
            ("file://a?durable=maybe", "durable is not true or false"),
            ("file://a?create", "create is not true or false"),
            ("file://a?timeout=5s", "milliseconds"),
            ("file://a?readers=many", "a number"),
            ("file://a?max_len=4k", "a number of bytes or `none`"),
            ("file://%ff", "not UTF-8"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(part), "{url}: {error}");
        }
    }
}
