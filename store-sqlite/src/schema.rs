//! SQL of the store: tables, indexes and statements.
//!
//! Names derived from a namespace contain a dot, which no namespace has. So the name of an index never collides with a table.

use session_core::{Error, ErrorKind, Namespace, Result};

/// Layout that this release reads and writes.
pub(crate) const LAYOUT: i64 = 1;

/// Creates the table that records the layout of each namespace.
const LAYOUTS: &str = r#"create table if not exists "session.layouts" (
  namespace text not null primary key,
  layout integer not null
) strict;"#;

/// Query for whether a table exists.
pub(crate) const HAS_TABLE: &str =
    "select exists(select 1 from sqlite_schema where type = 'table' and lower(name) = ?1)";
/// Name of the table of layouts.
pub(crate) const LAYOUTS_TABLE: &str = "session.layouts";
/// Query for the layout of a namespace.
pub(crate) const GET_LAYOUT: &str = r#"select layout from "session.layouts" where namespace = ?1"#;

/// Parses `name` as a namespace of an SQLite database.
pub(crate) fn namespace(name: &str) -> Result<Namespace> {
    if name.starts_with("sqlite_") {
        return Err(Error::fixed(
            ErrorKind::Config,
            "SQLite reserves names that begin with sqlite_; choose another namespace",
        ));
    }
    Namespace::new(name)
}

/// Returns the SQL that creates the tables and indexes of a namespace. Running it again changes nothing.
///
/// The table has rowids. Without them a session of 200 bytes is no faster, and one of a few KiB is slower,
/// because it would be stored in the inner nodes of the tree.
/// With rowids the indexes hold 8 bytes instead of a key, so that a save changes fewer of their pages.
///
/// `purge_at` is never later than `expires_at`. Only the purge moves it to a later time.
/// A save or touch that extends the expiry, as nearly all do, therefore changes no index.
///
/// The index on `principal` serves lists and `delete_all`. Sessions without a principal have no entry there.
pub(crate) fn create(namespace: &Namespace) -> String {
    format!(
        r#"{LAYOUTS}
create table if not exists "{namespace}" (
  key blob not null primary key,
  version integer not null,
  created_at integer not null, -- milliseconds since 1970, as is
  expires_at integer not null, -- this
  purge_at integer not null,
  principal text null,
  data blob not null
) strict;
create index if not exists "{namespace}.purge_at" on "{namespace}" (purge_at);
create index if not exists "{namespace}.principal" on "{namespace}" (principal) where principal is not null;
insert or ignore into "session.layouts" (namespace, layout) values ('{namespace}', {LAYOUT});
"#
    )
}

/// SQL statements of one namespace, with their parameters and results.
pub(crate) struct Statements {
    /// Creates a record unless a live one exists. Parameters: key, version, created_at, expires_at, principal, data, now.
    pub(crate) insert: String,
    /// Reads a live record. Parameters: key, now. Returns version, created_at, expires_at, principal, data.
    pub(crate) load: String,
    /// Reads the version of a live record. Parameters: key, now.
    pub(crate) version: String,
    /// Saves a live record of the expected version if its principal is the same and its `purge_at` is not after the new expiry.
    /// This is the usual case and changes no index.
    /// Parameters: key, expected version, now, version, created_at, expires_at, principal, data.
    pub(crate) save_plain: String,
    /// Saves a live record of the expected version and updates its principal and `purge_at`. Parameters as for `save_plain`.
    pub(crate) save: String,
    /// Extends the expiry of a live record of the expected version. Parameters: key, expected version, now, expires_at.
    pub(crate) touch: String,
    /// Deletes a live record. Parameters: key, now, expected version or null for any.
    pub(crate) delete: String,
    /// Finds rows that the purge has to check. Parameters: cutoff, limit. Returns the key and whether the record has expired.
    pub(crate) due: String,
    /// Deletes an expired row. Parameters: key, cutoff.
    pub(crate) purge: String,
    /// Sets `purge_at` of a live row to its expiry, so that the purge skips it until then. Parameters: key, cutoff.
    pub(crate) postpone: String,
    /// Returns whether the purge has any row left to check. Parameter: cutoff.
    pub(crate) any_due: String,
    /// Reads the live records of a principal. Parameters: principal, now, limit. Returns the key and the columns of `load`.
    pub(crate) sessions_of: String,
    /// Deletes the live records of a principal. Parameters: principal, now, key to keep or null.
    pub(crate) delete_all: String,
    /// Reads live records in the order of their keys. Parameters: key to continue after, now, limit.
    /// Returns the key and the columns of `load`.
    pub(crate) scan: String,
}

impl Statements {
    pub(crate) fn new(namespace: &Namespace) -> Self {
        let table = format!("\"{namespace}\"");
        let columns = "version, created_at, expires_at, principal, data";
        Self {
            insert: format!(
                "insert into {table} (key, {columns}, purge_at) values (?1, ?2, ?3, ?4, ?5, ?6, ?4) \
                 on conflict (key) do update \
                 set version = ?2, created_at = ?3, expires_at = ?4, principal = ?5, data = ?6, purge_at = ?4 \
                 where expires_at <= ?7"
            ),
            load: format!("select {columns} from {table} where key = ?1 and expires_at > ?2"),
            version: format!("select version from {table} where key = ?1 and expires_at > ?2"),
            save_plain: format!(
                "update {table} set version = ?4, created_at = ?5, expires_at = ?6, data = ?8 \
                 where key = ?1 and version = ?2 and expires_at > ?3 and principal is ?7 and purge_at <= ?6"
            ),
            save: format!(
                "update {table} \
                 set version = ?4, created_at = ?5, expires_at = ?6, principal = ?7, data = ?8, purge_at = ?6 \
                 where key = ?1 and version = ?2 and expires_at > ?3"
            ),
            touch: format!(
                "update {table} set expires_at = max(expires_at, ?4) where key = ?1 and version = ?2 and expires_at > ?3"
            ),
            delete: format!("delete from {table} where key = ?1 and expires_at > ?2 and (?3 is null or version = ?3)"),
            due: format!("select key, expires_at <= ?1 from {table} where purge_at <= ?1 order by purge_at limit ?2"),
            purge: format!("delete from {table} where key = ?1 and expires_at <= ?2"),
            postpone: format!("update {table} set purge_at = expires_at where key = ?1 and expires_at > ?2"),
            any_due: format!("select exists(select 1 from {table} where purge_at <= ?1)"),
            sessions_of: format!(
                "select key, {columns} from {table} where principal = ?1 and expires_at > ?2 limit ?3"
            ),
            delete_all: format!("delete from {table} where principal = ?1 and expires_at > ?2 and key is not ?3"),
            scan: format!(
                "select key, {columns} from {table} where key > ?1 and expires_at > ?2 order by key limit ?3"
            ),
        }
    }

    /// Returns all statements. Preparing them when a connection is opened detects a table with other columns.
    pub(crate) fn all(&self) -> [&str; 14] {
        [
            &self.insert,
            &self.load,
            &self.version,
            &self.save_plain,
            &self.save,
            &self.touch,
            &self.delete,
            &self.due,
            &self.purge,
            &self.postpone,
            &self.any_due,
            &self.sessions_of,
            &self.delete_all,
            &self.scan,
        ]
    }
}
