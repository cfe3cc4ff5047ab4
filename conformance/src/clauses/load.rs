//! Clauses about `load`, which returns the last completed write, or `None`.

use std::time::Duration;

use session_core::Outcome::Done;
use session_core::{Call, Handle, Record, StoreKey, Timestamp, Version, hours, minutes};

use crate::check::{all_show, at_once, ensure, is, ok, same, shows};
use crate::clause::clause;
use crate::context::{key, next};
use crate::{Clause, Context, Failure, Verdict};

pub(super) const CLAUSES: &[Clause] = &[
    clause!("load.unknown", [], unknown, "An unknown key loads as None."),
    clause!("load.boundary", [], boundary, "A record is live one millisecond before its expiry and not at it."),
    clause!(
        "load.reads-only",
        [KeepsExpired],
        reads_only,
        "A load that finds an expired record leaves it there: an earlier `now` still sees it."
    ),
    clause!(
        "load.exact-key",
        [],
        exact_key,
        "Keys that differ in one bit, or only in the case of their text form, are different sessions."
    ),
    clause!(
        "load.far-expiry",
        [],
        far_expiry,
        "Expiries in 2039 and in the year 9999 work, and 300 ms is neither 0 s nor 1 s."
    ),
    clause!(
        "load.burst",
        [],
        burst,
        "Of 500 loads at once, of known, unknown, expired and repeated keys, each with its own `now`, each gets its own answer."
    ),
];

async fn unknown(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    all_show([&a, &b], &cx.call(), &key(), None, "a key in an empty store").await?;
    is(a.create(&cx.call(), &key(), &cx.record()).await, Done, "creating some record")?;
    all_show([&a, &b], &cx.call(), &key(), None, "an unknown key beside a known one").await?;
    for byte in [0x00, 0xFF] {
        let key = StoreKey::from_bytes([byte; StoreKey::LEN]);
        shows(&*a, &cx.call(), &key, None, format!("an unknown key of {byte:#04x} bytes")).await?;
    }
    Ok(())
}

async fn boundary(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    // Instants with milliseconds, so that rounding in either direction shows.
    for millis in [1, 499, 500, 999, 1_001, 61_234] {
        let (key, mut record) = (key(), cx.record());
        record.expires_at = cx.now().plus(Duration::from_millis(millis));
        let before = Call::new(record.expires_at.minus(Duration::from_millis(1)));
        let at = Call::new(record.expires_at);
        is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
        all_show([&a, &b], &before, &key, Some(&record), format!("1 ms before an expiry in {millis} ms")).await?;
        all_show([&a, &b], &at, &key, None, format!("at an expiry in {millis} ms")).await?;
    }
    Ok(())
}

async fn reads_only(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, record) = (key(), cx.record());
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
    for store in [&a, &b] {
        shows(&**store, &cx.later(hours(1)), &key, None, "a load after the expiry").await?;
        shows(&**store, &Call::new(Timestamp::MAX), &key, None, "a load in the year 9999").await?;
    }
    all_show([&a, &b], &cx.call(), &key, Some(&record), "an earlier `now`, after loads that found it expired").await
}

async fn exact_key(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let base: [u8; StoreKey::LEN] = *key().as_bytes();
    let mut keys = vec![StoreKey::from_bytes(base)];
    for bit in 0..StoreKey::LEN * 8 {
        let mut other = base;
        other[bit / 8] ^= 1 << (bit % 8);
        keys.push(StoreKey::from_bytes(other));
    }
    // Keys whose bytes are letters of either case, for stores that keep keys as text.
    for text in [b"AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEf", b"aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeF"] {
        keys.push(StoreKey::from_bytes(*text));
    }
    // Keys that end in a blank or a zero byte, which databases may trim or pad.
    for tail in [b' ', 0] {
        let mut padded = [b'k'; StoreKey::LEN];
        padded[StoreKey::LEN - 1] = tail;
        keys.push(StoreKey::from_bytes(padded));
    }
    let records: Vec<_> = keys.iter().map(|_| cx.record()).collect();
    for (n, (key, record)) in keys.iter().zip(&records).enumerate() {
        let created = a.create(&cx.call(), key, record).await;
        is(created, Done, format!("creating the {n}th of keys that differ in one bit or letter"))?;
    }
    for (n, (key, record)) in keys.iter().zip(&records).enumerate() {
        shows(&*b, &cx.call(), key, Some(record), format!("the {n}th of keys that differ in one bit or letter"))
            .await?;
    }
    let shown = Handle::from(keys[0]).to_string();
    ensure!(shown.to_uppercase().parse::<Handle>().is_err(), "a handle must have one form, not one per case");
    Ok(())
}

