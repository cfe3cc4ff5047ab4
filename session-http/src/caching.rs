//! Caching of responses that used a session.

/// Caching that a response allows, from the least to the most restrictive.
///
/// A cached `Set-Cookie`, or a cached page of a signed-in user, gives one user the session of another (Flask's CVE-2023-30861).
/// CDNs ignore `Vary`. OWASP ASVS 5.0, 14.3.2, requires `no-store` for sensitive data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Caching {
    /// No session was used. The response's own caching headers apply.
    #[default]
    Free,
    /// A session was read, so the response may differ between clients and change over time.
    Private,
    /// The response has a `Set-Cookie`, or it is an error.
    Never,
    /// The response is for a user who is signed in.
    SignedIn,
}

impl Caching {
    /// Directives of `Cache-Control` that replace the response's own directives about caching, or `None` to keep those.
    ///
    /// Other directives stay, such as `no-transform`. For [`Private`](Self::Private), also keep a `Cache-Control` that has `no-store`,
    /// because that is stricter. Remove [targeted fields](Self::is_targeted), because a cache prefers them.
    pub const fn cache_control(self) -> Option<&'static str> {
        match self {
            Self::Free => None,
            Self::Private => Some("private, no-cache"),
            Self::Never => Some("no-store"),
            Self::SignedIn => Some("private, no-store"),
        }
    }

    /// Whether the header `name`, in lower case, is a targeted field: `CDN-Cache-Control` or any other `*-Cache-Control`
    /// (RFC 9213), or `Surrogate-Control`. The caches that it targets prefer it to `Cache-Control`.
    ///
    /// ```
    /// use session_http::Caching;
    ///
    /// assert!(Caching::is_targeted("cdn-cache-control") && Caching::is_targeted("cloudflare-cdn-cache-control"));
    /// assert!(!Caching::is_targeted("cache-control"));
    /// ```
    pub fn is_targeted(name: &str) -> bool {
        name.ends_with("-cache-control") || name == "surrogate-control"
    }

    /// Whether `directive` of `Cache-Control`, without its value, is about caching (RFC 9111, 5.2.2; RFC 5861; RFC 8246).
    ///
    /// `must-understand` is among them, because it lets a cache ignore `no-store`.
    ///
    /// ```
    /// use session_http::Caching;
    ///
    /// assert!(Caching::is_about_caching("Max-Age"));
    /// assert!(!Caching::is_about_caching("no-transform"));
    /// ```
    pub fn is_about_caching(directive: &str) -> bool {
        const DIRECTIVES: [&str; 14] = [
            "public",
            "private",
            "no-cache",
            "no-store",
            "max-age",
            "s-maxage",
            "must-revalidate",
            "proxy-revalidate",
            "must-understand",
            "stale-while-revalidate",
            "stale-if-error",
            "immutable",
            "pre-check",
            "post-check",
        ];
        DIRECTIVES.iter().any(|known| directive.eq_ignore_ascii_case(known))
    }

    /// Value to add to the response's `Vary` if all sessions are in cookies, or `None` to leave it. See also
    /// [`CommitReport::vary`](crate::CommitReport::vary).
    pub const fn vary(self) -> Option<&'static str> {
        match self {
            Self::Free => None,
            Self::Private | Self::Never | Self::SignedIn => Some("Cookie"),
        }
    }
}
