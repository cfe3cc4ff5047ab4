//! `mysql://…` and `mariadb://…`, taken apart.

use std::str::FromStr as _;

use session_core::{Error, ErrorKind, Result};
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use store_options::{Settings, is_loopback, split, wrong};

use crate::{MysqlStore, MysqlStoreBuilder};

/// The driver's own. It would pass over others in silence.
const DRIVERS: [&str; 14] = [
    "sslmode",
    "ssl-mode",
    "sslca",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "charset",
    "collation",
    "socket",
    "statement-cache-capacity",
    "timezone",
    "time-zone",
];

/// How an error for an unknown option names them, the usual ones.
const DRIVERS_MEANT: &str = "the driver's (ssl-mode, ssl-ca, ssl-cert, ssl-key, socket, statement-cache-capacity, charset, collation, timezone)";

/// The builder that `url` describes.
pub(crate) fn parse(url: &str) -> Result<MysqlStoreBuilder> {
    let (place, mut query) = split(url)?;
    if !place.starts_with("mysql://") && !place.starts_with("mariadb://") {
        return wrong("a URL of this store begins with mysql:// or mariadb://");
    }
    let mut settings = Settings::new();
    settings.read(&mut query)?;
    let (create, pool) = (query.truth("create")?, query.number("pool")?);
    let mut tls = false;
    let drivers = query.drivers(DRIVERS_MEANT, |name| {
        tls |= matches!(name, "sslmode" | "ssl-mode");
        DRIVERS.contains(&name)
    });
    query.finish()?;
    let mut options = MySqlConnectOptions::from_str(&format!("{place}?{drivers}")).map_err(|_| {
        // The driver would quote what it could not read.
        Error::fixed(
            ErrorKind::Config,
            "the URL or one of the driver's options in it is not of the form mysql://user:password@host:port/database",
        )
    })?;
    if !tls && !is_local(&options) {
        options = options.ssl_mode(MySqlSslMode::VerifyIdentity);
    }
    let mut builder = MysqlStore::builder(options);
    builder.settings = settings;
    builder.create = create.unwrap_or(builder.create);
    builder.pool = pool.unwrap_or(builder.pool);
    Ok(builder)
}

/// Whether nobody can stand between this machine and the server.
fn is_local(options: &MySqlConnectOptions) -> bool {
    options.get_socket().is_some() || is_loopback(options.get_host())
}

#[cfg(test)]
mod tests {
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
            let builder = parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(matches!(builder.ssl_mode(), Some(MySqlSslMode::VerifyIdentity)), verified, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, part) in [
            ("postgres://db", "begins with mysql:"),
            ("mysql:/db", "begins with mysql:"),
            ("mysql://db?creat=true", "unknown option `creat` in the URL; known are namespace, timeout"),
            ("mysql://db?create=maybe", "create is not true or false"),
            ("mysql://db?timeout=5s", "milliseconds"),
            ("mysql://db?pool=many", "a number"),
            ("mysql://db?namespace=%ff", "not UTF-8"),
            ("mysql://me:hunter2@db:port/a", "is not of the form"),
            ("mysql://db?ssl-mode=hunter2", "is not of the form"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(part), "{url}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{url}: {error:?}");
        }
    }
}
