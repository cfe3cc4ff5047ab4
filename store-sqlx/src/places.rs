//! Number of connections that may be in use, and who may use them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// What a connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Reads, which may use all connections.
    Read,
    /// Writes, which leave a quarter of the connections to reads, because they may wait for locks.
    Write,
    /// Writes that probably wait for a lock. They leave half of the connections for writes to other writes.
    Wait,
}

/// Counts the connections in use. Requests that must wait are granted in the order of arrival, except that a request waits for none
/// that may not use the connection.
#[derive(Debug)]
pub(crate) struct Places(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Number of connections that may be in use.
    size: usize,
    all: usize,
    writes: usize,
    waits: usize,
    queue: VecDeque<(Purpose, oneshot::Sender<Place>)>,
}

/// Permission to use a connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    purpose: Purpose,
}

impl State {
    /// Counts one more connection if its purpose allows it.
    fn take(&mut self, purpose: Purpose) -> bool {
        let writes = self.size - if self.size > 1 { (self.size / 4).max(1) } else { 0 };
        let free = self.all < self.size
            && match purpose {
                Purpose::Read => true,
                Purpose::Write => self.writes < writes,
                Purpose::Wait => self.writes < writes && self.waits < (writes / 2).max(1),
            };
        if free {
            self.all += 1;
            self.writes += usize::from(purpose != Purpose::Read);
            self.waits += usize::from(purpose == Purpose::Wait);
        }
        free
    }

    fn give_back(&mut self, purpose: Purpose) {
        self.all -= 1;
        self.writes -= usize::from(purpose != Purpose::Read);
        self.waits -= usize::from(purpose == Purpose::Wait);
    }
}

impl Places {
    pub(crate) fn new(size: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { size, all: 0, writes: 0, waits: 0, queue: VecDeque::new() })))
    }

    /// Locks the state. No change under this lock is ever left half done, so a poisoned lock is used like any other.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a connection may be used. Dropping the future withdraws the request.
    pub(crate) async fn take(self: &Arc<Self>, purpose: Purpose) -> Place {
        loop {
            let granted = {
                let mut state = self.lock();
                if state.take(purpose) {
                    return Place { places: Arc::clone(self), purpose };
                }
                let (grant, granted) = oneshot::channel();
                state.queue.push_back((purpose, grant));
                granted
            };
            // The sender is dropped with the queue only, which `self` keeps.
            if let Ok(place) = granted.await {
                return place;
            }
        }
    }

    /// Grants what the queued requests may have now.
    fn grant(self: &Arc<Self>) {
        let mut refused = Vec::new();
        let mut state = self.lock();
        let mut at = 0;
        while let Some((purpose, grant)) = state.queue.get(at) {
            let (purpose, gone) = (*purpose, grant.is_closed());
            if !gone && !state.take(purpose) {
                at += 1;
                continue;
            }
            if let Some((_, grant)) = state.queue.remove(at).filter(|_| !gone) {
                refused.extend(grant.send(Place { places: Arc::clone(self), purpose }).err());
            }
        }
        drop(state);
        // Without the lock: dropping a place takes it.
        drop(refused);
    }

    /// Returns the number of connections that may be in use.
    pub(crate) fn size(&self) -> usize {
        self.lock().size
    }

    /// Allows one more connection, up to `max`.
    pub(crate) fn grow(self: &Arc<Self>, max: usize) {
        {
            let mut state = self.lock();
            if state.size >= max {
                return;
            }
            state.size += 1;
        }
        self.grant();
    }
}

