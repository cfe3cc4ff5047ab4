//! What operators get wrong: each is one error when the store is opened, with the mend. Each test runs on both servers.

mod common;

use std::fs;
use std::sync::{Arc, Mutex};

use common::{KINDS, Kind, Server};
use session_conformance::fixtures::{key, now, put, record};
use session_conformance::log::Log;
use session_conformance::peers;
use session_conformance::testing::check_refusal;
use session_core::{ErrorKind, Store as _, seconds};
use session_store_mysql::MysqlStore;
use sqlx::Executor as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use tokio::runtime::Runtime;

/// Opens the store at `url`, and checks the kind of its error and a part of its text.
async fn refused(server: &Server, url: &str, kind: ErrorKind, part: &str) {
    let hidden = [server.password(), "hunter2", "pool timed out", "***@host"];
    check_refusal(MysqlStore::connect(url).await, kind, &[part], &hidden);
}

#[tokio::test]
async fn a_mistake_in_the_url_is_refused_with_its_mend() {
    for kind in KINDS {
        let server = Server::get(kind);
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
            ("pool=1001", "pool must be 1 to 1000"),
            ("connectionLimit=many", "connectionLimit is not a number"),
            ("timeout=0", "timeout must be"),
            ("wait=soon", "wait is not a number of milliseconds"),
            ("queue=0", "queue must be"),
            ("queue=1&queue=1", "`queue` is given twice"),
            ("ssl-mode=required&useSSL=false", "ssl-mode and useSSL mean the same"),
            ("connect_timeout=1&connectTimeout=1000", "two options for the time of connecting"),
            ("ssl-mode=on", "ssl-mode of the URL is not disabled, preferred"),
            ("ssl-mode=verify_ca", "give the authority's certificate in the URL (option ssl-mode)"),
            ("ssl-mode=verify_identity", "(option ssl-mode)"),
            ("tls=true", "(option ssl-mode)"),
            ("sslaccept=strict", "(option ssl-mode)"),
            ("ssl-ca=/nowhere/hunter2.pem", "the file of the URL's option ssl-ca does not exist"),
            (&format!("ssl-ca={text}"), "ssl-ca names no PEM certificates"),
            (&format!("ssl-cert={certificate}"), "needs both or neither"),
            (
                &format!("sslcert={certificate}&sslkey={encrypted}"),
                "the key of the URL's option sslkey is encrypted; decrypt it",
            ),
            ("characterEncoding=latin1", "the store writes UTF-8"),
            ("pool_timeout=10", "write timeout, in ms"),
            ("pgbouncer=true", "it is for PostgreSQL"),
            ("tiemout=100", "perhaps `timeout` misspelt"),
            ("sslcrl=x", "unknown option `sslcrl`"),
            ("namespace=50%", "write the character % as %25"),
            ("charset=klingon", "with error 1115"),
            ("timezone=Nowhere/City", "with error 1298"),
        ] {
            let tls = ["ssl", "tls", "connect"].iter().any(|begin| options.starts_with(begin));
            let begin = if tls { format!("{bare}?") } else { format!("{url}&") };
            refused(&server, &format!("{begin}{options}"), ErrorKind::Config, part).await;
        }
        for (url, part) in [
            (format!(" {url}"), "white space"),
            (format!("'{url}'"), "quotation marks"),
            ("shop:hunter2@db/a".to_owned(), "begins with mysql:// or mariadb://"),
            ("mysql://shop:pa#hunter2@db/a".to_owned(), "percent-encode the characters"),
            ("mysql://shop@a,/a".to_owned(), "a comma beside an empty host"),
            ("mysql://shop@db:0/a".to_owned(), "the port in the URL"),
            ("mysql://shop@d b/a".to_owned(), "of the form mysql://user:password@host:port/database"),
            (
                format!("mysql://conformance:{}@{}/?ssl-mode=preferred", server.password(), server.address()),
                "mysql://user:password@host:port/database",
            ),
        ] {
            refused(&server, &url, ErrorKind::Config, part).await;
        }
    }
}

