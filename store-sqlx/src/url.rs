//! Parser of database URLs.

use std::str::FromStr;

use session_core::Result;
use session_store_kit::{UrlSettings, split, wrong};

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
        match O::from_str(&format!("{place}?{drivers}")) {
            Ok(options) => Ok(ParsedUrl { options, settings, names_tls }),
            // The driver's own error would quote the text that it could not parse.
            Err(_) => wrong(format!("the URL or one of the driver's options in it is not of the form {}", self.whole)),
        }
    }
}
