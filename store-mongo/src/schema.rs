//! Schema of a namespace: a collection of records, its indexes, and the number of its layout.

use mongodb::IndexModel;
use mongodb::bson::{Bson, Document, doc};
use session_core::{Namespace, StoreKey, Timestamp};

use crate::documents;

/// Layout that this release reads and writes.
pub(crate) const LAYOUT: i32 = 1;

/// Collection with the layout of each namespace. Its name holds a dot, which no namespace has.
pub(crate) const LAYOUTS: &str = "session.layouts";

/// Names of the indexes besides that of the key. Each is also the index's first field.
pub(crate) const INDEXES: [&str; 2] = ["expires_at", "principal"];

/// Returns the commands that create what a namespace needs, in order. Running them again changes nothing.
///
/// The layout comes first, because a collection without a layout is refused as a foreign one.
pub(crate) fn create(namespace: &Namespace) -> [Document; 2] {
    let majority = doc! { "w": "majority" };
    [
        doc! {
            "update": LAYOUTS,
            "updates": [{ "q": { "_id": namespace.as_str() }, "u": { "$setOnInsert": { "layout": LAYOUT } }, "upsert": true }],
            "writeConcern": majority.clone(),
        },
        doc! {
            "createIndexes": namespace.as_str(),
            "indexes": [
                // The server removes records that have expired by its own clock, about once a minute.
                { "key": { "expires_at": 1 }, "name": INDEXES[0], "expireAfterSeconds": 0 },
                // With the key, so that lists are in key order. Records without a principal are left out.
                {
                    "key": { "principal": 1, "_id": 1 },
                    "name": INDEXES[1],
                    "partialFilterExpression": { "principal": { "$exists": true } },
                },
            ],
            "writeConcern": majority,
        },
    ]
}

/// Returns the commands of [`create`] as a script for `mongosh`.
pub(crate) fn script(namespace: &Namespace) -> String {
    create(namespace).iter().map(|command| format!("db.runCommand({command});\n")).collect()
}

/// Returns the name of an index that is not among `found`.
pub(crate) fn missing(found: &[IndexModel]) -> Option<&'static str> {
    let keys = |index: &IndexModel| index.keys.keys().next().cloned().unwrap_or_default();
    let expires = |index: &IndexModel| {
        let after = index.options.as_ref().and_then(|options| options.expire_after);
        index.keys.len() == 1 && after.is_some_and(|after| after.is_zero())
    };
    let has = |name: &str| found.iter().any(|index| keys(index) == name && (name != INDEXES[0] || expires(index)));
    INDEXES.into_iter().find(|name| !has(name))
}

/// Returns a filter for the record under `key`, live or not.
pub(crate) fn by_key(key: &StoreKey) -> Document {
    doc! { "_id": documents::key_value(key) }
}

/// Returns a filter for the record under `key` if it is live at `now`.
pub(crate) fn live(key: &StoreKey, now: Timestamp) -> Document {
    doc! { "_id": documents::key_value(key), "expires_at": after(now) }
}

/// Returns the condition that an expiry is later than `now`.
pub(crate) fn after(now: Timestamp) -> Bson {
    Bson::Document(doc! { "$gt": documents::instant(now) })
}

/// Returns the condition that an expiry is at `now` or before.
pub(crate) fn by(now: Timestamp) -> Bson {
    Bson::Document(doc! { "$lte": documents::instant(now) })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mongodb::options::IndexOptions;

    use super::*;

    #[test]
    fn the_script_is_the_commands_for_mongosh() {
        let script = script(&Namespace::default());
        let lines: Vec<_> = script.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with(r#"db.runCommand({ "update": "session.layouts""#), "{script}");
        assert!(lines[1].starts_with(r#"db.runCommand({ "createIndexes": "sessions""#), "{script}");
        assert!(lines.iter().all(|line| line.ends_with("});")), "{script}");
    }

    #[test]
    fn an_index_that_never_expires_anything_is_none() {
        let index = |keys: Document, after: Option<u64>| {
            let options = IndexOptions::builder().expire_after(after.map(Duration::from_secs)).build();
            IndexModel::builder().keys(keys).options(options).build()
        };
        let principal = index(doc! { "principal": 1, "_id": 1 }, None);
        let expiries = [(Some(0), None), (Some(3600), Some("expires_at")), (None, Some("expires_at"))];
        for (after, lacks) in expiries {
            let found = [index(doc! { "_id": 1 }, None), index(doc! { "expires_at": 1 }, after), principal.clone()];
            assert_eq!(missing(&found), lacks, "{after:?}");
        }
        assert_eq!(missing(&[index(doc! { "expires_at": 1 }, Some(0))]), Some("principal"));
    }
}
