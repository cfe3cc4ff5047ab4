//! Connection to the browser: calls, answers and events, as JSON messages that a zero byte ends.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Time limit of every wait, longer than anything takes on a busy machine, so that a hang fails the test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Connection to the browser and its tabs.
#[derive(Debug)]
pub(crate) struct Connection(RefCell<State>);

#[derive(Debug)]
struct State {
    to: ChildStdin,
    from: Receiver<Value>,
    last_call: u64,
    /// Events that no wait has taken yet, in their order.
    events: VecDeque<Value>,
}

impl Connection {
    pub(crate) fn new(to: ChildStdin, from: ChildStdout) -> Self {
        let (messages, received) = channel();
        thread::spawn(move || {
            for message in BufReader::new(from).split(0) {
                let Ok(message) = message.map(|text| serde_json::from_slice(&text).unwrap_or_default()) else { return };
                if messages.send(message).is_err() {
                    return;
                }
            }
        });
        Self(RefCell::new(State { to, from: received, last_call: 0, events: VecDeque::new() }))
    }

    /// Calls `method` in the tab that `session` names, or in the browser, and returns the result.
    pub(crate) fn call(&self, session: Option<&str>, method: &str, parameters: &Value) -> Result<Value, String> {
        let mut state = self.0.borrow_mut();
        state.last_call += 1;
        let id = state.last_call;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        state.to.write_all(&bytes).map_err(|error| format!("{method}: the browser has ended: {error}"))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut answer = state.receive(deadline).map_err(|error| format!("{method}: {error}"))?;
            if answer["id"] != id {
                state.events.push_back(answer);
            } else if answer["error"].is_null() {
                return Ok(answer["result"].take());
            } else {
                return Err(format!("{method}: {}", answer["error"]));
            }
        }
    }

    /// Takes the first event for which `pick` returns something, and waits for it if it has not come yet. `pick` gets the event's
    /// tab, method and parameters.
    pub(crate) fn take<T>(&self, mut pick: impl FnMut(&str, &str, &Value) -> Option<T>) -> Result<T, String> {
        let mut state = self.0.borrow_mut();
        let deadline = Instant::now() + PATIENCE;
        let mut at = 0;
        loop {
            while state.events.len() <= at {
                let message = state.receive(deadline)?;
                state.events.push_back(message);
            }
            let event = &state.events[at];
            let text = |name: &str| event[name].as_str().unwrap_or_default();
            if let Some(picked) = pick(text("sessionId"), text("method"), &event["params"]) {
                state.events.remove(at);
                return Ok(picked);
            }
            at += 1;
        }
    }

    /// Drops the events of a tab that have come so far.
    pub(crate) fn forget(&self, session: &str) {
        self.0.borrow_mut().events.retain(|event| event["sessionId"] != session);
    }
}

impl State {
    fn receive(&self, deadline: Instant) -> Result<Value, String> {
        self.from.recv_timeout(deadline.saturating_duration_since(Instant::now())).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("nothing came within {} s", PATIENCE.as_secs()),
            RecvTimeoutError::Disconnected => "the browser has ended".to_owned(),
        })
    }
}
