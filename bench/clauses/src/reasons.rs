//! Explanations of failures, found by reading the peers' sources.

use crate::kind::Kind;
use Kind::{Mariadb, Memory, Moka, Mongo, Mysql, Postgres, Redis, Sqlite, Valkey};

/// A clause, the stores that fail it, and why.
type Reason = (&'static str, &'static [Kind], &'static str);

const NIL: &str = "The key is there: `SET … NX` answers nil, which the driver, without its feature `default-nil-types`, makes an error when it is \
                   read as the `bool` of `save_with_options`. So a taken id is an error and not another id.";

const XX: &str = "Its `save` is `SET … XX`, which stores nothing and answers nil; the driver makes an error of that as in `create`. \
                  The session stays deleted, and the request in flight fails.";

const UPSERT: &str = "Its `save` is an upsert: it stores the session again and says that all is well.";

const LOST: &str = "Its `save` replaces whatever is there, and each writer was told that its update is stored.";

const BACK: &str = "Its `save` is an upsert: one that comes after the delete brings the session back.";

const CHECK_THEN: &str = "Its `create` asks whether the id is there (`id_exists`), then upserts (`save_with_conn`), and nothing keeps others off \
                          in between: two are told that the id is theirs.";

const SNAPSHOT: &str = "Its `create` asks whether the id is there (`id_exists`), then upserts (`save_with_conn`). Where another came in between \
                        MariaDB's snapshot isolation ends the transaction, and the error goes to the application instead of another id.";

const EXPIRED: &str = "Its `create` takes an expired session that lies there for one that has the id. No harm to an application, \
                       which gets another id.";

const SECONDS: &str =
    "`save_with_options` cuts the expiry to whole seconds (`EXAT`): a session ends up to a second too early.";

const TEXT: &str = "The expiry is compared as text in the form of RFC 3339, which leaves zeros at the end of a second's fraction out: \
                    `….5Z` is later than `….51Z`, and `…:00Z` than `…:00.9Z`. A session lives up to a second too long.";

const COLLATION: &str = "Its `id` is `char(22)` in the database's collation, which by default takes letters of either case for the same: \
                         ids that differ in case are one session.";

const BLOB: &str = "Its column `data` is a `blob`: at most 65,535 bytes.";

const AGES: &str = "Its column `expiry_date` is a `timestamp(6)`, which ends in 2106. A later instant, sent as a timestamp as sqlx does it, \
                    is stored in silence as the present: the session is over at once.";

const REASONS: &[Reason] = &[
    ("create.round-trip", &[Mysql, Mariadb], BLOB),
    ("create.exists", &[Redis, Valkey], NIL),
    (
        "create.exists",
        &[Mongo],
        "It has no `create`: a new session is saved by `update_one` with `upsert(true)`, over another's if the id is taken.",
    ),
    (
        "create.race",
        &[Moka],
        "Its `create` asks `contains_key`, then inserts, and nothing keeps others off in between.",
    ),
    ("create.race", &[Postgres, Mysql], CHECK_THEN),
    ("create.race", &[Mariadb], SNAPSHOT),
    ("create.race", &[Redis, Valkey], NIL),
    (
        "create.race",
        &[Mongo],
        "It has no `create`, and its `save` is an upsert: everybody is told that the id is theirs.",
    ),
    ("load.boundary", &[Sqlite], TEXT),
    ("load.boundary", &[Redis, Valkey], SECONDS),
    ("load.exact-key", &[Mysql, Mariadb], COLLATION),
    ("load.far-expiry", &[Sqlite], TEXT),
    ("load.far-expiry", &[Redis, Valkey], SECONDS),
    ("load.far-expiry", &[Mysql], "Its column `expiry_date` is a `timestamp(6)`, which ends in January 2038."),
    ("load.far-expiry", &[Mariadb], AGES),
    ("save.deleted", &[Memory, Moka, Sqlite, Postgres, Mysql, Mariadb, Mongo], UPSERT),
    ("save.deleted", &[Redis, Valkey], XX),
    ("save.counter", Kind::ALL, LOST),
    ("delete.beats-writers", &[Memory, Moka, Sqlite, Postgres, Mysql, Mariadb, Mongo], BACK),
    ("delete.beats-writers", &[Redis, Valkey], XX),
    ("fault.black-hole", &[Mongo], "The driver has no time-out for an answer, and the store sets none."),
];

/// Returns why this store fails this clause with this message, if that is known.
pub(crate) fn reason(clause: &str, kind: Kind, said: &str) -> Option<&'static str> {
    // A store with a race may pass for fresh ids by luck, and then fail for expired ones.
    if clause == "create.race" && said.contains("over an expired record") && said.contains("got 0 and 32") {
        return Some(EXPIRED);
    }
    REASONS.iter().find(|(name, kinds, _)| *name == clause && kinds.contains(&kind)).map(|(_, _, why)| *why)
}
