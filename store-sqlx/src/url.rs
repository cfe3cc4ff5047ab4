//! Parser of database URLs.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use session_core::{Error, ErrorKind, Result};
use session_store_kit::{Pem, ServerUrl, UrlSettings, absolute, check_pem, within, wrong};

use crate::address::{Place, check_places, places};

/// Form of the URLs of one of sqlx's drivers.
///
/// ```
/// use sqlx::postgres::PgConnectOptions;
/// use session_store_sqlx::{UrlForm, UrlOption};
///
/// const FORM: UrlForm = UrlForm {
///     schemes: &["postgres", "postgresql"],
///     options: &[
///         ("host", UrlOption::Driver("host")),
///         ("sslmode", UrlOption::Word("sslmode", &[("disable", "disable"), ("require", "require")])),
///         ("sslcrl", UrlOption::Refused("the driver reads no revocation lists; leave it out")),
///     ],
///     meant: "the driver's (sslmode, host)",
///     tls: ["sslmode", "sslcert", "sslkey"],
///     login: Some(["user", "password"]),
///     wrong: "the URL is not of the form postgres://user:password@host:port/database",
/// };
///
/// let parsed = FORM.read::<PgConnectOptions>("postgres://db.example,other.example/shop?pool=4&sslmode=require")?;
/// assert_eq!(parsed.options.get_host(), "db.example");
/// assert_eq!(parsed.others[0].get_host(), "other.example");
/// assert_eq!(parsed.settings.pool, Some(4));
/// assert!(parsed.names_tls);
/// let error = FORM.read::<PgConnectOptions>("postgres://db.example/shop?sslcrl=x").unwrap_err();
/// assert!(error.to_string().ends_with("the option sslcrl of the URL has no effect: the driver reads no revocation lists; leave it out"));
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct UrlForm {
    /// Schemes, of which a URL begins with one.
    pub schemes: &'static [&'static str],
    /// Options of drivers and providers, with their meaning here. A name that ends in `[` stands for all names that begin with it.
    ///
    /// A driver ignores options that it does not know, so [`read`](UrlForm::read) refuses those that are not listed here.
    pub options: &'static [(&'static str, UrlOption)],
    /// The driver's usual options, as the error for an unknown option lists them.
    pub meant: &'static str,
    /// The driver's options for TLS, for the client's certificate and for its key.
    pub tls: [&'static str; 3],
    /// The driver's options for user and password, for a URL without a host. `None` if it has none; the host is then `localhost`.
    pub login: Option<[&'static str; 2]>,
    /// Error text for a URL that the driver cannot parse, with a complete URL as an example.
    pub wrong: &'static str,
}

/// Meaning of an option that drivers or providers write in URLs.
#[derive(Clone, Copy, Debug)]
pub enum UrlOption {
    /// The driver's option of this name has the same values.
    Driver(&'static str),
    /// The driver's option of this name has these values: each as it is written in the URL, in any case of letters, and the driver's.
    Word(&'static str, &'static [(&'static str, &'static str)]),
    /// The store behaves as these values ask, in any case of letters. It cannot do what others ask, for this reason; the text says
    /// what to do instead.
    Only(&'static [&'static str], &'static str),
    /// The driver's option of this name has a file of PEM certificates as its value, or the certificates themselves. `system` stands
    /// for the roots that the driver comes with; it is an option that the store reads itself.
    Certificates(&'static str),
    /// The driver's option of this name has a file with a PEM key as its value, or the key itself.
    Key(&'static str),
    /// The driver's option of this name has the path of a file as its value.
    Path(&'static str),
    /// Maximum number of connections, like `pool`.
    Pool,
    /// Maximum time of an attempt to connect, in this unit. Zero is no limit.
    Connecting(Duration),
    /// The store reads the option itself; see [`ParsedUrl::own`].
    Own,
    /// Whatever its value, the store behaves as it asks.
    Needless,
    /// The store cannot do what it asks, for this reason; the text says what to do instead.
    Refused(&'static str),
}

/// Contents of a URL.
pub struct ParsedUrl<O> {
    /// Options of a connection to the URL's first server, as the driver parsed them.
    pub options: O,
    /// The same for its other servers.
    pub others: Vec<O>,
    /// Options of the store.
    pub settings: UrlSettings,
    /// Maximum time of an attempt to connect; `None` if the URL does not say.
    pub connecting: Option<Duration>,
    /// Whether the URL says how to use TLS.
    pub names_tls: bool,
    /// Options that the store reads itself, with their values.
    pub own: Vec<(&'static str, String)>,
}

impl<O> fmt::Debug for ParsedUrl<O> {
    /// Leaves out the connection options, which hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParsedUrl").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl UrlForm {
    /// Takes the store's options out of `url` and lets the driver parse the rest.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for a URL of another form, and for an option that is unknown,
    /// contradicts another or cannot be honoured. The error does not repeat the URL, which may hold a password.
    pub fn read<O: FromStr>(&self, url: &str) -> Result<ParsedUrl<O>> {
        let (server, mut query) = ServerUrl::read(url, self.schemes)?;
        let settings = UrlSettings::read(&mut query)?;
        let foreign = query.take_others(self.meant, |name| self.find(name).is_some());
        query.finish()?;
        let mut read = Read { settings, ..Read::default() };
        for (name, value) in foreign {
            let Some((listed, option)) = self.find(&name) else { continue };
            // The listed name is shown, because only the prefix of one that ends in `[` is known.
            read.option(listed, &name, value, *option)?;
        }
        let [mode, certificate, key] = self.tls;
        let gives = |name: &str| read.driver.iter().any(|given| given.0 == name);
        if gives(certificate) != gives(key) {
            return wrong(format!(
                "the options {certificate} and {key} are the client's certificate and its key; the URL needs both or neither"
            ));
        }
        let options = read.driver.iter().map(|(own, value, listed)| (own.as_str(), value.as_str(), *listed));
        check_places(server.hosts, options)?;
        let options = |place| {
            let text = self.for_driver(&server, place, &read.driver)?;
            // The driver's own error would quote the text that it could not parse.
            O::from_str(&text).map_err(|_| Error::fixed(ErrorKind::Config, self.wrong))
        };
        let (first, others) = places(server.hosts)?;
        let (options, others) = (options(first)?, others.into_iter().map(options).collect::<Result<_>>()?);
        let names_tls = gives(mode);
        Ok(ParsedUrl {
            options,
            others,
            settings: read.settings,
            connecting: read.connecting,
            names_tls,
            own: read.own,
        })
    }

    fn find(&self, name: &str) -> Option<&'static (&'static str, UrlOption)> {
        self.options.iter().find(|(known, _)| name == *known || known.ends_with('[') && name.starts_with(known))
    }

    /// Returns the driver's URL for one server. All parts are percent-encoded, because the driver would remove some characters silently.
    fn for_driver(
        &self,
        server: &ServerUrl<'_>,
        (host, port): Place<'_>,
        options: &[(String, String, &str)],
    ) -> Result<String> {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (user, password) = (server.user.as_deref(), server.password.as_deref());
        let mut pairs: Vec<_> =
            options.iter().map(|(name, value, _)| format!("{}={}", encoded(name), encoded(value))).collect();
        let mut login = match (user, password) {
            (None, None) => String::new(),
            _ => format!("{}:{}@", encoded(user.unwrap_or_default()), encoded(password.unwrap_or_default())),
        };
        if password.is_none() {
            login = login.replace(':', "");
        }
        let host = match (host, self.login) {
            // A URL without a host has no place for user and password.
            ("", Some(names)) => {
                let given = [user, password].into_iter().zip(names);
                pairs.extend(given.filter_map(|(value, name)| Some(format!("{name}={}", encoded(value?)))));
                login.clear();
                String::new()
            }
            ("", None) => "localhost".to_owned(),
            (address, _) if address.contains(':') => format!("[{address}]"),
            (name, _) => name.to_owned(),
        };
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Ok(format!("{}://{login}{host}{port}/{}?{}", self.schemes[0], server.path, pairs.join("&")))
    }
}

/// Options of a URL that are not the store's, as far as they have been read.
#[derive(Default)]
struct Read {
    settings: UrlSettings,
    connecting: Option<Duration>,
    own: Vec<(&'static str, String)>,
    /// The driver's name, the driver's value, and the name as it is listed.
    driver: Vec<(String, String, &'static str)>,
}

impl Read {
    fn option(&mut self, listed: &'static str, name: &str, value: String, option: UrlOption) -> Result<()> {
        match option {
            UrlOption::Driver(own) => self.pass(listed, if listed.ends_with('[') { name } else { own }, value),
            UrlOption::Word(own, words) => match words.iter().find(|(word, _)| word.eq_ignore_ascii_case(&value)) {
                Some((_, value)) => self.pass(listed, own, (*value).to_owned()),
                None => {
                    let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                    wrong(format!("the option {listed} of the URL is not {}", one_of(&words)))
                }
            },
            UrlOption::Only(words, why) => {
                if words.iter().any(|word| word.eq_ignore_ascii_case(&value)) {
                    return Ok(());
                }
                wrong(format!("the option {listed} of the URL can only be {}: {why}", one_of(words)))
            }
            UrlOption::Certificates(own) if value == "system" => {
                self.own.push((own, value));
                Ok(())
            }
            UrlOption::Certificates(own) => {
                check_pem(listed, &value, Pem::Certificates)?;
                self.pass(listed, own, from_root(listed, value)?)
            }
            UrlOption::Key(own) => {
                check_pem(listed, &value, Pem::Key)?;
                self.pass(listed, own, from_root(listed, value)?)
            }
            UrlOption::Path(own) => self.pass(listed, own, from_root(listed, value)?),
            UrlOption::Pool => {
                let Ok(pool) = value.parse() else {
                    return wrong(format!("the URL's option {listed} is not a number in its range"));
                };
                within(listed, pool, 1..=1000)?;
                if self.settings.pool.replace(pool).is_some() {
                    return twice(listed, "pool");
                }
                Ok(())
            }
            UrlOption::Connecting(unit) => {
                let Ok(units) = value.parse::<u32>() else {
                    return wrong(format!("the URL's option {listed} is not a number in its range"));
                };
                if self.connecting.replace(unit.saturating_mul(units)).is_some() {
                    return wrong("the URL gives two options for the time of connecting; give one");
                }
                self.connecting = self.connecting.filter(|time| !time.is_zero());
                Ok(())
            }
            UrlOption::Own => {
                self.own.push((listed, value));
                Ok(())
            }
            UrlOption::Needless => Ok(()),
            UrlOption::Refused(why) => wrong(format!("the option {listed} of the URL has no effect: {why}")),
        }
    }

    fn pass(&mut self, listed: &'static str, own: &str, value: String) -> Result<()> {
        if let Some(before) = self.driver.iter().find(|given| given.0 == own) {
            return twice(before.2, listed);
        }
        self.driver.push((own.to_owned(), value, listed));
        Ok(())
    }
}

fn twice(one: &str, other: &str) -> Result<()> {
    wrong(format!("the URL's options {one} and {other} mean the same; give one of them"))
}

/// Joins words as `a, b or c`.
fn one_of(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Returns the path that the option `name` gives, from the root of the file system on.
///
/// The drivers read such a file again for each connection, and the process may have changed its working directory by then.
/// A certificate may also be given itself.
fn from_root(name: &str, value: String) -> Result<String> {
    if value.trim_start().starts_with("-----BEGIN") {
        return Ok(value);
    }
    match absolute(Path::new(&value))?.into_os_string().into_string() {
        Ok(path) => Ok(path),
        Err(_) => {
            wrong(format!("the path of the working directory is not UTF-8; write the path of {name} from the root on"))
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgConnectOptions;

    use super::*;

    const FORM: UrlForm = UrlForm {
        schemes: &["x"],
        options: &[
            ("options[", UrlOption::Driver("options[")),
            ("password", UrlOption::Driver("password")),
            ("host", UrlOption::Driver("host")),
            ("sslmode", UrlOption::Word("sslmode", &[("on", "require"), ("off", "disable")])),
            ("ssl", UrlOption::Word("sslmode", &[("true", "require")])),
            ("bouncer", UrlOption::Only(&["false"], "connect to the server")),
            ("limit", UrlOption::Pool),
            ("seconds", UrlOption::Connecting(Duration::from_secs(1))),
            ("millis", UrlOption::Connecting(Duration::from_millis(1))),
            ("schema", UrlOption::Own),
            ("mark", UrlOption::Needless),
            ("never", UrlOption::Refused("leave it out")),
        ],
        meant: "the driver's",
        tls: ["sslmode", "sslcert", "sslkey"],
        login: Some(["user", "password"]),
        wrong: "the URL is not of the form x://user:password@host",
    };

    fn read(url: &str) -> Result<ParsedUrl<PgConnectOptions>> {
        FORM.read(url)
    }

    #[test]
    fn paths_in_options_do_not_depend_on_the_working_directory_later() {
        let here = std::env::current_dir().unwrap();
        let from_here = from_root("sslrootcert", "certs/my ca.pem".to_owned()).unwrap();
        assert_eq!(Path::new(&from_here), here.join("certs/my ca.pem"));
        for kept in ["-----BEGIN CERTIFICATE-----", "", "/run/mysqld/mysqld.sock"] {
            assert_eq!(from_root("socket", kept.to_owned()).unwrap(), kept);
        }
    }

    #[test]
    fn options_have_the_meaning_of_the_table() {
        let parsed = read("x://ann:a+b%2B@db/shop?SSLMODE=x").unwrap_err().to_string();
        assert!(parsed.contains("unknown option `ssl"), "{parsed}");
        let parsed =
            read("x://ann@db:7/shop?sslmode=ON&limit=3&seconds=2&schema=Shop&mark=x&bouncer=FALSE&options[a]=b+c")
                .unwrap();
        assert!(parsed.names_tls);
        assert_eq!((parsed.settings.pool, parsed.connecting), (Some(3), Some(Duration::from_secs(2))));
        assert_eq!(parsed.own, [("schema", "Shop".to_owned())]);
        assert_eq!(parsed.options.get_options(), Some("-c a=b+c"), "a plus is a plus");
        assert_eq!((parsed.options.get_host(), parsed.options.get_port()), ("db", 7));
        assert_eq!(read("x://db?millis=0").unwrap().connecting, None);
    }

    #[test]
    fn each_host_of_a_list_has_its_own_port() {
        let parsed = read("x://ann:p%2Cw@a:7,[::1]:8,c/shop?sslmode=on").unwrap();
        let servers: Vec<_> = std::iter::once(&parsed.options).chain(&parsed.others).collect();
        let found: Vec<_> = servers.iter().map(|one| (one.get_host(), one.get_port())).collect();
        assert_eq!(found, [("a", 7), ("[::1]", 8), ("c", 5432)]);
        for server in servers {
            assert_eq!((server.get_username(), server.get_database()), ("ann", Some("shop")));
        }
    }

    #[test]
    fn a_url_without_a_host_may_have_a_user() {
        let parsed = read("x://ann%40x:p%3Fw@/shop").unwrap();
        assert_eq!((parsed.options.get_username(), parsed.options.get_database()), ("ann@x", Some("shop")));
        assert!(!format!("{parsed:?}").contains("p?w"));
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        for (url, part) in [
            ("x://db?sslmode=maybe", "the option sslmode of the URL is not on or off"),
            ("x://db?sslmode=on&ssl=true", "sslmode and ssl mean the same; give one"),
            ("x://db?bouncer=true", "the option bouncer of the URL can only be false: connect to the server"),
            ("x://db?limit=0", "limit must be 1 to 1000"),
            ("x://db?limit=1&pool=2", "limit and pool mean the same"),
            ("x://db?seconds=-1", "seconds is not a number"),
            ("x://db?seconds=1&millis=1", "two options for the time of connecting"),
            ("x://db?never=", "the option never of the URL has no effect: leave it out"),
            ("x://a,b?host=c", "several hosts, so its option host has no meaning"),
            ("x:///shop?host=a,b", "host of the URL names several servers; write them before the path"),
            ("x://a,,b", "a comma beside an empty host"),
            ("x://a,:7", "a comma beside an empty host"),
            ("x://a,b:hunter2", "the port in the URL"),
            ("x://a,b c", "of the form"),
            ("x://d b", "of the form x://user:password@host"),
        ] {
            let error = read(url).unwrap_err().to_string();
            assert!(error.contains(part), "{url}: {error}");
        }
    }
}
