//! Sessions that a store is filled with.

use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use session_core::{Call, Clock as _, Principal, Record, StoreKey, SystemClock, Version, hours};
use work::Payload;

/// Lifetime of a session.
const LIFE: Duration = hours(24);

/// Sessions, numbered from 0. Each is computed from its number, so that a million of them take no memory outside the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Population {
    /// Number of sessions.
    pub sessions: u64,
    /// Bytes of data of each session.
    pub size: usize,
    /// Number of sessions of each principal; 0 if the sessions have no principal.
    pub of_one: u64,
    /// Number of sessions of which one has expired; 0 if all are live.
    pub one_expired_in: u64,
    /// Seed of the keys. Two populations of one store need different seeds.
    pub seed: u64,
}

/// Operands of a session's creation.
pub struct Stored {
    pub call: Call,
    pub key: StoreKey,
    pub record: Record,
}

impl Population {
    /// Returns the number of principals.
    pub fn principals(&self) -> u64 {
        if self.of_one == 0 { 0 } else { (self.sessions / self.of_one).max(1) }
    }

    /// Returns the principal of the `n`th session. Sessions of one principal are far apart, as if begun on different days.
    fn principal_of(&self, n: u64) -> u64 {
        n % self.principals().max(1)
    }

    /// Returns the principal with the number `nth`.
    pub fn principal(&self, nth: u64) -> Result<Principal> {
        Ok(Principal::new(format_args!("user-{nth:08}"))?)
    }

    /// Whether the `n`th session has expired. All principals have the same number of expired sessions.
    pub fn is_expired(&self, n: u64) -> bool {
        let turn = n / self.principals().max(1) + self.principal_of(n);
        self.one_expired_in > 0 && turn % self.one_expired_in == self.one_expired_in - 1
    }

    /// Returns the number of expired sessions.
    pub fn expired(&self) -> u64 {
        (0..self.sessions).filter(|&n| self.is_expired(n)).count() as u64
    }

    /// Returns the key of the `n`th session: 32 bytes without a pattern.
    pub fn key(&self, n: u64) -> StoreKey {
        let mut bytes = [0; 32];
        for (at, word) in bytes.chunks_exact_mut(8).enumerate() {
            word.copy_from_slice(&mixed(self.seed, 4 * n + at as u64).to_le_bytes());
        }
        StoreKey::from_bytes(bytes)
    }

    /// Returns the `n`th session. An expired session was created two hours ago and lived for one hour.
    pub fn stored(&self, n: u64) -> Result<Stored> {
        let now = SystemClock.now();
        let (began, ends) = match self.is_expired(n) {
            true => (now.minus(hours(2)), now.minus(hours(1))),
            false => (now, now.plus(LIFE)),
        };
        let principal = (self.of_one > 0).then(|| self.principal(self.principal_of(n))).transpose()?;
        let record = Record::new(Version::random(), began, ends, principal, self.data(n).into());
        Ok(Stored { call: Call::new(began), key: self.key(n), record })
    }

    /// Returns the record that a save writes in place of `old`.
    pub fn changed(old: &Record) -> Result<Record> {
        let payload = Payload::decode(&old.data)?.plus_one();
        let ends = SystemClock.now().plus(LIFE);
        Ok(Record::new(Version::random(), old.created_at, ends, old.principal.clone(), payload.encode().into()))
    }

    /// Returns the data of the `n`th session. Its text has no pattern, so that a server that compresses pages gains nothing.
    fn data(&self, n: u64) -> Vec<u8> {
        let mut payload = Payload { count: 0, filler: String::new() };
        let length = self.size.saturating_sub(payload.encode().len());
        for at in 0..length.div_ceil(16) as u64 {
            payload.filler += &format!("{:016x}", mixed(!self.seed, (n << 8) + at));
        }
        payload.filler.truncate(length);
        payload.encode()
    }
}

/// Returns a number without a pattern (finalizer of SplitMix64).
fn mixed(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    const SOME: Population = Population { sessions: 1000, size: 200, of_one: 100, one_expired_in: 10, seed: 7 };

    #[test]
    fn every_principal_has_as_many_sessions_and_a_tenth_of_them_expired() {
        let mut of: HashMap<String, (u64, u64)> = HashMap::new();
        for n in 0..SOME.sessions {
            let stored = SOME.stored(n).unwrap();
            let (all, expired) = of.entry(stored.record.principal.unwrap().as_str().into()).or_default();
            *all += 1;
            *expired += u64::from(SOME.is_expired(n));
        }
        assert_eq!(of.len(), 10);
        assert!(of.values().all(|&counts| counts == (100, 10)), "{of:?}");
        assert_eq!(SOME.expired(), 100);
    }

    #[test]
    fn keys_differ_and_data_has_the_size_that_was_asked_for() {
        let keys: HashSet<_> = (0..SOME.sessions).map(|n| SOME.key(n)).collect();
        assert_eq!(keys.len(), 1000);
        assert_eq!(SOME.stored(3).unwrap().record.data.len(), 200);
    }

    #[test]
    fn an_expired_session_was_live_when_it_was_created() {
        let n = (0..).find(|&n| SOME.is_expired(n)).unwrap();
        let Stored { call, record, .. } = SOME.stored(n).unwrap();
        assert!(record.is_live(call.now) && !record.is_live(SystemClock.now()));
    }
}
