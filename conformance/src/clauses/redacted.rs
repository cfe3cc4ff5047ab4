//! Clauses about texts that operators see and logs contain.

use bytes::Bytes;
use session_core::Outcome::Done;
use session_core::{Error, SessionId, StoreKey, Version};

use crate::check::{BOUND, ensure, is, texts};
use crate::clause::clause;
use crate::context::{next, principal};
use crate::{Clause, Context, Verdict};

pub(super) const CLAUSES: &[Clause] = &[clause!(
    "redacted",
    [],
    redacted,
    "No Display or Debug of an error, its sources, a key, an id, a record or a store shows a key, an id, data or a password."
)];

/// Secrets in every form in which a text could show them.
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn new(cx: &Context, id: &SessionId, key: &StoreKey, data: &[u8]) -> Self {
        let mut all = vec![("the id", id.encode())];
        for (name, bytes) in [("the key", &key.as_bytes()[..]), ("the data", data)] {
            // The first 12 bytes identify the secret, and also appear in a message that is cut short.
            let head = &bytes[..12];
            let hex: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
            all.push((name, hex.to_uppercase()));
            all.push((name, hex));
            all.push((name, head.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")));
            all.push((name, format!("{:?}", Bytes::copy_from_slice(head)).replace("b\"", "").replace('"', "")));
        }
        all.push(("the data", String::from_utf8_lossy(data).into_owned()));
        all.extend(cx.subject().secrets.iter().map(|secret| ("a password", secret.clone())));
        Self(all)
    }

    fn absent_from(&self, text: &str, what: &str) -> Verdict {
        for (name, secret) in &self.0 {
            ensure!(!text.contains(secret.as_str()), "{what} shows {name}");
        }
        Ok(())
    }

    fn absent_from_error(&self, error: &Error, what: &str) -> Verdict {
        texts(error).iter().try_for_each(|text| self.absent_from(text, what))
    }
}

async fn redacted(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let id = SessionId::random();
    let key = StoreKey::derive("conformance", &id);
    let mut record = cx.record_of(&principal("ann")?);
    record.data = Bytes::from_static(b"confidential-4711-confidential");
    let secrets = Secrets::new(&cx, &id, &key, &record.data);
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;

    for (what, store) in [("Debug of the first instance", &a), ("Debug of the second instance", &b)] {
        secrets.absent_from(&format!("{store:?} {store:#?}"), what)?;
    }
    secrets.absent_from(&format!("{id:?} {key:?} {record:?} {record:#?}"), "Debug of an id, a key or a record")?;
    for (what, answer) in [
        ("Debug of what load answers", format!("{:?}", a.load(&cx.call(), &key).await)),
        (
            "Debug of what sessions_of answers",
            format!("{:?}", a.sessions_of(&cx.call(), &principal("ann")?, BOUND).await),
        ),
        ("Debug of what scan answers", format!("{:?}", a.scan(&cx.call(), None, BOUND).await)),
    ] {
        secrets.absent_from(&answer, what)?;
    }
    // Errors that every store can return: too large, and an invalid namespace.
    if let Some(longest) = cx.can().max_data_len {
        let mut fat = next(&record);
        fat.data = Bytes::from(record.data.repeat(longest / record.data.len() + 1));
        for error in
            [a.create(&cx.call(), &key, &fat).await.err(), b.save(&cx.call(), &key, record.version, &fat).await.err()]
        {
            error.map_or(Ok(()), |error| secrets.absent_from_error(&error, "the error of data that is too large"))?;
        }
    }
    if let Err(error) = cx.harness().open("No Namespace").await {
        secrets.absent_from_error(&error, "the error of a wrong namespace")?;
    }
    if cx.subject().address.is_some() {
        outage(&cx, &secrets, &key, &record).await?;
    }
    Ok(())
}

/// Checks the errors of operations and of `open` when the server cannot be reached.
async fn outage(cx: &Context, secrets: &Secrets, key: &StoreKey, record: &session_core::Record) -> Verdict {
    let (store, proxy) = cx.behind_proxy().await?;
    secrets.absent_from(&format!("{store:?}"), "Debug of an instance behind a proxy")?;
    proxy.cut();
    let errors = [
        store.load(&cx.call(), key).await.err(),
        store.create(&cx.call(), key, record).await.err(),
        store.save(&cx.call(), key, Version::random(), record).await.err(),
        cx.harness().open_through(proxy.address(), cx.namespace()).await.err(),
    ];
    errors.iter().flatten().try_for_each(|error| secrets.absent_from_error(error, "the error of an outage"))
}
