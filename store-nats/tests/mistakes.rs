//! Mistakes of operators: each is one error of opening, with its remedy and without the password.

mod common;

use std::sync::Arc;

use common::{api, client};
use serde_json::json;
use session_conformance::fixtures::{get, put, record};
use session_conformance::testing::check_refusal;
use session_conformance::{peers, server};
use session_core::ErrorKind::{self, Config, Unavailable};
use session_store_nats::NatsStore;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

async fn is_refused(url: &str, kind: ErrorKind, parts: &[&str]) {
    let url = format!("{url}{}timeout=2000", if url.contains('?') { '&' } else { '?' });
    check_refusal(NatsStore::connect(&url).await, kind, parts, &["hunter2"]);
}

/// Starts a server that sends this line to each client and answers nothing, and returns its `host:port`.
async fn saying(line: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(line.as_bytes()).await;
                let mut lines = BufReader::new(stream);
                let mut said = String::new();
                while lines.read_line(&mut said).await.is_ok_and(|length| length > 0) {
                    if said.starts_with("PING") {
                        let _ = lines.get_mut().write_all(b"PONG\r\n").await;
                    }
                    said.clear();
                }
            });
        }
    });
    address
}

/// Starts TLS before a server, and returns its `host:port` and the certificate of its authority, which is PEM.
///
/// The server speaks first, and TLS begins after its first line.
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
        while let Ok((mut client, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                let mut server = BufReader::new(TcpStream::connect(server).await.unwrap());
                let mut info = String::new();
                server.read_line(&mut info).await.unwrap();
                client.write_all(info.as_bytes()).await.unwrap();
                if let Ok(mut client) = acceptor.accept(client).await {
                    let _ = copy_bidirectional(&mut client, &mut server).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_is_one_error_that_names_its_remedy() {
    let server = server::nats().await.unwrap();
    let (at, password) = (server.address(), server.password());
    for login in
        [String::new(), "conformance:hunter2@".to_owned(), format!("hunter2:{password}@"), "hunter2@".to_owned()]
    {
        is_refused(&format!("nats://{login}{at}?tls=false"), Config, &["refuses the login"]).await;
    }
    is_refused("nats://conformance:hunter2@127.0.0.1:1", Unavailable, &[]).await;
    is_refused("nats://db.example", Config, &["not encrypted", "`tls=false`"]).await;
    let known = format!("nats://conformance:{password}@{at}");
    is_refused(&format!("{known}/none?tls=false&create=false"), Config, &["no bucket `none`", "`create=false`"]).await;
    is_refused(&format!("{known}/three?tls=false&replicas=3"), Config, &["fewer than 3 servers", "`replicas`"]).await;
    is_refused(&format!("{known}/b?tls=false&replicas=9"), Config, &["replicas must be 1 to 5"]).await;

    let driver = client(&server).await;
    let history = json!({ "name": "KV_old", "subjects": ["$KV.old.>"], "max_msgs_per_subject": 5, "storage": "file" });
    api(&driver, "STREAM.CREATE.KV_old", history).await;
    is_refused(&format!("{known}/old?tls=false"), Config, &["the bucket `old`", "history", "to 1"]).await;
    let direct = json!({
        "name": "KV_direct", "subjects": ["$KV.direct.>"], "max_msgs_per_subject": 1, "allow_msg_ttl": true, "allow_direct": true, "storage": "file",
    });
    api(&driver, "STREAM.CREATE.KV_direct", direct).await;
    is_refused(&format!("{known}/direct?tls=false"), Config, &["the bucket `direct`", "`allow_direct`"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_server_for_sessions_is_refused() {
    let old = saying("INFO {\"version\":\"2.10.29\",\"headers\":true,\"max_payload\":1048576}\r\n").await;
    is_refused(&format!("nats://{old}"), Config, &["older than NATS 2.11"]).await;
    let mail = saying("220 mail.example ESMTP\r\n").await;
    is_refused(&format!("nats://{mail}"), Config, &["no NATS server"]).await;
    let web = peers::http().await.unwrap();
    is_refused(&format!("nats://{web}"), Unavailable, &[]).await;
    let silent = peers::silent().await.unwrap();
    is_refused(&format!("nats://{silent}"), Unavailable, &["no answer within"]).await;
    let plain = server::nats_with("jetstream: disabled").await.unwrap();
    is_refused(plain.url(), Config, &["JetStream is not enabled", "sync_interval"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_right_is_named() {
    let rights = |publish: &str, subscribe: &str| {
        format!(
            "authorization {{ users: [{{ user: conformance, password: $PASSWORD, permissions: {{ publish: [{publish}], subscribe: [\"{subscribe}\"] }} }}] }}"
        )
    };
    let all = "\"$JS.API.STREAM.INFO.KV_sessions\", \"$JS.API.STREAM.MSG.GET.KV_sessions\", \"$KV.sessions.>\"";
    for (publish, subscribe, what) in [
        (all, "_INBOX.>", "to create the bucket"),
        ("\"$JS.API.STREAM.CREATE.KV_sessions\"", "_INBOX.>", "to ask about the bucket"),
        ("\"$JS.API.STREAM.*.KV_sessions\"", "_INBOX.>", "to read from the bucket"),
        ("\"$JS.API.STREAM.>\"", "_INBOX.>", "to write to the bucket"),
        ("\">\"", "none", "to ask about the bucket"),
    ] {
        let server = server::nats_with(&rights(publish, subscribe)).await.unwrap();
        is_refused(server.url(), Config, &[&format!("does not permit the user {what}"), "README"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_login_works() {
    let folder = tempfile::tempdir().unwrap();
    let token = server::nats_with("authorization { token: $PASSWORD }").await.unwrap();
    let store =
        NatsStore::connect(&format!("nats://{}@{}?tls=false", token.password(), token.address())).await.unwrap();
    put(&store, 1, &record(b"by token")).await;

    let key = nkeys::KeyPair::new_user();
    let file = folder.path().join("user.nk");
    std::fs::write(&file, key.seed().unwrap()).unwrap();
    let server =
        server::nats_with(&format!("authorization {{ users: [{{ nkey: {} }}] }}", key.public_key())).await.unwrap();
    let url = format!("nats://{}?tls=false&nkey={}", server.address(), file.display());
    let store = NatsStore::connect(&url).await.unwrap();
    put(&store, 1, &record(b"by key")).await;
    std::fs::write(&file, nkeys::KeyPair::new_user().seed().unwrap()).unwrap();
    is_refused(&url, Config, &["refuses the login"]).await;
    let twice = format!("nats://ann:hunter2@{}?tls=false&nkey={}", server.address(), file.display());
    check_refusal(NatsStore::connect(&twice).await, Config, &["one login"], &["hunter2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_connections_are_checked_and_work() {
    let server = server::nats().await.unwrap();
    let (at, authority) = with_tls(server.address().to_owned()).await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority).unwrap();
    let url = format!("nats://conformance:{}@{at}?tls-ca={}", server.password(), ca.display());
    let store = NatsStore::connect(&url).await.unwrap();
    put(&store, 1, &record(&[b'x'; 300_000])).await;
    assert_eq!(get(&store, 1).await.unwrap().data.len(), 300_000);

    let login = format!("conformance:{}", server.password());
    is_refused(&format!("nats://{login}@{at}?tls=true"), Config, &["certificate"]).await;
    let port = at.rsplit(':').next().unwrap();
    let other_name = format!("nats://{login}@localhost:{port}?tls-ca={}", ca.display());
    is_refused(&other_name, Config, &["certificate", "another name"]).await;
    let plain = format!("nats://{login}@{}?tls=true", server.address());
    is_refused(&plain, Config, &["does not use TLS"]).await;
}
