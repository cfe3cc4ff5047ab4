//! Programs with logins beside other requests of the same browser.

use std::cell::RefCell;
use std::rc::Rc;

use session_conformance::explore::{Check, Commits, Faults, Program, Request, World};
use session_core::{ErrorKind, Session, hours};

use super::setup::{GONE, TOUCH_DUE, check_no_ghosts, check_signed_in, key_of, principal, stored};

pub(super) fn all() -> Vec<Program> {
    vec![
        Program {
            name: "read beside a login",
            about: "a page that only reads closes at any moment around a login, and both answer the browser",
            faults: Faults::NONE,
            start: |world| beside_a_login(world, Page::Reads),
        },
        Program {
            name: "save, then close, beside a login",
            about: "a page saves by hand and closes later, at any moment around a login",
            faults: Faults::NONE,
            start: |world| beside_a_login(world, Page::Saves),
        },
        Program {
            name: "short cookie beside a login",
            about: "the same, where a cookie is sent again whenever the session's expiry moves",
            faults: Faults::NONE,
            start: |world| beside_a_login(world, Page::SavesUnderAShortCookie),
        },
        Program {
            name: "end of a persistent cookie beside a login",
            about: "a page saves by hand that the cookie is to end with the browser, and closes later, around a login",
            faults: Faults::NONE,
            start: |world| beside_a_login(world, Page::EndsWithTheBrowser),
        },
        Program {
            name: "early login beside a logout",
            about: "a page signs in, saves by hand and closes later, around a logout in another request of the browser",
            faults: Faults { lost: 1, dropped: 0, clock: &[] },
            start: early_login_beside_a_logout,
        },
        Program {
            name: "login while closing",
            about: "one clone logs in while another closes the handle",
            faults: Faults::NONE,
            start: login_while_closing,
        },
        Program {
            name: "login beside a rotation",
            about: "one clone logs in while another rotates, with one dropped future",
            faults: Faults { lost: 0, dropped: 1, clock: &[] },
            start: login_beside_a_rotation,
        },
        Program {
            name: "dropped save, then close, beside a login",
            about: "a save that asks for another cookie is dropped, and the close that finds it stored runs beside a login",
            faults: Faults { lost: 1, dropped: 1, clock: &[] },
            start: |world| beside_a_login(world, Page::DropsASave),
        },
        Program {
            name: "clone's save and close, beside a login",
            about: "one clone saves what needs another cookie, another clone closes, and another request signs in",
            faults: Faults::NONE,
            start: clones_beside_a_login,
        },
        Program {
            name: "a guest's choice beside a login",
            about: "one request of a guest asks for a cookie that outlives the browser while another signs in",
            faults: Faults::ANY,
            start: choice_beside_a_login,
        },
        Program {
            name: "take and login, twice",
            about: "two requests take a one-time value and sign in",
            faults: Faults::NONE,
            start: take_and_login,
        },
        Program {
            name: "login with a lost answer",
            about: "a login with one lost answer and one dropped future, tried until it is answered",
            faults: Faults::ANY,
            start: login_with_faults,
        },
    ]
}

/// Operation of the page beside a login, before it closes.
#[derive(Clone, Copy, PartialEq)]
enum Page {
    Reads,
    Saves,
    SavesUnderAShortCookie,
    EndsWithTheBrowser,
    DropsASave,
}

