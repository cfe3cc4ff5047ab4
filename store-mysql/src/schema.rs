//! Tables, indexes, statements: all the SQL there is.
//!
//! Names are in backticks, which mean the same under every `sql_mode`; strings are in single quotes and hold nothing that one
//! could take in another way. `session.layouts` holds a dot, which no namespace has.

use std::time::Duration;

use session_core::Namespace;
use sqlx::MySql;

/// Which layout this release reads and writes.
pub(crate) const LAYOUT: i32 = 1;

/// Everything a namespace needs, a statement each. Running them again changes nothing.
///
/// The layout is told first: statements that make tables commit by themselves, and a table without a layout would be
/// somebody else's to a process that starts meanwhile.
///
/// `expires_at` serves the purge, `principal` the lists. Both are bytes or numbers: no collation folds anything.
pub(crate) fn create(namespace: &Namespace) -> [String; 3] {
    [
        "create table if not exists `session.layouts` (
  `namespace` varbinary(40) not null primary key,
  `layout` int not null
) engine = InnoDB"
            .to_owned(),
        format!("insert ignore into `session.layouts` (`namespace`, `layout`) values ('{namespace}', {LAYOUT})"),
        format!(
            "create table if not exists `{namespace}` (
  `key` varbinary(32) not null,
  `version` bigint not null,
  `created_at` bigint not null, -- milliseconds since 1970 UTC, as is
  `expires_at` bigint not null, -- this
  `principal` varbinary(255) null,
  `data` longblob not null,
  primary key (`key`),
  key `expires_at` (`expires_at`),
  key `principal` (`principal`)
) engine = InnoDB"
        ),
    ]
}

/// The columns of a namespace's table and their types, as `COLUMNS_OF` tells them.
pub(crate) const COLUMNS: [(&str, &str); 6] = [
    ("key", "varbinary"),
    ("version", "bigint"),
    ("created_at", "bigint"),
    ("expires_at", "bigint"),
    ("principal", "varbinary"),
    ("data", "longblob"),
];

/// What the store has to know of the server. Asked for by name, as either server has variables that the other does not know.
pub(crate) const VARIABLES: &str =
    "show variables where `variable_name` in ('autocommit', 'max_allowed_packet', 'version')";
/// How this connection is encrypted, or nothing.
pub(crate) const CIPHER: &str = "show session status like 'Ssl_cipher'";
/// The database that is in use, or null.
pub(crate) const DATABASE: &str = "select cast(database() as binary)";
/// Table: the storage engine.
pub(crate) const ENGINE_OF: &str = "select cast(`engine` as binary) from `information_schema`.`tables` \
    where `table_schema` = database() and `table_name` = ?";
/// Table: its columns and their types.
pub(crate) const COLUMNS_OF: &str = "select cast(`column_name` as binary), cast(`data_type` as binary) \
    from `information_schema`.`columns` where `table_schema` = database() and `table_name` = ?";
/// Namespace: its layout.
pub(crate) const GET_LAYOUT: &str = "select cast(`layout` as signed) from `session.layouts` where `namespace` = ?";

