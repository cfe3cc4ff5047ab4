//! Tables, indexes, statements: all the SQL there is.
//!
//! Names made from a namespace hold a dot, which no namespace has, so that nobody's index is another's table.

use session_core::{Error, ErrorKind, Namespace, Result};

/// Which layout this release reads and writes.
pub(crate) const LAYOUT: i64 = 1;

/// The table that says which layout each namespace has.
const LAYOUTS: &str = r#"create table if not exists "session.layouts" (
  namespace text not null primary key,
  layout integer not null
) strict;"#;

/// Whether a table exists.
pub(crate) const HAS_TABLE: &str =
    "select exists(select 1 from sqlite_schema where type = 'table' and lower(name) = ?1)";
/// The name of the table of layouts.
pub(crate) const LAYOUTS_TABLE: &str = "session.layouts";
/// A namespace's layout.
pub(crate) const GET_LAYOUT: &str = r#"select layout from "session.layouts" where namespace = ?1"#;

/// `name` as a namespace of this database.
pub(crate) fn namespace(name: &str) -> Result<Namespace> {
    if name.starts_with("sqlite_") {
        return Err(Error::fixed(ErrorKind::Config, "SQLite keeps names that begin with sqlite_ for itself"));
    }
    Namespace::new(name)
}

/// Everything a namespace needs. Running it again changes nothing.
///
/// The table has rowids: without them a session of 200 bytes is no faster, and one of some KiB, lying in the inner nodes
/// of the tree, slower; the indexes hold 8 bytes instead of a key, so that a save changes fewer of their pages.
/// `purge_at` is never later than `expires_at` and serves the purge, which is the only one to move it on: so a save or touch
/// that moves the expiry out, as nearly all do, changes no index. `principal` serves the lists; sessions of nobody cost
/// nothing there.
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

/// The statements of one namespace.
pub(crate) struct Statements {
    /// key, version, created_at, expires_at, principal, data, now: changes a row if no live one was there.
    pub(crate) insert: String,
    /// key, now: version, created_at, expires_at, principal, data.
    pub(crate) load: String,
    /// key, now: version.
    pub(crate) version: String,
    /// key, expected, now, version, created_at, expires_at, principal, data: changes a row if it was live in that version,
    /// has that principal and no later `purge_at`. The plain case, which changes no index.
    pub(crate) save_plain: String,
    /// The same whatever its principal and `purge_at`.
    pub(crate) save: String,
    /// key, expected, now, expires_at: matches a row if it was live in that version.
    pub(crate) touch: String,
    /// key, now, version or null for any.
    pub(crate) delete: String,
    /// instant, limit: rowid and whether it has expired, of rows that the purge has to look at.
    pub(crate) due: String,
    /// rowid.
    pub(crate) purge: String,
    /// rowid: the purge need not look at it before it expires.
    pub(crate) postpone: String,
    /// instant: whether there is anything for the purge to look at.
    pub(crate) any_due: String,
    /// principal, now, limit: key and what `load` gives.
    pub(crate) sessions_of: String,
    /// principal, now, key to keep or null.
    pub(crate) delete_all: String,
    /// key to go on after, now, limit: key and what `load` gives.
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
            due: format!("select rowid, expires_at <= ?1 from {table} where purge_at <= ?1 order by purge_at limit ?2"),
            purge: format!("delete from {table} where rowid = ?1"),
            postpone: format!("update {table} set purge_at = expires_at where rowid = ?1"),
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

    /// All of them, to be tried out at open: a table with other columns is found out there.
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
