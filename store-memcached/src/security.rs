//! Encrypted connections.

#[cfg(feature = "tls")]
pub(crate) use with_tls::Security;

/// Without the feature `tls` there is no such value.
#[cfg(not(feature = "tls"))]
#[derive(Clone)]
pub(crate) enum Security {}

#[cfg(not(feature = "tls"))]
impl Security {
    pub(crate) fn new(_host: &str, _authorities: Option<&[u8]>) -> session_core::Result<Self> {
        session_store_kit::wrong(
            "the connection is to be encrypted, which needs the feature `tls` of session-store-memcached; it is not compiled in",
        )
    }

    pub(crate) async fn secured(&self, _stream: tokio::net::TcpStream) -> session_core::Result<tokio::net::TcpStream> {
        match *self {}
    }
}

#[cfg(feature = "tls")]
mod with_tls {
    use std::io;
    use std::sync::Arc;

    use session_core::{Error, ErrorKind, Result};
    use session_store_kit::{tls_config, wrong};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;
    use tokio_rustls::rustls::pki_types::ServerName;

    use crate::error;

    /// Settings of TLS for one server.
    #[derive(Clone)]
    pub(crate) struct Security {
        connector: TlsConnector,
        name: ServerName<'static>,
    }

    impl Security {
        /// Returns the settings for a server whose certificate names `host` and is signed by one of `authorities`, which is PEM, else
        /// by one that browsers trust.
        pub(crate) fn new(host: &str, authorities: Option<&[u8]>) -> Result<Self> {
            let Ok(name) = ServerName::try_from(host.to_owned()) else {
                return wrong("the host is neither a name nor an address that a certificate could hold");
            };
            let config = tls_config(authorities)?;
            Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
        }

        /// Begins TLS on a connection, and checks the server's certificate.
        pub(crate) async fn secured(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>> {
            self.connector.connect(self.name.clone(), stream).await.map_err(|error| refused(&error))
        }
    }

    /// Returns the error of a connection on which TLS does not begin.
    fn refused(error: &io::Error) -> Error {
        const CERTIFICATE: Error = Error::fixed(
            ErrorKind::Config,
            "the server's certificate is not accepted: it is of another name, expired, or signed by an authority that is not in `tls-ca`",
        );
        const PLAIN: Error =
            Error::fixed(ErrorKind::Config, "the server does not use TLS: start it with `-Z`, or set `tls=false`");
        use tokio_rustls::rustls::Error as Tls;
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>()) {
            Some(Tls::InvalidCertificate(_)) => CERTIFICATE,
            Some(Tls::InvalidMessage(_)) => PLAIN,
            _ => error::LOST.with_source(error),
        }
    }
}
