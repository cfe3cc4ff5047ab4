//! Clauses about `scan`, which visits every live record, page by page.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use session_core::Outcome::Done;
use session_core::{Call, Cursor, Record, StoreKey, hours};

use crate::check::{BOUND, ensure, is, ok, same};
use crate::clause::clause;
use crate::context::{Instance, key, principal};
use crate::{Clause, Context, Failure, Verdict};

pub(super) const CLAUSES: &[Clause] = &[
    clause!(
        "scan.complete",
        [Scan],
        complete,
        "Every record that is live is visited, pages keep to `limit`, expired ones are not shown, and the end is reached."
    ),
    clause!(
        "scan.moving",
        [Scan],
        moving,
        "A record that is live throughout is visited though others come and go between the pages."
    ),
];

type Rows = BTreeMap<StoreKey, Record>;

/// A walk over all pages, with the two instances in turn.
struct Walk<'a> {
    stores: [&'a Instance; 2],
    call: &'a Call,
    limit: NonZeroU32,
    pages: usize,
    at: Option<Cursor>,
    rows: Rows,
}

impl<'a> Walk<'a> {
    fn new(stores: [&'a Instance; 2], call: &'a Call, limit: NonZeroU32) -> Self {
        Self { stores, call, limit, pages: 0, at: None, rows: Rows::new() }
    }

    /// Reads one page. Returns whether there are more.
    async fn step(&mut self) -> Result<bool, Failure> {
        let page = self.stores[self.pages % 2].scan(self.call, self.at.take(), self.limit).await;
        let page = ok(page, "scan")?;
        let (got, limit) = (page.records.len(), self.limit);
        ensure!(got <= limit.get() as usize, "a page with limit {limit} has {got} records");
        for (key, record) in page.records {
            ensure!(record.is_live(self.call.now), "scan shows a record that is not live");
            self.rows.insert(key, record);
        }
        self.pages += 1;
        self.at = page.next;
        ensure!(self.pages < 5_000, "scan does not reach the end within 5000 pages");
        Ok(self.at.is_some())
    }
}

/// Walks to the end. Returns all records.
pub(super) async fn walk(stores: [&Instance; 2], call: &Call, limit: NonZeroU32) -> Result<Rows, Failure> {
    let mut walk = Walk::new(stores, call, limit);
    while walk.step().await? {}
    Ok(walk.rows)
}

async fn fill(cx: &Context, store: &Instance, count: usize) -> Result<Rows, Failure> {
    let mut rows = Rows::new();
    for n in 0..count {
        let record = if n % 3 == 0 { cx.record_of(&principal(n)?) } else { cx.record() };
        let key = key();
        is(store.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
        rows.insert(key, record);
    }
    Ok(rows)
}

fn visited(rows: &Rows, want: &Rows, what: &str) -> Verdict {
    for (key, record) in want {
        match rows.get(key) {
            Some(shown) => same(shown, record, format!("{what}: a record that scan shows"))?,
            None => {
                let missed = want.keys().filter(|key| !rows.contains_key(key)).count();
                return Err(Failure::new(format!("{what}: {missed} of {} live records are not visited", want.len())));
            }
        }
    }
    Ok(())
}

async fn complete(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let nothing = walk([&a, &b], &cx.call(), BOUND).await?;
    ensure!(nothing.is_empty(), "a scan of an empty store shows {} records", nothing.len());
    let want = fill(&cx, &a, 57).await?;
    for _ in 0..20 {
        let mut expired = cx.record();
        expired.expires_at = cx.now();
        is(b.create(&cx.call(), &key(), &expired).await, Done, "creating an expired record")?;
    }
    for limit in [1, 7, 57, 10_000] {
        let limit = NonZeroU32::new(limit).unwrap_or(BOUND);
        let what = format!("a scan with limit {limit}");
        let rows = walk([&a, &b], &cx.call(), limit).await?;
        visited(&rows, &want, &what)?;
        ensure!(rows.len() == 57, "{what} of 57 live records shows {}", rows.len());
    }
    let later = walk([&a, &b], &cx.later(hours(1)), BOUND).await?;
    ensure!(later.is_empty(), "a scan after every expiry shows {} records", later.len());
    Ok(())
}

async fn moving(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let want = fill(&cx, &a, 40).await?;
    let mut passing: Vec<_> = fill(&cx, &b, 40).await?.into_keys().collect();
    let limit = NonZeroU32::new(5).unwrap_or(BOUND);
    let call = cx.call();
    let mut walk = Walk::new([&a, &b], &call, limit);
    while walk.step().await? {
        // Deletes the visited records, so that a scan by offset skips as many later ones. Also deletes one not
        // visited yet.
        let (passed, ahead) = passing.into_iter().partition(|key| walk.rows.contains_key(key));
        let passed: Vec<_> = passed;
        passing = ahead;
        for gone in passed.into_iter().chain(passing.pop()) {
            is(a.delete(&call, &gone, None).await, Done, "deleting a record between two pages")?;
        }
        is(b.create(&call, &key(), &cx.record()).await, Done, "creating a record between two pages")?;
    }
    visited(&walk.rows, &want, "a scan while others come and go")
}
