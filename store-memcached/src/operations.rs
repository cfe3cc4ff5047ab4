//! Calls, as batches of commands that are sent together.
//!
//! A write reads what is stored and then changes it under the condition that it is unchanged, until one of the two says the outcome.
//! Both are sent on one connection, because the numbers by which the server compares begin again when it is started again.

use bytes::Bytes;
use session_core::{Error, Outcome, Record, Result, Timestamp};
use session_store_kit::batch::{Answers, RoundTrip, Trip};
use session_store_kit::operations::{Access, Create, Load, Save};
use session_store_kit::outcome::Write as _;
use session_store_kit::{AnyWrite, TIMED_OUT, fits};
use tokio::time::timeout_at;

use crate::connection::Connection;
use crate::error;
use crate::protocol::{self, Condition, Reply};
use crate::schema;
use crate::server::Server;

/// Next command of a write.
enum Step {
    /// Store the record of a create if there is none.
    Add,
    /// Read what is stored.
    Look,
    /// Replace the value of this number.
    Put(Vec<u8>, Timestamp, u64),
    /// Remove the value of this number. A delete of any version has a number too, because another write may have stored a value since that
    /// has expired, and then there is nothing to delete.
    Remove(u64),
}

/// What follows from a reply.
enum Next {
    Answer(Result<Outcome>),
    Step(Step),
}

/// A write of a batch that has no answer yet.
struct Pending<'i> {
    at: usize,
    item: &'i AnyWrite,
    step: Step,
}

/// Checks that the server takes the record. A server that refuses one for its size also drops what it had under the name.
fn check_length(write: &AnyWrite, longest: Option<usize>) -> Result<()> {
    match (write, longest) {
        (AnyWrite::Create(Create { record, .. }) | AnyWrite::Save(Save { record, .. }), Some(longest)) => {
            fits(record, longest)
        }
        _ => Ok(()),
    }
}

impl<'i> Pending<'i> {
    /// Begins a write. A create need not look first.
    const fn new(at: usize, item: &'i AnyWrite) -> Self {
        let step = if matches!(item, AnyWrite::Create(_)) { Step::Add } else { Step::Look };
        Self { at, item, step }
    }

    fn command(&self, server: &Server, out: &mut Vec<u8>) {
        let name = |out: &mut Vec<u8>| server.at.names.put(self.item.target(), out);
        match (&self.step, self.item) {
            (Step::Add, AnyWrite::Create(Create { record, .. })) => {
                protocol::set(out, name, &schema::encode(record), record.expires_at, Condition::Absent);
            }
            (Step::Add | Step::Look, _) => protocol::get(out, name),
            (Step::Put(value, expires_at, number), _) => {
                protocol::set(out, name, value, *expires_at, Condition::Unchanged(*number));
            }
            (Step::Remove(number), _) => protocol::delete(out, name, *number),
        }
    }

    fn next(&self, reply: Reply) -> Next {
        match (&self.step, reply) {
            (Step::Look, Reply::Miss) => match self.item {
                AnyWrite::Create(_) => Next::Step(Step::Add),
                _ => Next::Answer(Ok(Outcome::Missing)),
            },
            (Step::Look, Reply::Value(value, number)) => self.seen(value, number),
            (Step::Add | Step::Put(..) | Step::Remove(_), Reply::Done) => Next::Answer(Ok(Outcome::Done)),
            // Another write came first, or the server has dropped the value.
            (Step::Add, Reply::NotStored) | (Step::Put(..) | Step::Remove(_), Reply::Changed | Reply::NotFound) => {
                Next::Step(Step::Look)
            }
            (_, reply) => Next::Answer(Err(error::unexpected(&reply))),
        }
    }

