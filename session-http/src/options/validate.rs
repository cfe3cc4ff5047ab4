//! Checks for the rules by which browsers reject cookies. Section numbers are of RFC 6265bis (draft-ietf-httpbis-rfc6265bis) unless stated.

use std::net::Ipv4Addr;
use std::time::Duration;

use session_core::{Error, ErrorKind, Result};

use super::{CookieOptions, SameSite, has_prefix, is_tchar};
use crate::SetCookie;
use crate::cookie_value::longest_id;

/// Maximum length of an attribute's value in bytes. Browsers ignore a longer one (5.6).
const MAX_ATTRIBUTE_LEN: usize = 1024;

impl CookieOptions {
    /// Checks that browsers accept the cookie of the session with the logical name `logical`.
    ///
    /// ```
    /// use session_http::CookieOptions;
    ///
    /// let error = CookieOptions::new().path("/app").check("id").unwrap_err();
    /// assert!(error.to_string().contains("`__Secure-…`"), "{error}");
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config), with the rule that is broken.
    pub fn check(&self, logical: &str) -> Result<()> {
        let name = self.cookie_name(logical);
        token(&name)?;
        path(&self.path)?;
        self.domain.as_deref().map_or(Ok(()), domain)?;
        lifetime(self.max_age)?;
        secure_attributes(self)?;
        prefix(&name, self)?;
        signing(self)?;
        length(&name, self)?;
        former(&name, logical, self)?;
        scheme(logical, self)
    }
}

fn refuse(message: impl AsRef<str>) -> Result<()> {
    Err(Error::new(ErrorKind::Config, message))
}

/// Checks that the name is a token, which 4.1.1 requires of servers.
fn token(name: &str) -> Result<()> {
    if name.is_empty() || !name.bytes().all(is_tchar) {
        return refuse(
            "the cookie's name is empty or has a forbidden character: use letters, digits and any of !#$%&'*+-.^_`|~",
        );
    }
    Ok(())
}

/// Checks the path. Browsers replace a path without a leading slash by that of the request (5.6.4), and `;` would end the attribute.
fn path(path: &str) -> Result<()> {
    if !path.starts_with('/') || !path.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b';') {
        return refuse("the cookie's path is not valid: begin it with `/`, and use printable ASCII without `;`");
    }
    if !is_path(path) {
        return refuse(
            "no request has the cookie's path: browsers send neither spaces nor any of \"#<>?\\^`{} in a path, and no `.` or `..` segments; \
             write it as in the address, percent-encoded",
        );
    }
    if path.len() > MAX_ATTRIBUTE_LEN {
        return refuse("the cookie's path is too long: use at most 1024 bytes");
    }
    Ok(())
}

/// Whether a browser can send a request whose path begins with `path` (URL Standard, path state and path percent-encode set).
pub(crate) fn is_path(path: &str) -> bool {
    let is_path_byte = |b: u8| (b'!'..=b'~').contains(&b) && !b";\"#<>?\\^`{}".contains(&b);
    let is_dots = |segment: &str| {
        let dots = segment.to_ascii_lowercase().replace("%2e", ".");
        dots == "." || dots == ".."
    };
    path.starts_with('/') && path.bytes().all(is_path_byte) && !path.split('/').any(is_dots)
}

/// Checks the domain. An address matches no host, and browsers refuse public suffixes (5.7, steps on the domain attribute).
fn domain(domain: &str) -> Result<()> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if domain.parse::<Ipv4Addr>().is_ok() || last_label_is_number(domain) || domain.contains(':') {
        return refuse(
            "the cookie's domain is an address or has a port: use a host's name, or leave out `domain` for the host alone",
        );
    }
    if domain.len() > 253 || !domain.split('.').all(is_label) {
        return refuse(
            "the cookie's domain is not a host's name in ASCII: use one such as `example.com`, and the `xn--` form of other scripts",
        );
    }
    if psl::suffix_str(domain) == Some(domain) {
        return refuse(
            "the cookie's domain is a public suffix, below which strangers have hosts: use a domain of your own",
        );
    }
    Ok(())
}

