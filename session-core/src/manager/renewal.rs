//! Settings of the renewal of ids.

use std::time::Duration;

use super::policy::Span;
use crate::codec::Content;
use crate::mutant::{self, Mutant};
use crate::{Error, ErrorKind, Result, Timestamp, minutes, seconds};

/// Time for which an old id still opens its session after a client was seen to have the new one. Longer than the requests of a page take.
pub(crate) const GRACE: Duration = seconds(30);

/// Shortest time between two renewals. It is longer than [`GRACE`], so that at most one old id opens a session.
const SHORTEST: Duration = minutes(1);

/// Settings of a manager.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Renewal {
    /// Age at which an id is renewed. `None` if ids are not renewed.
    pub(crate) every: Option<Duration>,
    /// Whether the use of an old id after [`GRACE`] ends the session.
    pub(crate) revokes_reused: bool,
}

impl Renewal {
    /// Checks the settings. No session lasts longer than `longest`.
    pub(super) fn check(self, longest: Duration) -> Result<()> {
        match self.every {
            Some(every) if every < SHORTEST => Err(Error::new(
                ErrorKind::Config,
                format!("`renew_id_every` ({}) is below {}; raise it, or leave it out", Span(every), Span(SHORTEST)),
            )),
            Some(every) if every > longest => Err(Error::new(
                ErrorKind::Config,
                format!(
                    "`renew_id_every` ({}) exceeds the longest absolute time-out ({}), so no id would be renewed; lower it",
                    Span(every),
                    Span(longest)
                ),
            )),
            None if self.revokes_reused => Err(Error::fixed(
                ErrorKind::Config,
                "`revoke_reused` needs `renew_id_every`, because ids are reused only after a renewal; set both",
            )),
            _ => Ok(()),
        }
    }

    /// Whether ids are renewed.
    pub(crate) const fn is_on(self) -> bool {
        self.every.is_some()
    }

    /// Whether the id of a session with this content is to be renewed at `now`, for a client that has that id.
    ///
    /// The id before must be past its grace time, so that no two old ids open one session.
    pub(crate) fn is_due(self, content: &Content, now: Timestamp) -> bool {
        let since = content.id_age.as_ref().map_or(content.created_at, |age| age.since);
        let is_settled = match content.id_age.as_ref().and_then(|age| age.before.as_ref()) {
            None => true,
            Some(before) => match before.seen {
                Some(seen) => now.since(seen) >= GRACE || mutant::is(Mutant::RenewsWithinGrace),
                None => mutant::is(Mutant::RenewsUnseenIds),
            },
        };
        is_settled && self.every.is_some_and(|every| now.since(since) >= every)
    }
}
