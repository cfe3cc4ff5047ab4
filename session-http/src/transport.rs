//! Ways in which a client sends its session's value and gets a new one.

use std::fmt;

use session_core::{Error, ErrorKind, Result};

use crate::RequestHead;
use crate::cookie_header::Candidates;
use crate::cookie_value::Value;

/// Way in which a client sends its session's value and gets a new one.
///
/// See [`SessionSetBuilder::transport`](crate::SessionSetBuilder::transport).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// In the session's cookie. The default.
    Cookie,
    /// In the request header of this name, in lower case. A new value goes out in the response header of the same name.
    Header(&'static str),
    /// In the request header `Authorization: Bearer …` (RFC 6750, 2.1). A new value goes out in the response header `session-token`.
    Bearer,
}

impl Transport {
    /// Name of the request header, in lower case.
    ///
    /// ```
    /// use session_http::Transport;
    ///
    /// assert_eq!(Transport::Bearer.request_header(), "authorization");
    /// ```
    pub const fn request_header(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Header(name) => name,
            Self::Bearer => "authorization",
        }
    }

    /// Name of the response header with a new value, in lower case.
    ///
    /// ```
    /// use session_http::Transport;
    ///
    /// assert_eq!(Transport::Header("x-session").response_header(), "x-session");
    /// ```
    pub const fn response_header(self) -> &'static str {
        match self {
            Self::Cookie => "set-cookie",
            Self::Header(name) => name,
            Self::Bearer => "session-token",
        }
    }

    /// Name of the request header as it stands in `Vary`.
    const fn vary(self) -> &'static str {
        match self {
            Self::Cookie => "Cookie",
            Self::Header(name) => name,
            Self::Bearer => "Authorization",
        }
    }

    /// Checks that the header's name is one that a session can have.
    pub(crate) fn check(self) -> Result<()> {
        const TAKEN: [&str; 6] = ["authorization", "cookie", "set-cookie", "host", "origin", "vary"];
        let Self::Header(name) = self else { return Ok(()) };
        let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(is_name) || TAKEN.contains(&name) {
            return Err(Error::fixed(
                ErrorKind::Config,
                "the transport's header cannot hold a session: use a name in lower case that no other field has, such as `x-session`",
            ));
        }
        Ok(())
    }

    /// Returns the value that a header holds. `None` if the header is absent, and an empty value if it is there several times.
    fn sent(self, head: &dyn RequestHead) -> Option<&[u8]> {
        let name = self.request_header();
        let mut values = (0..).map_while(|nth| head.header(name, nth)).filter_map(|value| match self {
            Self::Bearer => bearer(value),
            _ => Some(value),
        });
        let first = values.next()?;
        Some(if values.next().is_some() { b"" } else { first })
    }
}

/// Token of `Bearer …`. `None` for another scheme, whose header is not about a session.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer";
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    let is_ours = scheme.eq_ignore_ascii_case(SCHEME) && rest.first().is_none_or(|&b| b == b' ');
    is_ours.then(|| rest.trim_ascii())
}

/// How a request sent its session's value, and how its response sends a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Source {
    #[default]
    Cookie,
    /// The response header with this name gets a new value.
    Header(&'static str),
}

/// Values of a request, how they came, and the number of transports that were looked at.
pub(crate) struct Sent<'h> {
    pub(crate) found: Candidates<'h>,
    pub(crate) source: Source,
    pub(crate) looked: usize,
}

/// Reads the values of a session by the first of `transports` that the request uses. A header that is there excludes the cookie, which
/// comes last, even if its value is bad.
pub(crate) fn read<'h>(transports: &[Transport], head: &'h dyn RequestHead, cookie: &str, value: &Value) -> Sent<'h> {
    for (at, transport) in transports.iter().enumerate() {
        let looked = at + 1;
        if *transport == Transport::Cookie {
            let mut found = Candidates::default();
            head.visit_values("cookie", &mut |line| found.read(line, cookie, value));
            found.note_cut(cookie);
            return Sent { found, source: Source::Cookie, looked };
        }
        if let Some(sent) = transport.sent(head) {
            let found = Candidates::of(sent, value);
            return Sent { found, source: Source::Header(transport.response_header()), looked };
        }
    }
    let source = transports.first().map_or(Source::Cookie, |first| Source::Header(first.response_header()));
    Sent { found: Candidates::default(), source, looked: transports.len() }
}

/// Names of the headers that were looked at, for `Vary`.
pub(crate) fn vary(transports: &[Transport], looked: usize) -> impl Iterator<Item = &'static str> {
    transports.iter().take(looked).map(|transport| transport.vary())
}

/// Value that a client sends to open its session. It is a secret, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    pub(crate) const fn new(value: String) -> Self {
        Self(value)
    }

    /// Text to send to the client. It is empty if the client's session has ended.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Converts into the text.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_scheme_bearer_is_about_a_session() {
        assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"bearer   abc "), Some(&b"abc"[..]));
        assert_eq!(bearer(b"Bearer"), Some(&b""[..]));
        for other in [&b"Basic abc"[..], b"", b"Bear", b"Bearerabc", b"\xff\xff\xff\xff\xff\xff\xff"] {
            assert_eq!(bearer(other), None);
        }
    }

    #[test]
    fn a_header_has_a_name_of_its_own() {
        for bad in ["", "X-Session", "x session", "cookie", "authorization", "ä"] {
            assert_eq!(Transport::Header(bad).check().unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
        Transport::Header("x-session").check().unwrap();
        Transport::Bearer.check().unwrap();
    }

    #[test]
    fn a_token_is_not_shown() {
        assert_eq!(format!("{:?}", Token::new("secret".into())), "Token(***)");
    }
}
