use std::fs::File;

use bytes::Bytes;

use super::super::conformance::{self, data, read, written};
use super::*;
use crate::clock::SystemClock;

fn open(folder: &Path) -> FileBlobs {
    FileBlobs::open(folder, Durability::Fsync, Arc::new(SystemClock)).unwrap()
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    conformance::check(&open(folder.path())).await;
}

#[tokio::test]
async fn blobs_are_there_after_reopening_and_staged_files_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let blob = written(&store, &data(70_000)).await;
    let left = folder.path().join("tmp/left-by-a-crash");
    std::fs::write(&left, "half").unwrap();
    drop(store);
    let store = open(folder.path());
    assert_eq!(read(&store, blob, 0..blob.len).await.unwrap(), data(70_000));
    assert!(!left.exists());
}

/// Whatever of a blob the system has in memory, all of it or none, the same bytes come.
#[tokio::test]
async fn what_was_forgotten_is_read_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let bytes = data(3 * read::PIECE_BYTES + 70_001);
    let blob = written(&store, &bytes).await;
    let file = File::open(store.place.path(blob.id)).unwrap();
    for range in [0..blob.len, 100_000..800_000, blob.len - 1..blob.len] {
        let at = |offset| usize::try_from(offset).unwrap();
        let (from, to) = (at(range.start), at(range.end));
        for _again in 0..2 {
            let found = read(&store, blob, range.clone()).await;
            assert_eq!(found.unwrap(), bytes[from..to]);
        }
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
}

#[tokio::test]
async fn a_flipped_bit_is_never_served() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let blob = written(&store, &data(200_000)).await;
    let path = store.place.path(blob.id);
    let good = std::fs::read(&path).unwrap();
    for at in [0, 65_536, 199_999, 200_000, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(&path, bad).unwrap();
        let whole = read(&store, blob, 0..blob.len).await;
        assert!(
            matches!(whole, Err(BlobError::Corrupt { .. })),
            "byte {at}: {whole:?}"
        );
        assert!(
            matches!(store.verify(blob).await, Err(BlobError::Corrupt { .. })),
            "byte {at}"
        );
    }
    // A range is served where its own blocks are whole.
    let mut bad = good.clone();
    bad[70_000] ^= 1;
    std::fs::write(&path, bad).unwrap();
    assert_eq!(read(&store, blob, 0..10).await.unwrap(), data(10));
    assert!(read(&store, blob, 65_536..65_537).await.is_err());
}

#[tokio::test]
async fn a_truncated_blob_is_never_served() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let blob = written(&store, &data(200_000)).await;
    let path = store.place.path(blob.id);
    let good = std::fs::read(&path).unwrap();
    for len in [0, 10, 199_999, good.len() - 1] {
        std::fs::write(&path, &good[..len]).unwrap();
        assert!(
            matches!(
                read(&store, blob, 0..1).await,
                Err(BlobError::Corrupt { .. })
            ),
            "{len}"
        );
    }
}

#[tokio::test]
async fn an_upload_given_up_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let place = Arc::clone(&store.place);
    let mut writer = write::FileWriter::create(place, Some(1_000_000))
        .await
        .unwrap();
    writer.write(data(100_000)).await.unwrap();
    writer.give_up().await.unwrap();
    assert_eq!(
        std::fs::read_dir(folder.path().join("tmp"))
            .unwrap()
            .count(),
        0
    );
}

/// What comes no faster than it is written stays there, for who reads it next, and so does what is small. (When
/// the system forgets the others is its own affair.)
#[tokio::test]
async fn a_flood_of_large_uploads_is_not_to_stay_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for (bytes, is_flood, passes) in [
        (9_000_000, true, true),
        (9_000_000, false, false),
        (3_000_000, true, false),
    ] {
        let place = Arc::clone(&store.place);
        let writer = write::FileWriter::create(place, Some(bytes as u64)).await;
        let mut writer = writer.unwrap();
        if is_flood {
            writer = writer.in_a_flood();
        }
        for piece in data(bytes).chunks(200_000) {
            writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        let found = writer.passes_memory().await.unwrap();
        assert_eq!(found, passes, "{bytes}, {is_flood}");
        let blob = Box::new(writer).finish().await.unwrap();
        let found = read(&store, blob, 0..blob.len).await.unwrap();
        assert!(found == data(bytes), "{bytes}, {is_flood}");
    }
}

