//! Name and attributes of a session's cookie.

use std::borrow::Cow;
use std::time::Duration;

use session_core::days;
use session_crypto::KeyRing;

mod places;
mod scheme;
mod validate;

use crate::scheme::SecureWhen;

/// Rule for sending the cookie with requests that another site caused (RFC 6265bis, 4.1.2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SameSite {
    /// Sent only with requests from the site itself. A user who follows a link from another site arrives signed out.
    Strict,
    /// Also sent when the user follows a link from another site. The default.
    #[default]
    Lax,
    /// Sent with every request, for pages embedded in other sites. Browsers require `Secure` with it.
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

/// Name and attributes of the cookie that carries a session.
///
/// The default name is `__Host-` followed by the session's logical name. The default attributes are `Path=/; Secure; HttpOnly; SameSite=Lax`,
/// and the cookie is kept until the browser closes. OWASP ASVS 5.0 requires `Secure` and a prefix (3.3.1), `SameSite` (3.3.2),
/// `__Host-` unless the cookie is shared between hosts (3.3.3), `HttpOnly` (3.3.4).
///
/// A browser silently drops a cookie that breaks a rule. So a [`SessionSet`](crate::SessionSet) refuses such options as
/// [`ErrorKind::Config`]. [`check`](Self::check) checks them on their own. The rules:
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
    /// Longest lifetime of a persistent cookie. Without it, the cookie ends with the browser.
    pub(crate) max_age: Option<Duration>,
    /// Keys that sign the id.
    pub(crate) signing: Option<KeyRing>,
    pub(crate) accept_unsigned: bool,
    /// Decides for each request whether the cookie is `Secure`.
    pub(crate) secure_when: Option<SecureWhen>,
    /// Options under which the cookie was set before.
    pub(crate) former: Vec<CookieOptions>,
    /// Longest cookie that holds its session, in bytes.
    pub(crate) max_len: usize,
}

impl Default for CookieOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl CookieOptions {
    /// Longest lifetime of a cookie, 400 days. Browsers shorten longer ones (RFC 6265bis, 5.5).
    pub const LONGEST: Duration = days(400);

    /// Maximum length of name, value and attributes together in bytes (RFC 6265, 6.1). Browsers may silently drop longer cookies.
    pub const MAX_LEN: usize = 4096;

    /// Length of [`max_len`](Self::max_len) unless it is set, 3.5 KiB.
    pub const DEFAULT_MAX_LEN: usize = 3584;

