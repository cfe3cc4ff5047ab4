//! Events of one scene, drawn from its seed in advance.

use std::time::Duration;

use session_core::{hours, minutes, seconds};

use super::rng::{Rng, derive};

/// Kind of a scene. It limits the operations of requests, and so determines the checks at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SceneKind {
    /// Values, flashes and rotations, one handle per request.
    Values,
    /// Values, flashes and rotations on clones of one handle.
    Clones,
    /// Logins, logouts and revocations, one handle per request.
    Logins,
    /// Logins, logouts and revocations on clones of one handle.
    LoginClones,
    /// Values near the longest record that the store takes.
    Limits,
    /// Values in a session that may expire.
    Expiry,
}

impl SceneKind {
    /// Returns whether the principal stays the same and no request ends the session.
    pub(super) const fn one_identity(self) -> bool {
        matches!(self, Self::Values | Self::Clones | Self::Limits)
    }

    pub(super) const fn has_clones(self) -> bool {
        matches!(self, Self::Clones | Self::LoginClones)
    }

    const fn has_logins(self) -> bool {
        matches!(self, Self::Logins | Self::LoginClones)
    }
}

/// One operation of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// `update` of the list `tokens`.
    Push,
    /// `get`, then `insert` of the list `guarded`.
    PushGuarded,
    /// `insert` of the actor's own key.
    Insert,
    /// `remove` of the actor's own key.
    Remove,
    /// `insert` of a long value.
    InsertLong,
    /// `take` of the one-time value.
    Take,
    Flash,
    Flashes,
    Require,
    Label,
    Idle,
    Persistent,
    Clear,
    Look,
    Rotate,
    Login(usize),
    Reauthenticate,
    Logout,
    Touch,
    Save,
    Reload,
    Discard,
}

/// An operation of an actor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) action: Action,
    pub(super) dropped_after: Option<usize>,
    /// Number of turns that the actor waits first.
    pub(super) pause: usize,
}

/// A request: its handle, and an actor for each clone. The first actor closes the session.
#[derive(Clone, Debug)]
pub(super) struct RequestPlan {
    pub(super) manager: usize,
    /// Whether the session is opened by the browser's cookie instead of the first id.
    pub(super) by_cookie: bool,
    pub(super) start: usize,
    pub(super) actors: Vec<Vec<Step>>,
    /// Number of polls after which the first `close` is dropped.
    pub(super) close_dropped_after: Option<usize>,
    /// Set if the client hangs up, so that uncommitted changes are lost.
    pub(super) gives_up: bool,
}

/// A call of an operator, or a step of the clock.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// Revokes the session of the first id, or that of this request.
    Revoke(Option<usize>),
    RevokeAll(usize),
    List(usize),
    Purge,
    Clock(Duration),
}

/// Fault of a store call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// An error without an effect.
    Before,
    /// An effect, followed by an error.
    After,
    /// An error, followed by the effect after this number of turns.
    Late(usize),
}

/// A planned fault: the manager, the number of its store call, and the fault.
pub(super) type Planned = (usize, usize, Fault);

/// Everything that is drawn for a scene.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) kind: SceneKind,
    pub(super) managers: usize,
    pub(super) persistent: bool,
    pub(super) principal: Option<usize>,
    pub(super) tokens: usize,
    pub(super) flashes: usize,
    pub(super) requests: Vec<RequestPlan>,
    pub(super) orders: Vec<(usize, Order)>,
    pub(super) faults: Vec<Planned>,
    /// Maximum number of turns that a store call waits, before and after it.
    pub(super) turns: usize,
    /// Seed for the turns of the store calls.
    pub(super) turns_seed: u64,
}

type Weights = &'static [(usize, Action)];

