//! `Set-Cookie` lines of every combination of options, and what they mean, to be read by cookie jars.
//!
//! A jar is asked which cookies it sends with which request. The answer must be that of [`Cookie::is_sent`].

pub(crate) mod app;
pub(crate) mod cookie;
pub(crate) mod meaning;
pub(crate) mod places;
pub(crate) mod request;

use std::collections::BTreeMap;
use std::time::Duration;

use request::Request;

/// A cookie jar that did not come with this crate.
pub(crate) trait Jar {
    /// What the jar implements of the rules for cookies.
    fn knows(&self) -> Knowledge;

    /// Forgets all cookies.
    fn clear(&mut self);

    /// Takes the `Set-Cookie` lines of a response from `url`.
    fn receive(&mut self, url: &str, lines: &[String]);

    /// Returns the cookies that go with a request, as `name=value`.
    fn sent(&mut self, request: &Request) -> Vec<String>;

    /// Returns the time until each cookie ends, by name; `None` if it ends with the browser.
    fn lifetimes(&mut self) -> BTreeMap<String, Option<Duration>>;
}

/// Rules that not every jar implements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Knowledge {
    /// That a cookie for a host alone and one for the host's domain are two cookies (RFC 6265bis, 5.7). For RFC 6265 they are one.
    pub(crate) hosts: bool,
    /// `SameSite`, which takes to know where a request comes from.
    pub(crate) sites: bool,
    /// `HttpOnly`, which takes to have scripts.
    pub(crate) scripts: bool,
    /// `Partitioned`. Any other jar keeps such a cookie as if it were not partitioned.
    pub(crate) partitions: bool,
    /// Whether the jar can be asked what it would send later.
    pub(crate) later: bool,
}
