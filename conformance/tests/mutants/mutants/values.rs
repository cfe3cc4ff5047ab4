//! Mutants that change values.

use session_core::{Bytes, Error, ErrorKind, Outcome, Record, Result, StoreKey, Timestamp, Version, async_trait};

use super::mutant::{Mutant, mutant};
use crate::reference::{LONGEST, fits};
use crate::twist::{Instance, Twist};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        mutant!(
            "data as text",
            "data is kept as UTF-8 text",
            Kept(as_text),
            ["create.round-trip", "save.replaces", "session.commit", "session.unknown-outcome"]
        ),
        mutant!(
            "data up to 65,535 bytes",
            "data is cut where a small column ends",
            Kept(cut),
            ["create.round-trip", "limits.too-large"]
        ),
        mutant!(
            "empty data is null",
            "empty data comes back as one zero byte",
            Kept(never_empty),
            ["create.over-expired", "create.round-trip", "save.replaces"]
        ),
        mutant!(
            "created_at in seconds",
            "created_at is kept in whole seconds",
            Kept(created_in_seconds),
            ["create.round-trip"]
        ),
        mutant!(
            "principal without accents",
            "non-ASCII letters of a principal are replaced",
            Kept(ascii_principal),
            ["create.round-trip", "principal.exact"]
        ),
        mutant!(
            "principal sticks",
            "a save without a principal leaves the one before",
            SavedWith(principal_sticks),
            ["principal.follows", "save.replaces", "touch.conflict"]
        ),
        mutant!(
            "created_at sticks",
            "a save leaves created_at as it was",
            SavedWith(created_sticks),
            ["save.replaces"]
        ),
        mutant!(
            "data only grows",
            "a save of shorter data leaves the tail of the longer one",
            SavedWith(tail_stays),
            ["save.replaces", "touch.conflict"]
        ),
        mutant!(
            "save never shortens",
            "a save moves the expiry only out, as a touch does",
            SavedWith(expiry_sticks),
            ["save.expires-now", "save.replaces", "touch.conflict"]
        ),
        mutant!(
            "save keeps the expiry",
            "a save leaves the expiry to touches",
            SavedWith(expiry_stays),
            ["save.expires-now", "save.replaces", "touch.conflict", "session.time-outs"]
        ),
        mutant!("no limit in save", "save takes data beyond the limit", Lax, ["limits.too-large", "save.burst"]),
        mutant!("long data is cut", "data beyond the limit is cut and stored", Cutting, ["limits.too-large"]),
        mutant!(
            "too large once, too large for ever",
            "the store fails after it was given too much",
            Spoilt,
            ["limits.too-large"]
        ),
    ]
}

/// Changes each stored record.
struct Kept(fn(&mut Record));

#[async_trait]
impl Twist for Kept {
    async fn create(&self, at: &Instance, now: Timestamp, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record)?;
        let mut kept = record.clone();
        (self.0)(&mut kept);
        Ok(at.world.rows().create(now, key, &kept))
    }

    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        let mut kept = record.clone();
        (self.0)(&mut kept);
        Ok(at.world.rows().save(now, key, from, &kept))
    }
}

fn as_text(record: &mut Record) {
    record.data = String::from_utf8_lossy(&record.data).into_owned().into();
}

fn cut(record: &mut Record) {
    record.data.truncate(65_535);
}

fn never_empty(record: &mut Record) {
    if record.data.is_empty() {
        record.data = Bytes::from_static(b"\0");
    }
}

fn created_in_seconds(record: &mut Record) {
    record.created_at = Timestamp::from_millis(record.created_at.as_millis() / 1000 * 1000).unwrap_or(Timestamp::MIN);
}

fn ascii_principal(record: &mut Record) {
    let ascii = |text: &str| text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect::<String>();
    record.principal = record.principal.take().and_then(|who| session_core::Principal::new(ascii(who.as_str())).ok());
}

/// Mixes the record of a save with the stored one.
struct SavedWith(fn(&mut Record, &Record));

#[async_trait]
impl Twist for SavedWith {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        let mut rows = at.world.rows();
        let mut kept = record.clone();
        if let Some(before) = rows.live(now, key).filter(|before| before.version == from) {
            (self.0)(&mut kept, before);
        }
        Ok(rows.save(now, key, from, &kept))
    }
}

fn principal_sticks(record: &mut Record, before: &Record) {
    record.principal = record.principal.take().or_else(|| before.principal.clone());
}

fn created_sticks(record: &mut Record, before: &Record) {
    record.created_at = before.created_at;
}

fn tail_stays(record: &mut Record, before: &Record) {
    if before.data.len() > record.data.len() {
        record.data = [&record.data, &before.data[record.data.len()..]].concat().into();
    }
}

fn expiry_stays(record: &mut Record, before: &Record) {
    record.expires_at = before.expires_at;
}

fn expiry_sticks(record: &mut Record, before: &Record) {
    record.expires_at = record.expires_at.max(before.expires_at);
}

struct Lax;

#[async_trait]
impl Twist for Lax {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        Ok(at.world.rows().save(now, key, from, record))
    }
}

struct Cutting;

#[async_trait]
impl Twist for Cutting {
    async fn create(&self, at: &Instance, now: Timestamp, key: &StoreKey, record: &Record) -> Result<Outcome> {
        let mut kept = record.clone();
        kept.data.truncate(LONGEST);
        Ok(at.world.rows().create(now, key, &kept))
    }
}

struct Spoilt;

#[async_trait]
impl Twist for Spoilt {
    async fn create(&self, at: &Instance, now: Timestamp, key: &StoreKey, record: &Record) -> Result<Outcome> {
        if at.memo().spoilt {
            return Err(Error::fixed(ErrorKind::Other, "an earlier call was too large"));
        }
        fits(record).inspect_err(|_| at.memo().spoilt = true)?;
        Ok(at.world.rows().create(now, key, record))
    }
}