fn beside_a_login(world: &World, what: Page) -> Check {
    let mut manager = world.process(|builder| builder);
    if what == Page::SavesUnderAShortCookie {
        manager = manager.idle_at_most(hours(1));
    }
    let commits = Commits::default();
    let stored = stored(world, &manager, |session| session.set_persistent(true).expect("it is open"));
    world.advance(TOUCH_DUE);
    let page = Request::opened(world, &manager, &commits, Some(&stored.id)).may_fail(GONE);
    let login = Request::opened(world, &manager, &commits, Some(&stored.id));
    world.task("page", &manager, async move |task| {
        let _: Option<Vec<u32>> = page.session.get("tokens").expect("it is a list");
        if what != Page::Reads {
            page.push(&task, 1);
            if matches!(what, Page::EndsWithTheBrowser | Page::DropsASave) {
                page.session.set_persistent(false).expect("it is open");
            }
            if what == Page::DropsASave {
                page.save(&task).await;
            } else {
                page.save_until_answered(&task).await;
            }
            task.step().await;
        }
        page.close_until_answered(&task).await;
    });
    let signed_in = login.clone();
    world.task("login", &manager, async move |task| {
        login.session.login("ann").expect("it is open");
        login.close_until_answered(&task).await;
    });
    Box::new(move |world| {
        check_signed_in(world, &signed_in, "ann");
        // A server cannot prevent that the page's answer is sent before the login begins and arrives after it.
        // Every request checks that its id opened a session when its close began.
        if !matches!(what, Page::EndsWithTheBrowser | Page::DropsASave) {
            check_browser_is(world, "ann");
        }
    })
}

fn clones_beside_a_login(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |session| session.set_persistent(true).expect("it is open"));
    let saver = Request::opened(world, &manager, &commits, Some(&stored.id)).may_fail(GONE);
    let closer = saver.clone();
    let login = Request::opened(world, &manager, &commits, Some(&stored.id));
    let signed_in = login.clone();
    world.task("saves", &manager, async move |task| {
        saver.session.set_persistent(false).expect("it is open");
        saver.save(&task).await;
    });
    world.task("closes", &manager, async move |task| {
        task.step().await;
        closer.close_until_answered(&task).await;
    });
    world.task("login", &manager, async move |task| {
        login.session.login("ann").expect("it is open");
        login.close_until_answered(&task).await;
    });
    Box::new(move |world| check_signed_in(world, &signed_in, "ann"))
}

fn early_login_beside_a_logout(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |_| ());
    let page = Request::opened(world, &manager, &commits, Some(&stored.id)).may_fail(GONE);
    let other = Request::opened(world, &manager, &commits, Some(&stored.id));
    world.task("page", &manager, async move |task| {
        page.session.login("ann").expect("it is open");
        page.save_until_answered(&task).await;
        task.step().await;
        page.close_until_answered(&task).await;
    });
    world.task("logout", &manager, async move |task| {
        other.logout(&task);
        other.close_until_answered(&task).await;
    });
    // Every request checks the answer of its own close.
    Box::new(|_| ())
}

/// Checks the promise `browser.follows`: the browser's cookie opens a session of `who`.
fn check_browser_is(world: &World, who: &str) {
    let manager = world.process(|builder| builder);
    let cookie = world.cookie();
    let opened: Session = world.at_once(manager.open(cookie.as_deref())).expect("nothing fails at once");
    if opened.principal() != Some(principal(who)) {
        world.violated(
            "browser.follows",
            format!("after a confirmed login the browser's session is {:?}", opened.opened()),
        );
    }
}

fn login_while_closing(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |_| ());
    world.advance(TOUCH_DUE);
    let request = Request::opened(world, &manager, &commits, Some(&stored.id));
    let (clone, accepted) = (request.clone(), Rc::<RefCell<bool>>::default());
    let (login, last) = (accepted.clone(), request.clone());
    world.task("closes", &manager, async move |task| {
        request.close_until_answered(&task).await;
    });
    world.task("logs in", &manager, async move |task| {
        task.step().await;
        *login.borrow_mut() = clone.session.login("ann").is_ok();
        task.show(|| format!("login: {}", login.borrow()));
    });
    Box::new(move |world| {
        if *accepted.borrow() {
            check_signed_in(world, &last, "ann");
        }
    })
}

