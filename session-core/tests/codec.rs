//! Managers of each codec read and write records of each codec.

#[cfg(feature = "messagepack")]
mod common;

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
    assert_eq!(kind, session_core::ErrorKind::Unsupported, "a list without the session would hide a live login");
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

/// Tests in which a manager of one codec creates a session and a manager of the other codec changes it.
#[cfg(feature = "messagepack")]
mod kept {
    use session_core::{Codec, Commit, ErrorKind, Manager, Session};

    use super::common::Shelf;

    const PAIRS: [[Codec; 2]; 2] = [[Codec::Json, Codec::MessagePack], [Codec::MessagePack, Codec::Json]];

    const fn first_byte(codec: Codec) -> u8 {
        match codec {
            Codec::MessagePack => 0xde,
            _ => b'{',
        }
    }

    fn manager(shelf: &Shelf, codec: Codec) -> Manager {
        Manager::builder(shelf.clone()).codec(codec).build().unwrap()
    }

    fn close(manager: &Manager, session: &Session) -> Commit {
        pollster::block_on(manager.close(session)).unwrap()
    }

    /// Stores a session of `codec` with the value 1 under `n`, and returns its cookie.
    fn stored(shelf: &Shelf, codec: Codec) -> String {
        let manager = manager(shelf, codec);
        let session = pollster::block_on(manager.open(None)).unwrap();
        session.insert("n", &1).unwrap();
        let Commit::Issue(ticket) = close(&manager, &session) else { panic!("no cookie") };
        ticket.value.as_str().into()
    }

    #[test]
    fn a_session_keeps_its_codec_whatever_is_done_to_it() {
        let steps: [fn(&Session); 8] = [
            |session| session.insert("m", serde_bytes::Bytes::new(&[0, 255])).unwrap(),
            |session| session.update("n", |n: &mut u8| *n += 1).map(drop).unwrap(),
            |session| session.flash("f", "x").unwrap(),
            |session| session.clear().unwrap(),
            |session| session.rotate().unwrap(),
            |session| session.login("ann").unwrap(),
            |session| session.login_keeping("ann", ["n"]).unwrap(),
            |session| {
                session.login("ann").unwrap();
                session.reauthenticate().unwrap();
            },
        ];
        for [codec, other] in PAIRS {
            for step in steps {
                let shelf = Shelf::default();
                let cookie = stored(&shelf, codec);
                let other = manager(&shelf, other);
                let session = pollster::block_on(other.open(Some(&cookie))).unwrap();
                step(&session);
                let _commit = close(&other, &session);
                assert_eq!(shelf.envelope()[0], first_byte(codec));
            }
        }
    }

    #[test]
    fn a_session_that_begins_after_a_logout_has_the_codec_of_the_manager() {
        for [codec, other] in PAIRS {
            let shelf = Shelf::default();
            let cookie = stored(&shelf, codec);
            let other_manager = manager(&shelf, other);
            let session = pollster::block_on(other_manager.open(Some(&cookie))).unwrap();
            session.insert("gone", &1).unwrap();
            session.logout();
            session.flash("bye", "x").unwrap();
            assert_eq!(session.update("n", |n: &mut u8| *n += 1).unwrap(), 1);
            let _commit = close(&other_manager, &session);
            assert_eq!(shelf.envelope()[0], first_byte(other));
            assert_eq!(session.flashes::<String>("bye").unwrap(), ["x"]);
            session.discard();
        }
    }

    #[test]
    fn changes_are_replayed_in_the_codec_of_the_record() {
        for [codec, other] in PAIRS {
            let shelf = Shelf::default();
            let cookie = stored(&shelf, codec);
            let managers = [manager(&shelf, codec), manager(&shelf, other)];
            let sessions = managers.each_ref().map(|manager| pollster::block_on(manager.open(Some(&cookie))).unwrap());
            for (n, session) in sessions.iter().enumerate() {
                session.update("n", |n: &mut u8| *n += 1).unwrap();
                session.insert(n, &[n, 1000]).unwrap();
                session.flash("f", &n).unwrap();
            }
            let _commits = [0, 1].map(|n: usize| close(&managers[n], &sessions[n]));
            assert_eq!(shelf.envelope()[0], first_byte(codec));
            for manager in &managers {
                let session = pollster::block_on(manager.open(Some(&cookie))).unwrap();
                assert_eq!(session.get::<u8>("n").unwrap(), Some(3));
                assert_eq!(session.get::<[u16; 2]>(0).unwrap(), Some([0, 1000]));
                assert_eq!(session.get::<[u16; 2]>(1).unwrap(), Some([1, 1000]));
                assert_eq!(session.flashes::<u8>("f").unwrap(), [0, 1]);
                session.discard();
            }
        }
    }

