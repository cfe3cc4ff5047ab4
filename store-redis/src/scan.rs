//! A walk over all records.

use std::num::NonZeroU32;

use redis::Value;
use session_core::{Call, Cursor, Error, ErrorKind, Page, Result, StoreKey};

use crate::RedisStore;
use crate::error::STRANGE;

/// Keys that the server looks at for one command, at least: most of them may be others'.
const STEP: u32 = 256;

/// Commands for one page. A page may be empty where the server holds much besides sessions.
const STEPS: usize = 16;

/// Records in one answer.
const CHUNK: usize = 64;

/// Where a walk stands: the server's own cursor, and keys that it gave beyond the page that asked.
#[derive(Default)]
struct Place {
    /// `None` at the end, which the server calls 0, as it does the beginning.
    server: Option<u64>,
    waiting: Vec<StoreKey>,
}

impl Place {
    fn read(cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else { return Ok(Self { server: Some(0), waiting: Vec::new() }) };
        let strange = || Error::fixed(ErrorKind::Config, "the cursor is not one of this store");
        let (server, waiting) = cursor.as_bytes().split_first_chunk::<8>().ok_or_else(strange)?;
        if waiting.len() % StoreKey::LEN != 0 {
            return Err(strange());
        }
        let waiting = waiting.chunks_exact(StoreKey::LEN).map(StoreKey::from_slice).collect::<Result<_>>()?;
        let server = Some(u64::from_be_bytes(*server)).filter(|server| *server != 0);
        Ok(Self { server, waiting })
    }

    fn cursor(&self) -> Option<Cursor> {
        if self.server.is_none() && self.waiting.is_empty() {
            return None;
        }
        let mut bytes = self.server.unwrap_or(0).to_be_bytes().to_vec();
        bytes.extend(self.waiting.iter().flat_map(StoreKey::as_bytes));
        Some(Cursor::new(bytes))
    }
}

impl RedisStore {
    pub(crate) async fn page(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let mut place = Place::read(after.as_ref())?;
        for _ in 0..STEPS {
            if place.waiting.is_empty()
                && let Some(server) = place.server
            {
                self.step(&mut place, server, limit.get().max(STEP)).await?;
            }
            if !place.waiting.is_empty() || place.server.is_none() {
                break;
            }
        }
        let now = place.waiting.len().min(limit.get() as usize);
        let keys: Vec<_> = place.waiting.drain(..now).collect();
        let mut records = Vec::new();
        for chunk in keys.chunks(CHUNK) {
            records.extend(self.records(call, chunk).await?.live);
        }
        Ok(Page::new(records, place.cursor()))
    }

    /// Has the server look at about `count` keys more.
    async fn step(&self, place: &mut Place, server: u64, count: u32) -> Result<()> {
        let mut scan = redis::cmd("SCAN");
        scan.arg(server).arg("MATCH").arg(self.0.keys.pattern()).arg("COUNT").arg(count);
        let Value::Array(answer) = self.0.pool.send(&scan).await? else { return Err(STRANGE) };
        let Ok([Value::BulkString(next), Value::Array(names)]) = <[Value; 2]>::try_from(answer) else {
            return Err(STRANGE);
        };
        let next: u64 = std::str::from_utf8(&next).ok().and_then(|next| next.parse().ok()).ok_or(STRANGE)?;
        place.server = Some(next).filter(|next| *next != 0);
        place.waiting.extend(names.iter().filter_map(|name| match name {
            Value::BulkString(name) => self.0.keys.key_of(name),
            _ => None,
        }));
        Ok(())
    }
}
