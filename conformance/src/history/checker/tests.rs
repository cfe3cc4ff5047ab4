use session_core::Outcome::{Conflict, Done, Exists, Missing};
use session_core::{Timestamp, Version};

use super::super::contract::{Event, KeyOperation, KeyState, Response};
use super::Checker;
use KeyOperation::{Create, Delete, Load, Save, Touch};
use Response::{Loaded, Unknown, Written};

fn v(n: i64) -> Version {
    Version::from_i64(n).unwrap()
}

fn at(n: i64) -> Timestamp {
    Timestamp::from_millis(n).unwrap()
}

fn stored(n: i64) -> KeyState {
    Some((v(n), at(100)))
}

/// Creates operations from (called, answered, action, answer), all at `now` = 0.
fn window(operations: &[(u64, u64, KeyOperation, Response)]) -> Vec<Event> {
    let event = |(task, (called, answered, action, answer)): (usize, &(u64, u64, KeyOperation, Response))| {
        Event::new(task, *action, at(0), (*called, *answered), *answer)
    };
    operations.iter().enumerate().map(event).collect()
}

fn explains(operations: &[(u64, u64, KeyOperation, Response)]) -> bool {
    Checker::new().extend(window(operations)).is_ok()
}

fn created() -> (u64, u64, KeyOperation, Response) {
    (0, 1, Create(v(1), at(100)), Written(Done))
}

#[test]
fn operations_one_after_the_other_are_explained() {
    assert!(explains(&[
        (0, 1, Load, Loaded(None)),
        (2, 3, Create(v(1), at(100)), Written(Done)),
        (4, 5, Create(v(2), at(100)), Written(Exists)),
        (6, 7, Load, Loaded(stored(1))),
        (8, 9, Save(v(1), v(3), at(100)), Written(Done)),
        (10, 11, Save(v(1), v(4), at(100)), Written(Conflict)),
        (12, 13, Save(v(1), v(3), at(100)), Written(Done)),
        (14, 15, Touch(v(3), at(50)), Written(Done)),
        (14, 15, Touch(v(1), at(500)), Written(Conflict)),
        (16, 17, Load, Loaded(stored(3))),
        (18, 19, Delete(Some(v(1))), Written(Conflict)),
        (20, 21, Delete(Some(v(3))), Written(Done)),
        (22, 23, Touch(v(3), at(900)), Written(Missing)),
        (24, 25, Save(v(3), v(5), at(100)), Written(Missing)),
        (26, 27, Load, Loaded(None)),
    ]));
}

#[test]
fn concurrent_operations_may_take_effect_in_either_order() {
    assert!(explains(&[created(), (2, 9, Save(v(1), v(2), at(100)), Written(Done)), (3, 4, Load, Loaded(stored(1)))]));
    assert!(explains(&[created(), (2, 9, Save(v(1), v(2), at(100)), Written(Done)), (3, 4, Load, Loaded(stored(2)))]));
    assert!(explains(&[
        created(),
        (2, 9, Delete(None), Written(Done)),
        (3, 8, Save(v(1), v(2), at(100)), Written(Missing))
    ]));
}

#[test]
fn a_lost_update_is_an_anomaly() {
    assert!(!explains(&[
        created(),
        (2, 9, Save(v(1), v(2), at(100)), Written(Done)),
        (3, 8, Save(v(1), v(3), at(100)), Written(Done)),
    ]));
}

#[test]
fn a_stale_read_is_an_anomaly() {
    assert!(!explains(&[created(), (2, 3, Save(v(1), v(2), at(100)), Written(Done)), (4, 5, Load, Loaded(stored(1)))]));
    // Two readers, of which the first sees a write and the second does not.
    assert!(!explains(&[
        created(),
        (2, 9, Save(v(1), v(2), at(100)), Written(Done)),
        (3, 4, Load, Loaded(stored(2))),
        (5, 6, Load, Loaded(stored(1))),
    ]));
}

#[test]
fn a_record_revived_after_a_delete_is_an_anomaly() {
    assert!(!explains(&[
        created(),
        (2, 3, Delete(None), Written(Done)),
        (4, 5, Save(v(1), v(2), at(100)), Written(Done)),
    ]));
    assert!(!explains(&[
        created(),
        (2, 9, Save(v(1), v(2), at(100)), Written(Done)),
        (3, 10, Delete(None), Written(Done)),
        (11, 12, Load, Loaded(stored(2))),
    ]));
}

#[test]
fn two_creates_that_are_done_are_an_anomaly() {
    assert!(!explains(&[
        (0, 9, Create(v(1), at(100)), Written(Done)),
        (1, 8, Create(v(2), at(100)), Written(Done)),
        (10, 11, Load, Loaded(stored(1))),
    ]));
}

