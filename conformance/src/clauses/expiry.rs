//! Clauses about servers that remove expired records by themselves.

use std::ops::ControlFlow;
use std::time::Duration;

use session_core::Outcome::Done;
use session_core::{Call, Clock as _, SystemClock, hours};

use crate::check::{ensure, is, lists, ok, poll_until, shows};
use crate::clause::clause;
use crate::context::{key, principal};
use crate::{Clause, Context, Failure, Verdict};

pub(super) const CLAUSES: &[Clause] = &[clause!(
    "expiry.server-removes",
    [ExpiresItself],
    server_removes,
    "Within the stated delay the server no longer holds an expired record, nor an index entry that a listing would show."
)];

/// Waits in real time, because it checks the server's own clock.
async fn server_removes(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let ann = principal("ann")?;
    let born = SystemClock.now();
    let (short, mut fleeting) = (key(), cx.record_of(&ann));
    fleeting.created_at = born;
    fleeting.expires_at = born.plus(Duration::from_millis(400));
    let (long, lasting) = (key(), cx.record_of(&ann));
    is(a.create(&Call::new(born), &long, &lasting).await, Done, "creating a record that lasts")?;
    is(a.create(&Call::new(born), &short, &fleeting).await, Done, "creating a record for 400 ms")?;

    // With `now` at its creation the record is live as long as it is stored.
    let delay = cx.subject().expiry_delay + Duration::from_millis(400);
    let gone = poll_until(delay, || async {
        match b.load(&Call::new(born), &short).await {
            Ok(Some(_)) => ControlFlow::Continue(()),
            answer => ControlFlow::Break(answer),
        }
    });
    let Ok(gone) = gone.await else {
        let text = format!("the server still holds a record {} ms after its creation", delay.as_millis());
        return Err(Failure::new(text));
    };
    ok(gone, "loading a record that the server should remove")?;
    shows(&*b, &Call::new(born), &long, Some(&lasting), "a live record beside the one that the server removed").await?;
    if cx.can().by_principal {
        lists(&*b, &Call::new(born), &ann, &[&long], "after the server removed the other").await?;
        let gone = ok(a.delete_all(&Call::new(born), &ann, None).await, "delete_all after the server removed one")?;
        ensure!(gone == 1, "delete_all should count the 1 session that is live, counts {gone}");
        lists(&*b, &Call::new(born.plus(hours(1))), &ann, &[], "after delete_all").await?;
    }
    Ok(())
}
