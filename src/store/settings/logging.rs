//! Where the records of a bucket's requests go.

use bytes::Bytes;

use super::Settings;
use crate::auth::acl::Grant;
use crate::name::BucketName;
use crate::store::meta::{Batch, MetaError, Space};
use crate::store::{Bucket, BucketQuery, ObjectStore, StoreError};

/// The row of [`Space::System`] that says whether any bucket may ask for records. None has been written
/// by releases that looked at every bucket at each start.
const ASKED: &[u8] = b"logging/asked";
const YES: &[u8] = &[1];
const NO: &[u8] = &[0];
const BUCKETS_AT_A_TIME: usize = 1000;

/// How the keys of a bucket's log objects are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum LogKeys {
    /// `PREFIX TIME UNIQUE`.
    #[n(0)]
    #[default]
    Simple,
    /// `PREFIX ACCOUNT/REGION/BUCKET/YEAR/MONTH/DAY/TIME UNIQUE`, by the day of the requests.
    #[n(1)]
    ByEventTime,
    /// The same, by the day of delivery.
    #[n(2)]
    ByDeliveryTime,
}

/// Where the records of a bucket's requests go.
#[derive(Debug, Clone, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Logging {
    /// The bucket that gets them.
    #[n(0)]
    pub target: String,
    /// What their keys begin with.
    #[n(1)]
    pub prefix: String,
    /// Who else may read them.
    #[n(2)]
    pub grants: Vec<Grant>,
    /// How their keys are made.
    #[n(3)]
    pub keys: LogKeys,
}

impl ObjectStore {
    /// Sets where the records of the bucket's requests go; none: nowhere.
    ///
    /// # Errors
    /// As [`ObjectStore::update_bucket`].
    pub async fn set_logging(
        &self,
        name: &BucketName,
        logging: Option<&Logging>,
    ) -> Result<Bucket, StoreError> {
        let change = |_bucket: &Bucket, settings: &mut Settings| {
            settings.logging = logging.cloned();
            Ok::<_, StoreError>(())
        };
        let stage = |_bucket: &Bucket, batch: &mut Batch| {
            if logging.is_some() {
                batch.put(Space::System, ASKED, Bytes::from_static(YES));
            }
        };
        self.change_bucket(name, change, stage).await
    }

    /// Whether any bucket may ask for records of its requests: one that did once counts for good, since
    /// who looks for nothing loses nothing.
    ///
    /// # Errors
    /// What the metadata engine fails with.
    pub async fn may_ask_for_records(&self) -> Result<bool, StoreError> {
        if let Some(row) = self.meta().get(Space::System, ASKED).await? {
            return Ok(row != NO);
        }
        let asked = self.asks_for_records().await?;
        let mut batch = Batch::new();
        // A bucket that began to ask meanwhile has said so.
        batch.assert_absent(Space::System, ASKED);
        let row = Bytes::from_static(if asked { YES } else { NO });
        batch.put(Space::System, ASKED, row);
        match self.meta().commit(batch).await {
            Ok(()) => Ok(asked),
            Err(MetaError::Conflict) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Looks at every bucket.
    async fn asks_for_records(&self) -> Result<bool, StoreError> {
        let mut after = None;
        loop {
            let page = self.list_buckets(BucketQuery {
                owner: None,
                prefix: String::new(),
                after,
                limit: BUCKETS_AT_A_TIME,
            });
            let page = page.await?;
            let mut settings = page.buckets.iter().map(|bucket| &bucket.settings);
            if settings.any(|settings| settings.logging.is_some()) {
                return Ok(true);
            }
            after = page.next;
            if after.is_none() {
                return Ok(false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::store::blob::memory::MemoryBlobs;
    use crate::store::meta::MetaEngine as _;
    use crate::store::meta::memory::MemoryEngine;
    use crate::store::{NewBucket, NoHook, StoreSettings};

    async fn store(meta: &Arc<MemoryEngine>) -> ObjectStore {
        let (meta, blobs) = (
            Arc::<MemoryEngine>::clone(meta),
            Arc::new(MemoryBlobs::new()),
        );
        let (clock, hook) = (Arc::new(SystemClock), Arc::new(NoHook));
        let settings = StoreSettings::default();
        let opened = ObjectStore::open(meta, blobs, clock, hook, settings);
        opened.await.unwrap()
    }

    async fn bucket(store: &ObjectStore) -> BucketName {
        let name = BucketName::parse("bucket").unwrap();
        let new = NewBucket {
            owner: "owner".into(),
            region: "us-east-1".into(),
            settings: Settings::default(),
        };
        store.create_bucket(&name, new).await.unwrap();
        name
    }

    #[tokio::test]
    async fn a_start_looks_at_every_bucket_once_and_hears_of_those_that_ask_later() {
        let meta = Arc::new(MemoryEngine::new());
        let first = store(&meta).await;
        let name = bucket(&first).await;
        assert!(!first.may_ask_for_records().await.unwrap());
        let row = meta.get(Space::System, ASKED).await.unwrap();
        assert_eq!(row.as_deref(), Some(NO));
        let logging = Logging::default();
        first.set_logging(&name, Some(&logging)).await.unwrap();
        assert!(store(&meta).await.may_ask_for_records().await.unwrap());
        // Who ends it may have told others of it meanwhile: it stays looked for.
        first.set_logging(&name, None).await.unwrap();
        assert!(store(&meta).await.may_ask_for_records().await.unwrap());
    }

    #[tokio::test]
    async fn a_bucket_that_asked_under_an_earlier_release_is_found() {
        let meta = Arc::new(MemoryEngine::new());
        let before = store(&meta).await;
        let name = bucket(&before).await;
        let set = before.update_bucket(&name, |_bucket, settings| {
            settings.logging = Some(Logging::default());
            Ok::<_, StoreError>(())
        });
        set.await.unwrap();
        assert!(before.may_ask_for_records().await.unwrap());
        let row = meta.get(Space::System, ASKED).await.unwrap();
        assert_eq!(row.as_deref(), Some(YES));
    }
}
