//! What has changed since the release before: the idle time-out and the type of the cart.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use session_core::hours;

/// How long a session may lie unused. The release before let it lie for twelve hours.
pub(crate) const IDLE: Duration = hours(1);

/// The cart as it is stored: tins of each tea. A cart of the release before is read as well.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum StoredCart {
    Tins(BTreeMap<String, u32>),
    /// One entry for each tin.
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
