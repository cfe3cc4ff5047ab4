//! Clauses about writes whose answer is lost.

use session_core::{Commit, ErrorKind, Opened, Session};

use super::site::{Site, issued, refused};
use crate::check::{ensure, ok};
use crate::gate::Fault;
use crate::gate::Operation::{Create, Load, Save};
use crate::{Context, Verdict};

pub(super) async fn unknown_outcome(cx: Context) -> Verdict {
    let site = Site::of(&cx).await?;
    found_out(&site).await?;
    stays_in_doubt(&site).await?;
    overtaken(&site).await?;
    buried(&site).await?;
    created(&site).await?;
    rotated(&site).await?;
    logged_out(&site).await
}

fn plus_one(session: &Session) -> Verdict {
    ok(session.update("count", |n: &mut u64| *n += 1), "update").map(drop)
}

async fn counts(site: &Site, cookie: &str, want: u64, what: &str) -> Verdict {
    let n = site.number(cookie, "count").await?;
    ensure!(n == Some(want), "{what}: the count should be {want}, is {n:?}");
    Ok(())
}

/// The store answers again at once, so the save finds out its own outcome.
async fn found_out(site: &Site) -> Verdict {
    let cookie = site.visitor().await?;
    let session = site.a_opens(&cookie).await?;
    plus_one(&session)?;
    site.gate.fail(Save, Fault::LostReply);
    let _commit = ok(session.save().await, "a save whose answer is lost")?;
    counts(site, &cookie, 1, "a save whose answer is lost").await?;
    plus_one(&session)?;
    site.gate.fail(Save, Fault::LostRequest);
    let _commit = ok(session.save().await, "a save that is lost on its way")?;
    counts(site, &cookie, 2, "a save that is lost on its way").await
}

/// Returns the fault of a lost call, which the store carries out if `arrives` is set.
fn lost(arrives: bool) -> Fault {
    if arrives { Fault::LostReply } else { Fault::LostRequest }
}

/// The store does not answer for longer. The save is retried later and then finds out its outcome.
async fn stays_in_doubt(site: &Site) -> Verdict {
    let cookie = site.visitor().await?;
    let session = site.a_opens(&cookie).await?;
    for (arrives, want) in [(true, 1), (false, 2)] {
        plus_one(&session)?;
        site.gate.fail(Save, lost(arrives));
        site.gate.fail(Load, Fault::LostRequest);
        refused(&session, ErrorKind::Unavailable, "a save in doubt").await?;
        site.gate.fail(Load, Fault::LostRequest);
        refused(&session, ErrorKind::Unavailable, "a save still in doubt").await?;
        let _commit = ok(session.save().await, "a save after the outage")?;
        counts(site, &cookie, want, "a save that was in doubt for a while").await?;
    }
    Ok(())
}

/// Another request saved after the lost save or instead of it. The record lists its last versions, so the save finds out.
async fn overtaken(site: &Site) -> Verdict {
    let cookie = site.visitor().await?;
    for (arrives, want) in [(true, 2), (false, 4)] {
        let session = site.a_opens(&cookie).await?;
        plus_one(&session)?;
        site.gate.fail(Save, lost(arrives));
        site.gate.fail(Load, Fault::LostRequest);
        refused(&session, ErrorKind::Unavailable, "a save without an answer").await?;
        others_save(site, &cookie, 1).await?;
        let _commit = ok(session.save().await, "a save that another request wrote over")?;
        counts(site, &cookie, want, "a save that another request wrote over").await?;
    }
    Ok(())
}

/// So many requests saved after it that the outcome is unknown. The save must not be repeated, nor reported as a success.
async fn buried(site: &Site) -> Verdict {
    let cookie = site.visitor().await?;
    let session = site.a_opens(&cookie).await?;
    plus_one(&session)?;
    site.gate.fail(Save, Fault::LostReply);
    site.gate.fail(Load, Fault::LostRequest);
    refused(&session, ErrorKind::Unavailable, "a save without an answer").await?;
    others_save(site, &cookie, 8).await?;
    for _ in 0..2 {
        refused(&session, ErrorKind::Unavailable, "a save that eight others wrote over").await?;
    }
    counts(site, &cookie, 9, "a save that eight others wrote over").await?;
    ok(session.reload().await, "reload")?;
    plus_one(&session)?;
    let _commit = ok(session.save().await, "a save after a reload")?;
    counts(site, &cookie, 10, "after a reload").await
}

/// Increments the count from another process, `times` times.
async fn others_save(site: &Site, cookie: &str, times: u32) -> Verdict {
    for _ in 0..times {
        let other = site.b_opens(Some(cookie)).await?;
        plus_one(&other)?;
        let _commit = ok(other.save().await, "another request's save")?;
    }
    Ok(())
}

async fn created(site: &Site) -> Verdict {
    for arrives in [true, false] {
        let session = ok(site.a.open(None).await, "opening")?;
        plus_one(&session)?;
        site.gate.fail(Create, lost(arrives));
        let cookie = issued(&site.a, &session).await?;
        counts(site, &cookie, 1, "a create whose answer is lost").await?;
    }
    let session = ok(site.a.open(None).await, "opening")?;
    plus_one(&session)?;
    site.gate.fail(Create, Fault::LostRequest);
    site.gate.fail(Create, Fault::LostRequest);
    refused(&session, ErrorKind::Unavailable, "a create that is lost twice").await?;
    let cookie = issued(&site.a, &session).await?;
    counts(site, &cookie, 1, "a create after an outage").await
}

async fn rotated(site: &Site) -> Verdict {
    for (arrives, found) in [(true, true), (false, true), (true, false), (false, false)] {
        let what = format!("a rotation whose tombstone arrives: {arrives}, found out at once: {found}");
        let old = site.member("ann").await?;
        let session = site.a_opens(&old).await?;
        ok(session.rotate(), "rotate")?;
        plus_one(&session)?;
        site.gate.fail(Save, lost(arrives));
        if !found {
            site.gate.fail(Load, Fault::LostRequest);
            refused(&session, ErrorKind::Unavailable, &what).await?;
        }
        let new = issued(&site.a, &session).await?;
        counts(site, &new, 1, &what).await?;
        let opened = site.opened(&old).await?;
        ensure!(opened == Opened::Moved, "{what}: the old id should be dead, it opens as {opened:?}");
        if site.a.store().capabilities().by_principal {
            let ann = crate::context::principal("ann")?;
            let list = ok(site.b.sessions_of(&ann, None).await, "sessions_of")?;
            ensure!(list.len() == 1, "{what}: there should be one session, there are {}", list.len());
            ok(site.b.revoke_all(&ann).await, "revoke_all")?;
        }
    }
    Ok(())
}

async fn logged_out(site: &Site) -> Verdict {
    for arrives in [true, false] {
        let cookie = site.member("ann").await?;
        let session = site.a_opens(&cookie).await?;
        session.logout();
        site.gate.fail(Save, lost(arrives));
        let commit = ok(site.a.close(&session).await, "a logout whose answer is lost")?;
        ensure!(commit == Commit::Clear, "a logout should clear the cookie, is {commit:?}");
        let opened = site.opened(&cookie).await?;
        ensure!(opened == Opened::Ended, "after a logout a session should be Ended, is {opened:?}");
    }
    Ok(())
}
