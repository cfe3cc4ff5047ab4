//! Addresses of servers in URLs and in errors.

use session_core::Result;
use session_store_kit::{host_and_port, wrong};

/// Host and port of a server, as a URL names them.
pub(crate) type Place<'u> = (&'u str, Option<u16>);

/// Options of drivers that say where the server is.
const PLACES: [&str; 4] = ["host", "hostaddr", "port", "socket"];

/// Checks the options of a URL with these hosts that say where the server is. An option has the driver's name, its value, and the name
/// in the URL.
pub(crate) fn check_places<'o>(
    hosts: &str,
    options: impl Iterator<Item = (&'o str, &'o str, &'static str)>,
) -> Result<()> {
    for (own, value, listed) in options.filter(|(own, ..)| PLACES.contains(own)) {
        if hosts.contains(',') {
            return wrong(format!("the URL names several hosts, so its option {listed} has no meaning; leave it out"));
        }
        if own != "socket" && value.contains(',') {
            return wrong(format!(
                "the option {listed} of the URL names several servers; write them before the path, as in //a:5432,b:5433/"
            ));
        }
    }
    Ok(())
}

/// Splits the hosts of a URL, each with its port. Returns the first one and the others.
pub(crate) fn places(hosts: &str) -> Result<(Place<'_>, Vec<Place<'_>>)> {
    let Some((first, others)) = hosts.split_once(',') else { return Ok((host_and_port(hosts)?, Vec::new())) };
    let place = |place| match host_and_port(place)? {
        ("", _) => wrong("the URL has a comma beside an empty host; write the hosts as in a:5432,b:5433"),
        place => Ok(place),
    };
    Ok((place(first)?, others.split(',').map(place).collect::<Result<_>>()?))
}

/// Returns an IPv6 address without its brackets, as it is resolved, or `None` if `host` has no brackets.
///
/// ```
/// use session_store_sqlx::bare_address;
///
/// assert_eq!(bare_address("[::1]"), Some("::1"));
/// assert_eq!(bare_address("db.example"), None);
/// ```
pub fn bare_address(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}

/// Returns host and port as they are written in a URL. An IPv6 address has brackets.
///
/// ```
/// use session_store_sqlx::host_with_port;
///
/// assert_eq!(host_with_port("::1", 5432), "[::1]:5432");
/// assert_eq!(host_with_port("[::1]", 5432), "[::1]:5432");
/// assert_eq!(host_with_port("db.example", 5432), "db.example:5432");
/// ```
pub fn host_with_port(host: &str, port: u16) -> String {
    if host.contains(':') && bare_address(host).is_none() {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
