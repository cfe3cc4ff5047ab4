//! Round trips that a test observes and answers itself.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use session_core::{Error, ErrorKind, Result, StoreKey};
use session_store_kit::batch::{Answers, Batcher, Item, Limits, RoundTrip, Trip as Circumstances};
use tokio::sync::{mpsc, oneshot};

/// A call with a number, a key and a length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) n: u32,
    pub(crate) key: Option<u8>,
    pub(crate) len: usize,
}

impl Item for Call {
    type Output = u32;

    fn key(&self) -> Option<StoreKey> {
        self.key.map(|key| StoreKey::from_bytes([key; 32]))
    }

    fn len(&self) -> usize {
        self.len
    }
}

pub(crate) fn call(n: u32) -> Call {
    Call { n, key: None, len: 1 }
}

pub(crate) fn keyed(n: u32, key: u8) -> Call {
    Call { n, key: Some(key), len: 1 }
}

pub(crate) const FAILED: Error = Error::fixed(ErrorKind::Unavailable, "the batch failed");

/// A round trip in flight, which the test answers.
pub(crate) struct Trip {
    pub(crate) calls: Vec<Call>,
    pub(crate) circumstances: Circumstances,
    pub(crate) answer: oneshot::Sender<Answers<Call>>,
}

impl Trip {
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.calls.iter().map(|call| call.n).collect()
    }

    pub(crate) fn succeed(self) {
        let answers = self.calls.iter().map(|call| Ok(call.n)).collect();
        self.answer.send(Ok(answers)).unwrap();
    }

    pub(crate) fn fail(self) {
        self.answer.send(Err(FAILED.into())).unwrap();
    }
}

pub(crate) struct Wire(mpsc::UnboundedSender<Trip>);

impl RoundTrip<Call> for Wire {
    async fn run(&self, items: &[Call], circumstances: Circumstances) -> Answers<Call> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Trip { calls: items.to_vec(), circumstances, answer }).unwrap();
        answered.await.expect("the test answers")
    }
}

pub(crate) fn open(limits: Limits) -> (Batcher<Wire, Call>, mpsc::UnboundedReceiver<Trip>) {
    let (sender, trips) = mpsc::unbounded_channel();
    (Batcher::new(Wire(sender), limits), trips)
}

pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<u32>> + Send>>;

/// Polls a call once, so that it is queued or in flight on return. Calls keep the order in which they were begun.
pub(crate) async fn begin<R: RoundTrip<Call>>(batcher: &Batcher<R, Call>, call: Call) -> Answer {
    let batcher = batcher.clone();
    let mut answer: Answer = Box::pin(async move { batcher.call(call).await });
    poll_fn(|cx| {
        assert!(answer.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    answer
}

/// Returns a batcher with one round trip in flight, which carries call 0.
pub(crate) async fn busy(limits: Limits) -> (Batcher<Wire, Call>, mpsc::UnboundedReceiver<Trip>, Answer, Trip) {
    let (batcher, mut trips) = open(limits);
    let answer = begin(&batcher, call(0)).await;
    let trip = trips.recv().await.unwrap();
    (batcher, trips, answer, trip)
}
