//! Changes since the previous release: the idle time-out and the type of the cart.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use session_tower::hours;

/// Idle time-out of sessions. In the previous release it was twelve hours.
pub(crate) const IDLE: Duration = hours(1);

/// The cart as stored: the number of tins of each tea. A cart of the previous release is read as well.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum StoredCart {
    Tins(BTreeMap<String, u32>),
    /// One entry for each tin, as the previous release stored it.
    OfReleaseBefore(Vec<String>),
}

impl From<BTreeMap<String, u32>> for StoredCart {
    fn from(tins: BTreeMap<String, u32>) -> Self {
        Self::Tins(tins)
    }
}

impl From<StoredCart> for BTreeMap<String, u32> {
    fn from(cart: StoredCart) -> Self {
        match cart {
            StoredCart::Tins(tins) => tins,
            StoredCart::OfReleaseBefore(list) => list.into_iter().fold(Self::new(), |mut tins, slug| {
                *tins.entry(slug).or_default() += 1;
                tins
            }),
        }
    }
}
