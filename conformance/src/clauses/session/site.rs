//! A site served by two processes, each with its own manager over the store.

use session_core::{Codec, Commit, ErrorKind, Manager, ManualClock, Opened, Session, SessionId, StoreKey, days, hours};

use crate::check::{ensure, errs, ok};
use crate::context::Instance;
use crate::gate::Gate;
use crate::{Context, Failure, Verdict};

/// Two processes over one namespace, each with its own manager. The store of `a` is behind a gate.
pub(super) struct Site {
    pub(super) a: Manager,
    pub(super) b: Manager,
    /// Gate around the store of `a`.
    pub(super) gate: Gate,
    pub(super) clock: ManualClock,
}

impl Site {
    pub(super) async fn of(cx: &Context) -> Result<Self, Failure> {
        let (a, b) = cx.pair().await?;
        let gate = Gate::around(a);
        let clock = ManualClock::new(cx.now());
        let [of_a, of_b] = cx.subject().codecs;
        Ok(Self { a: manager(gate.clone(), &clock, of_a)?, b: manager(b, &clock, of_b)?, gate, clock })
    }

    pub(super) fn clock_now(&self) -> session_core::Timestamp {
        session_core::Clock::now(&self.clock)
    }

    /// Stores an anonymous session with `n` = 1. Returns its cookie.
    pub(super) async fn visitor(&self) -> Result<String, Failure> {
        let session = self.b_opens(None).await?;
        ok(session.insert("n", &1), "inserting into a new session")?;
        issued(&self.b, &session).await
    }

    /// Stores a session of `who` with `n` = 1. Returns its cookie.
    pub(super) async fn member(&self, who: &str) -> Result<String, Failure> {
        let session = self.b_opens(None).await?;
        ok(session.insert("n", &1), "inserting into a new session")?;
        ok(session.login(who), "login")?;
        issued(&self.b, &session).await
    }

    pub(super) async fn a_opens(&self, cookie: &str) -> Result<Session, Failure> {
        resumed(&self.a, cookie).await
    }

    pub(super) async fn b_opens(&self, cookie: Option<&str>) -> Result<Session, Failure> {
        match cookie {
            Some(cookie) => resumed(&self.b, cookie).await,
            None => ok(self.b.open(None).await, "opening without a cookie"),
        }
    }

    /// Returns how a further request with this cookie finds the session.
    pub(super) async fn opened(&self, cookie: &str) -> Result<Opened, Failure> {
        Ok(ok(self.b.open(Some(cookie)).await, "opening")?.opened())
    }

    /// Returns the number under `key`, as a further request sees it.
    pub(super) async fn number(&self, cookie: &str, key: &str) -> Result<Option<u64>, Failure> {
        ok(self.b_opens(Some(cookie)).await?.peek(key), "reading a number")
    }
}

fn manager(store: impl session_core::Store, clock: &ManualClock, codec: Codec) -> Result<Manager, Failure> {
    let builder = Manager::builder(store).codec(codec).name("conformance").idle(hours(1)).absolute(hours(24));
    ok(builder.max_idle(days(30)).max_absolute(days(60)).clock(clock.clone()).build(), "building a manager")
}

/// Opens the session of `cookie`, which must be live.
pub(super) async fn resumed(manager: &Manager, cookie: &str) -> Result<Session, Failure> {
    let session = ok(manager.open(Some(cookie)).await, "opening")?;
    ensure!(session.opened() == Opened::Resumed, "the session should be live, it opens as {:?}", session.opened());
    Ok(session)
}

/// Closes a session whose client needs a new cookie. Returns the cookie.
pub(super) async fn issued(manager: &Manager, session: &Session) -> Result<String, Failure> {
    match ok(manager.close(session).await, "closing")? {
        Commit::Issue(ticket) => Ok(ticket.value.as_str().to_owned()),
        other => Err(Failure::new(format!("the commit should issue a cookie, is {other:?}"))),
    }
}

/// Closes a session whose client must not get a cookie.
pub(super) async fn closes_quietly(manager: &Manager, session: &Session, what: &str) -> Verdict {
    let commit = ok(manager.close(session).await, format_args!("{what}: closing"))?;
    ensure!(commit == Commit::Unchanged, "{what}: the commit should set no cookie, is {commit:?}");
    Ok(())
}

/// Checks that a save is refused with this kind.
pub(super) async fn refused(session: &Session, kind: ErrorKind, what: &str) -> Verdict {
    errs(session.save().await, kind, what)
}

/// Returns the store key of `cookie`.
pub(super) fn key_of(cookie: &str) -> Result<StoreKey, Failure> {
    let id = SessionId::parse(cookie).ok_or_else(|| Failure::new("a cookie's value is no id"))?;
    Ok(StoreKey::derive("conformance", &id))
}

/// Returns an instance without a gate, to see the stored records.
pub(super) async fn bare(cx: &Context, site: &Site) -> Result<Instance, Failure> {
    if cx.can().shared { cx.one().await } else { Ok(site.b.store().clone()) }
}
