//! Tests that the adapter breaks no clause for a store that does what its trait says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::join_all;
use peers::tower_sessions::SessionStore;
use peers::tower_sessions::cookie::time::OffsetDateTime;
use peers::tower_sessions::session::{Id, Record};
use peers::tower_sessions::session_store::Result as TheirResult;
use session_conformance::{ClauseResult, Harness, Subject, Suite};
use session_core::{Result, Store, StoreKey};

use crate::adapter::{Adapter, id};
use crate::lifetimes::Lifetimes;
use crate::peer::core_0_14::Of;
use crate::selection::{SELECTED, clause};

/// The best possible store for the trait: every call treats an expired session as missing, and a save replaces only a live one.
#[derive(Clone, Debug, Default)]
struct Exact(Arc<Mutex<HashMap<Id, Record>>>);

fn is_live(record: &Record) -> bool {
    record.expiry_date > OffsetDateTime::now_utc()
}

#[async_trait]
impl SessionStore for Exact {
    async fn create(&self, record: &mut Record) -> TheirResult<()> {
        let mut all = self.0.lock().unwrap();
        while all.get(&record.id).is_some_and(is_live) {
            record.id = Id::default();
        }
        all.insert(record.id, record.clone());
        Ok(())
    }

    async fn save(&self, record: &Record) -> TheirResult<()> {
        if let Some(old) = self.0.lock().unwrap().get_mut(&record.id).filter(|old| is_live(old)) {
            *old = record.clone();
        }
        Ok(())
    }

    async fn load(&self, id: &Id) -> TheirResult<Option<Record>> {
        Ok(self.0.lock().unwrap().get(id).filter(|record| is_live(record)).cloned())
    }

    async fn delete(&self, id: &Id) -> TheirResult<()> {
        self.0.lock().unwrap().remove(id);
        Ok(())
    }
}

#[derive(Default)]
struct One(Exact, Mutex<HashMap<String, Arc<Lifetimes>>>);

#[async_trait]
impl Harness for One {
    async fn subject(&self) -> Result<Subject> {
        Ok(Subject::new("exact", "0").without_namespaces().clause_limit(std::time::Duration::from_secs(600)))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        let lifetimes = Arc::clone(self.1.lock().unwrap().entry(namespace.to_owned()).or_default());
        Ok(Arc::new(Adapter::new(Arc::new(Of(self.0.clone())), lifetimes, true)))
    }
}

/// Clauses beyond the trait, which cannot report that a save found nothing or another version.
const BEYOND: [&str; 2] = ["save.deleted", "save.counter"];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_does_what_the_trait_says_keeps_all_but_two_promises() {
    let suite = Suite::new(One::default());
    let findings = join_all(SELECTED.iter().map(|selected| suite.check(clause(selected.name).unwrap()))).await;
    for finding in findings {
        match finding.result {
            ClauseResult::Failed(_) if BEYOND.contains(&finding.clause) => {}
            ClauseResult::Passed => assert!(!BEYOND.contains(&finding.clause), "{} passes", finding.clause),
            ClauseResult::Ignored(_) => assert!(finding.clause.starts_with("fault."), "{} is ignored", finding.clause),
            ClauseResult::Failed(said) => panic!("{}: {said}", finding.clause),
        }
    }
}

#[test]
fn keys_that_differ_in_one_bit_or_in_case_have_ids_that_differ_and_do_so_in_case() {
    let base = [0x8f_u8; StoreKey::LEN];
    let flipped = (0..StoreKey::LEN * 8).map(|bit| {
        let mut key = base;
        key[bit / 8] ^= 1 << (bit % 8);
        key
    });
    let mut ids: Vec<_> = flipped.chain([base]).map(|key| id(&StoreKey::from_bytes(key))).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), StoreKey::LEN * 8 + 1);

    let text = |key: &[u8; StoreKey::LEN]| Id(id(&StoreKey::from_bytes(*key))).to_string();
    assert_eq!(text(b"AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEf"), "AbCdEfGhIjKlMnOpQrStUA");
    assert_eq!(text(b"aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeF"), "aBcDeFgHiJkLmNoPqRsTuA");
}
