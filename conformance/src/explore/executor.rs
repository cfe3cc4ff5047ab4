//! Execution of one run: polls the program's tasks in an order that is chosen step by step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use session_core::{Clock as _, observe};

use super::names::hash_of;
use super::program::{Check, Program, quietly};
use super::run_hash::RunHash;
use super::world::World;

/// Maximum number of steps. A longer run counts as an endless loop.
const MOST_STEPS: usize = 600;

/// A possible next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A task runs until it waits.
    Poll(usize),
    /// The pending call of this index is carried out.
    Answer(usize),
    /// The pending call of this index is answered with an error, and may still take effect later.
    Lose(usize),
    /// The late write of this index takes effect.
    Arrive(usize),
    /// The operation in which this task waits is dropped.
    Drop(usize),
    /// The clock moves by the step of this index.
    Clock(usize),
    /// Expired records are removed.
    Purge,
    /// All tasks have ended, and no late write takes effect any more.
    Finish,
    /// A task waits, and nothing can wake it.
    Stuck,
}

/// A step, and whether it interrupts a task that could go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) step: Step,
    pub(super) interrupts: bool,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Result of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunEnd {
    Whole,
    /// The run has reached a state that is known already.
    Merged,
}

pub(super) struct Run<'p> {
    program: &'p Program,
    pub(super) world: World,
    check: Option<Check>,
    ready: Vec<Arc<Flag>>,
    wakers: Vec<Waker>,
    run_hash: RunHash,
    /// The task that ran last.
    current: usize,
    lost: u8,
    dropped: u8,
}

impl<'p> Run<'p> {
    pub(super) fn new(program: &'p Program, shown: bool) -> Self {
        observe::begin();
        let world = World::new(shown);
        let check = (program.start)(&world);
        let tasks = world.0.tasks.borrow().len();
        let ready: Vec<_> = (0..tasks).map(|_| Arc::new(Flag(AtomicBool::new(true)))).collect();
        let wakers = ready.iter().map(|flag| Waker::from(flag.clone())).collect();
        let run_hash = RunHash::begin(tasks);
        world.0.store.shared().end_poll(0);
        Self {
            program,
            world,
            check: Some(check),
            ready,
            wakers,
            run_hash,
            current: 0,
            lost: program.faults.lost,
            dropped: program.faults.dropped,
        }
    }

    /// Runs to the end with the steps that `choose` picks. `None` ends the run.
    pub(super) fn go(mut self, choose: impl FnMut(&Self) -> Option<Step>) -> (RunEnd, World) {
        let ended = self.walk(choose);
        // Tasks and world refer to each other, so the tasks are dropped explicitly.
        let tasks = self.world.0.tasks.take();
        let _ = quietly(move || drop(tasks));
        (ended, self.world)
    }

    fn walk(&mut self, mut choose: impl FnMut(&Self) -> Option<Step>) -> RunEnd {
        for _ in 0..MOST_STEPS {
            match choose(self) {
                None => return RunEnd::Merged,
                Some(Step::Stuck) => {
                    self.world.violated("stuck", "a task waits, and nothing is under way that could wake it");
                    return RunEnd::Whole;
                }
                Some(Step::Finish) => {
                    self.finish();
                    return RunEnd::Whole;
                }
                Some(step) => self.take(step),
            }
        }
        self.world.violated("stuck", "the run does not end");
        RunEnd::Whole
    }

    /// Returns the possible steps. The first one continues the current task, if that is possible.
    pub(super) fn choices(&self) -> Vec<Choice> {
        let tasks = self.world.0.tasks.borrow();
        let shared = self.world.0.store.shared();
        let mut order: Vec<usize> = (0..tasks.len()).collect();
        order.rotate_left(self.current);
        let mut choices = Vec::new();
        let mut goes_on = false;
        // A task that has ended may have left behind a call that other tasks drive now.
        for &task in &order {
            let own = task == self.current;
            if tasks[task].future.is_some() && self.ready[task].0.load(Ordering::Relaxed) {
                choices.push(Choice { step: Step::Poll(task), interrupts: goes_on });
                goes_on |= own;
            }
            for (index, call) in shared.pending.iter().enumerate() {
                if call.task == task && call.answer.is_none() {
                    choices.push(Choice { step: Step::Answer(index), interrupts: goes_on });
                    goes_on |= own;
                }
            }
        }
        if tasks.iter().all(|task| task.future.is_none()) {
            choices.push(Choice { step: Step::Finish, interrupts: false });
        }
        if choices.is_empty() {
            choices.push(Choice { step: Step::Stuck, interrupts: false });
        }
        // The following steps are limited by their own budgets.
        let mut add = |step| choices.push(Choice { step, interrupts: false });
        (0..shared.late.len()).for_each(|index| add(Step::Arrive(index)));
        if self.lost > 0 {
            let unanswered = shared.pending.iter().enumerate().filter(|(_, call)| call.answer.is_none());
            unanswered.for_each(|(index, _)| add(Step::Lose(index)));
            (0..self.program.faults.clock.len()).for_each(|index| add(Step::Clock(index)));
        }
        if self.dropped > 0 {
            let waits = |task: &usize| tasks[*task].future.is_some() && tasks[*task].control.waits_in_op.get();
            (0..tasks.len()).filter(waits).for_each(|task| add(Step::Drop(task)));
        }
        let now = self.world.now();
        if shared.records.values().any(|record| !record.is_live(now)) {
            add(Step::Purge);
        }
        choices
    }

