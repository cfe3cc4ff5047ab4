//! Events of one scene, drawn from its seed in advance.

use std::time::Duration;

use session_core::{hours, minutes, seconds};

use super::dice::{Dice, derive};

/// Kind of a scene. It limits the operations of requests, and so determines the checks at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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

impl Kind {
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
pub(super) enum Act {
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
    pub(super) act: Act,
    pub(super) dropped_after: Option<usize>,
    /// Number of turns that the actor waits first.
    pub(super) pause: usize,
}

/// A request: its handle, and an actor for each clone. The first actor closes the session.
#[derive(Clone, Debug)]
pub(super) struct Request {
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
    pub(super) kind: Kind,
    pub(super) managers: usize,
    pub(super) persistent: bool,
    pub(super) principal: Option<usize>,
    pub(super) tokens: usize,
    pub(super) flashes: usize,
    pub(super) requests: Vec<Request>,
    pub(super) orders: Vec<(usize, Order)>,
    pub(super) faults: Vec<Planned>,
    /// Maximum number of turns that a store call waits, before and after it.
    pub(super) turns: usize,
    /// Seed for the turns of the store calls.
    pub(super) turns_seed: u64,
}

type Weights = &'static [(usize, Act)];

const VALUES: Weights = &[
    (24, Act::Push),
    (8, Act::PushGuarded),
    (8, Act::Insert),
    (3, Act::Remove),
    (5, Act::Take),
    (5, Act::Flash),
    (5, Act::Flashes),
    (2, Act::Require),
    (2, Act::Label),
    (2, Act::Idle),
    (2, Act::Persistent),
    (4, Act::Look),
    (7, Act::Rotate),
    (3, Act::Touch),
    (14, Act::Save),
    (2, Act::Reload),
    (2, Act::Discard),
];

const CLONES: Weights = &[
    (30, Act::Push),
    (8, Act::Insert),
    (3, Act::Remove),
    (3, Act::Take),
    (4, Act::Flash),
    (6, Act::Flashes),
    (2, Act::Label),
    (2, Act::Idle),
    (2, Act::Persistent),
    (4, Act::Look),
    (5, Act::Rotate),
    (3, Act::Touch),
    (18, Act::Save),
];

const LOGINS: Weights = &[
    (20, Act::Push),
    (3, Act::Take),
    (3, Act::PushGuarded),
    (3, Act::Flash),
    (2, Act::Label),
    (4, Act::Persistent),
    (4, Act::Look),
    (6, Act::Rotate),
    (8, Act::Login(0)),
    (6, Act::Login(1)),
    (4, Act::Reauthenticate),
    (8, Act::Logout),
    (3, Act::Touch),
    (14, Act::Save),
    (2, Act::Reload),
    (2, Act::Discard),
];

const LOGIN_CLONES: Weights = &[
    (24, Act::Push),
    (3, Act::Look),
    (5, Act::Rotate),
    (8, Act::Login(0)),
    (6, Act::Login(1)),
    (3, Act::Reauthenticate),
    (6, Act::Logout),
    (2, Act::Touch),
    (18, Act::Save),
];

const LIMITS: Weights =
    &[(20, Act::Push), (20, Act::InsertLong), (8, Act::Insert), (4, Act::Flash), (3, Act::Look), (12, Act::Save)];

const EXPIRY: Weights = &[
    (20, Act::Push),
    (6, Act::Insert),
    (3, Act::Clear),
    (3, Act::Flash),
    (3, Act::Flashes),
    (3, Act::Idle),
    (4, Act::Look),
    (5, Act::Rotate),
    (8, Act::Touch),
    (14, Act::Save),
    (2, Act::Reload),
];

impl Scene {
    pub(super) fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(derive(seed, 0));
        let kind = dice.weighted(&[
            (34, Kind::Values),
            (16, Kind::Clones),
            (28, Kind::Logins),
            (12, Kind::LoginClones),
            (4, Kind::Limits),
            (6, Kind::Expiry),
        ]);
        // Without faults and drops every error must be documented.
        let calm = dice.one_in(2);
        let drops = !calm && dice.one_in(2);
        let managers = 1 + usize::from(!dice.one_in(3));
        let requests = dice.weighted(&[(6, 2), (6, 3), (3, 4), (1, 5)]);
        let clock = dice.one_in(4);
        let requests = (0..requests).map(|_| Request::draw(kind, managers, drops, &mut dice)).collect();
        let orders = orders(kind, clock, &mut dice);
        let faults = if calm || (drops && dice.one_in(2)) { 0 } else { dice.weighted(&[(5, 1), (3, 2), (1, 3)]) };
        let faults = (0..faults)
            .map(|_| {
                let fault = match dice.below(4) {
                    0 => Fault::Before,
                    1 => Fault::After,
                    _ => Fault::Late(dice.pick(&[1, 2, 4, 8, 16, 40])),
                };
                (dice.below(managers), dice.below(10), fault)
            })
            .collect();
        let logged_in = if kind.has_logins() { 2 } else { 4 };
        Self {
            kind,
            managers,
            persistent: dice.one_in(4),
            principal: dice.one_in(logged_in).then(|| dice.below(2)),
            tokens: dice.below(3),
            flashes: dice.below(3),
            requests,
            orders,
            faults,
            turns: dice.pick(&[0, 1, 2, 3, 5]),
            turns_seed: dice.draw(),
        }
    }

