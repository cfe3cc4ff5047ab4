use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::codec::{Codec, Content, Flash, OwnPolicy, Rules, Value};
use crate::session::log::{self, Keep, replay};
use crate::sync::Mutex;
use crate::{Error, ErrorKind, Manager, NullStore, Principal, Result, Session, Timestamp};

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert { key, value, seen } => write!(f, "insert {key} {value:?} seen {seen:?}"),
            Self::Remove { key, seen } => write!(f, "remove {key} seen {seen:?}"),
            Self::Update { key, .. } => write!(f, "update {key}"),
            Self::Require { key, seen } => write!(f, "require {key} seen {seen:?}"),
            Self::Flash { key, flash } => write!(f, "flash {key} {}", flash.id),
            Self::TakeFlashes { key, ids } => write!(f, "take flashes {key} {ids:?}"),
            Self::Label(label) => write!(f, "label {label:?}"),
            Self::Idle(idle) => write!(f, "idle {idle:?}"),
            Self::Persistent(persistent) => write!(f, "persistent {persistent}"),
            Self::Remember(remember) => write!(f, "remember {remember}"),
            Self::Login { principal, keep: Keep::All, .. } => write!(f, "login {principal:?}"),
            Self::Login { principal, keep: Keep::Only(keys), .. } => write!(f, "login {principal:?} keeping {keys:?}"),
            Self::Clear => f.write_str("clear"),
            Self::Absolute(_) | Self::Reauthenticate { .. } => f.write_str("another"),
        }
    }
}

/// Instant of every replay.
const NOW: Timestamp = Timestamp::MAX;

/// Returns an encoded number. The deadline of 1 has passed.
fn value(n: u8) -> Value {
    let until = (n == 1).then_some(Timestamp::MIN);
    Rules::default().encode(Codec::Json, "n", &n).unwrap().with_deadline(until)
}

fn any_key() -> impl Strategy<Value = Arc<str>> {
    prop_oneof![Just("a".into()), Just("b".into())]
}

fn any_seen() -> impl Strategy<Value = Seen> {
    proptest::option::of((0..3_u8).prop_map(value))
}

/// Adds one to the present value. Fails on 2, so that some replays end in an error that is not a conflict.
fn bump(there: Option<&Value>, _: Codec) -> Result<Value> {
    match there.map(|there| there.decode::<u8>("n")).transpose()? {
        Some(2) => Err(Error::fixed(ErrorKind::Other, "too many")),
        n => Ok(value(n.map_or(0, |n| n + 1))),
    }
}

fn any_op() -> impl Strategy<Value = Arc<Op>> {
    let seen = || proptest::option::of(any_seen());
    let keep = prop_oneof![Just(None), btree_set(any_key(), 0..2).prop_map(Some)];
    prop_oneof![
        6 => (any_key(), 0..3_u8, seen()).prop_map(|(key, n, seen)| Op::Insert { key, value: value(n), seen }),
        3 => (any_key(), seen()).prop_map(|(key, seen)| Op::Remove { key, seen }),
        2 => (any_key(), any_seen()).prop_map(|(key, seen)| Op::Require { key, seen }),
        1 => any_key().prop_map(|key| Op::Update { key, rerun: Mutex::new(Box::new(bump)) }),
        1 => Just(()).prop_map(|()| Op::Clear),
        3 => (any_key(), 0..4_u64).prop_map(|(key, id)| Op::Flash { key, flash: Flash { id, value: value(0) } }),
        2 => (any_key(), btree_set(0..4_u64, 0..4)).prop_map(|(key, ids)| Op::TakeFlashes { key, ids }),
        1 => proptest::option::of(any_key()).prop_map(Op::Label),
        1 => proptest::option::of((0..3_u64).prop_map(Duration::from_secs)).prop_map(Op::Idle),
        1 => any::<bool>().prop_map(Op::Persistent),
        1 => any::<bool>().prop_map(Op::Remember),
        1 => (any_key(), keep).prop_map(|(name, keep)| Op::Login {
            principal: Principal::new(name).unwrap(),
            at: Timestamp::MIN,
            own: OwnPolicy::default(),
            keep: keep.map_or(Keep::All, |keys| Keep::Only(keys.iter().map(|key| (&**key).into()).collect())),
        }),
    ]
    .prop_map(Arc::new)
}

prop_compose! {
    fn any_content()(
        values in btree_map(any_key(), (0..3_u8).prop_map(value), 0..3),
        flashes in btree_map(any_key(), vec((4..6_u64).prop_map(|id| Flash { id, value: value(0) }), 1..3), 0..3),
    ) -> Content {
        Content { values, flashes, ..Content::empty(Timestamp::MIN, Codec::Json) }
    }
}

