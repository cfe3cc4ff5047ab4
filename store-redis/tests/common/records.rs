//! Keys and records for tests beyond the conformance suite, and their names on the server.

use session_core::{Bytes, Call, Clock as _, Principal, Record, SessionId, StoreKey, SystemClock, Version, hours};
use session_store_redis::redis::Cmd;

pub(crate) const NAMESPACE: &str = "own_tests";

pub(crate) fn key() -> StoreKey {
    StoreKey::derive("id", &SessionId::random())
}

pub(crate) fn call() -> Call {
    Call::new(SystemClock.now())
}

/// Returns a record that expires in a day.
pub(crate) fn record(principal: Option<&Principal>) -> Record {
    let now = SystemClock.now();
    Record::new(Version::random(), now, now.plus(hours(24)), principal.cloned(), Bytes::from_static(b"{}"))
}

/// Returns a principal that no other test uses.
pub(crate) fn principal() -> Principal {
    Principal::new(format!("{:?}", Version::random())).unwrap()
}

/// Returns the name of a record on the server.
pub(crate) fn name(key: &StoreKey) -> Vec<u8> {
    [format!("{NAMESPACE}:s:").as_bytes(), key.as_bytes()].concat()
}

/// Returns the name of a principal's index on the server.
pub(crate) fn index(who: &Principal) -> Vec<u8> {
    format!("{NAMESPACE}:p:{}", who.as_str()).into_bytes()
}

pub(crate) fn cmd(command: &[&[u8]]) -> Cmd {
    let mut cmd = Cmd::new();
    for part in command {
        cmd.arg(*part);
    }
    cmd
}
