//! Tests of the rights that a role needs: with those of the README a store opens, and without one of them an error names it.

mod common;

use common::{ROLE, Server, grant_least_rights, least_rights, make_role};
use session_conformance::fixtures::{key, now, put, record};
use session_conformance::testing::check_refusal;
use session_core::{ErrorKind, Outcome, Store as _};
use session_store_postgres::PostgresStore;

#[tokio::test]
async fn each_right_that_is_missing_is_named_when_the_store_is_opened() {
    let server = Server::own();
    make_role(&server).await;
    grant_least_rights(&server, "test_rights").await;
    let url = server.url_with("namespace=test_rights&create=false").replace("//conformance:", &format!("//{ROLE}:"));
    let store = PostgresStore::connect(&url).await.unwrap();
    put(&store, 1, &record(b"x")).await;
    assert_eq!(store.delete(&now(), &key(1), None).await.unwrap(), Outcome::Done);
    let mut taken = 0;
    for granted in least_rights("test_rights") {
        let (rights, place) = granted.trim_end_matches(';').split_once(" on ").unwrap();
        for right in rights.trim_start_matches("grant ").split(", ") {
            let (place, role) = place.split_once(" to ").unwrap();
            server.sql(&format!("revoke {right} on {place} from {role}")).await;
            let named = match place {
                "\"session.layouts\"" => "`session.layouts`; grant it select".to_owned(),
                "\"test_rights\"" => format!("the table `test_rights`; grant it {right}"),
                _ => format!("grant {right} on"),
            };
            check_refusal(PostgresStore::connect(&url).await, ErrorKind::Config, &[&named], &[server.password()]);
            server.sql(&format!("grant {right} on {place} to {role}")).await;
            PostgresStore::connect(&url).await.unwrap_or_else(|error| panic!("{granted}: {error}"));
            taken += 1;
        }
    }
    assert_eq!(taken, 7);
}
