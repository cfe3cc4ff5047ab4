//! SQL of tables, indexes and statements.
//!
//! Names are in backticks, which mean the same under every `sql_mode`. Strings are in single quotes and hold nothing that a mode
//! could interpret differently. `session.layouts` holds a dot, which no namespace has.

use std::sync::Arc;
use std::time::Duration;

use session_core::Namespace;
use session_store_sqlx::ServerLimits;
use sqlx::MySql;

use crate::galera::IS_NODE;

/// Layout that this release reads and writes.
pub(crate) const LAYOUT: i32 = 1;

/// Returns the statements that create a namespace's tables. Running them again changes nothing.
///
/// The layout is inserted before the table is created, because statements that create tables commit implicitly. Otherwise a
/// process that starts in between would refuse a table without a layout as a foreign one.
///
/// The index on `purge_at` serves the purge, that on `principal` the lists. Both columns are bytes or numbers, so collations
/// have no effect. `purge_at` is never later than `expires_at`. Only the purge moves it to a later time, so a save or touch that
/// extends the expiry writes into no index.
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
  `purge_at` bigint not null,
  `principal` varbinary(255) null,
  `data` longblob not null,
  primary key (`key`),
  key `purge_at` (`purge_at`),
  key `principal` (`principal`)
) engine = InnoDB"
        ),
    ]
}

/// Expression for whether the server takes writes of privileged accounts only, as replicas do. `super_read_only` turns it on, too.
///
/// On MySQL it is a number. MariaDB's variable is compared as text, because it has more values than on and off from version 12 on. Each
/// server takes its own of the two comments.
pub(crate) const READ_ONLY: &str =
    "(/*!80000 @@global.read_only */ /*M!100600 cast(@@global.read_only as binary) not in ('0', 'OFF') */)";
/// Query with a namespace. Returns its layout.
pub(crate) const GET_LAYOUT: &str =
    "select cast(`layout` as signed) from `session.layouts` where `namespace` = ? limit 1";

