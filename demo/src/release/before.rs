//! Idle time-out and type of the cart one release ago.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use session_tower::hours;

/// Idle time-out of sessions.
pub(crate) const IDLE: Duration = hours(12);

/// The cart as stored: a list with one entry for each tin.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct StoredCart(Vec<String>);

impl From<BTreeMap<String, u32>> for StoredCart {
    fn from(tins: BTreeMap<String, u32>) -> Self {
        Self(tins.into_iter().flat_map(|(slug, tins)| (0..tins).map(move |_| slug.clone())).collect())
    }
}

impl From<StoredCart> for BTreeMap<String, u32> {
    fn from(cart: StoredCart) -> Self {
        cart.0.into_iter().fold(Self::new(), |mut tins, slug| {
            *tins.entry(slug).or_default() += 1;
            tins
        })
    }
}
