//! Programs with updates by clones and by other processes.

use std::cell::Cell;
use std::rc::Rc;

use session_conformance::explore::{Check, Commits, Faults, Program, Request, World};
use session_core::Limits;

use super::setup::{GONE, push_at_once, stored};

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
            name: "lost twice",
            about: "after a conflict a request loses two answers in a row, beside another process",
            faults: Faults { lost: 2, dropped: 0, clock: &[] },
            start: lost_twice,
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
