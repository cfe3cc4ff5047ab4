//! The environment of a program: processes with their managers, a browser, tasks, and the violations found.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use session_core::{Clock as _, Manager, ManagerBuilder, ManualClock, Record, StoreKey, Timestamp, hours};

use super::names::hash_of;
use super::store::{ModelStore, StoreState};
use crate::stored_data;

/// Start time of every run, so that equal states of two runs have equal times. It is in 2027.
const START: Duration = Duration::from_secs(1_800_000_000);

/// Faults that a run may have: their kinds and their numbers.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Maximum number of lost answers and clock steps together. A call with a lost answer fails, though it may have
    /// taken effect or still may.
    pub lost: u8,
    /// Maximum number of dropped futures of operations.
    pub dropped: u8,
    /// Steps that the clock may take.
    pub clock: &'static [Duration],
}

impl Faults {
    /// No faults.
    pub const NONE: Self = Self { lost: 0, dropped: 0, clock: &[] };
    /// At most one lost answer and one dropped future.
    pub const ANY: Self = Self { lost: 1, dropped: 1, clock: &[] };
}

/// Processes, browser and tasks of one run. Clones share the same run.
#[derive(Clone)]
pub struct World(pub(super) Rc<Inner>);

pub(super) struct Inner {
    pub(super) store: ModelStore,
    pub(super) clock: ManualClock,
    pub(super) tasks: RefCell<Vec<Task>>,
    /// Violations found, from promise to details.
    pub(super) violations: RefCell<BTreeMap<&'static str, String>>,
    /// Lines of the printed trace, if this run is shown.
    pub(super) trace: Option<RefCell<Vec<String>>>,
    /// Hash of the programs' notes, in their order: state that the explorer could not see otherwise.
    pub(super) noted: Cell<u64>,
    /// Notes of the current poll.
    notes: RefCell<Vec<u64>>,
    /// Number of faults so far, dropped futures included.
    pub(super) faults: Cell<u8>,
    browser: RefCell<Option<String>>,
}

/// A task of a program, as the executor sees it.
pub(super) struct Task {
    pub(super) name: &'static str,
    pub(super) future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    pub(super) control: Rc<Control>,
}

/// Flags shared by the executor and a task.
#[derive(Default)]
pub(super) struct Control {
    /// Set while a droppable operation has been polled and waits.
    pub(super) waits_in_op: Cell<bool>,
    /// Set if the operation is to be dropped instead of polled.
    pub(super) drop_op: Cell<bool>,
}

impl World {
    pub(super) fn new(shown: bool) -> Self {
        Self(Rc::new(Inner {
            store: ModelStore(Arc::new(Mutex::new(StoreState::default()))),
            clock: ManualClock::new(Timestamp::MIN.plus(START)),
            tasks: RefCell::default(),
            violations: RefCell::default(),
            trace: shown.then(RefCell::default),
            noted: Cell::new(0),
            notes: RefCell::default(),
            faults: Cell::new(0),
            browser: RefCell::default(),
        }))
    }

    /// Starts a process with its own manager over the common store. Its idle time-out is 1 hour; `configure` may
    /// change the rest.
    pub fn process(&self, configure: impl FnOnce(ManagerBuilder) -> ManagerBuilder) -> Manager {
        let builder = Manager::builder(self.0.store.clone()).clock(self.0.clock.clone()).idle(hours(1));
        configure(builder).build().expect("the program's configuration is right")
    }

    /// Declares that no other process writes to the store. Applies to managers built from now on.
    pub fn set_in_process(&self) {
        self.0.store.shared().in_process = true;
    }

    /// Sets the maximum length of data that the store accepts from now on.
    pub fn set_max_data_len(&self, longest: usize) {
        self.0.store.shared().max_data_len = Some(longest);
    }

