//! Parser of `mongodb://…` URLs.

use std::fmt;

use mongodb::options::{ClientOptions, ConnectionString, HostInfo, ServerAddress, Tls, TlsOptions};
use session_core::{Error, ErrorKind, Result};
use session_store_kit::{
    Pem, ServerUrl, TIMED_OUT, UrlSettings, absolute, check_pem, decode, is_loopback, waiting, wrong,
};
use tokio::time::timeout;

use crate::MongoStore;
use crate::builder::MongoStoreBuilder;
use crate::error::at_open;

/// Names of the driver's options in lower case, because the driver ignores case. It would only warn about other names.
const DRIVERS: [&str; 36] = [
    "adaptiveretries",
    "appname",
    "authmechanism",
    "authmechanismproperties",
    "authsource",
    "compressors",
    "connecttimeoutms",
    "directconnection",
    "heartbeatfrequencyms",
    "journal",
    "loadbalanced",
    "localthresholdms",
    "maxadaptiveretries",
    "maxconnecting",
    "maxidletimems",
    "maxpoolsize",
    "maxstalenessseconds",
    "minpoolsize",
    "readconcernlevel",
    "readpreference",
    "readpreferencetags",
    "replicaset",
    "retryreads",
    "retrywrites",
    "servermonitoringmode",
    "serverselectiontimeoutms",
    "srvmaxhosts",
    "srvservicename",
    "ssl",
    "tls",
    "tlsallowinvalidcertificates",
    "tlscafile",
    "tlscertificatekeyfile",
    "tlsinsecure",
    "w",
    "wtimeoutms",
];

/// Options of drivers for other languages. They are not passed on, because this driver refuses the first, the store's own time-out
/// limits every call, and no value of the store is a UUID.
const NEEDLESS: [&str; 3] = ["sockettimeoutms", "waitqueuetimeoutms", "uuidrepresentation"];

/// Options of other drivers that this one does not have, and what to do instead.
const REFUSED: [(&str, &str); 3] = [
    ("tlsAllowInvalidHostnames", "the driver always checks the name; connect by a name that the certificate has"),
    ("tlsCertificateKeyFilePassword", "the driver reads no encrypted keys; decrypt the key and leave it out"),
    ("zlibCompressionLevel", "the driver compresses nothing; leave it out"),
];

/// The driver's usual options, as the error for an unknown option lists them.
const DRIVERS_MEANT: &str =
    "the driver's (authSource, replicaSet, directConnection, tls, tlsCAFile, appName, retryWrites and its others)";

const FORM: Error = Error::fixed(
    ErrorKind::Config,
    "the URL or one of the driver's options in it is not of the form mongodb://user:password@host:port/database; \
     percent-encode all but letters and digits in user and password",
);

/// Contents of a URL, before any name is resolved.
#[derive(Clone)]
struct Parsed {
    server: ConnectionString,
    given: UrlSettings,
}

impl fmt::Debug for Parsed {
    /// Leaves out the servers and their options, which hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parsed").field("given", &self.given).finish_non_exhaustive()
    }
}

impl MongoStore {
    /// Opens the store at `url`, of the form `mongodb://user:password@host:port,host:port/database`, or `mongodb+srv://` with one
    /// name. The default database is `sessions`.
    ///
    /// Options of the store are `namespace`, `timeout` and `wait` in ms, `create` (`true`, `false`), `pool` and `queue`; see
    /// [`MongoStoreBuilder`]. The driver's options are allowed as well, above all `authSource`, `replicaSet` and `tls`.
    /// The default of `tls` is `true` unless all servers are on this machine: connections are encrypted and the server's name
    /// verified. Read preference, read concern and write concern in the URL have no effect, because the store needs the primary
    /// and a majority.
    ///
    /// ```no_run
    /// use session_store_mongo::MongoStore;
    ///
    /// # async fn example() -> session_core::Result<()> {
    /// let store = MongoStore::connect("mongodb://shop:secret@a.example,b.example/shop?replicaSet=rs0&timeout=2000").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an invalid URL, and the errors of [`MongoStoreBuilder::open`].
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn connect(url: &str) -> Result<Self> {
        let parsed = parse(url)?;
        parsed.given.settings.check()?;
        // The names of the servers may not be known yet either.
        waiting(parsed.given.settings.wait, || async { builder(parsed.clone()).await?.attempt().await }).await
    }
}

/// Returns the builder that a URL describes. With `mongodb+srv:` it looks up the servers' names.
async fn builder(parsed: Parsed) -> Result<MongoStoreBuilder> {
    let Parsed { server, given } = parsed;
    let options = timeout(given.settings.timeout, ClientOptions::parse(server)).await.map_err(|_| TIMED_OUT)?;
    let mut builder = MongoStore::builder(options.map_err(|error| at_open(&error))?);
    given.put(&mut builder.settings, &mut builder.create, &mut builder.pool);
    Ok(builder)
}

