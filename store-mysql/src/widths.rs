//! Parts of a batch for the widths of its statements, and the binding of their parameters.

use std::borrow::Borrow;

use session_core::StoreKey;
use session_store_sqlx::operations::Save;
use sqlx::mysql::MySqlArguments;
use sqlx::query::Query;
use sqlx::{Encode, MySql, Type};

/// A statement with some of its parameters.
pub(crate) type Bound = Query<'static, MySql, MySqlArguments>;

/// Splits `items` into parts. Returns each part with the index of its statement in `widths` and the number of places in that
/// statement that remain empty.
pub(crate) fn in_widths<'i, T>(items: &'i [T], widths: &[usize]) -> impl Iterator<Item = (usize, &'i [T], usize)> {
    let at = widths.iter().position(|width| *width >= items.len()).unwrap_or(widths.len() - 1);
    let width = widths[at];
    items.chunks(width).map(move |part| (at, part, width - part.len()))
}

/// Binds the keys, and null for the `missing` ones.
pub(crate) fn keys<'a>(query: Bound, keys: impl Iterator<Item = &'a StoreKey>, missing: usize) -> Bound {
    let query = keys.fold(query, |query, key| query.bind(&key.as_bytes()[..]));
    (0..missing).fold(query, |query, _| query.bind(None::<&[u8]>))
}

/// Rows that one statement saves.
pub(crate) struct Rows<'a, S> {
    pub(crate) saves: &'a [S],
    /// Number of places in the statement that remain empty.
    pub(crate) missing: usize,
}

impl<'a, S: Borrow<Save>> Rows<'a, S> {
    /// Binds a pair of key and value for each row, and nulls for the empty places.
    pub(crate) fn pairs<T>(&self, query: Bound, value: impl Fn(&'a Save) -> Option<T>) -> Bound
    where
        T: Encode<'a, MySql> + Type<MySql> + 'a,
    {
        let pair = |query: Bound, save: &'a Save| query.bind(&save.key.as_bytes()[..]).bind(value(save));
        let query = self.saves.iter().map(Borrow::borrow).fold(query, pair);
        (0..self.missing).fold(query, |query, _| query.bind(None::<&[u8]>).bind(None::<T>))
    }
}
