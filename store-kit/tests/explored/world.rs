//! One run of a program: the steps, and the promises that each of them must keep.

use session_store_kit::batch::Batcher;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{Instant, advance};

use crate::caller::{Caller, Carried, Task};
use crate::choices::Choices;
use crate::program::{LATER, May, Program, TIMEOUT};
use crate::wire::{Call, Reply, Sent, Wire};

/// Turns of the scheduler without any event after which no task can run.
const QUIET: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin,
    Reply(usize, Reply),
    Drop(usize),
    Freeze(usize),
    Later,
    Close,
}

pub(crate) struct World<'a> {
    program: &'a Program,
    choices: &'a mut Choices,
    may: May,
    batcher: Batcher<Wire, Call>,
    sent: mpsc::UnboundedReceiver<Sent>,
    in_flight: Vec<Sent>,
    callers: Vec<Caller>,
    closing: Option<Task<()>>,
    /// Time at which closing gives up.
    closes: Option<Instant>,
    closed: bool,
    pub(crate) trace: Vec<String>,
}

type Checked = Result<(), String>;

fn ensure(kept: bool, broken: impl FnOnce() -> String) -> Checked {
    if kept { Ok(()) } else { Err(broken()) }
}

impl<'a> World<'a> {
    pub(crate) fn new(program: &'a Program, choices: &'a mut Choices) -> Self {
        let (sender, sent) = mpsc::unbounded_channel();
        let batcher = Batcher::new(Wire(sender), program.limits());
        Self {
            program,
            choices,
            may: program.may,
            batcher,
            sent,
            in_flight: Vec::new(),
            callers: Vec::new(),
            closing: None,
            closes: None,
            closed: false,
            trace: Vec::new(),
        }
    }

    /// Runs the program to its end. Returns the promise that was broken.
    pub(crate) async fn run(&mut self) -> Checked {
        loop {
            let steps = self.steps();
            if steps.is_empty() {
                break;
            }
            let step = steps[self.choices.choose(steps.len())];
            self.trace.push(format!("{step:?}"));
            self.take(step).await?;
            let turns = if self.may.hurry > 0 { self.choices.choose(3) } else { 0 };
            match turns {
                0 => self.settle().await?,
                turns => {
                    self.may.hurry -= 1;
                    self.trace.push(format!("(before {})", if turns == 1 { "any turn" } else { "the second turn" }));
                    if turns == 2 {
                        self.turn().await?;
                    }
                }
            }
        }
        self.settle().await?;
        self.end().await
    }

    /// Returns the steps that are possible. None if nothing can happen any more by itself.
    fn steps(&self) -> Vec<Step> {
        let (mut steps, faults) = (Vec::new(), self.may.faults > 0);
        if self.callers.len() < self.program.calls.len() {
            steps.push(Step::Begin);
        }
        for (at, sent) in self.in_flight.iter().enumerate() {
            steps.push(Step::Reply(at, Reply::Done));
            if faults && self.may.undone > 0 {
                steps.push(Step::Reply(at, Reply::Undone));
                steps.extend((0..sent.calls.len()).map(|call| Step::Reply(at, Reply::Part(call))));
            }
            if faults && self.may.panic > 0 {
                steps.push(Step::Reply(at, Reply::Panic));
            }
        }
        if steps.is_empty() {
            return steps;
        }
        let waiting = || self.callers.iter().enumerate().filter(|(_, caller)| caller.waits()).map(|(n, _)| n);
        if faults && self.may.drop > 0 {
            steps.extend(waiting().map(Step::Drop));
        }
        if faults && self.may.freeze > 0 {
            steps.extend(waiting().map(Step::Freeze));
        }
        if self.may.later > 0 {
            steps.push(Step::Later);
        }
        if self.may.close && self.closes.is_none() {
            steps.push(Step::Close);
        }
        steps
    }

    async fn take(&mut self, step: Step) -> Checked {
        self.note_sent()?;
        let faults = match step {
            Step::Reply(_, Reply::Undone | Reply::Part(_) | Reply::Panic) | Step::Drop(_) | Step::Freeze(_) => 1,
            Step::Begin | Step::Reply(_, Reply::Done) | Step::Later | Step::Close => 0,
        };
        self.may.faults -= faults;
        match step {
            Step::Begin => {
                let n = self.callers.len();
                self.begin(self.program.calls[n])
            }
            Step::Reply(at, reply) => {
                *match reply {
                    Reply::Done => return self.reply(at, reply),
                    Reply::Undone | Reply::Part(_) => &mut self.may.undone,
                    Reply::Panic => &mut self.may.panic,
                } -= 1;
                self.reply(at, reply)
            }
            Step::Drop(n) => {
                self.may.drop -= 1;
                let caller = &mut self.callers[n];
                (caller.task, caller.gone) = (None, true);
                Ok(())
            }
            Step::Freeze(n) => {
                self.may.freeze -= 1;
                self.callers[n].frozen = true;
                Ok(())
            }
            Step::Later => {
                self.may.later -= 1;
                advance(LATER).await;
                Ok(())
            }
            Step::Close => {
                self.closing = Some(Task::new(self.batcher.close().ended()));
                self.closes = Some(Instant::now() + TIMEOUT);
                Ok(())
            }
        }
    }

