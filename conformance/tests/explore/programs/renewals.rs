//! Programs with renewals of the id beside other requests.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use session_conformance::explore::{Check, Commits, Faults, Program, Request, World};
use session_core::{Commit, Manager, Opened, minutes, seconds};

use super::setup::{GONE, Stored, check_no_ghosts, check_signed_in, key_of, stored};

/// Age at which an id is renewed.
const AGE: Duration = minutes(10);

/// Clock step past the grace time of an old id.
const GRACE: &[Duration] = &[seconds(31)];

pub(super) fn all() -> Vec<Program> {
    vec![
        Program {
            name: "two requests beside a renewal",
            about: "one request reads and so renews the id, and a request of another process writes, both by the old id",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: write_beside_a_renewal,
        },
        Program {
            name: "renewal with faults",
            about: "a renewal with one lost answer and one dropped future, until its response is sent",
            faults: Faults::ANY,
            start: renewal_with_faults,
        },
        Program {
            name: "two renewals at once",
            about: "two processes renew the id of one session, with one lost answer",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: two_renewals,
        },
        Program {
            name: "logout beside a renewal through the old id",
            about: "one request renews the id while another signs out, by the old id",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: |world| logout_beside_a_renewal(world, false),
        },
        Program {
            name: "logout beside a request with the old id",
            about: "after a renewal, one request signs out by the new id, and another opens the session by the old one",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: |world| logout_beside_a_renewal(world, true),
        },
        Program {
            name: "login beside a renewal",
            about: "one request renews the id while another signs in",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: login_beside_a_renewal,
        },
        Program {
            name: "old id after its grace time",
            about: "a client uses the new id, and another client the old one, before and after the grace time",
            faults: Faults { lost: 1, dropped: 0, clock: GRACE },
            start: old_id_after_its_grace_time,
        },
        Program {
            name: "old id within its grace time",
            about: "a client uses the new id twice when the next renewal is due, and another request has the old one",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: old_id_within_its_grace_time,
        },
        Program {
            name: "reused id beside a save",
            about: "a client uses an old id after its grace time, which ends the session, while another request saves it",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: reused_beside_a_save,
        },
        Program {
            name: "quiet request beside a save",
            about: "a request that keeps the expiry closes when a renewal is due, while another request saves the session",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: quiet_beside_a_save,
        },
        Program {
            name: "two requests with an old id",
            about: "the response of a renewal was lost, and two requests with the old id come when the next one would be due",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: two_requests_with_an_old_id,
        },
        Program {
            name: "list beside a renewal",
            about: "one request renews the id while another lists the principal's sessions",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: list_beside_a_renewal,
        },
    ]
}

fn process(world: &World) -> Manager {
    world.process(|builder| builder.renew_id_every(AGE))
}

/// Stores a session whose id is to be renewed.
fn due(world: &World, manager: &Manager) -> Stored {
    let stored = stored(world, manager, |_| ());
    world.advance(AGE);
    stored
}

/// Stores a session whose id has been renewed. The browser has the new id, which is returned with it.
fn renewed(world: &World, manager: &Manager) -> (Stored, String) {
    let stored = due(world, manager);
    let session = world.at_once(manager.open(Some(&stored.id))).expect("nothing fails at once");
    let Ok(Commit::Issue(update)) = world.at_once(manager.close(&session)) else { panic!("the id is renewed") };
    let new = update.value.as_str().to_owned();
    world.set_cookie(Some(new.clone()));
    (stored, new)
}

/// Adds a task that closes `request`, which has only read.
fn reads(world: &World, name: &'static str, manager: &Manager, request: Request) {
    world.task(name, manager, async move |task| {
        request.close_until_answered(&task).await;
    });
}

/// Checks the promise `renewal.keeps`: the browser's cookie opens the session, which holds what was confirmed.
fn check_browser(world: &World, manager: &Manager, commits: &Commits) {
    let session = world.at_once(manager.open(world.cookie().as_deref())).expect("nothing fails at once");
    match session.handle() {
        Some(handle) => commits.check(world, *handle.key()),
        None => world.violated("renewal.keeps", format!("the browser's session is {:?}", session.opened())),
    }
}

/// Checks the promise `renewal.one`: the session is stored once.
fn check_one(world: &World) {
    let live = world.live_sessions().len();
    if live != 1 {
        world.violated("renewal.one", format!("the session is stored {live} times"));
    }
}

