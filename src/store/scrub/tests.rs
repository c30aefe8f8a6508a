//! A store with damage, and what becomes of what a pass has found.

use std::path::{Path, PathBuf};

use super::*;
use crate::name::{BucketName, ObjectKey};
use crate::store::DeleteCondition;
use crate::store::fsck::FindingKind;
use crate::store::fsck::tests::{by, only_blob_of, store};

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

/// The file of the store's large object.
async fn file_of_large(store: &ObjectStore, folder: &Path) -> PathBuf {
    let id = only_blob_of(store, "large").await.id;
    let [.., last] = *id.as_bytes();
    folder
        .join("data")
        .join(format!("{last:02x}"))
        .join(id.to_string())
}

async fn damage(store: &ObjectStore) -> Vec<(FindingKind, String)> {
    let found = store.damage().await.unwrap().into_iter();
    found
        .map(|one| (one.finding.kind, one.finding.place))
        .collect()
}

#[tokio::test]
async fn damage_is_remembered_until_it_is_found_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let file = file_of_large(&store, folder.path()).await;
    let status = store.scrub(ByteRate::default()).await.unwrap();
    assert_eq!((status.damaged, status.records, status.passes), (0, 3, 1));
    assert_eq!((status.bytes, status.bytes_total), (400_000, 400_000));
    assert!(!status.running && status.finished.is_some());
    flip(&file, 100_000);
    assert_eq!(store.scrub(ByteRate::default()).await.unwrap().damaged, 1);
    let known = vec![(FindingKind::DamagedBlob, "abc/large".to_owned())];
    assert_eq!(damage(&store).await, known);
    let first = store.damage().await.unwrap().remove(0);
    assert_eq!(store.scrub(ByteRate::default()).await.unwrap().damaged, 1);
    let again = store.damage().await.unwrap().remove(0);
    assert!(again.found == first.found && again.seen >= first.seen);
    flip(&file, 100_000);
    // The clock's next millisecond: what this pass finds is younger than the last's.
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(store.scrub(ByteRate::default()).await.unwrap().damaged, 0);
    assert_eq!(damage(&store).await, []);
}

#[tokio::test]
async fn what_is_deleted_is_no_damage_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    std::fs::remove_file(file_of_large(&store, folder.path()).await).unwrap();
    assert_eq!(store.scrub(ByteRate::default()).await.unwrap().damaged, 1);
    assert_eq!(damage(&store).await[0].0, FindingKind::MissingBlob);
    let bucket = store
        .bucket(&BucketName::parse("abc").unwrap())
        .await
        .unwrap();
    let key = ObjectKey::parse("large").unwrap();
    let when = DeleteCondition::default();
    store
        .delete_object(&bucket, &key, None, &when, &by())
        .await
        .unwrap();
    assert_eq!(damage(&store).await, []);
    assert_eq!(store.scrub_monitor().status().damaged, 0);
}

#[tokio::test]
async fn an_interrupted_pass_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    flip(&file_of_large(&store, folder.path()).await, 5);
    assert_eq!(store.scrub_due(None).await.unwrap(), None);
    let week = Duration::from_secs(7 * 24 * 3600);
    assert!(store.scrub_due(Some(week)).await.unwrap().unwrap() > week / 2);
    // Behind the objects' records: what lies before is not read again.
    let state = State {
        began: Some(store.clock().now()),
        place: Some(Place {
            stage: "records/objects".to_owned(),
            key: vec![0xFF],
        }),
        records: 2,
        bytes: 400_000,
        ..State::default()
    };
    keep_state(&store, &state).await.unwrap();
    assert_eq!(store.scrub_due(None).await.unwrap(), Some(Duration::ZERO));
    let status = store.scrub(ByteRate::default()).await.unwrap();
    assert_eq!((status.damaged, status.records), (0, 2));
    // The next one reads everything.
    assert_eq!(store.scrub(ByteRate::default()).await.unwrap().damaged, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pass_keeps_to_its_pace() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let began = Instant::now();
    store.scrub(ByteRate::of(100_000)).await.unwrap();
    let took = began.elapsed().as_secs();
    // Two blobs of 200,000 bytes, and some rows.
    assert!((4..8).contains(&took), "{took}");
}