/// Returns statements that change nothing. The server refuses each to an account that lacks the right of that name.
pub(crate) fn rights(namespace: &Namespace) -> [(&'static str, String); 4] {
    [
        ("select", format!("select `key` from `{namespace}` where false")),
        (
            "insert",
            format!(
                "insert into `{namespace}` (`key`, {COLUMN_LIST}, `purge_at`) \
                 select 0x00, 0, 0, 0, null, 0x00, 0 from dual where false"
            ),
        ),
        ("update", format!("update `{namespace}` set `version` = 0 where false")),
        ("delete", format!("delete from `{namespace}` where false")),
    ]
}

/// Settings that the store makes on each of its own connections, in the order of the README's table.
///
/// Values are literals, because `default` would be the server's global value. Each can be set without a privilege.
const SETTINGS: &[(&str, &str)] = &[
    ("autocommit", "1"),
    ("sql_mode", "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"),
    // With CHAIN, a `commit` begins a transaction that is never committed.
    ("completion_type", "'NO_CHAIN'"),
    // The largest value. A smaller one cuts results without an error.
    ("sql_select_limit", "18446744073709551615"),
    // These refuse statements by how they find their rows.
    ("sql_safe_updates", "0"),
    ("sql_big_selects", "1"),
    ("sql_auto_is_null", "0"),
    // Without them InnoDB may skip checks of keys.
    ("unique_checks", "1"),
    ("foreign_key_checks", "1"),
    // Statements lock rows in the order of their keys. Other strategies sort the keys by a part of them, or change the order.
    ("max_sort_length", "1024"),
    ("optimizer_switch", "'default'"),
];

/// Returns the statements that set up each connection that the store makes.
///
/// The last one returns whether the server is read-only, and whether it is a node of a Galera cluster.
///
/// A server's `init_connect` may have begun a transaction, so that one is rolled back first. READ COMMITTED locks the requested
/// rows, and no gaps between them. MySQL's `max_execution_time` is off, because a timer for each statement costs a tenth of a load by key;
/// statements that read many rows have a hint instead. The server gives up a client that has vanished from the network: in the middle of a
/// message by the `net_` limits, in the middle of a transaction by `idle_transaction_timeout`, which only MariaDB has.
pub(crate) fn set_up(timeout: Duration) -> String {
    let vanished = vanished(timeout);
    let limits = limits(ServerLimits::usual(timeout));
    let settings: String = SETTINGS.iter().map(|(name, value)| format!("{name} = {value}, ")).collect();
    format!(
        "{ROLLBACK}; set session transaction isolation level read committed; \
         set session {settings}net_read_timeout = {vanished}, net_write_timeout = {vanished} \
         /*M!100600 , idle_transaction_timeout = {vanished} */ /*!80000 , max_execution_time = 0 */; {limits}; \
         select {READ_ONLY}, {IS_NODE} limit 1"
    )
}

/// Returns the statement that sets the server's limits for the following ones.
///
/// `max_statement_time` makes MariaDB end any statement. MySQL ends only reads, by a hint in the statement, and waits for locks.
/// Those limits are whole seconds, and at least one.
pub(crate) fn limits(limits: ServerLimits) -> String {
    let (lock, statement) = (limits.lock.as_secs().max(1), limits.statement.as_secs_f64().max(0.001));
    format!(
        "set session innodb_lock_wait_timeout = {lock}, lock_wait_timeout = {lock} \
         /*M!100600 , max_statement_time = {statement:.3} */"
    )
}

/// Returns the number of seconds after which the server gives up a client that has vanished: half of the time-out, so that its locks
/// are free before other calls for them time out.
fn vanished(timeout: Duration) -> u64 {
    (timeout.as_secs() / 2).max(1)
}

/// Ends a transaction and keeps its changes. Without the last words the session's `completion_type` could begin another
/// transaction, or close the connection.
const COMMIT: &str = "commit and no chain no release";
/// Ends a transaction and undoes its changes; see [`COMMIT`].
const ROLLBACK: &str = "rollback and no chain no release";

/// Statements around a batch of several statements.
pub(crate) struct Transaction {
    pub(crate) start: Arc<str>,
    pub(crate) commit: Arc<str>,
    pub(crate) rollback: Arc<str>,
}

impl Transaction {
    /// Time in seconds for which the server keeps an idle connection. The pool closes it sooner.
    const IDLE: u64 = 3600;

    /// Returns the statements. If `bounded`, the server gives up a client that vanishes in between, by a short `wait_timeout`: MySQL has
    /// no limit for transactions.
    pub(crate) fn new(bounded: bool, timeout: Duration) -> Self {
        let (before, after) = if bounded {
            let [short, long] =
                [vanished(timeout), Self::IDLE].map(|wait| format!("set session wait_timeout = {wait}"));
            (format!("{short}; "), format!("; {long}"))
        } else {
            Default::default()
        };
        Self {
            start: format!("{before}start transaction").into(),
            commit: format!("{COMMIT}{after}").into(),
            rollback: format!("{ROLLBACK}{after}").into(),
        }
    }
}

/// Stands for no key. It is before every key and equal to none. An empty value would be null in MariaDB's mode
/// `EMPTY_STRING_IS_NULL`, and a comparison with null matches nothing.
pub(crate) const NO_KEY: &[u8] = &[0];

type Sql = session_store_sqlx::Sql<MySql>;

/// Numbers of keys in one statement of loads or saves. A batch takes the smallest statement that holds it, and empty places are
/// null. There are only a few widths, so that each is prepared once.
pub(crate) const WIDTHS: [usize; 5] = [4, 16, 32, 64, 128];
/// Number of `WIDTHS` that saves need, because no batch of saves is larger.
pub(crate) const SAVES: usize = 4;
/// Maximum number of rows in one statement of creates.
///
/// There is a statement for each number of rows up to that, because an empty place cannot be null in an insert. The server keeps
/// each statement for each connection.
pub(crate) const CREATES: usize = 32;

/// Statements of one namespace.
///
/// The comment on a statement lists its parameters, then its result. Touches, deletes and the purge take many keys as rows of
/// JSON, with bytes in hexadecimal digits; see [`crate::json`].
pub struct Statements {
    /// Parameters: key, now. Returns version, created_at, expires_at, principal, data of the live record.
    pub(crate) load: Sql,
    /// Parameters: as many keys as `WIDTHS` says. Returns the key and the columns of `load`, also of expired records.
    pub(crate) load_many: [Sql; WIDTHS.len()],
    /// Parameters: key, now. Returns the version of the live record.
    pub(crate) version: Sql,
    /// Parameters: key, version, created_at, expires_at, principal, data of one row, of two, and so on. Inserts all rows, or none
    /// if one of the keys exists.
    pub(crate) insert: [Sql; CREATES],
    /// Parameters: version, created_at, expires_at, principal, data, key, now. Changes an expired row.
    pub(crate) replace: Sql,
    /// Parameters: version, created_at, expires_at, principal, data, key, expected, now. Changes the row if it is live and has the
    /// expected version.
    pub(crate) save: Sql,
    /// Parameter: rows of keys. Returns key, version and expires_at of the stored rows, and locks them in the order of the keys.
    /// There is one for each kind of [`Locks`](session_store_sqlx::Locks).
    pub(crate) lock_many: [Sql; 2],
    /// Parameters: as many keys as `WIDTHS` says. Returns key, version and expires_at of the stored rows.
    pub(crate) find_many: [Sql; SAVES],
    /// Parameters: for each of the columns version, created_at, expires_at, principal, data, as many pairs of key and value as
    /// `WIDTHS` says; then the keys; then such pairs for expected and now.
    pub(crate) save_many: [Sql; SAVES],
    /// Parameters: expires_at, key, expected, now. Matches the row if it is live and has the expected version.
    pub(crate) touch: Sql,
    /// Parameter: rows of key, now, expected, expires_at.
    pub(crate) touch_many: Sql,
    /// Parameters: key, now, and twice the version, or -1 for any.
    pub(crate) delete: Sql,
    /// Parameter: rows of key, now, version or -1 for any.
    pub(crate) delete_many: Sql,
    /// Parameters: now, now, limit. Returns the keys of the rows that the purge has to check, and whether the row has expired.
    pub(crate) due: Sql,
    /// Parameters: rows of keys, now. Removes the rows that have expired.
    pub(crate) purge: Sql,
    /// Parameters: rows of keys, now. Moves `purge_at` of the live rows to their expiry.
    pub(crate) postpone: Sql,
    /// Parameters: principal, now, limit. Returns the key and the columns of `load`.
    pub(crate) sessions_of: Sql,
    /// Parameters: principal, now, key to keep or [`NO_KEY`], limit. Returns the keys of live rows.
    pub(crate) keys_of: Sql,
    /// Parameters: rows of keys, principal, now. Removes the rows that still are live and of this principal.
    pub(crate) delete_all: Sql,
    /// Parameters: last key or [`NO_KEY`], now, limit. Returns the key and the columns of `load` of the
    /// records after that key.
    pub(crate) scan: Sql,
    /// Statements around a batch of several.
    pub(crate) transaction: Transaction,
    /// Maximum number of rows that a purge removes.
    pub(crate) purge_rows: u32,
    /// Whether the server is a node of a Galera cluster.
    pub(crate) is_node: bool,
}

/// Condition of the statements that read for a caller. It is true on a server that takes writes, and raises an error on any other, where
/// records may be old.
///
/// The server evaluates it once for a statement, also if no row is found, because it depends on no column. It needs no message of its
/// own, so no read is ever older than the server's change. Neither server has a function that raises an error, but the exponential of 710
/// is one on both.
pub(crate) fn takes_writes() -> String {
    format!("exp(710 * {READ_ONLY}) > 0")
}

const COLUMN_LIST: &str = "`version`, `created_at`, `expires_at`, `principal`, `data`";
/// Parameter with a record's data. MariaDB's mode `EMPTY_STRING_IS_NULL` makes an empty parameter null.
const DATA: &str = "coalesce(?, x'')";
/// Assignment after that of `expires_at`, because the server assigns from left to right.
const PURGE_NO_LATER: &str = "`purge_at` = least(`purge_at`, `expires_at`)";
/// Expression for the server's clock in milliseconds since 1970, whatever its time zone.
const SERVER_NOW: &str = "timestampdiff(microsecond, '1970-01-01 00:00:00', utc_timestamp(3)) div 1000";

/// Returns a table expression with these columns, whose rows come from a parameter that holds a JSON array of arrays.
fn rows(columns: &[(&str, &str)]) -> String {
    let columns: Vec<_> =
        columns.iter().enumerate().map(|(at, (name, kind))| format!("{name} {kind} path '$[{at}]'")).collect();
    format!("json_table(?, '$[*]' columns ({}))", columns.join(", "))
}

const KEY: (&str, &str) = ("k", "varchar(64)");
const EXPECTED: (&str, &str) = ("expected", "bigint");
const NOW: (&str, &str) = ("now", "bigint");

/// Returns an update of `width` rows, each with its own values.
///
/// Joined with rows of JSON instead, an update of sixteen rows takes MariaDB twice as long, because of the JSON and of a second
/// pass. The casts are needed because a version would otherwise be compared as a floating-point number.
fn save_many(table: &str, width: usize) -> String {
    let of_key = |kind: &str| format!("case `key`{} end", format!(" when ? then cast(? as {kind})").repeat(width));
    let [number, bytes] = ["signed", "binary"].map(of_key);
    let keys = vec!["?"; width].join(", ");
    format!(
        "update {table} force index (primary) set `version` = {number}, `created_at` = {number}, \
         `expires_at` = {number}, {PURGE_NO_LATER}, `principal` = {bytes}, `data` = coalesce({bytes}, x'') \
         where `key` in ({keys}) and `version` = {number} and `expires_at` > {number}"
    )
}

impl Statements {
    /// Returns the statements for the table in `database`, which they name, because a pool's connection may use another database.
    pub(crate) fn new(
        database: &str,
        namespace: &Namespace,
        timeout: Duration,
        transaction: Transaction,
        purge_rows: u32,
        is_node: bool,
    ) -> Self {
        let table = format!("`{}`.`{namespace}`", database.replace('`', "``"));
        let assigned = format!("`version` = ?, `created_at` = ?, `expires_at` = ?, `principal` = ?, `data` = {DATA}");
        let cutoff = format!("least(?, {SERVER_NOW})");
        let hint = format!("/*+ max_execution_time({}) */", timeout.as_millis().max(1));
        // The join order is fixed because the optimizer may choose another for small tables. Rows are thus locked in the given
        // order, and no other rows are locked.
        let joined = format!("straight_join {table} t force index (primary) on t.`key` = unhex(i.k)");
        let primary = takes_writes();
        let read_many = |from: &str, columns: &str, width: usize, and: &str| {
            let marks = vec!["?"; width].join(", ");
            Sql::from(format!("select `key`, {columns} from {from} where `key` in ({marks}){and} limit {width}"))
        };
        let by_key = format!("{table} force index (primary)");
        let insert = |rows: usize| {
            // The name of a column stands for the value that it got in the same row.
            let rows = vec![format!("(?, ?, ?, ?, ?, {DATA}, `expires_at`)"); rows].join(", ");
            Sql::from(format!("insert into {table} (`key`, {COLUMN_LIST}, `purge_at`) values {rows}"))
        };
        let saves: [usize; SAVES] = std::array::from_fn(|at| WIDTHS[at]);
        Self {
            load: format!("select {COLUMN_LIST} from {table} where `key` = ? and `expires_at` > ? and {primary} limit 1")
                .into(),
            load_many: WIDTHS.map(|width| read_many(&table, COLUMN_LIST, width, &format!(" and {primary}"))),
            version: format!("select `version` from {table} where `key` = ? and `expires_at` > ? limit 1").into(),
            insert: std::array::from_fn(|at| insert(at + 1)),
            replace: format!(
                "update {table} set {assigned}, `purge_at` = `expires_at` where `key` = ? and `expires_at` <= ?"
            )
            .into(),
            save: format!(
                "update {table} set {assigned}, {PURGE_NO_LATER} where `key` = ? and `version` = ? and `expires_at` > ?"
            )
            .into(),
            // The limits are larger than any batch. The inner one keeps the keys in a derived table, because MySQL cannot lock
            // rows of JSON.
            lock_many: ["", " skip locked"].map(|locks| {
                Sql::from(format!(
                    "select t.`key`, t.`version`, t.`expires_at` from \
                     (select unhex(k) k from {} j limit 1000000) i \
                     straight_join {table} t force index (primary) on t.`key` = i.k limit 1000000 for update{locks}",
                    rows(&[KEY])
                ))
            }),
            // By the primary key, because this runs in a transaction, where SERIALIZABLE locks each row that it reads.
            find_many: saves.map(|width| read_many(&by_key, "`version`, `expires_at`", width, "")),
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
            due: format!(
                "select {hint} `key`, `expires_at` <= {cutoff} from {table} force index (`purge_at`) \
                 where `purge_at` <= {cutoff} order by `purge_at` limit ?"
            )
            .into(),
            purge: format!("delete t from {} i {joined} where t.`expires_at` <= {cutoff}", rows(&[KEY])).into(),
            postpone: format!(
                "update {} i {joined} set t.`purge_at` = t.`expires_at` where t.`expires_at` > {cutoff}",
                rows(&[KEY])
            )
            .into(),
            sessions_of: format!(
                "select {hint} `key`, {COLUMN_LIST} from {table} where `principal` = ? and `expires_at` > ? and {primary} \
                 limit ?"
            )
            .into(),
            keys_of: format!(
                "select {hint} `key` from {table} force index (`principal`) \
                 where `principal` = ? and `expires_at` > ? and `key` <> ? limit ?"
            )
            .into(),
            delete_all: format!(
                "delete t from {} i {joined} where t.`principal` = ? and t.`expires_at` > ?",
                rows(&[KEY])
            )
            .into(),
            scan: format!(
                "select {hint} `key`, {COLUMN_LIST} from {table} force index (primary) \
                 where `key` > ? and `expires_at` > ? and {primary} order by `key` limit ?"
            )
            .into(),
            transaction,
            purge_rows,
            is_node,
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
