//! One-time use: a nonce's row is put by the batch that its use makes durable, so that of any number
//! of uses one wins, also over a crash.
//!
//! What began while its signature was good may end later: rows are kept for [`GRACE`] after it, and
//! whatever would end later still is refused. So no row that is gone can be missed.

use std::time::Duration;

use super::meta::{self, Batch, KeyRange, MetaError, Space};
use super::record::{decode, encode};
use super::{ObjectStore, StoreError, keyspace};
use crate::auth::constraint::Nonce;
use crate::clock::Timestamp;
use crate::fail_point;

/// How long after its signature expired an upload may end: multipart uploads take their time.
pub const GRACE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Rows stay longer than they are asked for: clocks step, and a batch waits for its turn.
const MARGIN: Duration = Duration::from_secs(60 * 60);
/// Rows that one batch deletes.
const FORGOTTEN_AT_ONCE: usize = 1_000;

/// When the row of `nonce` may go.
fn kept_until(nonce: &Nonce) -> Timestamp {
    nonce.good_until().plus(GRACE).plus(MARGIN)
}

/// Where the row of `nonce` is: in order of when rows may go.
pub(super) fn row_key(nonce: &Nonce) -> Vec<u8> {
    keyspace::nonce(kept_until(nonce), nonce.digest())
}

impl ObjectStore {
    /// Whether `nonce` can still be used: worth asking before the bytes come. The batch asserts it.
    ///
    /// # Errors
    /// [`StoreError::AlreadyUsed`], [`StoreError::UsedTooLate`].
    pub async fn check_unused(&self, nonce: Option<&Nonce>) -> Result<(), StoreError> {
        let Some(nonce) = nonce else {
            return Ok(());
        };
        if self.clock().now() > nonce.good_until().plus(GRACE) {
            return Err(StoreError::UsedTooLate);
        }
        match self.meta().get(Space::Nonces, &row_key(nonce)).await? {
            None => Ok(()),
            Some(raw) => Err(StoreError::AlreadyUsed {
                at: decode(&raw, "a nonce")?,
            }),
        }
    }

    /// Uses `nonce` up, where there is one, together with all else that `batch` does.
    ///
    /// # Errors
    /// As [`ObjectStore::check_unused`].
    pub(super) async fn use_up(
        &self,
        nonce: Option<&Nonce>,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        self.check_unused(nonce).await?;
        if let Some(nonce) = nonce {
            let at = row_key(nonce);
            batch.assert_absent(Space::Nonces, at.clone());
            batch.put(Space::Nonces, at, encode(&self.clock().now())?);
            fail_point::reach("once.staged");
        }
        Ok(())
    }

