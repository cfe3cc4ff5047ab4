//! Plays one scene over a store.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use session_core::{
    Call, Clock as _, Commit, Handle as Listed, Manager, ManualClock, Opened, Record, Result, Store, StoreKey, days,
    hours,
};

use super::actor::{Actor, CommitKind, SceneState};
use super::browser::{Browser, NAME, key_of};
use super::faulty_store::{FaultSettings, FaultyStore, turns};
use super::handle::Handle;
use super::ledger::{Change, Ledger, PRINCIPALS, principal};
use super::monitor::{CALLER, Caller, Monitor, locked};
use super::promise::Promise;
use super::scene::{Order, RequestPlan, Scene, SceneKind};

/// Handle index of callers without a handle.
const NO_HANDLE: usize = usize::MAX;

/// Result of a scene.
#[derive(Debug, Default)]
pub(super) struct SceneResult {
    pub(super) broken: BTreeSet<Promise>,
    pub(super) operations: u64,
    pub(super) commits: u64,
    pub(super) faults: u64,
    pub(super) trace: Vec<String>,
}

/// Settings for all scenes of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SceneSettings {
    pub(super) traced: bool,
    /// Set if the store is a fresh one in this process, whose calls end at once.
    pub(super) in_memory: bool,
}

/// State that the tasks of a scene use.
#[derive(Clone)]
struct Execution {
    state: Arc<SceneState>,
    managers: Vec<Manager>,
    clock: ManualClock,
    first: String,
    handles: Arc<Mutex<Vec<Arc<Handle>>>>,
    actors: Arc<AtomicUsize>,
}

/// Result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    Answered,
    Failed,
    /// The client has hung up.
    GivenUp,
}

/// Plays the scene of `seed`.
///
/// # Errors
/// If the store fails before or after the scene, where no fault is planned.
pub(super) async fn run_scene(store: &Arc<dyn Store>, seed: u64, settings: SceneSettings) -> Result<SceneResult> {
    let scene = Scene::draw(seed);
    let monitor = Monitor::new(settings.traced);
    let execution = Execution::new(store, &scene, &monitor, settings).await?;
    let begin = execution.clock.now();
    monitor.note(|_| format!("{:?}, managers {}, turns {}", scene.kind, scene.managers, scene.turns));
    monitor.note(|_| format!("faults {:?}", scene.faults));
    let mut tasks = Vec::new();
    for (n, request) in scene.requests.iter().enumerate() {
        tasks.push(tokio::spawn(execution.clone().request(n, request.clone())));
    }
    tokio::spawn(execution.clone().operator()).await.map_err(panicked)??;
    let mut finished = Vec::new();
    for task in tasks {
        finished.extend(task.await.map_err(panicked)?);
    }
    monitor.faulty.store(false, Ordering::SeqCst);
    monitor.note(|_| "the faults have ended".into());
    for (caller, mut actor) in finished.into_iter().rev() {
        CALLER.scope(caller, async { actor.finish().await }).await;
    }
    monitor.quiet().await;
    let records = scan(store, &Call::new(execution.clock.now())).await?;
    monitor.settle(&records);
    monitor.note(|trace| {
        let each = records.iter().map(|(key, record)| format!("{}: {}", trace.key(key), trace.record(record)));
        let all: Vec<String> = each.collect();
        format!("in the end: {}", all.join("; "))
    });
    let first = key_of(&execution.first).unwrap_or_else(|| unreachable!("an id that was issued"));
    locked(&execution.state.ledger).check(&monitor, &scene, first, &records);
    if !settings.in_memory {
        empty(store, &Call::new(begin)).await?;
    }
    let broken = locked(&execution.state.ledger).broken();
    Ok(SceneResult {
        broken,
        operations: monitor.operations.load(Ordering::Relaxed),
        commits: monitor.commits.load(Ordering::Relaxed),
        faults: monitor.faults.load(Ordering::Relaxed),
        trace: monitor.lines(),
    })
}

fn panicked(error: tokio::task::JoinError) -> session_core::Error {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => session_core::Error::new(session_core::ErrorKind::Other, error.to_string()),
    }
}

/// Returns all live records.
async fn scan(store: &Arc<dyn Store>, call: &Call) -> Result<Vec<(StoreKey, Record)>> {
    const PAGE: NonZeroU32 = NonZeroU32::new(1_000).expect("not zero");
    let (mut records, mut after) = (Vec::new(), None);
    loop {
        let page = store.scan(call, after, PAGE).await?;
        records.extend(page.records);
        after = page.next;
        if after.is_none() {
            // A page may repeat a record.
            let mut seen = BTreeSet::new();
            records.retain(|(key, _)| seen.insert(*key));
            return Ok(records);
        }
    }
}

