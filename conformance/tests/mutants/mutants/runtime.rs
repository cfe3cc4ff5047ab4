//! Mutants that depend on the runtime on which they were first used.

use session_core::{Error, ErrorKind, Record, Result, StoreKey, Timestamp, async_trait};
use tokio::runtime::Handle;

use super::mutant::{Mutant, mutant};
use crate::twist::{Instance, Twist};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        mutant!(
            "a home for its tasks",
            "loads run in tasks of the runtime that loaded first",
            AtHome,
            ["runtime.idle", "runtime.stalled", "runtime.gone"]
        ),
        mutant!(
            "a new home for its tasks",
            "loads run in tasks of the runtime that loaded first, or of another one when that is gone",
            Moves,
            ["runtime.idle", "runtime.stalled"]
        ),
    ]
}

/// Does the work of `load` in a task of the instance's runtime.
async fn load_at_home(at: &Instance, now: Timestamp, key: &StoreKey) -> Result<Option<Record>> {
    let home = at.memo().home.get_or_insert_with(Handle::current).clone();
    let away = home.id() != Handle::current().id();
    if away && home.spawn(async {}).await.is_err() {
        return Err(Error::fixed(ErrorKind::Unavailable, "the runtime of the connection is gone"));
    }
    Ok(at.world.rows().live(now, key).cloned())
}

struct AtHome;

#[async_trait]
impl Twist for AtHome {
    async fn load(&self, at: &Instance, now: Timestamp, key: &StoreKey) -> Result<Option<Record>> {
        load_at_home(at, now, key).await
    }
}

struct Moves;

#[async_trait]
impl Twist for Moves {
    async fn load(&self, at: &Instance, now: Timestamp, key: &StoreKey) -> Result<Option<Record>> {
        let first = load_at_home(at, now, key).await;
        if first.is_err() {
            at.memo().home = None;
            return load_at_home(at, now, key).await;
        }
        first
    }
}
