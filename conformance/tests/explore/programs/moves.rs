//! Programs with rotations: immediate, uncertain, and settled late.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use session_conformance::explore::{Check, Commits, Faults, Program, Request, World};
use session_core::{ErrorKind, minutes, seconds};

use super::setup::{GONE, TOUCH_DUE, check_no_ghosts, key_of, push_at_once, stored};

/// Half the time in which a tombstone is a proof, just over it, and over the tombstone's life as a record.
const LATE: &[Duration] = &[seconds(30), seconds(61), minutes(11)];
/// Just before the stored expiry, and just after it.
const EXPIRY: &[Duration] = &[minutes(49), minutes(51)];

pub(super) fn all() -> Vec<Program> {
    vec![
        Program {
            name: "rotation settled late",
            about: "a rotation loses its answer, and is tried again after 30 s, 61 s or 11 min",
            faults: Faults { lost: 1, dropped: 1, clock: LATE },
            start: settled_late,
        },
        Program {
            name: "rotation discarded",
            about: "a rotation is dropped or loses its answer, its changes are discarded, and the session is closed",
            faults: Faults { lost: 1, dropped: 1, clock: &[] },
            start: |world| rotation_then(world, Then::Discard),
        },
        Program {
            name: "rotation, then reload",
            about: "a rotation is dropped or loses its answer, the session is reloaded, and then closed",
            faults: Faults { lost: 1, dropped: 1, clock: &[] },
            start: |world| rotation_then(world, Then::Reload),
        },
        Program {
            name: "removal after a discarded save",
            about: "a save of a value is dropped or loses its answer and is discarded; then the value is removed, and the session is closed",
            faults: Faults { lost: 1, dropped: 1, clock: &[] },
            start: removal_after_a_discarded_save,
        },
        Program {
            name: "login discarded",
            about: "a login is dropped or loses its answer and is discarded; then a value is written, and the session is closed",
            faults: Faults { lost: 1, dropped: 1, clock: &[] },
            start: login_discarded,
        },
        Program {
            name: "login discarded by a clone",
            about: "one clone saves a login while another discards, writes a value and closes",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: login_discarded_by_a_clone,
        },
        Program {
            name: "two rotations",
            about: "two requests rotate one session and push a token each",
            faults: Faults::ANY,
            start: two_rotations,
        },
        Program {
            name: "new time-out beside a save",
            about: "a process with another idle time-out reads, so it saves the session as it is, while another process writes",
            faults: Faults::ANY,
            start: new_time_out,
        },
        Program {
            name: "touch beside a save at the expiry",
            about: "one request reads, another writes, while the session expires and is purged",
            faults: Faults { lost: 1, dropped: 0, clock: EXPIRY },
            start: touch_at_the_expiry,
        },
    ]
}

fn settled_late(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |_| ());
    push_at_once(world, &manager, &commits, &stored, 100);
    let request = Request::opened(world, &manager, &commits, Some(&stored.id));
    let began = world.now();
    let last = request.clone();
    let answered = Rc::<Cell<bool>>::default();
    let confirmed = answered.clone();
    world.task("rotates", &manager, async move |task| {
        request.session.rotate().expect("it is open");
        // After eleven minutes the outcome cannot be found out any more.
        let request = request.may_fail(GONE);
        let answer = request.close_until_answered(&task).await;
        let late = task.world.now().since(began) > minutes(10);
        if answer.is(ErrorKind::Gone) && !late {
            task.world.violated("updates.kept", "a rotation whose answer was lost ended the session");
        }
        confirmed.set(answer.is_done());
    });
    Box::new(move |world| {
        if answered.get() {
            match key_of(&last) {
                Some(key) => {
                    commits.check(world, key);
                    // A create that arrives after its tombstone has expired is no longer prevented.
                    if world.now().since(began) < minutes(10) {
                        check_no_ghosts(world, &[key]);
                    }
                }
                None => world.violated("updates.kept", "a confirmed rotation left no session"),
            }
        }
    })
}

/// What a request does about its rotation, whose outcome may be unknown.
#[derive(Clone, Copy)]
enum Then {
    Discard,
    Reload,
}

fn rotation_then(world: &World, then: Then) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |_| ());
    let request = Request::opened(world, &manager, &commits, Some(&stored.id));
    let last = request.clone();
    let answered = Rc::<Cell<bool>>::default();
    let confirmed = answered.clone();
    world.task("rotates", &manager, async move |task| {
        request.session.rotate().expect("it is open");
        request.save(&task).await;
        match then {
            Then::Discard => request.discard(&task),
            Then::Reload => {
                if request.session.reload().await.is_err_and(|error| error.kind() == ErrorKind::Gone) {
                    task.world.violated("updates.kept", "the session's own rotation ended it");
                }
            }
        }
        confirmed.set(request.close_until_answered(&task).await.is_done());
    });
    Box::new(move |world| {
        if answered.get() {
            check_no_ghosts(world, key_of(&last).as_slice());
        }
    })
}

