//! Programs with updates by clones, by requests that are merged, and by other processes.

use std::cell::Cell;
use std::rc::Rc;

use session_conformance::explore::{Check, Commits, Faults, Program, Request, World, quietly};
use session_core::{ErrorKind, Limits, Manager};

use super::{GONE, Stored, push_at_once, stored};

pub(super) fn all() -> Vec<Program> {
    vec![
        Program {
            name: "save and update on clones",
            about: "one clone saves while another updates and closes, after a foreign commit",
            faults: Faults::ANY,
            start: save_and_update,
        },
        Program {
            name: "save beside a discard",
            about: "one clone saves and loses an answer while another discards",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: save_beside_a_discard,
        },
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
            name: "same value beside a removal",
            about: "one request stores the value that is there while another process removes it",
            faults: Faults::ANY,
            start: same_value_beside_a_removal,
        },
        Program {
            name: "in one process",
            about: "two requests meet a conflict on a store that no other process writes to",
            faults: Faults::ANY,
            start: in_one_process,
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
            name: "lost twice",
            about: "after a conflict a request loses two answers in a row, beside another process",
            faults: Faults { lost: 2, dropped: 0, clock: &[] },
            start: lost_twice,
        },
        Program {
            name: "late in the queue",
            about: "a request whose record is newer than what the queue knows has read a value and writes it",
            faults: Faults::NONE,
            start: late_in_the_queue,
        },
        Program {
            name: "two processes",
            about: "two processes update one session, with one lost answer and one dropped future",
            faults: Faults::ANY,
            start: two_processes,
        },
    ]
}

fn save_and_update(world: &World) -> Check {
    let (here, elsewhere) = (world.process(|builder| builder), world.process(|builder| builder));
    let commits = Commits::default();
    let stored = stored(world, &here, |_| ());
    let request = Request::opened(world, &here, &commits, Some(&stored.id));
    push_at_once(world, &elsewhere, &commits, &stored, 100);
    let clone = request.clone();
    world.task("saves", &here, async move |task| {
        request.push(&task, 1);
        request.save(&task).await;
        request.save_until_answered(&task).await;
    });
    world.task("updates", &here, async move |task| {
        task.step().await;
        clone.push(&task, 2);
        task.step().await;
        clone.close_until_answered(&task).await;
    });
    Box::new(move |world| commits.check(world, stored.key))
}

fn save_beside_a_discard(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |_| ());
    let saver = Request::opened(world, &manager, &commits, Some(&stored.id));
    let clone = saver.clone();
    world.task("saves", &manager, async move |task| {
        saver.push(&task, 1);
        saver.save_until_answered(&task).await;
    });
    world.task("discards", &manager, async move |task| {
        task.step().await;
        clone.discard(&task);
    });
    Box::new(move |world| commits.check(world, stored.key))
}

/// Adds a task of another process that opens the session and pushes a token until it is confirmed.
fn other_process_pushes(world: &World, elsewhere: &Manager, commits: &Commits, stored: &Stored) {
    let (id, commits) = (stored.id.clone(), commits.clone());
    world.task("other process", elsewhere, async move |task| {
        let Some(request) = Request::open(&task, &commits, Some(&id)).await else { return };
        request.push(&task, 200);
        request.save_until_answered(&task).await;
    });
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

/// What a request does whose save was dropped.
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

fn same_value_beside_a_removal(world: &World) -> Check {
    let (here, elsewhere) = (world.process(|builder| builder), world.process(|builder| builder));
    let commits = Commits::default();
    let stored = stored(world, &here, |session| session.insert("color", "red").expect("it is small"));
    let [same, other] = [&here, &elsewhere].map(|at| Request::opened(world, at, &commits, Some(&stored.id)));
    let removed = Rc::<Cell<bool>>::default();
    let inserted_after = Rc::<Cell<bool>>::default();
    let (removed_before, inserted) = (removed.clone(), inserted_after.clone());
    world.task("same value", &here, async move |task| {
        task.step().await;
        let after = removed_before.get();
        same.session.insert("color", "red").expect("it is small");
        let done = same.save_until_answered(&task).await.is_done();
        inserted.set(after && done);
        task.world.note(("inserted", inserted.get()));
    });
    world.task("removal", &elsewhere, async move |task| {
        other.session.remove("color").expect("it is open");
        removed.set(other.save_until_answered(&task).await.is_done());
        task.world.note(("removed", removed.get()));
    });
    Box::new(move |world| {
        let manager = world.process(|builder| builder);
        let session = world.at_once(manager.open(Some(&stored.id))).expect("nothing fails at once");
        if inserted_after.get() && !session.contains("color") {
            world.violated("updates.kept", "a value that was inserted after a removal is not stored");
        }
    })
}

fn in_one_process(world: &World) -> Check {
    world.set_in_process();
    let here = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &here, |_| ());
    let requests = [1, 2].map(|_| Request::opened(world, &here, &commits, Some(&stored.id)));
    push_at_once(world, &here, &commits, &stored, 100);
    for (request, (name, token)) in requests.into_iter().zip([("one", 1), ("other", 2)]) {
        world.task(name, &here, async move |task| {
            request.push(&task, token);
            request.save_until_answered(&task).await;
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

fn lost_twice(world: &World) -> Check {
    let (here, elsewhere) = (world.process(|builder| builder), world.process(|builder| builder));
    let commits = Commits::default();
    let stored = stored(world, &here, |_| ());
    let request = Request::opened(world, &here, &commits, Some(&stored.id));
    push_at_once(world, &elsewhere, &commits, &stored, 100);
    world.task("loses", &here, async move |task| {
        request.push(&task, 1);
        request.save_until_answered(&task).await;
    });
    let other = Request::opened(world, &elsewhere, &commits, Some(&stored.id));
    world.task("other process", &elsewhere, async move |task| {
        other.push(&task, 200);
        other.save_until_answered(&task).await;
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

fn two_processes(world: &World) -> Check {
    let processes = [world.process(|builder| builder), world.process(|builder| builder.limits(Limits::new()))];
    let commits = Commits::default();
    let stored = stored(world, &processes[0], |_| ());
    for (manager, (name, token)) in processes.iter().zip([("one", 1), ("other", 2)]) {
        let request = Request::opened(world, manager, &commits, Some(&stored.id)).may_fail(GONE);
        world.task(name, manager, async move |task| {
            request.push(&task, token);
            request.save_until_answered(&task).await;
        });
    }
    Box::new(move |world| commits.check(world, stored.key))
}
