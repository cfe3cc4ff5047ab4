//! Any write of one record.

use session_core::{Live, Outcome, StoreKey, Timestamp};

use crate::batch::Item;
use crate::operations::{Create, Delete, Save, Touch};
use crate::outcome::Write;

/// Any write of one record, for a store whose writes share a queue.
///
/// ```
/// use session_core::{Outcome, SessionId, StoreKey, Timestamp};
/// use session_store_kit::AnyWrite;
/// use session_store_kit::operations::Delete;
/// use session_store_kit::outcome::Write;
///
/// let key = StoreKey::derive("id", &SessionId::random());
/// let write = AnyWrite::Delete(Delete { now: Timestamp::MIN, key, expected: None });
/// assert_eq!((write.target(), write.refused(None)), (&key, Some(Outcome::Missing)));
/// ```
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each variant is the operation of `Store` with its name")]
pub enum AnyWrite {
    Create(Create),
    Save(Save),
    Touch(Touch),
    Delete(Delete),
}

/// Forwards a method to the call in the variant.
macro_rules! forward {
    ($write:expr, $call:ident => $result:expr) => {
        match $write {
            AnyWrite::Create($call) => $result,
            AnyWrite::Save($call) => $result,
            AnyWrite::Touch($call) => $result,
            AnyWrite::Delete($call) => $result,
        }
    };
}

impl Item for AnyWrite {
    type Output = Outcome;

    fn key(&self) -> Option<StoreKey> {
        forward!(self, call => call.key())
    }

    fn len(&self) -> usize {
        forward!(self, call => call.len())
    }
}

impl Write for AnyWrite {
    fn now(&self) -> Timestamp {
        forward!(self, call => call.now())
    }

    fn target(&self) -> &StoreKey {
        forward!(self, call => call.target())
    }

    fn decide(&self, live: Live) -> Option<Outcome> {
        forward!(self, call => call.decide(live))
    }

    fn outcome_unread(&self) -> Option<Outcome> {
        forward!(self, call => call.outcome_unread())
    }
}
