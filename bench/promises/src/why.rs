//! What in the peers' sources explains a failure. Found by reading them.

use crate::kind::Kind;

/// A clause, the stores that this is about, and what makes them fail it.
type Why = (&'static str, &'static [Kind], &'static str);

const WHY: &[Why] = &[];

/// Why this store fails this clause, if that has been looked into.
pub(crate) fn why(clause: &str, kind: Kind) -> Option<&'static str> {
    WHY.iter().find(|(name, kinds, _)| *name == clause && kinds.contains(&kind)).map(|(_, _, why)| *why)
}
