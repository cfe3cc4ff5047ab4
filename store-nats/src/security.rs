//! Settings of encrypted connections.

use std::path::Path;

use rustls::ClientConfig;
use session_core::Result;
use session_store_kit::{Pem, absolute, check_pem, tls_config, wrong};

/// Authorities that may sign a server's certificate.
#[derive(Clone, Default)]
pub(crate) struct Authorities(Option<Vec<u8>>);

impl Authorities {
    /// Reads them from a file.
    pub(crate) fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = absolute(path.as_ref())?;
        check_pem("tls-ca", &path.to_string_lossy(), Pem::Certificates)?;
        let Ok(pem) = std::fs::read(&path) else { return wrong("the file of the option tls-ca cannot be read") };
        let this = Self(Some(pem));
        this.config()?;
        Ok(this)
    }

    /// Returns the settings of connections to servers whose certificate one of them has signed, else one that browsers trust.
    pub(crate) fn config(&self) -> Result<ClientConfig> {
        tls_config(self.0.as_deref())
    }
}
