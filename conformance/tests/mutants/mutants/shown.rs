//! Mutants with wrong namespaces, opening, capabilities or texts.

use std::fmt::{self, Write as _};
use std::num::NonZeroU32;
use std::sync::Arc;

use session_core::{
    Cursor, Error, ErrorKind, Namespace, Outcome, Page, Principal, Record, Result, StoreKey, Timestamp, Version,
    async_trait,
};

use super::mutant::{Mutant, mutant};
use crate::reference::{LONGEST, World};
use crate::twist::{Honest, Instance, Twist, Worlds};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        mutant!("any namespace", "the namespace is not checked", AnyNamespace, ["namespace.hostile"]),
        mutant!(
            "namespace trimmed and folded",
            "a namespace is mended where it should be refused",
            MendedNamespace,
            ["namespace.hostile"]
        ),
        mutant!("long namespaces cut", "names of tables are cut at 30 characters", CutNamespace, ["namespace.apart"]),
        mutant!(
            "open replaces",
            "open checks whether the table exists and recreates it a little later",
            OpenReplaces,
            ["open.concurrent"]
        ),
        mutant!("forgets when closed", "the data goes with the last instance", Forgetting, ["open.again"])
            .may(&["open.concurrent"]),
        mutant!("loud Debug", "the store's Debug shows the keys it holds", LoudDebug, ["redacted"]),
        mutant!("password in Debug", "the store's Debug shows its URL", PasswordInDebug, ["redacted"]),
        mutant!("data in errors", "an error shows the data that was refused", LoudError, ["redacted"]),
        mutant!(
            "wrapper without sessions_of",
            "a wrapper states its store's capabilities and leaves sessions_of at its default",
            Forgets("sessions_of"),
            [
                "create.over-expired",
                "delete.removes",
                "namespace.apart",
                "open.again",
                "principal.delete-all",
                "principal.delete-all-races",
                "principal.exact",
                "principal.follows",
                "principal.heals",
                "principal.lists",
                "principal.own-clock",
                "purge.only-expired",
                "save.deleted",
                "save.expires-now",
                "save.unknown",
                "touch.conflict",
                "touch.keeps-record",
                "session.list"
            ]
        ),
        mutant!(
            "wrapper without delete_all",
            "a wrapper states its store's capabilities and leaves delete_all at its default",
            Forgets("delete_all"),
            [
                "namespace.apart",
                "principal.delete-all",
                "principal.delete-all-races",
                "principal.exact",
                "principal.heals",
                "principal.own-clock"
            ]
        ),
        mutant!(
            "wrapper without scan",
            "a wrapper states its store's capabilities and leaves scan at its default",
            Forgets("scan"),
            ["namespace.apart", "scan.complete", "scan.moving"]
        ),
        mutant!(
            "none listed instead of unsupported",
            "sessions_of without the capability lists no session",
            EmptyListing,
            ["unsupported.sessions_of"]
        )
        .on(crate::twist::Flavour::Plain),
        mutant!(
            "none removed instead of unsupported",
            "delete_all without the capability removes none",
            NoneRemoved,
            ["unsupported.delete_all"]
        )
        .on(crate::twist::Flavour::Plain),
        mutant!(
            "empty page instead of unsupported",
            "scan without the capability shows nothing",
            EmptyPage,
            ["unsupported.scan"]
        )
        .on(crate::twist::Flavour::Plain),
    ]
}

struct AnyNamespace;

impl Twist for AnyNamespace {
    fn namespace(&self, name: &str) -> Result<String> {
        Ok(name.to_owned())
    }
}

struct MendedNamespace;

impl Twist for MendedNamespace {
    fn namespace(&self, name: &str) -> Result<String> {
        Namespace::new(&name.trim().to_lowercase()).map(|name| name.to_string())
    }
}

struct CutNamespace;

impl Twist for CutNamespace {
    fn namespace(&self, name: &str) -> Result<String> {
        let mut name = Namespace::new(name)?.to_string();
        name.truncate(30);
        Ok(name)
    }
}

struct OpenReplaces;

#[async_trait]
impl Twist for OpenReplaces {
    async fn open(&self, worlds: &Worlds, name: String) -> Arc<World> {
        if let Some(world) = worlds.get(&name) {
            return world;
        }
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        worlds.make(name)
    }
}

struct Forgetting;

#[async_trait]
impl Twist for Forgetting {
    async fn open(&self, worlds: &Worlds, name: String) -> Arc<World> {
        match worlds.get(&name) {
            // One of the two references belongs to the map, the other to this variable.
            Some(world) if Arc::strong_count(&world) > 2 => world,
            _ => worlds.make(name),
        }
    }
}

/// The operation that a wrapper does not pass on.
struct Forgets(&'static str);

impl Forgets {
    fn passes(&self, operation: &'static str) -> Result<()> {
        if self.0 == operation { Err(Error::unsupported(operation)) } else { Ok(()) }
    }
}

#[async_trait]
impl Twist for Forgets {
    async fn sessions_of(
        &self,
        at: &Instance,
        now: Timestamp,
        who: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        self.passes("sessions_of")?;
        Honest.sessions_of(at, now, who, limit).await
    }

    async fn delete_all(&self, at: &Instance, now: Timestamp, who: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        self.passes("delete_all")?;
        Honest.delete_all(at, now, who, keep).await
    }

    async fn scan(&self, at: &Instance, now: Timestamp, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        self.passes("scan")?;
        Honest.scan(at, now, after, limit).await
    }
}

struct LoudDebug;

impl Twist for LoudDebug {
    fn debug(&self, at: &Instance, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for key in at.world.rows().records.keys() {
            key.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        Ok(())
    }
}

struct PasswordInDebug;

impl Twist for PasswordInDebug {
    fn debug(&self, _: &Instance, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reference { url: \"ref://user:open-sesame@localhost\" }")
    }
}

struct LoudError;

#[async_trait]
impl Twist for LoudError {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        if record.data.len() > LONGEST {
            let mut text = String::new();
            let _ = write!(text, "cannot store {:?}", &record.data[..40]);
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        Ok(at.world.rows().save(now, key, from, record))
    }
}

struct EmptyListing;

#[async_trait]
impl Twist for EmptyListing {
    async fn sessions_of(
        &self,
        _: &Instance,
        _: Timestamp,
        _: &Principal,
        _: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        Ok(Vec::new())
    }
}

struct NoneRemoved;

#[async_trait]
impl Twist for NoneRemoved {
    async fn delete_all(&self, _: &Instance, _: Timestamp, _: &Principal, _: Option<&StoreKey>) -> Result<u64> {
        Ok(0)
    }
}

struct EmptyPage;

#[async_trait]
impl Twist for EmptyPage {
    async fn scan(&self, _: &Instance, _: Timestamp, _: Option<Cursor>, _: NonZeroU32) -> Result<Page> {
        Ok(Page::default())
    }
}
