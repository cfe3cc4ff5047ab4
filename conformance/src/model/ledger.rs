//! Ledger of the confirmed changes of a scene, and the checks at its end.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use session_core::{Principal, Record, StoreKey, minutes, seconds};

use super::monitor::{Monitor, StoreEffects};
use super::promise::Promise;
use super::scene::{Scene, SceneKind};
use crate::stored_data;

/// A change that a commit stores for an actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Token(u64),
    Guarded(u64),
    /// A change of the actor's own key, to this value.
    Own(usize, Option<u64>),
    Took,
    Flash(u64),
    Showed(Vec<u64>),
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Confirmed changes, and the key of the session right after each.
    confirmed: Vec<(Change, StoreKey)>,
    /// Keys of sessions right after a confirmed commit.
    held: Vec<StoreKey>,
    /// Principal at the time when a token was pushed. Missing where that is not certain.
    pushed_by: BTreeMap<u64, Option<usize>>,
    /// Messages that a request has read, whether confirmed or not.
    read: BTreeSet<u64>,
    /// For each actor, the values of its own key in order, and whether each was confirmed.
    own: BTreeMap<usize, Vec<(Option<u64>, bool)>>,
    /// Keys that a confirmed logout or revocation ended.
    ended: Vec<StoreKey>,
    /// Keys whose cookie a client was told to clear.
    cleared: Vec<StoreKey>,
    /// Keys from before a confirmed login or rotation.
    replaced: Vec<StoreKey>,
    /// Principals whose sessions were all revoked, and the time when that began.
    revoked: Vec<(usize, u64)>,
    /// Set if a handle ended without a definite answer.
    pub(super) unsettled: bool,
    /// Handles that discarded or reloaded after a commit without an answer.
    discarded_in_doubt: BTreeSet<usize>,
    violations: Vec<(Promise, String)>,
}

pub(super) const PRINCIPALS: [&str; 2] = ["ann", "bob"];

pub(super) fn principal(n: usize) -> Principal {
    Principal::new(PRINCIPALS[n]).expect("a name is a principal")
}

/// A session in its stored form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stored {
    v: Values,
    f: BTreeMap<String, Vec<(u64, u64)>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Values {
    tokens: Vec<u64>,
    guarded: Vec<u64>,
    once: Option<u64>,
    #[serde(flatten)]
    own: BTreeMap<String, serde_json::Value>,
}

impl Ledger {
    pub(super) fn breaks(&mut self, monitor: &Monitor, promise: Promise, why: impl Into<String>) {
        let why = why.into();
        monitor.note(|_| format!("VIOLATION of {promise}: {why}"));
        self.violations.push((promise, why));
    }

    /// Returns the promises that were broken, each once.
    pub(super) fn broken(&self) -> BTreeSet<Promise> {
        self.violations.iter().map(|(promise, _)| *promise).collect()
    }

    pub(super) fn confirm(&mut self, change: Change, key: StoreKey) {
        if let Change::Own(actor, value) = &change {
            let values = self.own.entry(*actor).or_default();
            if let Some(at) = values.iter().rposition(|(there, _)| there == value) {
                values[at].1 = true;
            }
        }
        self.confirmed.push((change, key));
    }

    pub(super) fn wrote_own(&mut self, actor: usize, value: Option<u64>) {
        self.own.entry(actor).or_default().push((value, false));
    }

    pub(super) fn pushed(&mut self, token: u64, by: Option<usize>) {
        self.pushed_by.insert(token, by);
    }

    pub(super) fn read(&mut self, flashes: &[u64]) {
        self.read.extend(flashes);
    }

    pub(super) fn held(&mut self, key: StoreKey) {
        self.held.push(key);
    }

    pub(super) fn ended(&mut self, keys: impl IntoIterator<Item = StoreKey>) {
        self.ended.extend(keys);
    }

    pub(super) fn cleared(&mut self, key: StoreKey) {
        self.cleared.push(key);
    }

    pub(super) fn replaced(&mut self, keys: impl IntoIterator<Item = StoreKey>) {
        self.replaced.extend(keys);
    }

    pub(super) fn discarded_in_doubt(&mut self, handle: usize) {
        self.discarded_in_doubt.insert(handle);
    }

    pub(super) fn revoked_all(&mut self, principal: usize, began: u64) {
        self.revoked.push((principal, began));
    }

