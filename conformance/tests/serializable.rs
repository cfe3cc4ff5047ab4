//! Tests of two concurrent requests of one session: the result is that of running them in turn, or a conflict.

use std::collections::BTreeMap;

use proptest::prelude::*;
use session_core::{Codec, Commit, ErrorKind, Manager, Session};
use session_store_memory::MemoryStore;

/// A step of a request, whose write depends only on a read of the same key.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Reads the value, then writes one more.
    Bump(u8),
    /// Writes without reading.
    Blind(u8, u64),
    Update(u8),
    Take(u8),
    Remove(u8),
    Peek(u8),
    Clear,
    /// Saves explicitly in the middle of the request.
    Save,
}

fn any_step() -> impl Strategy<Value = Step> {
    let key = 0..4_u8;
    prop_oneof![
        4 => key.clone().prop_map(Step::Bump),
        2 => (key.clone(), 0..3_u64).prop_map(|(key, value)| Step::Blind(key, value)),
        4 => key.clone().prop_map(Step::Update),
        1 => key.clone().prop_map(Step::Take),
        1 => key.clone().prop_map(Step::Remove),
        1 => key.prop_map(Step::Peek),
        1 => Just(Step::Clear),
        1 => Just(Step::Save),
    ]
}

/// Draws the codecs of the two processes. The session keeps the codec of the process that creates it.
fn any_codecs() -> impl Strategy<Value = [Codec; 2]> {
    let any = proptest::sample::select(&[Codec::Json, Codec::MessagePack][..]);
    [any.clone(), any]
}

/// Creates two processes over one store.
fn processes(codecs: [Codec; 2]) -> [Manager; 2] {
    let store = std::sync::Arc::new(MemoryStore::new());
    codecs.map(|codec| Manager::builder(store.clone()).codec(codec).build().unwrap())
}

type Values = BTreeMap<String, u64>;

/// Does a step. Returns its effect: a take that finds nothing is a [`Step::Peek`].
fn run(step: Step, session: &Session) -> session_core::Result<Step> {
    if let Step::Take(key) = step
        && session.peek::<u64>(key)?.is_none()
    {
        session.take::<u64>(key)?;
        return Ok(Step::Peek(key));
    }
    carry_out(step, session).map(|()| step)
}

fn carry_out(step: Step, session: &Session) -> session_core::Result<()> {
    match step {
        Step::Bump(key) => {
            let value: u64 = session.get(key)?.unwrap_or(0);
            session.insert(key, &(value + 1))
        }
        Step::Blind(key, value) => session.insert(key, &value),
        Step::Update(key) => session.update(key, |n: &mut u64| *n = *n * 2 + 1).map(drop),
        Step::Take(key) => session.take::<u64>(key).map(drop),
        Step::Remove(key) => session.remove(key).map(drop),
        Step::Peek(key) => session.peek::<u64>(key).map(drop),
        Step::Clear => session.clear(),
        Step::Save => pollster::block_on(session.save()).map(drop),
    }
}

fn model(steps: &[Step], values: &mut Values) {
    for step in steps {
        let name = |key: &u8| key.to_string();
        match step {
            Step::Bump(key) => *values.entry(name(key)).or_default() += 1,
            Step::Blind(key, value) => drop(values.insert(name(key), *value)),
            Step::Update(key) => {
                let value = values.entry(name(key)).or_default();
                *value = *value * 2 + 1;
            }
            Step::Take(key) | Step::Remove(key) => drop(values.remove(&name(key))),
            Step::Clear => values.clear(),
            Step::Peek(_) | Step::Save => {}
        }
    }
}

fn stored(manager: &Manager, cookie: &str) -> Values {
    let session = pollster::block_on(manager.open(Some(cookie))).unwrap();
    session.keys().into_iter().map(|key| (key.clone(), session.peek(&key).unwrap().unwrap())).collect()
}