const VALUES: Weights = &[
    (24, Action::Push),
    (8, Action::PushGuarded),
    (8, Action::Insert),
    (3, Action::Remove),
    (5, Action::Take),
    (5, Action::Flash),
    (5, Action::Flashes),
    (2, Action::Require),
    (2, Action::Label),
    (2, Action::Idle),
    (2, Action::Persistent),
    (4, Action::Look),
    (7, Action::Rotate),
    (3, Action::Touch),
    (14, Action::Save),
    (2, Action::Reload),
    (2, Action::Discard),
];

const CLONES: Weights = &[
    (30, Action::Push),
    (8, Action::Insert),
    (3, Action::Remove),
    (3, Action::Take),
    (4, Action::Flash),
    (6, Action::Flashes),
    (2, Action::Label),
    (2, Action::Idle),
    (2, Action::Persistent),
    (4, Action::Look),
    (5, Action::Rotate),
    (3, Action::Touch),
    (18, Action::Save),
];

const LOGINS: Weights = &[
    (20, Action::Push),
    (3, Action::Take),
    (3, Action::PushGuarded),
    (3, Action::Flash),
    (2, Action::Label),
    (4, Action::Persistent),
    (4, Action::Look),
    (6, Action::Rotate),
    (8, Action::Login(0)),
    (6, Action::Login(1)),
    (4, Action::Reauthenticate),
    (8, Action::Logout),
    (3, Action::Touch),
    (14, Action::Save),
    (2, Action::Reload),
    (2, Action::Discard),
];

const LOGIN_CLONES: Weights = &[
    (24, Action::Push),
    (3, Action::Look),
    (5, Action::Rotate),
    (8, Action::Login(0)),
    (6, Action::Login(1)),
    (3, Action::Reauthenticate),
    (6, Action::Logout),
    (2, Action::Touch),
    (18, Action::Save),
];

const LIMITS: Weights = &[
    (20, Action::Push),
    (20, Action::InsertLong),
    (8, Action::Insert),
    (4, Action::Flash),
    (3, Action::Look),
    (12, Action::Save),
];

const EXPIRY: Weights = &[
    (20, Action::Push),
    (6, Action::Insert),
    (3, Action::Clear),
    (3, Action::Flash),
    (3, Action::Flashes),
    (3, Action::Idle),
    (4, Action::Look),
    (5, Action::Rotate),
    (8, Action::Touch),
    (14, Action::Save),
    (2, Action::Reload),
];

impl Scene {
    pub(super) fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(derive(seed, 0));
        let kind = rng.weighted(&[
            (34, SceneKind::Values),
            (16, SceneKind::Clones),
            (28, SceneKind::Logins),
            (12, SceneKind::LoginClones),
            (4, SceneKind::Limits),
            (6, SceneKind::Expiry),
        ]);
        // Without faults and drops every error must be documented.
        let calm = rng.one_in(2);
        let drops = !calm && rng.one_in(2);
        let managers = 1 + usize::from(!rng.one_in(3));
        let requests = rng.weighted(&[(6, 2), (6, 3), (3, 4), (1, 5)]);
        let clock = rng.one_in(4);
        let requests = (0..requests).map(|_| RequestPlan::draw(kind, managers, drops, &mut rng)).collect();
        let orders = orders(kind, clock, &mut rng);
        let faults = if calm || (drops && rng.one_in(2)) { 0 } else { rng.weighted(&[(5, 1), (3, 2), (1, 3)]) };
        let faults = (0..faults)
            .map(|_| {
                let fault = match rng.below(4) {
                    0 => Fault::Before,
                    1 => Fault::After,
                    _ => Fault::Late(rng.pick(&[1, 2, 4, 8, 16, 40])),
                };
                (rng.below(managers), rng.below(10), fault)
            })
            .collect();
        let logged_in = if kind.has_logins() { 2 } else { 4 };
        Self {
            kind,
            managers,
            persistent: rng.one_in(4),
            principal: rng.one_in(logged_in).then(|| rng.below(2)),
            tokens: rng.below(3),
            flashes: rng.below(3),
            requests,
            orders,
            faults,
            turns: rng.pick(&[0, 1, 2, 3, 5]),
            turns_seed: rng.draw(),
        }
    }

    /// Returns whether any request does `action`.
    pub(super) fn does(&self, action: impl Fn(Action) -> bool) -> bool {
        self.requests.iter().flat_map(|request| request.actors.iter().flatten()).any(|step| action(step.action))
    }

    /// Returns whether the session may change its id or its principal, or end.
    pub(super) fn changes_identity(&self) -> bool {
        let actions =
            |action| matches!(action, Action::Rotate | Action::Login(_) | Action::Reauthenticate | Action::Logout);
        let orders = |order: &Order| matches!(order, Order::Revoke(_) | Order::RevokeAll(_));
        self.kind == SceneKind::Expiry || self.does(actions) || self.orders.iter().any(|(_, order)| orders(order))
    }

    /// Returns whether no call fails and no future is dropped.
    pub(super) fn is_calm(&self) -> bool {
        let dropped = |request: &RequestPlan| {
            request.close_dropped_after.is_some()
                || request.actors.iter().flatten().any(|step| step.dropped_after.is_some())
        };
        self.faults.is_empty() && !self.requests.iter().any(dropped)
    }

    /// Returns how far the clock moves in total.
    pub(super) fn clock_total(&self) -> Duration {
        let steps = self.orders.iter().filter_map(|(_, order)| match order {
            Order::Clock(by) => Some(*by),
            _ => None,
        });
        steps.sum()
    }
}

