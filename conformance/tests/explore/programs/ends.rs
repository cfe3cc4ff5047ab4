//! Programs with logouts and revocations beside other requests.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use session_conformance::explore::{Check, CommitResult, Commits, Faults, Program, Request, World};
use session_core::{Commit, ErrorKind, seconds};

use super::setup::{GONE, check_no_ghosts, check_signed_in, key_of, principal, push_at_once, stored};

pub(super) fn all() -> Vec<Program> {
    vec![
        Program {
            name: "logout beside a save",
            about: "one clone saves, the other logs out and closes until it is confirmed, and another process writes",
            faults: Faults::ANY,
            start: logout_beside_a_save,
        },
        Program {
            name: "login beside a lost save",
            about: "the session is revoked while one clone saves and the other logs in",
            faults: Faults::NONE,
            start: |world| login_beside_a_lost_save(world, Login::Plain),
        },
        Program {
            name: "logout and login beside a lost save",
            about: "the session is revoked while one clone saves and the other logs out and in",
            faults: Faults::NONE,
            start: |world| login_beside_a_lost_save(world, Login::AfterLogout),
        },
        Program {
            name: "guarded login beside a revocation",
            about: "the session is revoked while a request logs in and writes a value that it has read",
            faults: Faults::NONE,
            start: |world| login_beside_a_lost_save(world, Login::Guarded),
        },
        Program {
            name: "clones of a revoked session",
            about: "two clones write and save after the session was revoked: each is told",
            faults: Faults { lost: 0, dropped: 1, clock: &[] },
            start: clones_of_a_revoked_session,
        },
        Program {
            name: "late create",
            about: "a first create is answered by an error and turns up later, and all sessions are revoked",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: late_create,
        },
        Program {
            name: "login beside a logout",
            about: "two requests of one browser, one signs in and one signs out, with one lost answer",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: login_beside_a_logout,
        },
        Program {
            name: "page after a logout",
            about: "a logout with a lost answer or a step of the clock, a page that begins again if it may, and a login",
            faults: Faults { lost: 1, dropped: 0, clock: LOGOUT_SETTLED },
            start: page_after_a_logout,
        },
        Program {
            name: "save beside an abandoned request",
            about: "a task writes and saves, until it is told, while its request is abandoned and closed",
            faults: Faults::ANY,
            start: save_beside_an_abandoned_request,
        },
        Program {
            name: "logout, then discard",
            about: "what a logout began is discarded",
            faults: Faults::NONE,
            start: |world| logout_taken_back(world, false),
        },
        Program {
            name: "logout, then reload",
            about: "after a logout the session is read again",
            faults: Faults::NONE,
            start: |world| logout_taken_back(world, true),
        },
    ]
}

fn logout_beside_a_save(world: &World) -> Check {
    let (here, elsewhere) = (world.process(|builder| builder), world.process(|builder| builder));
    let commits = Commits::default();
    let stored = stored(world, &here, |_| ());
    let request = Request::opened(world, &here, &commits, Some(&stored.id)).may_fail(GONE);
    let clone = request.clone();
    let saver = request;
    push_at_once(world, &elsewhere, &commits, &stored, 100);
    world.task("saves", &here, async move |task| {
        saver.push(&task, 1);
        saver.save(&task).await;
    });
    let ended = Rc::<Cell<bool>>::default();
    let confirmed = ended.clone();
    world.task("logs out", &here, async move |task| {
        task.step().await;
        clone.logout(&task);
        confirmed.set(clone.close_until_answered(&task).await.is_done());
    });
    let (id, theirs) = (stored.id.clone(), commits.clone());
    world.task("other process", &elsewhere, async move |task| {
        let Some(request) = Request::open(&task, &theirs, Some(&id)).await else { return };
        if request.session.opened() == session_core::Opened::Resumed {
            request.push(&task, 2);
            request.may_fail(GONE).save(&task).await;
        }
    });
    Box::new(move |world| {
        if ended.get() && world.session_at(stored.key).is_some() {
            world.violated("ends.stay", "after a confirmed logout the session is open");
        }
    })
}