fn parse(url: &str) -> Result<Parsed> {
    let (server, mut query) = ServerUrl::read(url, &["mongodb", "mongodb+srv"])?;
    let given = UrlSettings::read(&mut query)?;
    let drivers = query.drivers(DRIVERS_MEANT, |name| {
        let name = name.to_ascii_lowercase();
        let refused = REFUSED.iter().any(|(refused, _)| refused.eq_ignore_ascii_case(&name));
        refused || DRIVERS.contains(&&*name) || NEEDLESS.contains(&&*name)
    });
    query.finish()?;
    let value = |name: &str| {
        let mut pairs = drivers.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| decode(value))
    };
    for (name, why) in REFUSED {
        if value(name).is_some() {
            return wrong(format!("the option {name} of the URL has no effect: {why}"));
        }
    }
    for (name, content) in [("tlsCAFile", Pem::Certificates), ("tlsCertificateKeyFile", Pem::KeyAndCertificates)] {
        if let Some(file) = value(name) {
            check_pem(name, &file?, content)?;
        }
    }
    let needless = |pair: &&str| NEEDLESS.contains(&&*pair.split('=').next().unwrap_or_default().to_ascii_lowercase());
    let drivers: Vec<_> = drivers.split('&').filter(|pair| !needless(pair)).collect();
    // The driver's own error would quote the text that it could not parse.
    let mut server = ConnectionString::parse(format!("{}://{}?{}", server.scheme, server.place, drivers.join("&")))
        .map_err(|_| FORM)?;
    if server.tls.is_none() && !is_local(&server.host_info) {
        server.tls = Some(Tls::Enabled(TlsOptions::default()));
    }
    if let Some(Tls::Enabled(tls)) = &mut server.tls {
        // Another runtime reads the files again, and the process may have changed its working directory by then.
        for path in [&mut tls.ca_file_path, &mut tls.cert_key_file_path].into_iter().flatten() {
            *path = absolute(path)?;
        }
    }
    Ok(Parsed { server, given })
}

/// Whether all servers are on this machine; see [`is_loopback`].
fn is_local(hosts: &HostInfo) -> bool {
    match hosts {
        HostInfo::HostIdentifiers(hosts) => hosts.iter().all(|host| match host {
            ServerAddress::Tcp { host, .. } => is_loopback(host),
            _ => true,
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_loopback_the_servers_name_is_verified_unless_the_url_says_otherwise() {
        for (url, tls) in [
            ("mongodb://localhost/a", false),
            ("mongodb://127.0.0.1:5433", false),
            ("mongodb://[::1]/a", false),
            ("mongodb://localhost,127.0.0.1:27018/a", false),
            ("mongodb://%2Ftmp%2Fmongodb-27017.sock/a", false),
            ("mongodb://db.example/a?tls=false", false),
            ("mongodb://db.example/a?ssl=false", false),
            ("mongodb://db.example/a", true),
            ("mongodb://localhost,10.0.0.7/a?replicaSet=rs0", true),
            ("mongodb+srv://cluster.example/a", true),
            ("mongodb://localhost/a?tls=true", true),
        ] {
            let server = parse(url).unwrap_or_else(|error| panic!("{url}: {error}")).server;
            let options = match server.tls {
                Some(Tls::Enabled(options)) => Some(options),
                _ => None,
            };
            assert_eq!(options.is_some(), tls, "{url}");
            assert!(options.is_none_or(|options| options.allow_invalid_certificates != Some(true)), "{url}");
        }
    }

    #[test]
    fn options_are_ours_and_the_drivers_in_any_order() {
        let url = "mongodb://shop:p%40ss@localhost/shop?namespace=web&timeout=250&w=1&pool=7&create=false\
                   &appName=shop&readPreference=secondary&queue=9&wTimeoutMS=5&socketTimeoutMS=7&waitQueueTimeoutMS=7&uuidRepresentation=standard&retryWrites=true&authSource=admin\
                   &replicaSet=rs0";
        let Parsed { server, given: UrlSettings { settings, create, pool, .. } } = parse(url).unwrap();
        assert_eq!((settings.namespace.as_str(), settings.timeout.as_millis(), settings.queue), ("web", 250, 9));
        assert_eq!((create, pool), (Some(false), Some(7)));
        #[allow(deprecated, reason = "the driver refuses what says that it has one")]
        let socket = server.socket_timeout;
        assert_eq!((socket, server.wait_queue_timeout()), (None, None));
        assert_eq!(server.app_name.as_deref(), Some("shop"));
        assert_eq!(server.default_database.as_deref(), Some("shop"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, part) in [
            ("postgres://db", "begins with mongodb:// or mongodb+srv://"),
            ("mongodb:/db", "begins with mongodb:// or mongodb+srv://"),
            (
                "mongodb://db?creat=true",
                "unknown option in the URL, perhaps `create` misspelt; known are namespace, timeout",
            ),
            ("mongodb://db?sslmode=require", "unknown option `sslmode` in the URL; known are namespace, timeout"),
            ("mongodb://me:pa?hunter2&x@db", "percent-encode the characters"),
            ("mongodb://db?create=maybe", "create is not true or false"),
            ("mongodb://db?timeout=5s", "milliseconds"),
            ("mongodb://db?pool=many", "a number"),
            ("mongodb://db?namespace=%ff", "not UTF-8"),
            ("mongodb://me:hunter2@db:port/a", "is not of the form mongodb://user:password@host:port/database"),
            ("mongodb://me:hunter2:x@db/a", "is not of the form"),
            ("mongodb://db?w=hunter2&journal=hunter2", "is not of the form"),
            (
                "mongodb://db?tlsAllowInvalidHostnames=true",
                "the option tlsAllowInvalidHostnames of the URL has no effect",
            ),
            ("mongodb://db?TLSCAFile=/nowhere/hunter2", "the file of the URL's option tlsCAFile does not exist"),
            ("mongodb://db?tlsCertificateKeyFile=/proc/self/cmdline", "tlsCertificateKeyFile names no PEM"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(part), "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}: {error:?}");
        }
    }
}
