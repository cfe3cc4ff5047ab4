//! Programs with writes of several requests that are merged into one save.

use session_conformance::explore::{Check, Commits, Faults, Program, Request, World, quietly};
use session_core::ErrorKind;

use super::setup::{other_process_pushes, push_at_once, stored};

pub(super) fn all() -> Vec<Program> {
    vec![
        Program {
            name: "merged and dropped",
            about: "a write that is merged into another's save is dropped and saved again, beside a second process",
            faults: Faults { lost: 0, dropped: 1, clock: &[] },
            start: merged_and_dropped,
        },
        Program {
            name: "merged with faults",
            about: "two writes are merged, with one lost answer and one dropped future",
            faults: Faults::ANY,
            start: |world| merged_pair(world, Dropped::SavesAgain),
        },
        Program {
            name: "merged, and one hangs up",
            about: "two writes are merged and one of them is dropped and saved again; the other must not notice",
            faults: Faults { lost: 0, dropped: 1, clock: &[] },
            start: |world| merged_pair(world, Dropped::SavesAgain),
        },
        Program {
            name: "merged, and one leaves",
            about: "two writes are merged, and one of them is dropped for good; the other is stored all the same",
            faults: Faults { lost: 0, dropped: 1, clock: &[] },
            start: |world| merged_pair(world, Dropped::Leaves),
        },
        Program {
            name: "back in the queue",
            about: "two requests are merged, and their process writes again to the idle queue, beside another process",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: back_in_the_queue,
        },
        Program {
            name: "too large together",
            about: "three writes of which each fits into the store alone",
            faults: Faults::NONE,
            start: too_large_together,
        },
        Program {
            name: "merged with a clash",
            about: "one of three merged writes clashes with a value that it has read",
            faults: Faults::NONE,
            start: merged_with_a_clash,
        },
        Program {
            name: "merged with a panic",
            about: "the closure of one of three merged writes panics on a value that it has not seen",
            faults: Faults::NONE,
            start: merged_with_a_panic,
        },
        Program {
            name: "late in the queue",
            about: "a request whose record is newer than what the queue knows has read a value and writes it",
            faults: Faults::NONE,
            start: late_in_the_queue,
        },
    ]
}

fn back_in_the_queue(world: &World) -> Check {
    let (here, elsewhere) = (world.process(|builder| builder), world.process(|builder| builder));
    let commits = Commits::default();
    let stored = stored(world, &here, |_| ());
    for (name, token) in [("one", 1), ("other", 2)] {
        let request = Request::opened(world, &here, &commits, Some(&stored.id));
        let (id, commits) = (stored.id.clone(), commits.clone());
        world.task(name, &here, async move |task| {
            request.push(&task, token);
            request.save_until_answered(&task).await;
            let Some(again) = Request::open(&task, &commits, Some(&id)).await else { return };
            again.push(&task, token + 10);
            again.save_until_answered(&task).await;
        });
    }
    push_at_once(world, &elsewhere, &commits, &stored, 100);
    other_process_pushes(world, &elsewhere, &commits, &stored);
    Box::new(move |world| commits.check(world, stored.key))
}

fn merged_and_dropped(world: &World) -> Check {
    let (here, elsewhere) = (world.process(|builder| builder), world.process(|builder| builder));
    let commits = Commits::default();
    let stored = stored(world, &here, |_| ());
    let [leader, follower] = [1, 2].map(|_| Request::opened(world, &here, &commits, Some(&stored.id)));
    push_at_once(world, &elsewhere, &commits, &stored, 100);
    world.task("leader", &here, async move |task| {
        leader.push(&task, 1);
        leader.save_until_answered(&task).await;
    });
    world.task("follower", &here, async move |task| {
        follower.push(&task, 2);
        follower.save_until_answered(&task).await;
    });
    other_process_pushes(world, &elsewhere, &commits, &stored);
    Box::new(move |world| commits.check(world, stored.key))
}

/// Reaction of a request whose save was dropped.
#[derive(Clone, Copy, PartialEq)]
enum Dropped {
    SavesAgain,
    Leaves,
}

fn merged_pair(world: &World, dropped: Dropped) -> Check {
    let (here, elsewhere) = (world.process(|builder| builder), world.process(|builder| builder));
    let commits = Commits::default();
    let stored = stored(world, &here, |_| ());
    let requests = [1, 2].map(|_| Request::opened(world, &here, &commits, Some(&stored.id)));
    push_at_once(world, &elsewhere, &commits, &stored, 100);
    for (request, (name, token)) in requests.into_iter().zip([("one", 1), ("other", 2)]) {
        world.task(name, &here, async move |task| {
            request.push(&task, token);
            match dropped {
                Dropped::SavesAgain => request.save_until_answered(&task).await,
                Dropped::Leaves => request.save(&task).await,
            };
        });
    }
    Box::new(move |world| commits.check(world, stored.key))
}

