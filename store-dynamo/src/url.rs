//! Parser of `dynamodb://…` URLs.

use session_core::Result;
use session_store_kit::{ServerUrl, UrlSettings, is_loopback, wrong};

use crate::DynamoStore;
use crate::builder::DynamoStoreBuilder;

const FORM: &str = "the URL is not of the form dynamodb://key:secret@host:port/region or dynamodb:///region";

impl DynamoStore {
    /// Opens the store at `url`.
    ///
    /// - `dynamodb:///eu-central-1`: AWS, in that region. The default region is the environment's.
    /// - `dynamodb://key:secret@localhost:8000/us-east-1`: another server with DynamoDB's protocol.
    ///
    /// Both forms may have an access key and its secret (`dynamodb://key:secret@/eu-central-1`). Without them credentials come
    /// from the sources that AWS's own tools use.
    ///
    /// Options are `namespace`, `timeout` and `wait` in ms, `create` (`true`, `false`), `pool` and `queue`, see [`DynamoStoreBuilder`], and
    /// `tls` (`true`, `false`): whether connections to the host use TLS. The default of `tls` is `true` unless the host is this
    /// machine.
    ///
    /// ```no_run
    /// use session_store_dynamo::DynamoStore;
    ///
    /// # async fn example() -> session_core::Result<()> {
    /// let store = DynamoStore::connect("dynamodb:///eu-central-1?namespace=web_sessions&timeout=2000").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for an invalid URL, and the errors of [`DynamoStoreBuilder::open`].
    pub async fn connect(url: &str) -> Result<Self> {
        parse(url)?.open().await
    }
}

/// Returns the builder that `url` describes.
pub(crate) fn parse(url: &str) -> Result<DynamoStoreBuilder> {
    let (ServerUrl { user, password, hosts: host, path: region, .. }, mut query) = ServerUrl::read(url, &["dynamodb"])?;
    let (given, tls) = (UrlSettings::read(&mut query)?, query.truth("tls")?);
    query.finish()?;
    let mut builder = DynamoStoreBuilder::on_aws();
    given.put(&mut builder.settings, &mut builder.create, &mut builder.pool);
    if !region.is_empty() {
        let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !region.bytes().all(named) {
            return wrong("the path of the URL is not the name of a region, such as eu-central-1");
        }
        builder = builder.region(region);
    }
    builder = match (user, password) {
        (Some(key), Some(secret)) => builder.keys(&key, &secret),
        (None, None) => builder,
        _ => return wrong(FORM),
    };
    if host.is_empty() {
        return match tls {
            None => Ok(builder),
            Some(_) => {
                wrong("the option tls is for a host, and the URL names none; leave it out, because AWS always uses TLS")
            }
        };
    }
    if !is_host(host) {
        return wrong(FORM);
    }
    let secure = tls.unwrap_or_else(|| !is_loopback(host.rsplit_once(':').map_or(host, |(name, _)| name)));
    Ok(builder.endpoint(&format!("{}://{host}", if secure { "https" } else { "http" })))
}

/// Whether `host` has the form `name`, `name:port`, `1.2.3.4:port` or `[::1]:port`.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let address = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
    let named = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(within) => within.bytes().all(address),
        None => !name.is_empty() && name.bytes().all(plain),
    };
    named && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use session_core::ErrorKind;

    use super::*;

    #[test]
    fn off_loopback_the_connection_is_encrypted_unless_the_url_says_otherwise() {
        for (url, endpoint) in [
            ("dynamodb://a:b@localhost:8000/us-east-1", Some("http://localhost:8000")),
            ("dynamodb://127.0.0.1:8000", Some("http://127.0.0.1:8000")),
            ("dynamodb://[::1]:8000/eu-west-1", Some("http://[::1]:8000")),
            ("dynamodb://dynamo.example/eu-west-1", Some("https://dynamo.example")),
            ("dynamodb://a:b@10.0.0.7:8000/eu-west-1", Some("https://10.0.0.7:8000")),
            ("dynamodb://10.0.0.7:8000/eu-west-1?tls=false", Some("http://10.0.0.7:8000")),
            ("dynamodb://localhost:8000/eu-west-1?tls=true", Some("https://localhost:8000")),
            ("dynamodb:///eu-central-1?namespace=web_sessions&pool=9", None),
            ("dynamodb://a:b@/eu-central-1", None),
            ("dynamodb://", None),
        ] {
            let builder = parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(builder.endpoint_url(), endpoint, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, part) in [
            ("postgres://db", "a URL of this store begins with dynamodb://"),
            ("dynamodb://a:pa?hunter2&x@/eu-west-1", "percent-encode the characters"),
            ("dynamodb:/eu-central-1", "begins with dynamodb://"),
            (
                "dynamodb:///eu-central-1?creat=true",
                "unknown option in the URL, perhaps `create` misspelt; known are namespace, timeout",
            ),
            ("dynamodb:///eu-central-1?create=maybe", "create is not true or false"),
            ("dynamodb:///eu-central-1?pool=many", "pool is not a number"),
            ("dynamodb:///eu-central-1?tls=true", "names none"),
            ("dynamodb:///EU/hunter2", "not the name of a region"),
            (
                "dynamodb://hunter2@localhost:8000/eu-west-1",
                "is not of the form dynamodb://key:secret@host:port/region",
            ),
            ("dynamodb://a:hunter2@local host/eu-west-1", "is not of the form"),
            ("dynamodb://a:hunter2@localhost:port/eu-west-1", "is not of the form"),
            ("dynamodb://a:hunter2@:8000/eu-west-1", "is not of the form"),
            ("dynamodb://a:hunter2%ff@localhost/eu-west-1", "not UTF-8"),
        ] {
            let error = parse(url).err().unwrap_or_else(|| panic!("{url} passes"));
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(part), "{url}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{url}: {error:?}");
        }
    }
}
