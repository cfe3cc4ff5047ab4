//! Addresses that servers announce, and the way to reach them.

use std::collections::HashMap;

use redis::{Client, ConnectionAddr, ConnectionInfo};
use session_core::{Error, ErrorKind, Result};

use crate::error::{Moment, driver_error};
use crate::exposure::{EXPOSED, is_exposed};

/// Address of a server, as a cluster or a sentinel announces it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// Parses `host:port`. An IPv6 address may be in brackets. Without a host, the host is `default_host`.
    pub(crate) fn parse(text: &str, default_host: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = if host.is_empty() { default_host } else { host };
        Some(Self { host: host.to_owned(), port: port.parse().ok()? })
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn text(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Map from announced addresses to reachable addresses.
pub(crate) type AddressMap = HashMap<Address, Address>;

/// Settings for connections to servers whose addresses are announced.
pub(crate) struct Announced {
    /// User, password and TLS. Each server has its own address.
    pub(crate) info: ConnectionInfo,
    pub(crate) addresses: AddressMap,
    /// Whether connections to other machines may be without TLS.
    pub(crate) exposed: bool,
}

impl Announced {
    /// Returns the client of the server at an announced address.
    pub(crate) fn client(&self, announced: &Address) -> Result<Client> {
        let address = self.addresses.get(announced).unwrap_or(announced);
        let reachable = at(self.info.addr(), address);
        if !self.exposed && is_exposed(&reachable) {
            return Err(Error::fixed(ErrorKind::Config, EXPOSED));
        }
        let client = Client::open(self.info.clone().set_addr(reachable));
        client.map_err(|error| driver_error(&error, Moment::InUse))
    }
}

/// Returns another server's address, reached by TLS as `like` is.
pub(crate) fn at(like: &ConnectionAddr, address: &Address) -> ConnectionAddr {
    let Address { host, port } = address.clone();
    match like {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_servers_give_them() {
        let at = |host: &str| Some(Address { host: host.into(), port: 6381 });
        assert_eq!(Address::parse("127.0.0.1:6381", "db"), at("127.0.0.1"));
        assert_eq!(Address::parse(":6381", "db"), at("db"));
        assert_eq!(Address::parse("dead::cafe:6381", "db"), at("dead::cafe"));
        assert_eq!(Address::parse("[dead::cafe]:6381", "db"), at("dead::cafe"));
        assert_eq!(Address::parse("db", "db"), None);
        assert_eq!(Address::parse("db:x", "db"), None);
    }
}
