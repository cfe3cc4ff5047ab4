//! A URL, taken apart.

use std::str::FromStr;

use session_core::Result;
use store_options::{Given, split, wrong};

/// How the URLs of one of sqlx's drivers look.
///
/// ```
/// use sqlx::postgres::PgConnectOptions;
/// use store_sqlx::UrlForm;
///
/// const FORM: UrlForm = UrlForm {
///     schemes: ["postgres://", "postgresql://"],
///     drivers: &["sslmode", "ssl-mode", "host"],
///     meant: "the driver's (sslmode, host)",
///     whole: "postgres://user:password@host:port/database",
/// };
///
/// let told = FORM.read::<PgConnectOptions>("postgres://db.example/shop?pool=4&sslmode=require")?;
/// assert_eq!(told.options.get_host(), "db.example");
/// assert_eq!(told.given.pool, Some(4));
/// assert!(told.of_tls);
/// let error = FORM.read::<PgConnectOptions>("postgres://db.example/shop?pol=4").unwrap_err();
/// assert!(error.to_string().contains("unknown option `pol`"));
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct UrlForm {
    /// What it begins with, one or the other.
    pub schemes: [&'static str; 2],
    /// The names of the options that are the driver's to read; one that ends in `[` stands for all that begin so.
    /// A driver passes over those that it does not know, so they have to be known here.
    pub drivers: &'static [&'static str],
    /// How an error for an unknown option names them, the usual ones.
    pub meant: &'static str,
    /// A whole one, for the error about what the driver cannot read.
    pub whole: &'static str,
}

/// What a URL says.
#[derive(Debug)]
pub struct Told<O> {
    /// What the driver makes of its part.
    pub options: O,
    /// Ours.
    pub given: Given,
    /// Whether it says how TLS is to be used: `sslmode` or `ssl-mode`.
    pub of_tls: bool,
}

impl UrlForm {
    /// Takes our options out of `url` and has the driver read the rest.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if it is of another form, without the URL's text: it may hold a password.
    pub fn read<O: FromStr>(&self, url: &str) -> Result<Told<O>> {
        let (place, mut query) = split(url)?;
        let [usual, other] = self.schemes;
        if !place.starts_with(usual) && !place.starts_with(other) {
            return wrong(format!("a URL of this store begins with {usual} or {other}"));
        }
        let given = Given::read(&mut query)?;
        let mut of_tls = false;
        let drivers = query.drivers(self.meant, |name| {
            of_tls |= matches!(name, "sslmode" | "ssl-mode");
            self.drivers.iter().any(|known| name == *known || known.ends_with('[') && name.starts_with(known))
        });
        query.finish()?;
        match O::from_str(&format!("{place}?{drivers}")) {
            Ok(options) => Ok(Told { options, given, of_tls }),
            // The driver would quote what it could not read.
            Err(_) => wrong(format!("the URL or one of the driver's options in it is not of the form {}", self.whole)),
        }
    }
}