    /// Returns the options of the default cookie.
    ///
    /// ```
    /// use session_http::CookieOptions;
    ///
    /// assert_eq!(CookieOptions::new().cookie_name("id"), "__Host-id");
    /// ```
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
            secure_when: None,
            former: Vec::new(),
            max_len: Self::DEFAULT_MAX_LEN,
        }
    }

    /// Sets the cookie's name. The default is `__Host-` followed by the session's logical name.
    ///
    /// Two applications on one host need different names, even on different ports, because cookies ignore the port (RFC 6265bis, 8.5).
    /// Otherwise each replaces the other's cookie, and users are signed out of one by signing in to the other.
    ///
    /// ```
    /// use session_http::CookieOptions;
    ///
    /// let options = CookieOptions::new().name("__Host-shop");
    /// assert_eq!(options.cookie_name("id"), "__Host-shop");
    /// ```
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the path below which the browser sends the cookie. The default is `/`.
    ///
    /// Any other path needs a name without `__Host-`. A path does not protect the cookie from other pages of the same host.
    ///
    /// ```
    /// use session_http::CookieOptions;
    ///
    /// CookieOptions::new().name("__Secure-id").path("/shop").check("id")?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.path = path.into();
        self
    }

    /// Sends the cookie to `domain` and all hosts below it. A leading dot is dropped, as in browsers.
    ///
    /// This needs a name without `__Host-`. Every host below the domain can then read the cookie and plant one of its own.
    ///
    /// ```
    /// use session_http::CookieOptions;
    ///
    /// // Sent to example.com, shop.example.com and every other host below it.
    /// CookieOptions::new().name("__Secure-id").domain("example.com").check("id")?;
    /// assert!(CookieOptions::new().name("__Secure-id").domain("co.uk").check("id").is_err());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn domain(mut self, domain: impl Into<Cow<'static, str>>) -> Self {
        let domain = domain.into();
        let bare = domain.strip_prefix('.').unwrap_or(&domain);
        // Browsers ignore case (RFC 6265bis, 5.6.3). Lower case makes the checks simple.
        self.domain = Some(bare.to_ascii_lowercase().into());
        self
    }

    /// Sets whether requests that another site caused carry the cookie. The default is [`SameSite::Lax`].
    ///
    /// ```
    /// use session_http::{CookieOptions, SameSite};
    ///
    /// // An administrator who follows a link from a mail arrives signed out.
    /// CookieOptions::new().same_site(SameSite::Strict).check("admin")?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Keeps a separate cookie for each site that embeds this one (CHIPS). Mostly used with [`SameSite::None`].
    ///
    /// ```
    /// use session_http::{CookieOptions, SameSite};
    ///
    /// // A widget that other sites embed.
    /// CookieOptions::new().same_site(SameSite::None).partitioned(true).check("widget")?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    /// Whether the cookie is hidden from scripts of the page. The default is `true`, and there is rarely a reason to change it.
    ///
    /// ```
    /// use session_http::CookieOptions;
    ///
    /// // The prefix `__Http-` promises that scripts cannot read the cookie.
    /// CookieOptions::new().name("__Http-id").check("id")?;
    /// assert!(CookieOptions::new().name("__Http-id").http_only(false).check("id").is_err());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Keeps the cookie when the browser closes.
    ///
    /// `Max-Age` is the time until the session's absolute time-out, rounded up to a second and at most [`LONGEST`](Self::LONGEST).
    /// A response that only reads sends no cookie, because the store enforces the idle time-out.
    /// If the absolute time-out is later than [`LONGEST`](Self::LONGEST), each noted use of the session sends the cookie again, and the
    /// idle time-out is at most that long. So the session ends when the browser drops the cookie, and not before for a regular visitor.
    /// In a [`CookieStore`](crate::CookieStore), `Max-Age` is the time until the session expires, and the cookie is sent again
    /// when the expiry moves.
    ///
    /// To keep the cookie of a single session only ("remember me"), use
    /// [`Session::set_persistent`](session_core::Session::set_persistent).
    ///
    /// ```
    /// # pollster::block_on(async {
    /// use session_core::{Manager, hours};
    /// use session_http::{CookieOptions, SessionSet};
    /// use session_store_memory::MemoryStore;
    ///
    /// let manager = Manager::builder(MemoryStore::new()).absolute(hours(2)).build()?;
    /// let exchange = SessionSet::new(manager, CookieOptions::new().persistent())?.begin();
    /// exchange.open_first([]).await?.insert("n", &1)?;
    /// assert!(exchange.commit().await.set_cookie[0].as_str().ends_with("; Max-Age=7200"));
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn persistent(self) -> Self {
        self.max_age(Self::LONGEST)
    }

    /// Keeps the cookie when the browser closes, for at most `at_most`: 1 second to 400 days.
    ///
    /// Below 400 days it also limits the session's idle time-out, and the cookie is sent again whenever the session's expiry moves.
    /// Prefer [`persistent`](Self::persistent), whose cookie is sent once.
    ///
    /// ```
    /// use session_core::days;
    /// use session_http::CookieOptions;
    ///
    /// CookieOptions::new().max_age(days(30)).check("id")?;
    /// assert!(CookieOptions::new().max_age(days(401)).check("id").is_err());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn max_age(mut self, at_most: Duration) -> Self {
        self.max_age = Some(at_most);
        self
    }

    /// Ends the cookie when the browser closes. This is the default.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// use session_core::Manager;
    /// use session_http::{CookieOptions, SessionSet};
    /// use session_store_memory::MemoryStore;
    ///
    /// let set = SessionSet::new(Manager::new(MemoryStore::new()), CookieOptions::new().persistent())?;
    /// let exchange = set.begin();
    /// exchange.open_first([]).await?.login("ann")?; // on a computer that Ann shares with others
    /// exchange.set_cookie_options("id", CookieOptions::until_browser_closes)?;
    /// assert!(!exchange.commit().await.set_cookie[0].as_str().contains("Max-Age"));
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn until_browser_closes(mut self) -> Self {
        self.max_age = None;
        self
    }

    /// Leaves out `Secure`, for development without TLS on a host other than `localhost`.
    ///
    /// An attacker who can read the network traffic can then take over the session. A warning is logged at start.
    /// The default name is then the logical name alone, because `__Host-` requires `Secure`.
    /// For a server that is reached by TLS as well, use [`secure_when`](Self::secure_when).
    ///
    /// ```
    /// use session_http::CookieOptions;
    ///
    /// assert_eq!(CookieOptions::new().insecure().cookie_name("id"), "id");
    /// ```
    pub fn insecure(mut self) -> Self {
        self.secure = false;
        self
    }

    /// Signs the id with HMAC-SHA256 and the first key of `ring`.
    ///
    /// An id that no key of the ring has signed is not looked up, so made-up ids cost the store nothing.
    /// The session then opens as [`Undecodable`](session_core::Opened::Undecodable).
    /// A cookie that an older key has signed is sent again, signed with the first key.
    ///
    /// An id has 256 random bits and is safe without a signature; signing only saves round trips.
    /// A [`CookieStore`](crate::CookieStore) seals its cookies and cannot be combined with signing.
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

    /// Also accepts ids without a signature, and sends them again signed.
    ///
    /// Use it only while clients hold cookies from before [`signed`](Self::signed) was set, because made-up ids are looked up meanwhile.
    ///
    /// ```
    /// use session_crypto::KeyRing;
    /// use session_http::CookieOptions;
    ///
    /// # let ring = KeyRing::new(&(0..32).collect::<Vec<u8>>())?;
    /// CookieOptions::new().signed(&ring).accept_unsigned().check("id")?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn accept_unsigned(mut self) -> Self {
        self.accept_unsigned = true;
        self
    }

    /// Returns the cookie's name for the session with the logical name `logical`.
    ///
    /// If [`name`](Self::name) is not set, the name is made from `logical`. A character that a cookie's name cannot contain becomes `_`.
    ///
    /// ```
    /// use session_http::CookieOptions;
    ///
    /// assert_eq!(CookieOptions::new().cookie_name("my shop"), "__Host-my_shop");
    /// assert_eq!(CookieOptions::new().name("shop").cookie_name("id"), "shop");
    /// ```
    pub fn cookie_name(&self, logical: &str) -> String {
        if let Some(name) = &self.name {
            return name.clone().into_owned();
        }
        let prefix = if self.secure { "__Host-" } else { "" };
        let logical = logical.chars().map(|c| if u8::try_from(c).is_ok_and(is_tchar) { c } else { '_' });
        prefix.chars().chain(logical).collect()
    }
}

/// Whether `name` begins with `prefix`, in any case of letters, as browsers compare prefixes.
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// Whether `b` may occur in a token (RFC 9110, 5.6.2).
fn is_tchar(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}
