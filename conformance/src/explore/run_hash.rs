//! History of a run, as far as its tasks can observe it.

use std::collections::HashMap;

use session_core::observe::{self, Access};

use super::names::hash_of;

/// Hash of a run's history. Equal if tasks got the same answers and used the same locks in the same order.
///
/// Polls of two tasks that share no lock can be exchanged without changing the hash (Mazurkiewicz traces).
pub(super) struct RunHash {
    tasks: Vec<u64>,
    objects: HashMap<u64, Object>,
}

/// A lock or an atomic.
#[derive(Default)]
struct Object {
    /// The last poll that wrote it.
    written: u64,
    /// Sum of the polls that have read it since, independent of their order.
    reads: u64,
}

impl RunHash {
    /// Starts the history of `tasks` tasks. Objects made before have the same numbers in each run.
    pub(super) fn begin(tasks: usize) -> Self {
        let mut run_hash =
            Self { tasks: (0..tasks).map(|task| hash_of(("task", task))).collect(), objects: HashMap::new() };
        for access in observe::take() {
            if let Access::Made(object) = access {
                run_hash.objects.insert(object, Object { written: hash_of(("object", object)), reads: 0 });
            }
        }
        run_hash
    }

    /// Records a poll of `task` whose input has the hash `before`. Returns a hash that identifies the poll.
    pub(super) fn polled(&mut self, task: usize, before: u64) -> u64 {
        let mut accesses = observe::take();
        let mut seen = Vec::with_capacity(accesses.len());
        let made: Vec<_> = accesses.extract_if(.., |access| matches!(access, Access::Made(_))).map(object_of).collect();
        // A write includes a read. The order within a poll follows from its input.
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

    /// Returns a hash of the whole history.
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
