//! Clauses about two requests of one session at once.

use session_core::{ErrorKind, Session};

use super::site::{Site, refused};
use crate::check::{at_once, ensure, errs, ok};
use crate::{Context, Failure, Verdict};

/// Opens two requests that have both loaded the same record.
async fn two(site: &Site, cookie: &str) -> Result<(Session, Session), Failure> {
    Ok((site.a_opens(cookie).await?, site.b_opens(Some(cookie)).await?))
}

async fn both_saved(first: &Session, second: &Session, what: &str) -> Verdict {
    let _cookie = ok(first.save().await, format_args!("{what}: the first save"))?;
    let _cookie = ok(second.save().await, format_args!("{what}: the second save"))?;
    Ok(())
}

fn plus_one(session: &Session, key: &str) -> Verdict {
    ok(session.update(key, |n: &mut u64| *n += 1), "update").map(drop)
}

pub(super) async fn replay(cx: Context) -> Verdict {
    let site = Site::of(&cx).await?;
    let cookie = site.visitor().await?;

    let (one, two_) = two(&site, &cookie).await?;
    ok(one.insert("x", &10), "insert")?;
    ok(two_.insert("y", &20), "insert")?;
    ok(two_.remove("n"), "remove")?;
    both_saved(&one, &two_, "writers of different keys").await?;
    for (key, want) in [("x", Some(10)), ("y", Some(20)), ("n", None)] {
        let got = site.number(&cookie, key).await?;
        ensure!(got == want, "after writes to different keys {key} should be {want:?}, is {got:?}");
    }

    let (one, two_) = two(&site, &cookie).await?;
    ok(one.get::<u64>("count"), "get")?; // an update succeeds after a read, too
    plus_one(&one, "count")?;
    plus_one(&two_, "count")?;
    plus_one(&two_, "count")?;
    ok(one.flash("info", "one"), "flash")?;
    ok(two_.flash("info", "two"), "flash")?;
    both_saved(&one, &two_, "update and flash").await?;
    let got = site.number(&cookie, "count").await?;
    ensure!(got == Some(3), "three updates of two requests should count 3, they count {got:?}");
    let shown: Vec<String> = ok(site.b_opens(Some(&cookie)).await?.flashes("info"), "flashes")?;
    ensure!(shown == ["one", "two"], "both requests' flashes should be there, there are {shown:?}");

    hot(&site, &cookie).await
}

/// Updates one session from many concurrent requests, half of them in each process.
async fn hot(site: &Site, cookie: &str) -> Verdict {
    let requests = (0..64).map(|n| {
        let manager = if n % 2 == 0 { site.a.clone() } else { site.b.clone() };
        let cookie = cookie.to_owned();
        async move {
            let session = manager.open(Some(&cookie)).await?;
            session.update("hot", |n: &mut u64| *n += 1)?;
            manager.close(&session).await
        }
    });
    for closed in at_once(requests).await {
        let _commit = ok(closed, "one of 64 updates at once")?;
    }
    let got = site.number(cookie, "hot").await?;
    ensure!(got == Some(64), "64 updates of one session at once should count 64, they count {got:?}");
    Ok(())
}

pub(super) async fn clash(cx: Context) -> Verdict {
    let site = Site::of(&cx).await?;
    let cookie = site.visitor().await?;
    read_and_written(&site, &cookie).await?;
    no_clash(&site, &cookie).await?;
    taken_and_cleared(&site, &cookie).await?;
    required(&site, &cookie).await
}

async fn read_and_written(site: &Site, cookie: &str) -> Verdict {
    let (one, late) = two(site, cookie).await?;
    let n: u64 = ok(late.get("n"), "get")?.unwrap_or_default();
    ok(late.insert("n", &(n + 1)), "insert")?;
    ok(late.insert("other", &1), "insert")?;
    ok(one.insert("n", &100), "insert")?;
    let _cookie = ok(one.save().await, "the faster save")?;
    let error = match late.save().await {
        Err(error) => error,
        Ok(_) => {
            return Err(Failure::new(
                "a value read, written, and changed meanwhile: the save should be a Conflict, is Ok",
            ));
        }
    };
    ensure!(error.kind() == ErrorKind::Conflict, "a clash should be a Conflict, is {error}");
    ensure!(error.key() == Some("n"), "the Conflict should name the key \"n\", names {:?}", error.key());
    let (n, other) = (site.number(cookie, "n").await?, site.number(cookie, "other").await?);
    ensure!((n, other) == (Some(100), None), "a clash should store nothing; n is {n:?}, other is {other:?}");
    // After a reload the same change succeeds.
    ok(late.reload().await, "reload after a clash")?;
    let n: u64 = ok(late.get("n"), "get")?.unwrap_or_default();
    ok(late.insert("n", &(n + 1)), "insert")?;
    let _cookie = ok(late.save().await, "the save after a reload")?;
    let n = site.number(cookie, "n").await?;
    ensure!(n == Some(101), "after a reload n should be 101, is {n:?}");

    // A value that was read stays guarded: a replayed save of another key does not refresh it.
    let (one, late) = two(site, cookie).await?;
    let n: u64 = ok(late.get("n"), "get")?.unwrap_or_default();
    ok(late.insert("other", &2), "insert")?;
    ok(one.insert("n", &200), "insert")?;
    both_saved(&one, &late, "a save of another key").await?;
    let written = late.insert("n", &(n + 1));
    let refusal = match written {
        Ok(()) => late.save().await.map(drop),
        Err(error) => Err(error),
    };
    errs(refusal, ErrorKind::Conflict, "a value read before a save, written after it, and changed before that")?;
    late.discard();
    Ok(())
}