/// Age of a logout from which on a page may begin a new session, with a second more.
const LOGOUT_SETTLED: &[Duration] = &[seconds(11)];

fn page_after_a_logout(world: &World) -> Check {
    let (here, elsewhere) = (world.process(|builder| builder), world.process(|builder| builder));
    let commits = Commits::default();
    let stored = stored(world, &here, |_| ());
    let began = world.now();
    let logout = Request::opened(world, &here, &commits, Some(&stored.id));
    world.task("signs out", &here, async move |task| {
        logout.logout(&task);
        logout.close_until_answered(&task).await;
    });
    let (id, of_page) = (stored.id.clone(), commits.clone());
    let page = Rc::<RefCell<Option<Request>>>::default();
    let written = page.clone();
    world.task("page", &elsewhere, async move |task| {
        let Some(request) = Request::open(&task, &of_page, Some(&id)).await else { return };
        let begins = request.session.restart_if_ended();
        task.world.note(("begins", begins));
        if begins && task.world.now().since(began) < seconds(10) {
            task.world.violated("ends.stay", "a page begins a session while the logout's answer is under way");
        }
        let request = if begins { request } else { request.may_fail(GONE) };
        request.push(&task, 1);
        if begins && request.close_until_answered(&task).await.is_done() {
            *written.borrow_mut() = Some(request);
        }
    });
    let (id, commits_of_login) = (stored.id, commits.clone());
    let signed_in = Rc::<RefCell<Option<Request>>>::default();
    let confirmed = signed_in.clone();
    world.task("signs in", &elsewhere, async move |task| {
        let Some(request) = Request::open(&task, &commits_of_login, Some(&id)).await else { return };
        let was_ended = request.session.opened() == session_core::Opened::Ended;
        task.world.note(("was ended", was_ended));
        // Only a session that ends during the request fails its login.
        let request = if was_ended { request } else { request.may_fail(GONE) };
        request.session.login("ann").expect("it is open");
        if request.close_until_answered(&task).await.is_done() && was_ended {
            *confirmed.borrow_mut() = Some(request);
        }
    });
    Box::new(move |world| {
        if let Some(key) = page.borrow().as_ref().and_then(key_of) {
            commits.check(world, key);
        }
        if let Some(request) = &*signed_in.borrow() {
            check_signed_in(world, request, "ann");
        }
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Login {
    Plain,
    AfterLogout,
    Guarded,
}

fn login_beside_a_lost_save(world: &World, how: Login) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |session| session.login("ann").expect("it is open"));
    let request = Request::opened(world, &manager, &commits, Some(&stored.id));
    // A change that depends on a lost value is lost with it.
    let clone = if how == Login::Guarded { request.clone().may_fail(GONE) } else { request.clone() };
    let last = request.clone();
    if how != Login::Guarded {
        let request = request.may_fail(GONE);
        world.task("saves", &manager, async move |task| {
            request.push(&task, 1);
            request.save(&task).await;
        });
    }
    let signed_in = Rc::<Cell<bool>>::default();
    let confirmed = signed_in.clone();
    world.task("logs in", &manager, async move |task| {
        task.step().await;
        if how == Login::AfterLogout {
            clone.logout(&task);
        }
        let who = if how == Login::Guarded { "ann" } else { "bob" };
        clone.session.login(who).expect("it is open");
        if how == Login::Guarded {
            let _: Option<Vec<u32>> = clone.session.get("tokens").expect("it is a list");
            clone.session.insert("tokens", &[9]).expect("it is small");
        }
        confirmed.set(clone.close_until_answered(&task).await.is_done());
    });
    world.task("revokes", &manager, async move |task| {
        let _ = task.manager.revoke_all(&principal("ann")).await;
    });
    Box::new(move |world| {
        // A later revocation of the same principal ends the login's session.
        if signed_in.get() && how != Login::Guarded {
            check_signed_in(world, &last, "bob");
        }
    })
}

fn clones_of_a_revoked_session(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |session| session.login("ann").expect("it is open"));
    let request = Request::opened(world, &manager, &commits, Some(&stored.id)).may_fail(GONE);
    world.at_once(manager.revoke_all(&principal("ann"))).expect("nothing fails at once");
    let told_ok = Rc::<Cell<bool>>::default();
    for (name, token) in [("one", 1), ("other", 2)] {
        let (clone, told_ok) = (request.clone(), told_ok.clone());
        world.task(name, &manager, async move |task| {
            if clone.session.update("tokens", move |tokens: &mut Vec<u32>| tokens.push(token)).is_ok() {
                task.step().await;
                told_ok.set(told_ok.get() || clone.save_until_answered(&task).await.is_done());
                task.world.note(("told ok", told_ok.get()));
            }
        });
    }
    Box::new(move |world| {
        if told_ok.get() {
            world.violated("errors.documented", "a clone's save is confirmed, and its change was dropped");
        }
    })
}