    /// Forgets what can't be asked for any more; says how many rows went.
    ///
    /// # Errors
    /// What the metadata engine fails with.
    pub async fn forget_nonces(&self) -> Result<u64, MetaError> {
        let end = keyspace::nonce(self.clock().now(), &[0; 32]);
        let range = KeyRange {
            start: bytes::Bytes::new(),
            end: Some(end.into()),
        };
        let mut gone = 0_u64;
        loop {
            let limit = FORGOTTEN_AT_ONCE;
            let rows = meta::scan(&**self.meta(), Space::Nonces, range.clone(), limit).await?;
            if rows.is_empty() {
                return Ok(gone);
            }
            let mut batch = Batch::new();
            for row in rows {
                batch.delete(Space::Nonces, row.key);
                gone = gone.saturating_add(1);
            }
            self.meta().commit(batch).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use futures_util::future::join_all;

    use super::*;
    use crate::clock::ManualClock;
    use crate::id::RequestId;
    use crate::name::{BucketName, ObjectKey};
    use crate::store::blob::memory::MemoryBlobs;
    use crate::store::meta::MetaEngine;
    use crate::store::meta::fault::{FaultyEngine, MetaFault};
    use crate::store::meta::memory::MemoryEngine;
    use crate::store::{
        Bucket, ETag, EventName, Extras, NewBucket, NewObject, NoHook, ObjectHeaders, Origin,
        Settings, StoreSettings, WriteCondition, Written,
    };

    struct Fixture {
        store: ObjectStore,
        bucket: Bucket,
        clock: Arc<ManualClock>,
    }

    fn t0() -> Timestamp {
        Timestamp::from_unix_s(1_800_000_000)
    }

    async fn fixture(meta: Arc<dyn MetaEngine>) -> Fixture {
        let clock = Arc::new(ManualClock::at(t0()));
        let blobs = Arc::new(MemoryBlobs::new());
        let settings = StoreSettings::default();
        let store = ObjectStore::open(meta, blobs, clock.clone(), Arc::new(NoHook), settings);
        let store = store.await.unwrap();
        let new = NewBucket {
            owner: "me".into(),
            region: "r".into(),
            settings: Settings::default(),
        };
        let name = BucketName::parse("abc").unwrap();
        let bucket = store.create_bucket(&name, new).await.unwrap();
        Fixture {
            store,
            bucket,
            clock,
        }
    }

    impl Fixture {
        async fn put(&self, key: &str, once: &Nonce) -> Result<Written, StoreError> {
            let mut stager = self.store.stage(None);
            stager.write(Bytes::from_static(b"x")).await?;
            let new = NewObject {
                headers: ObjectHeaders::default(),
                etag: ETag::md5([1; 16]),
                checksum: None,
                crc64ecma: None,
                owner: "me".into(),
                extras: Extras::default(),
            };
            let by = Origin {
                request_id: RequestId::random(),
                principal: "me".into(),
                source_ip: None,
                event: EventName::ObjectCreatedPut,
                callback: None,
                once: Some(once.clone()),
            };
            let (key, staged) = (ObjectKey::parse(key).unwrap(), stager.finish().await?);
            let when = WriteCondition::default();
            let put = self
                .store
                .put_object(&self.bucket, &key, new, staged, &when, &by);
            put.await
        }

        async fn rows(&self) -> usize {
            let meta = self.store.meta().as_ref();
            let rows = meta::scan(meta, Space::Nonces, KeyRange::all(), usize::MAX).await;
            rows.unwrap().len()
        }
    }

    #[tokio::test]
    async fn of_many_uses_one_wins_wherever_they_go() {
        // Its commits wait, so that all uses were found unused before the first is one.
        let meta = FaultyEngine::slow(Arc::new(MemoryEngine::new()));
        let f = fixture(Arc::new(meta)).await;
        let nonce = Nonce::new("AK", "00", t0());
        let keys: Vec<_> = (0..64).map(|at| format!("k{}", at % 8)).collect();
        let done = join_all(keys.iter().map(|key| f.put(key, &nonce))).await;
        let (won, lost): (Vec<_>, Vec<_>) = done.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        let used = |lost: &Result<Written, StoreError>| matches!(lost, Err(StoreError::AlreadyUsed { at }) if *at == t0());
        assert!(lost.iter().all(used), "{lost:?}");
        assert_eq!(f.store.usage(&f.bucket).await.unwrap().objects, 1);
        f.put("other", &Nonce::new("AK", "01", t0())).await.unwrap();
    }

    #[tokio::test]
    async fn what_failed_was_no_use() {
        let meta = Arc::new(FaultyEngine::new(Arc::new(MemoryEngine::new())));
        let f = fixture(meta.clone()).await;
        let nonce = Nonce::new("AK", "00", t0());
        meta.fail_commit(1, MetaFault::Full);
        assert!(f.put("k", &nonce).await.is_err());
        assert_eq!(f.rows().await, 0);
        meta.fail_commit(1, MetaFault::Conflict);
        f.put("k", &nonce).await.unwrap();
        let again = f.put("k", &nonce).await;
        assert!(
            matches!(again, Err(StoreError::AlreadyUsed { .. })),
            "{again:?}"
        );
    }

    #[tokio::test]
    async fn no_row_goes_while_it_can_be_missed() {
        let f = fixture(Arc::new(MemoryEngine::new())).await;
        let (used, other) = (Nonce::new("AK", "00", t0()), Nonce::new("AK", "01", t0()));
        f.put("k", &used).await.unwrap();
        f.clock.advance(GRACE);
        assert_eq!(f.store.forget_nonces().await.unwrap(), 0);
        let late = f.put("k", &used).await;
        assert!(
            matches!(late, Err(StoreError::AlreadyUsed { .. })),
            "{late:?}"
        );
        f.put("k", &other).await.unwrap();
        f.clock.advance(Duration::from_millis(1));
        for nonce in [&used, &other, &Nonce::new("AK", "02", t0())] {
            let late = f.put("k", nonce).await;
            assert!(matches!(late, Err(StoreError::UsedTooLate)), "{late:?}");
        }
        f.clock.advance(MARGIN);
        let young = Nonce::new("AK", "03", f.store.clock().now());
        f.put("k", &young).await.unwrap();
        assert_eq!(f.store.forget_nonces().await.unwrap(), 2);
        assert_eq!(f.rows().await, 1);
    }

    #[tokio::test]
    async fn however_many_may_go_all_go() {
        let f = fixture(Arc::new(MemoryEngine::new())).await;
        let count = FORGOTTEN_AT_ONCE + 5;
        for at in 0..count {
            let mut batch = Batch::new();
            let nonce = Nonce::new("AK", &at.to_string(), t0());
            f.store.use_up(Some(&nonce), &mut batch).await.unwrap();
            f.store.meta().commit(batch).await.unwrap();
        }
        f.clock.advance(GRACE + MARGIN + Duration::from_millis(1));
        assert_eq!(f.store.forget_nonces().await.unwrap(), count as u64);
        assert_eq!(f.rows().await, 0);
    }
}