    /// Returns a hash that is equal for runs that have reached the same state in different orders.
    pub(super) fn state(&self) -> u64 {
        let tasks = self.world.0.tasks.borrow();
        let ready: Vec<_> = self.ready.iter().map(|flag| flag.0.load(Ordering::Relaxed)).collect();
        let running: Vec<_> = tasks
            .iter()
            .map(|task| (task.future.is_some(), task.control.waits_in_op.get(), task.control.drop_op.get()))
            .collect();
        let stored = self.world.0.store.shared().hash();
        let budgets = (self.lost, self.dropped, self.world.now());
        hash_of((self.run_hash.hash(), ready, running, stored, budgets, self.world.0.noted.get(), self.current))
    }

    fn take(&mut self, step: Step) {
        self.step(step);
        self.world.0.store.shared().forget_dead_writes();
    }

    fn step(&mut self, step: Step) {
        let store = &self.world.0.store.clone();
        match step {
            Step::Poll(task) => self.poll(task),
            Step::Answer(index) => {
                let mut shared = store.shared();
                shared.answer(index);
                drop(shared);
                self.current = store.shared().pending[index].task;
                self.show_call(index, "");
            }
            Step::Lose(index) => {
                self.lost -= 1;
                self.fault();
                store.shared().lose(index);
                self.show_call(index, " (the answer is lost)");
            }
            Step::Arrive(index) => {
                let line = self.world.0.trace.is_some().then(|| {
                    let shared = store.shared();
                    shared.names.show(&shared.late[index].operation)
                });
                let answer = store.shared().arrive(index);
                self.world.show(|shared| {
                    format!("late: {} -> {}", line.unwrap_or_default(), shared.names.show_answer(&answer))
                });
            }
            Step::Drop(task) => {
                self.dropped -= 1;
                self.fault();
                self.world.0.tasks.borrow()[task].control.drop_op.set(true);
                self.poll(task);
            }
            Step::Clock(index) => {
                self.lost -= 1;
                self.fault();
                let by = self.program.faults.clock[index];
                self.world.0.clock.advance(by);
                self.world.show(|_| format!("the clock moves on by {by:?}"));
            }
            Step::Purge => {
                store.shared().purge(self.world.0.clock.now());
                self.world.show(|_| "expired records are purged".to_owned());
            }
            Step::Finish | Step::Stuck => {}
        }
    }

    fn fault(&self) {
        self.world.0.faults.set(self.world.0.faults.get() + 1);
    }

    fn show_call(&self, index: usize, more: &str) {
        let tasks = self.world.0.tasks.borrow();
        self.world.show(|shared| {
            let call = &shared.pending[index];
            let answer = call.answer.as_ref().map(|answer| shared.names.show_answer(answer)).unwrap_or_default();
            format!("{}: {}{more} -> {answer}", tasks[call.task].name, shared.names.show(&call.operation))
        });
    }

    fn poll(&mut self, task: usize) {
        self.current = task;
        self.ready[task].0.store(false, Ordering::Relaxed);
        let (future, dropped) = {
            let mut tasks = self.world.0.tasks.borrow_mut();
            let task = &mut tasks[task];
            (task.future.take(), task.control.drop_op.get())
        };
        let Some(mut future) = future else { return };
        let answers: Vec<_> = {
            let mut shared = self.world.0.store.shared();
            shared.current_task = task;
            let own = shared.pending.iter().filter(|call| call.task == task);
            own.map(|call| (call.name, call.answer.as_ref().map(|answer| shared.names.hash_answer(answer)))).collect()
        };
        let before = hash_of((answers, dropped, self.world.0.clock.now()));
        let polled = quietly(|| future.as_mut().poll(&mut Context::from_waker(&self.wakers[task])));
        let left = match &polled {
            Ok(Poll::Pending) => Some(future),
            // Dropped before the poll is recorded, so that its lock accesses count as the poll's.
            _ => {
                let _ = quietly(move || drop(future));
                None
            }
        };
        let poll = self.run_hash.polled(task, before);
        self.world.end_poll(poll);
        self.world.0.tasks.borrow_mut()[task].future = left;
        match polled {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(())) => self.world.show(|_| format!("{}: ended", self.name(task))),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                self.world.violated("panic", format!("{}: {text}", self.name(task)));
            }
        }
    }

    fn name(&self, task: usize) -> &'static str {
        self.world.0.tasks.borrow()[task].name
    }

    fn finish(&mut self) {
        self.world.show(|_| "all tasks have ended".to_owned());
        if let Some(check) = self.check.take() {
            check(&self.world);
        }
    }
}