fn late_create(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let request = Request::opened(world, &manager, &commits, None);
    let last = request.clone();
    let revoked = Rc::<Cell<bool>>::default();
    let confirmed = revoked.clone();
    world.task("signs in", &manager, async move |task| {
        request.session.login("ann").expect("it is open");
        if !request.close_until_answered(&task).await.is_done() {
            return;
        }
        confirmed.set(task.manager.revoke_all(&principal("ann")).await.is_ok());
    });
    Box::new(move |world| {
        let held = if revoked.get() { None } else { key_of(&last) };
        check_no_ghosts(world, held.as_slice());
    })
}

fn login_beside_a_logout(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |_| ());
    let login = Request::opened(world, &manager, &commits, Some(&stored.id)).may_fail(GONE);
    let logout = Request::opened(world, &manager, &commits, Some(&stored.id));
    let (signed_in, ended) = (login.clone(), Rc::<Cell<bool>>::default());
    let unclear = Rc::<Cell<bool>>::default();
    let (confirmed, unknown) = (ended.clone(), unclear.clone());
    world.task("signs in", &manager, async move |task| {
        login.session.login("ann").expect("it is open");
        let answer = login.close_until_answered(&task).await;
        unknown.set(!answer.is_done() && !answer.is(ErrorKind::Gone));
    });
    world.task("signs out", &manager, async move |task| {
        logout.logout(&task);
        confirmed.set(logout.close_until_answered(&task).await.is_done());
    });
    Box::new(move |world| {
        if unclear.get() {
            return;
        }
        let held = if ended.get() { None } else { key_of(&signed_in) };
        let held: Vec<_> = held.into_iter().chain((!ended.get()).then_some(stored.key)).collect();
        check_no_ghosts(world, &held);
    })
}

fn save_beside_an_abandoned_request(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |_| ());
    let outlives = Request::opened(world, &manager, &commits, Some(&stored.id)).may_fail(GONE);
    let request = outlives.clone().may_fail(&[]);
    world.task("outlives", &manager, async move |task| {
        outlives.push(&task, 1);
        if outlives.save_until_answered(&task).await.is(ErrorKind::Gone) {
            outlives.discard(&task);
        }
        outlives.push(&task, 2);
        outlives.save_until_answered(&task).await;
    });
    world.task("abandons", &manager, async move |task| {
        task.step().await;
        request.session.abandon();
        task.show(|| "abandon".to_owned());
        // Its confirmation is no answer for what the other task has pushed.
        let _ = task.droppable(task.manager.close(&request.session)).await;
    });
    Box::new(move |world| commits.check(world, stored.key))
}

fn logout_taken_back(world: &World, reloads: bool) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |_| ());
    let request = Request::opened(world, &manager, &commits, Some(&stored.id));
    let told = Rc::<Cell<bool>>::default();
    let cleared = told.clone();
    world.task("logs out", &manager, async move |task| {
        request.logout(&task);
        if reloads {
            let _ = request.session.reload().await;
        } else {
            request.discard(&task);
        }
        cleared.set(matches!(request.close(&task).await, CommitResult::Done(Commit::Clear)));
    });
    Box::new(move |world| {
        if told.get() && world.session_at(stored.key).is_some() {
            world.violated("browser.follows", "the client is told to forget a session that is open");
        }
    })
}