/// Statements that do nothing, each of which the server refuses to whoever lacks the right of that name.
pub(crate) fn rights(namespace: &Namespace) -> [(&'static str, String); 4] {
    [
        ("select", format!("select `key` from `{namespace}` where false")),
        (
            "insert",
            format!(
                "insert into `{namespace}` (`key`, {COLUMN_LIST}) select 0x00, 0, 0, 0, null, 0x00 from dual where false"
            ),
        ),
        ("update", format!("update `{namespace}` set `version` = 0 where false")),
        ("delete", format!("delete from `{namespace}` where false")),
    ]
}

/// What is done to each connection of the store's own.
///
/// Waiting for a lock, in a batch and then alone, ends before the time-out where seconds allow it, so that one row that somebody holds does not take the
/// time of all that travel with it. READ COMMITTED locks the rows that are asked for, and no gaps between them.
/// MariaDB ends by itself what nobody waits for any more; MySQL does so for reads, by a hint.
pub(crate) fn set_up(timeout: Duration) -> String {
    let wait = (timeout.as_secs() / 3).max(1);
    let seconds = timeout.as_secs_f64();
    format!(
        "set session transaction isolation level read committed; \
         set session autocommit = 1, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
         innodb_lock_wait_timeout = {wait}, lock_wait_timeout = {wait} /*M!100600 , max_statement_time = {seconds:.3} */"
    )
}

type Sql = store_sqlx::Sql<MySql>;

/// So many keys go into one statement of loads or saves: the next of these, the rest of them null.
/// A few widths, so that each is prepared once.
pub(crate) const WIDTHS: [usize; 5] = [4, 16, 32, 64, 128];
/// Of these the saves need so many, as no batch of them is larger.
pub(crate) const SAVES: usize = 4;
/// So many rows go into one statement of creates at most. It has a statement for each number up to that, since a row
/// that is not there cannot be filled up with null; the server keeps each statement for each connection.
pub(crate) const CREATES: usize = 32;

/// The statements of one namespace. Touches, deletes and the purge take many keys as rows of JSON, bytes in hexadecimal digits; see [`crate::json`].
pub(crate) struct Statements {
    /// key, now: version, created_at, expires_at, principal, data.
    pub(crate) load: Sql,
    /// As many keys as `WIDTHS` says: key and what `load` gives, expired ones too.
    pub(crate) load_many: [Sql; WIDTHS.len()],
    /// key, now: version.
    pub(crate) version: Sql,
    /// key, version, created_at, expires_at, principal, data, of one row, of two, and so on: all, or none where one of the keys is.
    pub(crate) insert: [Sql; CREATES],
    /// version, created_at, expires_at, principal, data, key, now: changes an expired row.
    pub(crate) replace: Sql,
    /// version, created_at, expires_at, principal, data, key, expected, now: changes a row if it was live in that version.
    pub(crate) save: Sql,
    /// Keys: key, version and expires_at of what is there, which is locked in the order of the keys.
    pub(crate) lock_many: Sql,
    /// As many keys as `WIDTHS` says: key, version and expires_at of what is there.
    pub(crate) find_many: [Sql; SAVES],
    /// For as many keys as `WIDTHS` says, a pair of key and value for each column of each row that is set or compared:
    /// version, created_at, expires_at, principal, data; then the keys; then such pairs for expected and now.
    pub(crate) save_many: [Sql; SAVES],
    /// expires_at, key, expected, now: matches a row if it was live in that version.
    pub(crate) touch: Sql,
    /// key, now, expected, expires_at, for many.
    pub(crate) touch_many: Sql,
    /// key, now, version or -1 for any, the same again.
    pub(crate) delete: Sql,
    /// key, now, version or -1 for any, for many.
    pub(crate) delete_many: Sql,
    /// instant, limit: keys.
    pub(crate) expired: Sql,
    /// Keys, instant: removes those that are expired still.
    pub(crate) purge: Sql,
    /// principal, now, limit: key and what `load` gives.
    pub(crate) sessions_of: Sql,
    /// principal, now, key to keep or nothing.
    pub(crate) delete_all: Sql,
    /// key to go on after, now, limit: key and what `load` gives.
    pub(crate) scan: Sql,
    /// How many rows a purge takes at most.
    pub(crate) purge_rows: u32,
}

const COLUMN_LIST: &str = "`version`, `created_at`, `expires_at`, `principal`, `data`";
const ASSIGNED: &str = "`version` = ?, `created_at` = ?, `expires_at` = ?, `principal` = ?, `data` = ?";
/// The server's own clock in milliseconds since 1970, whatever its time zone.
const SERVER_NOW: &str = "timestampdiff(microsecond, '1970-01-01 00:00:00', utc_timestamp(3)) div 1000";

/// Rows of these columns, from a parameter that holds an array of arrays in JSON.
fn rows(columns: &[(&str, &str)]) -> String {
    let columns: Vec<_> =
        columns.iter().enumerate().map(|(at, (name, kind))| format!("{name} {kind} path '$[{at}]'")).collect();
    format!("json_table(?, '$[*]' columns ({}))", columns.join(", "))
}

const KEY: (&str, &str) = ("k", "varchar(64)");
const EXPECTED: (&str, &str) = ("expected", "bigint");
const NOW: (&str, &str) = ("now", "bigint");

/// An update of as many rows as `width` says, each of which has its own values.
///
/// Joined with rows of JSON, an update of sixteen takes MariaDB twice as long: half for the JSON, half for a second pass.
/// What a parameter is has to be said, or a version is taken for a floating-point number where it is compared.
fn save_many(table: &str, width: usize) -> String {
    let of_key = |kind: &str| format!("case `key`{} end", format!(" when ? then cast(? as {kind})").repeat(width));
    let [number, bytes] = ["signed", "binary"].map(of_key);
    let keys = vec!["?"; width].join(", ");
    format!(
        "update {table} force index (primary) set `version` = {number}, `created_at` = {number}, \
         `expires_at` = {number}, `principal` = {bytes}, `data` = {bytes} \
         where `key` in ({keys}) and `version` = {number} and `expires_at` > {number}"
    )
}

impl Statements {
    pub(crate) fn new(namespace: &Namespace, timeout: Duration, purge_rows: u32) -> Self {
        let table = format!("`{namespace}`");
        let hint = format!("/*+ max_execution_time({}) */", timeout.as_millis().max(1));
        // In this order, whatever the optimizer thinks of small tables: rows are locked in the order in which they are given,
        // and none besides.
        let joined = format!("straight_join {table} t force index (primary) on t.`key` = unhex(i.k)");
        let read_many = |from: &str, columns: &str, width: usize| {
            let marks = vec!["?"; width].join(", ");
            Sql::from(format!("select `key`, {columns} from {from} where `key` in ({marks})"))
        };
        let by_key = format!("{table} force index (primary)");
        let insert = |rows: usize| {
            let rows = vec!["(?, ?, ?, ?, ?, ?)"; rows].join(", ");
            Sql::from(format!("insert into {table} (`key`, {COLUMN_LIST}) values {rows}"))
        };
        let saves: [usize; SAVES] = std::array::from_fn(|at| WIDTHS[at]);
        Self {
            load: format!("select {COLUMN_LIST} from {table} where `key` = ? and `expires_at` > ?").into(),
            load_many: WIDTHS.map(|width| read_many(&table, COLUMN_LIST, width)),
            version: format!("select `version` from {table} where `key` = ? and `expires_at` > ?").into(),
            insert: std::array::from_fn(|at| insert(at + 1)),
            replace: format!("update {table} set {ASSIGNED} where `key` = ? and `expires_at` <= ?").into(),
            save: format!("update {table} set {ASSIGNED} where `key` = ? and `version` = ? and `expires_at` > ?").into(),
            // The limit, which is above any batch, keeps the rows a table of their own: MySQL locks no JSON.
            lock_many: format!(
                "select t.`key`, t.`version`, t.`expires_at` from \
                 (select unhex(k) k from {} j limit 1000000) i \
                 straight_join {table} t force index (primary) on t.`key` = i.k for update",
                rows(&[KEY])
            )
            .into(),
            // In a transaction, where SERIALIZABLE makes a lock of each row that is read.
            find_many: saves.map(|width| read_many(&by_key, "`version`, `expires_at`", width)),
            save_many: saves.map(|width| save_many(&table, width).into()),
            touch: format!(
                "update {table} set `expires_at` = greatest(`expires_at`, ?) \
                 where `key` = ? and `version` = ? and `expires_at` > ?"
            )
            .into(),
            touch_many: format!(
                "update {} i {joined} set t.`expires_at` = i.expires_at \
                 where t.`version` = i.expected and t.`expires_at` > i.now and t.`expires_at` < i.expires_at",
                rows(&[KEY, NOW, EXPECTED, ("expires_at", "bigint")])
            )
            .into(),
            delete: format!("delete from {table} where `key` = ? and `expires_at` > ? and (`version` = ? or ? < 0)").into(),
            delete_many: format!(
                "delete t from {} i {joined} where t.`expires_at` > i.now and (t.`version` = i.expected or i.expected < 0)",
                rows(&[KEY, NOW, EXPECTED])
            )
            .into(),
            expired: format!(
                "select {hint} `key` from {table} force index (`expires_at`) \
                 where `expires_at` <= least(?, {SERVER_NOW}) order by `expires_at` limit ?"
            )
            .into(),
            purge: format!(
                "delete t from {} i {joined} where t.`expires_at` <= least(?, {SERVER_NOW})",
                rows(&[KEY])
            )
            .into(),
            sessions_of: format!(
                "select {hint} `key`, {COLUMN_LIST} from {table} where `principal` = ? and `expires_at` > ? limit ?"
            )
            .into(),
            // By this index, in which nothing moves that keeps its principal.
            delete_all: format!(
                "delete t from {table} t force index (`principal`) \
                 where t.`principal` = ? and t.`expires_at` > ? and t.`key` <> ?"
            )
            .into(),
            scan: format!(
                "select {hint} `key`, {COLUMN_LIST} from {table} force index (primary) \
                 where `key` > ? and `expires_at` > ? order by `key` limit ?"
            )
            .into(),
            purge_rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_enough_for_the_server() {
        let longest = Namespace::new(&"x".repeat(Namespace::MAX_LEN)).unwrap();
        let schema = create(&longest).join(";");
        let names = schema.split('`').skip(1).step_by(2);
        assert!(names.clone().count() > 5);
        for name in names {
            assert!(name.len() <= 64, "{name}");
        }
    }
}
