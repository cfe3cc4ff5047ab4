//! Reads of sessions, all of them consistent.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use session_core::{Record, Result, StoreKey};
use session_store_kit::TIMED_OUT;
use session_store_kit::batch::{Answers, RoundTrip, Trip};
use session_store_kit::operations::{Access, Load};
use session_store_kit::outcome::loaded;
use tokio::time::Instant;

use crate::error::{Failure, incomplete};
use crate::execute::{Pauses, Server};
use crate::items::{self, Item, PK, Stored};

/// Maximum number of keys in one `BatchGetItem`.
pub(crate) const MOST_KEYS: usize = 100;

impl RoundTrip<Load> for Server {
    async fn run(&self, items: &[Load], trip: Trip) -> Answers<Load> {
        let until = trip.deadline;
        if let [Load { now, key }] = items {
            let record = self.get(key, until).await;
            return Ok(vec![record.map(|record| record.filter(|record| record.is_live(*now)))]);
        }
        let mut keys: Vec<StoreKey> = items.iter().map(|item| item.key).collect();
        keys.sort_unstable();
        keys.dedup();
        match self.get_all(&keys, until).await {
            Ok(found) => Ok(loaded(items, &found)),
            // In an outage no load would succeed on its own, so all get this error and none is run again.
            Err(error) if error.is_transient() => Ok(items.iter().map(|_| Err(error.clone())).collect()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Stored records by key. A record that cannot be read is an error in its place.
pub(crate) type Found = HashMap<StoreKey, Result<Record>>;

impl Server {
    async fn get(&self, key: &StoreKey, until: Instant) -> Result<Option<Record>> {
        let get = || self.clients.reads.get_item().table_name(&self.table).consistent_read(true);
        let request = || get().set_key(Some(items::session_key(key))).send();
        self.read(until, request).await?.item.map(items::record).transpose()
    }

    /// Reads the parts of a session that decide about a write, without the data.
    pub(crate) async fn head(&self, key: &StoreKey, until: Instant) -> Result<Option<Stored>> {
        let get = || self.clients.reads.get_item().table_name(&self.table).consistent_read(true);
        let request = || {
            let get = get().projection_expression("version, expires_at, principal");
            get.set_key(Some(items::session_key(key))).send()
        };
        self.read(until, request).await?.item.as_ref().map(Stored::of).transpose()
    }

    /// Reads the records under `keys`: at most [`MOST_KEYS`], all of them different.
    pub(crate) async fn get_all(&self, keys: &[StoreKey], until: Instant) -> Result<Found> {
        let mut found = Found::with_capacity(keys.len());
        let mut pauses = Pauses::until(until);
        let mut left: Vec<Item> = keys.iter().map(items::session_key).collect();
        while !left.is_empty() {
            let keys = KeysAndAttributes::builder().set_keys(Some(left)).consistent_read(true).build();
            let keys = keys.map_err(incomplete)?;
            let request = || self.clients.reads.batch_get_item().request_items(&self.table, keys.clone()).send();
            let answer = self.ask(until, Access::Read, request).await.map_err(Failure::error)?;
            let items = answer.responses.into_iter().flatten().flat_map(|(_, items)| items);
            let before = found.len();
            for item in items {
                found.insert(items::key(&item, PK)?, items::record(item));
            }
            let unprocessed = answer.unprocessed_keys.into_iter().flatten().flat_map(|(_, keys)| keys.keys);
            left = unprocessed.collect();
            // An answer holds up to 16 MB. The keys beyond that and the throttled ones are left over.
            if !left.is_empty() && found.len() == before && !pauses.pause().await {
                return Err(TIMED_OUT);
            }
        }
        Ok(found)
    }
}
