//! Tests of the rights that an account needs: with those of the README a store opens, and without one of them an error names it. Each
//! test runs on MySQL and on MariaDB.

mod common;

use common::{ACCOUNT, KINDS, Server, grant_least_rights, least_rights};
use session_conformance::fixtures::{key, now, put, record};
use session_conformance::testing::check_refusal;
use session_core::{ErrorKind, Outcome, Store as _};
use session_store_mysql::MysqlStore;

#[tokio::test]
async fn each_right_that_is_missing_is_named_when_the_store_is_opened() {
    for kind in KINDS {
        let server = Server::get(kind);
        grant_least_rights(&server, "test_rights").await;
        let url = server.url_of(ACCOUNT, "namespace=test_rights&create=false");
        let store = MysqlStore::connect(&url).await.unwrap();
        put(&store, 1, &record(b"x")).await;
        assert_eq!(store.delete(&now(), &key(1), None).await.unwrap(), Outcome::Done);
        let mut taken = 0;
        for granted in least_rights("test_rights") {
            let (rights, place) = granted.trim_end_matches(';').split_once(" on ").unwrap();
            for right in rights.trim_start_matches("grant ").split(", ") {
                let (place, account) = place.split_once(" to ").unwrap();
                server.as_root(&format!("revoke {right} on {place} from {account}")).await;
                let named = match place {
                    "conformance.`session.layouts`" => "`session.layouts`; grant it select".to_owned(),
                    _ => format!("the table `test_rights`; grant it {right}"),
                };
                check_refusal(MysqlStore::connect(&url).await, ErrorKind::Config, &[&named], &[server.password()]);
                server.as_root(&format!("grant {right} on {place} to {account}")).await;
                MysqlStore::connect(&url).await.unwrap_or_else(|error| panic!("{kind:?} {granted}: {error}"));
                taken += 1;
            }
        }
        assert_eq!(taken, 5);
        server.clean("test_rights").await;
    }
}