async fn far_expiry(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let in_2039 = ok(Timestamp::from_millis(2_177_452_800_123), "an instant in 2039")?;
    for (name, at) in [("in 2039", in_2039), ("at the end of the year 9999", Timestamp::MAX)] {
        let (key, mut record) = (key(), cx.record());
        record.expires_at = at;
        is(a.create(&cx.call(), &key, &record).await, Done, format!("creating a record that expires {name}"))?;
        let before = Call::new(at.minus(Duration::from_millis(1)));
        all_show([&a, &b], &before, &key, Some(&record), format!("1 ms before an expiry {name}")).await?;
        shows(&*b, &Call::new(at), &key, None, format!("at an expiry {name}")).await?;
        is(a.touch(&cx.call(), &key, record.version, Timestamp::MAX).await, Done, "a touch out to the year 9999")?;
        record.expires_at = Timestamp::MAX;
        let newer = next(&record);
        is(b.save(&cx.call(), &key, record.version, &newer).await, Done, "a save that expires in the year 9999")?;
        all_show([&a, &b], &cx.call(), &key, Some(&newer), "after a touch and a save out to the year 9999").await?;
    }
    let (key, mut record) = (key(), cx.record());
    record.expires_at = cx.now().plus(Duration::from_millis(300));
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record that lives for 300 ms")?;
    shows(&*b, &cx.later(Duration::from_millis(299)), &key, Some(&record), "299 ms into a life of 300 ms").await?;
    shows(&*b, &cx.later(Duration::from_millis(300)), &key, None, "300 ms into a life of 300 ms").await?;
    shows(&*b, &cx.later(Duration::from_millis(999)), &key, None, "999 ms into a life of 300 ms").await
}

async fn burst(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let mut known: Vec<(StoreKey, Record)> = Vec::new();
    for n in 0..50_u64 {
        let (key, mut record) = (key(), cx.record());
        record.expires_at = cx.now().plus(minutes(1 + n % 7));
        is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
        known.push((key, record));
    }
    // Call `n` asks for record `n % 50` with its own `now`. Every tenth call asks for an unknown key.
    let loads = (0..500_u64).map(|n| {
        let store = if n % 2 == 0 { a.clone() } else { b.clone() };
        let (key, record) = known[n as usize % known.len()].clone();
        let call = cx.later(minutes(n % 9));
        let (key, want) = if n % 10 == 9 {
            let unknown = StoreKey::derive("unknown", &session_core::SessionId::random());
            (unknown, None)
        } else {
            (key, record.is_live(call.now).then_some(record))
        };
        async move { (n, store.load(&call, &key).await, want) }
    });
    for (n, got, want) in at_once(loads).await {
        match (ok(got, format!("load {n} of 500 at once"))?, want) {
            (None, None) => {}
            (Some(got), Some(want)) => same(&got, &want, format!("load {n} of 500 at once"))?,
            (got, want) => {
                let version =
                    |record: &Option<Record>| record.as_ref().map(|record: &Record| -> Version { record.version });
                return Err(Failure::new(format!(
                    "load {n} of 500 at once should answer {:?}, answers {:?}",
                    version(&want),
                    version(&got)
                )));
            }
        }
    }
    Ok(())
}
