//! Addresses of servers.

use std::fmt;

use async_nats::ServerAddr;
use session_core::Result;
use session_store_kit::{host_and_port, is_loopback, wrong};

/// The port of a URL that names none.
const PORT: u16 = 4222;

/// Address of one server.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Host without brackets.
    host: String,
    port: u16,
}

impl Address {
    /// Parses `host:port`.
    pub(crate) fn parse(place: &str) -> Result<Self> {
        let (host, port) = host_and_port(place)?;
        if host.is_empty() {
            return wrong("the URL names no server; its form is nats://host:port,host:port/bucket");
        }
        let address = Self { host: host.to_owned(), port: port.unwrap_or(PORT) };
        address.server()?;
        Ok(address)
    }

    /// Whether connections leave this machine.
    pub(crate) fn is_remote(&self) -> bool {
        !is_loopback(&self.host)
    }

    /// Returns the address as the driver has it.
    pub(crate) fn server(&self) -> Result<ServerAddr> {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match format!("nats://{host}:{}", self.port).parse() {
            Ok(server) => Ok(server),
            Err(_) => wrong("the URL names a host that is neither a name nor an address"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("remote", &self.is_remote()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed() {
        for (place, host, port) in
            [("db", "db", PORT), ("db:7000", "db", 7000), ("[::1]", "::1", PORT), ("[::1]:9", "::1", 9)]
        {
            let address = Address::parse(place).unwrap();
            assert_eq!((&*address.host, address.port), (host, port));
            assert_eq!(address.server().unwrap().port(), port);
        }
        for place in ["", ":7000", "db:0", "db:x", "d b"] {
            assert!(Address::parse(place).is_err(), "{place}");
        }
        assert!(Address::parse("10.0.0.7").unwrap().is_remote() && !Address::parse("[::1]:7").unwrap().is_remote());
    }
}
