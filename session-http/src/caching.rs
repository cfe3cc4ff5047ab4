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
    /// The response has a `Set-Cookie`, its user is signed in, or it is an error.
    Never,
}

impl Caching {
    /// Value that replaces the response's `Cache-Control`, or `None` to keep it.
    ///
    /// For [`Private`](Self::Private), also keep a `Cache-Control` that has `no-store`, because that is stricter.
    pub const fn cache_control(self) -> Option<&'static str> {
        match self {
            Self::Free => None,
            Self::Private => Some("private, no-cache"),
            Self::Never => Some("no-store"),
        }
    }

    /// Value to add to the response's `Vary`, or `None` to leave it.
    pub const fn vary(self) -> Option<&'static str> {
        match self {
            Self::Free => None,
            Self::Private | Self::Never => Some("Cookie"),
        }
    }
}
