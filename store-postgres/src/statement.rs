//! Statements with parameters, sent prepared or as text.
//!
//! Behind a pooler in transaction mode two messages may reach two sessions of the server, so a prepared statement may be missing or be
//! another client's. There a statement, its values and its settings are the text of one message. The server runs the message as
//! one transaction.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use session_store_sqlx::{ServerLimits, Sql};
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Postgres};

use crate::limits::millis;

/// A statement whose parameters are `$1` to `$9`. A `$` in quotes is a letter.
pub(crate) struct Statement {
    prepared: Sql<Postgres>,
    /// Texts, each with the position of the parameter after it.
    parts: Vec<(String, usize)>,
    end: String,
}

impl From<String> for Statement {
    fn from(sql: String) -> Self {
        let (mut parts, mut end, mut quote) = (Vec::new(), String::new(), None);
        let mut letters = sql.chars().peekable();
        while let Some(letter) = letters.next() {
            match quote {
                None if matches!(letter, '"' | '\'') => quote = Some(letter),
                Some(open) if open == letter => quote = None,
                _ => {}
            }
            let number =
                letters.peek().filter(|_| letter == '$' && quote.is_none()).and_then(|digit| digit.to_digit(10));
            match number {
                Some(number) => {
                    parts.push((std::mem::take(&mut end), (number as usize).saturating_sub(1)));
                    letters.next();
                }
                None => end.push(letter),
            }
        }
        Self { prepared: sql.into(), parts, end }
    }
}

/// How statements are sent.
#[derive(Clone, Debug, Default)]
pub(crate) enum Sending {
    /// Prepared once for each connection, on which the settings have been made.
    #[default]
    Prepared,
    /// As the text of one message, after statements that make the settings for this message only.
    Text(Arc<str>),
}

impl Sending {
    /// Returns a way to send statements as text after `before`, which ends with a semicolon unless it is empty.
    pub(crate) fn after(before: impl Into<Arc<str>>) -> Self {
        Self::Text(before.into())
    }

    /// Returns a way to send statements as text with these limits.
    ///
    /// The other settings are those that could change what a statement or its answer means, or how often it is undone.
    pub(crate) fn with(limits: ServerLimits) -> Self {
        Self::after(format!(
            "set local statement_timeout = {}; set local lock_timeout = {}; set local row_security = off; \
             set local exit_on_error = off; set local bytea_output = hex; \
             set local transaction_isolation = 'read committed'; ",
            millis(limits.statement),
            millis(limits.lock)
        ))
    }
}

/// A value of a parameter.
pub(crate) enum Value<'v> {
    Bytes(Option<&'v [u8]>),
    Number(Option<i64>),
    Text(Option<&'v str>),
    ManyBytes(Vec<&'v [u8]>),
    ManyNumbers(Vec<Option<i64>>),
    ManyTexts(Vec<Option<&'v str>>),
}

/// Implements `From` for the types of values.
macro_rules! values {
    ($($from:ty, $value:ident => $made:expr;)*) => {$(
        impl<'v> From<$from> for Value<'v> {
            fn from($value: $from) -> Self {
                $made
            }
        }
    )*};
}

values! {
    &'v [u8], bytes => Self::Bytes(Some(bytes));
    Option<&'v [u8]>, bytes => Self::Bytes(bytes);
    i64, number => Self::Number(Some(number));
    Option<i64>, number => Self::Number(number);
    &'v str, text => Self::Text(Some(text));
    Option<&'v str>, text => Self::Text(text);
    Vec<&'v [u8]>, many => Self::ManyBytes(many);
    Vec<i64>, many => Self::ManyNumbers(many.into_iter().map(Some).collect());
    Vec<Option<i64>>, many => Self::ManyNumbers(many);
    Vec<Option<&'v str>>, many => Self::ManyTexts(many);
}

impl Value<'_> {
    /// Appends the value as an expression of its type.
    fn write(&self, text: &mut String) {
        match self {
            Self::Bytes(bytes) => {
                write_bytes(*bytes, text);
                text.push_str("::bytea");
            }
            Self::Number(number) => {
                write_number(*number, text);
                text.push_str("::bigint");
            }
            Self::Text(name) => {
                write_text(*name, text);
                text.push_str("::text");
            }
            Self::ManyBytes(many) => write_array(many, "::bytea[]", text, |bytes, text| write_bytes(Some(bytes), text)),
            Self::ManyNumbers(many) => {
                write_array(many, "::bigint[]", text, |number, text| write_number(*number, text))
            }
            Self::ManyTexts(many) => write_array(many, "::text[]", text, |name, text| write_text(*name, text)),
        }
    }
}

fn write_array<T>(many: &[T], kind: &str, text: &mut String, write: impl Fn(&T, &mut String)) {
    text.push_str("array[");
    for (at, one) in many.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        write(one, text);
    }
    text.push(']');
    text.push_str(kind);
}

/// Appends bytes as base64 in quotes. Its characters have one meaning, whatever `standard_conforming_strings` and the encodings are.
fn write_bytes(bytes: Option<&[u8]>, text: &mut String) {
    let Some(bytes) = bytes else { return text.push_str("null") };
    text.push_str("pg_catalog.decode('");
    STANDARD.encode_string(bytes, text);
    text.push_str("','base64')");
}

/// Appends a text as the bytes of its UTF-8, because the client's encoding is a setting of the session.
fn write_text(name: Option<&str>, text: &mut String) {
    let Some(name) = name else { return text.push_str("null") };
    text.push_str("pg_catalog.convert_from(");
    write_bytes(Some(name.as_bytes()), text);
    text.push_str(",'UTF8')");
}

fn write_number(number: Option<i64>, text: &mut String) {
    // In parentheses, because a cast binds closer than a minus.
    // Writing to a string cannot fail.
    let _ = match number {
        Some(number) => write!(text, "({number})"),
        None => write!(text, "null"),
    };
}

/// A statement with its values.
pub(crate) struct Query<'q> {
    statement: &'q Statement,
    sending: &'q Sending,
    values: Vec<Value<'q>>,
}

