//! `sqlite://…`, taken apart.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use session_core::{Error, ErrorKind, Result};

use crate::{SqliteStoreBuilder, Synchronous};

const KNOWN: &str =
    "known are namespace, timeout (in ms), synchronous (normal or full), create (true or false) and readers";

/// The builder that `url` describes.
pub(crate) fn parse(url: &str) -> Result<SqliteStoreBuilder> {
    let Some(rest) = url.strip_prefix("sqlite:") else {
        return wrong("a URL of this store begins with sqlite:");
    };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let place = place.strip_prefix("//").unwrap_or(place);
    let mut builder = match place {
        ":memory:" => SqliteStoreBuilder::in_memory(),
        "" => {
            return wrong(
                "the URL names no file; sqlite://sessions.db is relative, sqlite:///var/sessions.db absolute",
            );
        }
        path => SqliteStoreBuilder::at(PathBuf::from(decode(path)?)),
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        builder = option(builder, name, &decode(value)?)?;
    }
    Ok(builder)
}

fn option(builder: SqliteStoreBuilder, name: &str, value: &str) -> Result<SqliteStoreBuilder> {
    Ok(match name {
        "namespace" => builder.namespace(value),
        "timeout" => match value.parse() {
            Ok(millis) => builder.timeout(Duration::from_millis(millis)),
            Err(_) => return wrong("timeout is a number of milliseconds"),
        },
        "synchronous" => match value {
            "normal" => builder.synchronous(Synchronous::Normal),
            "full" => builder.synchronous(Synchronous::Full),
            _ => return wrong("synchronous is normal or full"),
        },
        "create" => match value {
            "true" => builder.create(true),
            "false" => builder.create(false),
            _ => return wrong("create is true or false"),
        },
        "readers" => match value.parse() {
            Ok(n) => builder.readers(n),
            Err(_) => return wrong("readers is a number"),
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
    use std::path::Path;

    use super::*;
    use crate::connection::Place;

    fn file(url: &str) -> PathBuf {
        match parse(url).unwrap().place() {
            Place::File(path) => path.clone(),
            Place::Memory => panic!("{url} is memory"),
        }
    }

    #[test]
    fn paths_are_relative_or_absolute_and_may_be_escaped() {
        assert_eq!(file("sqlite://sessions.db"), Path::new("sessions.db"));
        assert_eq!(file("sqlite:sessions.db"), Path::new("sessions.db"));
        assert_eq!(file("sqlite:///var/x.db"), Path::new("/var/x.db"));
        assert_eq!(file("sqlite://a%20b%3F.db?create=false"), Path::new("a b?.db"));
        for memory in ["sqlite::memory:", "sqlite://:memory:", "sqlite://:memory:?namespace=a"] {
            assert!(matches!(parse(memory).unwrap().place(), Place::Memory), "{memory}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, part) in [
            ("postgres://db", "begins with sqlite:"),
            ("sqlite:", "names no file"),
            ("sqlite://", "names no file"),
            ("sqlite://?create=true", "names no file"),
            ("sqlite://a.db?creat=true", "unknown option `creat` in the URL; known are namespace, timeout"),
            ("sqlite://a.db?create=maybe", "create is true or false"),
            ("sqlite://a.db?create", "create is true or false"),
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