fn write_beside_a_renewal(world: &World) -> Check {
    let (here, elsewhere) = (process(world), process(world));
    let commits = Commits::default();
    let stored = due(world, &here);
    let page = Request::opened(world, &here, &commits, Some(&stored.id));
    let writer = Request::opened(world, &elsewhere, &commits, Some(&stored.id));
    reads(world, "page", &here, page);
    world.task("writes", &elsewhere, async move |task| {
        writer.push(&task, 1);
        writer.save_until_answered(&task).await;
    });
    Box::new(move |world| {
        check_browser(world, &here, &commits);
        check_one(world);
    })
}

fn renewal_with_faults(world: &World) -> Check {
    let manager = process(world);
    let commits = Commits::default();
    let stored = due(world, &manager);
    let page = Request::opened(world, &manager, &commits, Some(&stored.id));
    reads(world, "page", &manager, page);
    Box::new(move |world| {
        check_browser(world, &manager, &commits);
        check_one(world);
    })
}

fn two_renewals(world: &World) -> Check {
    let processes = [process(world), process(world)];
    let commits = Commits::default();
    let stored = due(world, &processes[0]);
    for (manager, name) in processes.iter().zip(["one", "other"]) {
        let page = Request::opened(world, manager, &commits, Some(&stored.id));
        reads(world, name, manager, page);
    }
    Box::new(move |world| {
        check_browser(world, &processes[0], &commits);
        check_one(world);
    })
}

fn logout_beside_a_renewal(world: &World, is_renewed: bool) -> Check {
    let (here, elsewhere) = (process(world), process(world));
    let commits = Commits::default();
    let (old, new) = if is_renewed {
        renewed(world, &here)
    } else {
        let stored = due(world, &here);
        let id = stored.id.clone();
        (stored, id)
    };
    let logout = Request::opened(world, &elsewhere, &commits, Some(&new));
    let (id, of_page) = (old.id.clone(), commits.clone());
    world.task("page", &here, async move |task| {
        let Some(page) = Request::open(&task, &of_page, Some(&id)).await else { return };
        page.close_until_answered(&task).await;
    });
    let ended = Rc::<Cell<bool>>::default();
    let confirmed = ended.clone();
    world.task("signs out", &elsewhere, async move |task| {
        logout.logout(&task);
        confirmed.set(logout.close_until_answered(&task).await.is_done());
    });
    Box::new(move |world| {
        if !ended.get() {
            return;
        }
        check_no_ghosts(world, &[]);
        for id in [&old.id, &new] {
            let opened = world.at_once(here.open(Some(id))).expect("nothing fails at once").opened();
            if opened == Opened::Resumed {
                world.violated("ends.stay", "after a confirmed logout an id opens the session");
            }
        }
    })
}

fn login_beside_a_renewal(world: &World) -> Check {
    let (here, elsewhere) = (process(world), process(world));
    let commits = Commits::default();
    let stored = due(world, &here);
    let page = Request::opened(world, &here, &commits, Some(&stored.id));
    let login = Request::opened(world, &elsewhere, &commits, Some(&stored.id));
    let of_login = login.clone();
    let answered = Rc::<Cell<bool>>::default();
    let confirmed = answered.clone();
    reads(world, "page", &here, page);
    world.task("signs in", &elsewhere, async move |task| {
        login.session.login("ann").expect("it is open");
        confirmed.set(login.close_until_answered(&task).await.is_done());
    });
    Box::new(move |world| {
        if !answered.get() {
            return;
        }
        check_signed_in(world, &of_login, "ann");
        check_no_ghosts(world, key_of(&of_login).as_slice());
        let opened = world.at_once(here.open(Some(&stored.id))).expect("nothing fails at once");
        if opened.principal().is_some() {
            world.violated("login.new-id", "an id of before the login opens its session");
        }
    })
}

fn old_id_after_its_grace_time(world: &World) -> Check {
    let (here, elsewhere) = (process(world), process(world));
    let commits = Commits::default();
    let (old, new) = renewed(world, &here);
    let owner = Request::opened(world, &here, &commits, Some(&new));
    let seen = Rc::<Cell<Option<_>>>::default();
    let noted = seen.clone();
    world.task("owner", &here, async move |task| {
        if owner.close_until_answered(&task).await.is_done() {
            noted.set(Some(task.world.now()));
            task.world.note(("seen", task.world.now()));
        }
    });
    world.task("thief", &elsewhere, async move |task| {
        let is_late = seen.get().is_some_and(|seen| task.world.now().since(seen) > seconds(30));
        task.world.note(("late", is_late));
        let Some(thief) = Request::open(&task, &commits, Some(&old.id)).await else { return };
        if is_late && thief.session.opened() == Opened::Resumed {
            task.world.violated("renewal.grace", "an old id opens the session after its grace time");
        }
    });
    Box::new(|_| ())
}

