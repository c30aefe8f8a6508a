use std::sync::Arc;

use futures_util::TryStreamExt as _;

use super::*;
use crate::auth::constraint::{LengthRange, Nonce};
use crate::checksum::{self, Checksum};
use crate::clock::SystemClock;
use crate::id::RequestId;
use crate::name::BucketName;
use crate::store::blob::memory::MemoryBlobs;
use crate::store::meta::KeyRange;
use crate::store::meta::memory::MemoryEngine;
use crate::store::{
    DeleteCondition, EventName, NewBucket, NoHook, Origin, StoreSettings, WriteCondition, Written,
    meta,
};

struct Fixture {
    store: ObjectStore,
    bucket: Bucket,
    key: ObjectKey,
}

async fn fixture() -> Fixture {
    let meta = Arc::new(MemoryEngine::new());
    let blobs = Arc::new(MemoryBlobs::new());
    let (clock, settings) = (Arc::new(SystemClock), StoreSettings::default());
    let store = ObjectStore::open(meta, blobs, clock, Arc::new(NoHook), settings);
    let store = store.await.unwrap();
    let name = BucketName::parse("photos").unwrap();
    let bucket = store.create_bucket(&name, new_bucket()).await.unwrap();
    Fixture {
        store,
        bucket,
        key: ObjectKey::parse("a/b").unwrap(),
    }
}

fn new_bucket() -> NewBucket {
    NewBucket {
        owner: "me".into(),
        region: "r".into(),
        settings: crate::store::Settings::default(),
    }
}

fn origin() -> Origin {
    Origin {
        request_id: RequestId::random(),
        principal: "me".into(),
        source_ip: None,
        event: EventName::ObjectCreatedCompleteMultipartUpload,
        callback: None,
        once: None,
    }
}

fn new_upload(checksum: Option<(Algorithm, Coverage)>) -> NewUpload {
    let (initiator, owner) = ("me".into(), "me".into());
    NewUpload {
        headers: ObjectHeaders::default(),
        checksum,
        initiator,
        owner,
        extras: Extras::default(),
        duties: Duties::default(),
    }
}

/// Parts from this number on are of before CRC-64s were kept.
const OF_BEFORE: u16 = 100;

fn crc64ecma(bytes: &[u8]) -> u64 {
    checksum::as_number(Algorithm::Crc64Ecma.digest(bytes)).unwrap()
}

impl Fixture {
    /// Bytes of the parts of an upload, as they are counted.
    async fn counted(&self, id: &UploadId) -> Option<i64> {
        let row = self.store.meta().get(Space::Usage, &counter(id));
        let row = row.await.unwrap();
        row.map(|row| meta::read_counters(&row)[1])
    }

    async fn begin(&self, checksum: Option<(Algorithm, Coverage)>) -> UploadId {
        let new = new_upload(checksum);
        self.store
            .create_upload(&self.bucket, &self.key, new)
            .await
            .unwrap()
    }

    async fn part(&self, id: &UploadId, number: u16, bytes: &Bytes) -> ClaimedPart<'static> {
        let mut stager = self.store.stage(None);
        stager.write(bytes.clone()).await.unwrap();
        let staged = stager.finish().await.unwrap();
        let etag_md5 = Algorithm::Md5.digest(bytes).try_into().unwrap();
        let digest = Algorithm::Crc32.digest(bytes);
        let checksum = Some(Checksum::full(Algorithm::Crc32, digest));
        let part = NewPart {
            etag_md5,
            checksum,
            once: None,
            crc64ecma: (number < OF_BEFORE).then(|| crc64ecma(bytes)),
        };
        let put = self
            .store
            .put_part(&self.bucket, &self.key, id, number, part, staged);
        let etag = put.await.unwrap().etag().to_string();
        ClaimedPart {
            number,
            etag: etag.into(),
            checksum: None,
        }
    }

    async fn complete(
        &self,
        id: &UploadId,
        parts: &[ClaimedPart<'_>],
        want: Option<&Checksum>,
    ) -> Result<Written, StoreError> {
        let (when, by) = (WriteCondition::default(), origin());
        let said = Completion {
            parts: parts.to_vec(),
            checksum: want.cloned(),
            len: None,
        };
        let done = self
            .store
            .complete_upload(&self.bucket, &self.key, id, &said, &when, &by);
        done.await
    }

    async fn bytes(&self) -> Vec<u8> {
        let object = self
            .store
            .object(&self.bucket, &self.key, None)
            .await
            .unwrap();
        let all = 0..object.record.len;
        let pieces = self.store.read(&object, all).await.unwrap();
        pieces.try_collect::<Vec<_>>().await.unwrap().concat()
    }

    async fn rows(&self, space: Space) -> usize {
        let meta = self.store.meta().as_ref();
        meta::scan(meta, space, KeyRange::all(), usize::MAX)
            .await
            .unwrap()
            .len()
    }
}

