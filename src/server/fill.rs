//! A bucket that is filled faster than requests could, for who measures what many objects cost.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use super::OfflineError;
use super::offline::{self, Opened};
use crate::checksum::Algorithm;
use crate::config::Config;
use crate::id::RequestId;
use crate::name::{BucketName, ObjectKey};
use crate::store::meta::gather::Gathering;
use crate::store::meta::{MetaEngine, MetaError};
use crate::store::{
    Bucket, ETag, EventName, Extras, NewObject, NoHook, ObjectHeaders, ObjectStore, Origin,
    StoreError, WriteCondition,
};

/// Objects that share one batch: enough to make what a batch costs small beside what they do.
const GATHERED_MAX: usize = 1000;
/// Their bytes: what the committer writes at a time.
const GATHERED_BYTES_MAX: usize = 4 << 20;

/// A bucket of a data folder, which is held meanwhile.
#[derive(Debug)]
pub struct Filling {
    /// Holds the folder.
    _opened: Opened,
    /// The same store, over batches that wait for each other.
    store: ObjectStore,
    gathering: Arc<Gathering>,
    bucket: Bucket,
}

impl Filling {
    /// Opens the data folder.
    ///
    /// # Errors
    /// [`OfflineError`]: [`OfflineError::NoBucket`] where the bucket was not made before.
    pub async fn open(config: &Config, bucket: &BucketName) -> Result<Self, OfflineError> {
        let opened = offline::open(config).await?;
        let found = opened.store.bucket(bucket).await;
        let bucket = found.map_err(|error| match error {
            StoreError::NoSuchBucket => OfflineError::NoBucket(bucket.clone()),
            error => error.into(),
        })?;
        let (meta, blobs) = opened.engines.split();
        let gathering = Arc::new(Gathering::over(meta));
        let over: Arc<dyn MetaEngine> = Arc::<Gathering>::clone(&gathering);
        let (clock, settings) = (Arc::clone(opened.store.clock()), opened.store.settings());
        let store = ObjectStore::attach(over, blobs, clock, Arc::new(NoHook), settings).await?;
        Ok(Self {
            _opened: opened,
            store,
            gathering,
            bucket,
        })
    }

    /// Puts an object of these `bytes` under each of the keys, of which none comes twice, by the same way
    /// as an upload: what comes of it differs in nothing. Receivers are not told. `done` is shown how
    /// many there are by now; all of them are durable at the end.
    ///
    /// # Errors
    /// [`OfflineError`].
    pub async fn put(
        &self,
        keys: impl Iterator<Item = ObjectKey>,
        bytes: &Bytes,
        mut done: impl FnMut(usize),
    ) -> Result<(), OfflineError> {
        let md5 = Algorithm::Md5.digest(bytes).try_into();
        let new = NewObject {
            headers: ObjectHeaders::default(),
            etag: ETag::md5(md5.map_err(|_length| StoreError::corrupt("an MD5"))?),
            checksum: None,
            crc64ecma: None,
            owner: self.bucket.owner.clone(),
            extras: Extras::default(),
        };
        let fit = GATHERED_BYTES_MAX.checked_div(bytes.len());
        let most = fit.unwrap_or(GATHERED_MAX).clamp(1, GATHERED_MAX);
        // The batch before, which is committed while the next one is made.
        let mut before: BoxFuture<'_, Result<(), MetaError>> = ready(Ok(())).boxed();
        let mut count = 0_usize;
        for key in keys {
            self.put_one(&key, new.clone(), bytes.clone()).await?;
            count = count.saturating_add(1);
            if count.is_multiple_of(most) {
                before.await.map_err(StoreError::from)?;
                before = self.gathering.send();
                done(count);
            }
        }
        before.await.map_err(StoreError::from)?;
        self.gathering.send().await.map_err(StoreError::from)?;
        done(count);
        Ok(())
    }

    async fn put_one(
        &self,
        key: &ObjectKey,
        new: NewObject,
        bytes: Bytes,
    ) -> Result<(), StoreError> {
        let mut stager = self.store.stage(u64::try_from(bytes.len()).ok());
        stager.write(bytes).await?;
        let by = Origin {
            request_id: RequestId::random(),
            principal: self.bucket.owner.clone(),
            source_ip: None,
            event: EventName::ObjectCreatedPut,
            callback: None,
            once: None,
        };
        let (staged, any) = (stager.finish().await?, WriteCondition::default());
        let put = self
            .store
            .put_object(&self.bucket, key, new, staged, &any, &by);
        put.await.map(drop)
    }
}
