//! What each kind of call does: one alone takes the plain statement, several go together.

use std::fmt::Write as _;

use session_core::{Outcome, Principal, Record, Result, StoreKey, Timestamp, Version};
use sqlx::mysql::{MySqlArguments, MySqlRow};
use sqlx::query::Query;
use sqlx::{Executor as _, MySql, MySqlConnection};
use store_sqlx::calls::{self, Create, Delete, List, Listed, Load, Save, Sweep, Swept, Touch, Write};
use store_sqlx::{Answered, Dialect, Failure, rows};

use crate::error::{self, DUPLICATE};
use crate::json::Rows;
use crate::schema::{Sql, Statements, WIDTHS};

type Bound = Query<'static, MySql, MySqlArguments>;

/// `delete` takes it for any version. No version is negative.
const ANY: i64 = -1;

/// A record's columns, in the order in which the statements name them.
fn bind(query: Bound, record: &Record) -> Bound {
    let query = query.bind(record.version.as_i64()).bind(record.created_at.as_millis());
    let query = query.bind(record.expires_at.as_millis());
    query.bind(rows::name(record).map(|name| name.as_bytes().to_vec())).bind(&record.data[..])
}
