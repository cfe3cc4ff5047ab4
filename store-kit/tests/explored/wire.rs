//! Round trips that the explorer observes and answers.

use session_core::{Error, ErrorKind, StoreKey};
use session_store_kit::batch::{Answers, Item, RoundTrip, Trip, Undone};
use tokio::sync::{mpsc, oneshot};

/// A call with a number and a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) n: usize,
    pub(crate) key: Option<u8>,
}

impl Item for Call {
    type Output = usize;

    fn key(&self) -> Option<StoreKey> {
        self.key.map(|key| StoreKey::from_bytes([key; 32]))
    }

    fn len(&self) -> usize {
        1
    }
}

/// Error of a call that was undone.
pub(crate) const UNDONE: Error = Error::fixed(ErrorKind::Unavailable, "the call was undone");

/// What a round trip does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It carries out all calls.
    Done,
    /// It leaves all calls undone, and cannot say which of them is at fault.
    Undone,
    /// It leaves the call at this position undone.
    Part(usize),
    /// It panics.
    Panic,
}

/// A round trip in flight.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) calls: Vec<Call>,
    pub(crate) trip: Trip,
    pub(crate) reply: oneshot::Sender<Reply>,
}

#[derive(Debug)]
pub(crate) struct Wire(pub(crate) mpsc::UnboundedSender<Sent>);

impl RoundTrip<Call> for Wire {
    async fn run(&self, items: &[Call], trip: Trip) -> Answers<Call> {
        let (reply, replied) = oneshot::channel();
        self.0.send(Sent { calls: items.to_vec(), trip, reply }).expect("the explorer listens");
        let done = items.iter().map(|call| Ok(call.n));
        match replied.await.expect("the explorer replies") {
            Reply::Done => Ok(done.collect()),
            Reply::Undone => Err(UNDONE.into()),
            Reply::Part(at) => {
                let answers = done.enumerate().map(|(n, done)| (n != at).then_some(done)).collect();
                Err(Undone::part(answers, UNDONE))
            }
            // Without the message of a panic.
            Reply::Panic => std::panic::resume_unwind(Box::new("the round trip panics")),
        }
    }
}
