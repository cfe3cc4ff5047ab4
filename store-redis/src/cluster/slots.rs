//! Hash slots and the answer to `CLUSTER SLOTS`, according to the Redis cluster specification.

use redis::Value;
use session_core::Result;

use crate::address::Address;
use crate::error::UNEXPECTED_REPLY;

/// Number of slots of a cluster.
pub(crate) const SLOTS: usize = 16_384;

/// Returns the slot of a key: the CRC-16 (XMODEM) of the text in its first braces, or of the whole key if there is none.
pub(crate) fn slot(key: &[u8]) -> usize {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let length = rest.iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &rest[..length])
    });
    usize::from(crc16(tag.unwrap_or(key))) % SLOTS
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc: u16, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            },
        )
    })
}

/// A range of slots, both ends included, and the master that serves it.
pub(crate) type Range = (u16, u16, Address);

/// Parses the answer to `CLUSTER SLOTS`. A node without a host is at `default_host`, the host that answered.
pub(crate) fn ranges(answer: Value, default_host: &str) -> Result<Vec<Range>> {
    let Value::Array(ranges) = answer else { return Err(UNEXPECTED_REPLY) };
    ranges.into_iter().map(|range| read(range, default_host).ok_or(UNEXPECTED_REPLY)).collect()
}

fn read(range: Value, default_host: &str) -> Option<Range> {
    let Value::Array(range) = range else { return None };
    // The master is the first of the nodes.
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = &range[..] else { return None };
    let [host, Value::Int(port), ..] = &master[..] else { return None };
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        Value::Nil => "",
        _ => return None,
    };
    // `?` means that the node does not know the host. The host that answered is the best guess.
    let host = if host.is_empty() || host == "?" { default_host } else { host };
    let slot = |slot: i64| u16::try_from(slot).ok().filter(|slot| usize::from(*slot) < SLOTS);
    Some((slot(*first)?, slot(*last)?, Address { host: host.to_owned(), port: u16::try_from(*port).ok()? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_that_the_servers_compute() {
        // The check value of the specification, and answers of `CLUSTER KEYSLOT`.
        assert_eq!(slot(b"123456789"), 0x31c3);
        assert_eq!(slot(b""), 0);
        for (key, same) in [
            (&b"{user1000}.following"[..], &b"user1000"[..]),
            (b"foo{bar}{zap}", b"bar"),
            (b"foo{{bar}}zap", b"{bar"),
            (b"\xff{\0\xfe}", b"\0\xfe"),
        ] {
            assert_eq!(slot(key), slot(same));
        }
        for whole in [&b"foo{}{bar}"[..], b"foo{bar", b"}{", b"{}"] {
            assert_eq!(slot(whole), usize::from(crc16(whole)) % SLOTS);
        }
    }

    #[test]
    fn a_node_without_a_host_is_where_its_answer_came_from() {
        let node = |host| Value::Array(vec![host, Value::Int(7000), Value::BulkString(b"id".to_vec())]);
        for host in [Value::Nil, Value::BulkString(Vec::new()), Value::BulkString(b"db".to_vec())] {
            let answer = Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(16_383), node(host)])]);
            let expected = (0, 16_383, Address { host: "db".into(), port: 7000 });
            assert_eq!(ranges(answer, "db").unwrap(), [expected]);
        }
        let beyond = Value::Array(vec![Value::Int(0), Value::Int(16_384), node(Value::Nil)]);
        assert!(ranges(Value::Array(vec![beyond]), "db").is_err());
    }
}
