//! Proof that a server is still the primary.
//!
//! A demoted primary keeps its connections open and answers loads with old data, so only writes would notice.
//! `HELLO` tells the role, and every user may call it. A few times a second one of the calls sends it ahead of its own command, in the
//! same packet. So the proof costs no round trip, and none is asked for while a connection is idle.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use redis::{Cmd, Value};

/// Age of a proof from which one of the calls asks the server again.
pub(crate) const RENEWED: Duration = Duration::from_millis(400);

/// Age of a proof from which no answer is believed without another one. With the way of an answer it is less than a second.
pub(crate) const BELIEVED: Duration = Duration::from_millis(900);

/// Age of the last proof that a connection leads to the primary.
pub(crate) struct Proof {
    connected: Instant,
    /// Time of the last question that was answered, in ms after `connected`.
    proven: AtomicU64,
    /// Time of the last question, in ms after `connected`.
    asked: AtomicU64,
}

impl Proof {
    /// Returns the proof of a server that was asked at `asked`, before all calls.
    pub(crate) fn new(asked: Instant) -> Self {
        Self { connected: asked, proven: AtomicU64::new(0), asked: AtomicU64::new(0) }
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.connected).as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether the call that begins at `now` has to ask the server for its role.
    ///
    /// One call does while the proof is still believed, and every call afterwards, because no call waits for another one's answer.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let now = self.millis(now);
        let passed = |since: u64, limit: Duration| u128::from(now.saturating_sub(since)) >= limit.as_millis();
        if !passed(self.proven.load(Relaxed), RENEWED) {
            return false;
        }
        let asked = self.asked.load(Relaxed);
        let first = passed(asked, RENEWED) && self.asked.compare_exchange(asked, now, Relaxed, Relaxed).is_ok();
        first || passed(self.proven.load(Relaxed), BELIEVED)
    }

    /// Notes that the server was the primary when it was asked.
    pub(crate) fn renew(&self, asked: Instant) {
        self.proven.fetch_max(self.millis(asked), Relaxed);
    }

    /// Whether an answer that has come at `now` is believed.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        u128::from(self.millis(now).saturating_sub(self.proven.load(Relaxed))) < BELIEVED.as_millis()
    }
}

/// Returns the command that asks for the role. The connection has begun with the same command.
pub(crate) fn hello() -> Cmd {
    let mut hello = Cmd::new();
    hello.arg("HELLO").arg("3");
    hello
}

/// Whether the answer to [`hello`] is that of a replica. A server that does not tell its role is taken for a primary.
pub(crate) fn is_replica(answer: &Value) -> bool {
    let Value::Map(fields) = answer else { return false };
    let role = fields.iter().find(|(name, _)| text(name) == Some("role")).and_then(|(_, role)| text(role));
    matches!(role, Some("replica" | "slave"))
}

/// Returns the text of a string, whatever its kind.
pub(crate) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_renews_a_proof_and_every_call_one_that_is_too_old() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let proof = Proof::new(start);
        assert!(!proof.is_due(at(399)) && proof.holds(at(899)));
        assert!(proof.is_due(at(400)), "the first call");
        assert!(!proof.is_due(at(401)), "another call asks already");
        assert!(proof.is_due(at(800)), "the answer has not come");
        assert!(proof.is_due(at(900)) && proof.is_due(at(900)) && !proof.holds(at(900)));
        proof.renew(at(800));
        proof.renew(at(400));
        assert!(!proof.is_due(at(1199)) && proof.holds(at(1699)) && !proof.holds(at(1700)));
    }

    #[test]
    fn the_role_is_read_from_the_greeting() {
        let greeting = |role: &str| {
            let fields = [("server", "redis"), ("mode", "standalone"), ("role", role)];
            let string = |text: &str| Value::BulkString(text.into());
            Value::Map(fields.map(|(name, value)| (string(name), string(value))).into())
        };
        assert!(is_replica(&greeting("replica")) && is_replica(&greeting("slave")));
        assert!(!is_replica(&greeting("master")) && !is_replica(&Value::Nil) && !is_replica(&Value::Map(Vec::new())));
    }
}
