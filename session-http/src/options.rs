//! How a session's cookie looks.

use std::borrow::Cow;
use std::time::Duration;

use session_core::{Result, days};
use session_crypto::KeyRing;

mod check;

/// When a browser sends the cookie along with requests that another site caused (RFC 6265bis, 4.1.2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SameSite {
    /// Only with requests from the site itself: links from elsewhere arrive signed out.
    Strict,
    /// Also when somebody follows a link from elsewhere. The default.
    #[default]
    Lax,
    /// With every request: for pages embedded in other sites. Browsers demand `Secure` with it.
    None,
}

impl From<SameSite> for cookie::SameSite {
    fn from(same_site: SameSite) -> Self {
        match same_site {
            SameSite::Strict => Self::Strict,
            SameSite::Lax => Self::Lax,
            SameSite::None => Self::None,
        }
    }
}

/// The cookie that carries a session: its name and attributes.
///
/// The default is `__Host-` and the session's logical name, with `Path=/; Secure; HttpOnly; SameSite=Lax`,
/// kept until the browser closes. OWASP ASVS 5.0 asks for this: `Secure` and a prefix (3.3.1), `SameSite` (3.3.2),
/// `__Host-` unless the cookie is shared between hosts (3.3.3), `HttpOnly` (3.3.4).
///
/// What browsers reject is refused where the options are put to use, as [`ErrorKind::Config`], because a browser
/// drops such a cookie in silence. [`check`](Self::check) does the same at once. The rules:
///
/// - The name is a token (RFC 9110, 5.6.2). `__Secure-` needs `Secure`; `__Host-` also `Path=/` and no `Domain`; `__Http-` and
///   `__Host-Http-` also `HttpOnly`; all of them in any case of letters (RFC 6265bis, 5.4 and 5.7).
/// - `SameSite=None` needs `Secure` (RFC 6265bis, 5.7). So does `Partitioned` (CHIPS, draft-cutler-httpbis-partitioned-cookies).
/// - The path begins with `/` (RFC 6265bis, 5.6.4), path and domain have at most 1024 bytes (5.6), all together 4096 (RFC 6265, 6.1).
/// - The domain is a host name, neither an address nor a public suffix (RFC 6265bis, 5.7).
/// - A cookie lives for at most 400 days (RFC 6265bis, 5.5).
///
/// ```
/// use session_http::{CookieOptions, SameSite};
///
/// CookieOptions::new().same_site(SameSite::Strict).check("id")?;
///
/// // Shared with subdomains: `__Host-` forbids that, so the cookie needs another name.
/// let shared = CookieOptions::new().domain("example.com");
/// assert!(shared.check("id").is_err());
/// shared.name("__Secure-id").check("id")?;
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// [`ErrorKind::Config`]: session_core::ErrorKind::Config
#[derive(Clone, Debug)]
#[must_use]
pub struct CookieOptions {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) path: Cow<'static, str>,
    pub(crate) domain: Option<Cow<'static, str>>,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) same_site: SameSite,
    pub(crate) partitioned: bool,
    /// The most that a persistent cookie may live; without it the cookie ends with the browser.
    pub(crate) max_age: Option<Duration>,
    /// The keys that sign the id.
    pub(crate) signing: Option<KeyRing>,
    pub(crate) accept_unsigned: bool,
}

impl Default for CookieOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl CookieOptions {
    /// The longest life of a cookie, 400 days: browsers cut longer ones (RFC 6265bis, 5.5).
    pub const LONGEST: Duration = days(400);

    /// The most bytes of name, value and attributes together (RFC 6265, 6.1): browsers may drop longer cookies in silence.
    pub const MAX_LEN: usize = 4096;

    /// The default cookie.
    pub const fn new() -> Self {
        Self {
            name: None,
            path: Cow::Borrowed("/"),
            domain: None,
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
            partitioned: false,
            max_age: None,
            signing: None,
            accept_unsigned: false,
        }
    }