    /// Runs `future` to its end without choices, for the set-up and final checks.
    pub fn at_once<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.store.shared().at_once = true;
        let done = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
        self.0.store.shared().at_once = false;
        match done {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("what runs at once waits for nothing"),
        }
    }

    /// Adds a task to `manager`'s process, which runs `work`.
    pub fn task<F: Future<Output = ()> + 'static>(
        &self,
        name: &'static str,
        manager: &Manager,
        work: impl FnOnce(TaskContext) -> F,
    ) {
        let control = Rc::<Control>::default();
        let context = TaskContext { world: self.clone(), name, manager: manager.clone(), control: control.clone() };
        let future: Pin<Box<dyn Future<Output = ()>>> = Box::pin(work(context));
        self.0.tasks.borrow_mut().push(Task { name, future: Some(future), control });
    }

    /// Returns the current time of the processes' clock.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Moves the clock forward, as a part of the set-up.
    pub fn advance(&self, by: Duration) {
        self.0.clock.advance(by);
    }

    /// Returns whether an answer was lost, a future dropped or the clock moved so far.
    pub fn had_faults(&self) -> bool {
        self.0.faults.get() > 0
    }

    /// Reports a broken promise.
    pub fn violated(&self, promise: &'static str, details: impl Into<String>) {
        let details = details.into();
        self.show(|_| format!("VIOLATED {promise}: {details}"));
        self.0.violations.borrow_mut().entry(promise).or_insert(details);
    }

    /// Tells the explorer of state that programs keep outside of sessions, if its order matters.
    ///
    /// Runs with different notes are in different states.
    pub fn note(&self, what: impl std::hash::Hash) {
        self.0.notes.borrow_mut().push(hash_of(what));
    }

    /// Adds the notes of the current poll to the run's hash.
    pub(super) fn end_poll(&self, poll: u64) {
        for note in self.0.notes.borrow_mut().drain(..) {
            self.0.noted.set(hash_of((self.0.noted.get(), poll, note)));
        }
        self.0.store.shared().end_poll(poll);
    }

    // ---- the browser ----

    /// Returns the browser's cookie.
    pub fn cookie(&self) -> Option<String> {
        self.0.browser.borrow().clone()
    }

    /// Replaces the browser's cookie.
    pub fn set_cookie(&self, cookie: Option<String>) {
        self.note(("cookie", cookie.is_some()));
        *self.0.browser.borrow_mut() = cookie;
    }

    // ---- stored records ----

    /// Returns the live sessions in the store, without tombstones.
    pub fn live_sessions(&self) -> Vec<(StoreKey, Record)> {
        let now = self.now();
        let shared = self.0.store.shared();
        let live = |record: &Record| record.is_live(now) && !stored_data::is_tombstone(record);
        shared.records.iter().filter(|(_, record)| live(record)).map(|(key, record)| (*key, record.clone())).collect()
    }

    /// Returns the session to which `key` leads, following the tombstones of rotations.
    pub fn session_at(&self, mut key: StoreKey) -> Option<(StoreKey, Record)> {
        let (now, shared) = (self.now(), self.0.store.shared());
        loop {
            let record = shared.records.get(&key).filter(|record| record.is_live(now))?;
            if !stored_data::is_tombstone(record) {
                return Some((key, record.clone()));
            }
            key = stored_data::moved_to(record)?;
        }
    }

    // ---- printed trace ----

    /// Adds a line to the trace, if this run is shown.
    pub(super) fn show(&self, line: impl FnOnce(&StoreState) -> String) {
        if let Some(trace) = &self.0.trace {
            let line = line(&self.0.store.shared());
            trace.borrow_mut().push(line);
        }
    }
}

/// Environment of one task's work.
#[derive(Clone)]
pub struct TaskContext {
    /// The world of the run.
    pub world: World,
    /// The manager of the task's process.
    pub manager: Manager,
    name: &'static str,
    control: Rc<Control>,
}

impl TaskContext {
    /// Returns the task's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Lets other tasks run. Used between two operations without a store call, if another task shares the session.
    pub async fn step(&self) {
        let mut polled = false;
        poll_fn(|context| match std::mem::replace(&mut polled, true) {
            true => Poll::Ready(()),
            false => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
    }

    /// Runs an operation whose future may be dropped while it waits. Returns `None` if it was dropped.
    pub async fn droppable<T>(&self, operation: impl Future<Output = T>) -> Option<T> {
        let mut operation = Some(Box::pin(operation));
        let ended = poll_fn(|context| {
            let Some(running) = operation.as_mut() else { return Poll::Ready(None) };
            self.control.waits_in_op.set(false);
            if self.control.drop_op.take() {
                operation = None;
                // The code after the dropped operation is a separate step.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let polled = running.as_mut().poll(context);
            self.control.waits_in_op.set(polled.is_pending());
            polled.map(Some)
        })
        .await;
        self.show(|| if ended.is_none() { "the future was dropped".to_owned() } else { String::new() });
        ended
    }

    /// Adds a line to the trace, if this run is shown and the line is not empty.
    pub fn show(&self, line: impl FnOnce() -> String) {
        let Some(trace) = &self.world.0.trace else { return };
        let line = line();
        if !line.is_empty() {
            trace.borrow_mut().push(format!("    {}: {line}", self.name));
        }
    }
}
