//! Test of a process that changes its working directory while a store is open.
//!
//! The other process runs this test program again in a part of its own.

mod common;

use std::env::set_current_dir;
use std::fs::{create_dir, read_dir};
use std::path::Path;

use common::{TestFolder, get, put, record_of};
use session_conformance::testing;
use session_store_file::FileStore;

/// Runs when the test below starts it in another process. Passes otherwise.
#[tokio::test]
async fn part_of_another_process() {
    let Some((_, path)) = testing::part() else { return };
    set_current_dir(path.parent().unwrap()).unwrap();
    let store = FileStore::connect("file://data").await.unwrap();
    put(&store, 1, &record_of("ann")).await;
    let elsewhere = path.parent().unwrap().join("elsewhere");
    create_dir(&elsewhere).unwrap();
    set_current_dir(&elsewhere).unwrap();
    put(&store, 2, &record_of("ann")).await;
    set_current_dir(Path::new("/")).unwrap();
    assert!(get(&store, 1).await.is_some() && get(&store, 2).await.is_some());
    assert_eq!(read_dir(elsewhere).unwrap().count(), 0);
}

#[tokio::test]
async fn a_relative_path_means_the_same_folder_after_the_process_has_changed_its_working_directory() {
    let dir = TestFolder::new();
    let output = testing::start("part_of_another_process", "moves", &dir.path()).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let store = dir.open().await;
    assert!(get(&store, 1).await.is_some() && get(&store, 2).await.is_some());
}
