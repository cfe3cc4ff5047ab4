//! Clauses about namespaces: independent stores on one server.

use session_core::Outcome::Done;
use session_core::{Call, Clock as _, ErrorKind, Namespace, SystemClock, hours};

use crate::check::{BOUND, ensure, errs, is, lists, ok, shows};
use crate::clause::clause;
use crate::context::{key, principal, today};
use crate::{Clause, Context, Verdict};

pub(super) const CLAUSES: &[Clause] = &[
    clause!(
        "namespace.apart",
        [Namespaces],
        apart,
        "Equal keys in two namespaces are two sessions; delete_all, purge and scan stay inside; long names with one beginning are apart."
    ),
    clause!(
        "namespace.hostile",
        [Namespaces],
        hostile,
        "Quotes, blanks, semicolons, NUL, capitals and 200 characters in a namespace are Config errors."
    ),
];

async fn apart(cx: Context) -> Verdict {
    // One name begins the others, some have a `_` that a pattern would match with any character, and two differ only in
    // the 40th character.
    let stem = cx.namespace().to_owned();
    let mut names = vec![stem.clone()];
    for tail in ["_", "__", "_x"] {
        names.push(cx.adopt(format!("{stem}{tail}")));
    }
    for last in ["a", "b"] {
        names.push(cx.adopt(format!("{stem:_<39}{last}")));
    }
    let (ann, key, stale) = (principal("ann")?, key(), crate::context::key());
    let past = Call::new(today().minus(hours(2)));
    let mut stores = Vec::new();
    for name in &names {
        let store = cx.open(name).await?;
        let record = cx.record_of(&ann);
        let what = format!("creating the same key in the namespace {name}");
        is(store.create(&cx.call(), &key, &record).await, Done, what)?;
        let mut expired = cx.record();
        expired.expires_at = today().minus(hours(1));
        is(store.create(&past, &stale, &expired).await, Done, "creating an expired record")?;
        stores.push((name, store, record, expired));
    }
    for (name, store, record, _) in &stores {
        shows(&**store, &cx.call(), &key, Some(record), format!("the same key in the namespace {name}")).await?;
        if cx.can().by_principal {
            lists(&**store, &cx.call(), &ann, &[&key], format!("in the namespace {name}")).await?;
        }
        if cx.can().scan {
            let rows = super::scan::walk([store, store], &cx.call(), BOUND).await?;
            ensure!(rows.len() == 1, "a scan of the namespace {name} with 1 live record shows {}", rows.len());
        }
    }
    // Empties the first namespace by every available operation, and checks the others.
    let (first, rest) = stores.split_at(1);
    let (_, store, ..) = &first[0];
    if cx.can().by_principal {
        let gone = ok(store.delete_all(&cx.call(), &ann, None).await, "delete_all in the first namespace")?;
        ensure!(gone == 1, "delete_all in a namespace with 1 session answers {gone}");
    } else {
        is(store.delete(&cx.call(), &key, None).await, Done, "delete in the first namespace")?;
    }
    ok(store.purge(&Call::new(SystemClock.now()), BOUND).await, "purge in the first namespace")?;
    shows(&**store, &cx.call(), &key, None, "the first namespace after it was emptied").await?;
    for (name, store, record, expired) in rest {
        let what = format!("the namespace {name} after another was emptied");
        shows(&**store, &cx.call(), &key, Some(record), &what).await?;
        if !cx.can().expires_itself {
            shows(&**store, &past, &stale, Some(expired), format!("{what}: its expired record")).await?;
        }
        if cx.can().by_principal {
            lists(&**store, &cx.call(), &ann, &[&key], &what).await?;
        }
    }
    Ok(())
}

async fn hostile(cx: Context) -> Verdict {
    let long = "a".repeat(200);
    let forty_one = format!("{:a<41}", cx.namespace());
    let names = [
        "",
        " ",
        "a b",
        " a",
        "a ",
        "a\t",
        "a\n",
        "a'b",
        "a\"b",
        "a`b",
        "a;b",
        "a; drop table sessions; --",
        "a--",
        "a/*",
        "a\0",
        "\0",
        "A",
        "aB",
        "9a",
        "a-b",
        "a.b",
        "a:b",
        "a/b",
        "../a",
        "a\\b",
        "a%b",
        "a*",
        "a{b}",
        "a$1",
        "é",
        "a🦀",
        "ａ",
        &forty_one,
        &long,
    ];
    for name in names {
        let opened = cx.harness().open(name).await;
        errs(opened.map(drop), ErrorKind::Config, format!("opening the store on the namespace {name:?}"))?;
    }
    let forty = cx.adopt(format!("{:_<40}", cx.namespace()));
    ensure!(Namespace::new(&forty).is_ok(), "{forty} is a valid namespace");
    let store = cx.open(&forty).await?;
    let (key, record) = (key(), cx.record());
    is(store.create(&cx.call(), &key, &record).await, Done, "creating in a namespace of 40 characters")?;
    shows(&*store, &cx.call(), &key, Some(&record), "in a namespace of 40 characters").await
}
