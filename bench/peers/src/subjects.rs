//! Subjects over the stores of tower-sessions, for each version of its core.

/// Defines a subject over a `SessionStore` of the given core, whose new sessions are stored by `$create`.
macro_rules! subject_on {
    ($module:ident, $core:path, |$store:ident, $record:ident| $create:expr) => {
        pub(crate) mod $module {
            use std::collections::HashMap;

            use $core as core;

            use anyhow::{Context, Result};
            use async_trait::async_trait;
            use core::SessionStore;
            use core::session::{Id, Record};

            use work::{Payload, SESSIONS, Subject};

            use crate::subjects::in_a_day;

            pub(crate) struct Peer<S> {
                store: S,
                size: usize,
                ids: Vec<Id>,
            }

            impl<S: SessionStore> Peer<S> {
                pub(crate) async fn filled(store: S, size: usize) -> Result<Self> {
                    let mut peer = Self { store, size, ids: Vec::new() };
                    for _ in 0..SESSIONS {
                        let id = peer.store_new().await?;
                        peer.ids.push(id);
                    }
                    Ok(peer)
                }

                async fn store_new(&self) -> Result<Id> {
                    let payload = Payload::of_size(self.size);
                    let data = HashMap::from([
                        ("count".to_owned(), payload.count.into()),
                        ("filler".to_owned(), payload.filler.into()),
                    ]);
                    let mut fresh = Record { id: Id::default(), data, expiry_date: in_a_day() };
                    let ($store, $record) = (&self.store, &mut fresh);
                    $create.await?;
                    Ok(fresh.id)
                }

                async fn record(&self, n: u64) -> Result<Record> {
                    self.store.load(&self.ids[n as usize]).await?.context("a session went")
                }
            }

            fn count(record: &Record) -> Result<u64> {
                record.data.get("count").and_then(|count| count.as_u64()).context("a session lost its count")
            }

            #[async_trait]
            impl<S: SessionStore> Subject for Peer<S> {
                async fn create(&self) -> Result<()> {
                    self.store_new().await.map(drop)
                }

                async fn load(&self, n: u64) -> Result<u64> {
                    count(&self.record(n).await?)
                }

                async fn add(&self, n: u64) -> Result<()> {
                    let mut record = self.record(n).await?;
                    let count = count(&record)?;
                    record.data.insert("count".to_owned(), (count + 1).into());
                    record.expiry_date = in_a_day();
                    Ok(self.store.save(&record).await?)
                }

                async fn touch(&self, n: u64) -> Result<()> {
                    let mut record = self.record(n).await?;
                    record.expiry_date = in_a_day();
                    Ok(self.store.save(&record).await?)
                }
            }
        }
    };
}

subject_on!(core_0_14, tower_sessions, |store, record| store.create(record));
// This version of the core has no `create`.
subject_on!(core_0_11, peers::core_0_11, |store, record| store.save(record));

fn in_a_day() -> tower_sessions::cookie::time::OffsetDateTime {
    tower_sessions::cookie::time::OffsetDateTime::now_utc() + tower_sessions::cookie::time::Duration::days(1)
}
