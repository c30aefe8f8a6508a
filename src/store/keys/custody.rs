//! How the secrets of keys lie on the disk: sealed by the current master key.
//!
//! What earlier versions of the server stored in plain, or what an earlier master key sealed, is sealed
//! anew at the start. A mark tells that this was done with the present master key, and it is put
//! only when the old rows are gone from the files too: whatever a crash leaves half done, the next
//! start does again.

use bytes::Bytes;
use zeroize::Zeroizing;

use super::record::{KEY_ROW, KeyRecord};
use crate::auth::session::SessionKey;
use crate::id::random;
use crate::store::StoreError;
use crate::store::meta::{self, Batch, Entry, KeyRange, MetaEngine, MetaError, Space};
use crate::store::record::{decode, encode};
use crate::store::seal::{MasterRing, SealedSecret};

/// Where the key that seals sessions' tokens is.
const SESSION_KEY: &[u8] = b"session-key";
/// Where the mark of the master key is that sealed all secrets.
const MARK: &[u8] = b"secrets-mark";
/// The spaces that hold secrets.
const SPACES: &[Space] = &[Space::Keys, Space::System];

/// What was found, and what is to be done about it.
#[derive(Default)]
struct Renewal {
    batch: Batch,
    /// Something lies in files that is to vanish from there.
    leaves_old: bool,
    /// Something stays as it is, since no master key opens it.
    lost: bool,
}

/// Seals by the current master key what is not sealed by it, and gives the key of sessions: made once, so
/// that sessions outlive a restart.
///
/// # Errors
/// What the engine fails with.
pub(super) async fn take(
    meta: &dyn MetaEngine,
    masters: &MasterRing,
) -> Result<SessionKey, StoreError> {
    let mark = masters.mark().ok_or_else(no_master)?;
    let marked = meta.get(Space::System, MARK).await?;
    let stored = meta.get(Space::System, SESSION_KEY).await?;
    let opened = stored.as_deref().and_then(|raw| open_session(raw, masters));
    let is_current = marked.as_deref() == Some(mark.as_slice());
    if let Some(key) = opened.as_ref().filter(|_key| is_current) {
        return Ok(SessionKey::from_bytes(**key));
    }
    if stored.is_some() && opened.is_none() {
        tracing::warn!(
            "no master key opens the key of sessions: a new one is made, and all sessions end"
        );
    }
    let key = opened.unwrap_or_else(|| Zeroizing::new(random()));
    let mut renewal = Renewal::default();
    let sealed = masters
        .seal(key.as_slice(), SESSION_KEY)
        .map_err(StoreError::seal)?;
    renewal
        .batch
        .assert_unchanged(Space::System, SESSION_KEY, stored.clone())
        .put(Space::System, SESSION_KEY, encode(&sealed)?)
        .delete(Space::System, MARK);
    renewal.leaves_old = stored.is_some();
    let range = KeyRange::prefix([KEY_ROW].to_vec());
    for row in meta::scan(meta, Space::Keys, range, usize::MAX).await? {
        renewal.renew(row, masters)?;
    }
    meta.commit(renewal.batch).await?;
    if renewal.leaves_old {
        meta.expunge(SPACES).await?;
    }
    if !renewal.lost {
        let mut done = Batch::new();
        done.put(Space::System, MARK, Bytes::copy_from_slice(&mark));
        meta.commit(done).await?;
    }
    Ok(SessionKey::from_bytes(*key))
}

impl Renewal {
    fn renew(&mut self, row: Entry, masters: &MasterRing) -> Result<(), StoreError> {
        let mut record: KeyRecord = decode(&row.value, "an access key")?;
        let Ok(secret) = record.secret(masters) else {
            // Its ring entry says so, where people look.
            self.lost = true;
            return Ok(());
        };
        record.keep(&secret, masters)?;
        let new = encode(&record)?;
        self.batch
            .assert_unchanged(Space::Keys, row.key.clone(), Some(row.value))
            .put(Space::Keys, row.key, new);
        self.leaves_old = true;
        Ok(())
    }
}

/// The key of sessions: 32 bytes in plain, as they once were stored, or sealed, which is longer.
fn open_session(raw: &[u8], masters: &MasterRing) -> Option<Zeroizing<[u8; 32]>> {
    if let Ok(plain) = <[u8; 32]>::try_from(raw) {
        return Some(Zeroizing::new(plain));
    }
    let sealed: SealedSecret = decode(raw, "the key of sessions").ok()?;
    let opened = masters.open(&sealed, SESSION_KEY).ok()?;
    <[u8; 32]>::try_from(opened.as_slice())
        .ok()
        .map(Zeroizing::new)
}

