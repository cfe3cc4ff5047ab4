//! The database can keep sealed records, but neither read nor change them.

use std::num::NonZeroU32;

use session_core::{
    Bytes, Call, Clock, Commit, ErrorKind, Handle, Manager, Opened, Outcome, Principal, Record, Result, Store,
    StoreKey, Timestamp, Version, hours,
};
use session_crypto::{KeyRing, Sealer};
use session_store_layers::Sealed;
use session_store_memory::MemoryStore;

const KEY: StoreKey = StoreKey::from_bytes([7; 32]);
const OTHER: StoreKey = StoreKey::from_bytes([9; 32]);
const MANY: NonZeroU32 = NonZeroU32::new(100).unwrap();

fn call() -> Call {
    Call::new(Timestamp::MIN.plus(hours(100)))
}

fn secret(n: u8) -> Vec<u8> {
    (n..n + 32).collect()
}

fn ring(n: u8) -> KeyRing {
    KeyRing::new(&secret(n)).unwrap()
}

fn record(data: &'static [u8]) -> Record {
    let now = call().now;
    let ann = Some(Principal::new("ann").unwrap());
    Record::new(Version::random(), now, now.plus(hours(1)), ann, Bytes::from_static(data))
}

fn run<T>(future: impl Future<Output = Result<T>>) -> T {
    pollster::block_on(future).unwrap()
}

fn corrupt<T: std::fmt::Debug>(future: impl Future<Output = Result<T>>) {
    assert_eq!(pollster::block_on(future).unwrap_err().kind(), ErrorKind::Corrupt);
}

/// Returns a plain store, the sealed store around it, and a record stored under `KEY` through the sealed one.
fn sealed() -> (MemoryStore, Sealed<MemoryStore>, Record) {
    let (plain, record) = (MemoryStore::new(), record(b"{\"secret\":1}"));
    let store = Sealed::new(plain.clone(), &ring(1));
    assert_eq!(run(store.create(&call(), &KEY, &record)), Outcome::Done);
    (plain, store, record)
}

#[test]
fn the_database_sees_no_data() {
    let (plain, store, record) = sealed();
    let kept = run(plain.load(&call(), &KEY)).unwrap();
    assert!(!kept.data.windows(6).any(|window| window == b"secret"));
    assert_eq!(kept.data.len(), record.data.len() + Sealer::OVERHEAD);
    assert_eq!((kept.version, &kept.principal), (record.version, &record.principal));
    assert_eq!(run(store.load(&call(), &KEY)), Some(record.clone()));
    let ann = record.principal.clone().unwrap();
    assert_eq!(run(store.sessions_of(&call(), &ann, MANY)), [(KEY, record.clone())]);
    assert_eq!(run(store.scan(&call(), None, MANY)).records, [(KEY, record)]);
}

#[test]
fn what_is_changed_moved_or_given_to_another_principal_is_corrupt() {
    let changes: [fn(&mut Record); 5] = [
        |record| record.principal = Some(Principal::new("eve").unwrap()),
        |record| record.principal = None,
        |record| record.created_at = record.created_at.plus(hours(1)),
        |record| record.version = Version::random(),
        |record| {
            let mut data = record.data.to_vec();
            *data.last_mut().unwrap() ^= 1;
            record.data = data.into();
        },
    ];
    for change in changes {
        let (plain, store, _) = sealed();
        let mut kept = run(plain.load(&call(), &KEY)).unwrap();
        assert_eq!(run(plain.delete(&call(), &KEY, None)), Outcome::Done);
        change(&mut kept);
        assert_eq!(run(plain.create(&call(), &KEY, &kept)), Outcome::Done);
        corrupt(store.load(&call(), &KEY));
        assert_eq!(run(store.scan(&call(), None, MANY)).records, []);
        assert_eq!(run(store.delete(&call(), &KEY, None)), Outcome::Done, "it can still be removed");
    }
    let (plain, store, _) = sealed();
    let elsewhere = StoreKey::from_bytes([8; 32]);
    let kept = run(plain.load(&call(), &KEY)).unwrap();
    assert_eq!(run(plain.create(&call(), &elsewhere, &kept)), Outcome::Done);
    corrupt(store.load(&call(), &elsewhere));
}

#[test]
fn a_touch_needs_no_key_and_breaks_no_seal() {
    let (_, store, mut record) = sealed();
    record.expires_at = record.expires_at.plus(hours(1));
    assert_eq!(run(store.touch(&call(), &KEY, record.version, record.expires_at)), Outcome::Done);
    assert_eq!(run(store.load(&call(), &KEY)), Some(record));
}

