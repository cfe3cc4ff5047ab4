//! Names of options that an error may repeat.
//!
//! A `?` in a password that is not percent-encoded makes an option of the password's rest. So an error repeats no name as it is
//! written in a URL, only one from these tables.

/// Options of the stores of this workspace.
const OWN: &[&str] = &[
    "accept_plain",
    "connections",
    "create",
    "creds",
    "durable",
    "key",
    "max_bytes",
    "max_entries",
    "max_len",
    "namespace",
    "nkey",
    "pool",
    "queue",
    "readers",
    "replicas",
    "sentinel-password",
    "sentinel-user",
    "storage",
    "synchronous",
    "timeout",
    "tls",
    "tls-ca",
    "wait",
];

/// Options of drivers and providers: libpq, Prisma, Connector/J, Connector/Python, go-sql-driver, MongoDB, redis-py, SQLite.
const FOREIGN: &[&str] = &[
    "allowPublicKeyRetrieval",
    "appName",
    "application_name",
    "authMechanism",
    "authMechanismProperties",
    "authSource",
    "autoReconnect",
    "cache",
    "channel_binding",
    "characterEncoding",
    "charset",
    "client_encoding",
    "collation",
    "compressors",
    "connectTimeout",
    "connectTimeoutMS",
    "connect_timeout",
    "connectionLimit",
    "connection_limit",
    "connectionTimeZone",
    "db",
    "dbname",
    "directConnection",
    "encoding",
    "endpoint",
    "fallback_application_name",
    "gssencmode",
    "heartbeatFrequencyMS",
    "host",
    "hostaddr",
    "immutable",
    "journal",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "loadBalanced",
    "load_balance_hosts",
    "localThresholdMS",
    "max_idle_connection_lifetime",
    "maxConnecting",
    "maxIdleTimeMS",
    "maxPoolSize",
    "maxStalenessSeconds",
    "minPoolSize",
    "mode",
    "options",
    "parseTime",
    "pass",
    "passfile",
    "password",
    "pgbouncer",
    "pool_timeout",
    "pooler",
    "port",
    "prepareThreshold",
    "protocol",
    "readConcernLevel",
    "readPreference",
    "readPreferenceTags",
    "reconnect",
    "region",
    "replicaSet",
    "replication",
    "requirepeer",
    "retryReads",
    "retryWrites",
    "role",
    "schema",
    "search_path",
    "serverMonitoringMode",
    "serverSelectionTimeoutMS",
    "serverTimezone",
    "service",
    "single_use_connections",
    "socket",
    "socketTimeout",
    "socketTimeoutMS",
    "socket_connect_timeout",
    "socket_timeout",
    "srvMaxHosts",
    "srvServiceName",
    "ssl",
    "ssl-accept",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "ssl_ca",
    "ssl_ca_certs",
    "ssl_cert_reqs",
    "sslMode",
    "ssl_mode",
    "sslaccept",
    "sslca",
    "sslcert",
    "sslcompression",
    "sslcrl",
    "sslidentity",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "sslsni",
    "statement-cache-capacity",
    "statement_cache_size",
    "statement_timeout",
    "target_session_attrs",
    "tcp_user_timeout",
    "time-zone",
    "timezone",
    "tlsAllowInvalidCertificates",
    "tlsAllowInvalidHostnames",
    "tlsCAFile",
    "tlsCertificateKeyFile",
    "tlsCertificateKeyFilePassword",
    "tlsInsecure",
    "useSSL",
    "useUnicode",
    "user",
    "username",
    "uuidRepresentation",
    "verifyServerCertificate",
    "vfs",
    "w",
    "waitQueueTimeoutMS",
    "wTimeoutMS",
    "zeroDateTimeBehavior",
    "zlibCompressionLevel",
];

/// Maximum number of letters to insert, remove, replace or swap between a name and the option that it is taken for.
const TYPOS: usize = 2;

/// Returns `name` as a table has it if it is the name of an option of some store, driver or provider, perhaps in another case.
pub(crate) fn known(name: &str) -> Option<&'static str> {
    let all = || OWN.iter().chain(FOREIGN).copied();
    all().find(|known| *known == name).or_else(|| all().find(|known| known.eq_ignore_ascii_case(name)))
}

/// Returns the one of `names` that `name` is probably a misspelling of.
///
/// Errors suggest it and do not repeat `name`, which may be a part of a secret.
///
/// ```
/// use session_store_kit::nearest;
///
/// assert_eq!(nearest("postgers", ["mysql", "postgres"]), Some("postgres"));
/// assert_eq!(nearest("hunter2", ["mysql", "postgres"]), None);
/// ```
pub fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let name = name.to_ascii_lowercase();
    let far = |known: &str| strsim::osa_distance(&name, &known.to_ascii_lowercase());
    let near = names.into_iter().map(|known| (far(known), known));
    // A short name is near too many others.
    near.filter(|(far, known)| *far <= TYPOS.min(known.len() / 3)).min_by_key(|(far, _)| *far).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_in_a_table_are_known_and_as_the_table_has_them() {
        assert_eq!(known("APPNAME"), Some("appName"));
        assert_eq!((known("sslmode"), known("sslMode")), (Some("sslmode"), Some("sslMode")));
        assert_eq!(known("pgbouncer"), Some("pgbouncer"));
        assert_eq!(known("hunter2"), None);
    }

    #[test]
    fn a_misspelt_name_is_recognized() {
        let names = ["namespace", "timeout", "pool", "w"];
        for (name, near) in [
            ("namspace", Some("namespace")),
            ("tiemout", Some("timeout")),
            ("Timeout", Some("timeout")),
            ("pol", Some("pool")),
            ("x", None),
            ("hunter2", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, names), near, "{name}");
        }
    }
}
