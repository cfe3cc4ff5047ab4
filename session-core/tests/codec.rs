//! What a manager makes of records in each codec.

use std::num::NonZeroU32;

use session_core::{
    Call, Capabilities, Error, Handle, Manager, Opened, Outcome, Principal, Record, Result, SessionId, Store, StoreKey,
    SystemClock, Timestamp, Version, async_trait, hours,
};

/// A store that holds one record, under every key.
#[derive(Debug)]
struct Holds(Record);

impl Holds {
    fn new(data: &'static [u8]) -> Self {
        let now = session_core::Clock::now(&SystemClock);
        let ann = Principal::new("ann").unwrap();
        Self(Record::new(Version::random(), now, now.plus(hours(1)), Some(ann), session_core::Bytes::from_static(data)))
    }
}

#[async_trait]
impl Store for Holds {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new().by_principal(true)
    }

    async fn create(&self, _: &Call, _: &StoreKey, _: &Record) -> Result<Outcome> {
        Err(Error::unsupported("create"))
    }

    async fn load(&self, _: &Call, _: &StoreKey) -> Result<Option<Record>> {
        Ok(Some(self.0.clone()))
    }

    async fn save(&self, _: &Call, _: &StoreKey, _: Version, _: &Record) -> Result<Outcome> {
        Err(Error::unsupported("save"))
    }

    async fn touch(&self, _: &Call, _: &StoreKey, _: Version, _: Timestamp) -> Result<Outcome> {
        Ok(Outcome::Done)
    }

    async fn delete(&self, _: &Call, _: &StoreKey, _: Option<Version>) -> Result<Outcome> {
        Ok(Outcome::Done)
    }

    async fn sessions_of(&self, _: &Call, _: &Principal, _: NonZeroU32) -> Result<Vec<(StoreKey, Record)>> {
        Ok(vec![(StoreKey::derive("id", &SessionId::random()), self.0.clone())])
    }
}

/// `{"v": {"n": 7}}`
const PACKED: &[u8] = b"\xde\x00\x01\xa1v\x81\xa1n\x07";

fn cookie() -> String {
    "A".repeat(43)
}

#[cfg(feature = "messagepack")]
#[test]
fn a_manager_of_either_codec_reads_records_of_both() {
    use session_core::Codec;

    for codec in [Codec::Json, Codec::MessagePack] {
        for data in [PACKED, br#"{"v":{"n":7}}"#] {
            let manager = Manager::builder(Holds::new(data)).codec(codec).build().unwrap();
            let session = pollster::block_on(manager.open(Some(&cookie()))).unwrap();
            assert_eq!(session.get::<u8>("n").unwrap(), Some(7));
            let ann = Principal::new("ann").unwrap();
            assert_eq!(pollster::block_on(manager.sessions_of(&ann, None)).unwrap().len(), 1);
        }
    }
}

#[cfg(not(feature = "messagepack"))]
#[test]
fn a_live_session_in_a_codec_that_is_not_built_in_is_an_error_and_no_blank_session() {
    let manager = Manager::new(Holds::new(PACKED));
    let kind = pollster::block_on(manager.open(Some(&cookie()))).unwrap_err().kind();
    assert_eq!(kind, session_core::ErrorKind::Unsupported);
    let ann = Principal::new("ann").unwrap();
    let kind = pollster::block_on(manager.sessions_of(&ann, None)).unwrap_err().kind();
    assert_eq!(
        kind,
        session_core::ErrorKind::Unsupported,
        "a list without it would say that nobody is signed in there"
    );
}

#[test]
fn what_does_not_decode_opens_as_a_new_session() {
    for data in [&b"{"[..], b"\xff", b""] {
        let session = pollster::block_on(Manager::new(Holds::new(data)).open(Some(&cookie()))).unwrap();
        assert_eq!(session.opened(), Opened::Undecodable);
    }
}

#[test]
fn a_session_that_cannot_be_read_can_be_revoked() {
    for data in [PACKED, b"{"] {
        let manager = Manager::new(Holds::new(data));
        let handle = Handle::from(StoreKey::derive("id", &SessionId::random()));
        assert!(pollster::block_on(manager.revoke(&Principal::new("ann").unwrap(), &handle)).unwrap());
    }
}
