//! Tests of the explorer itself: it runs every order, and merging states hides no result.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use libtest_mimic::{Failed, Trial};
use session_conformance::explore::{Bounds, Check, Coverage, Faults, Program, Request, World, explore, replay};
use session_core::{Commit, Manager, Session};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::test("engine::every_order_of_three_steps_is_walked", every_order),
        Trial::test("engine::an_unguarded_write_is_found_to_lose_updates", lost_update),
        Trial::test("engine::a_late_write_happens_at_every_step_or_never", late_write),
        Trial::test("engine::a_dropped_save_may_have_been_stored", dropped_save),
        Trial::test("engine::a_task_that_nothing_wakes_is_stuck", stuck),
        Trial::test("engine::a_panic_is_found", panics),
        Trial::test("engine::a_violation_is_replayed_by_its_choices", replayed),
    ]
}

const MANY: Bounds = Bounds { runs: 100_000, until_violated: false };

fn program(name: &'static str, faults: Faults, start: fn(&World) -> Check) -> Program {
    Program { name, about: "", faults, start }
}

fn ensure(holds: bool, otherwise: impl Into<String>) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(otherwise.into().into()) }
}

fn stored(world: &World, manager: &Manager, value: u32) -> (Session, String) {
    let session = world.at_once(manager.open(None)).unwrap();
    session.insert("n", &value).unwrap();
    let Commit::Issue(ticket) = world.at_once(manager.close(&session)).unwrap() else { panic!("it is new") };
    (session, ticket.value.as_str().to_owned())
}

fn number(world: &World, manager: &Manager, id: &str) -> u32 {
    world.at_once(manager.open(Some(id))).unwrap().peek("n").unwrap().unwrap()
}

/// Runs two tasks of three steps each. There are 20 orders, 3 out of 6.
fn every_order() -> Result<(), Failed> {
    thread_local! {
        static ORDERS: std::cell::RefCell<BTreeSet<String>> = const { std::cell::RefCell::new(BTreeSet::new()) };
    }
    let start = |world: &World| -> Check {
        let manager = world.process(|builder| builder);
        let order = Rc::<std::cell::RefCell<String>>::default();
        for name in ["a", "b"] {
            let order = order.clone();
            world.task(name, &manager, async move |task| {
                for step in 0..3 {
                    order.borrow_mut().push_str(name);
                    task.world.note(name);
                    if step < 2 {
                        task.step().await;
                    }
                }
            });
        }
        Box::new(move |_| {
            ORDERS.with_borrow_mut(|orders| {
                orders.insert(order.take());
            })
        })
    };
    ORDERS.with_borrow_mut(BTreeSet::clear);
    let report = explore(&program("orders", Faults::NONE, start), MANY);
    let orders = ORDERS.with_borrow(BTreeSet::len);
    ensure(report.coverage == Coverage::Exhausted, "six steps are exhausted")?;
    ensure(orders == 20, format!("{orders} of 20 orders"))
}

/// Two requests that read and then write without a guard.
fn unguarded(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let (_, id) = stored(world, &manager, 0);
    for name in ["one", "other"] {
        let id = id.clone();
        world.task(name, &manager, async move |task| {
            let session = task.manager.open(Some(&id)).await.unwrap();
            let n: u32 = session.peek("n").unwrap().unwrap();
            session.insert("n", &(n + 1)).unwrap();
            let _ = session.save().await;
        });
    }
    Box::new(move |world| {
        if number(world, &manager, &id) != 2 {
            world.violated("updates.kept", "one of two is lost");
        }
    })
}

fn lost_update() -> Result<(), Failed> {
    let report = explore(&program("unguarded", Faults::NONE, unguarded), MANY);
    ensure(report.coverage == Coverage::Exhausted, "two requests are exhausted")?;
    ensure(report.violations.len() == 1, "the lost update is not found")
}

fn replayed() -> Result<(), Failed> {
    let program = program("unguarded", Faults::NONE, unguarded);
    let report = explore(&program, MANY);
    let (violations, trace) = replay(&program, &report.violations[0].choices)?;
    ensure(violations.len() == 1, "another run")?;
    ensure(trace.iter().any(|line| line.contains("VIOLATED updates.kept")), "the trace does not say so")?;
    ensure(replay(&program, "no numbers").is_err(), "words are taken for choices")
}

/// Returns the results of a save with faults: the stored value, and whether the save was confirmed.
fn outcomes(faults: Faults) -> BTreeSet<(u32, bool)> {
    thread_local! {
        static SEEN: std::cell::RefCell<BTreeSet<(u32, bool)>> = const { std::cell::RefCell::new(BTreeSet::new()) };
    }
    let start = |world: &World| -> Check {
        let manager = world.process(|builder| builder);
        let (_, id) = stored(world, &manager, 0);
        let confirmed = Rc::<Cell<bool>>::default();
        let (done, of) = (confirmed.clone(), id.clone());
        let commits = session_conformance::explore::Commits::default();
        world.task("saves", &manager, async move |task| {
            let Some(request) = Request::open(&task, &commits, Some(&of)).await else { return };
            request.session.insert("n", &1).unwrap();
            done.set(request.save(&task).await.is_done());
        });
        Box::new(move |world| {
            let end = (number(world, &manager, &id), confirmed.get());
            SEEN.with_borrow_mut(|seen| {
                seen.insert(end);
            });
        })
    };
    SEEN.with_borrow_mut(BTreeSet::clear);
    explore(&program("save", faults, start), MANY);
    SEEN.take()
}

fn late_write() -> Result<(), Failed> {
    let seen = outcomes(Faults { lost: 1, dropped: 0, clock: &[] });
    // After a lost answer the core checks the record and may confirm the save. A second answer is never lost.
    ensure(seen.contains(&(1, true)), "a save without a fault")?;
    ensure(!seen.contains(&(0, true)), "a save that was confirmed and is not there")?;
    let none = outcomes(Faults::NONE);
    ensure(none == BTreeSet::from([(1, true)]), format!("without faults: {none:?}"))
}

fn dropped_save() -> Result<(), Failed> {
    let seen = outcomes(Faults { lost: 0, dropped: 1, clock: &[] });
    ensure(seen == BTreeSet::from([(1, true), (0, false), (1, false)]), format!("{seen:?}"))
}

fn stuck() -> Result<(), Failed> {
    let start = |world: &World| -> Check {
        let manager = world.process(|builder| builder);
        world.task("waits", &manager, async |_| std::future::pending().await);
        Box::new(|_| ())
    };
    let report = explore(&program("stuck", Faults::NONE, start), MANY);
    ensure(report.violations.iter().any(|violation| violation.promise == "stuck"), "not found")
}

fn panics() -> Result<(), Failed> {
    let start = |world: &World| -> Check {
        let manager = world.process(|builder| builder);
        world.task("panics", &manager, async |task| {
            task.step().await;
            panic!("on purpose");
        });
        Box::new(|_| ())
    };
    let report = explore(&program("panic", Faults::NONE, start), MANY);
    ensure(report.violations.iter().any(|violation| violation.details.contains("on purpose")), "not found")
}
