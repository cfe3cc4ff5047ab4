//! Clauses about idle and absolute time-outs.

use session_core::{Commit, Manager, Opened, Session, days, hours, minutes};

use super::site::{Site, issued};
use crate::check::{ensure, ok};
use crate::gate::Operation;
use crate::{Context, Failure, Verdict};

pub(super) async fn expiry(cx: Context) -> Verdict {
    idle(&Site::of(&cx).await?).await?;
    absolute(&Site::of(&cx).await?).await?;
    own(&Site::of(&cx).await?).await?;
    stale_touch(&Site::of(&cx).await?).await
}

/// Time-outs that have changed since a session was stored.
pub(super) async fn changed(cx: Context) -> Verdict {
    let site = Site::of(&cx).await?;
    let manager = |idle| {
        let builder = Manager::builder(site.gate.clone()).name("conformance").codec(cx.subject().codecs[0]);
        ok(builder.idle(idle).absolute(days(30)).clock(site.clock.clone()).build(), "building a manager")
    };
    let (short, long) = (manager(hours(1))?, manager(hours(10))?);
    let of = |manager: &Manager, cookie: &str| {
        let (manager, cookie) = (manager.clone(), cookie.to_owned());
        async move { ok(manager.open(Some(&cookie)).await, "opening") }
    };
    let new = async |manager: &Manager| {
        let session = ok(manager.open(None).await, "opening")?;
        ok(session.insert("n", &1), "insert")?;
        issued(manager, &session).await
    };
    let (shortened, lengthened) = (new(&long).await?, new(&short).await?);
    site.clock.advance(minutes(30));
    let read = of(&long, &lengthened).await?;
    let _told = ok(long.close(&read).await, "closing a session that was read")?;
    site.clock.advance(hours(2));
    let opened = of(&short, &shortened).await?.opened();
    ensure!(
        opened == Opened::Expired,
        "two hours after its use, and one hour is the time-out today: it opens as {opened:?}"
    );
    let session = of(&long, &lengthened).await?;
    let (opened, ends_at) = (session.opened(), session.expires_at());
    ensure!(opened == Opened::Resumed, "used once since the time-out is ten hours, it opens as {opened:?}");
    ensure!(ends_at == site.clock_now().plus(hours(8)), "it was used two hours ago, and ends at {ends_at:?}");
    Ok(())
}

async fn opens_as(site: &Site, cookie: &str, want: Opened, what: &str) -> Verdict {
    let opened = site.opened(cookie).await?;
    ensure!(opened == want, "{what}: the session should open as {want:?}, opens as {opened:?}");
    Ok(())
}

/// Makes a request that only reads.
async fn read(site: &Site, cookie: &str) -> Result<Commit, Failure> {
    let session = site.a_opens(cookie).await?;
    ok(session.get::<u64>("n"), "get")?;
    ok(site.a.close(&session).await, "closing")
}

async fn idle(site: &Site) -> Verdict {
    let cookie = site.visitor().await?;
    // A read extends the expiry at most once per tenth of the idle time.
    site.clock.advance(minutes(5));
    let commit = read(site, &cookie).await?;
    ensure!(commit == Commit::Unchanged, "a read after 5 minutes should touch nothing, is {commit:?}");
    site.clock.advance(minutes(2));
    let commit = read(site, &cookie).await?;
    let Commit::Extended(ticket) = commit else {
        return Err(Failure::new(format!("a read after 7 minutes should move the expiry, is {commit:?}")));
    };
    ensure!(
        ticket.expires_at == site.clock_now().plus(hours(1)) && ticket.value.as_str() == cookie,
        "the same id should live an hour from the read: {ticket:?}"
    );
    let touches = site.gate.count(Operation::Touch);
    ensure!(touches == 1, "two reads within the tenth of an hour should touch once, they touch {touches} times");
    site.clock.advance(hours(1) - session_core::seconds(1));
    opens_as(site, &cookie, Opened::Resumed, "a second before an hour has passed without use").await?;
    site.clock.advance(session_core::seconds(1));
    opens_as(site, &cookie, Opened::Unknown, "after an hour without use").await
}

