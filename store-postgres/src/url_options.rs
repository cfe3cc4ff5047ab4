//! Options of URLs as libpq, other drivers and providers write them, with their meaning for this store.
//!
//! Names and values are those of the PostgreSQL manual, 32.1.2, of Prisma's reference of connection URLs, and of the URLs that
//! Supabase and Neon show.

use std::time::Duration;

use session_store_sqlx::UrlOption::{
    self, Certificates, Connecting, Driver, Key, Needless, Only, Own, Pool, Refused, Word,
};

/// The usual ones of [`OPTIONS`].
pub(crate) const MEANT: &str = "the driver's (sslmode, sslrootcert, sslcert, sslkey, statement-cache-capacity, host, hostaddr, port, dbname, user, \
     password, application_name, options, schema, pooler, connect_timeout)";

const SSLMODE: UrlOption = Word(
    "sslmode",
    &[
        ("disable", "disable"),
        ("allow", "allow"),
        ("prefer", "prefer"),
        ("require", "require"),
        ("verify-ca", "verify-ca"),
        ("verify-full", "verify-full"),
    ],
);

const KEEPALIVE: UrlOption =
    Refused("the driver sets no keepalives; leave it out, because the store replaces dead connections itself");

pub(crate) const OPTIONS: &[(&str, UrlOption)] = &[
    ("sslmode", SSLMODE),
    ("ssl-mode", SSLMODE),
    ("sslrootcert", Certificates("sslrootcert")),
    ("ssl-root-cert", Certificates("sslrootcert")),
    ("ssl-ca", Certificates("sslrootcert")),
    ("sslcert", Certificates("sslcert")),
    ("ssl-cert", Certificates("sslcert")),
    ("sslkey", Key("sslkey")),
    ("ssl-key", Key("sslkey")),
    ("statement-cache-capacity", Driver("statement-cache-capacity")),
    ("host", Driver("host")),
    ("hostaddr", Driver("hostaddr")),
    ("port", Driver("port")),
    ("dbname", Driver("dbname")),
    ("user", Driver("user")),
    ("password", Driver("password")),
    ("application_name", Driver("application_name")),
    ("options", Driver("options")),
    ("options[", Driver("options[")),
    ("schema", Own),
    ("connect_timeout", Connecting(Duration::from_secs(1))),
    ("connection_limit", Pool),
    (
        "channel_binding",
        Only(
            &["prefer", "disable"],
            "the driver has no channel binding; sslmode=verify-full proves the server's identity without it",
        ),
    ),
    (
        "target_session_attrs",
        Only(&["any", "read-write", "primary"], "sessions are written, so the store needs the primary"),
    ),
    ("load_balance_hosts", Only(&["disable"], "the hosts are tried in their order, until one takes writes")),
    ("gssencmode", Only(&["disable", "prefer"], "the driver has no Kerberos; use sslmode=verify-full")),
    ("sslnegotiation", Only(&["postgres"], "the driver asks the server for TLS first")),
    ("sslcompression", Only(&["0"], "the driver compresses nothing")),
    ("sslsni", Only(&["1"], "the driver always names the server")),
    ("client_encoding", Only(&["utf8", "utf-8", "auto"], "the store writes UTF-8")),
    ("pooler", Own),
    (
        "pgbouncer",
        Only(&["true", "false"], "the store finds out by itself; pooler=transaction or pooler=session says so"),
    ),
    // Marks of a provider or another driver, which ask for nothing.
    ("supa", Needless),
    ("uselibpqcompat", Needless),
    ("statement_cache_size", Refused("write statement-cache-capacity")),
    ("pool_timeout", Refused("write timeout, in ms, which also limits the wait for a connection")),
    ("socket_timeout", Refused("write timeout, in ms")),
    ("statement_timeout", Refused("write timeout, in ms, from which the store sets it")),
    ("tcp_user_timeout", KEEPALIVE),
    ("keepalives", KEEPALIVE),
    ("keepalives_idle", KEEPALIVE),
    ("keepalives_interval", KEEPALIVE),
    ("keepalives_count", KEEPALIVE),
    ("fallback_application_name", Refused("write application_name")),
    ("sslcrl", Refused("the driver reads no revocation lists; leave it out")),
    ("sslpassword", Refused("the driver reads no encrypted keys; decrypt the key and leave it out")),
    ("sslidentity", Refused("the driver reads no PKCS 12 files; write sslcert and sslkey with PEM files")),
    ("sslaccept", Refused("write sslmode=verify-full for `strict`, sslmode=require for `accept_invalid_certs`")),
    ("ssl", Refused("write sslmode=verify-full, or sslmode=disable")),
    ("passfile", Refused("set the variable PGPASSFILE")),
    ("service", Refused("the driver reads no service files; write its entries in the URL")),
    ("krbsrvname", Refused("the driver has no Kerberos; use a password or a client certificate")),
    ("requirepeer", Refused("the driver does not check the server's user; leave it out")),
    ("replication", Refused("it is for replication; leave it out")),
];