fn first(manager: &Manager) -> String {
    let session = pollster::block_on(manager.open(None)).unwrap();
    session.insert("0", &10).unwrap();
    session.insert("1", &20).unwrap();
    match pollster::block_on(manager.close(&session)).unwrap() {
        Commit::Issue(ticket) => ticket.value.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn a_late_request_ends_as_if_it_had_come_second_or_in_conflict(
        early in proptest::collection::vec(any_step(), 0..6),
        late in proptest::collection::vec(any_step(), 0..6),
        codecs in any_codecs(),
    ) {
        let [manager, other] = processes(codecs);
        let cookie = first(&manager);
        let open = |manager: &Manager| pollster::block_on(manager.open(Some(&cookie))).unwrap();
        let (one, two) = (open(&manager), open(&other));
        for step in &early {
            let _done = run(*step, &one).unwrap();
        }
        // The late request works on the record that it loaded. Its own saves come after the early request's.
        let at_save = late.iter().position(|step| matches!(step, Step::Save)).unwrap_or(late.len());
        let mut done: Vec<Step> = late[..at_save].iter().map(|step| run(*step, &two).unwrap()).collect();
        pollster::block_on(manager.close(&one)).map(drop).unwrap();
        let between = stored(&manager, &cookie);
        let mut refused = None;
        for step in late[at_save..].iter().chain([&Step::Save]) {
            match run(*step, &two) {
                Ok(step) => done.push(step),
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        let after = stored(&manager, &cookie);
        match refused {
            None => {
                let mut expected = between;
                model(&done, &mut expected);
                prop_assert_eq!(after, expected);
            }
            Some(error) => {
                prop_assert_eq!(error.kind(), ErrorKind::Conflict, "{}", error);
                // Everything saved before the conflict is stored, and nothing of the refused save.
                let saved = done.iter().rposition(|step| matches!(step, Step::Save));
                let mut expected = between;
                model(&done[..saved.map_or(0, |at| at + 1)], &mut expected);
                prop_assert_eq!(after, expected);
                two.discard();
            }
        }
    }

    #[test]
    fn requests_that_only_update_or_write_blindly_never_conflict(
        early in proptest::collection::vec(any_step(), 0..6),
        late in proptest::collection::vec(any_step().prop_filter("reads", |step| {
            !matches!(step, Step::Bump(_) | Step::Take(_) | Step::Save)
        }), 0..6),
        codecs in any_codecs(),
    ) {
        let [manager, other] = processes(codecs);
        let cookie = first(&manager);
        let open = |manager: &Manager| pollster::block_on(manager.open(Some(&cookie))).unwrap();
        let (one, two) = (open(&manager), open(&other));
        let work = |steps: &[Step], session: &Session| steps.iter().try_for_each(|step| run(*step, session).map(drop));
        work(&early, &one).unwrap();
        work(&late, &two).unwrap();
        for (manager, session) in [(&manager, &one), (&other, &two)] {
            let closed = pollster::block_on(manager.close(session)).map(drop);
            // An update counts as a read, so a blind write after it may conflict.
            if let Err(error) = closed {
                prop_assert_eq!(error.kind(), ErrorKind::Conflict);
                let rests = late.iter().enumerate().any(|(at, step)| matches!(step, Step::Update(updated) if late[at..].iter()
                    .any(|later| matches!(later, Step::Blind(key, _) | Step::Remove(key) if key == updated))));
                prop_assert!(rests, "{}", error);
                session.discard();
            }
        }
    }
}

/// Returns the error of a request that has read and written `before`, while a process with another codec writes `then`.
fn told<T: serde::Serialize + serde::de::DeserializeOwned>(
    codecs: [Codec; 2],
    before: &T,
    then: &T,
) -> Option<ErrorKind> {
    let [one, other] = processes(codecs);
    let session = pollster::block_on(one.open(None)).unwrap();
    session.insert("it", before).unwrap();
    let Commit::Issue(ticket) = pollster::block_on(one.close(&session)).unwrap() else { panic!("no cookie") };
    let open = |manager: &Manager| pollster::block_on(manager.open(Some(ticket.value.as_str()))).unwrap();
    let (early, late) = (open(&other), open(&one));
    let _read: Option<T> = late.get("it").unwrap();
    late.insert("it", before).unwrap();
    late.insert("also", &1).unwrap();
    // Another value is written in between, so that the same value is encoded again.
    early.insert("it", &0).unwrap();
    pollster::block_on(early.save()).map(drop).unwrap();
    early.insert("it", then).unwrap();
    pollster::block_on(early.save()).map(drop).unwrap();
    let told = pollster::block_on(late.save()).map(drop).err();
    if let Some(error) = &told {
        assert_eq!(error.key(), Some("it"));
    }
    late.discard();
    told.map(|error| error.kind())
}

#[test]
fn the_same_value_from_a_process_set_to_another_codec_is_no_clash_and_another_one_is() {
    for codecs in [[Codec::Json, Codec::MessagePack], [Codec::MessagePack, Codec::Json]] {
        assert_eq!(told(codecs, &1, &1), None);
        assert_eq!(told(codecs, &"x".to_owned(), &"x".to_owned()), None);
        let mixed = (0.1, [1, 2], Some("y".to_owned()));
        assert_eq!(told(codecs, &mixed, &mixed), None);
        let bytes = |of: &[u8]| serde_bytes::ByteBuf::from(of);
        assert_eq!(told(codecs, &bytes(&[0, 255]), &bytes(&[0, 255])), None);
        assert_eq!(told(codecs, &bytes(&[0, 255]), &bytes(&[0, 254])), Some(ErrorKind::Conflict));
        // The byte 49 is the MessagePack form of 49, and the JSON form of 1.
        assert_eq!(told(codecs, &1, &49), Some(ErrorKind::Conflict));
        assert_eq!(told(codecs, &49, &1), Some(ErrorKind::Conflict));
        assert_eq!(told(codecs, &Some(1), &None), Some(ErrorKind::Conflict));
    }
}

#[test]
fn a_value_that_is_written_again_is_no_clash_though_its_type_differs_between_codecs() {
    // An address is a text in JSON and four bytes in MessagePack.
    let address: std::net::IpAddr = "192.0.2.1".parse().unwrap();
    for codecs in [[Codec::Json, Codec::MessagePack], [Codec::MessagePack, Codec::Json]] {
        let [one, other] = processes(codecs);
        let session = pollster::block_on(one.open(None)).unwrap();
        session.insert("from", &address).unwrap();
        let Commit::Issue(ticket) = pollster::block_on(one.close(&session)).unwrap() else { panic!("no cookie") };
        let open = |manager: &Manager| pollster::block_on(manager.open(Some(ticket.value.as_str()))).unwrap();
        let (early, late) = (open(&other), open(&one));
        assert_eq!(late.get::<std::net::IpAddr>("from").unwrap(), Some(address));
        late.insert("from", &std::net::IpAddr::from([192, 0, 2, 2])).unwrap();
        early.insert("from", &address).unwrap();
        early.insert("other", &1).unwrap();
        for session in [&early, &late] {
            pollster::block_on(session.save()).map(drop).unwrap();
        }
        let read = open(&other);
        assert_eq!(read.get::<std::net::IpAddr>("from").unwrap(), Some([192, 0, 2, 2].into()));
        assert_eq!(read.get::<u8>("other").unwrap(), Some(1));
    }
}