fn large(byte: u8) -> Bytes {
    vec![byte; usize::try_from(PART_BYTES_MIN).unwrap()].into()
}

#[tokio::test]
async fn an_upload_becomes_an_object_and_leaves_nothing_else() {
    let f = fixture().await;
    let id = f
        .begin(Some((Algorithm::Crc32, Coverage::FullObject)))
        .await;
    let (first, last) = (large(1), Bytes::from_static(b"end"));
    f.part(&id, 2, &large(9)).await;
    let parts = [f.part(&id, 2, &first).await, f.part(&id, 7, &last).await];
    f.part(&id, 9, &large(8)).await;
    let whole = [first.as_ref(), last.as_ref()].concat();
    let want = Checksum::full(Algorithm::Crc32, Algorithm::Crc32.digest(&whole));
    let wrong = Checksum::full(Algorithm::Crc32, vec![0; 4]);
    let refused = f.complete(&id, &parts, Some(&wrong)).await;
    assert!(matches!(refused, Err(StoreError::ChecksumMismatch)));
    let made = f.complete(&id, &parts, Some(&want)).await.unwrap().record;
    let md5s = [Algorithm::Md5.digest(&first), Algorithm::Md5.digest(&last)].concat();
    let expected = format!("{}-2", hex::encode(Algorithm::Md5.digest(&md5s)));
    assert_eq!(
        (made.etag.to_string(), made.checksum.clone()),
        (expected, Some(want))
    );
    assert_eq!(made.crc64ecma, Some(crc64ecma(&whole)));
    assert_eq!(f.bytes().await, whole);
    let again = f.complete(&id, &parts, None).await.unwrap().record;
    assert_eq!(again, made);
    assert_eq!(f.store.usage(&f.bucket).await.unwrap().objects, 1);
    for (space, rows) in [
        (Space::Uploads, 0),
        (Space::Parts, 0),
        (Space::Blobs, 1),
        (Space::Garbage, 0),
    ] {
        assert_eq!(f.rows(space).await, rows, "{space:?}");
    }
}

#[tokio::test]
async fn parts_that_do_not_fit_make_no_object() {
    let f = fixture().await;
    let id = f.begin(None).await;
    let small = Bytes::from_static(b"small");
    let (one, two) = (f.part(&id, 1, &small).await, f.part(&id, 2, &small).await);
    let refused = f.complete(&id, &[two.clone(), one.clone()], None).await;
    assert!(matches!(refused, Err(StoreError::InvalidPartOrder)));
    let refused = f.complete(&id, &[one.clone(), two.clone()], None).await;
    assert!(matches!(
        refused,
        Err(StoreError::PartTooSmall {
            number: 1,
            len: 5,
            ..
        })
    ));
    let other = ClaimedPart {
        etag: "0".repeat(32).into(),
        ..one.clone()
    };
    let refused = f.complete(&id, &[other], None).await;
    assert!(matches!(
        refused,
        Err(StoreError::InvalidPart { number: 1 })
    ));
    let missing = ClaimedPart { number: 3, ..one };
    let refused = f.complete(&id, &[missing], None).await;
    assert!(matches!(
        refused,
        Err(StoreError::InvalidPart { number: 3 })
    ));
    assert!(matches!(
        f.complete(&id, &[], None).await,
        Err(StoreError::InvalidPart { .. })
    ));
    let page = f
        .store
        .list_parts(&f.bucket, &f.key, &id, 0, 1)
        .await
        .unwrap();
    assert_eq!((page.parts.len(), page.next), (1, Some(1)));
    let page = f
        .store
        .list_parts(&f.bucket, &f.key, &id, 1, 1)
        .await
        .unwrap();
    assert_eq!((page.parts[0].number, page.next), (2, None));
}

