//! Clauses about sessions whose principal or id changes during other requests.

use session_core::{Commit, ConflictPolicy, ErrorKind, Manager, Opened, Session, hours};

use super::site::{Site, bare, closes_quietly, issued, key_of, refused, resumed};
use crate::check::{ensure, errs, is, ok};
use crate::gate::{Operation, Point};
use crate::{Context, Failure, Verdict};

/// A change of the session's principal or id.
type Change = fn(&Session) -> session_core::Result<()>;

pub(super) async fn identity(cx: Context) -> Verdict {
    let site = Site::of(&cx).await?;
    for policy in [ConflictPolicy::Replay, ConflictPolicy::Reject, ConflictPolicy::Overwrite] {
        let builder = Manager::builder(site.gate.clone()).name("conformance").idle(hours(1)).conflicts(policy);
        let builder = builder.codec(cx.subject().codecs[0]);
        let manager = ok(builder.clock(site.clock.clone()).build(), "building a manager")?;
        let changes: [(&str, Change); 4] = [
            ("login", |session| session.login("bob")),
            ("logout", |session| {
                session.logout();
                Ok(())
            }),
            ("rotation", Session::rotate),
            ("reauthentication", Session::reauthenticate),
        ];
        for (change, make) in changes {
            let what = format!("a write under {policy:?} after another request's {change}");
            let cookie = site.member("ann").await?;
            let late = resumed(&manager, &cookie).await?;
            ok(late.insert("late", &1), "insert")?;
            let other = site.b_opens(Some(&cookie)).await?;
            ok(make(&other), change)?;
            let told = ok(site.b.close(&other).await, change)?;
            refused(&late, ErrorKind::Gone, &what).await?;
            errs(late.insert("later", &1), ErrorKind::Gone, &what)?;
            refused(&late.clone(), ErrorKind::Gone, &format!("{what}, said to another clone")).await?;
            late.discard();
            closes_quietly(&manager, &late, &what).await?;
            if let Commit::Issue(ticket) = told {
                let n = site.number(ticket.value.as_str(), "late").await?;
                ensure!(n.is_none(), "{what} should not reach the new session, there it is {n:?}");
            }
        }
    }
    Ok(())
}

pub(super) async fn gone(cx: Context) -> Verdict {
    let site = Site::of(&cx).await?;
    let store = bare(&cx, &site).await?;
    let cookie = site.visitor().await?;
    let writer = site.a_opens(&cookie).await?;
    let reader = site.a_opens(&cookie).await?;
    ok(writer.insert("n", &2), "insert")?;
    is(store.delete(&cx.call(), &key_of(&cookie)?, None).await, session_core::Outcome::Done, "revoking the session")?;

    refused(&writer, ErrorKind::Gone, "a save of a session that was revoked meanwhile").await?;
    errs(writer.insert("n", &3), ErrorKind::Gone, "a write after that")?;
    writer.discard();
    ok(reader.touch().await, "a touch of a session that was revoked meanwhile")?;
    site.clock.advance(hours(1) / 2);
    closes_quietly(&site.a, &reader, "a session that was only read and revoked meanwhile").await?;
    let opened = site.opened(&cookie).await?;
    ensure!(opened == Opened::Unknown, "a revoked session should stay gone, it opens as {opened:?}");
    Ok(())
}

pub(super) async fn rotate(cx: Context) -> Verdict {
    let site = Site::of(&cx).await?;
    let old = site.member("ann").await?;

    let session = site.a_opens(&old).await?;
    ok(session.rotate(), "rotate")?;
    let held = site.gate.hold(Operation::Save, Point::Before);
    let rotating = tokio::spawn({
        let (manager, session) = (site.a.clone(), session.clone());
        async move { manager.close(&session).await }
    });
    held.arrived().await;
    // During the rotation the old id still works, and a save under it is not lost.
    let other = site.b_opens(Some(&old)).await?;
    ok(other.insert("between", &5), "insert")?;
    let _commit = ok(other.save().await, "a save in the middle of a rotation")?;
    held.release();
    let commit = rotating.await.map_err(|error| Failure::new(error.to_string()))?;
    let Commit::Issue(ticket) = ok(commit, "the rotation")? else {
        return Err(Failure::new("a rotation should issue a cookie"));
    };
    let new = ticket.value.as_str();
    ensure!(new != old, "a rotation should give a new id");
    let between = site.number(new, "between").await?;
    ensure!(between == Some(5), "a save in the middle of a rotation should not be lost, there is {between:?}");
    let principal = site.b_opens(Some(new)).await?.principal();
    ensure!(principal.is_some_and(|who| who.as_str() == "ann"), "who is signed in should stay so");

    dead(&site, &old).await?;
    if cx.can().by_principal {
        let ann = crate::context::principal("ann")?;
        let list = ok(site.b.sessions_of(&ann, None).await, "sessions_of")?;
        ensure!(list.len() == 1, "a rotation should leave one session, it leaves {}", list.len());
    }
    Ok(())
}

