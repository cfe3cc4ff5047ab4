//! The application's check of each signed-in session that is opened.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use super::session_info::SessionInfo;
use crate::{Error, ErrorKind, Result};

type Verdict = Pin<Box<dyn Future<Output = Result<bool>> + Send>>;

/// Function of the application that says whether a session may still be used.
#[derive(Clone)]
pub(crate) struct Verifier(Arc<dyn Fn(SessionInfo) -> Verdict + Send + Sync>);

impl Verifier {
    pub(super) fn new<F, V, E>(verify: F) -> Self
    where
        F: Fn(SessionInfo) -> V + Send + Sync + 'static,
        V: Future<Output = Result<bool, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let verdict = move |info: SessionInfo| -> Verdict {
            let verdict = verify(info);
            Box::pin(async move {
                verdict.await.map_err(|error| {
                    let failed = "the application's `verify` failed, so the session is not opened; try again later";
                    let error: Box<dyn StdError + Send + Sync> = error.into();
                    Error::fixed(ErrorKind::Unavailable, failed).with_source(&*error)
                })
            })
        };
        Self(Arc::new(verdict))
    }

    /// Returns whether the session may still be used.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the application cannot tell.
    pub(super) async fn accepts(&self, info: SessionInfo) -> Result<bool> {
        (self.0)(info).await
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}
