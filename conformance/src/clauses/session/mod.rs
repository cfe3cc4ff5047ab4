//! Clauses about sessions of a [`Manager`] over the store.

use session_core::{Codec, Commit, ErrorKind, Manager, ManualClock, Opened, Session, SessionId, StoreKey, days, hours};

use crate::check::{ensure, ok};
use crate::clause::clause;
use crate::context::Instance;
use crate::gate::Gate;
use crate::{Clause, Context, Failure, Verdict};

mod commit;
mod conflict;
mod expiry;
mod identity;
mod logout;
mod principals;
mod unknown;

pub(super) const CLAUSES: &[Clause] = &[
    clause!(
        "session.lazy",
        [],
        commit::lazy,
        "Opening, reading and an empty new session store nothing, and an unknown id is never adopted."
    ),
    clause!(
        "session.no-op",
        [],
        commit::no_op,
        "A commit that leaves a session as it is creates and saves nothing, and does not lose a value that another request has removed meanwhile."
    ),
    clause!(
        "session.time-outs",
        [],
        expiry::changed,
        "Today's time-outs count, whatever they were when the session was stored: a shorter one at once, a longer one after one more use."
    ),
    clause!(
        "session.replay",
        [],
        conflict::replay,
        "Writers of different keys both win, `update` and `flash` run again on the newer record, and 64 concurrent updates of one session over two instances all count."
    ),
    clause!(
        "session.clash",
        [],
        conflict::clash,
        "A value read, then written, and changed meanwhile is a Conflict that names its key; the same value, a peek and a blind write are none."
    ),
    clause!(
        "session.flash-two-readers",
        [],
        conflict::flash_two_readers,
        "Of two requests that show flashes each removes what it saw, and a message added meanwhile stays."
    ),
    clause!(
        "session.identity",
        [],
        identity::identity,
        "After another request's login, logout or rotation pending writes are Gone under every conflict policy."
    ),
    clause!(
        "session.gone",
        [],
        identity::gone,
        "Writes to a session that was revoked meanwhile are Gone, and a touch of it is no error."
    ),
    clause!(
        "session.rotate",
        [],
        identity::rotate,
        "A rotation leaves no instant without a usable session and loses no save made in between; the old id then gives no data and sets no cookie."
    ),
    clause!(
        "session.login-race",
        [],
        identity::login_race,
        "Two logins at once both end signed in, none with the other's data, and a login on a session that ended starts clean."
    ),
    clause!(
        "session.logout-races",
        [],
        logout::races,
        "A logout beats saves, rotations and logins of the same session in flight: nothing of that chain stays live."
    ),
    clause!(
        "session.revoke-all",
        [ByPrincipal],
        principals::revoke_all,
        "Every session of a principal but the excepted one is gone after `revoke_all`, those that were being rotated included."
    ),
    clause!(
        "session.list",
        [ByPrincipal],
        principals::list,
        "`sessions_of` lists where a principal is signed in, and `revoke` ends only a session of that principal."
    ),
    clause!(
        "session.expiry",
        [],
        expiry::expiry,
        "Idle, absolute and own time-outs hold, survive saves of other requests, and a stale touch never outlives the absolute one."
    ),
    clause!(
        "session.commit",
        [],
        commit::commit,
        "An explicit save still announces its cookie, two clones that commit at once store once, and a commit dropped half-way loses no operation."
    ),
    clause!(
        "session.unknown-outcome",
        [],
        unknown::unknown_outcome,
        "With replies lost no update is ever applied twice, and no error is reported as success."
    ),
];

/// Two processes over one namespace, each with its own manager. The store of `a` is behind a gate.
struct Web {
    a: Manager,
    b: Manager,
    /// Gate around the store of `a`.
    gate: Gate,
    clock: ManualClock,
}

