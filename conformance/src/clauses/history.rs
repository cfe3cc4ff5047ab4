//! Clauses that check random concurrent operations against the whole contract.

use std::sync::Arc;

use crate::clause::clause;
use crate::history::{self, Plan};
use crate::{Clause, Context, Verdict};

pub(super) const CLAUSES: &[Clause] = &[
    clause!(
        "history.random",
        [],
        random,
        "What 8 tasks see that work on few keys over 2 instances is what some order of their operations would show (linearizable per key)."
    ),
    clause!(
        "history.cuts",
        [Proxy],
        cuts,
        "The same while connections are reset and replies lost: what was answered holds, what was not happened once or never."
    ),
];

async fn random(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    history::run([a, b], cx.now(), &Plan::from_env(cx.subject().history_ops), None).await
}

async fn cuts(cx: Context) -> Verdict {
    let (a, network) = cx.behind_proxy().await?;
    let b = if cx.can().shared { cx.through(&network).await? } else { Arc::clone(&a) };
    let network = Arc::new(network);
    let mut plan = Plan::from_env(cx.subject().history_ops);
    // Each cut breaks one or more connections and the calls in flight, so fewer operations run.
    plan.operations = plan.operations.div_ceil(10);
    history::run([a, b], cx.now(), &plan, Some(&network)).await
}
