//! End of an exchange: its changes are stored or dropped.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use session_core::Result;

use super::{Exchange, Inner, OpenSlot};
use crate::configured::{Announced, OpenSession};
use crate::{CommitReport, SetCookie, transport};

impl Exchange {
    /// Drops all changes that were not saved, and closes the sessions. A commit stores no later change either.
    ///
    /// Call it if the handler panicked, was cancelled or failed. A warning event names the sessions whose changes are dropped.
    /// A logout is kept: if a commit follows, it still ends the session. What was saved explicitly stays stored, and a commit returns its cookie.
    /// A task that outlives the handler is told: its next [`save`](session_core::Session::save) returns [`Gone`](session_core::ErrorKind::Gone) if changes were dropped.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::Manager;
    /// # use session_http::{CookieOptions, SessionSet};
    /// # let set = SessionSet::new(Manager::new(session_store_memory::MemoryStore::new()), CookieOptions::new())?;
    /// let exchange = set.begin();
    /// exchange.open_first([]).await?.insert("n", &1)?;
    /// exchange.abandon(); // the handler panicked
    /// assert!(exchange.commit().await.set_cookie.is_empty());
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn abandon(&self) {
        self.abandon_because("a request was abandoned");
    }

    /// As [`abandon`](Self::abandon). The event gives the reason `why`. For `session-tower`, which knows it.
    #[doc(hidden)]
    pub fn abandon_because(&self, why: &str) {
        self.0.abandoned.store(true, Ordering::SeqCst);
        self.0.drop_changes(why);
    }

    /// Whether a logout remains to be carried out after [`abandon`](Self::abandon). For `session-tower`, which then commits.
    #[doc(hidden)]
    pub fn has_ends(&self) -> bool {
        self.0.opened().any(|(_, _, open)| open.session.is_modified())
    }

    /// Stores all changed sessions concurrently, and returns the cookies and the caching advice for the response.
    ///
    /// Call it after the handler has returned and before the response's head is sent. It closes the sessions.
    /// A session that was stored has its `Set-Cookie` line even if another session could not be stored.
    /// Run it to its end even if the client disconnects. If it is dropped, no change is lost, and it can be called again.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::Manager;
    /// # use session_http::{CookieOptions, SessionSet};
    /// # let set = SessionSet::new(Manager::new(session_store_memory::MemoryStore::new()), CookieOptions::new())?;
    /// let exchange = set.begin();
    /// exchange.open_first([]).await?.insert("n", &1)?;
    /// let report = exchange.commit().await;
    /// let status = report.error.as_ref().map_or(200, |error| session_http::status(error.kind()));
    /// assert_eq!((status, report.set_cookie.len()), (200, 1));
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn commit(&self) -> CommitReport {
        self.begin_commit();
        let Some(first) = self.0.opened().next() else { return self.0.new_report() };
        // The list of several sessions is kept out of this future. Without it, the future fits into what allocators hand out quickly.
        if self.0.opened().nth(1).is_none() {
            let closed = close(first).await;
            let mut report = self.0.new_report();
            self.0.report(&mut report, first, closed);
            return report;
        }
        Box::pin(self.commit_all()).await
    }

    async fn commit_all(&self) -> CommitReport {
        let all = self.0.opened().collect::<Vec<_>>();
        let closed = join_all(all.iter().copied().map(close)).await;
        let mut report = self.0.new_report();
        for (slot, closed) in all.into_iter().zip(closed) {
            self.0.report(&mut report, slot, closed);
        }
        report
    }

    /// Commits without waiting. Returns `None` if the store is needed; call [`commit`](Self::commit) then.
    ///
    /// Most requests only read. For them no future has to be kept alive when the client disconnects.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::Manager;
    /// # use session_http::{CookieOptions, SessionSet};
    /// # let set = SessionSet::new(Manager::new(session_store_memory::MemoryStore::new()), CookieOptions::new())?;
    /// let exchange = set.begin();
    /// let visits: Option<u64> = exchange.open_first([]).await?.get("visits")?;
    /// let report = match exchange.commit_at_once() {
    ///     Some(report) => report,
    ///     None => exchange.commit().await, // in a task of its own
    /// };
    /// assert!(report.set_cookie.is_empty());
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn commit_at_once(&self) -> Option<CommitReport> {
        self.begin_commit();
        let mut report = None;
        for opened in self.0.opened() {
            let (configured, slot, open) = opened;
            let commit = configured.manager.close_at_once(&open.session)?;
            let announced = configured.announce(|| slot.options(configured), open, commit, slot.handed().as_ref());
            slot.committed.store(announced.is_ok(), Ordering::SeqCst);
            self.0.report(report.get_or_insert_with(|| self.0.new_report()), opened, announced);
        }
        Some(report.unwrap_or_else(|| self.0.new_report()))
    }

    /// Lets no later change in, and prepares the sessions for their commit.
    fn begin_commit(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        let is_abandoned = self.0.abandoned.load(Ordering::SeqCst);
        if is_abandoned {
            self.0.drop_changes("a request was abandoned");
        }
        for slot in self.0.opened() {
            if self.0.is_withheld(slot) {
                withhold(slot);
            } else if !is_abandoned {
                slot.0.keep_in_step(slot.1.own_options().as_ref(), &slot.2.session);
            }
        }
    }
}

impl Inner {
    /// Returns a report without sessions. It has the headers that were searched for their values.
    fn new_report(&self) -> CommitReport {
        let mut report = CommitReport::default();
        if self.failed.load(Ordering::SeqCst) {
            report.note_failure();
        }
        for index in 0..self.set.sessions.len() {
            let looked = self.slot(index).1.looked.load(Ordering::SeqCst);
            for name in transport::vary(self.transports(index), looked) {
                if !report.vary.contains(&name) {
                    report.vary.push(name);
                }
            }
        }
        report
    }

    /// Adds the result of a session's commit to `report`.
    fn report(&self, report: &mut CommitReport, slot: OpenSlot<'_>, closed: Result<Announced>) {
        let (configured, _, open) = slot;
        let dropped = |announced: &Announced| announced.lines.iter().any(SetCookie::needs_tls);
        if self.facts().says_plain && closed.as_ref().is_ok_and(dropped) {
            configured.warn_of_plain_page();
        }
        report.add(configured.name(), open, closed);
    }
}

/// Drops a session whose cookie would replace the one that the browser has withheld. What was saved explicitly is ended.
fn withhold((configured, _, OpenSession { session, .. }): OpenSlot<'_>) {
    let is_saved = session.handle().is_some();
    if session.has_changes() || is_saved {
        tracing::warn!(
            sessions = configured.name(),
            "a cross-site request came without its cookie, and a new one would replace it: its changes are not stored"
        );
        session.abandon();
    }
    if is_saved {
        session.logout();
    }
}

async fn close((configured, slot, open): OpenSlot<'_>) -> Result<Announced> {
    slot.committed.store(false, Ordering::SeqCst);
    let commit = configured.manager.close(&open.session).await?;
    let announced = configured.announce(|| slot.options(configured), open, commit, slot.handed().as_ref())?;
    slot.committed.store(true, Ordering::SeqCst);
    Ok(announced)
}
