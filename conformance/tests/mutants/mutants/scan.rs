//! Mutants with wrong scans.

use std::num::NonZeroU32;

use session_core::{Cursor, Page, Result, Timestamp, async_trait};

use super::mutant::{Mutant, mutant};
use crate::twist::{Instance, Twist};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        mutant!("scan shows one page", "scan ends after its first page", OnePage, ["scan.complete", "scan.moving"]),
        mutant!("scan shows expired", "scan shows what is expired", ScanExpired, ["namespace.apart", "scan.complete"]),
        mutant!(
            "scan without limit",
            "scan takes no heed of its limit",
            ScanUnlimited,
            ["scan.complete", "scan.moving"]
        ),
        mutant!("scan by offset", "scan counts rows where it should remember a key", ByOffset, ["scan.moving"]),
    ]
}

struct OnePage;

#[async_trait]
impl Twist for OnePage {
    async fn scan(&self, at: &Instance, now: Timestamp, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        Ok(Page::new(at.world.rows().scan(now, after, limit)?.records, None))
    }
}

struct ScanExpired;

#[async_trait]
impl Twist for ScanExpired {
    async fn scan(&self, at: &Instance, _: Timestamp, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        at.world.rows().scan(Timestamp::MIN, after, limit)
    }
}

struct ScanUnlimited;

#[async_trait]
impl Twist for ScanUnlimited {
    async fn scan(&self, at: &Instance, now: Timestamp, after: Option<Cursor>, _: NonZeroU32) -> Result<Page> {
        at.world.rows().scan(now, after, NonZeroU32::MAX)
    }
}

struct ByOffset;

#[async_trait]
impl Twist for ByOffset {
    async fn scan(&self, at: &Instance, now: Timestamp, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let from = after.and_then(|cursor| cursor.as_bytes().try_into().ok()).map_or(0, usize::from_be_bytes);
        let rows = at.world.rows();
        let take = limit.get() as usize;
        let page: Vec<_> =
            rows.records.iter().skip(from).take(take).map(|(key, record)| (*key, record.clone())).collect();
        let next = (page.len() == take).then(|| Cursor::new((from + take).to_be_bytes().to_vec()));
        Ok(Page::new(page.into_iter().filter(|(_, record)| record.is_live(now)).collect(), next))
    }
}
