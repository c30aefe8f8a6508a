use std::sync::Arc;

use futures_util::future::join_all;

use super::*;
use crate::store::meta::{conformance, scan};

#[tokio::test]
async fn it_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let engine = RocksEngine::open(folder.path(), Durability::Fsync).unwrap();
    conformance::check(Arc::new(engine)).await;
}

#[tokio::test]
async fn what_was_answered_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let engine = RocksEngine::open(folder.path(), Durability::Fsync).unwrap();
    let commits = (0..200_u32).map(|n| {
        let mut batch = Batch::new();
        batch.put(Space::Inline, n.to_be_bytes().to_vec(), vec![7; 2000]);
        batch.add(Space::Usage, "b", [1, 2000]);
        engine.commit(batch)
    });
    assert!(join_all(commits).await.iter().all(Result::is_ok));
    drop(engine);
    let engine = RocksEngine::open(folder.path(), Durability::Fsync).unwrap();
    let rows = scan(&engine, Space::Inline, KeyRange::all(), 1000)
        .await
        .unwrap();
    assert_eq!(rows.len(), 200);
    assert!(rows.iter().all(|row| row.value == vec![7; 2000]));
    let usage = engine.get(Space::Usage, b"b").await.unwrap().unwrap();
    assert_eq!(crate::store::meta::read_counters(&usage), [200, 400_000]);
}

#[tokio::test]
async fn a_second_opening_says_who_is_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let _first = RocksEngine::open(folder.path(), Durability::None).unwrap();
    let second = RocksEngine::open(folder.path(), Durability::None);
    assert!(matches!(&second, Err(MetaError::Open { reason }) if reason.contains("another")));
}

#[tokio::test]
async fn batches_that_wait_together_share_a_group() {
    let folder = tempfile::tempdir().unwrap();
    let engine = RocksEngine::open(folder.path(), Durability::Fsync).unwrap();
    let before = syncs(&engine);
    let commits = (0..64_u32).map(|n| {
        let mut batch = Batch::new();
        batch.put(Space::Objects, n.to_be_bytes().to_vec(), "x");
        engine.commit(batch)
    });
    assert!(join_all(commits).await.iter().all(Result::is_ok));
    let groups = syncs(&engine) - before;
    assert!(
        groups < 64,
        "64 batches that waited together took {groups} writes"
    );
}

/// How often the engine has written to its log.
fn syncs(engine: &RocksEngine) -> u64 {
    engine
        .shared
        .groups
        .load(std::sync::atomic::Ordering::SeqCst)
}

#[test]
fn a_sync_that_finds_the_disk_full_leaves_its_batch_in_doubt() {
    // The texts of RocksDB's `io_posix.cc`.
    let refused = |doing: &str| {
        let text = format!(
            "IO error: No space left on device: {doing}: m/000004.log: No space left on device"
        );
        is_refused_for_space(&text)
    };
    assert!(refused("While appending to file"));
    assert!(!refused("While fdatasync"));
    assert!(!refused("While fsync"));
}
