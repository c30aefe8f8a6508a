//! The rules over both pairs of engines.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::future::join_all;

use super::blob::files::FileBlobs;
use super::blob::memory::MemoryBlobs;
use super::blob::{BlobStore, durable};
use super::meta::memory::MemoryEngine;
use super::meta::rocks::{self, RocksEngine};
use super::meta::{KeyRange, MetaEngine, Space, scan};
use super::record::{Segment, encode};
use super::*;
use crate::clock::{ManualClock, SystemClock, Timestamp};
use crate::id::RequestId;
use crate::name::{BucketName, ObjectKey};

const INLINE: usize = 100;
const LARGE: usize = 10_000;

struct Bench {
    store: ObjectStore,
    bucket: Bucket,
    _folder: Option<tempfile::TempDir>,
}

async fn bench_over(
    meta: Arc<dyn MetaEngine>,
    blobs: Arc<dyn BlobStore>,
    folder: Option<tempfile::TempDir>,
) -> Bench {
    let settings = StoreSettings {
        inline_bytes_max: INLINE,
    };
    let (clock, hook) = (Arc::new(SystemClock), Arc::new(NoHook));
    let store = ObjectStore::open(meta, blobs, clock, hook, settings)
        .await
        .unwrap();
    let new = NewBucket {
        owner: "me".into(),
        region: "eu".into(),
        settings: Settings::default(),
    };
    let bucket = store
        .create_bucket(&BucketName::parse("abc").unwrap(), new)
        .await
        .unwrap();
    Bench {
        store,
        bucket,
        _folder: folder,
    }
}

