//! Small programs for a batcher: its limits, the calls, and what may happen to them.

use std::time::Duration;

use session_store_kit::batch::Limits;

/// Time-out of a call.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(8);
/// Time that passes in one step. After three of them a call has timed out, and after two it has less than half of its time left.
pub(crate) const LATER: Duration = Duration::from_secs(3);

/// Program: calls that begin in this order. Everything else is chosen.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// Key of each call.
    pub(crate) calls: &'static [Option<u8>],
    pub(crate) in_flight: usize,
    /// Round trips in flight while a full batch waits.
    pub(crate) full: usize,
    pub(crate) alone: usize,
    /// Calls in a batch.
    pub(crate) items: usize,
    /// Calls in the queue.
    pub(crate) queue: usize,
    pub(crate) inline: bool,
    pub(crate) may: May,
}

/// What may happen, and how often in one run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct May {
    /// Faults of all kinds together: undone, panic, drop and freeze.
    pub(crate) faults: usize,
    /// Round trips that leave all or some of their calls undone.
    pub(crate) undone: usize,
    /// Round trips that panic.
    pub(crate) panic: usize,
    /// Callers that drop their futures.
    pub(crate) drop: usize,
    /// Callers that stop polling.
    pub(crate) freeze: usize,
    /// Steps of time.
    pub(crate) later: usize,
    /// Steps after which the next one follows before all tasks have run.
    pub(crate) hurry: usize,
    pub(crate) close: bool,
}

impl Program {
    pub(crate) fn limits(&self) -> Limits {
        let limits = Limits::for_tasks(self.in_flight).full(self.full).alone(self.alone).items(self.items);
        limits.queue(self.queue).inline(self.inline).timeout(TIMEOUT)
    }
}

const USUAL: Program = Program {
    name: "",
    calls: &[None; 4],
    in_flight: 1,
    full: 0,
    alone: 1,
    items: 3,
    queue: 100,
    inline: false,
    may: May { faults: 1, undone: 0, panic: 0, drop: 0, freeze: 0, later: 0, hurry: 0, close: false },
};

pub(crate) const PROGRAMS: [Program; 11] = [
    Program {
        name: "two round trips",
        in_flight: 2,
        items: 2,
        may: May { undone: 1, panic: 1, drop: 1, hurry: 1, ..USUAL.may },
        ..USUAL
    },
    Program {
        name: "one key",
        calls: &[Some(1), Some(1), Some(2), Some(1)],
        may: May { undone: 1, drop: 1, hurry: 1, ..USUAL.may },
        ..USUAL
    },
    Program {
        name: "one key, two round trips",
        calls: &[Some(1), Some(1), Some(1), Some(2)],
        in_flight: 2,
        items: 2,
        may: May { undone: 1, drop: 1, hurry: 1, ..USUAL.may },
        ..USUAL
    },
    Program { name: "set aside", may: May { faults: 2, undone: 2, hurry: 1, ..USUAL.may }, ..USUAL },
    Program {
        name: "set aside, two alone",
        alone: 2,
        may: May { faults: 2, undone: 2, drop: 1, panic: 1, ..USUAL.may },
        ..USUAL
    },
    Program { name: "deadlines", calls: &[None; 3], may: May { undone: 1, drop: 1, later: 3, ..USUAL.may }, ..USUAL },
    Program {
        name: "a late call",
        calls: &[None; 2],
        may: May { undone: 1, later: 3, hurry: 1, ..USUAL.may },
        ..USUAL
    },
    Program {
        name: "inline",
        calls: &[None, None, Some(1)],
        inline: true,
        may: May { faults: 2, undone: 1, panic: 1, drop: 1, freeze: 1, hurry: 1, ..USUAL.may },
        ..USUAL
    },
    Program {
        name: "closing",
        calls: &[None; 3],
        inline: true,
        may: May { drop: 1, freeze: 1, later: 3, close: true, ..USUAL.may },
        ..USUAL
    },
    Program {
        name: "full batches",
        calls: &[None; 5],
        full: 2,
        items: 2,
        may: May { undone: 1, drop: 1, ..USUAL.may },
        ..USUAL
    },
    Program {
        name: "a full queue",
        queue: 1,
        items: 2,
        may: May { undone: 1, drop: 1, later: 1, ..USUAL.may },
        ..USUAL
    },
];
