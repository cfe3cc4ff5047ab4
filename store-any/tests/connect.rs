//! The scheme of a URL chooses the store.

use session_core::{Bytes, Call, Clock, ErrorKind, Outcome, Record, Store, StoreKey, SystemClock, Version, hours};
use session_store_any::{connect, register, scheme, schemes};
use session_store_memory::MemoryStore;

async fn refused(url: &str) -> String {
    let error = connect(url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    error.to_string()
}

/// Checks that a record can be stored and loaded.
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
    #[cfg(feature = "redb")]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Sessions.redb");
        works(&*connect(&format!("ReDB://{}?namespace=web", path.display())).await.unwrap()).await;
        assert!(path.exists(), "only the scheme has no case");
    }
}

#[tokio::test]
async fn an_unknown_scheme_names_the_known_ones() {
    let text = refused("etcd://me:hunter2@db/x").await;
    assert!(text.contains("there is no store for the URL's scheme; there are ") && text.contains("memory:"), "{text}");
    for (url, near) in [
        ("postgers://db/x", "postgres"),
        ("postgress://db/x", "postgres"),
        ("mysq://db", "mysql"),
        ("rediis://db", "redis"),
    ] {
        let text = refused(url).await;
        assert!(text.contains(&format!("the URL's scheme, perhaps `{near}:` misspelt; there are ")), "{url}: {text}");
    }
    for url in ["", "sessions.db", "://x", "c:\\sessions.db", "1x:y", "hunter2 is my password: x"] {
        let text = refused(url).await;
        assert!(text.contains("begins with a scheme and a colon; there are "), "{url}: {text}");
    }
    assert!(refused("\"memory:\"").await.contains("quotation marks"));
    assert!(refused("memory:\n").await.contains("white space"));
}

#[tokio::test]
async fn a_store_that_is_not_compiled_in_names_its_feature() {
    for (url, feature) in [
        ("postgres://me:hunter2@db/x", "postgres"),
        ("mariadb://me:hunter2@db/x", "mysql"),
        ("valkey://:hunter2@db", "redis"),
        ("memcached://me:hunter2@db", "memcached"),
        ("nats://me:hunter2@db/x", "nats"),
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

#[tokio::test]
async fn null_keeps_nothing_and_is_always_there() {
    for url in ["null:", "null://", "NULL:"] {
        assert!(connect(url).await.unwrap().capabilities().discards, "{url}");
    }
    assert!(schemes().contains(&"null".to_owned()));
    assert!(refused("null://somewhere").await.contains("keeps nothing"));
    assert!(refused("null:?key=PATH").await.contains("nothing for `key` to seal"));
    assert!(refused("null:?namespace=web").await.contains("unknown option"));
    assert!(register("null", |_| async { Ok(MemoryStore::new()) }).is_err());
}

#[tokio::test]
async fn a_cookie_session_is_chosen_elsewhere_unless_it_is_registered() {
    assert!(refused("cookie:").await.contains("CookieStore"));
}

/// Uses a variable that every test run has and that is not a key, because setting one would need `unsafe`.
#[cfg(feature = "sealed")]
#[tokio::test]
async fn a_sealing_key_is_named_by_its_variable() {
    assert!(refused("memory:?key=NO_SUCH_SESSION_KEY").await.contains("NO_SUCH_SESSION_KEY is not set"));
    assert!(refused("memory:?key=PATH&max_entries=10").await.contains("PATH: a key is not base64"));
    let key = "hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2";
    assert!(refused(&format!("memory:?key={key}")).await.contains("not a key"));
    assert!(refused("memory:?key=hunter2").await.contains("do not write the key itself"));
    assert!(refused("memory:?accept_plain=true").await.contains("goes with `key`"));
    assert!(refused("memory:?key=PATH&accept_plain=perhaps").await.contains("accept_plain"));
    assert!(refused("memory:?key=PATH&key=PATH").await.contains("is given twice"));
}

/// Runs itself again in its own process, because the variable must be set before the process starts.
#[cfg(feature = "sealed")]
#[tokio::test]
async fn with_a_key_what_the_store_keeps_is_sealed() {
    if std::env::var_os("STORE_ANY_TEST_KEY").is_none() {
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "with_a_key_what_the_store_keeps_is_sealed"]);
        again.env("STORE_ANY_TEST_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        let output = again.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let kept = MemoryStore::new();
    let store = kept.clone();
    register("kept", move |url| {
        assert_eq!(url, "kept://Here?a=%42&c", "the store's own options are as they stood");
        let store = store.clone();
        async move { Ok(store) }
    })
    .unwrap();
    let sealed = connect("kept://Here?a=%42&key=STORE_ANY_TEST_KEY&c").await.unwrap();
    works(&*sealed).await;
    let (call, key) = (Call::new(SystemClock.now()), StoreKey::from_bytes([7; 32]));
    let raw = kept.load(&call, &key).await.unwrap().unwrap();
    assert_ne!(raw.data, Bytes::from_static(b"{}"));
    assert!(raw.data.len() > 40);

    // A plain record is accepted only with `accept_plain`.
    let plain = StoreKey::from_bytes([8; 32]);
    let record = Record::new(Version::random(), call.now, call.now.plus(hours(1)), None, Bytes::from_static(b"{}"));
    assert_eq!(kept.create(&call, &plain, &record).await.unwrap(), Outcome::Done);
    assert_eq!(sealed.load(&call, &plain).await.unwrap_err().kind(), ErrorKind::Corrupt);
    let both = connect("kept://Here?a=%42&c&accept_plain=true&key=STORE_ANY_TEST_KEY").await.unwrap();
    assert_eq!(both.load(&call, &plain).await.unwrap(), Some(record));
    assert!(both.load(&call, &key).await.unwrap().is_some());
}

#[cfg(not(feature = "sealed"))]
#[tokio::test]
async fn a_sealing_key_takes_its_feature() {
    assert!(refused("memory:?key=SESSION_KEY").await.contains("takes the cargo feature `sealed`"));
}