/// Checks that the old id of a session gives no data, accepts none, and sets no cookie.
async fn dead(site: &Site, old: &str) -> Verdict {
    let session = ok(site.b.open(Some(old)).await, "opening the old id")?;
    let opened = session.opened();
    ensure!(opened == Opened::Moved, "the old id should open as Moved, opens as {opened:?}");
    ensure!(
        session.keys().is_empty() && session.principal().is_none() && session.is_new(),
        "the old id should give no data: {session:?}"
    );
    errs(session.insert("n", &1), ErrorKind::Gone, "a write under the old id")?;
    closes_quietly(&site.b, &session, "a request with the old id").await
}

pub(super) async fn login_race(cx: Context) -> Verdict {
    let site = Site::of(&cx).await?;
    let cookie = site.visitor().await?;
    let (one, late) = (site.a_opens(&cookie).await?, site.b_opens(Some(&cookie)).await?);
    for (session, who) in [(&one, "ann"), (&late, "bob")] {
        ok(session.login(who), "login")?;
        ok(session.insert("mine", who), "insert")?;
    }
    let cookies = [issued(&site.a, &one).await?, issued(&site.b, &late).await?];
    for (cookie, who) in cookies.iter().zip(["ann", "bob"]) {
        let session = site.b_opens(Some(cookie)).await?;
        let principal = session.principal();
        ensure!(principal.as_ref().is_some_and(|p| p.as_str() == who), "{who} should be signed in, {principal:?} is");
        let mine: Option<String> = ok(session.peek("mine"), "peek")?;
        ensure!(mine.as_deref() == Some(who), "{who} should have their own data, has {mine:?}");
    }
    let opened = site.opened(&cookie).await?;
    ensure!(opened == Opened::Moved, "the id before both logins should be dead, it opens as {opened:?}");

    // The first login keeps the anonymous values, the second starts without them.
    let n = [site.number(&cookies[0], "n").await?, site.number(&cookies[1], "n").await?];
    ensure!(n == [Some(1), None], "the anonymous session's values should go to one login, they are at {n:?}");
    on_ended(&site).await?;
    on_revoked(&cx, &site).await
}

async fn on_ended(site: &Site) -> Verdict {
    let cookie = site.member("ann").await?;
    let session = site.b_opens(Some(&cookie)).await?;
    session.logout();
    let commit = ok(site.b.close(&session).await, "logout")?;
    ensure!(commit == Commit::Clear, "a logout should clear the cookie, is {commit:?}");

    let session = ok(site.a.open(Some(&cookie)).await, "opening an ended session")?;
    ensure!(session.opened() == Opened::Ended, "a session after its logout should be Ended, is {:?}", session.opened());
    ok(session.login("bob"), "login on a session that ended")?;
    let new = issued(&site.a, &session).await?;
    clean(site, &new).await
}

async fn on_revoked(cx: &Context, site: &Site) -> Verdict {
    let cookie = site.member("ann").await?;
    let session = site.a_opens(&cookie).await?;
    ok(session.login("bob"), "login")?;
    let store = bare(cx, site).await?;
    is(store.delete(&cx.call(), &key_of(&cookie)?, None).await, session_core::Outcome::Done, "revoking the session")?;
    let new = issued(&site.a, &session).await?;
    clean(site, &new).await
}

/// Checks that bob is signed in under `cookie`, without another session's data.
async fn clean(site: &Site, cookie: &str) -> Verdict {
    let session = site.b_opens(Some(cookie)).await?;
    let (who, keys) = (session.principal(), session.keys());
    ensure!(who.as_ref().is_some_and(|p| p.as_str() == "bob"), "bob should be signed in, {who:?} is");
    ensure!(keys.is_empty(), "a login on a session that is gone should start clean, it has {keys:?}");
    Ok(())
}