fn old_id_within_its_grace_time(world: &World) -> Check {
    let (here, elsewhere) = (process(world), process(world));
    let commits = Commits::default();
    let (old, new) = renewed(world, &here);
    world.advance(AGE);
    let of_owner = commits.clone();
    world.task("owner", &here, async move |task| {
        for _ in 0..2 {
            let Some(owner) = Request::open(&task, &of_owner, Some(&new)).await else { return };
            owner.close_until_answered(&task).await;
        }
    });
    world.task("tab", &elsewhere, async move |task| {
        let Some(tab) = Request::open(&task, &commits, Some(&old.id)).await else { return };
        if tab.session.opened() != Opened::Resumed {
            task.world.violated("renewal.grace", "an old id opens nothing within its grace time");
        }
    });
    Box::new(|_| ())
}

fn reused_beside_a_save(world: &World) -> Check {
    let (here, elsewhere) = (process(world), world.process(|builder| builder.renew_id_every(AGE).revoke_reused()));
    let commits = Commits::default();
    let (old, new) = renewed(world, &here);
    let first = Request::opened(world, &here, &commits, Some(&new));
    let _told = world.at_once(here.close(&first.session)).expect("nothing fails at once");
    world.advance(seconds(31));
    let owner = Request::opened(world, &here, &commits, Some(&new)).may_fail(GONE);
    world.task("owner", &here, async move |task| {
        owner.push(&task, 1);
        owner.save_until_answered(&task).await;
    });
    let ended = Rc::<Cell<bool>>::default();
    let confirmed = ended.clone();
    world.task("thief", &elsewhere, async move |task| {
        confirmed.set(Request::open(&task, &commits, Some(&old.id)).await.is_some());
    });
    Box::new(move |world| {
        if ended.get() {
            check_no_ghosts(world, &[]);
        }
    })
}

fn quiet_beside_a_save(world: &World) -> Check {
    let manager = process(world);
    let commits = Commits::default();
    let stored = due(world, &manager);
    let quiet = Request::opened(world, &manager, &commits, Some(&stored.id));
    let writer = Request::opened(world, &manager, &commits, Some(&stored.id));
    quiet.session.keep_expiry();
    reads(world, "quiet", &manager, quiet);
    world.task("writes", &manager, async move |task| {
        writer.push(&task, 1);
        writer.save_until_answered(&task).await;
    });
    Box::new(move |world| {
        commits.check(world, stored.key);
        if world.session_at(stored.key).is_none_or(|(key, _)| key != stored.key) {
            world.violated("renewal.quiet", "a request that no person sees has renewed the id");
        }
    })
}

fn two_requests_with_an_old_id(world: &World) -> Check {
    let manager = process(world);
    let commits = Commits::default();
    let (old, _) = renewed(world, &manager);
    world.advance(AGE);
    for (name, token) in [("one", 1), ("other", 2)] {
        let request = Request::opened(world, &manager, &commits, Some(&old.id));
        world.task(name, &manager, async move |task| {
            request.push(&task, token);
            request.close_until_answered(&task).await;
        });
    }
    Box::new(move |world| {
        // The client never takes the new id.
        world.set_cookie(Some(old.id.clone()));
        check_browser(world, &manager, &commits);
    })
}

fn list_beside_a_renewal(world: &World) -> Check {
    let (here, elsewhere) = (process(world), process(world));
    let commits = Commits::default();
    let stored = stored(world, &here, |session| session.login("ann").expect("it is open"));
    world.advance(AGE);
    let page = Request::opened(world, &here, &commits, Some(&stored.id)).may_fail(GONE);
    reads(world, "page", &here, page);
    world.task("lists", &elsewhere, async move |task| {
        let Ok(list) = task.manager.sessions_of("ann", None).await else { return };
        if list.len() != 1 {
            task.world.violated("renewal.one", format!("a list shows the session {} times", list.len()));
        }
    });
    Box::new(|_| ())
}
