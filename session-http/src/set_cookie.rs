//! `Set-Cookie` lines.

use std::fmt;
use std::time::Duration;

use cookie::Cookie;
use cookie::time::OffsetDateTime;
use session_core::{Error, ErrorKind, Result};

use crate::CookieOptions;

/// Value of one `Set-Cookie` header.
///
/// It contains the client's secret, so `Debug` shows only the name and there is no `Display`.
/// Mark the header as sensitive if the framework supports that.
#[derive(Clone, PartialEq, Eq)]
pub struct SetCookie {
    line: String,
    name_len: usize,
}

impl SetCookie {
    /// Header value, which consists of visible ASCII and spaces.
    pub fn as_str(&self) -> &str {
        &self.line
    }

    /// Converts into the header value.
    pub fn into_string(self) -> String {
        self.line
    }

    /// Name of the cookie.
    pub fn name(&self) -> &str {
        &self.line[..self.name_len]
    }

    /// Pair `name=value`, which a client sends back in its `Cookie` header.
    pub fn pair(&self) -> &str {
        self.line.split(';').next().unwrap_or_default()
    }

    /// Whether the line sets a value that a browser drops on a page of plain HTTP.
    pub(crate) fn needs_tls(&self) -> bool {
        !self.pair().ends_with('=') && self.line.contains("; Secure")
    }

    /// Returns the line that sets the cookie to `value`. With `max_age` the cookie is persistent.
    ///
    /// The lifetime is rounded up to whole seconds, because a cookie that ends earlier would end a live session.
    pub(crate) fn issue(name: &str, options: &CookieOptions, value: &str, max_age: Option<Duration>) -> Result<Self> {
        let mut cookie = base(name, value, options);
        if let Some(age) = max_age {
            let age = age.min(options.max_age.unwrap_or(CookieOptions::LONGEST));
            let seconds = age.as_secs() + u64::from(age.subsec_nanos() > 0);
            cookie.set_max_age(cookie::time::Duration::seconds(seconds.cast_signed()));
        }
        finish(name, &cookie)
    }

    /// Returns the line that makes the browser delete the cookie.
    ///
    /// A browser replaces only a cookie of the same name, domain, path and partition (RFC 6265bis, 5.7), and lets no
    /// insecure line replace a secure one. So all attributes are repeated. `Expires` is for old clients that ignore `Max-Age`.
    pub(crate) fn clear(name: &str, options: &CookieOptions) -> Result<Self> {
        let mut cookie = base(name, "", options);
        cookie.set_max_age(cookie::time::Duration::ZERO);
        cookie.set_expires(OffsetDateTime::UNIX_EPOCH);
        finish(name, &cookie)
    }
}

impl fmt::Debug for SetCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SetCookie({}=***)", self.name())
    }
}

fn base<'c>(name: &'c str, value: &'c str, options: &'c CookieOptions) -> Cookie<'c> {
    let mut cookie = Cookie::new(name, value);
    cookie.set_path(&*options.path);
    cookie.set_secure(options.secure);
    cookie.set_http_only(options.http_only);
    cookie.set_same_site(cookie::SameSite::from(options.same_site));
    cookie.set_partitioned(options.partitioned);
    if let Some(domain) = &options.domain {
        cookie.set_domain(&**domain);
    }
    cookie
}

fn finish(name: &str, cookie: &Cookie<'_>) -> Result<SetCookie> {
    let line = cookie.to_string();
    if line.len() > CookieOptions::MAX_LEN {
        return Err(Error::fixed(
            ErrorKind::TooLarge,
            "the cookie with its attributes exceeds 4096 bytes: keep less in the session",
        ));
    }
    Ok(SetCookie { line, name_len: name.len() })
}

#[cfg(test)]
mod tests {
    use session_core::{days, hours};

    use super::*;
    use crate::SameSite;

    fn issued(options: &CookieOptions, max_age: Option<Duration>) -> String {
        SetCookie::issue("n", options, "v", max_age).unwrap().into_string()
    }

    #[test]
    fn the_default_line() {
        assert_eq!(issued(&CookieOptions::new(), None), "n=v; HttpOnly; SameSite=Lax; Secure; Path=/");
    }

    #[test]
    fn every_attribute_is_written() {
        let options =
            CookieOptions::new().same_site(SameSite::None).partitioned(true).path("/p").domain(".Example.com");
        assert_eq!(
            issued(&options, Some(hours(1))),
            "n=v; HttpOnly; SameSite=None; Partitioned; Secure; Path=/p; Domain=example.com; Max-Age=3600"
        );
        let bare = CookieOptions::new().insecure().http_only(false).same_site(SameSite::Strict);
        assert_eq!(issued(&bare, None), "n=v; SameSite=Strict; Path=/");
    }

    #[test]
    fn max_age_is_rounded_up_and_bounded() {
        let options = CookieOptions::new();
        assert!(issued(&options, Some(Duration::from_millis(1_001))).ends_with("; Max-Age=2"));
        assert!(issued(&options, Some(days(1_000))).ends_with("; Max-Age=34560000"));
        assert!(issued(&options.max_age(hours(1)), Some(days(1))).ends_with("; Max-Age=3600"));
    }

    #[test]
    fn clearing_repeats_path_domain_secure_and_partitioned() {
        let options = CookieOptions::new().partitioned(true).path("/p").domain("example.com");
        assert_eq!(
            SetCookie::clear("n", &options).unwrap().as_str(),
            "n=; HttpOnly; SameSite=Lax; Partitioned; Secure; Path=/p; Domain=example.com; Max-Age=0; \
             Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        );
    }

    #[test]
    fn debug_shows_no_value() {
        let line = SetCookie::issue("__Host-id", &CookieOptions::new(), "secret", None).unwrap();
        assert_eq!(format!("{line:?}"), "SetCookie(__Host-id=***)");
        assert_eq!((line.name(), line.pair()), ("__Host-id", "__Host-id=secret"));
    }

    #[test]
    fn a_line_beyond_4096_bytes_is_too_large() {
        let error = SetCookie::issue("n", &CookieOptions::new(), &"v".repeat(4096), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }
}