    fn begin(&mut self, key: Option<u8>) -> Checked {
        let call = Call { n: self.callers.len(), key };
        self.callers.push(Caller::begin(&self.batcher, call, self.closes.is_some()));
        self.poll_callers().map(drop)
    }

    fn reply(&mut self, at: usize, reply: Reply) -> Checked {
        let sent = self.in_flight.remove(at);
        for (position, call) in sent.calls.iter().enumerate() {
            let own = match reply {
                Reply::Part(undone) if undone == position => Reply::Undone,
                Reply::Part(_) => Reply::Done,
                whole => whole,
            };
            if let Some(carried) = self.callers[call.n].carried.last_mut() {
                carried.reply = Some(own);
                carried.in_part = matches!(reply, Reply::Part(_));
            }
        }
        ensure(sent.reply.send(reply).is_ok(), || "a round trip was dropped half-way".to_owned())
    }

    /// Polls the callers that were woken. Returns whether there were any.
    fn poll_callers(&mut self) -> Result<bool, String> {
        let (mut any, now) = (false, Instant::now());
        for caller in &mut self.callers {
            let Some(task) = caller.task.as_mut().filter(|_| !caller.frozen) else { continue };
            let Some(polled) = task.poll() else { continue };
            any = true;
            if let std::task::Poll::Ready(answer) = polled {
                (caller.answer, caller.task) = (Some(answer), None);
                caller.wrong(now).map_or(Ok(()), Err)?;
            }
        }
        if let Some(polled) = self.closing.as_mut().and_then(Task::poll) {
            any = true;
            if polled.is_ready() {
                (self.closing, self.closed) = (None, true);
                self.check_closed(now)?;
            }
        }
        Ok(any)
    }

    /// Lets every task that can run have a turn, and then the callers. Returns whether anything happened.
    async fn turn(&mut self) -> Result<bool, String> {
        yield_now().await;
        let sent = self.note_sent()?;
        Ok(self.poll_callers()? || sent)
    }

    /// Lets all tasks run until none can, and checks what must be true then.
    async fn settle(&mut self) -> Checked {
        let mut quiet = 0;
        while quiet < QUIET {
            quiet = if self.turn().await? { 0 } else { quiet + 1 };
        }
        self.check_rest()
    }

    /// Notes the round trips that have begun. Returns whether there are any.
    fn note_sent(&mut self) -> Result<bool, String> {
        let mut any = false;
        while let Ok(sent) = self.sent.try_recv() {
            any = true;
            self.trace.push(format!("  sent {:?} alone={}", numbers(&sent), sent.trip.alone));
            self.check_sent(&sent)?;
            for call in &sent.calls {
                let carried = Carried { alone: sent.trip.alone, calls: sent.calls.len(), reply: None, in_part: false };
                self.callers[call.n].carried.push(carried);
            }
            let (calls, is_alone) = (sent.calls.len(), sent.trip.alone);
            self.in_flight.push(sent);
            let (together, alone) = self.count();
            // A call that was withdrawn leaves room in a batch that was full.
            let full = self.callers.iter().any(|caller| caller.gone) || calls == self.program.items;
            let limit = if full { self.program.in_flight.max(self.program.full) } else { self.program.in_flight };
            ensure(together <= limit || is_alone, || format!("{together} are in flight"))?;
            ensure(alone <= self.program.alone, || format!("{alone} calls run alone"))?;
        }
        Ok(any)
    }

    /// Returns the number of batches in flight, and of calls that run alone.
    fn count(&self) -> (usize, usize) {
        let alone = self.in_flight.iter().filter(|sent| sent.trip.alone).count();
        (self.in_flight.len() - alone, alone)
    }