    #[test]
    fn a_login_whose_session_is_gone_begins_one_in_the_codec_of_its_values() {
        for [codec, other] in PAIRS {
            let shelf = Shelf::default();
            let cookie = stored(&shelf, codec);
            let other = manager(&shelf, other);
            let session = pollster::block_on(other.open(Some(&cookie))).unwrap();
            session.login("ann").unwrap();
            session.insert("m", &[300, 2]).unwrap();
            shelf.empty();
            let Commit::Issue(ticket) = close(&other, &session) else { panic!("no cookie") };
            assert_eq!(shelf.envelope()[0], first_byte(codec));
            let session = pollster::block_on(other.open(Some(ticket.value.as_str()))).unwrap();
            assert_eq!(session.get::<[u16; 2]>("m").unwrap(), Some([300, 2]));
        }
    }

    #[test]
    fn a_login_after_the_session_was_found_gone_begins_one_in_the_codec_of_the_manager() {
        for [codec, other_codec] in PAIRS {
            let shelf = Shelf::default();
            let cookie = stored(&shelf, codec);
            let other = manager(&shelf, other_codec);
            let session = pollster::block_on(other.open(Some(&cookie))).unwrap();
            session.insert("m", &1).unwrap();
            shelf.empty();
            assert_eq!(pollster::block_on(session.save()).unwrap_err().kind(), ErrorKind::Gone);
            session.login("ann").unwrap();
            session.insert("m", &2).unwrap();
            let _commit = close(&other, &session);
            assert_eq!(shelf.envelope()[0], first_byte(other_codec));
            assert_eq!(session.get::<u8>("m").unwrap(), Some(2));
        }
    }

    /// Only a restored backup or an external tool can store such a record. A replay would mix the values of two codecs in it.
    #[test]
    fn nothing_is_replayed_on_a_record_in_another_codec() {
        for (codec, data) in [(Codec::MessagePack, &br#"{"v":{"n":1}}"#[..]), (Codec::Json, super::PACKED)] {
            let shelf = Shelf::default();
            let cookie = stored(&shelf, codec);
            let manager = manager(&shelf, codec);
            let session = pollster::block_on(manager.open(Some(&cookie))).unwrap();
            session.insert("m", &1).unwrap();
            shelf.replace(data);
            assert_eq!(pollster::block_on(session.save()).unwrap_err().kind(), ErrorKind::Gone);
            assert_eq!(shelf.envelope(), data);
        }
    }

    /// A value that signs the session out when it is encoded for the first time.
    struct Leaving<'s>(&'s Session, std::cell::Cell<bool>);

    impl serde::Serialize for Leaving<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
            if !self.1.replace(true) {
                self.0.logout();
            }
            serializer.serialize_u32(1000)
        }
    }

    #[test]
    fn a_value_is_encoded_for_the_session_that_a_logout_has_begun_meanwhile() {
        for [codec, other_codec] in PAIRS {
            for flash in [false, true] {
                let shelf = Shelf::default();
                let cookie = stored(&shelf, codec);
                let other = manager(&shelf, other_codec);
                let session = pollster::block_on(other.open(Some(&cookie))).unwrap();
                let value = Leaving(&session, false.into());
                if flash {
                    session.flash("m", &value).unwrap()
                } else {
                    session.insert("m", &value).unwrap()
                }
                let Commit::Issue(ticket) = close(&other, &session) else { panic!("no cookie") };
                let session = pollster::block_on(other.open(Some(ticket.value.as_str()))).unwrap();
                assert_eq!(shelf.envelope()[0], first_byte(other_codec));
                if flash {
                    assert_eq!(session.flashes::<u32>("m").unwrap(), [1000]);
                    session.discard();
                } else {
                    assert_eq!(session.get::<u32>("m").unwrap(), Some(1000));
                }
            }
        }
    }
}
