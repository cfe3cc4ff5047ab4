//! Random concurrent operations, checked against the contract as a whole.

use crate::clause::clause;
use crate::{Clause, Context, Verdict};

pub(super) const CLAUSES: &[Clause] = &[clause!(
    "history.random",
    [],
    random,
    "What 8 tasks see that work on few keys over 2 instances is what some order of their operations would show (linearizable per key)."
)];

async fn random(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    crate::history::run([a, b], cx.now(), &crate::history::Plan::from_env(cx.subject().history_ops)).await
}