/// The disk is at work while the last bytes are hashed; whoever gives up after all leaves nothing.
#[tokio::test]
async fn what_was_announced_is_synced_as_soon_as_it_has_come() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let left = || {
        std::fs::read_dir(folder.path().join("tmp"))
            .unwrap()
            .count()
    };
    for (announced, is_whole) in [(Some(100_000), true), (Some(100_001), false), (None, false)] {
        let place = Arc::clone(&store.place);
        let mut writer = write::FileWriter::create(place, announced).await.unwrap();
        writer.write(data(70_000)).await.unwrap();
        assert!(!writer.is_whole().await.unwrap(), "{announced:?}");
        writer.write(data(30_000)).await.unwrap();
        assert_eq!(writer.is_whole().await.unwrap(), is_whole, "{announced:?}");
        writer.give_up().await.unwrap();
        assert_eq!(left(), 0);
    }
}

#[tokio::test]
async fn more_than_was_announced_is_no_blob() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for lens in [&[100_001][..], &[100_000, 1], &[99_999, 300_000]] {
        let mut writer = store.create(Some(100_000)).await.unwrap();
        let mut outcome = Ok(());
        for len in lens {
            outcome = outcome.and(writer.write(data(*len)).await);
        }
        let refused = outcome.and(writer.finish().await.map(drop));
        assert!(matches!(refused, Err(BlobError::Io { .. })), "{lens:?}");
    }
    let left = std::fs::read_dir(folder.path().join("tmp")).unwrap();
    assert_eq!(left.count(), 0);
    let stored: Vec<_> = store.list().collect().await;
    assert!(stored.is_empty(), "{stored:?}");
}

#[tokio::test]
async fn after_a_failed_sync_blobs_are_read_and_no_more_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let blob = written(&store, &data(70_000)).await;
    let reason: Arc<str> = "syncing: Input/output error".into();
    let failed: Result<(), _> = Err(BlobError::Poisoned { reason });
    store.place.settled(failed).unwrap_err();
    assert!(matches!(store.writable(), Err(BlobError::Poisoned { .. })));
    let refused = store.create(None).await.unwrap_err();
    assert!(matches!(refused, BlobError::Poisoned { .. }));
    let refused = store.link(vec![blob]).await.unwrap_err();
    assert!(matches!(refused, BlobError::Poisoned { .. }));
    assert_eq!(read(&store, blob, 0..blob.len).await.unwrap(), data(70_000));
    store.delete(blob.id).await.unwrap();
}

#[tokio::test]
async fn a_disk_without_room_takes_no_blob() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.leave_free(Room::new(vec![folder.path().to_owned()], u64::MAX));
    let refused = store.create(None).await.unwrap_err();
    assert!(matches!(refused, BlobError::Full));
    assert!(matches!(store.room(1), Err(BlobError::Full)));
}

/// `MinIO` #16148: a disk that could not do what was needed was found out by the first who needed it.
#[test]
fn a_disk_that_has_no_second_names_is_told_at_the_start() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir_in("/dev/shm").unwrap();
    let device = |folder: &tempfile::TempDir| folder.path().metadata().unwrap().dev();
    assert_ne!(
        device(&folder),
        device(&other),
        "this needs two file systems"
    );
    std::os::unix::fs::symlink(other.path(), folder.path().join("data")).unwrap();
    let refused = open(folder.path()).check_links().unwrap_err().to_string();
    assert!(refused.contains("one file system"), "{refused}");
    let whole = tempfile::tempdir().unwrap();
    open(whole.path()).check_links().unwrap();
    let left = std::fs::read_dir(whole.path().join("tmp")).unwrap();
    assert_eq!(left.count(), 0);
    for spread in std::fs::read_dir(whole.path().join("data")).unwrap() {
        let left = std::fs::read_dir(spread.unwrap().path()).unwrap();
        assert_eq!(left.count(), 0);
    }
}
