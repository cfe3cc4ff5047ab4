//! Programs with what ends sessions by rule: a limit of sessions, a check at each opening, and deadlines of values.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use session_conformance::explore::{Check, Commits, Faults, Program, Request, World};
use session_core::{ErrorKind, Excess, Manager, ManualClock, Opened, minutes, seconds};

use super::setup::{GONE, TOUCH_DUE, check_signed_in, principal, stored};

/// Clock steps after which a session that is only read is touched.
const A_WHILE: &[Duration] = &[TOUCH_DUE];

/// Clock step past the deadline of the value in `taken_at_its_deadline`.
const DEADLINE: &[Duration] = &[minutes(5)];

pub(super) fn all() -> Vec<Program> {
    vec![
        Program {
            name: "two logins under a limit of one",
            about: "two clients sign in as one principal, who may have one session, with one lost answer",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: |world| two_logins(world, Excess::EndOldest),
        },
        Program {
            name: "two logins, and one too many is refused",
            about: "the same, where a login that is one too many is refused",
            faults: Faults::NONE,
            start: |world| two_logins(world, Excess::Refuse),
        },
        Program {
            name: "logins in one millisecond",
            about: "a client signs in three times, one after the other, as a principal who may have one session, with one lost answer",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: logins_in_one_millisecond,
        },
        Program {
            name: "old session used beside two logins",
            about: "two clients sign in as a principal who may have one session, while an older session is used later",
            faults: Faults { lost: 1, dropped: 0, clock: A_WHILE },
            start: old_session_beside_two_logins,
        },
        Program {
            name: "old session used beside a login",
            about: "a client signs in as a principal who may have one session, while an older session is used later",
            faults: Faults { lost: 1, dropped: 0, clock: A_WHILE },
            start: old_session_beside_a_login,
        },
        Program {
            name: "refused session beside a save",
            about: "the application refuses a session that another process saves, with one lost answer",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: refused_beside_a_save,
        },
        Program {
            name: "taken at its deadline, twice",
            about: "two requests take a value before its deadline and commit before or after it",
            faults: Faults { lost: 1, dropped: 0, clock: DEADLINE },
            start: taken_at_its_deadline,
        },
    ]
}

/// Returns a process that allows one session, and whose clock stands still, ahead of the others'. So no two logins are at the same instant.
fn process_ahead(world: &World, ahead: Duration, excess: Excess) -> Manager {
    let clock = ManualClock::new(world.now().plus(ahead));
    world.process(|builder| builder.max_sessions(1, excess).clock(clock))
}

fn signs_in(world: &World, name: &'static str, manager: &Manager, answered: &Rc<Cell<u32>>) {
    let request = Request::opened(world, manager, &Commits::default(), None);
    let request = request.may_fail(&[ErrorKind::Gone, ErrorKind::TooManySessions]);
    let answered = answered.clone();
    world.task(name, manager, async move |task| {
        request.session.login("ann").expect("it is open");
        let answer = request.close_until_answered(&task).await;
        if answer.is_done() || answer.is(ErrorKind::Gone) || answer.is(ErrorKind::TooManySessions) {
            answered.set(answered.get() + 1);
            task.world.note(("answered", answered.get()));
        }
    });
}

/// Checks that ann has one session at most after `logins` logins that were all answered, and at least `fewest`.
fn check_count(world: &World, answered: u32, logins: u32, fewest: usize) {
    if answered < logins {
        return;
    }
    let live = world.live_sessions().into_iter().filter(|(_, record)| record.principal == Some(principal("ann")));
    let live = live.count();
    if live > 1 || live < fewest {
        world.violated("limit.kept", format!("{live} sessions are left of a limit of one"));
    }
}

fn two_logins(world: &World, excess: Excess) -> Check {
    let answered = Rc::<Cell<u32>>::default();
    signs_in(world, "one", &process_ahead(world, seconds(0), excess), &answered);
    signs_in(world, "other", &process_ahead(world, seconds(1), excess), &answered);
    let fewest = if excess == Excess::EndOldest { 1 } else { 0 };
    Box::new(move |world| check_count(world, answered.get(), 2, fewest))
}

