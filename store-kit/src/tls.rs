//! Settings of encrypted connections, for stores whose drivers take those of rustls.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use session_core::Result;

use crate::wrong;

/// Returns the settings of connections to servers whose certificate is signed by one of `authorities`, which is PEM, else by one that
/// browsers trust.
///
/// ```
/// assert!(session_store_kit::tls_config(None).is_ok());
/// assert!(session_store_kit::tls_config(Some(b"-----BEGIN CERTIFICATE-----")).is_err());
/// ```
///
/// # Errors
/// [`ErrorKind::Config`](session_core::ErrorKind::Config) if a certificate cannot be read.
pub fn tls_config(authorities: Option<&[u8]>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match authorities {
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
