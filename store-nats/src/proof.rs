//! Proof that a bucket's leader still leads, so that it answers reads with what is stored now.
//!
//! Reads go to the leader alone, which asks no other server before it answers. A leader that is cut off from the others
//! goes on answering for up to ten seconds, and so does one that was stopped and continues. Meanwhile the others have elected a new leader.
//! A write cannot go wrong like this, because it needs a majority.
//!
//! So an answer is believed only if a write was confirmed that was sent less than [`VALID`] before the answer came.
//! Followers that have confirmed it wait for at least four seconds before they elect another leader (`minElectionTimeout` in the
//! server's source). If there is no such write, a message to a subject of the store's own is written for it, the probe.
//!
//! - A proof is renewed by one of the calls once it is [`DUE`] old. The probe is sent together with the call's own request, so it
//!   takes no further round trip. An idle store sends none.
//! - After an idle time every read waits for the probe, which all of them share.
//!
//! What remains: when a deposed leader is reached again, both answer until it hears of the other one. The probe tells it, because the new
//! leader replicates it to all servers.
//! A bucket on one server needs no proof.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::shared::SharedWork;

/// Age at which a proof is renewed.
const DUE: Duration = Duration::from_millis(400);

/// Age up to which a proof counts.
const VALID: Duration = Duration::from_millis(900);

/// Time of the last proof.
pub(crate) struct Proof {
    base: Instant,
    /// Milliseconds from `base` to the sending of the latest confirmed write, plus one. 0: none was confirmed.
    confirmed: AtomicU64,
    /// Milliseconds from `base` to the latest renewal, plus one.
    renewed: AtomicU64,
    pub(crate) probing: SharedWork<()>,
}

impl Proof {
    pub(crate) fn new() -> Self {
        Self {
            base: Instant::now(),
            confirmed: AtomicU64::new(0),
            renewed: AtomicU64::new(0),
            probing: SharedWork::new(),
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.base).as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    /// Notes that a write sent at `sent` was confirmed.
    pub(crate) fn confirmed(&self, sent: Instant) {
        self.confirmed.fetch_max(self.millis(sent), Ordering::SeqCst);
    }

    /// Whether an answer that came at `at` is to be believed.
    pub(crate) fn covers(&self, at: Instant) -> bool {
        is_within(self.confirmed.load(Ordering::SeqCst), self.millis(at), VALID)
    }

    /// Whether this call is the one to renew the proof.
    pub(crate) fn is_mine(&self, now: Instant) -> bool {
        let now = self.millis(now);
        if is_within(self.confirmed.load(Ordering::SeqCst), now, DUE) {
            return false;
        }
        let begun = self.renewed.load(Ordering::SeqCst);
        !is_within(begun, now, DUE)
            && self.renewed.compare_exchange(begun, now, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

/// Whether `then` is less than `age` before `now`. `then` is 0 for never.
fn is_within(then: u64, now: u64, age: Duration) -> bool {
    then > 0 && u128::from(now.saturating_sub(then)) < age.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_renewed_by_one_call_and_ends() {
        let proof = Proof::new();
        let at = |millis| proof.base + Duration::from_millis(millis);
        assert!(!proof.covers(at(0)), "nothing was confirmed");
        assert!(proof.is_mine(at(0)) && !proof.is_mine(at(10)), "one call renews it");
        proof.confirmed(at(5));
        assert!(proof.covers(at(904)) && !proof.covers(at(905)));
        assert!(!proof.is_mine(at(404)) && proof.is_mine(at(405)) && !proof.is_mine(at(406)));
        // A confirmation that is late does not make the proof older.
        proof.confirmed(at(2));
        assert!(proof.covers(at(904)));
        // A renewal that has failed is tried again.
        assert!(proof.is_mine(at(806)));
    }
}
