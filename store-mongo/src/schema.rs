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

/// Returns the command that asks for the kind and the options of the collection.
pub(crate) fn describe(namespace: &Namespace) -> Document {
    doc! { "listCollections": 1, "filter": { "name": namespace.as_str() } }
}

/// Returns what is wrong with a collection on which filters or writes mean something else, and how to mend it. `description` is
/// the answer to [`describe`].
pub(crate) fn unsuitable(namespace: &Namespace, description: &Document) -> Option<String> {
    let found = description.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch")).ok()?;
    let found = found
        .iter()
        .filter_map(Bson::as_document)
        .find(|it| it.get_str("name").is_ok_and(|name| name == namespace.as_str()))?;
    if let Ok(kind @ ("view" | "timeseries")) = found.get_str("type") {
        return Some(format!("`{namespace}` is a {kind}, not a collection; choose another namespace"));
    }
    let options = found.get_document("options").ok()?;
    if options.get_bool("capped").unwrap_or(false) {
        return Some(format!(
            "the collection `{namespace}` is capped, so it would drop live sessions; copy it to one that is not"
        ));
    }
    options.get_document("collation").ok().filter(|collation| !is_simple(collation)).map(|_| folds(namespace))
}

/// Returns what is wrong with the indexes of a collection, and how to mend it.
pub(crate) fn unsuitable_index(namespace: &Namespace, found: &[IndexModel]) -> Option<String> {
    for index in found {
        let Some(options) = &index.options else { continue };
        // An index has the collection's collation unless it was made with its own.
        if options.collation.as_ref().is_some_and(|collation| collation.locale != "simple") {
            return Some(folds(namespace));
        }
        if options.unique == Some(true) && !index.keys.contains_key("_id") {
            let name = options.name.as_deref().unwrap_or("without a name");
            return Some(format!(
                "the unique index `{name}` of the collection `{namespace}` refuses sessions; \
                 run: db.{namespace}.dropIndex(\"{name}\")"
            ));
        }
    }
    None
}

fn is_simple(collation: &Document) -> bool {
    collation.get_str("locale").is_ok_and(|locale| locale == "simple")
}

fn folds(namespace: &Namespace) -> String {
    format!(
        "the collection `{namespace}` or one of its indexes has a collation, so different principals could share sessions; \
         copy the collection to one without a collation"
    )
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
    fn a_collection_on_which_filters_mean_something_else_is_unsuitable() {
        let namespace = Namespace::default();
        let about = |kind: &str, options: Document| {
            let found = doc! { "name": namespace.as_str(), "type": kind, "options": options };
            unsuitable(&namespace, &doc! { "cursor": { "id": 0_i64, "firstBatch": [found] } })
        };
        for (kind, options, part) in [
            ("view", doc! { "viewOn": "others" }, "is a view"),
            ("timeseries", doc! {}, "is a timeseries"),
            ("collection", doc! { "capped": true, "size": 4096 }, "is capped"),
            ("collection", doc! { "collation": { "locale": "en", "strength": 2 } }, "has a collation"),
        ] {
            assert!(about(kind, options).unwrap().contains(part), "{part}");
        }
        for options in [doc! {}, doc! { "capped": false }, doc! { "collation": { "locale": "simple" } }] {
            assert_eq!(about("collection", options), None);
        }
        assert_eq!(unsuitable(&namespace, &doc! { "cursor": { "firstBatch": [] } }), None);
    }

    #[test]
    fn an_index_that_refuses_or_folds_principals_is_unsuitable() {
        use mongodb::options::Collation;
        let namespace = Namespace::default();
        let index = |keys: Document, unique: bool, locale: Option<&str>| {
            let collation = locale.map(|locale| Collation::builder().locale(locale).build());
            let name = "an_index".to_owned();
            let options = IndexOptions::builder().unique(unique).collation(collation).name(name).build();
            [IndexModel::builder().keys(keys).options(options).build()]
        };
        for (found, part) in [
            (index(doc! { "_id": 1 }, false, Some("en")), "has a collation"),
            (index(doc! { "principal": 1 }, true, None), "db.sessions.dropIndex(\"an_index\")"),
        ] {
            assert!(unsuitable_index(&namespace, &found).unwrap().contains(part), "{part}");
        }
        for found in
            [index(doc! { "_id": 1 }, true, Some("simple")), index(doc! { "principal": 1, "_id": 1 }, true, None)]
        {
            assert_eq!(unsuitable_index(&namespace, &found), None);
        }
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
