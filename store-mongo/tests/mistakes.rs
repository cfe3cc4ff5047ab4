//! What operators get wrong: each is one error when the store is opened, with the mend.

mod common;

use std::fs;

use common::Server;
use session_conformance::fixtures::{put, record};
use session_conformance::peers;
use session_conformance::testing::check_refusal;
use session_core::ErrorKind;
use session_store_mongo::MongoStore;

/// Opens the store at `url`, and checks the kind of its error and a part of its text.
async fn refused(server: &Server, url: &str, kind: ErrorKind, part: &str) {
    let hidden = [server.password(), "hunter2", "***@host"];
    check_refusal(MongoStore::connect(url).await, kind, &[part], &hidden);
}

#[tokio::test]
async fn a_mistake_in_the_url_is_refused_with_its_mend() {
    let server = Server::get();
    let url = server.url_with("timeout=3000");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let text = file("text.pem", "no certificate");
    let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let encrypted = file(
        "key.pem",
        &format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n{certificate}"),
    );
    for (options, part) in [
        ("namespace=No", "a namespace must"),
        ("pool=0", "pool must be 1 to 1000"),
        ("pool=many", "pool is not a number"),
        ("timeout=1", "`timeout` is given twice"),
        ("wait=7200000", "wait must be at most 1 hour"),
        ("queue=0", "queue must be"),
        ("create=maybe", "create is not true or false"),
        ("tlsCAFile=/nowhere/hunter2.pem", "the file of the URL's option tlsCAFile does not exist"),
        (&format!("tlsCAFile={text}"), "tlsCAFile names no PEM certificates"),
        (
            &format!("tlsCertificateKeyFile={encrypted}"),
            "the key of the URL's option tlsCertificateKeyFile is encrypted",
        ),
        ("tlsAllowInvalidHostnames=true", "connect by a name that the certificate has"),
        ("tlsCertificateKeyFilePassword=hunter2", "decrypt the key"),
        ("sslmode=require", "unknown option `sslmode`"),
        ("tiemout=100", "perhaps `timeout` misspelt"),
        ("namespace=50%", "write the character % as %25"),
        ("w=hunter2&journal=hunter2", "is not of the form mongodb://user:password@host:port/database"),
        ("replicaSet=nowhere&directConnection=false", "to another one than the URL's replicaSet; correct or remove it"),
    ] {
        refused(&server, &format!("{url}&{options}"), ErrorKind::Config, part).await;
    }
    for (url, part) in [
        (format!("{url}\n"), "white space"),
        (format!("\"{url}\""), "quotation marks"),
        ("shop:hunter2@db/a".to_owned(), "begins with mongodb:// or mongodb+srv://"),
        ("mongodb://shop:pa?hunter2&x@db/a".to_owned(), "percent-encode the characters"),
        ("mongodb://shop:50%off@db/a".to_owned(), "as %25"),
        ("mongodb://shop@db:70000/a".to_owned(), "is not of the form"),
    ] {
        refused(&server, &url, ErrorKind::Config, part).await;
    }
    // A server without TLS keeps silent when it is asked for it.
    refused(&server, &url.replace("tls=false", "tls=true"), ErrorKind::Unavailable, "and tls in the URL").await;
}

#[tokio::test]
async fn a_mistake_in_the_server_is_refused_with_its_mend() {
    let server = Server::get();
    let url = server.url_with("timeout=3000");
    let refuses = "the server refuses user or password; check both, and authSource";
    for url in [url.replacen(server.password(), "hunter2", 1), url.replacen("conformance:", "nowhere:", 1)] {
        refused(&server, &url, ErrorKind::Config, refuses).await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let server = Server::get();
    let silent = peers::silent().await.unwrap();
    let part = "no server answers that takes writes; check hosts and ports, that the servers run, and tls in the URL";
    for address in ["127.0.0.1:1".to_owned(), "[::1]:1".to_owned(), "nowhere.invalid".to_owned()] {
        let url = format!("mongodb://shop:hunter2@{address}/shop?timeout=1000&tls=false");
        refused(&server, &url, ErrorKind::Unavailable, part).await;
    }
    let url = format!("mongodb://shop:hunter2@{silent}/shop?timeout=1000");
    refused(&server, &url, ErrorKind::Unavailable, "").await;
    let http = peers::http().await.unwrap();
    let url = format!("mongodb://shop:hunter2@{http}/shop?timeout=1000");
    refused(&server, &url, ErrorKind::Config, "does not speak MongoDB's protocol; check hosts and ports").await;
}

#[tokio::test]
async fn a_url_as_providers_show_it_opens_a_store() {
    let server = Server::get();
    server.clean("test_provider").await;
    let options = "namespace=test_provider&retryWrites=true&w=majority&appName=Cluster0&readPreference=primary&maxIdleTimeMS=60000\
                   &socketTimeoutMS=7000&uuidRepresentation=standard&connectTimeoutMS=1000&wait=1000";
    let store = MongoStore::connect(&server.url_with(options)).await.unwrap();
    put(&store, 1, &record(b"x")).await;
    server.clean("test_provider").await;
}

#[tokio::test]
async fn open_waits_for_a_server_that_starts_later() {
    let server = Server::get();
    // Within a time-out of 300 ms the driver makes few attempts, so opening takes several.
    let late = peers::late(server.address(), 12).await.unwrap();
    let url = format!("{}&namespace=test_late&timeout=300", server.url_through(late));
    let error = MongoStore::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    MongoStore::connect(&format!("{}&wait=60000", url.replace("timeout=300", "timeout=3000"))).await.unwrap();
    server.clean("test_late").await;
}
