//! Names for random versions and keys, to compare runs and to print them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use session_core::{Record, Result, StoreKey, Version};

use crate::store_call::{StoreCall, StoreReply};
use crate::stored_data;

/// Names of versions and keys. They are equal in every run that reaches the same state, though the values are random.
#[derive(Default)]
pub(super) struct Names {
    pub(super) versions: HashMap<Version, u64>,
    pub(super) keys: HashMap<StoreKey, u64>,
    /// Short names for the printed trace, in the order of appearance.
    shown_versions: HashMap<Version, usize>,
    shown_keys: HashMap<StoreKey, usize>,
}

pub(super) fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Names {
    /// Assigns short names to the version and the key of a call.
    pub(super) fn see(&mut self, operation: &StoreCall) {
        if let Some(record) = operation.record() {
            let next = self.shown_versions.len() + 1;
            self.shown_versions.entry(record.version).or_insert(next);
        }
        if let Some(key) = operation.key() {
            let next = self.shown_keys.len() + 1;
            self.shown_keys.entry(*key).or_insert(next);
        }
    }

    pub(super) fn hash_record(&self, record: &Record) -> u64 {
        hash_of((self.versions.get(&record.version), record.expires_at))
    }

    pub(super) fn hash_answer(&self, answer: &Result<StoreReply>) -> u64 {
        match answer {
            Ok(StoreReply::Outcome(outcome)) => hash_of((1, outcome)),
            Ok(StoreReply::Loaded(found)) => hash_of((2, found.as_ref().map(|record| self.hash_record(record)))),
            Ok(StoreReply::Listed(list)) => {
                let list: Vec<_> =
                    list.iter().map(|(key, record)| (self.keys.get(key), self.hash_record(record))).collect();
                hash_of((3, list))
            }
            Ok(StoreReply::Removed(removed)) => hash_of((4, removed)),
            Ok(StoreReply::Purged(purged)) => hash_of((6, purged.removed, purged.more)),
            Err(error) => hash_of((5, error.kind())),
        }
    }

    fn show_version(&self, version: Version) -> String {
        match self.shown_versions.get(&version) {
            Some(nth) => format!("v{nth}"),
            None => "v?".to_owned(),
        }
    }

    pub(super) fn show_key(&self, key: &StoreKey) -> String {
        match self.shown_keys.get(key) {
            Some(nth) => format!("k{nth}"),
            None => "k?".to_owned(),
        }
    }

    fn show_data(&self, record: &Record) -> String {
        match stored_data::envelope(&record.data) {
            [0, ..] => match stored_data::moved_to(record) {
                Some(next) => format!("moved to {}", self.show_key(&next)),
                None => "ended".to_owned(),
            },
            envelope => {
                let content: serde_json::Value = serde_json::from_slice(envelope).unwrap_or_default();
                let principal = record.principal.as_ref().map_or(String::new(), |who| format!(" of {}", who.as_str()));
                let values = content["v"].to_string();
                format!("{}{principal}", values.chars().take(120).collect::<String>())
            }
        }
    }

    fn show_record(&self, record: &Record) -> String {
        format!("{} = {}", self.show_version(record.version), self.show_data(record))
    }

    pub(super) fn show(&self, operation: &StoreCall) -> String {
        match operation {
            StoreCall::Create(key, record) => format!("create {} {}", self.show_key(key), self.show_record(record)),
            StoreCall::Load(key) => format!("load {}", self.show_key(key)),
            StoreCall::Save(key, expected, record) => format!(
                "save {} over {}: {}",
                self.show_key(key),
                self.show_version(*expected),
                self.show_record(record)
            ),
            StoreCall::Touch(key, expected, expires_at) => {
                format!("touch {} over {} to {expires_at:?}", self.show_key(key), self.show_version(*expected))
            }
            StoreCall::Delete(key, expected) => {
                let expected = expected.map_or(String::new(), |version| format!(" at {}", self.show_version(version)));
                format!("delete {}{expected}", self.show_key(key))
            }
            StoreCall::Purge(_) => "purge".to_owned(),
            StoreCall::SessionsOf(principal, _) => format!("sessions of {}", principal.as_str()),
            StoreCall::DeleteAll(principal, _) => format!("delete all of {}", principal.as_str()),
        }
    }

    pub(super) fn show_answer(&self, answer: &Result<StoreReply>) -> String {
        match answer {
            Ok(StoreReply::Outcome(outcome)) => format!("{outcome:?}"),
            Ok(StoreReply::Loaded(None)) => "nothing".to_owned(),
            Ok(StoreReply::Loaded(Some(record))) => self.show_record(record),
            Ok(StoreReply::Listed(list)) => format!("{} sessions", list.len()),
            Ok(StoreReply::Removed(removed)) => format!("{removed} removed"),
            Ok(StoreReply::Purged(purged)) => format!("{} removed", purged.removed),
            Err(error) => format!("{error}"),
        }
    }
}
