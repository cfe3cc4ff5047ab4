//! Sessions, requests and checks that programs share.

use std::time::Duration;

use session_conformance::explore::{Commits, Request, World};
use session_core::{Commit, ErrorKind, Manager, Principal, StoreKey, minutes};

/// A session that was stored before the program begins.
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) key: StoreKey,
}

/// Stores a session with an empty list of tokens and the changes of `fill`. The browser gets its cookie.
pub(super) fn stored(world: &World, manager: &Manager, fill: impl FnOnce(&session_core::Session)) -> Stored {
    let session = world.at_once(manager.open(None)).expect("nothing is loaded");
    session.insert("tokens", &Vec::<u32>::new()).expect("it is small");
    fill(&session);
    let Ok(Commit::Issue(ticket)) = world.at_once(manager.close(&session)) else { panic!("a new session is issued") };
    let id = ticket.value.as_str().to_owned();
    world.set_cookie(Some(id.clone()));
    Stored { id, key: *session.handle().expect("it is stored").key() }
}

/// Pushes a confirmed token from another request of `manager`'s process, so that requests opened before meet a conflict.
pub(super) fn push_at_once(world: &World, manager: &Manager, commits: &Commits, stored: &Stored, token: u32) {
    let session = world.at_once(manager.open(Some(&stored.id))).expect("nothing fails at once");
    session.update("tokens", move |tokens: &mut Vec<u32>| tokens.push(token)).expect("it is small");
    let _told = world.at_once(session.save()).expect("nothing fails at once");
    commits.confirm([token]);
}

pub(super) fn principal(who: &str) -> Principal {
    Principal::new(who).expect("a name")
}

/// Checks the promise `login.kept`: the session of `request` is live and belongs to `who`.
pub(super) fn check_signed_in(world: &World, request: &Request, who: &str) {
    let live = world.live_sessions();
    let key = request.session.handle().map(|handle| *handle.key());
    let kept = live.iter().any(|(at, record)| Some(*at) == key && record.principal == Some(principal(who)));
    if !kept {
        world.violated("login.kept", "a confirmed login is not stored");
    }
}

/// Checks the promise `ghosts`: no session is live except under these keys.
pub(super) fn check_no_ghosts(world: &World, held: &[StoreKey]) {
    let ghosts = world.live_sessions().into_iter().filter(|(key, _)| !held.contains(key)).count();
    if ghosts > 0 {
        world.violated("ghosts", format!("{ghosts} live sessions whose id no client has"));
    }
}

pub(super) fn key_of(request: &Request) -> Option<StoreKey> {
    request.session.handle().map(|handle| *handle.key())
}

/// Late enough that a session that is only read is touched.
pub(super) const TOUCH_DUE: Duration = minutes(10);

pub(super) const GONE: &[ErrorKind] = &[ErrorKind::Gone];

/// Adds a task of another process that opens the session and pushes a token until it is confirmed.
pub(super) fn other_process_pushes(world: &World, elsewhere: &Manager, commits: &Commits, stored: &Stored) {
    let (id, commits) = (stored.id.clone(), commits.clone());
    world.task("other process", elsewhere, async move |task| {
        let Some(request) = Request::open(&task, &commits, Some(&id)).await else { return };
        request.push(&task, 200);
        request.save_until_answered(&task).await;
    });
}