#[tokio::test]
async fn a_part_is_the_one_that_is_named() {
    let f = fixture().await;
    let id = f.begin(None).await;
    let small = Bytes::from_static(b"the same");
    f.part(&id, 2, &small).await;
    let five = f.part(&id, 5, &small).await;
    // Its bytes would do, but it has another number.
    let three = ClaimedPart {
        number: 3,
        ..five.clone()
    };
    let odd = ClaimedPart {
        checksum: Some(vec![0; 4]),
        ..five.clone()
    };
    for (claimed, missing) in [(three, 3), (odd, 5)] {
        let refused = f.complete(&id, &[claimed], None).await;
        assert!(
            matches!(refused, Err(StoreError::InvalidPart { number }) if number == missing),
            "{missing}"
        );
    }
    let right = ClaimedPart {
        checksum: Some(Algorithm::Crc32.digest(&small)),
        ..five
    };
    f.complete(&id, &[right], None).await.unwrap();
}

#[tokio::test]
async fn the_crc_of_oss_is_told_only_where_every_part_has_one() {
    let f = fixture().await;
    let id = f.begin(None).await;
    let parts = [
        f.part(&id, 1, &large(1)).await,
        f.part(&id, OF_BEFORE, &large(2)).await,
    ];
    let made = f.complete(&id, &parts, None).await.unwrap();
    assert_eq!(made.record.crc64ecma, None);
}

#[tokio::test]
async fn however_many_parts_there_are_all_go_and_no_other_uploads() {
    let f = fixture().await;
    let [other, id] = [f.begin(None).await, f.begin(None).await];
    f.part(&other, 1, &Bytes::from_static(b"stays")).await;
    for number in 1..=300 {
        f.part(&id, number, &Bytes::from_static(b"goes")).await;
    }
    f.store.abort_upload(&f.bucket, &f.key, &id).await.unwrap();
    for space in [Space::Parts, Space::Inline, Space::Uploads] {
        assert_eq!(f.rows(space).await, 1, "{space:?}");
    }
}