    /// Checks that a view shows only tokens of its principal, and each token once.
    pub(super) fn look(&mut self, monitor: &Monitor, owner: Option<usize>, tokens: &[u64]) {
        if let Some(twice) = repeated(tokens) {
            self.breaks(monitor, Promise::UpdateTwice, format!("token {twice} is in the list twice"));
        }
        let foreign = tokens.iter().find(|token| match self.pushed_by.get(token) {
            Some(Some(by)) => Some(*by) != owner,
            _ => false,
        });
        if let Some(foreign) = foreign {
            self.breaks(monitor, Promise::Foreign, format!("token {foreign} is another principal's"));
        }
    }

    /// Checks the records stored at the end: all live ones, tombstones included.
    pub(super) fn check(&mut self, monitor: &Monitor, scene: &Scene, first: StoreKey, records: &[(StoreKey, Record)]) {
        let live: BTreeMap<StoreKey, (&Record, Stored)> = records
            .iter()
            .filter(|(_, record)| !stored_data::is_tombstone(record))
            .map(|(key, record)| {
                (*key, (record, serde_json::from_slice(stored_data::envelope(&record.data)).unwrap_or_default()))
            })
            .collect();
        let effects = monitor.effects().clone();
        for (record, stored) in live.values() {
            let owner = record.principal.as_ref().map(|owner| usize::from(owner.as_str() == PRINCIPALS[1]));
            self.look(monitor, owner, &stored.v.tokens);
            if let Some(twice) = repeated(&stored.v.guarded) {
                self.breaks(monitor, Promise::UpdateTwice, format!("guarded token {twice} is in the list twice"));
            }
        }
        let took = self.confirmed.iter().filter(|(change, _)| *change == Change::Took).count();
        if took > 1 {
            self.breaks(monitor, Promise::TakeTwice, format!("{took} requests took it"));
        }
        self.check_ends(monitor, scene, &effects, &|key| live.contains_key(key));
        self.check_ghosts(monitor, scene, &effects, first, live.keys());
        if scene.kind.one_identity() {
            self.check_session(monitor, scene, &effects, first, &live);
        } else if scene.kind != SceneKind::Expiry {
            self.check_tokens(monitor, &effects, &live);
        }
    }

    fn check_ends(
        &mut self,
        monitor: &Monitor,
        scene: &Scene,
        effects: &StoreEffects,
        live: &dyn Fn(&StoreKey) -> bool,
    ) {
        // An expired tombstone leads nowhere, so then only the key itself is certain.
        let chain = |key: &StoreKey| match scene.clock_total() < seconds(60) {
            true => effects.chain(*key),
            false => vec![*key],
        };
        let reopened = |keys: &[StoreKey]| keys.iter().any(|key| chain(key).iter().any(live));
        if reopened(&self.ended) {
            self.breaks(monitor, Promise::EndUndone, "a session that was ended is live");
        }
        if reopened(&self.cleared) {
            self.breaks(monitor, Promise::ClearWhileOpen, "a client was told to clear its cookie of a live session");
        }
        let same_owner = |key: &&StoreKey| effects.known(key).is_some_and(|known| !known.changed_hands);
        if self.replaced.iter().filter(same_owner).any(live) {
            self.breaks(monitor, Promise::OldIdOpens, "the id of before a login or rotation is live");
        }
        if effects.keys().any(|(_, known)| known.changed_hands) && !outlives_tombstones(scene) {
            self.breaks(monitor, Promise::LoginKeepsId, "another principal signed in under the same id");
        }
        let survivor = self.revoked.iter().any(|(who, began)| {
            let owned = |known: &super::monitor::KeyFacts| {
                known.created < *began && !known.changed_hands && known.principal.as_ref() == Some(&principal(*who))
            };
            effects.keys().any(|(key, known)| owned(known) && live(key))
        });
        if survivor {
            self.breaks(monitor, Promise::RevokeUndone, "a session of before `revoke_all` is live");
        }
    }