async fn benches() -> [Bench; 2] {
    let (meta, blobs) = (Arc::new(MemoryEngine::new()), Arc::new(MemoryBlobs::new()));
    let memory = bench_over(meta, blobs, None).await;
    let folder = tempfile::tempdir().unwrap();
    let meta = RocksEngine::open(&folder.path().join("meta"), rocks::Durability::None).unwrap();
    let place = folder.path().join("blobs");
    std::fs::create_dir(&place).unwrap();
    let clock = Arc::new(SystemClock);
    let blobs = FileBlobs::open(&place, durable::Durability::None, clock).unwrap();
    let disk = bench_over(Arc::new(meta), Arc::new(blobs), Some(folder)).await;
    [memory, disk]
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn by(event: EventName) -> Origin {
    let (request_id, principal) = (RequestId::random(), "me".into());
    Origin {
        request_id,
        principal,
        source_ip: None,
        event,
        callback: None,
        once: None,
    }
}

async fn bytes_of(store: &ObjectStore, object: &Object) -> Vec<u8> {
    let stream = store.read(object, 0..object.record.len).await.unwrap();
    stream.try_collect::<Vec<Bytes>>().await.unwrap().concat()
}

impl Bench {
    async fn staged(&self, byte: u8, len: usize) -> Staged {
        let mut stager = self.store.stage(None);
        for chunk in vec![byte; len].chunks(999) {
            stager.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        stager.finish().await.unwrap()
    }

    async fn put(
        &self,
        byte: u8,
        len: usize,
        when: &WriteCondition,
    ) -> Result<Written, StoreError> {
        let staged = self.staged(byte, len).await;
        let new = NewObject {
            headers: ObjectHeaders::default(),
            etag: ETag::md5([byte; 16]),
            checksum: None,
            crc64ecma: None,
            owner: "me".into(),
            extras: Extras::default(),
        };
        let origin = by(EventName::ObjectCreatedPut);
        self.store
            .put_object(&self.bucket, &key("k"), new, staged, when, &origin)
            .await
    }

    async fn delete(&self) -> Deleted {
        let (when, origin) = (
            DeleteCondition::default(),
            by(EventName::ObjectRemovedDelete),
        );
        self.store
            .delete_object(&self.bucket, &key("k"), None, &when, &origin)
            .await
            .unwrap()
    }

    async fn object(&self) -> Object {
        self.store
            .object(&self.bucket, &key("k"), None)
            .await
            .unwrap()
    }

    async fn blobs(&self) -> usize {
        self.store
            .blobs()
            .list()
            .try_collect::<Vec<_>>()
            .await
            .unwrap()
            .len()
    }

    async fn rows(&self, space: Space) -> usize {
        let rows = scan(self.store.meta().as_ref(), space, KeyRange::all(), 1000).await;
        rows.unwrap().len()
    }

    /// Waits for what a drop began.
    async fn settled(&self, blobs: usize) {
        let settled = async {
            while self.blobs().await != blobs {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), settled)
            .await
            .unwrap();
    }

    async fn holds(&self, blobs: usize, inline: usize) {
        assert_eq!(self.blobs().await, blobs);
        assert_eq!(self.rows(Space::Blobs).await, blobs);
        assert_eq!(self.rows(Space::Garbage).await, 0);
        assert_eq!(self.rows(Space::Inline).await, inline);
    }
}

#[tokio::test]
async fn an_object_is_put_overwritten_and_deleted_without_rest() {
    for bench in benches().await {
        let any = WriteCondition::default();
        for (byte, len, blobs) in [
            (1, 0, 0),
            (2, INLINE, 0),
            (3, LARGE, 1),
            (4, LARGE, 1),
            (5, 7, 0),
        ] {
            bench.put(byte, len, &any).await.unwrap();
            let object = bench.object().await;
            assert_eq!(bytes_of(&bench.store, &object).await, vec![byte; len]);
            bench.holds(blobs, 1 - blobs).await;
            let usage = bench.store.usage(&bench.bucket).await.unwrap();
            assert_eq!(
                usage,
                Usage {
                    objects: 1,
                    bytes: i64::try_from(len).unwrap()
                }
            );
        }
        assert!(bench.delete().await.existed);
        assert!(!bench.delete().await.existed);
        bench.holds(0, 0).await;
        let usage = bench.store.usage(&bench.bucket).await.unwrap();
        assert_eq!(
            usage,
            Usage {
                objects: 0,
                bytes: 0
            }
        );
        bench.store.delete_bucket(&bench.bucket.name).await.unwrap();
    }
}

#[tokio::test]
async fn a_rename_moves_no_byte_and_leaves_no_rest() {
    for bench in benches().await {
        let (any, there) = (WriteCondition::default(), key("there"));
        let rename = async || {
            let created = by(EventName::ObjectCreatedCopy);
            let removed = by(EventName::ObjectRemovedDelete);
            let rename = Rename {
                from: &key("k"),
                to: &there,
                token: None,
                created: &created,
                removed: &removed,
            };
            let fine = |_source: &ObjectRecord, _there: Option<&ObjectRecord>| Ok(());
            let renamed = bench.store.rename_object(&bench.bucket, rename, fine).await;
            renamed.map_err(|error: StoreError| error.to_string())
        };
        let mut sequence = 0;
        for (byte, len) in [(1, LARGE), (2, INLINE), (3, LARGE), (4, LARGE)] {
            let written = bench.put(byte, len, &any).await.unwrap().record;
            let renamed = rename().await.unwrap().record;
            assert_eq!(renamed.segments, written.segments);
            assert_eq!(renamed.modified, written.modified);
            // What replaces what is there is told later than it.
            assert!(renamed.sequence > sequence);
            sequence = renamed.sequence;
            let found = bench.store.object(&bench.bucket, &there, None).await;
            let found = found.unwrap();
            assert_eq!(bytes_of(&bench.store, &found).await, vec![byte; len]);
            let blobs = usize::from(len == LARGE);
            bench.holds(blobs, 1 - blobs).await;
            let (objects, bytes) = (1, i64::try_from(len).unwrap());
            let usage = bench.store.usage(&bench.bucket).await.unwrap();
            assert_eq!(usage, Usage { objects, bytes });
            assert!(rename().await.unwrap_err().contains("does not exist"));
        }
    }
}

#[tokio::test]
async fn a_bucket_named_by_older_rules_is_listed_with_the_others() {
    for bench in benches().await {
        let older = BucketName::stored("a-.b");
        assert!(BucketName::parse(older.as_str()).is_err());
        let new = NewBucket {
            owner: "me".into(),
            region: "eu".into(),
            settings: Settings::default(),
        };
        bench.store.create_bucket(&older, new).await.unwrap();
        let all = BucketQuery {
            owner: None,
            prefix: String::new(),
            after: None,
            limit: 10,
        };
        let listed = bench.store.list_buckets(all).await.unwrap().buckets;
        let names: Vec<_> = listed.iter().map(|bucket| bucket.name.as_str()).collect();
        assert_eq!(names, ["a-.b", "abc"]);
    }
}

#[tokio::test]
async fn one_of_fifty_creators_wins() {
    for bench in benches().await {
        for len in [INLINE, LARGE] {
            let when = WriteCondition {
                if_none_match: Some("*".into()),
                if_match: None,
            };
            let outcomes = join_all((0..50).map(|byte| bench.put(byte, len, &when))).await;
            let won: Vec<_> = outcomes.iter().flatten().collect();
            assert_eq!(won.len(), 1);
            let lost = |outcome: &&Result<Written, StoreError>| {
                matches!(outcome, Err(StoreError::PreconditionFailed { .. }))
            };
            assert_eq!(outcomes.iter().filter(lost).count(), 49);
            assert_eq!(bench.object().await.record, won[0].record);
            bench.settled(usize::from(len == LARGE)).await;
            bench.delete().await;
        }
    }
}

#[tokio::test]
async fn a_dropped_upload_leaves_nothing() {
    for bench in benches().await {
        drop(bench.staged(1, LARGE).await);
        bench.settled(0).await;
        bench.holds(0, 0).await;
    }
}

#[tokio::test]
async fn a_reader_survives_what_happens_to_its_object() {
    for bench in benches().await {
        for len in [INLINE, LARGE] {
            bench.put(1, len, &WriteCondition::default()).await.unwrap();
            let object = bench.object().await;
            let stream = bench
                .store
                .read(&object, 3..object.record.len - 1)
                .await
                .unwrap();
            bench.put(2, len, &WriteCondition::default()).await.unwrap();
            let late = bench.store.read(&object, 0..1).await;
            assert!(matches!(late, Err(StoreError::Superseded)));
            let read = stream.try_collect::<Vec<Bytes>>().await.unwrap().concat();
            assert_eq!(read, vec![1; len - 4]);
            let whole = |object: &Object| Ok::<_, StoreError>((0..object.record.len).into());
            let opened = bench
                .store
                .open_object(&bench.bucket, &key("k"), None, whole)
                .await;
            assert_eq!(opened.unwrap().0.record.etag, ETag::md5([2; 16]));
        }
    }
}

#[tokio::test]
async fn blobs_of_several_segments_wait_for_their_reader() {
    for bench in benches().await {
        bench
            .put(1, LARGE, &WriteCondition::default())
            .await
            .unwrap();
        let mut object = bench.object().await;
        let Segment::Blob(first) = object.record.segments[0] else {
            panic!()
        };
        let second = bench.store.blobs().link(vec![first]).await.unwrap()[0];
        object.record.segments.push(Segment::Blob(second));
        object.record.len *= 2;
        let mut batch = Batch::new();
        let at = keyspace::object(bench.bucket.id, "k");
        batch.put(Space::Objects, at, encode(&object.record).unwrap());
        batch.put(
            Space::Blobs,
            second.id.as_bytes().to_vec(),
            encode(&second).unwrap(),
        );
        bench.store.meta().commit(batch).await.unwrap();

        let stream = bench
            .store
            .read(&object, 1..object.record.len)
            .await
            .unwrap();
        bench.delete().await;
        assert_eq!(
            (bench.blobs().await, bench.rows(Space::Garbage).await),
            (2, 2)
        );
        assert!(matches!(
            bench.store.read(&object, 0..object.record.len).await,
            Err(StoreError::Superseded)
        ));
        let read = stream.try_collect::<Vec<Bytes>>().await.unwrap().concat();
        assert_eq!(read.len(), 2 * LARGE - 1);
        bench.settled(0).await;
    }
}

#[tokio::test]
async fn the_next_start_deletes_garbage_and_its_sweep_orphans() {
    for bench in benches().await {
        bench
            .put(1, LARGE, &WriteCondition::default())
            .await
            .unwrap();
        let mut orphan = bench.staged(2, LARGE).await;
        orphan.hold();
        drop(orphan);
        let Segment::Blob(kept) = bench.object().await.record.segments[0] else {
            panic!()
        };
        let garbage = bench.store.blobs().link(vec![kept]).await.unwrap()[0];
        let mut batch = Batch::new();
        batch.put(Space::Garbage, garbage.id.as_bytes().to_vec(), Bytes::new());
        bench.store.meta().commit(batch).await.unwrap();
        assert_eq!(bench.store.sweep().await.unwrap().deleted, 0);

        let later = SystemClock.now().plus(Duration::from_secs(60));
        let next = ObjectStore::open(
            Arc::clone(bench.store.meta()),
            Arc::clone(bench.store.blobs()),
            Arc::new(ManualClock::at(Timestamp::from_unix_ms(later.unix_ms()))),
            Arc::new(NoHook),
            StoreSettings::default(),
        );
        let next = next.await.unwrap();
        assert_eq!(
            (bench.blobs().await, bench.rows(Space::Garbage).await),
            (2, 0)
        );
        assert_eq!(
            next.sweep().await.unwrap(),
            SweepReport {
                blobs: 2,
                deleted: 1
            }
        );
        bench.holds(1, 0).await;
        assert_eq!(bytes_of(&next, &bench.object().await).await, vec![1; LARGE]);
    }
}

#[tokio::test]
async fn data_of_a_newer_release_is_refused_with_advice() {
    let meta = Arc::new(MemoryEngine::new());
    let mut batch = Batch::new();
    let newer = encode(&(FORMAT_VERSION + 1)).unwrap();
    batch.put(Space::System, FORMAT_KEY, newer);
    meta.commit(batch).await.unwrap();
    let blobs = Arc::new(MemoryBlobs::new());
    let clock = Arc::new(SystemClock);
    let settings = StoreSettings::default();
    let opened = ObjectStore::open(meta, blobs, clock, Arc::new(NoHook), settings).await;
    let said = opened.unwrap_err().to_string();
    assert!(said.contains("use the Consign that wrote it"), "{said}");
}
