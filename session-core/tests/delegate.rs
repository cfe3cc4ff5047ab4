//! A newtype made with `delegate_store!` forwards every method to its inner store.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use pollster::block_on;
use session_core::{
    Bytes, Call, Capabilities, Cursor, Outcome, Page, Principal, Purged, Record, Result, SessionId, Store, StoreKey,
    Timestamp, Version, async_trait, delegate_store,
};

/// A store that notes the name of each called method and enough of its operands to recognise them.
#[derive(Debug, Default)]
struct Noting(Mutex<Vec<String>>);

impl Noting {
    fn note(&self, call: String) {
        self.0.lock().unwrap().push(call);
    }
}

#[async_trait]
impl Store for Noting {
    fn capabilities(&self) -> Capabilities {
        self.note("capabilities".into());
        Capabilities::new().scan(true)
    }

    async fn create(&self, _: &Call, _: &StoreKey, record: &Record) -> Result<Outcome> {
        self.note(format!("create {:?}", record.version));
        Ok(Outcome::Exists)
    }

    async fn load(&self, call: &Call, _: &StoreKey) -> Result<Option<Record>> {
        self.note(format!("load {:?}", call.now));
        Ok(None)
    }

    async fn save(&self, _: &Call, _: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.note(format!("save {expected:?} {:?}", record.version));
        Ok(Outcome::Conflict)
    }

    async fn touch(&self, _: &Call, _: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.note(format!("touch {expected:?} {expires_at:?}"));
        Ok(Outcome::Conflict)
    }

    async fn delete(&self, _: &Call, _: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.note(format!("delete {expected:?}"));
        Ok(Outcome::Missing)
    }

    async fn purge(&self, _: &Call, limit: NonZeroU32) -> Result<Purged> {
        self.note(format!("purge {limit}"));
        Ok(Purged::new(7, true))
    }

    async fn sessions_of(&self, _: &Call, who: &Principal, limit: NonZeroU32) -> Result<Vec<(StoreKey, Record)>> {
        self.note(format!("sessions_of {} {limit}", who.as_str()));
        Ok(Vec::new())
    }

    async fn delete_all(&self, _: &Call, who: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        self.note(format!("delete_all {} {}", who.as_str(), keep.is_some()));
        Ok(9)
    }

    async fn scan(&self, _: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        self.note(format!("scan {} {limit}", after.is_some()));
        Ok(Page::default())
    }

    async fn close(&self) -> Result<()> {
        self.note("close".into());
        Ok(())
    }
}

#[derive(Debug)]
struct Plain(Arc<Noting>);

delegate_store!(Plain, plain => &*plain.0);

#[derive(Debug)]
struct Around<S> {
    store: S,
}

delegate_store!([S: Store] Around<S>, around => &around.store);

#[test]
fn every_method_reaches_the_store_inside() {
    let inner = Arc::new(Noting::default());
    let stores: [Box<dyn Store>; 3] =
        [Box::new(Plain(inner.clone())), Box::new(Around { store: Plain(inner.clone()) }), Box::new(inner.clone())];
    let (call, key) = (Call::new(Timestamp::MAX), StoreKey::derive("id", &SessionId::random()));
    let versions = [1, 2].map(|n| Version::from_i64(n).unwrap());
    let record = Record::new(versions[1], Timestamp::MIN, Timestamp::MAX, None, Bytes::new());
    let (ann, limit) = (Principal::new("ann").unwrap(), NonZeroU32::new(5).unwrap());
    for store in stores {
        assert!(store.capabilities().scan);
        block_on(async {
            assert_eq!(store.create(&call, &key, &record).await.unwrap(), Outcome::Exists);
            assert_eq!(store.load(&call, &key).await.unwrap(), None);
            assert_eq!(store.save(&call, &key, versions[0], &record).await.unwrap(), Outcome::Conflict);
            assert_eq!(store.touch(&call, &key, versions[0], Timestamp::MIN).await.unwrap(), Outcome::Conflict);
            assert_eq!(store.delete(&call, &key, Some(versions[0])).await.unwrap(), Outcome::Missing);
            assert_eq!(store.purge(&call, limit).await.unwrap(), Purged::new(7, true));
            assert!(store.sessions_of(&call, &ann, limit).await.unwrap().is_empty());
            assert_eq!(store.delete_all(&call, &ann, Some(&key)).await.unwrap(), 9);
            assert!(store.scan(&call, None, limit).await.unwrap().next.is_none());
            store.close().await.unwrap();
        });
        let [first, second] = versions;
        let (earliest, latest) = (Timestamp::MIN, Timestamp::MAX);
        let called = std::mem::take(&mut *inner.0.lock().unwrap());
        assert_eq!(
            called,
            [
                "capabilities".to_owned(),
                format!("create {second:?}"),
                format!("load {latest:?}"),
                format!("save {first:?} {second:?}"),
                format!("touch {first:?} {earliest:?}"),
                format!("delete {:?}", Some(first)),
                "purge 5".to_owned(),
                "sessions_of ann 5".to_owned(),
                "delete_all ann true".to_owned(),
                "scan false 5".to_owned(),
                "close".to_owned(),
            ]
        );
    }
}
