//! Assertions of the clauses, and helpers to run calls together.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session_core::{Call, Error, ErrorKind, Outcome, Principal, Record, Result as CoreResult, Store, StoreKey};
use tokio::sync::Barrier;

use crate::{Failure, Verdict};

/// Fails the clause with the given text unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err($crate::Failure::new(format!($($text)+)));
        }
    };
}
pub(crate) use ensure;

/// A limit that no clause reaches by accident.
pub(crate) const BOUND: NonZeroU32 = NonZeroU32::new(10_000).expect("it is not zero");

/// Time between two attempts of [`poll_until`].
const PAUSE: Duration = Duration::from_millis(20);

/// Polls until `ask` breaks with a value. After `limit`, returns the last reason that `ask` gave for continuing.
pub(crate) async fn poll_until<T, E, F>(limit: Duration, mut ask: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = ControlFlow<T, E>>,
{
    let begun = Instant::now();
    loop {
        match ask().await {
            ControlFlow::Break(answer) => return Ok(answer),
            ControlFlow::Continue(why) if begun.elapsed() > limit => return Err(why),
            // sleep: servers and drivers start, reconnect and remove records at their own time, and send no notification.
            ControlFlow::Continue(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Returns the answer, or a failure that names the call and its error.
pub(crate) fn ok<T>(got: CoreResult<T>, what: impl Display) -> Result<T, Failure> {
    got.map_err(|error| Failure::new(format!("{what}: got the error \"{error}\" ({:?})", error.kind())))
}

/// Checks that the answer is `want`.
pub(crate) fn is<T: PartialEq + Debug>(got: CoreResult<T>, want: T, what: impl Display) -> Verdict {
    let got = ok(got, &what)?;
    ensure!(got == want, "{what}: should be {want:?}, is {got:?}");
    Ok(())
}

/// Checks that the answer is an error of this kind.
pub(crate) fn errs<T: Debug>(got: CoreResult<T>, kind: ErrorKind, what: impl Display) -> Verdict {
    match got {
        Ok(answer) => Err(Failure::new(format!("{what}: should be an error ({kind:?}), is {answer:?}"))),
        Err(error) => {
            ensure!(
                error.kind() == kind,
                "{what}: should be an error ({kind:?}), is another one ({:?}): {error}",
                error.kind()
            );
            Ok(())
        }
    }
}

/// Checks that `load` returns exactly this record, or `None`.
pub(crate) async fn shows(
    store: &dyn Store,
    call: &Call,
    key: &StoreKey,
    want: Option<&Record>,
    what: impl Display,
) -> Verdict {
    let got = ok(store.load(call, key).await, format!("{what}: load"))?;
    match (got, want) {
        (None, None) => Ok(()),
        (Some(got), Some(want)) => same(&got, want, what),
        (Some(got), None) => Err(Failure::new(format!("{what}: load should answer None, answers {got:?}"))),
        (None, Some(want)) => Err(Failure::new(format!("{what}: load should answer {want:?}, answers None"))),
    }
}

/// Checks [`shows`] on both instances.
pub(crate) async fn all_show(
    stores: [&Arc<dyn Store>; 2],
    call: &Call,
    key: &StoreKey,
    want: Option<&Record>,
    what: impl Display,
) -> Verdict {
    for (store, instance) in stores.into_iter().zip(["first", "second"]) {
        shows(store, call, key, want, format!("{what} (seen by the {instance} instance)")).await?;
    }
    Ok(())
}

/// Checks that two records are equal in every field. The failure names the first field that differs.
pub(crate) fn same(got: &Record, want: &Record, what: impl Display) -> Verdict {
    ensure!(got.version == want.version, "{what}: the version should be {:?}, is {:?}", want.version, got.version);
    let (is, should) = (got.created_at, want.created_at);
    ensure!(is == should, "{what}: created_at should be {should:?}, is {is:?}");
    let (is, should) = (got.expires_at, want.expires_at);
    ensure!(is == should, "{what}: expires_at should be {should:?}, is {is:?}");
    ensure!(
        got.principal == want.principal,
        "{what}: the principal should be {:?}, is {:?}",
        want.principal.as_ref().map(Principal::as_str),
        got.principal.as_ref().map(Principal::as_str)
    );
    if got.data != want.data {
        let at = got.data.iter().zip(&want.data).position(|(a, b)| a != b);
        let place = at.map_or_else(|| "where the shorter one ends".to_owned(), |at| format!("at byte {at}"));
        let (is, should) = (got.data.len(), want.data.len());
        return Err(Failure::new(format!(
            "{what}: the data should be the {should} bytes written, are {is} bytes that differ {place}"
        )));
    }
    Ok(())
}

/// Returns the keys listed for `principal`, sorted. Fails if a record is another principal's or a key is listed twice.
pub(crate) async fn listed(
    store: &dyn Store,
    call: &Call,
    principal: &Principal,
    what: impl Display,
) -> Result<Vec<StoreKey>, Failure> {
    let rows = ok(store.sessions_of(call, principal, BOUND).await, format!("{what}: sessions_of"))?;
    for (_, record) in &rows {
        ensure!(
            record.principal.as_ref() == Some(principal),
            "{what}: sessions_of({:?}) lists a record of {:?}",
            principal.as_str(),
            record.principal.as_ref().map(Principal::as_str)
        );
        ensure!(record.is_live(call.now), "{what}: sessions_of lists a record that is not live");
    }
    let mut keys: Vec<_> = rows.into_iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    let all = keys.len();
    keys.dedup();
    ensure!(keys.len() == all, "{what}: sessions_of lists {} keys twice", all - keys.len());
    Ok(keys)
}

/// Checks that `sessions_of` lists exactly these keys.
pub(crate) async fn lists(
    store: &dyn Store,
    call: &Call,
    principal: &Principal,
    want: &[&StoreKey],
    what: impl Display,
) -> Verdict {
    let got = listed(store, call, principal, &what).await?;
    let mut want: Vec<_> = want.iter().map(|key| **key).collect();
    want.sort_unstable();
    let missed = want.iter().filter(|key| !got.contains(key)).count();
    let wrong = got.iter().filter(|key| !want.contains(key)).count();
    ensure!(
        got == want,
        "{what}: sessions_of({:?}) should list {} sessions; it misses {missed} of them and lists {wrong} others",
        principal.as_str(),
        want.len()
    );
    Ok(())
}

/// Counts the outcomes, in the order Done, Exists, Conflict, Missing.
pub(crate) fn tally(outcomes: &[Outcome]) -> [usize; 4] {
    use Outcome::{Conflict, Done, Exists, Missing};
    [Done, Exists, Conflict, Missing].map(|kind| outcomes.iter().filter(|got| **got == kind).count())
}

/// Runs all futures as tasks that start together. Returns their answers in the same order.
pub(crate) async fn at_once<F>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let futures: Vec<_> = futures.into_iter().collect();
    let start = Arc::new(Barrier::new(futures.len().max(1)));
    let tasks: Vec<_> = futures
        .into_iter()
        .map(|future| {
            let start = Arc::clone(&start);
            tokio::spawn(async move {
                start.wait().await;
                future.await
            })
        })
        .collect();
    let mut answers = Vec::with_capacity(tasks.len());
    for task in tasks {
        match task.await {
            Ok(answer) => answers.push(answer),
            // A panic inside a store fails the clause with the panic's own message.
            Err(broken) => std::panic::resume_unwind(broken.into_panic()),
        }
    }
    answers
}

/// Returns the future's answer, or a failure if it takes longer than `limit`.
pub(crate) async fn within<F: Future>(limit: Duration, what: impl Display, future: F) -> Result<F::Output, Failure> {
    tokio::time::timeout(limit, future)
        .await
        .map_err(|_| Failure::new(format!("{what}: there is no answer within {} ms", limit.as_millis())))
}

/// Returns the error and its sources, as `Display` and `Debug` show them.
pub(crate) fn texts(error: &Error) -> Vec<String> {
    let mut texts = vec![format!("{error}"), format!("{error:?}"), format!("{error:#?}")];
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        texts.extend([format!("{inner}"), format!("{inner:?}")]);
        source = inner.source();
    }
    texts
}
