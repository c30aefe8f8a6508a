//! What every blob store must do: one suite, run over each of them.

use std::ops::Range;

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::{BlobError, BlobRef, BlobStore};

/// Runs the whole suite over an empty store.
pub(super) async fn check(store: &dyn BlobStore) {
    what_is_written_is_read(store).await;
    every_range_is_right(store).await;
    a_link_outlives_its_source(store).await;
    what_is_deleted_is_missing(store).await;
    a_reader_outlives_a_deletion(store).await;
    what_is_not_finished_is_not_there(store).await;
}

/// Bytes in which every block looks different: 251 does not divide a block's size.
pub(super) fn data(len: usize) -> Bytes {
    (0..=250).cycle().take(len).collect()
}

/// Writes `bytes` in pieces that fit no block.
pub(super) async fn written(store: &dyn BlobStore, bytes: &Bytes) -> BlobRef {
    let mut writer = store.create(Some(bytes.len() as u64)).await.unwrap();
    for piece in bytes.chunks(50_001) {
        writer.write(bytes.slice_ref(piece)).await.unwrap();
    }
    writer.finish().await.unwrap()
}

/// The bytes of `range`.
pub(super) async fn read(
    store: &dyn BlobStore,
    blob: BlobRef,
    range: Range<u64>,
) -> Result<Vec<u8>, BlobError> {
    let pieces: Vec<Bytes> = store.read(blob, range).await?.try_collect().await?;
    Ok(pieces.concat())
}

async fn ids(store: &dyn BlobStore) -> Vec<crate::id::BlobId> {
    store.list().try_collect().await.unwrap()
}

async fn what_is_written_is_read(store: &dyn BlobStore) {
    for len in [0, 1, 65_535, 65_536, 65_537, 1_048_576, 2_000_003] {
        let bytes = data(len);
        let blob = written(store, &bytes).await;
        assert_eq!(blob.len, len as u64);
        assert_eq!(
            read(store, blob, 0..blob.len).await.unwrap(),
            bytes,
            "{len}"
        );
        store.verify(blob).await.unwrap();
        assert!(ids(store).await.contains(&blob.id));
    }
}

async fn every_range_is_right(store: &dyn BlobStore) {
    let bytes = data(1_200_000);
    let blob = written(store, &bytes).await;
    let edges = [
        0, 1, 65_535, 65_536, 524_287, 524_288, 524_289, 1_048_576, 1_199_999, 1_200_000,
    ];
    for start in edges {
        for end in edges.into_iter().filter(|end| *end >= start) {
            let expected = &bytes[start..end];
            assert_eq!(
                read(store, blob, start as u64..end as u64).await.unwrap(),
                expected,
                "{start}..{end}"
            );
        }
    }
}

async fn a_link_outlives_its_source(store: &dyn BlobStore) {
    let bytes = data(100_000);
    let blob = written(store, &bytes).await;
    let other = written(store, &data(70_000)).await;
    let linked = store.link(vec![blob, other]).await.unwrap();
    assert_eq!([linked[0].len, linked[1].len], [blob.len, other.len]);
    assert!(![blob.id, other.id, linked[1].id].contains(&linked[0].id));
    store.delete(blob.id).await.unwrap();
    let read = read(store, linked[0], 0..blob.len).await;
    assert_eq!(read.unwrap(), bytes);
    let before = ids(store).await.len();
    assert!(matches!(
        store.link(vec![other, blob]).await,
        Err(BlobError::Missing { id }) if id == blob.id
    ));
    assert_eq!(
        ids(store).await.len(),
        before,
        "half of the links were left"
    );
}

async fn what_is_deleted_is_missing(store: &dyn BlobStore) {
    let blob = written(store, &data(10)).await;
    store.delete(blob.id).await.unwrap();
    store.delete(blob.id).await.unwrap();
    assert!(matches!(
        read(store, blob, 0..10).await,
        Err(BlobError::Missing { .. })
    ));
    assert!(matches!(
        store.verify(blob).await,
        Err(BlobError::Missing { .. })
    ));
    assert!(!ids(store).await.contains(&blob.id));
}

async fn a_reader_outlives_a_deletion(store: &dyn BlobStore) {
    let bytes = data(3_000_000);
    let blob = written(store, &bytes).await;
    let stream = store.read(blob, 0..blob.len).await.unwrap();
    store.delete(blob.id).await.unwrap();
    let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
    assert_eq!(pieces.concat(), bytes);
}

async fn what_is_not_finished_is_not_there(store: &dyn BlobStore) {
    let before = ids(store).await.len();
    let mut writer = store.create(None).await.unwrap();
    writer.write(data(200_000)).await.unwrap();
    drop(writer);
    assert_eq!(ids(store).await.len(), before);
}
