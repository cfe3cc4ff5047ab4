//! Settings of encrypted connections.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use session_core::Result;
use session_store_kit::{Pem, absolute, check_pem, wrong};

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
        let mut roots = RootCertStore::empty();
        match &self.0 {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let added = certificate.ok().map(|certificate| roots.add(certificate));
                    if !matches!(added, Some(Ok(()))) {
                        return wrong("the option tls-ca names a file that does not hold certificates in PEM");
                    }
                }
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let Ok(config) = config.with_safe_default_protocol_versions() else {
            return wrong("this build of rustls supports no version of TLS");
        };
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }
}