fn login_beside_a_rotation(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |_| ());
    let request = Request::opened(world, &manager, &commits, Some(&stored.id));
    let (clone, last) = (request.clone(), request.clone());
    // Keys under which the session was stored without the login.
    let before = Rc::<RefCell<Vec<_>>>::default();
    let rotated = before.clone();
    world.task("rotates", &manager, async move |task| {
        if request.session.rotate().is_err() {
            return; // the other clone has closed the handle
        }
        request.save(&task).await;
        let anonymous = task.world.live_sessions().into_iter().filter(|(_, record)| record.principal.is_none());
        rotated.borrow_mut().extend(anonymous.map(|(key, _)| key));
    });
    world.task("logs in", &manager, async move |task| {
        task.step().await;
        clone.session.login("ann").expect("it is open");
        clone.close_until_answered(&task).await;
    });
    Box::new(move |world| {
        check_signed_in(world, &last, "ann");
        let key = key_of(&last);
        if before.borrow().iter().any(|before| Some(*before) == key) {
            world.violated("login.new-id", "the id of the session that is signed in is one of before the login");
        }
        check_no_ghosts(world, key.as_slice());
    })
}

fn choice_beside_a_login(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |_| ());
    let guest = Request::opened(world, &manager, &commits, Some(&stored.id)).may_fail(GONE);
    let login = Request::opened(world, &manager, &commits, Some(&stored.id));
    let signed_in = login.clone();
    world.task("guest", &manager, async move |task| {
        guest.session.set_persistent(true).expect("it is open");
        guest.save_until_answered(&task).await;
    });
    let done = Rc::<RefCell<bool>>::default();
    let answered = done.clone();
    world.task("login", &manager, async move |task| {
        login.session.login("ann").expect("it is open");
        *answered.borrow_mut() = login.close_until_answered(&task).await.is_done();
    });
    Box::new(move |world| {
        if !*done.borrow() {
            return;
        }
        check_signed_in(world, &signed_in, "ann");
        let opened = world.at_once(manager.open(world.cookie().as_deref())).expect("nothing fails at once");
        if opened.is_persistent() {
            world.violated("login.policy", "a guest's choice rules the account's session");
        }
    })
}

fn take_and_login(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |session| session.insert("ticket", &7).expect("it is small"));
    let got = Rc::<RefCell<u32>>::default();
    for (name, who) in [("ann", "ann"), ("bob", "bob")] {
        let request = Request::opened(world, &manager, &commits, Some(&stored.id));
        let request = request.may_fail(&[ErrorKind::Gone, ErrorKind::Conflict]);
        let got = got.clone();
        world.task(name, &manager, async move |task| {
            let ticket: Option<u32> = request.session.take("ticket").expect("it is a number");
            request.session.login(who).expect("it is open");
            if request.close_until_answered(&task).await.is_done() && ticket.is_some() {
                *got.borrow_mut() += 1;
            }
        });
    }
    Box::new(move |world| {
        let got = *got.borrow();
        if got > 1 {
            world.violated("take.once", format!("{got} confirmed requests took one value"));
        }
    })
}

fn login_with_faults(world: &World) -> Check {
    let manager = world.process(|builder| builder);
    let commits = Commits::default();
    let stored = stored(world, &manager, |_| ());
    let request = Request::opened(world, &manager, &commits, Some(&stored.id));
    let signed_in = request.clone();
    let answered = Rc::<RefCell<bool>>::default();
    let done = answered.clone();
    world.task("login", &manager, async move |task| {
        request.session.login("ann").expect("it is open");
        request.push(&task, 1);
        *done.borrow_mut() = request.close_until_answered(&task).await.is_done();
    });
    Box::new(move |world| {
        if !*answered.borrow() {
            return;
        }
        check_signed_in(world, &signed_in, "ann");
        check_browser_is(world, "ann");
        commits.check(world, stored.key);
        let held = key_of(&signed_in);
        check_no_ghosts(world, held.as_slice());
    })
}