fn no_master() -> StoreError {
    StoreError::from(MetaError::Open {
        reason: "there is no master key".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::auth::Secret;
    use crate::store::meta::memory::MemoryEngine;
    use crate::store::meta::rocks::{Durability, RocksEngine};
    use crate::store::seal::MasterKey;

    const HUSH: &str = "hush-hush-of-an-old-row";

    fn ring(byte: u8) -> MasterRing {
        MasterRing::new("configured".into(), MasterKey::from_bytes([byte; 32]))
    }

    fn plain() -> KeyRecord {
        KeyRecord {
            plain: Some(HUSH.to_owned()),
            ..KeyRecord::for_test("CK1")
        }
    }

    async fn put(meta: &dyn MetaEngine, space: Space, key: &[u8], value: Bytes) {
        let mut batch = Batch::new();
        batch.put(space, Bytes::copy_from_slice(key), value);
        meta.commit(batch).await.unwrap();
    }

    async fn stored(meta: &dyn MetaEngine) -> KeyRecord {
        let raw = meta.get(Space::Keys, b"kCK1").await.unwrap().unwrap();
        decode(&raw, "a key").unwrap()
    }

    /// Whether any file of the folder holds `what`.
    fn holds(folder: &std::path::Path, what: &[u8]) -> bool {
        let files = std::fs::read_dir(folder).unwrap();
        let mut files = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
        files.any(|bytes| bytes.windows(what.len()).any(|some| some == what))
    }

    #[tokio::test]
    async fn rows_in_plain_are_sealed_and_leave_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let open = || RocksEngine::open(folder.path(), Durability::None).unwrap();
        let session = [7; 32];
        // Once in a file of rows, and once in the log.
        for _ in 0..2 {
            let meta = open();
            put(&meta, Space::Keys, b"kCK1", encode(&plain()).unwrap()).await;
            put(&meta, Space::System, SESSION_KEY, session.to_vec().into()).await;
            drop(meta);
        }
        assert!(holds(folder.path(), HUSH.as_bytes()) && holds(folder.path(), &session));
        let meta = open();
        let key = take(&meta, &ring(1)).await.unwrap();
        assert!(key.is(&session));
        let record = stored(&meta).await;
        assert!(record.plain.is_none());
        assert_eq!(record.secret(&ring(1)).unwrap().expose(), HUSH);
        drop(meta);
        assert!(!holds(folder.path(), HUSH.as_bytes()), "the secret is left");
        assert!(
            !holds(folder.path(), &session),
            "the key of sessions is left"
        );
    }

    #[tokio::test]
    async fn a_new_master_key_seals_again_what_an_earlier_one_sealed() {
        let meta: Arc<dyn MetaEngine> = Arc::new(MemoryEngine::new());
        put(&*meta, Space::Keys, b"kCK1", encode(&plain()).unwrap()).await;
        let session = [7; 32];
        put(&*meta, Space::System, SESSION_KEY, session.to_vec().into()).await;
        take(&*meta, &ring(1)).await.unwrap();
        let both = ring(2).with("previous-0".into(), MasterKey::from_bytes([1; 32]));
        let key = take(&*meta, &both).await.unwrap();
        assert!(key.is(&session));
        // From then on the earlier one is not needed any more.
        let key = take(&*meta, &ring(2)).await.unwrap();
        assert!(key.is(&session));
        let secret = stored(&*meta).await.secret(&ring(2)).unwrap();
        assert_eq!(secret.expose(), HUSH);
    }

    #[tokio::test]
    async fn a_wrong_master_key_destroys_no_key() {
        let meta = MemoryEngine::new();
        put(&meta, Space::Keys, b"kCK1", encode(&plain()).unwrap()).await;
        take(&meta, &ring(1)).await.unwrap();
        take(&meta, &ring(2)).await.unwrap();
        assert!(stored(&meta).await.secret(&ring(2)).is_err());
        take(&meta, &ring(1)).await.unwrap();
        let secret = stored(&meta).await.secret(&ring(1)).unwrap();
        assert_eq!(secret.expose(), HUSH);
    }

    #[tokio::test]
    async fn a_start_that_ended_before_the_mark_is_made_good_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let meta = RocksEngine::open(folder.path(), Durability::None).unwrap();
        put(&meta, Space::Keys, b"kCK1", encode(&plain()).unwrap()).await;
        // The rows were sealed, and then the lights went out: the old one is still in the log.
        let mut record = plain();
        record.keep(&Secret::new(HUSH), &ring(1)).unwrap();
        put(&meta, Space::Keys, b"kCK1", encode(&record).unwrap()).await;
        drop(meta);
        assert!(holds(folder.path(), HUSH.as_bytes()));
        let meta = RocksEngine::open(folder.path(), Durability::None).unwrap();
        take(&meta, &ring(1)).await.unwrap();
        drop(meta);
        assert!(!holds(folder.path(), HUSH.as_bytes()));
    }
}
