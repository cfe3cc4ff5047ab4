//! Mistakes of operators: each is one error of opening, with its remedy and without the password.

mod common;

use std::sync::Arc;

use session_conformance::fixtures::{get, put, record};
use session_conformance::testing::check_refusal;
use session_conformance::{peers, server};
use session_core::ErrorKind::{self, Config, Unavailable};
use session_store_memcached::MemcachedStore;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

async fn is_refused(url: &str, kind: ErrorKind, parts: &[&str]) {
    let url = format!("{url}{}timeout=1500", if url.contains('?') { '&' } else { '?' });
    check_refusal(MemcachedStore::connect(&url).await, kind, parts, &["hunter2"]);
}

/// Starts a server that answers each line by `answer`, and returns its `host:port`.
async fn fake(answer: fn(&str) -> &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                while stream.read_line(&mut line).await.is_ok_and(|length| length > 0) {
                    let _ = stream.get_mut().write_all(answer(line.trim_end()).as_bytes()).await;
                    line.clear();
                }
            });
        }
    });
    address
}

/// Starts TLS before a server, and returns its `host:port` and the certificate of its authority, which is PEM.
async fn with_tls(server: String) -> (String, String) {
    let signed = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = CertificateDer::from(signed.cert.der().to_vec());
    let pem = pem(&certificate);
    let key = PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key.into()).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                if let Ok(client) = acceptor.accept(client).await {
                    forward(client, &server).await;
                }
            });
        }
    });
    (address, pem)
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

async fn forward(mut client: impl AsyncRead + AsyncWrite + Unpin, server: &str) {
    if let Ok(mut server) = TcpStream::connect(server).await {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_is_one_error_that_names_its_remedy() {
    let server = server::memcached().await.unwrap();
    let (at, password) = (server.address(), server.password());
    for (login, parts) in [
        (String::new(), ["asks for a user and a password", "memcached://user:password@host"]),
        ("conformance:hunter2@".to_owned(), ["refuses the user or the password", "`-Y`"]),
        (format!("hunter2:{password}@"), ["refuses the user or the password", "`-Y`"]),
    ] {
        is_refused(&format!("memcached://{login}{at}?tls=false"), Config, &parts).await;
    }
    is_refused("memcached://conformance:hunter2@127.0.0.1:1", Unavailable, &[]).await;
    is_refused("memcached://db.example", Config, &["not encrypted", "`tls=false`"]).await;
    is_refused(&format!("memcached://{at}?tls=false&pool=0"), Config, &["pool must be 1 to 1000"]).await;

    let bare = server::memcached_with(&["-C"]).await.unwrap();
    is_refused(bare.url(), Config, &["compare-and-set", "without `-C`"]).await;
}

#[tokio::test]
async fn what_is_no_server_for_sessions_is_refused() {
    let proxy = fake(|line| if line.starts_with("version") { "VERSION proxy\r\n" } else { "ERROR\r\n" }).await;
    is_refused(&format!("memcached://{proxy}"), Config, &["meta commands", "without a proxy"]).await;
    let open = fake(|line| if line == "version" { "VERSION 1.6.18\r\n" } else { "STORED\r\n" }).await;
    is_refused(&format!("memcached://ann:hunter2@{open}"), Config, &["asks for no password", "leave user"]).await;
    let web = peers::http().await.unwrap();
    is_refused(&format!("memcached://{web}"), Config, &["no Memcached server"]).await;
    let silent = peers::silent().await.unwrap();
    is_refused(&format!("memcached://{silent}"), Unavailable, &["no answer within"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_connections_are_checked_and_work() {
    let server = server::memcached().await.unwrap();
    let (at, authority) = with_tls(server.address().to_owned()).await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority).unwrap();
    let url = format!("memcached://conformance:{}@{at}?tls-ca={}", server.password(), ca.display());
    let store = MemcachedStore::connect(&url).await.unwrap();
    put(&store, 1, &record(&[b'x'; 300_000])).await;
    assert_eq!(get(&store, 1).await.unwrap().data.len(), 300_000);

    let login = format!("conformance:{}", server.password());
    is_refused(&format!("memcached://{login}@{at}?tls=true"), Config, &["certificate"]).await;
    let port = at.rsplit(':').next().unwrap();
    let other_name = format!("memcached://{login}@localhost:{port}?tls-ca={}", ca.display());
    is_refused(&other_name, Config, &["certificate", "another name"]).await;
    let plain = format!("memcached://{login}@{}?tls=true", server.address());
    is_refused(&plain, Config, &["does not use TLS"]).await;
}
