//! Addresses of servers, and which of them keeps a record.

use std::fmt;

use session_core::{Result, StoreKey};
use session_store_kit::{host_and_port, is_loopback, wrong};

use crate::security::Security;

/// The port of a URL that names none.
const PORT: u16 = 11211;

/// Address of one server.
#[derive(Clone)]
pub(crate) struct Address {
    /// `host:port` as the application wrote it. It decides which records the server keeps, so every process must write it alike.
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// TLS, if the connection is encrypted.
    pub(crate) security: Option<Security>,
}

impl Address {
    /// Parses `host:port`.
    pub(crate) fn parse(place: &str) -> Result<Self> {
        let (host, port) = host_and_port(place)?;
        if host.is_empty() {
            return wrong("the URL names no server; its form is memcached://host:port,host:port");
        }
        Ok(Self { name: place.to_owned(), host: host.to_owned(), port: port.unwrap_or(PORT), security: None })
    }

    /// Whether connections leave this machine and are not encrypted.
    pub(crate) fn is_exposed(&self) -> bool {
        self.security.is_none() && !is_loopback(&self.host)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("secured", &self.security.is_some()).finish_non_exhaustive()
    }
}

/// Chooses the server of each record by [rendezvous hashing](https://en.wikipedia.org/wiki/Rendezvous_hashing).
///
/// The server with the highest score for a key keeps it. So a server that joins or leaves moves only its own share of the records.
pub(crate) struct Ring(Box<[u64]>);

impl Ring {
    pub(crate) fn new<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        Self(names.map(seed).collect())
    }

    /// Returns the position of the server that keeps the record under `key`.
    pub(crate) fn server_of(&self, key: &StoreKey) -> usize {
        if self.0.len() == 1 {
            return 0;
        }
        let mut start = [0; 8];
        start.copy_from_slice(&key.as_bytes()[..8]);
        let key = u64::from_be_bytes(start);
        let scores = self.0.iter().map(|seed| mixed(seed ^ key));
        scores.enumerate().max_by_key(|(_, score)| *score).map_or(0, |(at, _)| at)
    }
}

/// Returns a number for a server's name: FNV-1a, mixed.
fn seed(name: &str) -> u64 {
    mixed(
        name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)),
    )
}

/// Spreads the bits of a number: the last step of MurmurHash3.
const fn mixed(mut n: u64) -> u64 {
    n = (n ^ (n >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    n = (n ^ (n >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    n ^ (n >> 33)
}

#[cfg(test)]
mod tests {
    use session_core::SessionId;

    use super::*;

    fn ring(names: &[&str]) -> Ring {
        Ring::new(names.iter().copied())
    }

    #[test]
    fn addresses_are_parsed() {
        for (place, host, port) in
            [("db", "db", PORT), ("db:7000", "db", 7000), ("[::1]", "::1", PORT), ("[::1]:9", "::1", 9)]
        {
            let address = Address::parse(place).unwrap();
            assert_eq!((&*address.name, &*address.host, address.port), (place, host, port));
        }
        for place in ["", ":7000", "db:0", "db:x"] {
            assert!(Address::parse(place).is_err(), "{place}");
        }
        assert!(Address::parse("10.0.0.7").unwrap().is_exposed() && !Address::parse("[::1]:7").unwrap().is_exposed());
    }

    #[test]
    fn a_server_that_leaves_moves_only_its_own_records() {
        let (all, fewer) = (ring(&["a:1", "b:1", "c:1"]), ring(&["a:1", "c:1"]));
        let mut counts = [0; 3];
        for _ in 0..3000 {
            let key = StoreKey::derive("id", &SessionId::random());
            let of = all.server_of(&key);
            counts[of] += 1;
            if of != 1 {
                assert_eq!([0, 2][fewer.server_of(&key)], of);
            }
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn every_release_chooses_the_same_server() {
        let (ring, key) = (ring(&["a:1", "b:1", "c:1", "d:1"]), |n| StoreKey::from_slice(&[n; 32]).unwrap());
        let of: Vec<_> = (0..16).map(|n| ring.server_of(&key(n))).collect();
        assert_eq!(of, [0, 1, 1, 3, 3, 0, 1, 3, 0, 1, 2, 2, 0, 0, 2, 3]);
    }
}
