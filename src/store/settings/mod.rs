//! What a bucket is set to. Each setting has a file of its own here and a numbered field in
//! [`Settings`]; the bucket's record holds them all.

mod cors;
mod encryption;
mod lifecycle;
mod logging;
mod notification;
mod ownership;
mod quota;
mod versioning;
mod website;

pub use cors::CorsRule;
pub use encryption::{DefaultKey, Encryption};
pub use lifecycle::{
    DayLength, Expiration, FilterForm, LifecycleFilter, LifecycleRule, NoncurrentExpiration,
    TransitionSize,
};
pub use logging::{LogKeys, Logging};
pub use notification::{NotificationRule, ReceiverKind, covers};
pub use ownership::{AccessSettings, Ownership, PublicAccessBlock};
pub use quota::Quota;
pub use versioning::Versioning;
pub use website::{RoutingRule, Website};

use super::bucket::Bucket;
use super::hook::Origin;
use super::lock::ObjectLock;
use super::meta::{Batch, MetaError, Space};
use super::record::encode;
use super::{ObjectStore, StoreError, TRIES_MAX};
use crate::name::BucketName;

/// A bucket's settings. A new field is an `Option`, or has a default, so that older records stay
/// readable.
#[derive(Debug, Clone, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Settings {
    /// Whether the bucket keeps the versions of its objects.
    #[cbor(n(0), default)]
    pub versioning: Versioning,
    /// The bucket's tags; none is the same as an empty set.
    #[cbor(n(1), default)]
    pub tags: Vec<(String, String)>,
    /// Which pages may use it from a browser.
    #[cbor(n(2), default)]
    pub cors: Vec<CorsRule>,
    /// Who may do what.
    #[cbor(n(3), default)]
    pub access: AccessSettings,
    /// Whether it locks objects.
    #[n(4)]
    pub object_lock: Option<ObjectLock>,
    /// How it seals objects.
    #[n(5)]
    pub encryption: Option<Encryption>,
    /// What becomes of its objects with time.
    #[cbor(n(6), default)]
    pub lifecycle: Vec<LifecycleRule>,
    /// Who is told of what happens to its objects.
    #[cbor(n(7), default)]
    pub notifications: Vec<NotificationRule>,
    /// Whether others than its owner must say that they pay for their requests.
    #[cbor(n(8), default)]
    pub requester_pays: bool,
    /// How it is served as a website.
    #[n(9)]
    pub website: Option<Website>,
    /// Where the records of its requests go.
    #[n(10)]
    pub logging: Option<Logging>,
    /// How much it may hold.
    #[n(11)]
    pub quota: Option<Quota>,
    /// What its lifecycle rules say of small objects.
    #[cbor(n(12), default)]
    pub transition_size: TransitionSize,
}

impl ObjectStore {
    /// Changes the settings of the bucket `name`. Where somebody else changed the bucket
    /// meanwhile, `change` sees it anew.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`], what `change` refuses with, what the engine fails with.
    pub async fn update_bucket<E: From<StoreError>>(
        &self,
        name: &BucketName,
        change: impl FnMut(&Bucket, &mut Settings) -> Result<(), E> + Send,
    ) -> Result<Bucket, E> {
        self.change_bucket(name, change, |_bucket, _batch| {}).await
    }

    /// Sets who is told of what happens to the bucket's objects, and tells each of them so: a
    /// receiver that misses the test is seen before it misses an upload.
    ///
    /// # Errors
    /// As [`ObjectStore::update_bucket`].
    pub async fn set_notifications(
        &self,
        name: &BucketName,
        rules: &[NotificationRule],
        by: &Origin,
    ) -> Result<Bucket, StoreError> {
        let at = self.clock().now();
        let change = |_bucket: &Bucket, settings: &mut Settings| {
            settings.notifications = rules.to_vec();
            Ok::<_, StoreError>(())
        };
        let stage = |bucket: &Bucket, batch: &mut Batch| {
            for rule in rules {
                self.hook().stage_test(bucket, rule, by, at, batch);
            }
        };
        let changed = self.change_bucket(name, change, stage).await?;
        self.hook().committed();
        Ok(changed)
    }

    /// `stage` adds what becomes true together with the change.
    async fn change_bucket<E: From<StoreError>>(
        &self,
        name: &BucketName,
        mut change: impl FnMut(&Bucket, &mut Settings) -> Result<(), E> + Send,
        mut stage: impl FnMut(&Bucket, &mut Batch) + Send,
    ) -> Result<Bucket, E> {
        for _try in 0..TRIES_MAX {
            let bucket = self.bucket(name).await?;
            let mut settings = bucket.settings.clone();
            change(&bucket, &mut settings)?;
            if settings == bucket.settings {
                return Ok(bucket);
            }
            let raw = encode(&bucket.record_with(settings))?;
            let mut batch = Batch::new();
            bucket.assert_unchanged(&mut batch);
            batch.put(
                Space::Buckets,
                name.as_str().as_bytes().to_vec(),
                raw.clone(),
            );
            stage(&bucket, &mut batch);
            match self.meta().commit(batch).await {
                Ok(()) => return Ok(Bucket::read(name.clone(), raw)?),
                Err(MetaError::Conflict) => {}
                Err(error) => return Err(StoreError::from(error).into()),
            }
        }
        Err(StoreError::Conflict.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::decode;

    #[test]
    fn settings_are_read_back_and_older_ones_too() {
        let set = Settings {
            versioning: Versioning::Suspended,
            tags: vec![("a".into(), String::new())],
            cors: vec![CorsRule::default()],
            access: AccessSettings::default(),
            object_lock: Some(ObjectLock::default()),
            encryption: None,
            lifecycle: vec![LifecycleRule::default()],
            notifications: vec![NotificationRule::default()],
            requester_pays: true,
            website: Some(Website::default()),
            logging: Some(Logging::default()),
            quota: Some(Quota::default()),
            transition_size: TransitionSize::VariesByStorageClass,
        };
        let read: Settings = decode(&encode(&set).unwrap(), "settings").unwrap();
        assert_eq!(read, set);
        // An empty array: the record of a version that knew no setting.
        let read: Settings = decode(&[0x80], "settings").unwrap();
        assert_eq!(read, Settings::default());
    }
}
