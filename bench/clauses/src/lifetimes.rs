//! Maps the clause's clock to the machine's.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use session_core::{Clock as _, StoreKey, SystemClock, Timestamp};

/// Milliseconds by which a lifetime is longer on the machine's clock, as time to write and read a record with a short lifetime.
const LEAD: i64 = 2_000;

/// Milliseconds before the end of a lifetime at which an operation of its last instant is carried out.
const EARLIER: i64 = 200;

/// Time before the end of a lifetime within which an operation is about the end.
const ABOUT: Duration = Duration::from_secs(1);

/// Maximum wait for an instant, in milliseconds.
const REACH: i64 = 90_000;

/// End of a record's lifetime on the clause's clock, and the distance to the machine's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    /// End on the clause's clock.
    pub(crate) expires_at: Timestamp,
    /// Time of the machine's clock minus that of the clause's, in milliseconds.
    pub(crate) clock: i64,
}

impl Lifetime {
    /// Begins a lifetime with a write at `now`. The clocks differ by whole seconds, so that the end keeps its fraction of a second.
    pub(crate) fn begin(now: Timestamp, expires_at: Timestamp) -> Self {
        let exact = machine() + LEAD - now.as_millis();
        Self { expires_at, clock: exact + (-exact).rem_euclid(1_000) }
    }

    /// Returns the end on the machine's clock, in milliseconds since 1970.
    pub(crate) fn ends(&self) -> i64 {
        self.expires_at.as_millis() + self.clock
    }

    /// Whether the lifetime has ended by the machine's clock.
    pub(crate) fn is_over(&self) -> bool {
        machine() >= self.ends()
    }
}

fn machine() -> i64 {
    SystemClock.now().as_millis()
}

/// Lifetimes of the records of one clause, shared by all instances of the store.
#[derive(Debug, Default)]
pub(crate) struct Lifetimes(Mutex<HashMap<StoreKey, Lifetime>>);

impl Lifetimes {
    pub(crate) fn of(&self, key: &StoreKey) -> Option<Lifetime> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    pub(crate) fn set(&self, key: &StoreKey, lifetime: Lifetime) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(*key, lifetime);
    }

    /// Returns all keys under which a record was stored.
    pub(crate) fn keys(&self) -> Vec<StoreKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Waits until the machine's clock is on the same side of the end of the record's lifetime as the clause's clock at `now`: at the
    /// end, or shortly before it. Returns `false` if the end is too far ahead to wait for.
    pub(crate) async fn reach(&self, key: &StoreKey, now: Timestamp) -> bool {
        let Some(lifetime) = self.of(key) else { return true };
        let over = now >= lifetime.expires_at;
        if !over && lifetime.expires_at.since(now) > ABOUT {
            return true;
        }
        let when = if over { lifetime.ends() } else { lifetime.ends() - EARLIER };
        if when - machine() > REACH {
            // Before the end, every instant is equivalent.
            return !over;
        }
        while let Ok(left @ 1..) = u64::try_from(when - machine()) {
            // sleep: the store uses the machine's clock, so this is how it sees the clause's clock.
            tokio::time::sleep(Duration::from_millis(left)).await;
        }
        true
    }
}
