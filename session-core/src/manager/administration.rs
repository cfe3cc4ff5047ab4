//! Lists sessions by criteria, and ends them.

use std::num::NonZeroU32;

use super::Manager;
use super::description::newest_first;
use super::environment::Environment;
use super::filter::Filter;
use super::session_info::SessionInfo;
use crate::codec::Stored;
use crate::{Cursor, Error, ErrorKind, Outcome, Principal, Record, Result, StoreKey};

/// Maximum number of sessions in a list.
pub(super) const LIST_LIMIT: NonZeroU32 = NonZeroU32::new(1_000).expect("not zero");
const LIST_LEN: usize = LIST_LIMIT.get() as usize;

/// Number of records in a page of a scan.
const PAGE: NonZeroU32 = NonZeroU32::new(500).expect("not zero");

/// Maximum number of passes of a revocation. A client that keeps making new sessions could prolong it without end.
pub(super) const MAX_ROUNDS: usize = 64;

const NO_LISTS: Error = Error::fixed(
    ErrorKind::Unsupported,
    "the store neither scans nor lists by principal; use another one to list sessions by criteria",
);

/// Position of a walk over the sessions that may match a filter.
#[derive(Default)]
struct Walk {
    begun: bool,
    after: Option<Cursor>,
}

impl Manager {
    /// Lists the sessions that match `filter`, newest first. Of more than 1,000 it returns the newest.
    ///
    /// This is for administrators. The list has the sessions of all logical names that share the store's namespace.
    /// A filter with a principal uses the store's index of principals. Any other reads every session in the store, a page at a time.
    /// A session that begins or ends meanwhile may be in the list or not. A record that does not decode is left out, with an event.
    ///
    /// ```
    /// # use session_core::{Filter, Manager, Result, hours};
    /// async fn print_unused(manager: &Manager) -> Result<()> {
    ///     for info in manager.list(Filter::all().idle(hours(8))).await? {
    ///         let who = info.principal.map(|who| who.to_string()).unwrap_or_default();
    ///         println!("{} {who} last used {}", info.handle, info.last_used);
    ///     }
    ///     Ok(())
    /// }
    /// # let manager = Manager::new(session_core::NullStore);
    /// # assert!(pollster::block_on(print_unused(&manager)).is_err(), "this store has no lists");
    /// ```
    ///
    /// # Errors
    /// - [`ErrorKind::Unsupported`]: the store lacks [`scan`](crate::Capabilities::scan), and the filter has no principal or the store
    ///   lacks [`by_principal`](crate::Capabilities::by_principal) too. Or a session is in a [codec](crate::Codec) that this program is
    ///   built without.
    /// - [`ErrorKind::Unavailable`].
    /// - Errors of the filter: those of [`Principal::new`], and of [`Session::insert`](crate::Session::insert) for a value or a key.
    pub async fn list(&self, filter: Filter) -> Result<Vec<SessionInfo>> {
        let (env, filter) = (&*self.env, filter.checked()?);
        let (mut list, mut walk) = (Vec::new(), Walk::default());
        while let Some(records) = env.next_page(&filter, &mut walk).await? {
            let now = env.now();
            for (key, record) in records {
                if let Some((info, content)) = env.describe(key, &record, now)?
                    && filter.matches(&info, &content, now)
                {
                    list.push(info);
                }
            }
            if list.len() >= 2 * LIST_LEN {
                newest_first(&mut list);
                list.truncate(LIST_LEN);
            }
        }
        env.remove_unfinished(&mut list, |info| info).await?;
        newest_first(&mut list);
        list.truncate(LIST_LEN);
        Ok(list)
    }

    /// Ends all sessions that match `filter`. Returns how many were ended, or would be in a [dry run](Filter::dry_run).
    ///
    /// This is for administrators (OWASP ASVS 5.0, 7.4.5), and for a logout that an identity provider demands.
    /// A session that was changed meanwhile ends only if it still matches. A session that has just moved to a new id is ended there.
    /// A session that begins during the call may stay, unless the filter has a principal and the store an index of principals.
    ///
    /// Without a criterion, or with only a principal, records that do not decode are removed too.
    ///
    /// ```
    /// # use session_core::{Filter, Key, Manager, Result};
    /// const SID: Key<String> = Key::new("oidc sid");
    ///
    /// async fn back_channel_logout(manager: &Manager, sub: &str, sid: &String) -> Result<u64> {
    ///     manager.revoke_where(Filter::all().principal(sub).value(SID, sid)).await
    /// }
    /// # let manager = Manager::new(session_core::NullStore);
    /// # let ended = pollster::block_on(back_channel_logout(&manager, "ann", &String::new()));
    /// # assert!(ended.is_err(), "this store has no lists");
    /// ```
    ///
    /// # Errors
    /// The errors of [`list`](Self::list). Sessions that were ended before the error stay ended.
    /// [`ErrorKind::Unavailable`] also if new sessions kept appearing, or a session kept changing.
    pub async fn revoke_where(&self, filter: Filter) -> Result<u64> {
        let (env, filter) = (&*self.env, filter.checked()?);
        let indexed = filter.sought_principal().filter(|_| env.store().capabilities().by_principal);
        if let Some(principal) = indexed.filter(|_| filter.needs_no_content() && !filter.dry_run) {
            return env.revoke_all(principal, None).await;
        }
        let mut revoked = 0;
        let result = env.revoke_passes(&filter, indexed.is_some(), &mut revoked).await;
        if !filter.dry_run {
            env.emit_revoked(filter.sought_principal(), revoked);
        }
        result.map(|()| revoked)
    }
}