/// Returns the content after a replay, or the kind and the key of its error.
fn outcome(log: &[Arc<Op>], content: &Content) -> Result<Arc<Content>, (ErrorKind, Option<String>)> {
    replay(log, content, NOW).map_err(|error| (error.kind(), error.key().map(Into::into)))
}

/// Checks that two logs have the same effect on `content`.
fn same(full: &[Arc<Op>], short: &[Arc<Op>], content: &Content) -> std::result::Result<(), TestCaseError> {
    prop_assert_eq!(outcome(full, content), outcome(short, content));
    prop_assert_eq!(log::is_guarded(full), log::is_guarded(short));
    prop_assert_eq!(full.iter().any(|op| op.writes()), short.iter().any(|op| op.writes()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_replay_of_the_compacted_log_is_a_replay_of_all_operations(
        steps in vec((any_op(), proptest::option::weighted(0.1, any::<bool>())), 0..16),
        contents in vec(any_content(), 4),
    ) {
        let (mut full, mut log) = (Vec::new(), CompactLog::default());
        let mut sent = 0;
        // Each flash has its own id. A flash can be taken only after it was added.
        let mut flashed = BTreeMap::new();
        for (op, freeze) in steps {
            match &*op {
                Op::Flash { flash, .. } if flashed.contains_key(&flash.id) => continue,
                Op::Flash { key, flash } => drop(flashed.insert(flash.id, key.clone())),
                Op::TakeFlashes { key, ids } if ids.iter().any(|id| flashed.get(id) != Some(key)) => continue,
                _ => {}
            }
            full.push(op.clone());
            log.push(op);
            if let Some(settled) = freeze {
                log.freeze(settled);
                sent = full.len();
            }
        }
        prop_assert!(log.len() <= full.len());
        for content in &contents {
            same(&full, &log, content)?;
        }
        // Once the write is stored, the rest of the log is replayed alone.
        drop(log.remove_before(log.frozen));
        for content in &contents {
            same(&full[sent..], &log, content)?;
        }
    }
}

fn session() -> Session {
    pollster::block_on(Manager::new(NullStore).open(None)).unwrap()
}

/// Returns the number of operations in the session's log, and the number of values in them.
fn size(session: &Session) -> (usize, usize) {
    let state = session.state();
    let values = state.log.iter().filter(|op| matches!(***op, Op::Insert { .. } | Op::Flash { .. }));
    (state.log.len(), values.count())
}

#[test]
fn ten_thousand_inserts_under_one_key_hold_one_value() {
    let session = session();
    for n in 0..10_000 {
        session.insert("n", &n).unwrap();
    }
    assert_eq!(size(&session), (1, 1));
    assert_eq!(session.get("n").unwrap(), Some(9_999));
    // The value is read from here on, so the next insert is checked against it.
    for n in 0..10_000 {
        assert!(session.contains("n"));
        session.insert("n", &n).unwrap();
    }
    assert_eq!(size(&session), (2, 2));
    session.discard();
    assert_eq!(size(&session), (0, 0));
}

#[test]
fn values_and_flashes_that_come_and_go_are_not_held() {
    let steps: [fn(&Session); 6] = [
        |session| assert!(session.remove("n").unwrap()),
        |session| assert_eq!(session.take("n").unwrap(), Some(1)),
        |session| session.clear().unwrap(),
        |session| session.require_unchanged("n").unwrap(),
        |session| session.set_label("long").unwrap(),
        |session| {
            session.flash("m", "x").unwrap();
            assert_eq!(session.flashes::<String>("m").unwrap(), ["x"]);
        },
    ];
    for step in steps {
        let session = session();
        for _ in 0..1_000 {
            session.insert("n", &1).unwrap();
            step(&session);
        }
        let (ops, values) = size(&session);
        assert!(ops <= 4 && values <= 2, "{ops} operations with {values} values");
        session.discard();
    }
}

#[test]
fn operations_of_a_write_that_was_sent_stay_until_it_failed() {
    let insert = |n| Arc::new(Op::Insert { key: "n".into(), value: value(n), seen: None });
    let mut log = CompactLog::default();
    log.push(insert(0));
    assert_eq!(log.freeze(true).len(), 1);
    log.push(insert(1));
    log.push(insert(2));
    assert_eq!(log.len(), 2);
    assert_eq!(log.freeze(false).len(), 2, "the write is uncertain");
    log.push(insert(0));
    assert_eq!(log.freeze(true).len(), 1, "the write has failed");
    assert_eq!(log.end(), 1);
}