impl RequestPlan {
    fn draw(kind: SceneKind, managers: usize, drops: bool, rng: &mut Rng) -> Self {
        let actors = if kind.has_clones() && !rng.one_in(4) { 2 + usize::from(rng.one_in(4)) } else { 1 };
        let weights = match kind {
            SceneKind::Values => VALUES,
            // A request without clones may use operations whose results would be ambiguous with clones.
            SceneKind::Clones if actors == 1 => VALUES,
            SceneKind::Clones => CLONES,
            SceneKind::Logins => LOGINS,
            SceneKind::LoginClones => LOGIN_CLONES,
            SceneKind::Limits => LIMITS,
            SceneKind::Expiry => EXPIRY,
        };
        let only_reads = rng.one_in(8);
        let actors = (0..actors)
            .map(|_| {
                let steps = 1 + rng.below(5);
                let step = |rng: &mut Rng| Step {
                    action: if only_reads { Action::Look } else { rng.weighted(weights) },
                    dropped_after: (drops && rng.one_in(4)).then(|| rng.below(9)),
                    pause: rng.pick(&[0, 0, 0, 1, 3]),
                };
                (0..steps).map(|_| step(rng)).collect()
            })
            .collect();
        Self {
            manager: rng.below(managers),
            by_cookie: !rng.one_in(4),
            start: rng.pick(&[0, 0, 0, 2, 5, 10, 20]),
            actors,
            close_dropped_after: (drops && rng.one_in(4)).then(|| rng.below(12)),
            gives_up: drops && rng.one_in(4),
        }
    }
}

fn orders(kind: SceneKind, clock: bool, rng: &mut Rng) -> Vec<(usize, Order)> {
    let mut orders = Vec::new();
    if kind.has_logins() && rng.one_in(2) {
        orders.push(match rng.below(4) {
            0 => Order::List(rng.below(2)),
            1 => Order::RevokeAll(rng.below(2)),
            2 => Order::Revoke(None),
            _ => Order::Revoke(Some(rng.below(5))),
        });
    }
    if clock {
        for _ in 0..=rng.below(2) {
            orders.push(Order::Clock(rng.pick(&[seconds(30), seconds(61), minutes(11)])));
        }
    }
    if kind == SceneKind::Expiry {
        orders.push(Order::Clock(rng.pick(&[minutes(7), minutes(59), hours(1), hours(3)])));
    }
    if rng.one_in(6) {
        orders.push(Order::Purge);
    }
    orders.into_iter().map(|order| (rng.pick(&[0, 2, 5, 9, 15, 30]), order)).collect()
}