fn too_large_together(world: &World) -> Check {
    let (here, elsewhere) = (world.process(|builder| builder), world.process(|builder| builder));
    let commits = Commits::default();
    let stored = stored(world, &here, |_| ());
    let requests = [1, 2, 3].map(|_| Request::opened(world, &here, &commits, Some(&stored.id)));
    push_at_once(world, &elsewhere, &commits, &stored, 100);
    // Enough space for one long value and the tokens.
    world.set_max_data_len(400);
    let [one, other, small] = requests;
    for (request, (name, key)) in [one, other].into_iter().zip([("long one", "a"), ("other long one", "b")]) {
        let request = request.may_fail(&[ErrorKind::TooLarge]);
        world.task(name, &here, async move |task| {
            request.session.insert(key, &"x".repeat(200)).expect("the manager's limit is higher");
            let stored = request.save_until_answered(&task).await.is_done();
            task.world.note((name, stored));
        });
    }
    world.task("short one", &here, async move |task| {
        small.push(&task, 1);
        small.save_until_answered(&task).await;
    });
    Box::new(move |world| {
        commits.check(world, stored.key);
        let content = world.session_at(stored.key).map(|(_, record)| record.data).unwrap_or_default();
        let long = content.windows(200).filter(|window| window.iter().all(|byte| *byte == b'x')).count();
        if long != 1 {
            world.violated(
                "errors.documented",
                format!("{long} of two long values are stored, and there is room for one"),
            );
        }
    })
}

fn merged_with_a_clash(world: &World) -> Check {
    let (here, elsewhere) = (world.process(|builder| builder), world.process(|builder| builder));
    let commits = Commits::default();
    let stored = stored(world, &here, |session| session.insert("color", "red").expect("it is small"));
    let [one, clashes, other] = [1, 2, 3].map(|_| Request::opened(world, &here, &commits, Some(&stored.id)));
    push_at_once(world, &elsewhere, &commits, &stored, 100);
    let foreign = world.at_once(elsewhere.open(Some(&stored.id))).expect("nothing fails at once");
    foreign.insert("color", "blue").expect("it is small");
    let _told = world.at_once(foreign.save()).expect("nothing fails at once");
    for (request, (name, token)) in [one, other].into_iter().zip([("one", 1), ("other", 2)]) {
        world.task(name, &here, async move |task| {
            request.push(&task, token);
            request.save_until_answered(&task).await;
        });
    }
    let clashes = clashes.may_fail(&[ErrorKind::Conflict]);
    world.task("clashes", &here, async move |task| {
        let read: Option<String> = clashes.session.get("color").expect("it is a string");
        clashes.session.insert("color", &format!("dark {}", read.unwrap_or_default())).expect("it is small");
        clashes.push(&task, 3);
        if clashes.save_until_answered(&task).await.is_done() {
            task.world.violated("clash.told", "a value that was read here and changed elsewhere is overwritten");
        }
        clashes.discard(&task);
    });
    Box::new(move |world| commits.check(world, stored.key))
}

fn merged_with_a_panic(world: &World) -> Check {
    let (here, elsewhere) = (world.process(|builder| builder), world.process(|builder| builder));
    let commits = Commits::default();
    let stored = stored(world, &here, |_| ());
    let [one, panics, other] = [1, 2, 3].map(|_| Request::opened(world, &here, &commits, Some(&stored.id)));
    push_at_once(world, &elsewhere, &commits, &stored, 100);
    for (request, (name, token)) in [one, other].into_iter().zip([("one", 1), ("other", 2)]) {
        world.task(name, &here, async move |task| {
            request.push(&task, token);
            request.save_until_answered(&task).await;
        });
    }
    world.task("panics", &here, async move |task| {
        let update = |tokens: &mut Vec<u32>| {
            assert!(tokens.is_empty(), "it counts on an empty list");
            tokens.push(3);
        };
        panics.session.update("tokens", update).expect("the list is empty here");
        // The save of this request may panic. That must end only its own task.
        let mut saving = Box::pin(panics.save(&task));
        std::future::poll_fn(|context| match quietly(|| saving.as_mut().poll(context)) {
            Ok(polled) => polled.map(|_| ()),
            Err(_) => std::task::Poll::Ready(()),
        })
        .await;
        let _ = quietly(move || drop(saving));
        panics.discard(&task);
    });
    Box::new(move |world| commits.check(world, stored.key))
}

fn late_in_the_queue(world: &World) -> Check {
    let (here, elsewhere) = (world.process(|builder| builder), world.process(|builder| builder));
    let commits = Commits::default();
    let stored = stored(world, &here, |session| session.insert("color", "red").expect("it is small"));
    let first = Request::opened(world, &here, &commits, Some(&stored.id));
    push_at_once(world, &elsewhere, &commits, &stored, 100);
    world.task("first in the queue", &here, async move |task| {
        first.push(&task, 1);
        first.save_until_answered(&task).await;
    });
    let other = Request::opened(world, &elsewhere, &commits, Some(&stored.id));
    world.task("other process", &elsewhere, async move |task| {
        other.session.insert("color", "blue").expect("it is small");
        other.save_until_answered(&task).await;
    });
    let (id, theirs) = (stored.id.clone(), commits.clone());
    world.task("late", &here, async move |task| {
        let Some(late) = Request::open(&task, &theirs, Some(&id)).await else { return };
        let read: Option<String> = late.session.get("color").expect("it is a string");
        let was_blue = read.as_deref() == Some("blue");
        late.session.insert("color", "dark").expect("it is small");
        let late = late.may_fail(&[ErrorKind::Conflict]);
        let answer = late.save_until_answered(&task).await;
        // Only the other process changes the value, so a conflict with this request's read is impossible.
        if was_blue && !answer.is_done() {
            task.world.violated("clash.true", "a conflict over a value that no other request has changed");
        }
        late.discard(&task);
    });
    Box::new(move |world| commits.check(world, stored.key))
}
