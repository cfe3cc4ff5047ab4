//! Clauses about the sessions of a principal.

use session_core::{ErrorKind, Opened};

use super::site::{Site, issued, refused};
use crate::check::{ensure, ok};
use crate::context::principal;
use crate::gate::{Operation, Point};
use crate::{Context, Failure, Verdict};

pub(super) async fn revoke_all(cx: Context) -> Verdict {
    let site = Site::of(&cx).await?;
    let ann = principal("ann")?;
    let kept = site.member("ann").await?;
    let others = [site.member("ann").await?, site.member("ann").await?];
    let bob = site.member("bob").await?;

    let writing = site.a_opens(&others[0]).await?;
    ok(writing.insert("n", &9), "insert")?;
    let here = site.b_opens(Some(&kept)).await?;
    let revoked = ok(here.revoke_others().await, "revoke_others")?;
    ensure!(revoked == 2, "two other sessions should be revoked, {revoked} are");
    refused(&writing, ErrorKind::Gone, "a save in flight during revoke_others").await?;
    for (cookie, want) in [(&kept, Opened::Resumed), (&others[0], Opened::Unknown), (&others[1], Opened::Unknown)] {
        let opened = site.opened(cookie).await?;
        ensure!(opened == want, "after revoke_others a session should open as {want:?}, opens as {opened:?}");
    }
    let opened = site.opened(&bob).await?;
    ensure!(opened == Opened::Resumed, "another principal's session should stay, it opens as {opened:?}");

    // A rotation that has stored its new record under an id that no client has yet.
    let moving = site.a_opens(&kept).await?;
    ok(moving.rotate(), "rotate")?;
    let held = site.gate.hold(Operation::Save, Point::Before);
    let commit = tokio::spawn({
        let (manager, moving) = (site.a.clone(), moving.clone());
        async move { manager.close(&moving).await }
    });
    held.arrived().await;
    ok(site.b.revoke_all(&ann).await, "revoke_all in the middle of a rotation")?;
    held.release();
    let commit = commit.await.map_err(|error| Failure::new(error.to_string()))?;
    crate::check::errs(commit, ErrorKind::Gone, "a rotation in flight during revoke_all")?;
    let left = ok(site.b.sessions_of(&ann, None).await, "sessions_of")?;
    ensure!(left.is_empty(), "no session should be left after revoke_all, {} are left", left.len());
    let again = ok(site.b.revoke_all(&ann).await, "a second revoke_all")?;
    ensure!(again == 0, "a second revoke_all should find no session, it finds {again}");
    Ok(())
}

pub(super) async fn list(cx: Context) -> Verdict {
    let site = Site::of(&cx).await?;
    let (ann, bob) = (principal("ann")?, principal("bob")?);
    let session = ok(site.a.open(None).await, "opening")?;
    ok(session.login("ann"), "login")?;
    ok(session.set_label("a browser"), "set_label")?;
    let cookie = issued(&site.a, &session).await?;
    let other = site.member("ann").await?;

    let here = site.b_opens(Some(&cookie)).await?;
    let list = ok(here.sessions().await, "sessions")?;
    ensure!(list.len() == 2, "two sessions should be listed, {} are", list.len());
    let Some(current) = list.iter().find(|info| info.current) else {
        return Err(Failure::new("the session that asks should be marked as current"));
    };
    ensure!(Some(current.handle) == here.handle(), "another session is marked as current");
    ensure!(current.label.as_deref() == Some("a browser"), "the label should be listed, is {:?}", current.label);
    ensure!(
        current.auth_time == Some(site.clock_now()) && current.created_at == site.clock_now(),
        "the times of the login should be listed: {current:?}"
    );

    let Some(there) = list.iter().find(|info| !info.current) else {
        return Err(Failure::new("the other session should be listed too"));
    };
    ensure!(!ok(site.b.revoke(&bob, &there.handle).await, "revoke")?, "bob should not be able to end ann's session");
    // The session's id changes while the list is displayed. It must still end.
    let moving = site.a_opens(&other).await?;
    ok(moving.rotate(), "rotate")?;
    let moved = issued(&site.a, &moving).await?;
    ensure!(ok(site.b.revoke(&ann, &there.handle).await, "revoke")?, "ann should be able to end her other session");
    let opened = site.opened(&moved).await?;
    ensure!(opened == Opened::Unknown, "a revoked session should be gone, it opens as {opened:?}");
    ensure!(!ok(site.b.revoke(&ann, &there.handle).await, "revoke")?, "a session should be ended once");
    let list = ok(site.b.sessions_of(&ann, here.handle().as_ref()).await, "sessions_of")?;
    ensure!(list.len() == 1 && list[0].current, "the session that asked should be the only one left: {list:?}");
    Ok(())
}