/// Removes the scene's records. `call` is at the scene's start, when all of them are live.
async fn empty(store: &Arc<dyn Store>, call: &Call) -> Result<()> {
    for (key, _) in scan(store, call).await? {
        let _gone = store.delete(call, &key, None).await?;
    }
    Ok(())
}

fn manager(store: FaultyStore, clock: &ManualClock) -> Result<Manager> {
    Manager::builder(store).name(NAME).idle(hours(1)).max_idle(hours(2)).absolute(days(7)).clock(clock.clone()).build()
}

impl Execution {
    async fn new(
        store: &Arc<dyn Store>,
        scene: &Scene,
        monitor: &Arc<Monitor>,
        settings: SceneSettings,
    ) -> Result<Self> {
        let now = session_core::SystemClock.now();
        // In the past, so that `purge` finds expired records. Not for a server that would expire them by its own clock.
        let now = if store.capabilities().expires_itself { now } else { now.minus(days(1)) };
        let clock = ManualClock::new(now);
        let longest = (scene.kind == SceneKind::Limits).then_some(420);
        let part = |n: usize| {
            let plan = scene.faults.iter().filter(|(at, ..)| *at == n).map(|(_, call, fault)| (*call, *fault));
            FaultSettings {
                plan: plan.collect(),
                turns: scene.turns,
                seed: scene.turns_seed.wrapping_add(n as u64),
                longest,
                own_tasks: !settings.in_memory,
            }
        };
        let own_tasks = !settings.in_memory;
        let plain = FaultyStore::around(
            store.clone(),
            monitor.clone(),
            FaultSettings { own_tasks, ..FaultSettings::default() },
        );
        let plain = manager(plain, &clock)?;
        let managers = (0..scene.managers)
            .map(|n| manager(FaultyStore::around(store.clone(), monitor.clone(), part(n)), &clock))
            .collect::<Result<Vec<_>>>()?;
        let mut ledger = Ledger::default();
        let caller = Caller::new("set-up".into(), NO_HANDLE);
        let first = CALLER.scope(caller, first(&plain, scene, &mut ledger)).await?;
        let mut browser = Browser::default();
        browser.take(monitor, &mut ledger, 0, &first);
        let first = browser.cookie().unwrap_or_default();
        let calm = scene.is_calm();
        let (ledger, browser) = (Mutex::new(ledger), Mutex::new(browser));
        let state = Arc::new(SceneState { scene: scene.clone(), monitor: monitor.clone(), ledger, browser, calm });
        Ok(Self { state, managers, clock, first, handles: Arc::default(), actors: Arc::default() })
    }

    /// Plays a request from its cookie to its answer. Returns its actors, to be finished when the faults have ended.
    async fn request(self, n: usize, request: RequestPlan) -> Vec<(Arc<Caller>, Actor)> {
        turns(request.start).await;
        let monitor = &self.state.monitor;
        let caller = Caller::new(format!("r{n}"), n);
        let manager = &self.managers[request.manager];
        let cookie = if request.by_cookie { locked(&self.state.browser).cookie() } else { Some(self.first.clone()) };
        let began = monitor.tick();
        let open = CALLER.scope(caller.clone(), self.open(manager, cookie.as_deref())).await;
        let Some(session) = open else { return Vec::new() };
        let kind = self.state.scene.kind;
        if kind.one_identity() && session.opened() != Opened::Resumed {
            return Vec::new();
        }
        let client = cookie.as_deref().and_then(key_of);
        let clones = request.actors.len() > 1;
        let handle = Arc::new(Handle::new(n, session, manager.clone(), client, began, clones));
        locked(&self.handles).push(handle.clone());
        let mut actors = request.actors.iter().enumerate().map(|(clone, steps)| {
            let name = if clone == 0 { format!("r{n}") } else { format!("r{n}.{clone}") };
            let caller = Caller::new(name, n);
            let number = self.actors.fetch_add(1, Ordering::SeqCst) + 1;
            (Actor::new(&self.state, &handle, number, &caller), caller, steps.clone())
        });
        let Some((mut first, caller, steps)) = actors.next() else { return Vec::new() };
        let others: Vec<_> = actors
            .map(|(mut actor, caller, steps)| {
                tokio::spawn(CALLER.scope(caller.clone(), async move {
                    for step in steps {
                        actor.step(step).await;
                    }
                    (caller, actor)
                }))
            })
            .collect();
        let close = async {
            for step in steps {
                first.step(step).await;
            }
            self.close(&mut first, &request).await
        };
        let closed = CALLER.scope(caller.clone(), close).await;
        let mut finished = vec![(caller, first)];
        for other in others {
            finished.extend(other.await.ok());
        }
        if closed == Closed::Answered && finished.iter().skip(1).any(|(_, actor)| actor.login_waits()) {
            let why = "a login was accepted, and `close` has neither stored nor refused it";
            locked(&self.state.ledger).breaks(monitor, Promise::LoginUnanswered, why);
        }
        if closed == Closed::GivenUp {
            locked(&self.state.ledger).unsettled = true;
            finished.clear();
        }
        finished
    }

