//! Parser of `mysql://…` and `mariadb://…` URLs.

use std::iter;

use session_core::Result;
use session_store_kit::is_loopback;
use session_store_sqlx::{ParsedUrl, UrlForm};
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use crate::MysqlStore;
use crate::builder::MysqlStoreBuilder;
use crate::url_options::{MEANT, OPTIONS};

const FORM: UrlForm = UrlForm {
    schemes: &["mysql", "mariadb"],
    options: OPTIONS,
    meant: MEANT,
    tls: ["ssl-mode", "ssl-cert", "ssl-key"],
    login: None,
    wrong: "the URL or one of the driver's options in it is not of the form mysql://user:password@host:port/database",
};

impl MysqlStore {
    /// Opens the store at `url`, of the form `mysql://user:password@host:port/database`. The scheme may also be `mariadb:`. Of several
    /// hosts, as in `mysql://a:3306,b:3307/database`, each connection uses the first one that is not read-only.
    ///
    /// Options of the store are `namespace`, `timeout` and `wait` in ms, `create` (`true`, `false`), `pool` and `queue`; see
    /// [`MysqlStoreBuilder`]. The driver's options are allowed as well, above all `ssl-mode` and `ssl-ca`; see
    /// [`MySqlConnectOptions`]. The default of `ssl-mode` is `VERIFY_IDENTITY` unless the server
    /// is on this machine: the connection is encrypted and the server's name verified. The crate's documentation lists what else
    /// providers write in URLs.
    ///
    /// ```no_run
    /// use session_store_mysql::MysqlStore;
    ///
    /// # async fn example() -> session_core::Result<()> {
    /// let store = MysqlStore::connect("mysql://shop@db.example/shop?namespace=web_sessions&timeout=2000").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for an invalid URL, and the errors of [`MysqlStoreBuilder::open`].
    pub async fn connect(url: &str) -> Result<Self> {
        parse(url)?.open().await
    }
}

/// Returns the builder that `url` describes.
pub(crate) fn parse(url: &str) -> Result<MysqlStoreBuilder> {
    let ParsedUrl { options, others, settings, connecting, .. } = read(url)?;
    let builder = MysqlStore::builder(options).url_settings(settings).connect_timeout(connecting);
    Ok(others.into_iter().fold(builder, MysqlStoreBuilder::or_server))
}

/// Reads a URL. Unless it says otherwise, connections to another machine verify the server's name.
fn read(url: &str) -> Result<ParsedUrl<MySqlConnectOptions>> {
    let mut parsed = FORM.read::<MySqlConnectOptions>(url)?;
    if !parsed.names_tls {
        for server in iter::once(&mut parsed.options).chain(&mut parsed.others).filter(|server| !is_local(server)) {
            *server = server.clone().ssl_mode(MySqlSslMode::VerifyIdentity);
        }
    }
    Ok(parsed)
}

/// Whether the server is on this machine; see [`is_loopback`].
fn is_local(options: &MySqlConnectOptions) -> bool {
    options.get_socket().is_some() || is_loopback(options.get_host())
}

#[cfg(test)]
mod tests {
    use session_core::ErrorKind;

    use super::*;

    #[test]
    fn off_loopback_the_servers_name_is_verified_unless_the_url_says_otherwise() {
        for (url, verified) in [
            ("mysql://localhost/a", false),
            ("mysql://127.0.0.1:3307/a", false),
            ("mariadb://[::1]/a", false),
            ("mysql://ann@localhost/a?socket=/run/mysqld/mysqld.sock", false),
            ("mysql://db.example/a", true),
            ("mariadb://10.0.0.7/a", true),
            ("mysql://localhost.example/a", true),
            ("mysql://db.example/a?ssl-mode=disabled", false),
            ("mysql://localhost/a?sslmode=VERIFY_IDENTITY", true),
        ] {
            let options = read(url).unwrap_or_else(|error| panic!("{url}: {error}")).options;
            assert_eq!(matches!(options.get_ssl_mode(), MySqlSslMode::VerifyIdentity), verified, "{url}");
        }
        let read = read("mysql://localhost,db.example/a").unwrap();
        let verified =
            [&read.options, &read.others[0]].map(|one| matches!(one.get_ssl_mode(), MySqlSslMode::VerifyIdentity));
        assert_eq!(verified, [false, true]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, part) in [
            ("postgres://db", "begins with mysql:// or mariadb://"),
            ("mysql:/db", "begins with mysql:// or mariadb://"),
            (
                "mysql://db?creat=true",
                "unknown option in the URL, perhaps `create` misspelt; known are namespace, timeout",
            ),
            ("mysql://db?retryWrites=true", "unknown option `retryWrites` in the URL; known are namespace, timeout"),
            ("mysql://db?create=maybe", "create is not true or false"),
            ("mysql://db?timeout=5s", "milliseconds"),
            ("mysql://db?pool=many", "a number"),
            ("mysql://db?namespace=%ff", "not UTF-8"),
            ("mysql://me:hunter2@db:port/a", "the port in the URL"),
            ("mysql://shop:pa?hunter2&x@db/a", "percent-encode the characters"),
            ("mysql://d b/a", "of the form mysql://user:password@host:port/database"),
            ("mysql://a,b/a?socket=/run/mysqld/mysqld.sock", "several hosts, so its option socket has no meaning"),
            ("mysql://a,,b/a", "a comma beside an empty host"),
            ("mysql://db?ssl-mode=hunter2", "the option ssl-mode of the URL is not disabled, preferred"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(part), "{url}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{url}: {error:?}");
        }
    }
}
