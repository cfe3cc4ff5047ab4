//! Requests that no person sees.

/// What a request that no person sees leaves as it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quiet {
    /// The use is not noted, and flash messages stay.
    pub(crate) keeps_expiry: bool,
    /// There seem to be no flash messages, because the page may be shown later without another request.
    pub(crate) hides_flashes: bool,
}
