//! A manager that renews ids, and its requests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_core::{
    Capabilities, Commit, Event, EventKind, Manager, ManagerBuilder, ManualClock, Opened, Session, Timestamp, minutes,
};

use crate::common::Shelf;

pub(crate) const AGE: Duration = minutes(15);

/// A manager that renews ids, with its events.
pub(crate) struct Rig {
    pub(crate) clock: ManualClock,
    pub(crate) shelf: Shelf,
    pub(crate) manager: Manager,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(configure: impl FnOnce(ManagerBuilder) -> ManagerBuilder) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000_000_000).unwrap());
        let shelf = Shelf::that_can(Capabilities::new().by_principal(true));
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let kept = events.clone();
        let builder = Manager::builder(shelf.clone()).clock(clock.clone()).renew_id_every(AGE);
        let builder = builder.on_event(move |event| kept.lock().unwrap().push(event.clone()));
        Self { clock, shelf, manager: configure(builder).build().unwrap(), events }
    }

    /// Returns the kinds of the events since the last call.
    pub(crate) fn events(&self) -> Vec<EventKind> {
        std::mem::take(&mut *self.events.lock().unwrap()).into_iter().map(|event| event.kind).collect()
    }

    pub(crate) fn open(&self, id: &str) -> Session {
        pollster::block_on(self.manager.open(Some(id))).unwrap()
    }

    /// Closes the session. Returns the id that the client gets, if any.
    pub(crate) fn close(&self, session: &Session) -> Option<String> {
        issued(pollster::block_on(self.manager.close(session)).unwrap())
    }

    /// Opens and closes the session. Returns how it was opened, and the id that the client gets, if any.
    pub(crate) fn read(&self, id: &str) -> (Opened, Option<String>) {
        let session = self.open(id);
        (session.opened(), self.close(&session))
    }

    pub(crate) fn opens(&self, id: &str) -> bool {
        self.open(id).opened() == Opened::Resumed
    }

    /// Stores a session of ann and returns its id. Its events are forgotten.
    pub(crate) fn ann(&self) -> String {
        let session = pollster::block_on(self.manager.open(None)).unwrap();
        session.login("ann").unwrap();
        session.insert("n", &1).unwrap();
        let id = self.close(&session).unwrap();
        self.events();
        id
    }

    /// Stores a session whose id has been renewed. Returns the old id and the new one.
    pub(crate) fn renewed(&self) -> [String; 2] {
        let old = self.ann();
        self.clock.advance(AGE);
        let new = self.read(&old).1.unwrap();
        assert_eq!(self.events(), [EventKind::Renewed]);
        [old, new]
    }
}

pub(crate) fn issued(commit: Commit) -> Option<String> {
    match commit {
        Commit::Issue(update) => Some(update.value.as_str().to_owned()),
        _ => None,
    }
}