    /// Checks a round trip that begins.
    fn check_sent(&self, sent: &Sent) -> Checked {
        let (now, calls) = (Instant::now(), &sent.calls);
        let callers = || calls.iter().map(|call| &self.callers[call.n]);
        ensure(!self.closed, || "a round trip begins after closing has ended".to_owned())?;
        ensure((1..=self.program.items).contains(&calls.len()), || format!("a batch has {} calls", calls.len()))?;
        ensure(!sent.trip.alone || calls.len() == 1, || "calls that run alone share a round trip".to_owned())?;
        let first = callers().map(|caller| caller.deadline).min();
        let last = callers().map(|caller| caller.deadline).max().unwrap_or(now);
        ensure(first == Some(sent.trip.deadline), || {
            "the batch does not end when its first caller gives up".to_owned()
        })?;
        ensure(last - now <= 2 * (sent.trip.deadline - now), || {
            "a call goes with one that has less than half of its time".to_owned()
        })?;
        for caller in callers() {
            let n = caller.call.n;
            ensure(!caller.gone, || format!("call {n} is sent although its caller has gone"))?;
            ensure(now < caller.deadline, || format!("call {n} is sent after its deadline"))?;
            let again = caller.carried.last();
            ensure(again.is_none_or(|earlier| !earlier.is_last()), || {
                format!("call {n} is run again after {:?}", caller.carried)
            })?;
            ensure(again.is_some() == sent.trip.alone, || format!("call {n} runs alone: {}", sent.trip.alone))?;
            let Some(key) = caller.call.key else { continue };
            let of_key = |other: &&Call| other.key == Some(key);
            ensure(calls.iter().filter(of_key).count() == 1, || format!("key {key} is twice in a batch"))?;
            let earlier = self.callers[..n].iter().find(|earlier| {
                earlier.call.key == Some(key) && earlier.waits() && earlier.carried.is_empty() && now < earlier.deadline
            });
            let passed = earlier.filter(|_| again.is_none());
            ensure(passed.is_none(), || format!("call {n} is sent before an earlier one of its key"))?;
        }
        Ok(())
    }

    /// Checks that nothing waits without a reason. No task can run.
    fn check_rest(&self) -> Checked {
        let now = Instant::now();
        let (together, alone) = self.count();
        for caller in self.callers.iter().filter(|caller| caller.waits()) {
            let n = caller.call.n;
            ensure(now < caller.deadline, || format!("call {n} has no answer at its deadline"))?;
            match caller.carried.last() {
                None => {
                    ensure(together >= self.program.in_flight, || format!("call {n} waits although it could be sent"))?
                }
                Some(carried) if carried.reply.is_none() => {}
                Some(carried) if carried.is_last() => return Err(format!("call {n} has no answer after {carried:?}")),
                Some(_) => {
                    ensure(alone >= self.program.alone, || format!("call {n} waits although it could run alone"))?
                }
            }
        }
        if self.closing.is_some() {
            let due = self.closes.is_some_and(|closes| now >= closes);
            let idle = self.in_flight.is_empty() && self.callers.iter().all(|caller| caller.task.is_none());
            ensure(!due && !idle, || "closing has not ended".to_owned())?;
        }
        Ok(())
    }

    /// Checks that closing waited for what was in flight.
    fn check_closed(&self, now: Instant) -> Checked {
        let due = self.closes.is_some_and(|closes| now >= closes);
        let idle = self.in_flight.is_empty() && self.callers.iter().all(|caller| caller.task.is_none());
        ensure(due || idle, || "closing has ended beside calls".to_owned())
    }

    /// Checks that the batcher is as good as new: it sends what comes, has as many round trips as it may, and leaves no task.
    async fn end(&mut self) -> Checked {
        for caller in &mut self.callers {
            if caller.task.take().is_some() {
                caller.gone = true;
            }
        }
        self.answer_all().await?;
        if self.closes.is_none() {
            let begun = self.callers.len();
            for n in 0..=self.program.in_flight {
                self.begin(None)?;
                self.settle().await?;
                let sent = self.count().0;
                let expected = (n + 1).min(self.program.in_flight);
                // A batcher that may have more in flight for full batches has only what is full.
                ensure(sent == expected || self.program.items == 1, || {
                    format!("{sent} round trips carry {} calls", n + 1)
                })?;
            }
            self.answer_all().await?;
            ensure(self.callers[begun..].iter().all(|caller| matches!(caller.answer, Some(Ok(_)))), || {
                "a later call has no answer".to_owned()
            })?;
        }
        // The value of the runtime has a task of its own.
        let tasks = Handle::current().metrics().num_alive_tasks();
        ensure(tasks <= 1, || format!("{tasks} tasks are left"))
    }

    async fn answer_all(&mut self) -> Checked {
        self.settle().await?;
        while !self.in_flight.is_empty() {
            self.reply(0, Reply::Done)?;
            self.settle().await?;
        }
        Ok(())
    }
}

fn numbers(sent: &Sent) -> Vec<usize> {
    sent.calls.iter().map(|call| call.n).collect()
}