async fn absolute(site: &Site) -> Verdict {
    let cookie = site.visitor().await?;
    for _ in 0..47 {
        site.clock.advance(minutes(30));
        let _commit = read(site, &cookie).await?;
    }
    site.clock.advance(minutes(30));
    // Some stores remove the expired record, others keep it.
    let opened = site.opened(&cookie).await?;
    let ended = matches!(opened, Opened::Unknown | Opened::Expired);
    ensure!(ended, "after 24 hours of use: the session should have ended, opens as {opened:?}");

    // A login restarts the session's life, and so does a reauthentication.
    let cookie = site.visitor().await?;
    site.clock.advance(minutes(50));
    let session = site.a_opens(&cookie).await?;
    ok(session.login("ann"), "login")?;
    let cookie = issued(&site.a, &session).await?;
    let begun = site.b_opens(Some(&cookie)).await?.created_at();
    ensure!(begun == site.clock_now(), "a login should restart the session, it began at {begun:?}");
    reauthenticated(site, &cookie).await
}

/// A reauthentication gives a new id, and both time-outs start again.
async fn reauthenticated(site: &Site, cookie: &str) -> Verdict {
    site.clock.advance(minutes(50));
    let session = site.a_opens(cookie).await?;
    ok(session.reauthenticate(), "reauthenticate")?;
    let new = issued(&site.a, &session).await?;
    opens_as(site, cookie, Opened::Moved, "the id before a reauthentication").await?;
    let session = site.b_opens(Some(&new)).await?;
    let (begun, proved) = (session.created_at(), session.auth_time());
    ensure!(
        begun == site.clock_now() && proved == Some(begun),
        "a reauthentication should restart the session, it began at {begun:?}, its proof is of {proved:?}"
    );
    let lasts = session.expires_at().since(begun);
    ensure!(lasts == hours(1), "a reauthenticated session should last an hour without use, it lasts {lasts:?}");
    Ok(())
}

async fn own(site: &Site) -> Verdict {
    let cookie = site.visitor().await?;
    let (remember, other) = (site.a_opens(&cookie).await?, site.b_opens(Some(&cookie)).await?);
    ok(remember.set_idle(Some(days(30))), "set_idle")?;
    ok(remember.set_absolute(Some(days(60))), "set_absolute")?;
    ok(remember.set_persistent(true), "set_persistent")?;
    ok(other.insert("n", &2), "insert")?;
    let commit = ok(remember.save().await, "save")?;
    let Commit::Issue(ticket) = commit else {
        return Err(Failure::new(format!(
            "a cookie that outlives the browser should be sent, the commit is {commit:?}"
        )));
    };
    ensure!(
        ticket.persistent && ticket.max_age == days(60),
        "the ticket should tell of a cookie that lives to the absolute time-out, 60 days: {ticket:?}"
    );
    let _commit = ok(other.save().await, "a save by a request that knew nothing of it")?;
    site.clock.advance(days(29));
    let session: Session = site.b_opens(Some(&cookie)).await?;
    ensure!(session.is_persistent(), "the session's own policy should survive another request's save");
    ok(session.set_idle(None), "set_idle")?;
    ok(session.set_persistent(false), "set_persistent")?;
    let commit = ok(session.save().await, "save")?;
    ensure!(
        matches!(&commit, Commit::Issue(ticket) if !ticket.persistent && ticket.value.as_str() == cookie),
        "a cookie that ends with the browser should take the place of the other, the commit is {commit:?}"
    );
    site.clock.advance(hours(1));
    opens_as(site, &cookie, Opened::Unknown, "an hour after the own idle time-out was taken back").await
}

/// A request that was opened before the absolute time-out was shortened cannot extend the expiry past it.
async fn stale_touch(site: &Site) -> Verdict {
    let cookie = site.visitor().await?;
    let stale = site.a_opens(&cookie).await?;
    let short = site.b_opens(Some(&cookie)).await?;
    ok(short.set_absolute(Some(minutes(10))), "set_absolute")?;
    let _commit = ok(short.save().await, "save")?;
    site.clock.advance(minutes(9));
    ok(stale.touch().await, "a touch by a request that knows nothing of it")?;
    opens_as(site, &cookie, Opened::Resumed, "before its own absolute time-out").await?;
    site.clock.advance(minutes(1));
    let opened = site.opened(&cookie).await?;
    ensure!(
        matches!(opened, Opened::Expired | Opened::Unknown),
        "past its absolute time-out a session should not open, it opens as {opened:?}"
    );
    Ok(())
}
