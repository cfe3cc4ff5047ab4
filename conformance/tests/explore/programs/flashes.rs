//! Programs with messages that are shown once.

use std::cell::Cell;
use std::rc::Rc;

use session_conformance::explore::{Check, Commits, Faults, Program, Request, World};

use super::setup::stored;

pub(super) fn all() -> Vec<Program> {
    vec![
        Program {
            name: "two readers of flashes",
            about: "two tasks of one request show the messages and save",
            faults: Faults::NONE,
            start: |world| two_readers(world, true),
        },
        Program {
            name: "flashes of two requests",
            about: "one request shows the messages while another adds one, with one lost answer and one dropped future",
            faults: Faults::ANY,
            start: |world| two_readers(world, false),
        },
        Program {
            name: "two messages at once",
            about: "two requests add a message each while a third shows what it sees",
            faults: Faults::NONE,
            start: two_messages,
        },
    ]
}

fn two_messages(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |session| session.flash("notice", &1).expect("it is small"));
    let added = Rc::<Cell<u32>>::default();
    for (name, message) in [("one", 2), ("other", 3)] {
        let request = Request::opened(world, &manager, &commits, Some(&stored.id));
        let added = added.clone();
        world.task(name, &manager, async move |task| {
            request.session.flash("notice", &message).expect("it is small");
            if request.save_until_answered(&task).await.is_done() {
                added.set(added.get() + 1);
            }
        });
    }
    let (id, seen) = (stored.id.clone(), Rc::<Cell<u32>>::default());
    let (shown, commits) = (seen.clone(), commits.clone());
    world.task("shows", &manager, async move |task| {
        let Some(reader) = Request::open(&task, &commits, Some(&id)).await else { return };
        let messages = reader.session.flashes::<u32>("notice").expect("it is open");
        if reader.close_until_answered(&task).await.is_done() {
            shown.set(u32::try_from(messages.len()).expect("three at most"));
            task.world.note(("shown", shown.get()));
        }
    });
    Box::new(move |world| {
        let manager = world.process(|builder| builder);
        let session = world.at_once(manager.open(Some(&stored.id))).expect("nothing fails at once");
        let left = session.flashes::<u32>("notice").expect("it is open").len();
        session.discard();
        if u32::try_from(left).expect("three at most") + seen.get() != added.get() + 1 {
            let (seen, added) = (seen.get(), added.get());
            world.violated(
                "updates.kept",
                format!("of 1 and {added} more messages {seen} were shown and {left} are left"),
            );
        }
    })
}

fn two_readers(world: &World, clones: bool) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |session| session.flash("notice", &1).expect("it is small"));
    let reader = Request::opened(world, &manager, &commits, Some(&stored.id));
    let other = match clones {
        true => reader.clone(),
        false => Request::opened(world, &manager, &commits, Some(&stored.id)),
    };
    let (shown, confirmed, added) =
        (Rc::<Cell<usize>>::default(), Rc::<Cell<bool>>::default(), Rc::<Cell<bool>>::default());
    let (first, done) = (shown.clone(), confirmed.clone());
    world.task("shows", &manager, async move |task| {
        task.step().await;
        first.set(first.get() + reader.session.flashes::<u32>("notice").expect("they are numbers").len());
        done.set(reader.close_until_answered(&task).await.is_done());
    });
    let (second, adds) = (shown.clone(), added.clone());
    world.task("other", &manager, async move |task| {
        task.step().await;
        if clones {
            second.set(second.get() + other.session.flashes::<u32>("notice").expect("they are numbers").len());
            other.save_until_answered(&task).await;
        } else {
            other.session.flash("notice", &2).expect("it is small");
            adds.set(other.save_until_answered(&task).await.is_done());
        }
    });
    Box::new(move |world| {
        if clones && shown.get() != 1 {
            world.violated("flash.once", format!("one message was shown {} times by one request", shown.get()));
        }
        if !confirmed.get() {
            return;
        }
        let manager = world.process(|builder| builder);
        let session = world.at_once(manager.open(Some(&stored.id))).expect("nothing fails at once");
        let left: Vec<u32> = session.flashes("notice").expect("they are numbers");
        session.discard();
        if left.contains(&1) {
            world.violated("flash.once", "a message that a confirmed request has shown is still there");
        }
        if added.get() && left != [2] {
            world.violated("updates.kept", format!("of a message that was added {left:?} is left"));
        }
    })
}
