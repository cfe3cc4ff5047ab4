//! Parser of `postgres://…` URLs.

use std::iter;

use session_core::Result;
use session_store_kit::{is_loopback, wrong};
use session_store_sqlx::{ParsedUrl, Pooler, UrlForm};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::PostgresStore;
use crate::builder::PostgresStoreBuilder;
use crate::url_options::{MEANT, OPTIONS};

const FORM: UrlForm = UrlForm {
    schemes: &["postgres", "postgresql"],
    options: OPTIONS,
    meant: MEANT,
    tls: ["sslmode", "sslcert", "sslkey"],
    login: Some(["user", "password"]),
    wrong: "the URL or one of the driver's options in it is not of the form postgres://user:password@host:port/database",
};

impl PostgresStore {
    /// Opens the store at `url`, of the form `postgres://user:password@host:port/database`. The scheme may also be `postgresql:`. Of several
    /// hosts, as in `postgres://a:5432,b:5433/database`, each connection uses the first one that takes writes.
    ///
    /// Options of the store are `namespace`, `timeout` and `wait` in ms, `create` (`true`, `false`), `pool`, `queue`, `schema` and `pooler` (`none`,
    /// `transaction`, `session`); see [`PostgresStoreBuilder`]. The driver's options are allowed as well, above all `sslmode` and `sslrootcert`; see
    /// [`PgConnectOptions`]. The default of `sslmode` is `verify-full` unless the server is on
    /// this machine: the connection is encrypted and the server's name verified. The crate's documentation lists what else providers
    /// write in URLs.
    ///
    /// ```no_run
    /// use session_store_postgres::PostgresStore;
    ///
    /// # async fn example() -> session_core::Result<()> {
    /// let store = PostgresStore::connect("postgres://shop@db.example/shop?namespace=web_sessions&timeout=2000").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for an invalid URL, and the errors of [`PostgresStoreBuilder::open`].
    pub async fn connect(url: &str) -> Result<Self> {
        parse(url)?.open().await
    }
}

/// Returns the builder that `url` describes.
pub(crate) fn parse(url: &str) -> Result<PostgresStoreBuilder> {
    let ParsedUrl { options, others, settings, connecting, own, .. } = read(url)?;
    let builder = PostgresStore::builder(options).url_settings(settings).connect_timeout(connecting);
    let mut builder = others.into_iter().fold(builder, PostgresStoreBuilder::or_server);
    for (name, value) in own {
        builder = match name {
            "schema" => builder.schema(value),
            "pooler" => builder.pooler(Pooler::read(&value)?),
            _ => builder,
        };
    }
    Ok(builder)
}

/// Reads a URL. Unless it says otherwise, connections to another machine verify the server's name.
fn read(url: &str) -> Result<ParsedUrl<PgConnectOptions>> {
    let mut parsed = FORM.read::<PgConnectOptions>(url)?;
    let system = parsed.own.iter().any(|(name, _)| *name == "sslrootcert");
    if !parsed.names_tls && std::env::var_os("PGSSLMODE").is_none() {
        for server in iter::once(&mut parsed.options).chain(&mut parsed.others).filter(|server| !is_local(server)) {
            *server = server.clone().ssl_mode(PgSslMode::VerifyFull);
        }
    }
    // The roots that come with the driver are the system's here.
    let mut servers = iter::once(&parsed.options).chain(&parsed.others);
    if system && servers.any(|server| !matches!(server.get_ssl_mode(), PgSslMode::VerifyFull)) {
        return wrong("the option sslrootcert=system of the URL needs sslmode=verify-full");
    }
    Ok(parsed)
}

/// Whether the server is on this machine; see [`is_loopback`].
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    options.get_socket().is_some() || host.starts_with('/') || is_loopback(host)
}

#[cfg(test)]
mod tests {
    use session_core::ErrorKind;

    use super::*;

    #[test]
    fn off_loopback_the_servers_name_is_verified_unless_the_url_says_otherwise() {
        for (url, verified) in [
            ("postgres://localhost/a", false),
            ("postgres://127.0.0.1:5433/a", false),
            ("postgres://[::1]/a", false),
            ("postgres:///a?host=/var/run/postgresql", false),
            ("postgres://db.example/a", true),
            ("postgresql://10.0.0.7/a", true),
            ("postgres://localhost.example/a", true),
            ("postgres://db.example/a?sslmode=disable", false),
            ("postgres://localhost/a?sslmode=verify-full", true),
        ] {
            let options = read(url).unwrap().options;
            assert_eq!(matches!(options.get_ssl_mode(), PgSslMode::VerifyFull), verified, "{url}");
        }
        let read = read("postgres://localhost,db.example/a").unwrap();
        let verified = [&read.options, &read.others[0]].map(|one| matches!(one.get_ssl_mode(), PgSslMode::VerifyFull));
        assert_eq!(verified, [false, true]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, part) in [
            ("mysql://db", "begins with postgres:// or postgresql://"),
            ("postgres:/db", "begins with postgres:// or postgresql://"),
            (
                "postgres://db?creat=true",
                "unknown option in the URL, perhaps `create` misspelt; known are namespace, timeout",
            ),
            ("postgres://db?tls=true", "unknown option `tls` in the URL; known are namespace, timeout"),
            ("postgres://db?create=maybe", "create is not true or false"),
            ("postgres://db?timeout=5s", "milliseconds"),
            ("postgres://db?pool=many", "a number"),
            ("postgres://db?queue=-1", "a number"),
            ("postgres://db?namespace=%ff", "not UTF-8"),
            ("postgres://me:hunter2@db:port/a", "the port in the URL"),
            ("postgres://shop:pa?hunter2&x@db/a", "percent-encode the characters"),
            ("postgres://d b/a", "of the form postgres://user:password@host:port/database"),
            ("postgres://a,b/a?hostaddr=::1", "several hosts, so its option hostaddr has no meaning"),
            ("postgres:///a?host=a,b", "write them before the path"),
            ("postgres://a,b/a?target_session_attrs=standby", "the store needs the primary"),
            ("postgres://a,b/a?target_session_attrs=prefer-standby", "the store needs the primary"),
            ("postgres://a,b/a?target_session_attrs=read-only", "the store needs the primary"),
            ("postgres://db?sslmode=hunter2", "the option sslmode of the URL is not disable, allow"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(part), "{url}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{url}: {error:?}");
        }
    }
}
