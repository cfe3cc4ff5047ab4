//! Clauses about a logout during other operations on the session.

use session_core::{Commit, ErrorKind, Opened, Session};

use super::site::{Site, closes_quietly, issued, refused, resumed};
use crate::check::{at_once, ensure, ok};
use crate::gate::{Operation, Point};
use crate::{Context, Failure, Verdict};

pub(super) async fn races(cx: Context) -> Verdict {
    let site = Site::of(&cx).await?;
    beats_a_save(&site).await?;
    farewell(&site).await?;
    beats_its_own_first_save(&site).await?;
    let moves: [(&str, Move); 2] = [("rotation", Session::rotate), ("login", |session| session.login("bob"))];
    for (name, make) in moves {
        before_the_tombstone(&site, name, make).await?;
        after_the_move(&site, name, make).await?;
    }
    all_at_once(&site).await
}

type Move = fn(&Session) -> session_core::Result<()>;

async fn log_out(site: &Site, session: &Session, what: &str) -> Verdict {
    session.logout();
    let commit = ok(site.b.close(session).await, format_args!("{what}: logout"))?;
    ensure!(commit == Commit::Clear, "{what}: a logout should clear the cookie, is {commit:?}");
    Ok(())
}

async fn is_dead(site: &Site, cookie: &str, what: &str) -> Verdict {
    let opened = site.opened(cookie).await?;
    ensure!(
        matches!(opened, Opened::Ended | Opened::Moved),
        "{what}: nothing of the session should be live, it opens as {opened:?}"
    );
    Ok(())
}

async fn beats_a_save(site: &Site) -> Verdict {
    let what = "a save in flight during a logout";
    let cookie = site.member("ann").await?;
    let (late, out) = (site.a_opens(&cookie).await?, site.b_opens(Some(&cookie)).await?);
    ok(late.insert("n", &2), "insert")?;
    log_out(site, &out, what).await?;
    refused(&late, ErrorKind::Gone, what).await?;
    is_dead(site, &cookie, what).await
}

async fn farewell(site: &Site) -> Verdict {
    let cookie = site.member("ann").await?;
    let session = site.b_opens(Some(&cookie)).await?;
    session.logout();
    ok(session.flash("info", "bye"), "a flash after a logout")?;
    let fresh = issued(&site.b, &session).await?;
    is_dead(site, &cookie, "a logout with a farewell").await?;
    let session = site.b_opens(Some(&fresh)).await?;
    let shown: Vec<String> = ok(session.flashes("info"), "flashes")?;
    ensure!(shown == ["bye"], "the farewell should be in the fresh session, there is {shown:?}");
    ensure!(
        session.principal().is_none() && session.keys().is_empty(),
        "the fresh session should have nothing but the farewell: {session:?}"
    );
    session.discard();
    Ok(())
}

/// A clone logs out during the first save of the session. The record of that save must not stay.
async fn beats_its_own_first_save(site: &Site) -> Verdict {
    for point in [Point::Before, Point::After] {
        let what = format!("a logout during the session's own first save, held {point:?}");
        let session = ok(site.a.open(None).await, "opening")?;
        ok(session.login("ann"), "login")?;
        let held = site.gate.hold(Operation::Create, point);
        let saving = tokio::spawn({
            let session = session.clone();
            async move { session.save().await.map(drop) }
        });
        held.arrived().await;
        session.logout();
        held.release();
        ok(saving.await.map_err(|error| Failure::new(error.to_string()))?, &what)?;
        closes_quietly(&site.a, &session, &what).await?;
        none_signed_in(site, &what).await?;
    }
    Ok(())
}

/// The logout arrives when the move has stored its new record and has not yet replaced the old one.
async fn before_the_tombstone(site: &Site, name: &str, make: Move) -> Verdict {
    let what = format!("a {name} held before its tombstone");
    let cookie = site.member("ann").await?;
    let (moving, out) = (site.a_opens(&cookie).await?, site.b_opens(Some(&cookie)).await?);
    ok(make(&moving), name)?;
    let held = site.gate.hold(Operation::Save, Point::Before);
    let commit = tokio::spawn({
        let (manager, moving) = (site.a.clone(), moving.clone());
        async move { manager.close(&moving).await }
    });
    held.arrived().await;
    log_out(site, &out, &what).await?;
    held.release();
    let commit = commit.await.map_err(|error| Failure::new(error.to_string()))?;
    crate::check::errs(commit, ErrorKind::Gone, &what)?;
    is_dead(site, &cookie, &what).await?;
    none_signed_in(site, &what).await
}

/// The logout arrives after the move, from a request that still has the old id.
async fn after_the_move(site: &Site, name: &str, make: Move) -> Verdict {
    let what = format!("a logout from the id before a {name}");
    let cookie = site.member("ann").await?;
    let (moving, out) = (site.a_opens(&cookie).await?, site.b_opens(Some(&cookie)).await?);
    ok(make(&moving), name)?;
    let new = issued(&site.a, &moving).await?;
    log_out(site, &out, &what).await?;
    is_dead(site, &new, &what).await?;
    is_dead(site, &cookie, &what).await?;
    none_signed_in(site, &what).await
}

async fn none_signed_in(site: &Site, what: &str) -> Verdict {
    if !site.a.store().capabilities().by_principal {
        return Ok(());
    }
    for who in ["ann", "bob"] {
        let list = ok(site.b.sessions_of(&crate::context::principal(who)?, None).await, "sessions_of")?;
        ensure!(list.is_empty(), "{what}: {who} should not be signed in any more, and is {} times", list.len());
    }
    Ok(())
}

/// Runs a logout among concurrent saves and moves, in any order.
async fn all_at_once(site: &Site) -> Verdict {
    let moves: [Move; 2] = [Session::rotate, |session| session.login("bob")];
    for round in 0..16_usize {
        let what = format!("round {round} of a logout among saves and moves");
        let cookie = site.member("ann").await?;
        let mut requests = Vec::new();
        for n in 0..8 {
            let manager = if n % 2 == 0 { &site.a } else { &site.b }.clone();
            let session = resumed(&manager, &cookie).await?;
            match n {
                0 => session.logout(),
                1 => ok(moves[round % 2](&session), "a move")?,
                _ => drop(ok(session.update("n", |n: &mut u64| *n += 1), "update")?),
            }
            requests.push(async move { manager.close(&session).await });
        }
        let mut cookies = vec![cookie];
        for (n, closed) in at_once(requests).await.into_iter().enumerate() {
            match closed {
                Ok(Commit::Issue(ticket)) => cookies.push(ticket.value.as_str().to_owned()),
                Ok(_) => {}
                Err(error) => ensure!(
                    n != 0 && error.kind() == ErrorKind::Gone,
                    "{what}: request {n} should succeed or be Gone, is {error}"
                ),
            }
        }
        for cookie in &cookies {
            is_dead(site, cookie, &what).await?;
        }
        none_signed_in(site, &what).await?;
    }
    Ok(())
}
