//! `postgres://…`, taken apart.

use std::str::FromStr as _;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use session_core::{Error, ErrorKind, Result};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::{PostgresStore, PostgresStoreBuilder};

const KNOWN: &str = "known are namespace, timeout (in ms), create (true or false), pool and queue, and of the driver's \
    sslmode, sslrootcert, sslcert, sslkey, statement-cache-capacity, host, hostaddr, port, dbname, user, password, \
    application_name and options";

/// The driver's own. It would only warn about others, with the value, in the log.
const DRIVERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// The builder that `url` describes.
pub(crate) fn parse(url: &str) -> Result<PostgresStoreBuilder> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return wrong("a URL of this store begins with postgres:// or postgresql://");
    }
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut ours, mut drivers, mut tls) = (Vec::new(), Vec::new(), false);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name)?;
        if DRIVERS.contains(&name.as_str()) || name.starts_with("options[") {
            tls |= matches!(name.as_str(), "sslmode" | "ssl-mode");
            drivers.push(pair);
        } else {
            ours.push((name, decode(value)?));
        }
    }
    let mut options = PgConnectOptions::from_str(&format!("{place}?{}", drivers.join("&"))).map_err(|_| {
        // The driver would quote what it could not read.
        Error::fixed(
            ErrorKind::Config,
            "the URL or one of the driver's options in it is not of the form \
            postgres://user:password@host:port/database",
        )
    })?;
    if !tls && std::env::var_os("PGSSLMODE").is_none() && !is_local(&options) {
        options = options.ssl_mode(PgSslMode::VerifyFull);
    }
    ours.iter().try_fold(PostgresStore::builder(options), |builder, (name, value)| option(builder, name, value))
}

/// Whether nobody can stand between this machine and the server.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host().trim_start_matches('[').trim_end_matches(']');
    options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn option(builder: PostgresStoreBuilder, name: &str, value: &str) -> Result<PostgresStoreBuilder> {
    Ok(match name {
        "namespace" => builder.namespace(value),
        "timeout" => match value.parse() {
            Ok(millis) => builder.timeout(Duration::from_millis(millis)),
            Err(_) => return wrong("timeout is a number of milliseconds"),
        },
        "create" => match value {
            "true" => builder.create(true),
            "false" => builder.create(false),
            _ => return wrong("create is true or false"),
        },
        "pool" => match value.parse() {
            Ok(n) => builder.pool(n),
            Err(_) => return wrong("pool is a number"),
        },
        "queue" => match value.parse() {
            Ok(n) => builder.queue(n),
            Err(_) => return wrong("queue is a number"),
        },
        unknown => return wrong(&format!("unknown option `{unknown}` in the URL; {KNOWN}")),
    })
}

fn decode(text: &str) -> Result<String> {
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => wrong("the URL is not UTF-8"),
    }
}

fn wrong<T>(message: &str) -> Result<T> {
    Err(Error::new(ErrorKind::Config, message))
}

#[cfg(test)]
mod tests {
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
            let builder = parse(url).unwrap();
            assert_eq!(matches!(builder.ssl_mode(), Some(PgSslMode::VerifyFull)), verified, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, part) in [
            ("mysql://db", "begins with postgres:"),
            ("postgres:/db", "begins with postgres:"),
            ("postgres://db?creat=true", "unknown option `creat` in the URL; known are namespace, timeout"),
            ("postgres://db?create=maybe", "create is true or false"),
            ("postgres://db?timeout=5s", "milliseconds"),
            ("postgres://db?pool=many", "a number"),
            ("postgres://db?queue=-1", "a number"),
            ("postgres://db?namespace=%ff", "not UTF-8"),
            ("postgres://me:hunter2@db:port/a", "is not of the form"),
            ("postgres://db?sslmode=hunter2", "is not of the form"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(part), "{url}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{url}: {error:?}");
        }
    }
}
