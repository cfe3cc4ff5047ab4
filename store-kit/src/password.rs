//! Passwords that change while a store is open.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use session_core::Result;

/// Function that returns the password for a new connection: a token that expires, or a secret that is rotated.
///
/// ```
/// use session_store_kit::PasswordSource;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> session_core::Result<()> {
/// let source = PasswordSource::new(|| async { Ok("secret of this hour".to_owned()) });
/// assert_eq!(source.ask().await?, "secret of this hour");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PasswordSource(Arc<dyn Fn() -> Asked + Send + Sync>);

type Asked = Pin<Box<dyn Future<Output = Result<String>> + Send>>;

impl PasswordSource {
    /// Makes a source of a function.
    pub fn new<F, A>(ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<String>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(ask())))
    }

    /// Returns the password of this moment.
    ///
    /// # Errors
    /// Those of the function.
    pub async fn ask(&self) -> Result<String> {
        (self.0)().await
    }
}

impl fmt::Debug for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordSource").finish_non_exhaustive()
    }
}
