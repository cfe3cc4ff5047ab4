//! Clauses about when a session is stored and what the client gets.

use std::pin::pin;

use session_core::{Commit, Manager, Opened, SessionId};

use super::site::{Site, bare, closes_quietly, issued, key_of, resumed};
use crate::check::{at_once, ensure, ok, shows};
use crate::gate::{Operation, Point};
use crate::{Context, Failure, Verdict};

pub(super) async fn lazy(cx: Context) -> Verdict {
    let site = Site::of(&cx).await?;
    let store = bare(&cx, &site).await?;

    let session = ok(site.a.open(None).await, "opening without a cookie")?;
    ok(session.get::<u64>("n"), "reading from a new session")?;
    ensure!(session.is_new() && session.opened() == Opened::New, "a session without a cookie should be new");
    closes_quietly(&site.a, &session, "a new session that was only read").await?;

    let made_up = SessionId::random().encode();
    for round in ["first", "second"] {
        let session = ok(site.a.open(Some(&made_up)).await, "opening an unknown id")?;
        ensure!(
            session.opened() == Opened::Unknown && session.is_new(),
            "an unknown id should open as Unknown the {round} time, opens as {:?}",
            session.opened()
        );
        closes_quietly(&site.a, &session, "a session of an unknown id").await?;
        shows(&*store, &cx.call(), &key_of(&made_up)?, None, "an unknown id that was opened").await?;
    }
    ensure!(site.gate.count(Operation::Create) == 0, "nothing should have been created");

    let session = ok(site.a.open(Some(&made_up)).await, "opening an unknown id")?;
    ok(session.insert("n", &1), "insert")?;
    let cookie = issued(&site.a, &session).await?;
    ensure!(cookie != made_up, "a client's unknown id should not be adopted");
    shows(&*store, &cx.call(), &key_of(&made_up)?, None, "an unknown id under which something was written").await?;
    let n = site.number(&cookie, "n").await?;
    ensure!(n == Some(1), "what was written under the new id should be there, is {n:?}");

    // A request that only reads does not even touch the record while little of the idle time has passed.
    let session = site.a_opens(&cookie).await?;
    ok(session.get::<u64>("n"), "get")?;
    closes_quietly(&site.a, &session, "a session that was only read").await?;
    let writes = [Operation::Save, Operation::Touch, Operation::Delete].map(|operation| site.gate.count(operation));
    ensure!(writes == [0; 3], "a session that was only read should write nothing, it wrote {writes:?}");
    Ok(())
}

pub(super) async fn no_op(cx: Context) -> Verdict {
    let site = Site::of(&cx).await?;
    let session = ok(site.a.open(None).await, "opening without a cookie")?;
    ok(session.insert("n", &1), "insert")?;
    ok(session.remove("n"), "remove")?;
    closes_quietly(&site.a, &session, "a new session that is empty again").await?;
    ensure!(site.gate.count(Operation::Create) == 0, "nothing should have been created");

    let cookie = site.visitor().await?;
    let session = site.a_opens(&cookie).await?;
    ok(session.insert("n", &1), "insert of the value that is there")?;
    let _told = ok(session.save().await, "a save of a session that stays as it is")?;
    let saves = site.gate.count(Operation::Save);
    ensure!(saves == 0, "a session that stays as it is should not be saved, it is {saves} times");

    // The value is removed between the load and the commit.
    let (same, other) = (site.a_opens(&cookie).await?, site.b_opens(Some(&cookie)).await?);
    ok(same.insert("n", &1), "insert of the value that is there")?;
    ok(other.remove("n"), "remove")?;
    let _told = ok(site.b.close(&other).await, "closing after a removal")?;
    let _told = ok(same.save().await, "a save of the value that was removed meanwhile")?;
    let n = site.number(&cookie, "n").await?;
    ensure!(n == Some(1), "an insert that was confirmed after a removal should be stored, there is {n:?}");
    Ok(())
}

pub(super) async fn commit(cx: Context) -> Verdict {
    let site = Site::of(&cx).await?;
    announced(&site).await?;
    once(&cx, &site).await?;
    for answered in [false, true] {
        dropped_create(&site, answered).await?;
        dropped_save(&site, answered).await?;
        dropped_rotation(&site, answered).await?;
    }
    Ok(())
}