impl Environment {
    /// Returns the next records that may match `filter`, or `None` at the end.
    async fn next_page(&self, filter: &Filter, walk: &mut Walk) -> Result<Option<Vec<(StoreKey, Record)>>> {
        let can = self.store().capabilities();
        if walk.begun && walk.after.is_none() {
            return Ok(None);
        }
        walk.begun = true;
        match filter.sought_principal() {
            Some(principal) if can.by_principal => self.all_of(principal).await.map(Some),
            _ if can.scan => {
                let page = self.store().scan(&self.call(), walk.after.take(), PAGE).await?;
                walk.after = page.next;
                Ok(Some(page.records))
            }
            _ => Err(NO_LISTS),
        }
    }

    /// Returns all live records of `principal`.
    pub(super) async fn all_of(&self, principal: &Principal) -> Result<Vec<(StoreKey, Record)>> {
        let mut limit = LIST_LIMIT;
        loop {
            let records = self.store().sessions_of(&self.call(), principal, limit).await?;
            if records.len() < limit.get() as usize || limit == NonZeroU32::MAX {
                return Ok(records);
            }
            limit = limit.saturating_mul(NonZeroU32::new(8).expect("not zero"));
        }
    }

    /// Ends, or counts, the sessions that match `filter`, and adds their number to `revoked`.
    ///
    /// With an index of principals it repeats the walk until it finds none. One walk may miss a session that is stored under its new id
    /// while the old one is ended.
    async fn revoke_passes(&self, filter: &Filter, indexed: bool, revoked: &mut u64) -> Result<()> {
        for _ in 0..MAX_ROUNDS {
            let before = *revoked;
            self.revoke_pass(filter, revoked).await?;
            if *revoked == before || filter.dry_run || !indexed {
                return Ok(());
            }
        }
        Err(KEPT_APPEARING)
    }

    async fn revoke_pass(&self, filter: &Filter, revoked: &mut u64) -> Result<()> {
        let mut walk = Walk::default();
        while let Some(records) = self.next_page(filter, &mut walk).await? {
            for (key, record) in records {
                let ended = match filter.dry_run {
                    true => {
                        let now = self.now();
                        let described = self.describe(key, &record, now)?;
                        described.is_some_and(|(info, content)| filter.matches(&info, &content, now))
                    }
                    false => self.end_if_it_matches(key, record, filter).await?,
                };
                *revoked += u64::from(ended);
            }
        }
        Ok(())
    }

    /// Ends the session in `record`, or where it has moved to, if it matches `filter`. Returns whether it was ended.
    async fn end_if_it_matches(&self, mut key: StoreKey, mut record: Record, filter: &Filter) -> Result<bool> {
        for _ in 0..MAX_ROUNDS {
            let version = match Stored::read(&record) {
                Ok((Stored::Tombstone(None), _)) => return Ok(false),
                Ok((Stored::Tombstone(Some(next)), _)) => {
                    key = next;
                    None
                }
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    let wanted = filter.needs_no_content()
                        && filter
                            .sought_principal()
                            .is_none_or(|principal| record.principal.as_ref() == Some(principal));
                    if !wanted {
                        return Ok(false);
                    }
                    Some(record.version)
                }
                _ => {
                    let now = self.now();
                    match self.describe(key, &record, now)? {
                        Some((info, content)) if filter.matches(&info, &content, now) => Some(record.version),
                        _ => return Ok(false),
                    }
                }
            };
            if let Some(version) = version {
                match self.store().delete(&self.call(), &key, Some(version)).await? {
                    Outcome::Done => return Ok(true),
                    Outcome::Missing => return Ok(false),
                    Outcome::Conflict | Outcome::Exists => {}
                }
            }
            match self.store().load(&self.call(), &key).await? {
                Some(current) => record = current,
                None => return Ok(false),
            }
        }
        Err(KEPT_CHANGING)
    }
}

pub(super) const KEPT_APPEARING: Error =
    Error::fixed(ErrorKind::Unavailable, "new sessions kept appearing while all were to be revoked; try again");

pub(super) const KEPT_CHANGING: Error =
    Error::fixed(ErrorKind::Unavailable, "the session kept changing while it was to be revoked; try again");