impl Web {
    async fn of(cx: &Context) -> Result<Self, Failure> {
        let (a, b) = cx.pair().await?;
        let gate = Gate::around(a);
        let clock = ManualClock::new(cx.now());
        let [of_a, of_b] = cx.subject().codecs;
        Ok(Self { a: manager(gate.clone(), &clock, of_a)?, b: manager(b, &clock, of_b)?, gate, clock })
    }

    fn clock_now(&self) -> session_core::Timestamp {
        session_core::Clock::now(&self.clock)
    }

    /// Stores an anonymous session with `n` = 1. Returns its cookie.
    async fn visitor(&self) -> Result<String, Failure> {
        let session = self.b_opens(None).await?;
        ok(session.insert("n", &1), "inserting into a new session")?;
        issued(&self.b, &session).await
    }

    /// Stores a session of `who` with `n` = 1. Returns its cookie.
    async fn member(&self, who: &str) -> Result<String, Failure> {
        let session = self.b_opens(None).await?;
        ok(session.insert("n", &1), "inserting into a new session")?;
        ok(session.login(who), "login")?;
        issued(&self.b, &session).await
    }

    async fn a_opens(&self, cookie: &str) -> Result<Session, Failure> {
        resumed(&self.a, cookie).await
    }

    async fn b_opens(&self, cookie: Option<&str>) -> Result<Session, Failure> {
        match cookie {
            Some(cookie) => resumed(&self.b, cookie).await,
            None => ok(self.b.open(None).await, "opening without a cookie"),
        }
    }

    /// Returns how a further request with this cookie finds the session.
    async fn opened(&self, cookie: &str) -> Result<Opened, Failure> {
        Ok(ok(self.b.open(Some(cookie)).await, "opening")?.opened())
    }

    /// Returns the number under `key`, as a further request sees it.
    async fn number(&self, cookie: &str, key: &str) -> Result<Option<u64>, Failure> {
        ok(self.b_opens(Some(cookie)).await?.peek(key), "reading a number")
    }
}

fn manager(store: impl session_core::Store, clock: &ManualClock, codec: Codec) -> Result<Manager, Failure> {
    let builder = Manager::builder(store).codec(codec).name("conformance").idle(hours(1)).absolute(hours(24));
    ok(builder.max_idle(days(30)).max_absolute(days(60)).clock(clock.clone()).build(), "building a manager")
}

/// Opens the session of `cookie`, which must be live.
async fn resumed(manager: &Manager, cookie: &str) -> Result<Session, Failure> {
    let session = ok(manager.open(Some(cookie)).await, "opening")?;
    ensure!(session.opened() == Opened::Resumed, "the session should be live, it opens as {:?}", session.opened());
    Ok(session)
}

/// Closes a session whose client needs a new cookie. Returns the cookie.
async fn issued(manager: &Manager, session: &Session) -> Result<String, Failure> {
    match ok(manager.close(session).await, "closing")? {
        Commit::Issue(ticket) => Ok(ticket.value.as_str().to_owned()),
        other => Err(Failure::new(format!("the commit should issue a cookie, is {other:?}"))),
    }
}

/// Closes a session whose client must not get a cookie.
async fn closes_quietly(manager: &Manager, session: &Session, what: &str) -> Verdict {
    let commit = ok(manager.close(session).await, format_args!("{what}: closing"))?;
    ensure!(commit == Commit::Unchanged, "{what}: the commit should set no cookie, is {commit:?}");
    Ok(())
}

/// Checks that a save is refused with this kind.
async fn refused(session: &Session, kind: ErrorKind, what: &str) -> Verdict {
    crate::check::errs(session.save().await, kind, what)
}

/// Returns the store key of `cookie`.
fn key_of(cookie: &str) -> Result<StoreKey, Failure> {
    let id = SessionId::parse(cookie).ok_or_else(|| Failure::new("a cookie's value is no id"))?;
    Ok(StoreKey::derive("conformance", &id))
}

/// Returns an instance without a gate, to see the stored records.
async fn bare(cx: &Context, web: &Web) -> Result<Instance, Failure> {
    if cx.can().shared { cx.one().await } else { Ok(web.b.store().clone()) }
}
