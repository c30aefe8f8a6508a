//! A store that is whole, and stores with one fault each.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::clock::{Clock as _, SystemClock};
use crate::id::RequestId;
use crate::name::{BucketName, ObjectKey};
use crate::store::blob::durable;
use crate::store::blob::files::FileBlobs;
use crate::store::meta::memory::MemoryEngine;
use crate::store::meta::{Batch, KeyRange, scan};
use crate::store::record::{BucketRecord, encode};
use crate::store::{
    ETag, EventName, NewBucket, NewObject, NewPart, NewUpload, NoHook, ObjectHeaders, Origin,
    Staged, StoreSettings, WriteCondition,
};

const SMALL: usize = 10;
const LARGE: usize = 200_000;

async fn staged(store: &ObjectStore, len: usize) -> Staged {
    let mut stager = store.stage(None);
    stager.write(Bytes::from(vec![7; len])).await.unwrap();
    stager.finish().await.unwrap()
}

/// Who changes it.
pub(in crate::store) fn by() -> Origin {
    Origin {
        request_id: RequestId::random(),
        principal: "me".into(),
        source_ip: None,
        event: EventName::ObjectCreatedPut,
        callback: None,
        once: None,
    }
}

/// The blob of an object that has one.
pub(in crate::store) async fn only_blob_of(store: &ObjectStore, key: &str) -> BlobRef {
    let bucket = BucketName::parse("abc").unwrap();
    let bucket = store.bucket(&bucket).await.unwrap();
    let key = ObjectKey::parse(key).unwrap();
    let object = store.object(&bucket, &key, None).await.unwrap();
    object.record.segments[0].blob().unwrap()
}

/// A store with a small object, a large one, and an upload with a part.
pub(in crate::store) async fn store(folder: &Path) -> ObjectStore {
    let clock = Arc::new(SystemClock);
    let blobs = FileBlobs::open(folder, durable::Durability::None, clock.clone()).unwrap();
    let settings = StoreSettings {
        inline_bytes_max: 100,
    };
    let (meta, hook) = (Arc::new(MemoryEngine::new()), Arc::new(NoHook));
    let store = ObjectStore::open(meta, Arc::new(blobs), clock, hook, settings);
    let store = store.await.unwrap();
    let new = NewBucket {
        owner: "me".into(),
        region: "eu".into(),
        settings: crate::store::Settings::default(),
    };
    let name = BucketName::parse("abc").unwrap();
    let bucket = store.create_bucket(&name, new).await.unwrap();
    for (name, len) in [("small", SMALL), ("large", LARGE)] {
        let new = NewObject {
            headers: ObjectHeaders::default(),
            etag: ETag::md5([0; 16]),
            checksum: None,
            crc64ecma: None,
            owner: "me".into(),
            extras: crate::store::Extras::default(),
        };
        let (key, bytes) = (ObjectKey::parse(name).unwrap(), staged(&store, len).await);
        let when = WriteCondition::default();
        store
            .put_object(&bucket, &key, new, bytes, &when, &by())
            .await
            .unwrap();
    }
    let key = ObjectKey::parse("parts").unwrap();
    let new = NewUpload {
        headers: ObjectHeaders::default(),
        checksum: None,
        initiator: "me".into(),
        owner: "me".into(),
        extras: crate::store::Extras::default(),
        duties: crate::auth::constraint::Duties::default(),
    };
    let id = store.create_upload(&bucket, &key, new).await.unwrap();
    let part = NewPart {
        etag_md5: [0; 16],
        checksum: None,
        once: None,
        crc64ecma: None,
    };
    let bytes = staged(&store, LARGE).await;
    store
        .put_part(&bucket, &key, &id, 1, part, bytes)
        .await
        .unwrap();
    store
}

async fn check(store: &ObjectStore, read_blobs: bool) -> FsckReport {
    // What the check finds must be older than the check, by the millisecond of its clock.
    let written = SystemClock.now();
    while SystemClock.now() <= written {
        std::hint::spin_loop();
    }
    let progress = Arc::new(FsckProgress::default());
    let report = store
        .fsck(FsckOptions { read_blobs }, &progress)
        .await
        .unwrap();
    assert_eq!(progress.records(), report.records);
    report
}

async fn rows_of(store: &ObjectStore, space: Space) -> Vec<Entry> {
    scan(store.meta().as_ref(), space, KeyRange::all(), 100)
        .await
        .unwrap()
}