    /// Returns whether any request does `act`.
    pub(super) fn does(&self, act: impl Fn(Act) -> bool) -> bool {
        self.requests.iter().flat_map(|request| request.actors.iter().flatten()).any(|step| act(step.act))
    }

    /// Returns whether the session may change its id or its principal, or end.
    pub(super) fn changes_identity(&self) -> bool {
        let acts = |act| matches!(act, Act::Rotate | Act::Login(_) | Act::Reauthenticate | Act::Logout);
        let orders = |order: &Order| matches!(order, Order::Revoke(_) | Order::RevokeAll(_));
        self.kind == Kind::Expiry || self.does(acts) || self.orders.iter().any(|(_, order)| orders(order))
    }

    /// Returns whether no call fails and no future is dropped.
    pub(super) fn is_calm(&self) -> bool {
        let dropped = |request: &Request| {
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

impl Request {
    fn draw(kind: Kind, managers: usize, drops: bool, dice: &mut Dice) -> Self {
        let actors = if kind.has_clones() && !dice.one_in(4) { 2 + usize::from(dice.one_in(4)) } else { 1 };
        let weights = match kind {
            Kind::Values => VALUES,
            // A request without clones may use operations whose results would be ambiguous with clones.
            Kind::Clones if actors == 1 => VALUES,
            Kind::Clones => CLONES,
            Kind::Logins => LOGINS,
            Kind::LoginClones => LOGIN_CLONES,
            Kind::Limits => LIMITS,
            Kind::Expiry => EXPIRY,
        };
        let only_reads = dice.one_in(8);
        let actors = (0..actors)
            .map(|_| {
                let steps = 1 + dice.below(5);
                let step = |dice: &mut Dice| Step {
                    act: if only_reads { Act::Look } else { dice.weighted(weights) },
                    dropped_after: (drops && dice.one_in(4)).then(|| dice.below(9)),
                    pause: dice.pick(&[0, 0, 0, 1, 3]),
                };
                (0..steps).map(|_| step(dice)).collect()
            })
            .collect();
        Self {
            manager: dice.below(managers),
            by_cookie: !dice.one_in(4),
            start: dice.pick(&[0, 0, 0, 2, 5, 10, 20]),
            actors,
            close_dropped_after: (drops && dice.one_in(4)).then(|| dice.below(12)),
            gives_up: drops && dice.one_in(4),
        }
    }
}

fn orders(kind: Kind, clock: bool, dice: &mut Dice) -> Vec<(usize, Order)> {
    let mut orders = Vec::new();
    if kind.has_logins() && dice.one_in(2) {
        orders.push(match dice.below(4) {
            0 => Order::List(dice.below(2)),
            1 => Order::RevokeAll(dice.below(2)),
            2 => Order::Revoke(None),
            _ => Order::Revoke(Some(dice.below(5))),
        });
    }
    if clock {
        for _ in 0..=dice.below(2) {
            orders.push(Order::Clock(dice.pick(&[seconds(30), seconds(61), minutes(11)])));
        }
    }
    if kind == Kind::Expiry {
        orders.push(Order::Clock(dice.pick(&[minutes(7), minutes(59), hours(1), hours(3)])));
    }
    if dice.one_in(6) {
        orders.push(Order::Purge);
    }
    orders.into_iter().map(|order| (dice.pick(&[0, 2, 5, 9, 15, 30]), order)).collect()
}