async fn no_clash(site: &Site, cookie: &str) -> Verdict {
    let (one, late) = two(site, cookie).await?;
    let n: u64 = ok(late.get("n"), "get")?.unwrap_or_default();
    ok(late.insert("n", &7), "insert")?;
    ok(one.insert("n", &n), "insert")?; // the value already stored
    both_saved(&one, &late, "the same value written meanwhile").await?;

    let (one, late) = two(site, cookie).await?;
    ok(late.peek::<u64>("n"), "peek")?;
    ok(late.insert("n", &8), "insert")?;
    ok(one.insert("n", &9), "insert")?;
    both_saved(&one, &late, "a blind write after a peek").await?;
    let n = site.number(cookie, "n").await?;
    ensure!(n == Some(8), "a blind write should overwrite: n should be 8, is {n:?}");

    // A read of the request's own write is no read of the store.
    let (one, late) = two(site, cookie).await?;
    ok(late.insert("n", &10), "insert")?;
    let own: u64 = ok(late.get("n"), "get")?.unwrap_or_default();
    ok(late.insert("n", &(own + 1)), "insert")?;
    ok(one.insert("n", &12), "insert")?;
    both_saved(&one, &late, "a read of one's own write").await?;
    let n = site.number(cookie, "n").await?;
    ensure!(n == Some(11), "after a read of one's own write n should be 11, is {n:?}");
    Ok(())
}

async fn taken_and_cleared(site: &Site, cookie: &str) -> Verdict {
    let (one, late) = two(site, cookie).await?;
    let took: [Option<u64>; 2] = [ok(one.take("n"), "take")?, ok(late.take("n"), "take")?];
    ensure!(took == [Some(11); 2], "both requests should see the value, they see {took:?}");
    let _cookie = ok(one.save().await, "the first take")?;
    refused(&late, ErrorKind::Conflict, "a second take of one value").await?;
    late.discard();

    let (one, late) = two(site, cookie).await?;
    let _there = late.contains("n"); // a read, and still no conflict
    ok(late.clear(), "clear")?;
    ok(one.insert("added", &1), "insert")?;
    ok(one.flash("info", "added"), "flash")?;
    both_saved(&one, &late, "clear").await?;
    let left = site.b_opens(Some(cookie)).await?.keys();
    ensure!(left.is_empty(), "clear should take what was added meanwhile too, it leaves {left:?}");
    Ok(())
}

async fn required(site: &Site, cookie: &str) -> Verdict {
    let set = site.b_opens(Some(cookie)).await?;
    ok(set.insert("credit", &100), "insert")?;
    let _cookie = ok(set.save().await, "save")?;
    for (require, want) in [(false, None), (true, Some(ErrorKind::Conflict))] {
        let (one, late) = two(site, cookie).await?;
        ok(late.get::<u64>("credit"), "get")?;
        if require {
            ok(late.require_unchanged("credit"), "require_unchanged")?;
        }
        ok(late.insert("ordered", &1), "insert")?;
        ok(one.update("credit", |n: &mut u64| *n -= 1), "update")?;
        let _cookie = ok(one.save().await, "the faster save")?;
        let got = late.save().await.map_err(|error| error.kind()).err();
        ensure!(
            got == want,
            "reading one key and writing another, required: {require}: should end in {want:?}, ends in {got:?}"
        );
        late.discard();
    }
    Ok(())
}

pub(super) async fn flash_two_readers(cx: Context) -> Verdict {
    let site = Site::of(&cx).await?;
    let cookie = site.visitor().await?;
    let writer = site.b_opens(Some(&cookie)).await?;
    ok(writer.flash("info", "one"), "flash")?;
    let _cookie = ok(writer.save().await, "save")?;

    let (one, late) = two(&site, &cookie).await?;
    for reader in [&one, &late] {
        let shown: Vec<String> = ok(reader.flashes("info"), "flashes")?;
        ensure!(shown == ["one"], "each reader should see the message, sees {shown:?}");
    }
    let writer = site.b_opens(Some(&cookie)).await?;
    ok(writer.flash("info", "two"), "flash")?;
    let _cookie = ok(writer.save().await, "a message added meanwhile")?;
    both_saved(&one, &late, "two readers of one message").await?;
    let left: Vec<String> = ok(site.b_opens(Some(&cookie)).await?.flashes("info"), "flashes")?;
    ensure!(left == ["two"], "the message added meanwhile should be the only one left, left is {left:?}");
    Ok(())
}