async fn announced(site: &Site) -> Verdict {
    let session = ok(site.a.open(None).await, "opening")?;
    ok(session.insert("n", &1), "insert")?;
    let saved = ok(session.save().await, "an explicit save")?;
    ensure!(matches!(saved, Commit::Issue(_)), "an explicit save of a new session should issue a cookie, is {saved:?}");
    ok(session.insert("n", &2), "insert")?;
    let again = issued(&site.a, &session).await?;
    let n = site.number(&again, "n").await?;
    ensure!(n == Some(2), "the cookie of the last commit should open what was stored last, n is {n:?}");

    // After the head of the response a stored session can still be saved, but nothing can be done that needs a cookie.
    ok(session.insert("n", &3), "insert into a stored session after the head")?;
    let _commit = ok(session.save().await, "a save after the head")?;
    crate::check::errs(session.rotate(), session_core::ErrorKind::Closed, "a rotation after the head")?;
    let blank = ok(site.a.open(None).await, "opening")?;
    let _commit = ok(site.a.close(&blank).await, "closing")?;
    crate::check::errs(blank.insert("n", &1), session_core::ErrorKind::Closed, "a first write after the head")
}

async fn once(cx: &Context, site: &Site) -> Verdict {
    let before = site.gate.count(Operation::Create);
    let session = ok(site.a.open(None).await, "opening")?;
    ok(session.insert("n", &1), "insert")?;
    let clones = (0..2).map(|_| session.clone()).collect::<Vec<_>>();
    let commits = at_once(clones.into_iter().map(|clone| async move { clone.save().await })).await;
    let mut cookies = Vec::new();
    for commit in commits {
        match ok(commit, "one of two commits at once")? {
            Commit::Issue(ticket) => cookies.push(ticket.value),
            other => return Err(Failure::new(format!("both commits should announce the cookie, one says {other:?}"))),
        }
    }
    ensure!(cookies[0] == cookies[1], "two commits at once should announce one cookie");
    let created = site.gate.count(Operation::Create) - before;
    ensure!(created == 1, "two commits at once should create one record, they create {created}");
    let store = bare(cx, site).await?;
    let stored = ok(store.load(&cx.call(), &key_of(cookies[0].as_str())?).await, "load")?;
    ensure!(stored.is_some(), "what two commits at once stored should be there");
    Ok(())
}

/// Drops a commit when it reaches the gate: before the store gets the call, or after the store has answered.
async fn dropped(site: &Site, operation: Operation, answered: bool, session: &session_core::Session) {
    let held =
        if answered { site.gate.hold(operation, Point::After) } else { site.gate.hold(operation, Point::Before) };
    let mut commit = pin!(session.save());
    tokio::select! {
        biased;
        () = held.arrived() => {}
        _ = &mut commit => {}
    }
}

async fn counts(manager: &Manager, cookie: &str, want: u64, what: &str) -> Verdict {
    let session = resumed(manager, cookie).await?;
    let n: Option<u64> = ok(session.peek("count"), "peek")?;
    ensure!(n == Some(want), "{what}: the count should be {want}, is {n:?}");
    Ok(())
}

async fn dropped_create(site: &Site, answered: bool) -> Verdict {
    let what = format!("a create dropped {}", if answered { "after its answer" } else { "before it was sent" });
    let session = ok(site.a.open(None).await, "opening")?;
    ok(session.update("count", |n: &mut u64| *n += 1), "update")?;
    dropped(site, Operation::Create, answered, &session).await;
    ok(session.update("count", |n: &mut u64| *n += 1), "update")?;
    let cookie = issued(&site.a, &session).await?;
    counts(&site.b, &cookie, 2, &what).await
}

async fn dropped_save(site: &Site, answered: bool) -> Verdict {
    let what = format!("a save dropped {}", if answered { "after its answer" } else { "before it was sent" });
    let cookie = site.visitor().await?;
    let session = site.a_opens(&cookie).await?;
    ok(session.update("count", |n: &mut u64| *n += 1), "update")?;
    dropped(site, Operation::Save, answered, &session).await;
    ok(session.update("count", |n: &mut u64| *n += 1), "update")?;
    let _commit = ok(site.a.close(&session).await, &what)?;
    counts(&site.b, &cookie, 2, &what).await
}

async fn dropped_rotation(site: &Site, answered: bool) -> Verdict {
    let what = format!("a rotation dropped {}", if answered { "after its tombstone" } else { "before its tombstone" });
    let old = site.visitor().await?;
    let session = site.a_opens(&old).await?;
    ok(session.rotate(), "rotate")?;
    ok(session.update("count", |n: &mut u64| *n += 1), "update")?;
    dropped(site, Operation::Save, answered, &session).await;
    let new = issued(&site.a, &session).await?;
    counts(&site.b, &new, 1, &what).await?;
    let opened = site.opened(&old).await?;
    ensure!(opened == Opened::Moved, "{what}: the old id should open as Moved, opens as {opened:?}");
    Ok(())
}
