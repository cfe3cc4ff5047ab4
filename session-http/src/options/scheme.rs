//! Cookies that depend on what lies between the client and the server.

use super::CookieOptions;
use crate::scheme::SecureWhen;
use crate::{RequestHead, Scheme};

impl CookieOptions {
    /// Limits the length of a cookie that holds its session ([`CookieStore`](crate::CookieStore)), with name and attributes, in bytes.
    ///
    /// The default is 3584. Browsers accept 4096 (RFC 6265, 6.1), but many proxies have 4 KiB for all headers of a request, or for those
    /// of a response, and refuse longer ones. At most 4096, and name and attributes must leave 512 bytes for the session.
    ///
    /// ```
    /// use session_http::CookieOptions;
    ///
    /// CookieOptions::new().max_len(4096).check("id")?; // no proxy has less room
    /// assert!(CookieOptions::new().max_len(4097).check("id").is_err());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn max_len(mut self, bytes: usize) -> Self {
        self.max_len = bytes;
        self
    }

    /// Decides for each request whether the cookie is `Secure`, for a server that is reached by TLS and by plain HTTP.
    ///
    /// By TLS the cookie is as usual. By plain HTTP it is as with [`insecure`](Self::insecure), under the logical name alone.
    /// [`Unknown`](Scheme::Unknown) counts as TLS. Behind proxies, use [`forwarded`](crate::forwarded).
    ///
    /// A request reads, sets and clears only the cookie of its scheme. The two are different logical names, so an id that was overheard
    /// by plain HTTP opens no session of TLS. A user who changes the scheme signs in again.
    ///
    /// ```
    /// use session_http::{CookieOptions, Scheme};
    ///
    /// let options = CookieOptions::new().secure_when(|head| match head.host() {
    ///     Some("nas.lan") => Scheme::Plain, // a device of the local network, which has no certificate
    ///     _ => Scheme::Tls,
    /// });
    /// options.check("id")?;
    /// assert!(options.name("__Host-shop").check("id").is_err(), "both cookies would have one name");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn secure_when(mut self, scheme: impl Fn(&dyn RequestHead) -> Scheme + Send + Sync + 'static) -> Self {
        self.secure_when = Some(SecureWhen::new(scheme));
        self
    }

    /// Options of the cookie for plain HTTP, if it depends on the request.
    pub(crate) fn for_plain_http(&self) -> Option<Self> {
        let mut plain = self.clone();
        plain.secure_when.take()?;
        plain.former.clear();
        Some(plain.insecure())
    }
}