    async fn open(&self, manager: &Manager, cookie: Option<&str>) -> Option<session_core::Session> {
        const TRIES: usize = 3;
        for _ in 0..TRIES {
            let opened = manager.open(cookie).await;
            let monitor = &self.state.monitor;
            match opened {
                Ok(session) => {
                    monitor.note(|trace| {
                        let key = cookie.and_then(key_of).map(|key| trace.key(&key)).unwrap_or_default();
                        format!("open {key} -> {:?}", session.opened())
                    });
                    return Some(session);
                }
                Err(error) => {
                    monitor.note(|_| format!("open -> {error}"));
                    if self.state.calm && !monitor.outage.load(Ordering::SeqCst) {
                        let why = format!("open: {error}");
                        locked(&self.state.ledger).breaks(monitor, Promise::Undocumented, why);
                    }
                }
            }
        }
        None
    }

    /// Closes the session, again after a transient error, and passes the answer to the client.
    async fn close(&self, actor: &mut Actor, request: &RequestPlan) -> Closed {
        const TRIES: usize = 3;
        let mut dropped_after = request.close_dropped_after;
        for _ in 0..TRIES {
            let began = self.state.monitor.tick();
            match actor.commit(CommitKind::Close, dropped_after.take()).await {
                Some(Ok(commit)) => {
                    let mut ledger = locked(&self.state.ledger);
                    locked(&self.state.browser).take(&self.state.monitor, &mut ledger, began, &commit);
                    return Closed::Answered;
                }
                Some(Err(error)) if error.is_transient() => {}
                Some(Err(_)) => return Closed::Failed,
                None if request.gives_up => return Closed::GivenUp,
                None => {}
            }
        }
        Closed::Failed
    }

    /// Carries out the operator's orders, one after the other.
    async fn operator(self) -> Result<()> {
        let caller = Caller::new("operator".into(), NO_HANDLE);
        for (wait, order) in self.state.scene.orders.clone() {
            turns(wait).await;
            CALLER.scope(caller.clone(), self.carry_out(order)).await?;
        }
        Ok(())
    }

    async fn carry_out(&self, order: Order) -> Result<()> {
        let (monitor, manager) = (&self.state.monitor, &self.managers[0]);
        monitor.note(|_| format!("{order:?}"));
        let began = monitor.tick();
        let done = match order {
            Order::Clock(by) => {
                self.clock.advance(by);
                Ok(())
            }
            Order::Purge => manager.purge().await.map(|_| ()),
            Order::List(who) => manager.sessions_of(&principal(who), None).await.map(|_| ()),
            Order::RevokeAll(who) => {
                let done = manager.revoke_all(&principal(who)).await;
                if done.is_ok() {
                    locked(&self.state.ledger).revoked_all(who, began);
                }
                done.map(|_| ())
            }
            Order::Revoke(of) => {
                let handle = of.and_then(|of| locked(&self.handles).get(of)?.session.handle());
                let Some(handle) = handle.or_else(|| key_of(&self.first).map(Listed::from)) else { return Ok(()) };
                let mut done = Ok(());
                for who in 0..PRINCIPALS.len() {
                    match manager.revoke(&principal(who), &handle).await {
                        Ok(true) => locked(&self.state.ledger).ended([*handle.key()]),
                        Ok(false) => {}
                        Err(error) => done = Err(error),
                    }
                }
                done
            }
        };
        if let Err(error) = done {
            monitor.note(|_| format!("  -> {error}"));
            if self.state.calm && !monitor.outage.load(Ordering::SeqCst) {
                locked(&self.state.ledger).breaks(monitor, Promise::Undocumented, format!("operator: {error}"));
            }
        }
        Ok(())
    }
}

/// Creates the session of the scene. Returns the answer that issues its cookie.
async fn first(plain: &Manager, scene: &Scene, ledger: &mut Ledger) -> Result<Commit> {
    let session = plain.open(None).await?;
    if let Some(who) = scene.principal {
        session.login(PRINCIPALS[who])?;
    }
    let tokens: Vec<u64> = (1..=scene.tokens as u64).collect();
    session.insert("tokens", &tokens)?;
    session.insert("once", &1)?;
    let flashes: Vec<u64> = (11..11 + scene.flashes as u64).collect();
    flashes.iter().try_for_each(|message| session.flash("f", message))?;
    if scene.persistent {
        session.set_persistent(true)?;
    }
    let commit = plain.close(&session).await?;
    if let Some(handle) = session.handle() {
        for token in tokens {
            ledger.pushed(token, scene.principal);
            ledger.confirm(Change::Token(token), *handle.key());
        }
        flashes.into_iter().for_each(|message| ledger.confirm(Change::Flash(message), *handle.key()));
    }
    Ok(commit)
}
