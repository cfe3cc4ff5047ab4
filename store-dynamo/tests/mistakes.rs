//! What operators get wrong: each is one error when the store is opened, with the mend.

mod common;

use common::Server;
use session_conformance::peers;
use session_conformance::testing::check_refusal;
use session_core::ErrorKind;
use session_store_dynamo::DynamoStore;

/// Opens the store at `url`, and checks the kind of its error and a part of its text.
async fn refused(server: &Server, url: &str, kind: ErrorKind, part: &str) {
    let hidden = [server.password(), "hunter2", "***@host"];
    check_refusal(DynamoStore::connect(url).await, kind, &[part], &hidden);
}

#[tokio::test]
async fn a_mistake_in_the_url_is_refused_with_its_mend() {
    let server = Server::get();
    let url = server.url_with("timeout=3000");
    for (options, part) in [
        ("namespace=No", "a namespace must"),
        ("namespace=ab", "at least 3 characters"),
        ("pool=0", "pool must be 1 to 1000"),
        ("pool=many", "pool is not a number"),
        ("timeout=1", "`timeout` is given twice"),
        ("wait=7200000", "wait must be at most 1 hour"),
        ("queue=0", "queue must be"),
        ("create=maybe", "create is not true or false"),
        ("region=eu-west-1", "unknown option `region`"),
        ("tiemout=100", "perhaps `timeout` misspelt"),
        ("namespace=50%", "write the character % as %25"),
        ("namespace=test_nowhere&create=false", "there is no table `test_nowhere`; create it"),
    ] {
        refused(&server, &format!("{url}&{options}"), ErrorKind::Config, part).await;
    }
    for (url, part) in [
        (format!("{url}\n"), "white space"),
        (format!("\"{url}\""), "quotation marks"),
        ("key:hunter2@/eu-west-1".to_owned(), "begins with dynamodb://"),
        ("dynamodb://key:pa?hunter2&x@/eu-west-1".to_owned(), "percent-encode the characters"),
        ("dynamodb://key:12/hunter2@/eu-west-1".to_owned(), "percent-encode the characters"),
        ("dynamodb://key:50%off@/eu-west-1".to_owned(), "as %25"),
        ("dynamodb://key@db:8000/eu-west-1".to_owned(), "is not of the form dynamodb://key:secret@host:port/region"),
        ("dynamodb://key:hunter2@db:70000/eu-west-1".to_owned(), "is not of the form"),
        ("dynamodb://key:hunter2@db:8000/Frankfurt".to_owned(), "not the name of a region"),
        ("dynamodb://key:hunter2@/eu-west-1?tls=false".to_owned(), "names none"),
        (url.replace("tls=false", "tls=true"), "check the certificate of the server, and the option tls of the URL"),
    ] {
        refused(&server, &url, ErrorKind::Config, part).await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let server = Server::get();
    let (silent, http) = (peers::silent().await.unwrap(), peers::http().await.unwrap());
    for (address, kind, part) in [
        ("127.0.0.1:1".to_owned(), ErrorKind::Unavailable, "DynamoDB cannot be reached"),
        ("[::1]:1".to_owned(), ErrorKind::Unavailable, "DynamoDB cannot be reached"),
        ("nowhere.invalid".to_owned(), ErrorKind::Unavailable, "DynamoDB cannot be reached"),
        (silent.to_string(), ErrorKind::Unavailable, "no answer within the time-out"),
        (http.to_string(), ErrorKind::Config, "does not speak DynamoDB's protocol; check host and port"),
    ] {
        let url = format!("dynamodb://key:hunter2@{address}/eu-west-1?timeout=1000&tls=false");
        refused(&server, &url, kind, part).await;
    }
}

#[tokio::test]
async fn open_waits_for_a_server_that_starts_later() {
    let server = Server::get();
    // An attempt makes two connections at most, because a read is sent once more.
    let late = peers::late(server.address(), 6).await.unwrap();
    let url = format!("{}&namespace=test_late", server.url_through(late));
    let error = DynamoStore::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    DynamoStore::connect(&format!("{url}&wait=30000")).await.unwrap();
    server.clean("test_late").await;
}
