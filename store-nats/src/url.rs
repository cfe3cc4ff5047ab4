//! Parser of `nats:` URLs.

use session_core::Result;
use session_store_kit::{ServerUrl, decode, wrong};

use crate::NatsStore;
use crate::address::Address;
use crate::builder::{BUCKET, NatsStoreBuilder, check_bucket};
use crate::login::Login;
use crate::storage::Storage;

impl NatsStore {
    /// Opens the store that `url` describes.
    ///
    /// The form is `nats://user:password@host:port,host:port/bucket`. A token takes the place of the user: `nats://token@host`.
    /// The port is 4222 and the bucket `sessions` unless given.
    /// Options: `namespace`, `timeout` and `wait` in ms, `queue`, `create` (`true`, `false`), `replicas`, `storage` (`file`, `memory`),
    /// `tls` (`true`, `false`), and the paths `tls-ca`, `creds` and `nkey`, which [`NatsStoreBuilder`] explains.
    ///
    /// ```no_run
    /// use session_store_nats::NatsStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> session_core::Result<()> {
    /// let store = NatsStore::connect("nats://localhost/shop?namespace=web_sessions&timeout=2000").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for an invalid URL, and the errors of [`NatsStoreBuilder::open`].
    pub async fn connect(url: &str) -> Result<Self> {
        parse(url)?.open().await
    }

    /// Returns a builder for the store that `url` describes.
    ///
    /// ```no_run
    /// use session_core::seconds;
    /// use session_store_nats::NatsStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> session_core::Result<()> {
    /// let store = NatsStore::builder("nats://localhost")?.namespace("web_sessions").timeout(seconds(2)).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for an invalid URL.
    pub fn builder(url: &str) -> Result<NatsStoreBuilder> {
        parse(url)
    }
}

/// Parses `url` into a builder.
fn parse(url: &str) -> Result<NatsStoreBuilder> {
    let (parts, mut query) = ServerUrl::read(url, &["nats"])?;
    let bucket = match parts.path {
        "" => BUCKET.to_owned(),
        path => decode(path)?,
    };
    check_bucket(&bucket)?;
    let login = match (parts.user, parts.password) {
        (Some(user), Some(password)) => Login::Password { user, password },
        (Some(token), None) => Login::Token(token),
        (None, None) => Login::None,
        (None, Some(_)) => {
            return wrong("the URL has a password without a user: nats://user:password@host, or nats://token@host");
        }
    };
    let mut addresses: Vec<Address> = Vec::new();
    for place in parts.hosts.split(',') {
        let address = Address::parse(place)?;
        if addresses.contains(&address) {
            return wrong("the URL names one server twice; name each once");
        }
        addresses.push(address);
    }
    let mut builder = NatsStoreBuilder::at(addresses, bucket, login);
    builder.settings.read(&mut query)?;
    builder.settings.read_wait(&mut query)?;
    builder.create = query.truth("create")?.unwrap_or(builder.create);
    builder.replicas = query.number("replicas")?.unwrap_or(builder.replicas);
    builder.storage = match query.text("storage").as_deref() {
        None => builder.storage,
        Some("file") => Storage::File,
        Some("memory") => Storage::Memory,
        Some(_) => return wrong("the URL's option storage must be file or memory"),
    };
    let (creds, nkey) = (query.text("creds"), query.text("nkey"));
    let (tls, authorities) = (query.truth("tls")?, query.text("tls-ca"));
    query.finish()?;
    if let Some(path) = creds {
        builder = builder.credentials(path)?;
    }
    if let Some(path) = nkey {
        builder = builder.nkey(path)?;
    }
    match (tls, authorities) {
        (Some(false), Some(_)) => {
            wrong("the URL's option tls-ca requires TLS, and `tls=false` forbids it: leave one of them out")
        }
        (_, Some(path)) => builder.tls_ca(path),
        (Some(tls), None) => Ok(builder.tls(tls)),
        (None, None) => Ok(builder),
    }
}

#[cfg(test)]
mod tests {
    use session_core::ErrorKind;

    use super::*;

    #[test]
    fn every_option_is_known() {
        for url in [
            "nats://localhost",
            "nats://token@localhost/",
            "nats://ann:secret@localhost:7000,[::1]:7001,127.0.0.1/shop_1-a?namespace=web&timeout=2000&wait=10&queue=9&create=false&replicas=3&storage=memory&tls=true",
            "nats://db.example?tls=false",
        ] {
            assert!(parse(url).is_ok(), "{url}: {:?}", parse(url));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, part) in [
            ("redis://localhost", "begins with nats://"),
            ("nats://", "names no server"),
            ("nats://a,,b", "names no server"),
            ("nats://a,b,a:4222", "names one server twice"),
            ("nats://localhost/a.b", "the name of a bucket"),
            ("nats://localhost/a/b", "the name of a bucket"),
            ("nats://:secret@localhost", "a password without a user"),
            ("nats://localhost?name=a", "unknown option in the URL"),
            ("nats://localhost?replicas=many", "a number"),
            ("nats://localhost?storage=disk", "file or memory"),
            ("nats://localhost?tls=maybe", "true or false"),
            ("nats://localhost?tls-ca=/nowhere/secret.pem", "does not exist"),
            ("nats://localhost?tls=false&tls-ca=/nowhere/secret.pem", "leave one of them out"),
            ("nats://localhost?creds=/nowhere/secret.creds", "the option creds does not exist"),
            ("nats://localhost?nkey=/nowhere/secret.nk", "the option nkey does not exist"),
            ("nats://ann:pa?secret&x@localhost", "percent-encode the characters"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(part), "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{url}");
        }
    }
}
