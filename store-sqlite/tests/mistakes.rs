//! Tests of mistakes of operators: each is one error when the store is opened, which names the file and the mend.
//!
//! Most run in another process of an unprivileged user, because permissions do not restrict root.
#![cfg(unix)]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

use common::{TestFile, key, now, put, record};
use session_conformance::testing::{self, check_refusal, is_root, run_in_the_readmes_folder, run_unprivileged};
use session_core::{ErrorKind, Store};
use session_store_sqlite::{SqliteStore, SqliteStoreBuilder};

/// User who is neither root nor the one that the tests run as.
const STRANGER: u32 = 64_321;

async fn refused(builder: SqliteStoreBuilder, parts: &[&str]) {
    check_refusal(builder.open().await, ErrorKind::Config, parts, &[]);
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Runs a part when the tests below start it in another process. Passes otherwise.
#[tokio::test]
async fn part() {
    let Some((part, directory)) = testing::part() else { return };
    match part.as_str() {
        "mistakes" => mistakes(&directory).await,
        "strangers" => strangers(&directory).await,
        "full" => full(&directory).await,
        "open" => drop(SqliteStore::builder(directory.join("sessions.db")).open().await.unwrap()),
        "given" => {
            let store = SqliteStore::builder(directory.join("shop/sessions.db")).open().await.unwrap();
            put(&store, 1, &record(b"x")).await;
        }
        other => panic!("no part {other}"),
    }
}

async fn mistakes(directory: &Path) {
    let at = |name: &str| SqliteStore::builder(directory.join(name));
    let database = directory.join("sessions.db");
    at("sessions.db").open().await.unwrap().close().await.unwrap();
    let foreign = |sql: &str| rusqlite::Connection::open(&database).unwrap().execute_batch(sql).unwrap();

    // Paths.
    fs::create_dir(directory.join("folder")).unwrap();
    refused(at("folder"), &["is a directory; name a file in it", "/folder"]).await;
    refused(at("missing/sessions.db"), &["does not exist; make it", "/missing/sessions.db"]).await;
    refused(at("sessions.db/sessions.db"), &["/sessions.db/sessions.db"]).await;
    refused(at("other.db").create(false), &["there is no database file; set `create`", "/other.db"]).await;
    refused(SqliteStore::builder("/dev/null"), &["names a device", "/dev/null"]).await;

    // Files that are something else.
    fs::write(directory.join("letter"), "dear ".repeat(2000)).unwrap();
    refused(at("letter"), &["is not an SQLite database or is encrypted; choose another", "/letter"]).await;
    fs::write(directory.join("encrypted"), (0..8192_u32).map(|n| (n * 97 % 251) as u8).collect::<Vec<_>>()).unwrap();
    refused(at("encrypted"), &["is encrypted", "/encrypted"]).await;
    rusqlite::Connection::open(directory.join("shop.db")).unwrap().execute_batch("create table sessions (id)").unwrap();
    refused(at("shop.db"), &["was not made by this store; choose another namespace"]).await;
    foreign(r#"update "session.layouts" set layout = 2"#);
    refused(at("sessions.db"), &["has layout 2; this release reads and writes layout 1"]).await;
    foreign(r#"update "session.layouts" set layout = 1"#);
    foreign("alter table sessions rename column data to body");
    refused(at("sessions.db"), &["restore the tables, or choose another namespace", "/sessions.db"]).await;
    foreign("alter table sessions rename column body to data");

    // Permissions.
    allow(&database, 0o400);
    refused(at("sessions.db"), &["read and write", "let the program's user", "/sessions.db"]).await;
    allow(&database, 0o666);
    refused(at("sessions.db"), &["other users can write", "chmod go-w", "/sessions.db"]).await;
    allow(&database, 0o600);
    let log = directory.join("sessions.db-wal");
    fs::write(&log, "").unwrap();
    allow(&log, 0o400);
    refused(at("sessions.db"), &["/sessions.db-wal", "let the program's user"]).await;
    fs::remove_file(&log).unwrap();
    let inner = directory.join("inner");
    fs::create_dir(&inner).unwrap();
    for (mode, parts) in [
        (0o500, ["let the program's user", "/inner"]),
        (0o600, ["search the folders", "/inner"]),
        (0o777, ["other users can write", "/inner"]),
        (0o1777, ["", ""]),
    ] {
        allow(&inner, mode);
        if mode == 0o1777 {
            // Like /tmp: the sticky bit keeps users from renaming files of others.
            drop(at("inner/sessions.db").open().await.unwrap());
        } else {
            refused(at("inner/sessions.db"), &parts).await;
        }
    }
    allow(&inner, 0o700);
    drop(at("sessions.db").open().await.unwrap());
}

#[test]
fn a_mistake_is_one_error_at_open_with_the_file_and_the_mend() {
    let dir = TestFile::new();
    run_unprivileged("part", "mistakes", dir.directory.path(), "");
}

/// Files of another user, whom only root can play, so without root the rule's own test in `session-store-kit` has to do.
async fn strangers(directory: &Path) {
    let at = |name: &str| SqliteStore::builder(directory.join(name));
    let another = "belongs to another user (uid 64321)";
    refused(at("file.db"), &[another, "run chown on it", "/file.db"]).await;
    refused(at("parent/sessions.db"), &[another, "/parent"]).await;
    refused(at("parent/mine/sessions.db"), &[another, "/parent"]).await;
    refused(at("dangling.db"), &[another, "/dangling.db"]).await;
    assert!(!directory.join("target.db").exists(), "the link of another user is not followed");
    refused(at("log.db"), &[another, "/log.db-wal"]).await;
    refused(at("root/sessions.db"), &["let the program's user", "/root"]).await;
    refused(at("rootlog.db"), &["/rootlog.db-wal", "let the program's user"]).await;
}

#[test]
fn what_another_user_could_change_is_refused() {
    let dir = TestFile::new();
    let directory = dir.directory.path();
    if !is_root(directory) {
        eprintln!("this test needs root, who alone can give files to another user");
        return;
    }
    let give = |name: &str, to: u32| std::os::unix::fs::lchown(directory.join(name), Some(to), Some(to)).unwrap();
    let me = testing::UNPRIVILEGED;
    for name in ["file.db", "log.db", "log.db-wal", "rootlog.db", "rootlog.db-wal"] {
        fs::write(directory.join(name), "").unwrap();
        allow(&directory.join(name), 0o644);
    }
    allow(&directory.join("file.db"), 0o666);
    fs::create_dir_all(directory.join("parent/mine")).unwrap();
    fs::create_dir(directory.join("root")).unwrap();
    symlink("target.db", directory.join("dangling.db")).unwrap();
    for (name, to) in [
        ("file.db", STRANGER),
        ("log.db", me),
        ("log.db-wal", STRANGER),
        ("rootlog.db", me),
        ("parent", STRANGER),
        ("parent/mine", me),
        ("dangling.db", STRANGER),
    ] {
        give(name, to);
    }
    run_unprivileged("part", "strangers", directory, "");
    // Root does not use the files of other users either: they could replace them.
    chown(directory, Some(0), Some(0)).unwrap();
    let error = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(SqliteStore::builder(directory.join("file.db")).open())
        .unwrap_err();
    assert!(error.to_string().contains("belongs to another user"), "{error}");
}

/// Opens and writes under a limit on the size of files, as on a full disk.
async fn full(directory: &Path) {
    let error = SqliteStore::builder(directory.join("fresh.db")).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let store = SqliteStore::builder(directory.join("sessions.db")).create(false).open().await;
    let error = match store {
        Ok(store) => store.create(&now(), &key(2), &record(&[1; 200_000])).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[test]
fn a_full_disk_is_an_outage_at_open_too() {
    let dir = TestFile::new();
    run_unprivileged("part", "open", dir.directory.path(), "");
    // In blocks of 512 bytes: room for the files that exist, and not for new ones.
    run_unprivileged("part", "full", dir.directory.path(), "trap '' XFSZ; ulimit -f 8; ");
}

/// The file has its mode from the beginning: a process that is killed, or whose `chmod` fails, leaves none that others can read.
#[test]
fn a_new_file_is_its_owners_alone_under_any_umask() {
    for umask in ["000", "022", "077"] {
        let dir = TestFile::new();
        run_unprivileged("part", "open", dir.directory.path(), &format!("umask {umask}; "));
        for name in ["sessions.db", "sessions.db-files"] {
            let mode = fs::metadata(dir.directory.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name} under {umask}");
        }
    }
}

#[tokio::test]
async fn a_link_of_ones_own_is_followed_also_to_a_file_that_is_not_there_yet() {
    let dir = TestFile::new();
    symlink("target.db", dir.path()).unwrap();
    put(&dir.open().await, 1, &record(b"x")).await;
    assert!(dir.directory.path().join("target.db").exists() && dir.directory.path().join("target.db-files").exists());
}

#[test]
fn the_readmes_statement_makes_a_folder_in_which_the_store_opens() {
    let dir = TestFile::new();
    run_in_the_readmes_folder(include_str!("../README.md"), "part", "given", dir.directory.path());
}
