//! The clause's clock on the machine's.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use session_core::{Clock as _, StoreKey, SystemClock, Timestamp};

/// By how much a life is longer on the machine's clock: time to write a record and to ask for it, however short its life is.
const LEAD: i64 = 2_000;

/// How long before the end of a life is asked what a clause asks in its last instant.
const EARLIER: i64 = 200;

/// How far before its end a life is not about its end.
const ABOUT: Duration = Duration::from_secs(1);

/// How long is waited for an instant at most.
const REACH: i64 = 90_000;

/// A record's life, in milliseconds since 1970 on the machine's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    /// Its end on the clause's clock.
    pub(crate) expires_at: Timestamp,
    /// What the machine's clock shows, less what the clause's does.
    pub(crate) clock: i64,
}

impl Life {
    /// One that begins with a write at `now`. Whole seconds lie between the clocks, so that its end has the fraction that it had.
    pub(crate) fn begin(now: Timestamp, expires_at: Timestamp) -> Self {
        let exact = machine() + LEAD - now.as_millis();
        Self { expires_at, clock: exact + (-exact).rem_euclid(1_000) }
    }

    /// Its end on the machine's clock.
    pub(crate) fn ends(&self) -> i64 {
        self.expires_at.as_millis() + self.clock
    }

    /// Whether it is over by the machine's clock.
    pub(crate) fn is_over(&self) -> bool {
        machine() >= self.ends()
    }
}

fn machine() -> i64 {
    SystemClock.now().as_millis()
}

/// The lives of the records of one clause, those of all instances.
#[derive(Debug, Default)]
pub(crate) struct Lives(Mutex<HashMap<StoreKey, Life>>);

impl Lives {
    pub(crate) fn of(&self, key: &StoreKey) -> Option<Life> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    pub(crate) fn set(&self, key: &StoreKey, life: Life) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(*key, life);
    }

    /// All keys that anything was stored under.
    pub(crate) fn keys(&self) -> Vec<StoreKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Waits until the machine's clock is on that side of the end of the record's life on which the clause's is at `now`:
    /// right at the end, or shortly before it if the clause is. `false` if that is too far ahead to be waited for.
    pub(crate) async fn reach(&self, key: &StoreKey, now: Timestamp) -> bool {
        let Some(life) = self.of(key) else { return true };
        let over = now >= life.expires_at;
        if !over && life.expires_at.since(now) > ABOUT {
            return true;
        }
        let when = if over { life.ends() } else { life.ends() - EARLIER };
        if when - machine() > REACH {
            // Before its end any instant is as good as another.
            return !over;
        }
        while let Ok(left @ 1..) = u64::try_from(when - machine()) {
            // sleep: the store goes by the machine's clock, so this is what the clause's clock means to it.
            tokio::time::sleep(Duration::from_millis(left)).await;
        }
        true
    }
}
