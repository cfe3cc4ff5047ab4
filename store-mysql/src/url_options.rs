//! Options of URLs as drivers and providers write them, with their meaning for this store.
//!
//! Names and values are those of the clients of MySQL and MariaDB, of Connector/J, mysql2, go-sql-driver and Prisma.

use std::time::Duration;

use session_store_sqlx::UrlOption::{
    self, Certificates, Connecting, Driver, Key, Needless, Only, Path, Pool, Refused, Word,
};

/// The usual ones of [`OPTIONS`].
pub(crate) const MEANT: &str = "the driver's (ssl-mode, ssl-ca, ssl-cert, ssl-key, socket, statement-cache-capacity, charset, \
                                collation, timezone, connect_timeout)";

/// Of the clients, of Connector/J, and of MariaDB's connectors.
const SSL_MODE: UrlOption = Word(
    "ssl-mode",
    &[
        ("disabled", "DISABLED"),
        ("preferred", "PREFERRED"),
        ("required", "REQUIRED"),
        ("verify_ca", "VERIFY_CA"),
        ("verify_identity", "VERIFY_IDENTITY"),
        ("disable", "DISABLED"),
        ("trust", "REQUIRED"),
        ("verify-ca", "VERIFY_CA"),
        ("verify-full", "VERIFY_IDENTITY"),
    ],
);

/// `true` asks for TLS, and the safest form is the default here.
const SSL: UrlOption = Word("ssl-mode", &[("true", "VERIFY_IDENTITY"), ("false", "DISABLED")]);

pub(crate) const OPTIONS: &[(&str, UrlOption)] = &[
    ("ssl-mode", SSL_MODE),
    ("sslmode", SSL_MODE),
    ("sslMode", SSL_MODE),
    ("ssl_mode", SSL_MODE),
    ("ssl", SSL),
    ("useSSL", SSL),
    (
        "tls",
        Word(
            "ssl-mode",
            &[
                ("true", "VERIFY_IDENTITY"),
                ("false", "DISABLED"),
                ("skip-verify", "REQUIRED"),
                ("preferred", "PREFERRED"),
            ],
        ),
    ),
    ("sslaccept", Word("ssl-mode", &[("strict", "VERIFY_IDENTITY"), ("accept_invalid_certs", "REQUIRED")])),
    ("ssl-ca", Certificates("ssl-ca")),
    ("sslca", Certificates("ssl-ca")),
    ("ssl_ca", Certificates("ssl-ca")),
    ("sslrootcert", Certificates("ssl-ca")),
    ("ssl-cert", Certificates("ssl-cert")),
    ("sslcert", Certificates("ssl-cert")),
    ("ssl-key", Key("ssl-key")),
    ("sslkey", Key("ssl-key")),
    ("socket", Path("socket")),
    ("statement-cache-capacity", Driver("statement-cache-capacity")),
    ("charset", Driver("charset")),
    ("collation", Driver("collation")),
    ("timezone", Driver("timezone")),
    ("time-zone", Driver("timezone")),
    ("connect_timeout", Connecting(Duration::from_secs(1))),
    ("connectTimeout", Connecting(Duration::from_millis(1))),
    ("connection_limit", Pool),
    ("connectionLimit", Pool),
    // The store keeps times as numbers and text as bytes, and replaces broken connections.
    ("serverTimezone", Needless),
    ("connectionTimeZone", Needless),
    ("parseTime", Needless),
    ("zeroDateTimeBehavior", Needless),
    ("useUnicode", Only(&["true"], "the store writes UTF-8")),
    ("characterEncoding", Only(&["utf8", "utf-8", "utf8mb4"], "the store writes UTF-8")),
    ("autoReconnect", Needless),
    ("reconnect", Needless),
    // A password is sent over TLS only; the server's key for it is never asked for.
    ("allowPublicKeyRetrieval", Needless),
    ("verifyServerCertificate", Refused("write ssl-mode=verify_identity, or ssl-mode=required to verify nothing")),
    ("pool_timeout", Refused("write timeout, in ms, which also limits the wait for a connection")),
    ("socket_timeout", Refused("write timeout, in ms")),
    ("socketTimeout", Refused("write timeout, in ms")),
    ("statement_cache_size", Refused("write statement-cache-capacity")),
    ("sslidentity", Refused("the driver reads no PKCS 12 files; write ssl-cert and ssl-key with PEM files")),
    ("sslpassword", Refused("the driver reads no encrypted keys; decrypt the key and leave it out")),
    ("pgbouncer", Refused("it is for PostgreSQL; leave it out")),
    ("schema", Refused("a schema is a database here; write it as the path of the URL")),
];