#[test]
fn a_conflict_without_a_cause_is_an_anomaly() {
    assert!(!explains(&[created(), (2, 3, Save(v(1), v(2), at(100)), Written(Conflict))]));
    assert!(!explains(&[
        created(),
        (2, 9, Delete(None), Written(Done)),
        (3, 8, Save(v(1), v(2), at(100)), Written(Conflict))
    ]));
}

#[test]
fn a_touch_that_shortens_or_is_lost_is_an_anomaly() {
    assert!(!explains(&[
        created(),
        (2, 3, Touch(v(1), at(50)), Written(Done)),
        (4, 5, Load, Loaded(Some((v(1), at(50)))))
    ]));
    assert!(!explains(&[created(), (2, 3, Touch(v(1), at(500)), Written(Done)), (4, 5, Load, Loaded(stored(1)))]));
}

#[test]
fn a_touch_that_ignores_the_version_is_an_anomaly() {
    let moved = Some((v(2), at(500)));
    let saved = (2, 5, Save(v(1), v(2), at(100)), Written(Done));
    // The touch takes effect before the concurrent save.
    assert!(explains(&[
        created(),
        saved,
        (3, 4, Touch(v(1), at(500)), Written(Done)),
        (6, 7, Load, Loaded(stored(2)))
    ]));
    assert!(!explains(&[created(), saved, (3, 4, Touch(v(1), at(500)), Written(Done)), (6, 7, Load, Loaded(moved))]));
    // The touch is called after the save.
    assert!(!explains(&[created(), saved, (6, 7, Touch(v(1), at(500)), Written(Done))]));
    assert!(explains(&[created(), saved, (6, 7, Touch(v(1), at(500)), Written(Conflict))]));
    assert!(!explains(&[created(), saved, (6, 7, Touch(v(2), at(500)), Written(Conflict))]));
}

#[test]
fn an_expired_record_is_none_and_can_be_created_over() {
    let mut checker = Checker::new();
    checker.extend(window(&[created()])).unwrap();
    let late = |action, places, answer| Event::new(0, action, at(100), places, answer);
    let mut living = Checker::new();
    living.extend(window(&[created()])).unwrap();
    assert!(living.extend(vec![late(Load, (2, 3), Loaded(stored(1)))]).is_err(), "it is not live at its expiry");
    checker.extend(vec![late(Save(v(1), v(2), at(900)), (2, 3), Written(Missing))]).unwrap();
    checker.extend(vec![late(Create(v(3), at(900)), (4, 5), Written(Done))]).unwrap();
    checker.extend(vec![late(Load, (6, 7), Loaded(Some((v(3), at(900)))))]).unwrap();
}

#[test]
fn an_unknown_outcome_happened_or_not_or_happens_later() {
    let lost = (2, 3, Save(v(1), v(2), at(100)), Unknown);
    for seen in [1, 2] {
        assert!(explains(&[created(), lost, (4, 5, Load, Loaded(stored(seen)))]));
    }
    let mut checker = Checker::new();
    checker.extend(window(&[created(), lost, (4, 5, Load, Loaded(stored(1)))])).unwrap();
    checker.extend(window(&[(6, 7, Load, Loaded(stored(1)))])).unwrap();
    checker.extend(window(&[(8, 9, Load, Loaded(stored(2)))])).unwrap();
    assert!(checker.extend(window(&[(10, 11, Load, Loaded(stored(1)))])).is_err(), "once seen it has happened");
}

#[test]
fn an_unknown_outcome_happens_once_and_not_before_its_call() {
    assert!(!explains(&[created(), (2, 3, Load, Loaded(stored(2))), (4, 5, Save(v(1), v(2), at(100)), Unknown),]));
    let mut checker = Checker::new();
    checker.extend(window(&[created(), (2, 3, Delete(None), Unknown), (4, 5, Load, Loaded(None))])).unwrap();
    checker.extend(window(&[(6, 7, Create(v(2), at(100)), Written(Done))])).unwrap();
    assert!(checker.extend(window(&[(8, 9, Load, Loaded(None))])).is_err(), "one delete removes one record");
}

#[test]
fn a_crowded_window_is_checked_quickly() {
    // Loads and touches, about twenty of them in flight at any time, so that not all orders can be tried.
    let operations: Vec<_> = (0..60)
        .map(|n| match n {
            0 => (0, 1, Create(v(1), at(100)), Written(Done)),
            _ if n % 3 == 0 => (2 + n / 8, 4 + n / 8, Touch(v(1), at(90)), Written(Done)),
            _ => (2 + n / 8, 4 + n / 8, Load, Loaded(stored(1))),
        })
        .collect();
    assert!(explains(&operations));
}