    /// The cookie's name, apart from the session's logical name. Without it: `__Host-` and the logical name.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The path below which the browser sends the cookie; `/` by default.
    ///
    /// Anything else needs a name without `__Host-`. A path keeps no other page of the same host out.
    pub fn path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.path = path.into();
        self
    }

    /// Sends the cookie to `domain` and all hosts below it. A leading dot is dropped, as browsers do.
    ///
    /// Needs a name without `__Host-`. Every host below the domain can then read the session and plant one.
    pub fn domain(mut self, domain: impl Into<Cow<'static, str>>) -> Self {
        let domain = domain.into();
        let bare = domain.strip_prefix('.').unwrap_or(&domain);
        // Case does not matter to browsers (RFC 6265bis, 5.6.3), and one spelling makes the checks simple.
        self.domain = Some(bare.to_ascii_lowercase().into());
        self
    }

    /// When the cookie accompanies requests that another site caused.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Keeps a separate cookie for each site that embeds this one (CHIPS). Mostly with [`SameSite::None`].
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    /// Whether scripts of the page are kept from reading the cookie; `true` by default, and seldom rightly otherwise.
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Keeps the cookie when the browser closes. `Max-Age` is the time to the session's absolute time-out, rounded up to a second
    /// and at most [`LONGEST`](Self::LONGEST). Reading the session sends no cookie: the store decides when it expires from disuse.
    ///
    /// For one session only ("remember me") leave this alone and use
    /// [`Session::set_persistent`](session_core::Session::set_persistent).
    pub fn persistent(self) -> Self {
        self.max_age(Self::LONGEST)
    }

    /// Keeps the cookie when the browser closes, for at most `at_most`: 1 second to 400 days.
    ///
    /// The session lies unused for no longer than that either, and the cookie is sent again whenever the session's expiry moves.
    /// Prefer [`persistent`](Self::persistent), whose cookie is sent once.
    pub fn max_age(mut self, at_most: Duration) -> Self {
        self.max_age = Some(at_most);
        self
    }

    /// Ends the cookie when the browser closes: the default.
    pub fn until_browser_closes(mut self) -> Self {
        self.max_age = None;
        self
    }

    /// Leaves out `Secure`, for development without TLS on a host other than `localhost`.
    ///
    /// Whoever reads along on the network then holds the session. Unless [`name`](Self::name) gives another, the cookie
    /// is called by the logical name alone, since `__Host-` demands `Secure`. A warning is logged at start.
    pub fn insecure(mut self) -> Self {
        self.secure = false;
        self
    }

    /// Signs the id: with HMAC-SHA256, by the first key of `ring`. What no key of the ring has signed is not looked up, so that
    /// made-up ids cost the store nothing; the session then opens as [`Undecodable`](session_core::Opened::Undecodable).
    ///
    /// A cookie that an older key has signed is sent again under the first one. An id has 256 random bits and is safe without:
    /// this spares the store. A [`CookieStore`](crate::CookieStore) seals its cookies anyway and takes no signatures.
    ///
    /// ```
    /// use session_core::{Manager, NullStore};
    /// use session_crypto::KeyRing;
    /// use session_http::{CookieOptions, SessionSet};
    ///
    /// # let (today, last_year) = ((0..32).collect::<Vec<u8>>(), (1..33).collect::<Vec<u8>>());
    /// let ring = KeyRing::new(&today)?.and(&last_year)?; // or KeyRing::from_env()?
    /// let set = SessionSet::new(Manager::new(NullStore), CookieOptions::new().signed(&ring))?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn signed(mut self, ring: &KeyRing) -> Self {
        self.signing = Some(ring.clone());
        self
    }

    /// Takes ids without a signature, too, and sends them again signed: while cookies from before [`signed`](Self::signed) are
    /// out there, and no longer, because meanwhile made-up ids are looked up again.
    pub fn accept_unsigned(mut self) -> Self {
        self.accept_unsigned = true;
        self
    }

    /// What the cookie of the session `logical` is called. Where the name is made from the logical one,
    /// what a cookie's name cannot have becomes `_`.
    pub fn cookie_name(&self, logical: &str) -> String {
        if let Some(name) = &self.name {
            return name.clone().into_owned();
        }
        let prefix = if self.secure { "__Host-" } else { "" };
        let logical = logical.chars().map(|c| if u8::try_from(c).is_ok_and(check::is_tchar) { c } else { '_' });
        prefix.chars().chain(logical).collect()
    }

    /// Checks that browsers accept the cookie of the session `logical`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config), saying which rule is broken.
    pub fn check(&self, logical: &str) -> Result<()> {
        check::check(&self.cookie_name(logical), self)
    }
}
