//! Requests that a jar is asked about.

use std::time::Duration;

/// Address whose responses set the cookies, after `https:` or `http:`.
pub(crate) const SETTER: &str = "//shop.example.com/app/page";

/// A request, or a script's look at the cookies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) url: &'static str,
    pub(crate) cause: Cause,
    /// Time since the cookies were set.
    pub(crate) after: Duration,
}

/// Cause of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A page of the same site.
    Here,
    /// A link on a page of another site, which the user follows.
    Link,
    /// A page of another site, which embeds the answer.
    Embedded,
    /// A script of the page itself looks at its cookies. There is no request.
    Script,
}

impl Request {
    const fn new(url: &'static str) -> Self {
        Self { url, cause: Cause::Here, after: Duration::ZERO }
    }

    const fn by(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }

    const fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// Requests that tell all cookies apart.
    pub(crate) const ALL: &'static [Self] = &[
        Self::new("https://shop.example.com/"),
        Self::new("https://shop.example.com/app"),
        Self::new("https://shop.example.com/app/"),
        Self::new("https://shop.example.com/app/x"),
        Self::new("https://shop.example.com/application"),
        Self::new("https://shop.example.com/other/app/"),
        Self::new("https://example.com/app/x"),
        Self::new("https://deep.shop.example.com/app/x"),
        Self::new("https://other.example.com/app/x"),
        Self::new("https://badexample.com/app/x"),
        Self::new("https://example.org/app/x"),
        Self::new("http://shop.example.com/app/x"),
        Self::new("https://shop.example.com/app/x").by(Cause::Link),
        Self::new("https://shop.example.com/app/x").by(Cause::Embedded),
        Self::new("https://shop.example.com/app/x").by(Cause::Script),
        Self::new("https://shop.example.com/app/x").after(Duration::from_secs(59 * 60)),
        Self::new("https://shop.example.com/app/x").after(Duration::from_secs(61 * 60)),
    ];

    /// The request that finds every cookie that [`SETTER`] could set by TLS.
    pub(crate) const AT_SETTER: Self = Self::new("https://shop.example.com/app/page");

    /// The request with which no cookie of a longer path goes.
    pub(crate) const AT_ROOT: Self = Self::new("https://shop.example.com/");

    /// Returns the scheme, the host and the path.
    pub(crate) fn parts(&self) -> (&'static str, &'static str, &'static str) {
        let (scheme, rest) = self.url.split_once("://").unwrap();
        let (host, _) = rest.split_once('/').unwrap();
        (scheme, host, &rest[host.len()..])
    }
}
