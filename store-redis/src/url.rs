//! `redis://…`, taken apart.

use session_core::Result;
use store_options::{split, wrong};

use crate::RedisStoreBuilder;

/// The builder that `url` describes: our options are taken out of it, the rest is the driver's to read.
pub(crate) fn parse(url: &str) -> Result<RedisStoreBuilder> {
    let schemes = ["redis://", "rediss://", "valkey://", "valkeys://"];
    let Some(scheme) = schemes.into_iter().find(|scheme| url.starts_with(scheme)) else {
        return wrong("a URL of this store begins with redis://, rediss://, valkey:// or valkeys://");
    };
    if cfg!(not(feature = "tls")) && matches!(scheme, "rediss://" | "valkeys://") {
        return wrong("the URL asks for TLS, and the feature `tls` of store-redis is not compiled in");
    }
    let (url, fragment) = url.split_once('#').map_or((url, None), |(url, fragment)| (url, Some(fragment)));
    let (server, mut query) = split(url)?;
    let mut server = server.to_owned();
    if let Some(fragment) = fragment {
        server.push('#');
        server.push_str(fragment);
    }
    // What the driver says may quote the URL: it is not passed on.
    let Ok(client) = redis::Client::open(server) else {
        return wrong(
            "the URL is not of the form redis://user:password@host:port/database; `#insecure` may follow where there is TLS",
        );
    };
    let mut builder = RedisStoreBuilder::at(client);
    builder.settings.read(&mut query)?;
    if let Some(connections) = query.number("connections")? {
        builder = builder.connections(connections);
    }
    query.finish()?;
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use session_core::ErrorKind;

    use super::*;

    #[test]
    fn every_scheme_and_option_is_known() {
        for url in [
            "redis://localhost",
            "redis://user:secret@localhost:6390/3?namespace=web&timeout=2000&connections=2&queue=100",
            "valkey://:secret@[::1]:6390/?namespace=w%65b",
        ] {
            assert!(parse(url).is_ok(), "{url}");
        }
        #[cfg(feature = "tls")]
        for url in ["rediss://db.example", "valkeys://db.example/1?timeout=100", "rediss://localhost/?queue=9#insecure"]
        {
            assert!(parse(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, part) in [
            ("postgres://db", "begins with redis://"),
            ("redis:db", "begins with redis://"),
            ("redis://", "of the form"),
            ("redis://:secret@host:port", "of the form"),
            ("redis://:secret@host/db", "of the form"),
            ("redis://localhost?name=a", "unknown option `name` in the URL; known are namespace, timeout"),
            ("redis://localhost?timeout=5s", "milliseconds"),
            ("redis://localhost?connections=many", "a number"),
            ("redis://localhost?queue=-1", "a number"),
            ("redis://localhost?namespace=%ff", "not UTF-8"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(part), "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{url}");
        }
    }
}
