//! What operators get wrong: each is one error when the store is opened, with the mend.

mod common;

use std::fs;
use std::sync::{Arc, Mutex};

use common::Server;
use session_conformance::fixtures::{key, now, put, record};
use session_conformance::peers;
use session_conformance::testing::check_refusal;
use session_core::{ErrorKind, Store as _, seconds};
use session_store_postgres::PostgresStore;
use sqlx::postgres::PgConnectOptions;

/// Opens the store at `url`, and checks the kind of its error and a part of its text.
async fn refused(server: &Server, url: &str, kind: ErrorKind, part: &str) {
    let hidden = [server.password(), "hunter2", "pool timed out", "***@host"];
    check_refusal(PostgresStore::connect(url).await, kind, &[part], &hidden);
}

#[tokio::test]
async fn a_mistake_in_the_url_is_refused_with_its_mend() {
    let server = Server::get();
    let url = server.url_with("");
    let bare = url.split('?').next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let text = file("text.pem", "no certificate");
    let certificate = file("cert.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    let encrypted =
        file("key.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n");
    for (options, part) in [
        ("namespace=No", "a namespace must"),
        ("namespace=pg_sessions", "begin with pg_"),
        ("pool=0", "pool must be 1 to 1000"),
        ("pool=many", "pool is not a number"),
        ("timeout=0", "timeout must be"),
        ("timeout=5s", "milliseconds"),
        ("wait=7200000", "wait must be at most 1 hour"),
        ("queue=0", "queue must be"),
        ("timeout=100&timeout=200", "`timeout` is given twice"),
        ("pool=2&connection_limit=3", "connection_limit and pool mean the same"),
        ("sslmode=require&ssl-mode=disable", "sslmode and ssl-mode mean the same"),
        ("sslmode=on", "sslmode of the URL is not disable, allow"),
        ("sslmode=require", "set it up on the server (option sslmode)"),
        ("sslmode=verify-full", "set it up on the server (option sslmode)"),
        ("sslrootcert=/nowhere/hunter2.pem", "the file of the URL's option sslrootcert does not exist"),
        (&format!("sslrootcert={text}"), "sslrootcert names no PEM certificates"),
        (&format!("sslcert={certificate}"), "needs both or neither"),
        (
            &format!("sslcert={certificate}&sslkey={encrypted}"),
            "the key of the URL's option sslkey is encrypted; decrypt it",
        ),
        ("sslrootcert=system&sslmode=require", "needs sslmode=verify-full"),
        ("channel_binding=require", "channel_binding of the URL can only be prefer or disable"),
        ("pgbouncer=perhaps", "pgbouncer of the URL can only be true or false"),
        ("pooler=statement", "pooler of the URL is not none, transaction or session"),
        ("target_session_attrs=standby", "the store needs the primary"),
        ("pool_timeout=10", "write timeout, in ms"),
        ("connect_timeout=soon", "connect_timeout is not a number"),
        ("tiemout=100", "perhaps `timeout` misspelt"),
        ("retryWrites=true", "unknown option `retryWrites`"),
        ("namespace=50%", "write the character % as %25"),
        ("dbname=there_is_none", "does not exist"),
        ("options[there_is_none]=1", "unrecognized configuration parameter"),
        ("options[work_mem]=lots", "invalid value for parameter"),
    ] {
        let begin = if options.starts_with("ssl") { format!("{bare}?") } else { format!("{url}&") };
        refused(&server, &format!("{begin}{options}"), ErrorKind::Config, part).await;
    }
    for (url, part) in [
        (format!("{url}\n"), "white space"),
        (format!("\"{url}\""), "quotation marks"),
        (url.replace("postgres://", ""), "begins with postgres:// or postgresql://"),
        (url.replace("postgres://", "postgers://"), "begins with postgres:// or postgresql://"),
        ("postgres://shop:pa?hunter2&x@db/a".to_owned(), "percent-encode the characters"),
        ("postgres://shop:50%off@db/a".to_owned(), "as %25"),
        ("postgres://shop@a,/a".to_owned(), "a comma beside an empty host"),
        ("postgres://shop@db:70000/a".to_owned(), "the port in the URL"),
        ("postgres://shop@d b/a".to_owned(), "of the form postgres://user:password@host:port/database"),
    ] {
        refused(&server, &url, ErrorKind::Config, part).await;
    }
}

#[tokio::test]
async fn a_mistake_in_the_server_is_refused_with_its_mend() {
    let server = Server::get();
    let password = server.password().to_owned();
    server
        .sql(&format!(
            "do $$ begin create role test_plain login password '{password}'; exception when duplicate_object then end $$;
             do $$ begin create role test_none login connection limit 0 password '{password}'; exception when duplicate_object then end $$;
             do $$ begin create role test_old login password '{password}' valid until '2001-01-01'; exception when duplicate_object then end $$;
             do $$ begin create role test_group password '{password}'; exception when duplicate_object then end $$"
        ))
        .await;
    for database in ["test_closed", "test_refusing"] {
        server.sql(&format!("drop database if exists {database}")).await;
        server.sql(&format!("create database {database}")).await;
    }
    server.sql("revoke connect on database test_closed from public").await;
    server.sql("alter database test_refusing with allow_connections false").await;
    let at = |user: &str, password: &str, database: &str| {
        format!("postgres://{user}:{password}@{}/{database}?sslmode=disable", server.address())
    };
    for (url, kind, part) in [
        (at("conformance", "hunter2", "conformance"), ErrorKind::Config, "password authentication failed"),
        (at("nowhere", "hunter2", "conformance"), ErrorKind::Config, "password authentication failed"),
        (at("conformance", &password, "nowhere"), ErrorKind::Config, "does not exist"),
        (at("test_plain", &password, "test_closed"), ErrorKind::Config, "grant connect on the database to the role"),
        (at("test_group", &password, "conformance"), ErrorKind::Config, "not permitted to log in"),
        (at("test_old", &password, "conformance"), ErrorKind::Config, "password authentication failed"),
        (at("conformance", &password, "test_refusing"), ErrorKind::Config, "not currently accepting connections"),
        (at("test_none", &password, "conformance"), ErrorKind::Unavailable, "raise the limit of the role"),
    ] {
        refused(&server, &url, kind, part).await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_by_its_address() {
    let server = Server::get();
    let silent = peers::silent().await.unwrap();
    let http = peers::http().await.unwrap();
    for (address, kind, part) in [
        ("127.0.0.1:1".to_owned(), ErrorKind::Unavailable, "nothing listens at 127.0.0.1:1; check host and port"),
        ("[::1]:1".to_owned(), ErrorKind::Unavailable, "at [::1]:1; check host and port"),
        (
            "nowhere.invalid".to_owned(),
            ErrorKind::Unavailable,
            "no address is known for the server at nowhere.invalid:5432",
        ),
        (silent.to_string(), ErrorKind::Unavailable, "no answer within the time-out from the server at 127.0.0.1:"),
        (http.to_string(), ErrorKind::Config, "does not speak the protocol of PostgreSQL; check host and port"),
    ] {
        let url = format!("postgres://shop:hunter2@{address}/shop?timeout=2000&sslmode=prefer");
        refused(&server, &url, kind, part).await;
    }
    let url = format!("postgres://shop:hunter2@{silent}/shop?timeout=60000&connect_timeout=1");
    refused(&server, &url, ErrorKind::Unavailable, "no answer within the time-out").await;
}

#[tokio::test]
async fn a_url_as_providers_show_it_opens_a_store() {
    let server = Server::get();
    server.sql("create schema if not exists \"Test shop\"").await;
    let url = server.url_with("namespace=test_provider&wait=1000");
    let provided = "application_name=test+shop&connect_timeout=10&channel_binding=prefer&gssencmode=disable&target_session_attrs=read-write\
                    &connection_limit=3&pgbouncer=false&sslsni=1&schema=Test%20shop&options=-c%20work_mem%3D8MB";
    let store = PostgresStore::connect(&format!("{url}&{provided}")).await.unwrap();
    put(&store, 1, &record(b"x")).await;
    server.sql("delete from \"Test shop\".test_provider").await;
    assert_eq!(store.load(&now(), &key(1)).await.unwrap(), None);
    let mut foreign = server.foreign().await;
    let query = "select count(*) from pg_stat_activity where application_name = 'test+shop'";
    let connected: (i64,) = sqlx::query_as(query).fetch_one(&mut foreign).await.unwrap();
    assert!((1..=3).contains(&connected.0));
    server.sql("drop schema \"Test shop\" cascade").await;
    // Without a host, in the form of a socket's folder.
    let url = format!("postgresql://shop:hunter2@/shop?host={}", "%2Fnowhere");
    let error = PostgresStore::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn open_waits_for_a_server_that_starts_later() {
    let server = Server::get();
    let late = peers::late(server.address(), 3).await.unwrap();
    let url = format!("{}&namespace=test_late", server.url_through(late));
    let error = PostgresStore::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    // Two more connections are refused.
    PostgresStore::connect(&format!("{url}&wait=30000")).await.unwrap();
    let options: PgConnectOptions =
        server.url_through(peers::late(server.address(), 2).await.unwrap()).parse().unwrap();
    PostgresStore::builder(options).namespace("test_late").wait(seconds(30)).open().await.unwrap();
}

#[tokio::test]
async fn a_password_that_is_rotated_is_asked_for_by_each_new_connection() {
    let server = Server::get();
    server.sql("do $$ begin create role test_rotated login in role conformance; exception when duplicate_object then end $$").await;
    server.sql("alter role test_rotated password 'first'").await;
    let secret = Arc::new(Mutex::new("first"));
    let options: PgConnectOptions = server.url().parse().unwrap();
    let asked = Arc::clone(&secret);
    let store = PostgresStore::builder(options.username("test_rotated").password("wrong"))
        .namespace("test_rotated")
        .password_from(move || {
            let secret = *asked.lock().unwrap();
            async move { Ok(secret.to_owned()) }
        })
        .open()
        .await
        .unwrap();
    let kept = record(b"x");
    put(&store, 1, &kept).await;
    server.sql("alter role test_rotated password 'second'").await;
    *secret.lock().unwrap() = "second";
    server.sql("select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = 'test_rotated'").await;
    assert_eq!(store.load(&now(), &key(1)).await.unwrap(), Some(kept), "a new connection has the new password");
}