#[tokio::test]
async fn a_mistake_in_the_server_is_refused_with_its_mend() {
    for kind in KINDS {
        let server = Server::get(kind);
        let password = server.password();
        for (account, rest) in
            [("plain", ""), ("locked", "account lock"), ("expired", "password expire"), ("tls", "require ssl")]
        {
            server
                .as_root(&format!(
                    "drop user if exists test_{account}; create user test_{account} identified by '{password}' {rest}"
                ))
                .await;
        }
        server.as_root("grant all on conformance.* to test_tls").await;
        server.as_root("grant all on conformance.* to test_expired").await;
        let at = |user: &str, password: &str, database: &str| {
            format!("mysql://{user}:{password}@{}/{database}?ssl-mode=preferred", server.address())
        };
        for (url, part) in [
            (at("conformance", "hunter2", "conformance"), "denied"),
            (at("nowhere", "hunter2", "conformance"), "denied"),
            (at("conformance", password, "nowhere"), "nowhere"),
            (at("test_plain", password, "conformance"), "denied"),
            (at("test_locked", password, "conformance"), "the account is locked; unlock it"),
            (at("test_expired", password, "conformance"), "the account's password has expired; set a new one"),
            (
                at("test_tls", password, "conformance").replace("preferred", "disabled"),
                // The driver of an account of MySQL has no way to send the password without TLS.
                if matches!(kind, Kind::Mysql) { "sent over TLS only" } else { "denied" },
            ),
        ] {
            refused(&server, &url, ErrorKind::Config, part).await;
        }
        server.as_root("drop user test_plain, test_locked, test_expired, test_tls").await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_by_its_address() {
    let server = Server::get(Kind::Mysql);
    let (silent, http) = (peers::silent().await.unwrap(), peers::http().await.unwrap());
    let no_answer = "no answer within the time-out from the server at 127.0.0.1:";
    for (address, part) in [
        ("127.0.0.1:1".to_owned(), "nothing listens at 127.0.0.1:1; check host and port"),
        ("[::1]:1".to_owned(), "at [::1]:1; check host and port"),
        ("nowhere.invalid".to_owned(), "no address is known for the server at nowhere.invalid:3306"),
        (silent.to_string(), no_answer),
        // The server speaks first in this protocol, and an HTTP server does not.
        (http.to_string(), no_answer),
    ] {
        let url = format!("mysql://shop:hunter2@{address}/shop?timeout=1000&ssl-mode=preferred");
        refused(&server, &url, ErrorKind::Unavailable, part).await;
    }
    let url = format!("mysql://shop:hunter2@{silent}/shop?timeout=60000&connectTimeout=500");
    refused(&server, &url, ErrorKind::Unavailable, no_answer).await;
}

#[tokio::test]
async fn a_url_as_providers_show_it_opens_a_store() {
    for kind in KINDS {
        let server = Server::get(kind);
        // Without TLS only MariaDB's accounts can log in.
        let plain = match kind {
            Kind::Mysql => "sslMode=trust",
            Kind::Mariadb => "useSSL=false",
        };
        for provided in [
            &*format!(
                "{plain}&serverTimezone=UTC&allowPublicKeyRetrieval=true&characterEncoding=UTF-8&useUnicode=true&connectTimeout=5000"
            ),
            "sslaccept=accept_invalid_certs&connection_limit=3&connect_timeout=10",
            "ssl-mode=REQUIRED&charset=utf8mb4",
            "tls=skip-verify&parseTime=true",
            "sslMode=trust&autoReconnect=true&timezone=%2B05:30&wait=1000",
        ] {
            let url = format!("{}?namespace=test_provider&{provided}", server.url().split('?').next().unwrap());
            let store = MysqlStore::connect(&url).await.unwrap_or_else(|error| panic!("{provided}: {error:?}"));
            server.sql("truncate test_provider").await;
            put(&store, 1, &record(b"x")).await;
        }
    }
}

#[tokio::test]
async fn open_waits_for_a_server_that_starts_later() {
    for kind in KINDS {
        let server = Server::get(kind);
        let late = peers::late(server.address(), 3).await.unwrap();
        let url = format!("{}&namespace=test_late", server.url_through(late));
        let error = MysqlStore::connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        // Two more connections are refused.
        MysqlStore::connect(&format!("{url}&wait=30000")).await.unwrap();
        let late = peers::late(server.address(), 2).await.unwrap();
        let options: MySqlConnectOptions = server.url_through(late).parse().unwrap();
        MysqlStore::builder(options).namespace("test_late").wait(seconds(30)).open().await.unwrap();
    }
}

#[tokio::test]
async fn a_password_that_is_rotated_is_asked_for_by_each_new_connection() {
    for kind in KINDS {
        let server = Server::get(kind);
        server
            .as_root(
                "drop user if exists test_rotated; create user test_rotated identified by 'first'; \
                 grant all on conformance.* to test_rotated",
            )
            .await;
        let secret = Arc::new(Mutex::new("first"));
        let options: MySqlConnectOptions = server.url().parse().unwrap();
        let asked = Arc::clone(&secret);
        let store = MysqlStore::builder(options.username("test_rotated").password("wrong"))
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
        server.as_root("alter user test_rotated identified by 'second'").await;
        *secret.lock().unwrap() = "second";
        // Another runtime makes connections of its own.
        let elsewhere = std::thread::spawn(move || Runtime::new().unwrap().block_on(store.load(&now(), &key(1))));
        let found = tokio::task::spawn_blocking(|| elsewhere.join().unwrap()).await.unwrap();
        assert_eq!(found.unwrap(), Some(kept), "{kind:?}");
        server.sql("delete from test_rotated").await;
        server.as_root("drop user test_rotated").await;
    }
}

#[tokio::test]
async fn a_clock_that_is_hours_off_is_warned_of() {
    for kind in KINDS {
        let server = Server::get(kind);
        for (set, warned) in [("set @@timestamp = default", false), ("set @@timestamp = unix_timestamp() - 7200", true)]
        {
            let pool = MySqlPoolOptions::new()
                .max_connections(2)
                .after_connect(move |connection, _| Box::pin(async move { connection.execute(set).await.map(drop) }));
            let pool = pool.connect(server.url()).await.unwrap();
            let log = Log::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
            let guard = tracing::subscriber::set_default(subscriber);
            MysqlStore::from_pool(pool).namespace("test_clock").open().await.unwrap();
            drop(guard);
            let text = log.text();
            assert_eq!(text.contains("s behind this machine's"), warned, "{kind:?} {set}: {text}");
        }
    }
}
