//! A caller and what has become of its call.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use session_core::{ErrorKind, Result};
use session_store_kit::TIMED_OUT;
use session_store_kit::batch::{Batcher, CLOSED};
use tokio::time::Instant;

use crate::program::TIMEOUT;
use crate::wire::{Call, Reply, UNDONE, Wire};

/// A future that is polled only when it was woken.
pub(crate) struct Task<T> {
    future: Pin<Box<dyn Future<Output = T>>>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl<T> Task<T> {
    pub(crate) fn new(future: impl Future<Output = T> + 'static) -> Self {
        Self { future: Box::pin(future), woken: Arc::new(Woken(AtomicBool::new(true))) }
    }

    /// Polls the future if it was woken. Returns `None` if it was not.
    pub(crate) fn poll(&mut self) -> Option<Poll<T>> {
        let woken = self.woken.0.swap(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.woken));
        woken.then(|| self.future.as_mut().poll(&mut Context::from_waker(&waker)))
    }
}

/// One of the round trips that carried a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried {
    pub(crate) alone: bool,
    /// Number of calls in it.
    pub(crate) calls: usize,
    /// What it did with this call, once it has ended: `Done`, `Undone` or `Panic`.
    pub(crate) reply: Option<Reply>,
    /// Whether the round trip could say which calls were undone.
    pub(crate) in_part: bool,
}

impl Carried {
    /// Whether the call has its answer with this round trip, and is not run again.
    pub(crate) fn is_last(&self) -> bool {
        self.reply != Some(Reply::Undone) || self.alone || (self.calls == 1 && !self.in_part)
    }
}

pub(crate) struct Caller {
    pub(crate) call: Call,
    pub(crate) deadline: Instant,
    /// `None` once the caller has its answer, or has gone away.
    pub(crate) task: Option<Task<Result<usize>>>,
    pub(crate) frozen: bool,
    pub(crate) gone: bool,
    pub(crate) after_close: bool,
    pub(crate) answer: Option<Result<usize>>,
    pub(crate) carried: Vec<Carried>,
}

impl Caller {
    pub(crate) fn begin(batcher: &Batcher<Wire, Call>, call: Call, after_close: bool) -> Self {
        let batcher = batcher.clone();
        Self {
            call,
            deadline: Instant::now() + TIMEOUT,
            task: Some(Task::new(async move { batcher.call(call).await })),
            frozen: false,
            gone: false,
            after_close,
            answer: None,
            carried: Vec::new(),
        }
    }

    /// Whether the caller waits for its answer.
    pub(crate) fn waits(&self) -> bool {
        self.task.is_some() && !self.frozen
    }

    /// Returns what is wrong with the answer.
    pub(crate) fn wrong(&self, now: Instant) -> Option<String> {
        let answer = self.answer.as_ref()?;
        let last = self.carried.last();
        let reply = last.and_then(|last| last.reply);
        let right = match answer {
            Ok(n) => *n == self.call.n && reply == Some(Reply::Done),
            Err(error) if error.to_string() == TIMED_OUT.to_string() => now >= self.deadline,
            Err(error) if error.to_string() == UNDONE.to_string() => {
                reply == Some(Reply::Undone) && last.is_some_and(Carried::is_last)
            }
            Err(error) if error.to_string() == CLOSED.to_string() => self.after_close,
            Err(error) => error.kind() == ErrorKind::Other && reply == Some(Reply::Panic),
        };
        (!right).then(|| format!("call {} got {answer:?} after {:?}", self.call.n, self.carried))
    }
}