    fn check_ghosts<'a>(
        &mut self,
        monitor: &Monitor,
        scene: &Scene,
        effects: &StoreEffects,
        first: StoreKey,
        live: impl Iterator<Item = &'a StoreKey>,
    ) {
        if self.unsettled || scene.kind == SceneKind::Expiry || outlives_tombstones(scene) {
            return;
        }
        let held: BTreeSet<StoreKey> = self.held.iter().chain([&first]).flat_map(|key| effects.chain(*key)).collect();
        for ghost in live.filter(|key| !held.contains(key)) {
            let creator = effects.known(ghost).map(|known| known.creator);
            let discarded = creator.is_some_and(|handle| self.discarded_in_doubt.contains(&handle));
            let promise = if discarded { Promise::DiscardGhost } else { Promise::Ghost };
            let name = monitor.name(ghost);
            self.breaks(monitor, promise, format!("the live record {name} belongs to no handle"));
        }
    }

    /// Checks the contents of a session that no request ended.
    fn check_session(
        &mut self,
        monitor: &Monitor,
        scene: &Scene,
        effects: &StoreEffects,
        first: StoreKey,
        live: &BTreeMap<StoreKey, (&Record, Stored)>,
    ) {
        let last = *effects.chain(first).last().unwrap_or(&first);
        let Some((_, stored)) = live.get(&last) else {
            // An uncertain rotation cannot be settled after its tombstone has expired, which takes 10 minutes at most.
            if outlives_tombstones(scene) {
                return;
            }
            let discarded = !self.discarded_in_doubt.is_empty();
            let promise = if discarded { Promise::DiscardDestroyed } else { Promise::SessionDestroyed };
            self.breaks(monitor, promise, "the session is gone, though no request ended it");
            return;
        };
        let flashes: BTreeSet<u64> = stored.f.values().flatten().map(|(_, message)| *message).collect();
        let mut broken = Vec::new();
        for (change, _) in &self.confirmed {
            match change {
                Change::Token(token) if !stored.v.tokens.contains(token) => {
                    broken.push((Promise::UpdateLost, format!("token {token} was confirmed")));
                }
                Change::Guarded(token) if !stored.v.guarded.contains(token) => {
                    broken.push((Promise::UpdateLost, format!("guarded token {token} was confirmed")));
                }
                Change::Took if stored.v.once.is_some() => {
                    broken.push((Promise::UpdateLost, "a confirmed `take` left the value".into()));
                }
                Change::Flash(message) if !flashes.contains(message) && !self.read.contains(message) => {
                    broken.push((Promise::UpdateLost, format!("flash {message} was confirmed")));
                }
                Change::Showed(shown) if shown.iter().any(|message| flashes.contains(message)) => {
                    broken.push((Promise::FlashKept, "a message that was shown is still there".into()));
                }
                _ => {}
            }
        }
        for (actor, values) in &self.own {
            let there = stored.v.own.get(&own_key(*actor)).and_then(serde_json::Value::as_u64);
            let last = values.iter().rposition(|(_, confirmed)| *confirmed);
            let possible = &values[last.unwrap_or(0)..];
            let untouched = last.is_none() && there.is_none();
            if !untouched && !possible.iter().any(|(value, _)| *value == there) {
                broken.push((Promise::UpdateLost, format!("the key of actor {actor} holds {there:?}")));
            }
        }
        for (promise, why) in broken {
            self.breaks(monitor, promise, why);
        }
    }

    /// Checks tokens in scenes with logins and logouts. A token stays as long as the session has the id under which
    /// it was stored.
    fn check_tokens(
        &mut self,
        monitor: &Monitor,
        effects: &StoreEffects,
        live: &BTreeMap<StoreKey, (&Record, Stored)>,
    ) {
        let mut lost = Vec::new();
        for (change, key) in &self.confirmed {
            let Change::Token(token) = change else { continue };
            if let Some((_, stored)) = live.get(key)
                && effects.known(key).is_some_and(|known| !known.changed_hands)
                && !stored.v.tokens.contains(token)
            {
                lost.push(*token);
            }
        }
        for token in lost {
            self.breaks(monitor, Promise::UpdateLost, format!("token {token} was confirmed"));
        }
    }
}

/// Returns the key that only this actor writes.
pub(super) fn own_key(actor: usize) -> String {
    format!("own{actor}")
}

fn repeated(tokens: &[u64]) -> Option<u64> {
    let mut seen = BTreeSet::new();
    tokens.iter().copied().find(|token| !seen.insert(*token))
}

/// Returns whether the clock moves so far that a tombstone may expire before a late create, or before an uncertain
/// commit is settled.
fn outlives_tombstones(scene: &Scene) -> bool {
    scene.clock_total() >= minutes(10) && !scene.is_calm()
}
