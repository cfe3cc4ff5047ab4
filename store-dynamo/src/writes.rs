//! Writes of one session. Each has a condition, and its changes of the index are part of the same transaction.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use session_core::{Principal, Record, Result, StoreKey, Timestamp, Version};
use session_store_kit::operations::Access;
use tokio::time::Instant;

use crate::error::{Failure, incomplete};
use crate::execute::Server;
use crate::items::{self, Item};

/// Condition of a write. A comparison with a missing attribute is false.
#[derive(Clone)]
pub(crate) struct Condition {
    text: String,
    values: HashMap<String, AttributeValue>,
}

impl Condition {
    /// Requires that there is no item under the key.
    pub(crate) fn absent() -> Self {
        Self { text: "attribute_not_exists(pk)".to_owned(), values: HashMap::new() }
    }

    /// Requires that there is an item under the key.
    pub(crate) fn present() -> Self {
        Self { text: "attribute_exists(pk)".to_owned(), values: HashMap::new() }
    }

    /// Requires an expired session with this version.
    pub(crate) fn expired(version: Version, now: Timestamp) -> Self {
        let values = items::item([(":old", items::number(version.as_i64())), (":now", items::instant(now))]);
        Self { text: "version = :old AND expires_at <= :now".to_owned(), values }
    }

    /// Requires a live session.
    pub(crate) fn live(now: Timestamp) -> Self {
        Self { text: "expires_at > :now".to_owned(), values: items::item([(":now", items::instant(now))]) }
    }

    /// Also requires this version.
    pub(crate) fn version(self, version: Version) -> Self {
        self.and("version = :old", [(":old", items::number(version.as_i64()))])
    }

    /// Also requires that the session has no principal.
    pub(crate) fn without_principal(self) -> Self {
        self.and("attribute_not_exists(principal)", [])
    }

    /// Also requires this principal. Strings are compared byte for byte.
    pub(crate) fn of(self, principal: &Principal) -> Self {
        self.and("principal = :who", [(":who", items::text(principal.as_str()))])
    }

    /// Also requires that the entry of a session with a principal remains at least until `at`.
    pub(crate) fn entered_until(self, at: Timestamp) -> Self {
        let covers = "(attribute_not_exists(principal) OR index_until >= :covered)";
        self.and(covers, [(":covered", items::instant(at))])
    }

    /// Also requires that the session expires before `at`.
    pub(crate) fn before(self, at: Timestamp) -> Self {
        self.and("expires_at < :before", [(":before", items::instant(at))])
    }

    fn and<const N: usize>(mut self, text: &str, values: [(&str, AttributeValue); N]) -> Self {
        self.text.push_str(" AND ");
        self.text.push_str(text);
        self.values.extend(items::item(values));
        self
    }
}

/// Change of the session's item.
pub(crate) enum Change<'a> {
    /// Writes the whole item. Its entry, if it has a principal, remains until the instant.
    Put(&'a Record, Option<Timestamp>),
    /// Sets all of the record but the principal.
    Save(&'a Record),
    /// Sets the expiry, and `index_until` if the entry is renewed.
    Touch(Timestamp, Option<Timestamp>),
    Delete,
}

/// Change of the index in the same transaction.
#[derive(Clone, Copy)]
pub(crate) enum Entry<'a> {
    Put(&'a Principal, Timestamp),
    Remove(&'a Principal),
}

/// A write of one session.
pub(crate) struct Write<'a> {
    pub(crate) key: &'a StoreKey,
    pub(crate) change: Change<'a>,
    pub(crate) condition: Condition,
    pub(crate) entries: Vec<Entry<'a>>,
    /// Whether a refusal returns the stored item, data included.
    pub(crate) returns_stored: bool,
}

/// Result of a write.
pub(crate) enum Written {
    Done,
    /// The condition does not hold. Contains the stored item, if there is one and `returns_stored` is set.
    Refused(Option<Item>),
}

/// Sets the table, condition and values of a write. There are six builders of writes: put, update and delete, each on its own and
/// within a transaction.
macro_rules! conditional {
    ($builder:expr, $server:expr, $write:expr) => {{
        let Condition { text, mut values } = $write.condition.clone();
        let (names, set) = $write.change.sets();
        values.extend(set);
        let tells = if $write.returns_stored {
            ReturnValuesOnConditionCheckFailure::AllOld
        } else {
            ReturnValuesOnConditionCheckFailure::None
        };
        $builder
            .table_name(&$server.table)
            .condition_expression(text)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values((!values.is_empty()).then_some(values))
            .return_values_on_condition_check_failure(tells)
    }};
}

impl Change<'_> {
    /// Returns the expression of an update.
    const fn expression(&self) -> &'static str {
        match self {
            Self::Save(_) => {
                "SET version = :version, created_at = :created_at, expires_at = :expires_at, #ttl = :ttl, #data = :data"
            }
            Self::Touch(_, None) => "SET expires_at = :expires_at, #ttl = :ttl",
            Self::Touch(_, Some(_)) => "SET expires_at = :expires_at, #ttl = :ttl, index_until = :index_until",
            Self::Put(..) | Self::Delete => "",
        }
    }

    /// Returns names and values of an update's expression. The names stand for words that DynamoDB reserves.
    fn sets(&self) -> (Option<HashMap<String, String>>, Item) {
        let (names, mut values) = match self {
            Self::Put(..) | Self::Delete => return (None, Item::new()),
            Self::Save(record) => {
                let values = items::item([
                    (":version", items::number(record.version.as_i64())),
                    (":created_at", items::instant(record.created_at)),
                    (":data", items::bytes(&record.data)),
                ]);
                (&["ttl", "data"][..], values)
            }
            Self::Touch(_, index_until) => {
                let index_until = index_until.map(|at| (":index_until".to_owned(), items::instant(at)));
                (&["ttl"][..], index_until.into_iter().collect())
            }
        };
        if let Self::Save(Record { expires_at, .. }) | Self::Touch(expires_at, _) = self {
            values
                .extend(items::item([(":expires_at", items::instant(*expires_at)), (":ttl", items::ttl(*expires_at))]));
        }
        (Some(names.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect()), values)
    }
}