impl Place {
    /// Gives the place back after the server refused a connection for it. From then on, only as many connections may be in use as
    /// are in use now. Returns whether there are any.
    pub(crate) fn refuse(self) -> bool {
        let mut state = self.places.lock();
        let others = state.all - 1;
        state.size = state.size.min(others.max(1));
        drop(state);
        others > 0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().give_back(self.purpose);
        self.places.grant();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    type Request = Pin<Box<dyn Future<Output = Place> + Send>>;

    async fn poll(request: &mut Request) -> Option<Place> {
        poll_fn(|cx| {
            Poll::Ready(match request.as_mut().poll(cx) {
                Poll::Ready(place) => Some(place),
                Poll::Pending => None,
            })
        })
        .await
    }

    fn request(places: &Arc<Places>, purpose: Purpose) -> Request {
        let places = Arc::clone(places);
        Box::pin(async move { places.take(purpose).await })
    }

    /// Takes places for one purpose as long as there are any.
    async fn take_all(places: &Arc<Places>, purpose: Purpose) -> Vec<Place> {
        let mut taken = Vec::new();
        while let Some(place) = poll(&mut request(places, purpose)).await {
            taken.push(place);
        }
        taken
    }

    #[tokio::test]
    async fn writes_leave_places_to_reads_and_waits_to_writes() {
        for (size, waits, writes, reads) in [(1, 1, 0, 0), (2, 1, 0, 1), (3, 1, 1, 1), (8, 3, 3, 2), (16, 6, 6, 4)] {
            let places = Places::new(size);
            let waiting = take_all(&places, Purpose::Wait).await;
            let writing = take_all(&places, Purpose::Write).await;
            let reading = take_all(&places, Purpose::Read).await;
            assert_eq!((waiting.len(), writing.len(), reading.len()), (waits, writes, reads), "{size}");
            drop((waiting, writing, reading));
            assert_eq!(take_all(&places, Purpose::Read).await.len(), size);
        }
    }

    #[tokio::test]
    async fn a_place_goes_to_the_first_request_that_may_have_it() {
        let places = Places::new(4);
        let mut writing = take_all(&places, Purpose::Write).await;
        let read = places.take(Purpose::Read).await;
        let mut wait = request(&places, Purpose::Wait);
        let (mut first, mut second) = (request(&places, Purpose::Read), request(&places, Purpose::Read));
        for request in [&mut wait, &mut first, &mut second] {
            assert!(poll(request).await.is_none());
        }
        drop(read);
        assert!(poll(&mut wait).await.is_none(), "the place is one for reads");
        let first = poll(&mut first).await.unwrap();
        drop(writing.pop());
        let wait = poll(&mut wait).await.unwrap();
        assert!(poll(&mut second).await.is_none());
        drop(wait);
        let _second = poll(&mut second).await.unwrap();
        drop(first);
    }

    #[tokio::test]
    async fn a_request_that_is_withdrawn_takes_no_place() {
        let places = Places::new(1);
        let place = places.take(Purpose::Read).await;
        let (mut gone, mut granted, mut last) =
            (request(&places, Purpose::Read), request(&places, Purpose::Read), request(&places, Purpose::Read));
        for request in [&mut gone, &mut granted, &mut last] {
            assert!(poll(request).await.is_none());
        }
        drop(gone);
        drop(place);
        // Granted, and withdrawn before it heard of that.
        drop(granted);
        assert!(poll(&mut last).await.is_some());
    }

    #[tokio::test]
    async fn the_size_follows_what_the_server_allows() {
        let places = Places::new(8);
        let mut taken = take_all(&places, Purpose::Read).await;
        // The server allows two.
        for _ in 0..6 {
            assert!(taken.pop().unwrap().refuse());
        }
        assert_eq!(places.size(), 2);
        let mut waiting = request(&places, Purpose::Read);
        assert!(poll(&mut waiting).await.is_none());
        drop(taken.pop());
        drop(poll(&mut waiting).await.unwrap());
        drop(taken);
        assert!(!places.take(Purpose::Write).await.refuse(), "there is no other");
        assert_eq!(places.size(), 1);
        places.grow(2);
        places.grow(2);
        assert_eq!(places.size(), 2);
        assert_eq!(take_all(&places, Purpose::Read).await.len(), 2);
    }

    /// A step of the test below. Numbers choose among what there is.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Request(Purpose),
        Withdraw(usize),
        GiveBack(usize),
        Refuse(usize),
        Grow,
    }

    fn step() -> impl Strategy<Value = Step> {
        let purpose = prop_oneof![Just(Purpose::Read), Just(Purpose::Write), Just(Purpose::Wait)];
        prop_oneof![
            4 => purpose.prop_map(Step::Request),
            1 => any::<usize>().prop_map(Step::Withdraw),
            3 => any::<usize>().prop_map(Step::GiveBack),
            1 => any::<usize>().prop_map(Step::Refuse),
            1 => Just(Step::Grow),
        ]
    }

    fn remove<T>(list: &mut Vec<T>, at: usize) -> Option<T> {
        (!list.is_empty()).then(|| list.remove(at % list.len()))
    }

    /// Asks without a waker: a place that was granted is there at the next look.
    fn look(request: &mut Request) -> Option<Place> {
        match request.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(place) => Some(place),
            Poll::Pending => None,
        }
    }

    proptest! {
        #[test]
        fn no_request_waits_for_a_place_that_it_may_have(size in 1..6_usize, steps in vec(step(), 0..60)) {
            let places = Places::new(size);
            let (mut waiting, mut taken) = (Vec::<(Purpose, Request)>::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Request(purpose) => waiting.push((purpose, request(&places, purpose))),
                    Step::Withdraw(at) => drop(remove(&mut waiting, at)),
                    Step::GiveBack(at) => drop(remove(&mut taken, at)),
                    Step::Refuse(at) => drop(remove(&mut taken, at).map(Place::refuse)),
                    Step::Grow => places.grow(size),
                }
                waiting = waiting
                    .into_iter()
                    .filter_map(|(purpose, mut request)| match look(&mut request) {
                        Some(place) => {
                            taken.push(place);
                            None
                        }
                        None => Some((purpose, request)),
                    })
                    .collect();
                let mut state = places.lock();
                prop_assert_eq!(state.all, taken.len(), "places in use are counted");
                prop_assert!((1..=size).contains(&state.size));
                for (purpose, _) in &waiting {
                    prop_assert!(!state.take(*purpose), "{:?} waits for a place that is free", purpose);
                }
            }
            drop((waiting, taken));
            prop_assert_eq!(places.lock().all, 0);
            let size = places.size();
            let all: Vec<_> = (0..size).filter_map(|_| look(&mut request(&places, Purpose::Read))).collect();
            prop_assert_eq!(all.len(), size, "every place can be taken again");
        }
    }
}