fn logins_in_one_millisecond(world: &World) -> Check {
    let manager = process_ahead(world, seconds(0), Excess::EndOldest);
    let last = Rc::<RefCell<Option<Request>>>::default();
    let (latest, opener) = (last.clone(), manager.clone());
    world.task("signs in", &manager, async move |task| {
        for _ in 0..3 {
            let session = opener.open(None).await.expect("a new session needs no store");
            let login = Request::on(session, &opener, &Commits::default());
            login.session.login("ann").expect("it is open");
            let answer = login.close_until_answered(&task).await;
            *latest.borrow_mut() = answer.is_done().then_some(login);
        }
    });
    Box::new(move |world| {
        if let Some(last) = &*last.borrow() {
            check_signed_in(world, last, "ann");
        }
    })
}

fn old_session_beside_a_login(world: &World) -> Check {
    let manager = world.process(|builder| builder.max_sessions(1, Excess::EndOldest));
    let stored = stored(world, &manager, |session| session.login("ann").expect("it is open"));
    world.advance(minutes(1));
    let page = Request::opened(world, &manager, &Commits::default(), Some(&stored.id)).may_fail(GONE);
    world.task("page", &manager, async move |task| {
        page.close(&task).await;
    });
    let login = Request::opened(world, &manager, &Commits::default(), None);
    let (last, answered) = (login.clone(), Rc::<Cell<bool>>::default());
    let done = answered.clone();
    world.task("signs in", &manager, async move |task| {
        login.session.login("ann").expect("it is open");
        done.set(login.close_until_answered(&task).await.is_done());
    });
    Box::new(move |world| {
        if answered.get() {
            check_signed_in(world, &last, "ann");
            check_count(world, 1, 1, 1);
        }
    })
}

fn old_session_beside_two_logins(world: &World) -> Check {
    let old = world.process(|builder| builder.max_sessions(1, Excess::EndOldest));
    let stored = stored(world, &old, |session| session.login("ann").expect("it is open"));
    world.advance(seconds(59));
    let behind = process_ahead(world, seconds(0), Excess::EndOldest);
    world.advance(seconds(1));
    let page = Request::opened(world, &old, &Commits::default(), Some(&stored.id)).may_fail(GONE);
    world.task("page", &old, async move |task| {
        task.step().await;
        page.close(&task).await;
    });
    let answered = Rc::<Cell<u32>>::default();
    signs_in(world, "one", &behind, &answered);
    signs_in(world, "other", &old, &answered);
    Box::new(move |world| check_count(world, answered.get(), 2, 1))
}

fn refused_beside_a_save(world: &World) -> Check {
    let here = world.process(|builder| builder);
    let elsewhere =
        world.process(|builder| builder.verify(|_| std::future::ready(Ok::<bool, std::convert::Infallible>(false))));
    let commits = Commits::default();
    let stored = stored(world, &here, |session| session.login("ann").expect("it is open"));
    let request = Request::opened(world, &here, &commits, Some(&stored.id)).may_fail(GONE);
    world.task("saves", &here, async move |task| {
        request.push(&task, 1);
        request.save_until_answered(&task).await;
    });
    let id = stored.id.clone();
    world.task("opens", &elsewhere, async move |task| {
        let Some(opened) = Request::open(&task, &commits, Some(&id)).await else { return };
        if opened.session.opened() != Opened::Unknown || task.world.session_at(stored.key).is_some() {
            task.world.violated("ends.stay", "a session that was refused has not ended");
        }
    });
    Box::new(move |world| {
        if world.session_at(stored.key).is_some() {
            world.violated("ends.stay", "a session that was refused is live");
        }
    })
}

fn taken_at_its_deadline(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let fill = |session: &session_core::Session| session.insert_for("code", &7, minutes(5)).expect("it is small");
    let stored = stored(world, &manager, fill);
    let taken = Rc::<Cell<u32>>::default();
    for name in ["one", "other"] {
        let request = Request::opened(world, &manager, &commits, Some(&stored.id)).may_fail(&[ErrorKind::Conflict]);
        let taken = taken.clone();
        world.task(name, &manager, async move |task| {
            let code: Option<u32> = request.session.take("code").expect("it is a number");
            if code.is_some() && request.save_until_answered(&task).await.is_done() {
                taken.set(taken.get() + 1);
                task.world.note(("taken", taken.get()));
            }
        });
    }
    Box::new(move |world| {
        if taken.get() > 1 {
            world.violated("take.once", "two confirmed requests took one value");
        }
    })
}