async fn change(store: &ObjectStore, change: impl FnOnce(&mut Batch)) {
    let mut batch = Batch::new();
    change(&mut batch);
    store.meta().commit(batch).await.unwrap();
}

fn found(report: &FsckReport) -> Vec<(FindingKind, u64)> {
    report
        .kinds
        .iter()
        .map(|(kind, count)| (*kind, *count))
        .collect()
}

#[tokio::test]
async fn a_whole_store_is_clean() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    for read_blobs in [false, true] {
        let report = check(&store, read_blobs).await;
        assert!(report.is_clean(), "{report:?}");
        assert_eq!(
            (report.records, report.blobs, report.bytes),
            (3, 2, 400_000)
        );
        assert_eq!((report.garbage, report.leftover_files), (0, 0));
    }
}

#[tokio::test]
async fn a_row_that_is_gone_is_missed() {
    for (space, kind) in [
        (Space::Inline, FindingKind::MissingInline),
        (Space::Blobs, FindingKind::UnlistedBlob),
        (Space::Buckets, FindingKind::NoBucket),
        (Space::Uploads, FindingKind::NoUpload),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let rows = rows_of(&store, space).await;
        change(&store, |batch| {
            for row in rows {
                if space == Space::Buckets {
                    // A younger bucket, so that the lost one is no new one.
                    let mut record: BucketRecord = decode(&row.value, "a bucket").unwrap();
                    record.id = BucketId(9);
                    batch.put(space, "other", encode(&record).unwrap());
                }
                batch.delete(space, row.key);
            }
        })
        .await;
        let report = check(&store, false).await;
        assert!(report.kinds.contains_key(&kind), "{space:?}: {report:?}");
    }
}

#[tokio::test]
async fn what_no_record_names_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    for space in [Space::Objects, Space::Parts] {
        let rows = rows_of(&store, space).await;
        change(&store, |batch| {
            for row in rows {
                batch.delete(space, row.key);
            }
        })
        .await;
    }
    change(&store, |batch| {
        batch.put(Space::Layouts, vec![1; 16], Bytes::new());
        batch.put(Space::Garbage, vec![2; 16], Bytes::new());
    })
    .await;
    let report = check(&store, false).await;
    let (unnamed, small) = (FindingKind::UnnamedBlob, FindingKind::UnnamedInline);
    let layout = FindingKind::UnnamedLayout;
    assert_eq!(found(&report), [(unnamed, 2), (small, 1), (layout, 1)]);
    assert_eq!(report.garbage, 1);
}

#[tokio::test]
async fn a_row_that_is_no_record_is_found_in_every_space() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    for space in [
        Space::Objects,
        Space::Versions,
        Space::Parts,
        Space::Buckets,
    ] {
        change(&store, |batch| {
            batch.put(space, vec![0; 30], vec![0xFF]);
        })
        .await;
    }
    let report = check(&store, false).await;
    assert_eq!(report.kinds.get(&FindingKind::UnreadableRecord), Some(&4));
}

#[tokio::test]
async fn a_version_names_its_bytes_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let rows = rows_of(&store, Space::Objects).await;
    change(&store, |batch| {
        for row in rows {
            batch.delete(Space::Objects, row.key.clone());
            batch.put(Space::Versions, row.key, row.value);
        }
    })
    .await;
    assert!(check(&store, false).await.is_clean());
}

#[tokio::test]
async fn damage_in_a_blob_is_found_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let object = rows_of(&store, Space::Objects).await.remove(0);
    let record: crate::store::ObjectRecord = decode(&object.value, "an object").unwrap();
    let crate::store::record::Segment::Blob(blob) = record.segments[0] else {
        panic!("{record:?}");
    };
    let file = folder
        .path()
        .join("data")
        .join(format!("{:02x}", blob.id.as_bytes()[15]));
    let file = file.join(blob.id.to_string());
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100_000] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    assert!(
        check(&store, false).await.is_clean(),
        "only its ends were looked at"
    );
    let report = check(&store, true).await;
    assert_eq!(found(&report), [(FindingKind::DamagedBlob, 1)]);
    assert_eq!(report.findings[0].place, "abc/large");
    std::fs::write(&file, &bytes[..1000]).unwrap();
    assert_eq!(
        found(&check(&store, false).await),
        [(FindingKind::DamagedBlob, 1)]
    );
    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        found(&check(&store, false).await),
        [(FindingKind::MissingBlob, 1)]
    );
}
