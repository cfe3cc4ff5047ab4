//! Test of a folder that is replaced by a backup while two stores use it.
#![cfg(unix)]

mod common;

use std::process::Command;

use common::{TestFolder, get, key, now, put, record_of};
use session_conformance::testing::block_of;
use session_core::{Outcome, Principal, Store};

/// Runs the commands of the README's section on backing up, on this store instead of a service's.
#[tokio::test]
async fn the_readmes_recipe_restores_a_folder_under_running_stores() {
    let recipe = block_of(include_str!("../README.md"), "Backing up and restoring", "sh");
    let dir = TestFolder::new();
    let (one, other) = (dir.open().await, dir.open().await);
    let (kept, gone) = (record_of("ann"), record_of("ann"));
    put(&one, 1, &kept).await;
    for (nth, line) in recipe.lines().filter(|line| !line.is_empty()).enumerate() {
        let command = line.split(" #").next().unwrap().trim().replace("/var/lib/shop", dir.path().to_str().unwrap());
        if nth == 1 {
            put(&one, 2, &gone).await;
        }
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success(), "{command}");
    }
    for store in [&one, &other] {
        assert_eq!(get(store, 1).await.as_ref(), Some(&kept));
        assert_eq!(get(store, 2).await, None, "it was stored after the backup");
    }
    let newer = record_of("ann");
    assert_eq!(one.save(&now(), &key(1), kept.version, &newer).await.unwrap(), Outcome::Done);
    put(&other, 3, &newer).await;
    let ann = Principal::new("ann").unwrap();
    assert_eq!(other.sessions_of(&now(), &ann, common::MANY).await.unwrap().len(), 2);
    one.close().await.unwrap();
    other.close().await.unwrap();
    let again = dir.open().await;
    assert_eq!(get(&again, 1).await.as_ref(), Some(&newer));
    assert_eq!(get(&again, 3).await, Some(newer));
}
