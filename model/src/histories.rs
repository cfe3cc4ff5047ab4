//! Histories of random calls, checked one after the other.

use std::sync::Arc;
use std::time::Instant;

use session_conformance::history::{Plan, run};
use session_core::{Call, Clock as _, Error, ErrorKind, Result, StoreKey, SystemClock, days};

use crate::options::Options;
use crate::target::Opened;

/// Number of calls in one history. A longer one fails unless calls of each kind succeed, which a restart of the server can prevent.
const CALLS: usize = 900;

/// Checks histories of the seeds from `--seed` on, until the time is over. Returns whether the contract explains all of them.
pub(crate) async fn check(opened: &Opened, options: &Options) -> Result<bool> {
    let Some([one, two]) = &opened.instances else {
        return Err(Error::fixed(ErrorKind::Config, "there are no two instances of this store"));
    };
    let unused = StoreKey::from_bytes([0; 32]);
    let (begun, mut checked, mut broken) = (Instant::now(), 0, Vec::new());
    while begun.elapsed() < options.seconds && options.rounds.is_none_or(|rounds| checked < rounds) {
        let plan = Plan::new(options.seed.wrapping_add(checked), CALLS);
        // What is called while the server is away says little.
        while one.load(&Call::new(SystemClock.now()), &unused).await.is_err() {
            opened.check_trouble()?;
        }
        // In the future, so that no server removes a record by its own clock before it expires by the callers'.
        let start = SystemClock.now().plus(days(1));
        if let Err(failure) = run([Arc::clone(one), Arc::clone(two)], start, &plan, opened.network()).await {
            println!("{failure}");
            broken.push(plan.seed);
        }
        opened.check_trouble()?;
        checked += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{checked} histories of {CALLS} calls in {seconds:.1} s, {} broken {broken:?}", broken.len());
    Ok(broken.is_empty())
}