#[test]
fn an_older_key_opens_and_the_next_save_is_by_the_current_one() {
    let (plain, _, first) = sealed();
    let both = Sealed::new(plain.clone(), &ring(2).and(&secret(1)).unwrap());
    assert_eq!(run(both.load(&call(), &KEY)), Some(first.clone()));
    let only_new = Sealed::new(plain, &ring(2));
    corrupt(only_new.load(&call(), &KEY));
    let second = record(b"{}");
    assert_eq!(run(both.save(&call(), &KEY, first.version, &second)), Outcome::Done);
    assert_eq!(run(only_new.load(&call(), &KEY)), Some(second));
}

#[test]
fn plain_records_are_read_only_when_that_was_asked_for() {
    let (plain, first) = (MemoryStore::new(), record(b"{\"plain\":1}"));
    assert_eq!(run(plain.create(&call(), &KEY, &first)), Outcome::Done);
    corrupt(Sealed::new(plain.clone(), &ring(1)).load(&call(), &KEY));
    let store = Sealed::new(plain.clone(), &ring(1)).accept_plain(true);
    assert_eq!(run(store.load(&call(), &KEY)), Some(first.clone()));
    let second = record(b"{\"sealed\":1}");
    assert_eq!(run(store.save(&call(), &KEY, first.version, &second)), Outcome::Done);
    assert_eq!(run(Sealed::new(plain, &ring(1)).load(&call(), &KEY)), Some(second), "what is written is sealed");
}

#[test]
fn debug_shows_no_key() {
    let (_, store, _) = sealed();
    assert_eq!(format!("{store:?}").matches("Sealed").count(), 1);
    assert!(!format!("{store:?}").contains("Sealer"));
}

/// Two sessions of one principal. The first was sealed by a key that is no longer in the ring.
fn half_sealed() -> (MemoryStore, Sealed<MemoryStore>, Record) {
    let (plain, _, lost) = sealed();
    let store = Sealed::new(plain.clone(), &ring(2));
    let kept = record(b"{}");
    assert_eq!(run(store.create(&call(), &OTHER, &kept)), Outcome::Done);
    corrupt(store.load(&call(), &KEY));
    assert_eq!(lost.principal, kept.principal);
    (plain, store, kept)
}

#[test]
fn a_list_leaves_out_what_does_not_unseal() {
    let (_, store, kept) = half_sealed();
    let ann = kept.principal.clone().unwrap();
    for limit in [1, 2, 100] {
        let limit = NonZeroU32::new(limit).unwrap();
        assert_eq!(run(store.sessions_of(&call(), &ann, limit)), [(OTHER, kept.clone())], "limit {limit}");
    }
    assert_eq!(run(store.scan(&call(), None, MANY)).records, [(OTHER, kept)]);
}

#[test]
fn what_does_not_unseal_is_revoked() {
    let (plain, store, kept) = half_sealed();
    let ann = kept.principal.clone().unwrap();
    let manager = Manager::builder(store).clock(At(call().now)).build().unwrap();
    assert!(run(manager.revoke(&ann, &Handle::from(KEY))), "it was there");
    assert!(!run(manager.revoke(&ann, &Handle::from(KEY))), "it is gone");
    assert_eq!(plain.len(), 1);

    let (plain, store, _) = half_sealed();
    let manager = Manager::builder(store).clock(At(call().now)).build().unwrap();
    assert_eq!(run(manager.revoke_all(&ann)), 2);
    assert!(plain.is_empty());
}

/// Clock that always returns the same time.
#[derive(Debug)]
struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// A key was removed from the ring too early. The session cannot be read, but its owner can still end it.
#[test]
fn a_session_that_does_not_unseal_is_ended_by_a_logout() {
    let plain = MemoryStore::new();
    let manager = Manager::new(Sealed::new(plain.clone(), &ring(1)));
    let session = run(manager.open(None));
    session.login("ann").unwrap();
    let Commit::Issue(ticket) = run(manager.close(&session)) else { panic!("a new session is issued") };

    let manager = Manager::new(Sealed::new(plain.clone(), &ring(2)));
    let session = run(manager.open(Some(ticket.value.as_str())));
    assert_eq!(session.opened(), Opened::Undecodable);
    session.logout();
    assert_eq!(run(manager.close(&session)), Commit::Clear);
    assert!(plain.is_empty(), "the record is still there");
}
