//! A URL chooses the store.

use session_core::{Bytes, Call, Clock, ErrorKind, Outcome, Record, Store, StoreKey, SystemClock, Version, hours};
use store_any::{connect, register, scheme, schemes};
use store_memory::MemoryStore;

async fn refused(url: &str) -> String {
    let error = connect(url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    error.to_string()
}

/// A record goes in and comes out.
async fn works(store: &dyn Store) {
    let (call, key) = (Call::new(SystemClock.now()), StoreKey::from_bytes([7; 32]));
    let record = Record::new(Version::random(), call.now, call.now.plus(hours(1)), None, Bytes::from_static(b"{}"));
    assert_eq!(store.create(&call, &key, &record).await.unwrap(), Outcome::Done);
    assert_eq!(store.load(&call, &key).await.unwrap(), Some(record));
}

#[tokio::test]
async fn the_scheme_chooses_the_store_in_any_case() {
    for url in ["memory:", "memory://", "MEMORY:", "Memory:?max_entries=10"] {
        works(&*connect(url).await.unwrap()).await;
    }
    assert!(refused("memory:?max_entries=0").await.contains("at least 1"));
    #[cfg(feature = "file")]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Sessions");
        works(&*connect(&format!("File://{}?namespace=web", path.display())).await.unwrap()).await;
        assert!(path.join("web").exists(), "only the scheme has no case");
    }
    #[cfg(feature = "sqlite")]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Sessions.db");
        works(&*connect(&format!("SQLite://{}?namespace=web", path.display())).await.unwrap()).await;
        assert!(path.exists(), "only the scheme has no case");
    }
}

#[tokio::test]
async fn an_unknown_scheme_names_the_known_ones() {
    let text = refused("etcd://me:hunter2@db/x").await;
    assert!(text.contains("there is no store for `etcd:`; there are ") && text.contains("memory:"), "{text}");
    for url in ["", "sessions.db", "://x", "c:\\sessions.db", "1x:y", "hunter2 is my password: x"] {
        let text = refused(url).await;
        assert!(text.contains("begins with a scheme and a colon; there are "), "{url}: {text}");
    }
}

#[tokio::test]
async fn a_store_that_is_not_compiled_in_names_its_feature() {
    for (url, feature) in [
        ("postgres://me:hunter2@db/x", "postgres"),
        ("mariadb://me:hunter2@db/x", "mysql"),
        ("valkey://:hunter2@db", "redis"),
        ("dynamodb://key:hunter2@db/x", "dynamo"),
        ("mongodb+srv://hunter2@db.example", "mongo"),
    ] {
        if !schemes().contains(&scheme(url).unwrap()) {
            let text = refused(url).await;
            assert!(text.contains(&format!("takes the cargo feature `{feature}`")), "{text}");
        }
    }
}

#[tokio::test]
async fn a_store_of_ones_own_gets_its_scheme() {
    register("my-store", |url| async move {
        assert_eq!(url, "my-store://Here?a=B");
        Ok(MemoryStore::new())
    })
    .unwrap();
    assert!(schemes().contains(&"my-store".to_owned()));
    works(&*connect("MY-store://Here?a=B").await.unwrap()).await;
}

#[test]
fn a_scheme_that_is_taken_or_is_none_is_refused() {
    let attempt = |scheme: &str| register(scheme, |_| async { Ok(MemoryStore::new()) });
    attempt("twice").unwrap();
    for (scheme, part) in [
        ("twice", "is taken"),
        ("memory", "is taken"),
        ("postgresql", "is taken"),
        ("Mine", "a scheme has"),
        ("", "a scheme has"),
        ("m", "a scheme has"),
        ("my store", "a scheme has"),
        ("1st", "a scheme has"),
        (&"m".repeat(33), "a scheme has"),
    ] {
        let error = attempt(scheme).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(part), "{scheme}: {error}");
    }
}
