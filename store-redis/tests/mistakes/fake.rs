//! A server that answers each command as a test says.

use std::sync::Arc;

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// Returns the reply to a command, or `None` to close the connection.
pub(crate) type Reply = dyn Fn(&[String]) -> Option<String> + Send + Sync;

/// Starts a server and returns its `host:port`. It ends with the runtime.
pub(crate) async fn start(reply: impl Fn(&[String]) -> Option<String> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let reply: Arc<Reply> = Arc::new(reply);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let reply = Arc::clone(&reply);
            tokio::spawn(async move { serve(stream, &*reply).await });
        }
    });
    address
}

/// Starts a server with TLS and a certificate that no authority has signed, and returns its `host:port`.
pub(crate) async fn start_with_tls() -> String {
    let certificate = CertificateDer::from(&include_bytes!("certificate.der")[..]);
    let key = PrivatePkcs8KeyDer::from(&include_bytes!("key.der")[..]);
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key.into()).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.ok()?;
                serve(stream, &|command| Some(ready(command))).await
            });
        }
    });
    address
}

/// The reply of a server that is ready, to commands that it has no data for.
pub(crate) fn ready(command: &[String]) -> String {
    match command[0].as_str() {
        "HELLO" => "%1\r\n+server\r\n+redis\r\n",
        "CONFIG" => "%0\r\n",
        _ => ":0\r\n",
    }
    .to_owned()
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, reply: &Reply) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut words = Vec::new();
        for _ in 0..number(&mut stream, '*').await? {
            let mut word = vec![0; number(&mut stream, '$').await? + 2];
            stream.read_exact(&mut word).await.ok()?;
            words.push(String::from_utf8_lossy(&word).trim_end().to_owned());
        }
        stream.write_all(reply(&words)?.as_bytes()).await.ok()?;
    }
}

/// Reads the length of an array or of a string.
async fn number(stream: &mut (impl AsyncBufRead + Unpin), begins: char) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.trim_end().strip_prefix(begins)?.parse().ok()
}