impl<'q> Query<'q> {
    pub(crate) fn new(statement: &'q Statement, sending: &'q Sending) -> Self {
        Self { statement, sending, values: Vec::with_capacity(8) }
    }

    /// Adds the value of the next parameter.
    pub(crate) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    pub(crate) async fn fetch_all(self, connection: &mut PgConnection) -> sqlx::Result<Vec<PgRow>> {
        match self.sending {
            Sending::Prepared => self.prepared().fetch_all(connection).await,
            Sending::Text(before) => connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(self.text(before)))).await,
        }
    }

    pub(crate) async fn fetch_optional(self, connection: &mut PgConnection) -> sqlx::Result<Option<PgRow>> {
        match self.sending {
            Sending::Prepared => self.prepared().fetch_optional(connection).await,
            // All of the answer is read, because the transaction may still fail after the row.
            Sending::Text(_) => Ok(self.fetch_all(connection).await?.pop()),
        }
    }

    pub(crate) async fn fetch_one(self, connection: &mut PgConnection) -> sqlx::Result<PgRow> {
        self.fetch_optional(connection).await?.ok_or(sqlx::Error::RowNotFound)
    }

    pub(crate) async fn execute(self, connection: &mut PgConnection) -> sqlx::Result<PgQueryResult> {
        match self.sending {
            Sending::Prepared => self.prepared().execute(connection).await,
            Sending::Text(before) => connection.execute(sqlx::raw_sql(AssertSqlSafe(self.text(before)))).await,
        }
    }

    fn prepared(self) -> sqlx::query::Query<'q, Postgres, PgArguments> {
        self.values.into_iter().fold(self.statement.prepared.query(), |query, value| match value {
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
            Value::ManyBytes(many) => query.bind(many),
            Value::ManyNumbers(many) => query.bind(many),
            Value::ManyTexts(many) => query.bind(many),
        })
    }

    fn text(&self, before: &str) -> String {
        let mut text = before.to_owned();
        for (part, at) in &self.statement.parts {
            text.push_str(part);
            if let Some(value) = self.values.get(*at) {
                value.write(&mut text);
            }
        }
        text + &self.statement.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(sql: &str, values: Vec<Value<'_>>) -> String {
        let (statement, sending) = (Statement::from(sql.to_owned()), Sending::Prepared);
        let query = values.into_iter().fold(Query::new(&statement, &sending), Query::bind);
        query.text("set local a = 1; ")
    }

    #[test]
    fn values_are_written_where_their_parameters_are() {
        let sql = "select $2 from s where key = $1 and ($2::bigint is null or v = $2)";
        assert_eq!(
            text(sql, vec![b"\x00\xffk"[..].into(), (-7_i64).into()]),
            "set local a = 1; select (-7)::bigint from s where key = pg_catalog.decode('AP9r','base64')::bytea \
             and ((-7)::bigint::bigint is null or v = (-7)::bigint)"
        );
        assert_eq!(
            text(
                "f($1, $2, $3)",
                vec![vec![&b"a"[..], b""].into(), vec![Some(1), None].into(), vec![None, Some("é")].into()]
            ),
            "set local a = 1; f(array[pg_catalog.decode('YQ==','base64'),pg_catalog.decode('','base64')]::bytea[], \
             array[(1),null]::bigint[], array[null,pg_catalog.convert_from(pg_catalog.decode('w6k=','base64'),'UTF8')]::text[])"
        );
        assert_eq!(
            text("from \"a$1\"\"'$1\".s where f('\"$1') = $1", vec![None::<&str>.into()]),
            "set local a = 1; from \"a$1\"\"'$1\".s where f('\"$1') = null::text"
        );
    }

    #[test]
    fn no_character_of_a_value_reaches_the_text() {
        let all: Vec<u8> = (0..=255).collect();
        let principal = "'; drop table sessions; -- \\' $1 \u{1F980}";
        let sent = text("f($1, $2)", vec![all[..].into(), principal.into()]);
        let allowed = |c: char| c.is_ascii_alphanumeric() || " ()=,;'._:+/".contains(c);
        assert!(sent.chars().all(allowed), "{sent}");
        // Those around the two values and the three names of encodings.
        assert_eq!(sent.matches('\'').count(), 10, "{sent}");
    }
}