/// Whether the last label is a number. The URL standard treats such a host as an IPv4 address.
fn last_label_is_number(domain: &str) -> bool {
    domain.rsplit('.').next().is_some_and(|last| {
        let hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        hex || (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// Checks the lifetime (5.5). A `Max-Age` of zero would delete the cookie (5.6.2).
fn lifetime(max_age: Option<Duration>) -> Result<()> {
    match max_age {
        Some(age) if age < Duration::from_secs(1) => refuse("the cookie's max-age is too short: use at least 1 second"),
        Some(age) if age > CookieOptions::LONGEST => refuse("the cookie's max-age is too long: use at most 400 days"),
        _ => Ok(()),
    }
}

/// Checks that `Secure` is set if `SameSite=None` (5.7) or `Partitioned` (draft-cutler-httpbis-partitioned-cookies, 2.1) needs it.
fn secure_attributes(options: &CookieOptions) -> Result<()> {
    if options.secure {
        return Ok(());
    }
    if options.same_site == SameSite::None {
        return refuse("`SameSite=None` needs `Secure`: leave out `insecure()` and `secure_when`");
    }
    if options.partitioned {
        return refuse("`Partitioned` needs `Secure`: leave out `insecure()` and `secure_when`");
    }
    Ok(())
}

/// Checks the rules of the name's prefix (5.4 and 5.7).
///
/// `__Http-` and `__Host-Http-` come from the successor, draft-ietf-httpbis-layered-cookies.
/// Browsers compare prefixes case-insensitively, because some servers do.
fn prefix(name: &str, options: &CookieOptions) -> Result<()> {
    let host = has_prefix(name, "__Host-");
    let http = has_prefix(name, "__Http-") || has_prefix(name, "__Host-Http-");
    if (host || http || has_prefix(name, "__Secure-")) && !options.secure {
        return refuse("the prefix `__Host-`, `__Http-` or `__Secure-` needs `Secure`: leave out `insecure()`");
    }
    if host && options.domain.is_some() {
        return refuse(
            "the prefix `__Host-` allows no domain: name the cookie `__Secure-…` to share it with subdomains",
        );
    }
    if host && options.path != "/" {
        return refuse("the prefix `__Host-` needs the path `/`: name the cookie `__Secure-…` to give it another");
    }
    if http && !options.http_only {
        return refuse("the prefix `__Http-` or `__Host-Http-` needs `HttpOnly`: leave out `http_only(false)`");
    }
    Ok(())
}

fn signing(options: &CookieOptions) -> Result<()> {
    if options.accept_unsigned && options.signing.is_none() {
        return refuse("`accept_unsigned` needs `signed`: add `signed`, or leave out both");
    }
    Ok(())
}

/// Checks that the cookie's former places are places of a cookie of the same name.
fn former(name: &str, logical: &str, options: &CookieOptions) -> Result<()> {
    for before in &options.former {
        before.check(logical)?;
        if before.cookie_name(logical) != name {
            return refuse(
                "`formerly` names a cookie of another name: give both the same name, because only their places may differ",
            );
        }
    }
    Ok(())
}

/// Checks that a cookie that depends on the request's scheme has a name for each, and that both cookies are possible.
fn scheme(logical: &str, options: &CookieOptions) -> Result<()> {
    let Some(plain) = options.for_plain_http() else { return Ok(()) };
    if !options.secure {
        return refuse("`secure_when` and `insecure` contradict each other: leave out one of them");
    }
    if options.name.is_some() {
        return refuse(
            "`secure_when` needs a name for each scheme, so that neither cookie opens the other's session: leave out `name`",
        );
    }
    plain.check(logical)
}

/// Checks that a cookie with an id as its value fits into 4096 bytes.
fn length(name: &str, options: &CookieOptions) -> Result<()> {
    if options.max_len > CookieOptions::MAX_LEN {
        return refuse("`max_len` exceeds the 4096 bytes that browsers accept: lower it");
    }
    match SetCookie::issue(name, options, &"A".repeat(longest_id(options)), Some(CookieOptions::LONGEST)) {
        Ok(_) => Ok(()),
        Err(_) => refuse("the cookie with its name and attributes exceeds 4096 bytes: shorten them"),
    }
}

#[cfg(test)]
mod tests {
    use session_core::{days, seconds};

    use super::*;

    fn accepted(options: CookieOptions) -> bool {
        match options.check("id") {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Config);
                false
            }
        }
    }

    fn new() -> CookieOptions {
        CookieOptions::new()
    }

    #[test]
    fn the_default_is_accepted() {
        assert!(accepted(new()));
        assert_eq!(new().cookie_name("id"), "__Host-id");
    }

    #[test]
    fn every_logical_name_makes_a_cookie_name() {
        for (logical, cookie) in [("id", "__Host-id"), ("my shop", "__Host-my_shop"), ("Büro;", "__Host-B_ro_")] {
            assert_eq!(new().cookie_name(logical), cookie);
            new().check(logical).unwrap();
        }
        new().check(&"ü".repeat(32)).unwrap();
    }

    #[test]
    fn insecure_drops_the_prefix_of_the_default_name_only() {
        assert!(accepted(new().insecure()));
        assert_eq!(new().insecure().cookie_name("id"), "id");
        assert!(!accepted(new().insecure().name("__Host-id")));
    }

    #[test]
    fn host_prefix_needs_secure_root_path_and_no_domain_in_any_case() {
        for name in ["__Host-id", "__host-id", "__HOST-id"] {
            assert!(accepted(new().name(name)));
            assert!(!accepted(new().name(name).insecure()));
            assert!(!accepted(new().name(name).path("/app")));
            assert!(!accepted(new().name(name).domain("example.com")));
        }
    }

    #[test]
    fn secure_prefix_needs_secure_in_any_case() {
        for name in ["__Secure-id", "__sEcUrE-id"] {
            assert!(accepted(new().name(name).path("/app").domain("example.com")));
            assert!(!accepted(new().name(name).insecure()));
        }
    }

    #[test]
    fn http_prefixes_need_http_only() {
        for name in ["__Http-id", "__Host-Http-id", "__host-http-id"] {
            assert!(accepted(new().name(name)));
            assert!(!accepted(new().name(name).http_only(false)));
        }
        assert!(!accepted(new().name("__Host-Http-id").path("/app")));
        assert!(accepted(new().name("__Http-id").path("/app")));
    }

    #[test]
    fn same_site_none_and_partitioned_need_secure() {
        assert!(accepted(new().same_site(SameSite::None).partitioned(true)));
        assert!(!accepted(new().same_site(SameSite::None).insecure()));
        assert!(!accepted(new().partitioned(true).insecure()));
    }

    #[test]
    fn a_name_is_a_token() {
        for name in ["", "a b", "a=b", "a;b", "ä", "a\u{2000}", "a\t", "(a)", "\"a\""] {
            assert!(!accepted(new().name(name)), "{name:?}");
        }
    }

    #[test]
    fn a_path_begins_with_a_slash_and_cannot_end_its_attribute() {
        for path in ["", "app", "/a;Domain=evil.example", "/\n", "/ä", "/\u{7f}"] {
            assert!(!accepted(new().name("id").path(path)), "{path:?}");
        }
        assert!(accepted(new().name("id").path("/app")));
        assert!(accepted(new().name("id").path("/app/..a/%20.x/")));
        assert!(!accepted(new().name("id").path(format!("/{}", "a".repeat(1024)))));
    }

    #[test]
    fn a_path_that_no_request_has_is_refused() {
        for path in [
            "/a b",
            "/a?b",
            "/a#b",
            "/a/../b",
            "/./a",
            "/a/%2E%2e",
            "/..",
            "/\"a\"",
            "/a\\b",
            "/<a>",
            "/{a}",
            "/a`",
            "/a^",
            "/a ",
        ] {
            assert!(!accepted(new().name("id").path(path)), "{path:?}");
        }
    }

    #[test]
    fn a_cookie_for_two_schemes_has_two_names() {
        let both = || new().secure_when(|_| crate::Scheme::Unknown);
        assert!(accepted(both()));
        assert!(!accepted(both().name("id")));
        assert!(!accepted(both().name("__Host-id")));
        assert!(!accepted(both().insecure()));
        assert!(!accepted(both().same_site(SameSite::None)));
        assert!(!accepted(both().partitioned(true)));
    }

    #[test]
    fn a_former_cookie_has_the_same_name() {
        let now = || new().name("__Secure-id").domain("example.com");
        assert!(accepted(now().formerly(new().name("__Secure-id")).formerly(new().name("__Secure-id").path("/app"))));
        assert!(!accepted(now().formerly(new())));
        assert!(!accepted(now().formerly(new().name("__Secure-id").domain("com"))));
    }

    #[test]
    fn a_domain_is_neither_address_nor_public_suffix() {
        let domains = [
            "",
            ".",
            "127.0.0.1",
            "[::1]",
            "::1",
            "0x7f.1",
            "1.2.3",
            "com",
            "co.uk",
            "github.io",
            "localhost",
            "a..example.com",
            "example.com.",
            "example.com..",
            "\"example.com\"",
            "exam ple.com",
            "example.com?",
            "example.com#",
            "example.com:80",
            "exämple.com",
            "-a.example.com",
            "example.com;Path=/x",
            "*.example.com",
        ];
        for domain in domains {
            assert!(!accepted(new().name("id").domain(domain)), "{domain:?}");
        }
        for domain in ["example.com", ".example.com", "Shop.Example.CO.UK", "me.github.io", "xn--bcher-kva.example"] {
            assert!(accepted(new().name("id").domain(domain)), "{domain:?}");
        }
    }

    #[test]
    fn a_cookie_lives_from_a_second_to_400_days() {
        assert!(accepted(new().max_age(seconds(1))));
        assert!(accepted(new().max_age(days(400))));
        assert!(accepted(new().persistent()));
        assert!(!accepted(new().max_age(Duration::from_millis(999))));
        assert!(!accepted(new().max_age(days(400) + seconds(1))));
    }

    #[test]
    fn a_cookie_has_at_most_4096_bytes() {
        assert!(accepted(new().name("a".repeat(3900))));
        assert!(!accepted(new().name("a".repeat(4000))));
    }
}