fn removal_after_a_discarded_save(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |_| ());
    let request = Request::opened(world, &manager, &commits, Some(&stored.id));
    let answered = Rc::<Cell<bool>>::default();
    let confirmed = answered.clone();
    world.task("removes", &manager, async move |task| {
        request.session.insert("note", &1).expect("it is small");
        request.save(&task).await;
        request.discard(&task);
        // Often there is nothing to remove, as far as this request knows.
        request.session.remove("note").expect("it is open");
        confirmed.set(request.close_until_answered(&task).await.is_done());
    });
    Box::new(move |world| {
        let session = world.at_once(manager.open(Some(&stored.id))).expect("nothing fails at once");
        if answered.get() && session.contains("note") {
            world.violated("updates.kept", "a value is back after its removal was confirmed");
        }
    })
}

fn login_discarded(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |session| session.login("ann").expect("it is open"));
    let request = Request::opened(world, &manager, &commits, Some(&stored.id)).may_fail(GONE);
    let last = request.clone();
    world.task("signs in", &manager, async move |task| {
        request.session.login("bob").expect("it is open");
        request.save(&task).await;
        request.discard(&task);
        let whose = request.session.principal();
        request.push(&task, 1);
        let answer = request.close_until_answered(&task).await;
        if answer.is_done() && request.session.principal() != whose {
            task.world.violated("foreign", "a value that was written for one principal is confirmed for another");
        }
    });
    Box::new(move |world| {
        if let Some(key) = key_of(&last) {
            commits.check(world, key);
        }
    })
}

fn login_discarded_by_a_clone(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |session| session.login("ann").expect("it is open"));
    let request = Request::opened(world, &manager, &commits, Some(&stored.id)).may_fail(GONE);
    let (clone, last) = (request.clone(), request.clone());
    request.session.login("bob").expect("it is open");
    world.task("saves the login", &manager, async move |task| {
        let _ = task.droppable(request.session.save()).await;
    });
    world.task("discards", &manager, async move |task| {
        task.step().await;
        clone.discard(&task);
        let whose = clone.session.principal();
        clone.push(&task, 1);
        let answer = clone.close_until_answered(&task).await;
        if answer.is_done() && clone.session.principal() != whose {
            task.world.violated("foreign", "a value that was written for one principal is confirmed for another");
        }
    });
    Box::new(move |world| {
        if let Some(key) = key_of(&last) {
            commits.check_if_live(world, key);
        }
    })
}

fn two_rotations(world: &World) -> Check {
    let processes = [world.process(|builder| builder), world.process(|builder| builder)];
    let commits = Commits::default();
    let stored = stored(world, &processes[0], |_| ());
    let unclear = Rc::<Cell<bool>>::default();
    let mut requests = Vec::new();
    for (manager, (name, token)) in processes.iter().zip([("one", 1), ("other", 2)]) {
        let request = Request::opened(world, manager, &commits, Some(&stored.id)).may_fail(GONE);
        requests.push(request.clone());
        let unclear = unclear.clone();
        world.task(name, manager, async move |task| {
            request.push(&task, token);
            request.session.rotate().expect("it is open");
            let answer = request.close_until_answered(&task).await;
            unclear.set(unclear.get() || answer.is(ErrorKind::Unavailable));
        });
    }
    Box::new(move |world| {
        if unclear.get() {
            return;
        }
        commits.check(world, stored.key);
        let held: Vec<_> = requests.iter().filter_map(key_of).collect();
        if held.len() != 1 {
            world.violated("rotation.one-id", format!("of two rotations {} are confirmed", held.len()));
        }
        check_no_ghosts(world, &held);
    })
}

fn new_time_out(world: &World) -> Check {
    let (before, today) = (world.process(|builder| builder), world.process(|builder| builder.idle(minutes(90))));
    let commits = Commits::default();
    let stored = stored(world, &before, |_| ());
    world.advance(TOUCH_DUE);
    let reader = Request::opened(world, &today, &commits, Some(&stored.id));
    let writer = Request::opened(world, &before, &commits, Some(&stored.id));
    world.task("reads", &today, async move |task| {
        reader.close_until_answered(&task).await;
    });
    world.task("writes", &before, async move |task| {
        writer.push(&task, 1);
        writer.save_until_answered(&task).await;
    });
    Box::new(move |world| commits.check(world, stored.key))
}

fn touch_at_the_expiry(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |_| ());
    world.advance(TOUCH_DUE);
    let reads = Request::opened(world, &manager, &commits, Some(&stored.id));
    let writes = Request::opened(world, &manager, &commits, Some(&stored.id));
    let expires = world.session_at(stored.key).expect("it is stored").1.expires_at;
    world.task("reads", &manager, async move |task| {
        reads.close_until_answered(&task).await;
    });
    let writes = writes.may_fail(GONE);
    world.task("writes", &manager, async move |task| {
        writes.push(&task, 1);
        writes.save_until_answered(&task).await;
    });
    Box::new(move |world| {
        // Confirmed changes are stored unless the session expired.
        if world.now() < expires {
            commits.check(world, stored.key);
        } else {
            commits.check_if_live(world, stored.key);
        }
    })
}
