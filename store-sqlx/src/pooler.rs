//! Poolers between a store and its server.

use session_core::Result;
use session_store_kit::wrong;

/// A program between a store and its server that lends connections, such as PgBouncer, as far as statements notice it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooler {
    /// There is none: each connection is a session of the server, with the settings that the store asks for.
    #[default]
    None,
    /// Each transaction may run in another session of the server. The store keeps no state in a session: no setting and no prepared
    /// statement.
    Transaction,
    /// A connection keeps one session of the server until it is closed. The store makes its settings after it has connected.
    Session,
}

impl Pooler {
    /// Reads the value of a URL's option.
    ///
    /// ```
    /// use session_store_sqlx::Pooler;
    ///
    /// assert_eq!(Pooler::read("transaction").unwrap(), Pooler::Transaction);
    /// assert!(Pooler::read("statement").unwrap_err().to_string().contains("none, transaction or session"));
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for any other word.
    pub fn read(word: &str) -> Result<Self> {
        match word {
            "none" => Ok(Self::None),
            "transaction" => Ok(Self::Transaction),
            "session" => Ok(Self::Session),
            _ => wrong("the option pooler of the URL is not none, transaction or session"),
        }
    }
}
