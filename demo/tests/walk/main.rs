//! The shop's promises, driven over HTTP from outside: the program as it is started, one walk for every store.

mod browser;
mod outage;
mod server;
mod settings;
mod shop;
mod slow;
mod walk;

use server::Place;

/// The walk as tests, on one store.
macro_rules! walk {
    ($name:ident, $place:expr, [$($step:ident),* $(,)?]) => {
        mod $name {
            $(
                #[test]
                fn $step() {
                    crate::walk::$step(&$place);
                }
            )*
        }
    };
}

walk!(
    sqlite,
    crate::Place::sqlite(),
    [
        values_survive_a_restart,
        a_visit_that_writes_nothing_stores_nothing,
        a_made_up_id_is_never_adopted,
        values_of_any_kind_come_back,
        what_is_wrong_is_told,
        a_login_changes_the_id,
        a_logout_beats_a_slow_request,
        parallel_counters_lose_nothing,
        parallel_counters_of_two_servers_lose_nothing,
    ]
);

walk!(
    memory,
    crate::Place::memory(),
    [
        a_visit_that_writes_nothing_stores_nothing,
        a_made_up_id_is_never_adopted,
        values_of_any_kind_come_back,
        what_is_wrong_is_told,
        a_login_changes_the_id,
        a_logout_beats_a_slow_request,
        parallel_counters_lose_nothing,
    ]
);
