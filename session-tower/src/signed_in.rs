//! Extractor for requests of signed-in users.

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use session_core::{Error, ErrorKind, Principal};

use crate::{ErrorResponse, Result, Session};

/// Session of a signed-in user, with the user's principal. A handler with this argument is reached only by signed-in users.
///
/// `Option<SignedIn>` is `None` if no user is signed in.
///
/// To send browsers to a sign-in page instead of an error, add [`require`](crate::require).
///
/// ```
/// use session_tower::{Result, SignedIn};
///
/// async fn account(user: SignedIn) -> Result<String> {
///     let visits = user.session.update("visits", |n: &mut u64| *n += 1)?;
///     Ok(format!("Hello {}, visit number {visits}", user.principal.as_str()))
/// }
/// # let _ = axum::routing::get::<_, _, ()>(account);
/// ```
///
/// # Rejections
///
/// [`ErrorResponse`] with status 401 if no user is signed in, and those of [`Session`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SignedIn {
    /// The user, as [`login`](session_core::Session::login) was told.
    pub principal: Principal,
    /// The request's first session.
    pub session: Session,
}

const NOT_SIGNED_IN: Error = Error::fixed(ErrorKind::Unauthenticated, "the page needs a signed-in user");

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let found = <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?;
        found.ok_or_else(|| NOT_SIGNED_IN.into())
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for SignedIn {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>> {
        let session = <Session as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok(session.principal().map(|principal| Self { principal, session }))
    }
}
