//! Clauses about writes whose answer is lost.

use session_core::{Commit, ErrorKind, Opened, Session};

use super::{Web, issued, refused};
use crate::check::{ensure, ok};
use crate::gate::Fault;
use crate::gate::Operation::{Create, Load, Save};
use crate::{Context, Verdict};

pub(super) async fn unknown_outcome(cx: Context) -> Verdict {
    let web = Web::of(&cx).await?;
    found_out(&web).await?;
    stays_in_doubt(&web).await?;
    overtaken(&web).await?;
    buried(&web).await?;
    created(&web).await?;
    rotated(&web).await?;
    logged_out(&web).await
}

fn plus_one(session: &Session) -> Verdict {
    ok(session.update("count", |n: &mut u64| *n += 1), "update").map(drop)
}

async fn counts(web: &Web, cookie: &str, want: u64, what: &str) -> Verdict {
    let n = web.number(cookie, "count").await?;
    ensure!(n == Some(want), "{what}: the count should be {want}, is {n:?}");
    Ok(())
}

/// The store answers again at once, so the save finds out its own outcome.
async fn found_out(web: &Web) -> Verdict {
    let cookie = web.visitor().await?;
    let session = web.a_opens(&cookie).await?;
    plus_one(&session)?;
    web.gate.fail(Save, Fault::LostReply);
    let _commit = ok(session.save().await, "a save whose answer is lost")?;
    counts(web, &cookie, 1, "a save whose answer is lost").await?;
    plus_one(&session)?;
    web.gate.fail(Save, Fault::LostRequest);
    let _commit = ok(session.save().await, "a save that is lost on its way")?;
    counts(web, &cookie, 2, "a save that is lost on its way").await
}

/// Returns the fault of a lost call, which the store carries out if `arrives` is set.
fn lost(arrives: bool) -> Fault {
    if arrives { Fault::LostReply } else { Fault::LostRequest }
}

/// The store does not answer for longer. The save is retried later and then finds out its outcome.
async fn stays_in_doubt(web: &Web) -> Verdict {
    let cookie = web.visitor().await?;
    let session = web.a_opens(&cookie).await?;
    for (arrives, want) in [(true, 1), (false, 2)] {
        plus_one(&session)?;
        web.gate.fail(Save, lost(arrives));
        web.gate.fail(Load, Fault::LostRequest);
        refused(&session, ErrorKind::Unavailable, "a save in doubt").await?;
        web.gate.fail(Load, Fault::LostRequest);
        refused(&session, ErrorKind::Unavailable, "a save still in doubt").await?;
        let _commit = ok(session.save().await, "a save after the outage")?;
        counts(web, &cookie, want, "a save that was in doubt for a while").await?;
    }
    Ok(())
}

/// Another request saved after the lost save or instead of it. The record lists its last versions, so the save finds out.
async fn overtaken(web: &Web) -> Verdict {
    let cookie = web.visitor().await?;
    for (arrives, want) in [(true, 2), (false, 4)] {
        let session = web.a_opens(&cookie).await?;
        plus_one(&session)?;
        web.gate.fail(Save, lost(arrives));
        web.gate.fail(Load, Fault::LostRequest);
        refused(&session, ErrorKind::Unavailable, "a save without an answer").await?;
        others_save(web, &cookie, 1).await?;
        let _commit = ok(session.save().await, "a save that another request wrote over")?;
        counts(web, &cookie, want, "a save that another request wrote over").await?;
    }
    Ok(())
}

/// So many requests saved after it that the outcome is unknown. The save must not be repeated, nor reported as a success.
async fn buried(web: &Web) -> Verdict {
    let cookie = web.visitor().await?;
    let session = web.a_opens(&cookie).await?;
    plus_one(&session)?;
    web.gate.fail(Save, Fault::LostReply);
    web.gate.fail(Load, Fault::LostRequest);
    refused(&session, ErrorKind::Unavailable, "a save without an answer").await?;
    others_save(web, &cookie, 8).await?;
    for _ in 0..2 {
        refused(&session, ErrorKind::Unavailable, "a save that eight others wrote over").await?;
    }
    counts(web, &cookie, 9, "a save that eight others wrote over").await?;
    ok(session.reload().await, "reload")?;
    plus_one(&session)?;
    let _commit = ok(session.save().await, "a save after a reload")?;
    counts(web, &cookie, 10, "after a reload").await
}

/// Increments the count from another process, `times` times.
async fn others_save(web: &Web, cookie: &str, times: u32) -> Verdict {
    for _ in 0..times {
        let other = web.b_opens(Some(cookie)).await?;
        plus_one(&other)?;
        let _commit = ok(other.save().await, "another request's save")?;
    }
    Ok(())
}

async fn created(web: &Web) -> Verdict {
    for arrives in [true, false] {
        let session = ok(web.a.open(None).await, "opening")?;
        plus_one(&session)?;
        web.gate.fail(Create, lost(arrives));
        let cookie = issued(&web.a, &session).await?;
        counts(web, &cookie, 1, "a create whose answer is lost").await?;
    }
    let session = ok(web.a.open(None).await, "opening")?;
    plus_one(&session)?;
    web.gate.fail(Create, Fault::LostRequest);
    web.gate.fail(Create, Fault::LostRequest);
    refused(&session, ErrorKind::Unavailable, "a create that is lost twice").await?;
    let cookie = issued(&web.a, &session).await?;
    counts(web, &cookie, 1, "a create after an outage").await
}

async fn rotated(web: &Web) -> Verdict {
    for (arrives, found) in [(true, true), (false, true), (true, false), (false, false)] {
        let what = format!("a rotation whose tombstone arrives: {arrives}, found out at once: {found}");
        let old = web.member("ann").await?;
        let session = web.a_opens(&old).await?;
        ok(session.rotate(), "rotate")?;
        plus_one(&session)?;
        web.gate.fail(Save, lost(arrives));
        if !found {
            web.gate.fail(Load, Fault::LostRequest);
            refused(&session, ErrorKind::Unavailable, &what).await?;
        }
        let new = issued(&web.a, &session).await?;
        counts(web, &new, 1, &what).await?;
        let opened = web.opened(&old).await?;
        ensure!(opened == Opened::Moved, "{what}: the old id should be dead, it opens as {opened:?}");
        if web.a.store().capabilities().by_principal {
            let ann = crate::context::principal("ann")?;
            let list = ok(web.b.sessions_of(&ann, None).await, "sessions_of")?;
            ensure!(list.len() == 1, "{what}: there should be one session, there are {}", list.len());
            ok(web.b.revoke_all(&ann, None).await, "revoke_all")?;
        }
    }
    Ok(())
}

async fn logged_out(web: &Web) -> Verdict {
    for arrives in [true, false] {
        let cookie = web.member("ann").await?;
        let session = web.a_opens(&cookie).await?;
        session.logout();
        web.gate.fail(Save, lost(arrives));
        let commit = ok(web.a.close(&session).await, "a logout whose answer is lost")?;
        ensure!(commit == Commit::Clear, "a logout should clear the cookie, is {commit:?}");
        let opened = web.opened(&cookie).await?;
        ensure!(opened == Opened::Ended, "after a logout a session should be Ended, is {opened:?}");
    }
    Ok(())
}