    /// Returns what follows from the value under the key.
    fn seen(&self, value: Bytes, number: u64) -> Next {
        let stored = match schema::decode(value.clone()) {
            Ok(stored) => stored,
            Err(error) => {
                return match self.item.outcome_unread() {
                    Some(_) => Next::Step(Step::Remove(number)),
                    None => Next::Answer(Err(error)),
                };
            }
        };
        if let Some(outcome) = self.item.decide(Record::live(Some(&stored), self.item.now())) {
            return Next::Answer(Ok(outcome));
        }
        let put = |value, expires_at| Next::Step(Step::Put(value, expires_at, number));
        match self.item {
            AnyWrite::Create(Create { record, .. }) | AnyWrite::Save(Save { record, .. }) => {
                put(schema::encode(record), record.expires_at)
            }
            AnyWrite::Touch(call) if call.expires_at <= stored.expires_at => Next::Answer(Ok(Outcome::Done)),
            AnyWrite::Touch(call) => put(schema::extended(&value, call.expires_at), call.expires_at),
            AnyWrite::Delete(_) => Next::Step(Step::Remove(number)),
        }
    }
}

impl RoundTrip<Load> for Server {
    async fn run(&self, items: &[Load], trip: Trip) -> Answers<Load> {
        let mut limit = Access::Read.first_deadline(trip.deadline);
        loop {
            let error = match timeout_at(limit, self.load_all(items)).await {
                Ok(Ok(answers)) => return Ok(answers),
                Ok(Err(error)) => error,
                Err(_) => TIMED_OUT,
            };
            self.close_idle();
            if limit == trip.deadline {
                return Ok(items.iter().map(|_| Err(error.clone())).collect());
            }
            limit = trip.deadline;
        }
    }
}

impl RoundTrip<AnyWrite> for Server {
    /// A write whose reply is lost is not sent again, because another write may have followed it.
    async fn run(&self, items: &[AnyWrite], trip: Trip) -> Answers<AnyWrite> {
        let mut answers: Vec<Option<Result<Outcome>>> = items.iter().map(|_| None).collect();
        let error = match timeout_at(trip.deadline, self.write_all(items, &mut answers)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(TIMED_OUT),
        };
        if error.is_some() {
            self.close_idle();
        }
        let lost = || Err(error.clone().unwrap_or(error::LOST));
        Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(lost)).collect())
    }
}

impl Server {
    async fn load_all(&self, items: &[Load]) -> Result<Vec<Result<Option<Record>>>> {
        let mut commands = Vec::with_capacity(items.len() * 100);
        for item in items {
            protocol::get(&mut commands, |out| self.at.names.put(&item.key, out));
        }
        let mut connection = self.connection().await?;
        let replies = exchange(&mut connection, &commands, items.len()).await?;
        self.give_back(connection);
        Ok(items.iter().zip(replies).map(|(item, reply)| loaded(item, reply)).collect())
    }

    async fn write_all(&self, items: &[AnyWrite], answers: &mut [Option<Result<Outcome>>]) -> Result<()> {
        let mut connection = self.connection().await?;
        let (mut commands, mut pending) = (Vec::new(), Vec::with_capacity(items.len()));
        for (at, item) in items.iter().enumerate() {
            match check_length(item, self.at.max_data_len()) {
                Ok(()) => pending.push(Pending::new(at, item)),
                Err(error) => answers[at] = Some(Err(error)),
            }
        }
        while !pending.is_empty() {
            commands.clear();
            for write in &pending {
                write.command(self, &mut commands);
            }
            let replies = exchange(&mut connection, &commands, pending.len()).await?;
            let mut left = Vec::new();
            for (write, reply) in pending.into_iter().zip(replies) {
                match write.next(reply) {
                    Next::Answer(answer) => answers[write.at] = Some(answer),
                    Next::Step(step) => left.push(Pending { step, ..write }),
                }
            }
            pending = left;
        }
        self.give_back(connection);
        Ok(())
    }
}

async fn exchange(connection: &mut Connection, commands: &[u8], replies: usize) -> Result<Vec<Reply>, Error> {
    connection.exchange(commands, replies).await.map_err(|error| error::in_use(error::broken(&error)))
}

fn loaded(item: &Load, reply: Reply) -> Result<Option<Record>> {
    match reply {
        Reply::Miss => Ok(None),
        Reply::Value(value, _) => Ok(Some(schema::decode(value)?).filter(|record| record.is_live(item.now))),
        other => Err(error::in_use(error::unexpected(&other))),
    }
}