impl Server {
    /// Carries out `write` if its condition holds: by a plain request if the index does not change, otherwise by a transaction.
    pub(crate) async fn write(&self, until: Instant, write: &Write<'_>) -> Result<Written> {
        if !write.entries.is_empty() {
            let all = self.transaction(write)?;
            let request = || self.clients.writes.transact_write_items().set_transact_items(Some(all.clone())).send();
            return written(self.ask(until, Access::Write, request).await);
        }
        let key = || Some(items::session_key(write.key));
        match &write.change {
            Change::Put(record, index_until) => {
                let item = || Some(items::session(write.key, record, *index_until));
                let request = || conditional!(self.clients.writes.put_item(), self, write).set_item(item()).send();
                written(self.ask(until, Access::Write, request).await)
            }
            Change::Delete => {
                let request = || conditional!(self.clients.writes.delete_item(), self, write).set_key(key()).send();
                written(self.ask(until, Access::Write, request).await)
            }
            change @ (Change::Save(_) | Change::Touch(..)) => {
                let update = || conditional!(self.clients.writes.update_item(), self, write).set_key(key());
                let request = || update().update_expression(change.expression()).send();
                written(self.ask(until, Access::Write, request).await)
            }
        }
    }

    /// Returns the writes of a transaction: that of the session, which alone has a condition, and those of the index.
    fn transaction(&self, write: &Write<'_>) -> Result<Vec<TransactWriteItem>> {
        let key = || Some(items::session_key(write.key));
        let item = TransactWriteItem::builder();
        let first = match &write.change {
            Change::Put(record, index_until) => {
                let whole = items::session(write.key, record, *index_until);
                let put = conditional!(Put::builder(), self, write).set_item(Some(whole));
                item.put(put.build().map_err(incomplete)?)
            }
            Change::Delete => {
                let delete = conditional!(Delete::builder(), self, write).set_key(key());
                item.delete(delete.build().map_err(incomplete)?)
            }
            change @ (Change::Save(_) | Change::Touch(..)) => {
                let update = conditional!(Update::builder(), self, write).set_key(key());
                item.update(update.update_expression(change.expression()).build().map_err(incomplete)?)
            }
        };
        let mut all = vec![first.build()];
        for entry in &write.entries {
            let item = TransactWriteItem::builder();
            let item = match entry {
                Entry::Put(principal, until) => {
                    let entry = items::entry(principal, write.key, *until);
                    let put = Put::builder().table_name(&self.table).set_item(Some(entry));
                    item.put(put.build().map_err(incomplete)?)
                }
                Entry::Remove(principal) => {
                    let key = items::entry_key(principal, write.key);
                    let delete = Delete::builder().table_name(&self.table).set_key(Some(key));
                    item.delete(delete.build().map_err(incomplete)?)
                }
            };
            all.push(item.build());
        }
        Ok(all)
    }
}

fn written<T>(answer: Result<T, Failure>) -> Result<Written> {
    match answer {
        Ok(_) => Ok(Written::Done),
        Err(Failure::Refused(item)) => Ok(Written::Refused(item)),
        Err(failure) => Err(failure.error()),
    }
}
