//! Parser of database URLs.

use std::path::Path;
use std::str::FromStr;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use session_core::Result;
use session_store_kit::{UrlSettings, absolute, decode, split, wrong};

/// Names of the drivers' options whose values are paths. The drivers read such a file again for each connection.
const PATHS: [&str; 9] =
    ["sslrootcert", "ssl-root-cert", "ssl-ca", "sslca", "sslcert", "ssl-cert", "sslkey", "ssl-key", "socket"];

/// Form of the URLs of one of sqlx's drivers.
///
/// ```
/// use sqlx::postgres::PgConnectOptions;
/// use session_store_sqlx::UrlForm;
///
/// const FORM: UrlForm = UrlForm {
///     schemes: ["postgres://", "postgresql://"],
///     drivers: &["sslmode", "ssl-mode", "host"],
///     meant: "the driver's (sslmode, host)",
///     whole: "postgres://user:password@host:port/database",
/// };
///
/// let parsed = FORM.read::<PgConnectOptions>("postgres://db.example/shop?pool=4&sslmode=require")?;
/// assert_eq!(parsed.options.get_host(), "db.example");
/// assert_eq!(parsed.settings.pool, Some(4));
/// assert!(parsed.names_tls);
/// let error = FORM.read::<PgConnectOptions>("postgres://db.example/shop?pol=4").unwrap_err();
/// assert!(error.to_string().contains("unknown option `pol`"));
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct UrlForm {
    /// Schemes, of which a URL begins with one or the other.
    pub schemes: [&'static str; 2],
    /// Names of the driver's options. A name that ends in `[` stands for all names that begin with it.
    ///
    /// A driver ignores options that it does not know, so [`read`](UrlForm::read) refuses those that are not listed here.
    pub drivers: &'static [&'static str],
    /// The driver's usual options, as the error for an unknown option lists them.
    pub meant: &'static str,
    /// A complete URL, as an example in the error for a URL that the driver cannot parse.
    pub whole: &'static str,
}

/// Contents of a URL.
#[derive(Debug)]
pub struct ParsedUrl<O> {
    /// Options of the connection, as the driver parsed them.
    pub options: O,
    /// Options of the store.
    pub settings: UrlSettings,
    /// Whether the URL says how to use TLS, by `sslmode` or `ssl-mode`.
    pub names_tls: bool,
}

impl UrlForm {
    /// Takes the store's options out of `url` and lets the driver parse the rest.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for a URL of another form. The error does not repeat the URL,
    /// which may hold a password.
    pub fn read<O: FromStr>(&self, url: &str) -> Result<ParsedUrl<O>> {
        let (place, mut query) = split(url)?;
        let [usual, other] = self.schemes;
        if !place.starts_with(usual) && !place.starts_with(other) {
            return wrong(format!("the URL begins with neither {usual} nor {other}"));
        }
        let settings = UrlSettings::read(&mut query)?;
        let mut names_tls = false;
        let drivers = query.drivers(self.meant, |name| {
            names_tls |= matches!(name, "sslmode" | "ssl-mode");
            self.drivers.iter().any(|known| name == *known || known.ends_with('[') && name.starts_with(known))
        });
        query.finish()?;
        let drivers = drivers.split('&').map(with_absolute_path).collect::<Result<Vec<_>>>()?.join("&");
        match O::from_str(&format!("{place}?{drivers}")) {
            Ok(options) => Ok(ParsedUrl { options, settings, names_tls }),
            // The driver's own error would quote the text that it could not parse.
            Err(_) => wrong(format!("the URL or one of the driver's options in it is not of the form {}", self.whole)),
        }
    }
}

/// Returns an option of the driver, with its path from the root on if it is one.
///
/// Otherwise a process that changes its working directory could not connect again.
/// A certificate may also be given itself.
fn with_absolute_path(pair: &str) -> Result<String> {
    let Some((name, value)) = pair.split_once('=').filter(|(name, _)| PATHS.contains(name)) else {
        return Ok(pair.to_owned());
    };
    let value = decode(value)?;
    if value.trim_start().starts_with("-----BEGIN") {
        return Ok(pair.to_owned());
    }
    let path = absolute(Path::new(&value))?;
    match path.to_str() {
        Some(path) => Ok(format!("{name}={}", utf8_percent_encode(path, NON_ALPHANUMERIC))),
        None => {
            wrong(format!("the path of the working directory is not UTF-8; write the path of {name} from the root on"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_options_do_not_depend_on_the_working_directory_later() {
        let here = std::env::current_dir().unwrap();
        let written = with_absolute_path("sslrootcert=certs/my%20ca.pem").unwrap();
        let (name, value) = written.split_once('=').unwrap();
        assert_eq!((name, Path::new(&*decode(value).unwrap())), ("sslrootcert", &*here.join("certs/my ca.pem")));
        for kept in ["sslmode=require", "sslrootcert=-----BEGIN%20CERTIFICATE-----", "", "sslmode"] {
            assert_eq!(with_absolute_path(kept).unwrap(), kept);
        }
        let absolute = with_absolute_path("socket=%2Frun%2Fmysqld%2Fmysqld.sock").unwrap();
        assert_eq!(absolute, "socket=%2Frun%2Fmysqld%2Fmysqld%2Esock");
    }
}
