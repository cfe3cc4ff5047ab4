//! What has happened in a run, as far as its tasks can tell.

use std::collections::HashMap;

use session_core::observe::{self, Access};

use super::names::hash_of;

/// Hashes that are equal in runs whose tasks have been told the same and have used the same locks in the same order.
///
/// Polls of two tasks that share no lock may be exchanged without a difference here (Mazurkiewicz traces).
pub(super) struct Past {
    tasks: Vec<u64>,
    objects: HashMap<u64, Object>,
}

/// A lock or an atomic.
#[derive(Default)]
struct Object {
    /// The poll that wrote it last.
    written: u64,
    /// The polls that have read it since, in no order.
    reads: u64,
}

impl Past {
    /// What `tasks` tasks begin with. What was made before has numbers that are the same in each run.
    pub(super) fn begin(tasks: usize) -> Self {
        let mut past =
            Self { tasks: (0..tasks).map(|task| hash_of(("task", task))).collect(), objects: HashMap::new() };
        for access in observe::take() {
            if let Access::Made(object) = access {
                past.objects.insert(object, Object { written: hash_of(("object", object)), reads: 0 });
            }
        }
        past
    }

    /// Takes in a poll of `task` that began with what `before` stands for, and answers what identifies the poll.
    pub(super) fn polled(&mut self, task: usize, before: u64) -> u64 {
        let mut accesses = observe::take();
        let mut seen = Vec::with_capacity(accesses.len());
        let made: Vec<_> = accesses.extract_if(.., |access| matches!(access, Access::Made(_))).map(object_of).collect();
        // A write covers a read, and the order within a poll follows from what it found.
        let mut objects: Vec<(u64, bool)> = Vec::new();
        for access in accesses {
            let (object, writes) = (object_of(access), matches!(access, Access::Written(_)));
            if made.contains(&object) {
                continue;
            }
            match objects.iter_mut().find(|(known, _)| *known == object) {
                Some((_, written)) => *written |= writes,
                None => objects.push((object, writes)),
            }
        }
        for (object, writes) in &objects {
            let object = self.objects.entry(*object).or_default();
            seen.push((object.written, writes.then_some(object.reads)));
        }
        let poll = hash_of((self.tasks[task], before, seen));
        self.tasks[task] = poll;
        for (object, writes) in objects {
            let object = self.objects.entry(object).or_default();
            match writes {
                true => *object = Object { written: poll, reads: 0 },
                false => object.reads = object.reads.wrapping_add(poll),
            }
        }
        for (nth, object) in made.into_iter().enumerate() {
            self.objects.insert(object, Object { written: hash_of((poll, "made", nth)), reads: 0 });
        }
        poll
    }

    /// A hash of it all.
    pub(super) fn hash(&self) -> u64 {
        let objects = self.objects.values().map(|object| hash_of((object.written, object.reads)));
        hash_of((&self.tasks, objects.fold(0, u64::wrapping_add)))
    }
}

fn object_of(access: Access) -> u64 {
    match access {
        Access::Made(object) | Access::Read(object) | Access::Written(object) => object,
    }
}