#[tokio::test]
async fn many_parts_are_kept_beside_the_row_and_go_with_the_object() {
    let f = fixture().await;
    let id = f.begin(Some((Algorithm::Crc32, Coverage::Composite))).await;
    let mut parts = Vec::new();
    for number in 1..=17 {
        parts.push(
            f.part(&id, number, &large(u8::try_from(number).unwrap()))
                .await,
        );
    }
    let made = f.complete(&id, &parts, None).await.unwrap().record;
    assert!(made.checksum.unwrap().text().ends_with("-17"));
    assert_eq!(
        (f.rows(Space::Layouts).await, f.rows(Space::Blobs).await),
        (1, 17)
    );
    assert_eq!(f.bytes().await.last(), Some(&17));
    let when = DeleteCondition::default();
    f.store
        .delete_object(&f.bucket, &f.key, None, &when, &origin())
        .await
        .unwrap();
    for space in [Space::Layouts, Space::Blobs, Space::Garbage] {
        assert_eq!(f.rows(space).await, 0, "{space:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_completing_and_aborting_one_wins() {
    for _round in 0..50 {
        let f = fixture().await;
        let id = f.begin(None).await;
        let parts = [f.part(&id, 1, &Bytes::from_static(b"only")).await];
        let (completed, aborted) = tokio::join!(
            f.complete(&id, &parts, None),
            f.store.abort_upload(&f.bucket, &f.key, &id)
        );
        assert_ne!(completed.is_ok(), aborted.is_ok());
        let found = f.store.object(&f.bucket, &f.key, None).await.is_ok();
        assert_eq!(found, completed.is_ok());
        assert_eq!(f.rows(Space::Inline).await, usize::from(found));
        assert_eq!(f.rows(Space::Parts).await + f.rows(Space::Uploads).await, 0);
    }
}

#[tokio::test]
async fn a_part_added_meanwhile_stops_the_end_of_the_upload() {
    let f = fixture().await;
    let id = f.begin(None).await;
    f.part(&id, 3, &Bytes::from_static(b"three")).await;
    for number in [1, 4] {
        let seen = f.store.part_rows(&id).await.unwrap();
        assert_eq!(seen.parts().count(), 1);
        let mut batch = Batch::new();
        seen.take(&id, &mut batch);
        f.part(&id, number, &Bytes::from_static(b"late")).await;
        let late = f.store.meta().commit(batch).await;
        assert!(matches!(late, Err(MetaError::Conflict)));
        let at = keyspace::part(&id, number);
        let mut batch = Batch::new();
        batch.delete(Space::Parts, at);
        f.store.meta().commit(batch).await.unwrap();
    }
}

#[tokio::test]
async fn uploads_are_listed_by_key_then_age_and_rolled_up() {
    let f = fixture().await;
    for key in ["a\0b", "a", "a/1", "a/2", "b", "b"] {
        let key = ObjectKey::parse(key).unwrap();
        f.store
            .create_upload(&f.bucket, &key, new_upload(None))
            .await
            .unwrap();
    }
    let (mut seen, mut marker) = (Vec::new(), None::<UploadMarker>);
    loop {
        let (key_marker, upload_id_marker) = marker.map_or((None, None), |m| (Some(m.key), m.id));
        let delimiter = Some("/".to_owned());
        let prefix = String::new();
        let q = UploadQuery {
            prefix,
            delimiter,
            key_marker,
            upload_id_marker,
            limit: 1,
        };
        let page = f.store.list_uploads(&f.bucket, q).await.unwrap();
        seen.extend(page.items.into_iter().map(|item| match item {
            ListedUpload::Upload { key, .. } => key,
            ListedUpload::CommonPrefix(prefix) => format!("[{prefix}]"),
        }));
        marker = page.next;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["a", "a\0b", "[a/]", "b", "b"]);
}

#[tokio::test]
async fn uploads_go_with_their_bucket() {
    let f = fixture().await;
    let other = f.begin(None).await;
    let id = f.begin(None).await;
    f.part(&id, 1, &Bytes::from_static(b"inline")).await;
    f.store.delete_bucket(&f.bucket.name).await.unwrap();
    let created = f.store.create_bucket(&f.bucket.name, new_bucket()).await;
    let created = created.unwrap();
    let kept = f.store.create_upload(&created, &f.key, new_upload(None));
    kept.await.unwrap();
    // What `delete_bucket` does in the background the sweep after a crash does too.
    f.store.sweep().await.unwrap();
    assert_eq!(f.rows(Space::Uploads).await, 1);
    assert_eq!(f.rows(Space::Parts).await + f.rows(Space::Inline).await, 0);
    for id in [other, id] {
        let aborted = f.store.abort_upload(&f.bucket, &f.key, &id).await;
        assert!(matches!(aborted, Err(StoreError::NoSuchUpload)));
    }
}

#[tokio::test]
async fn a_whole_is_as_long_as_its_signer_allows() {
    let f = fixture().await;
    let five = PART_BYTES_MIN;
    let limited = |min, max| NewUpload {
        duties: Duties {
            length_range: Some(LengthRange { min, max }),
            ..Duties::default()
        },
        ..new_upload(None)
    };
    let begin = async |min, max| {
        let begun = f.store.create_upload(&f.bucket, &f.key, limited(min, max));
        begun.await.unwrap()
    };
    let id = begin(five + 3, five + 4).await;
    let room = async |number| {
        let duties = f.store.upload(&f.bucket, &f.key, &id).await.unwrap().duties;
        f.store.room_for_part(&id, number, &duties).await.unwrap()
    };
    assert_eq!(room(1).await, five + 4);
    let first = f.part(&id, 1, &large(1)).await;
    assert_eq!((room(1).await, room(2).await), (five + 4, 4));
    // The sum is kept beside the parts: nobody reads them for it.
    let sum = async |id: &UploadId| f.counted(id).await;
    let bytes = i64::try_from(five).unwrap();
    assert_eq!(sum(&id).await, Some(bytes));
    let mut stager = f.store.stage(None);
    stager.write(Bytes::from_static(b"12345")).await.unwrap();
    let part = NewPart {
        etag_md5: [0; 16],
        checksum: None,
        once: None,
        crc64ecma: None,
    };
    let staged = stager.finish().await.unwrap();
    let over = f
        .store
        .put_part(&f.bucket, &f.key, &id, 2, part, staged)
        .await;
    assert!(
        matches!(over, Err(StoreError::TooLarge { len: 5, max: 4 })),
        "{over:?}"
    );
    let second = f.part(&id, 2, &Bytes::from_static(b"12")).await;
    let short = f.complete(&id, &[first.clone(), second], None).await;
    let (len, min) = (five + 2, five + 3);
    let says = |error: &StoreError| matches!(error, StoreError::TooSmall { len: l, min: m } if (*l, *m) == (len, min));
    assert!(short.as_ref().is_err_and(says), "{short:?}");
    let second = f.part(&id, 2, &Bytes::from_static(b"123")).await;
    assert_eq!((sum(&id).await, room(2).await), (Some(bytes + 3), 4));
    f.complete(&id, &[first, second], None).await.unwrap();
    assert_eq!(sum(&id).await, None, "what ended is not counted");
}

#[tokio::test]
async fn an_upload_that_began_before_parts_were_counted_is_added_up() {
    let f = fixture().await;
    let limited = NewUpload {
        duties: Duties {
            length_range: Some(LengthRange { min: 0, max: 9 }),
            ..Duties::default()
        },
        ..new_upload(None)
    };
    let duties = limited.duties.clone();
    let id = f.store.create_upload(&f.bucket, &f.key, limited);
    let id = id.await.unwrap();
    f.part(&id, 1, &Bytes::from_static(b"123")).await;
    let mut forget = Batch::new();
    forget.delete(Space::Usage, counter(&id));
    f.store.meta().commit(forget).await.unwrap();
    let room = async |number| {
        let room = f.store.room_for_part(&id, number, &duties).await;
        room.unwrap()
    };
    assert_eq!((room(1).await, room(2).await), (9, 6));
    f.part(&id, 2, &Bytes::from_static(b"12")).await;
    assert_eq!((room(2).await, room(3).await), (6, 4));
    assert_eq!(f.counted(&id).await, None);
    let aborted = f.store.abort_upload(&f.bucket, &f.key, &id).await;
    aborted.unwrap();
}

#[tokio::test]
async fn of_uploads_that_one_signature_began_one_is_completed() {
    let f = fixture().await;
    let nonce = Nonce::new("AK", "00", f.store.clock().now());
    let mut uploads = Vec::new();
    for _ in 0..8 {
        let new = NewUpload {
            duties: Duties {
                once: Some(nonce.clone()),
                ..Duties::default()
            },
            ..new_upload(None)
        };
        let id = f.store.create_upload(&f.bucket, &f.key, new).await.unwrap();
        uploads.push((id, [f.part(&id, 1, &Bytes::from_static(b"x")).await]));
    }
    let all = uploads
        .iter()
        .map(|(id, parts)| f.complete(id, parts, None));
    let done = futures_util::future::join_all(all).await;
    let won: Vec<_> = done
        .iter()
        .zip(&uploads)
        .filter(|(done, _)| done.is_ok())
        .collect();
    assert_eq!(won.len(), 1);
    let (_, (id, parts)) = won[0];
    f.complete(id, parts, None)
        .await
        .expect("an answer that was lost is given again");
    for (done, _) in done.iter().zip(&uploads).filter(|(done, _)| done.is_err()) {
        assert!(
            matches!(done, Err(StoreError::AlreadyUsed { .. })),
            "{done:?}"
        );
    }
    assert_eq!(f.rows(Space::Uploads).await, 7);
}
