//! Uploads of buckets that are gone: S3 deletes a bucket whatever uploads it has, and they end with it.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::fail_point;
use crate::id::BucketId;
use crate::store::meta::{self, KeyRange, Space, Step};
use crate::store::record::{BucketRecord, decode};
use crate::store::{ObjectStore, StoreError, keyspace};

/// Uploads that are ended before the next are looked for.
const PAGE: usize = 100;

impl ObjectStore {
    /// Ends the uploads of a bucket that is gone. What is left by a crash the next sweep finds.
    ///
    /// # Errors
    /// What the engines fail with.
    pub(in crate::store) async fn end_uploads_of(&self, gone: BucketId) -> Result<(), StoreError> {
        let range = KeyRange::prefix(keyspace::bucket_prefix(gone));
        loop {
            let meta = self.meta().as_ref();
            let rows = meta::scan(meta, Space::Uploads, range.clone(), PAGE).await?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                let (key, id) = keyspace::read_upload(&row.key)
                    .ok_or_else(|| StoreError::corrupt("the key of an upload's row"))?;
                match self.end_without_object(gone, &key, &id).await {
                    Ok(()) | Err(StoreError::NoSuchUpload) => {}
                    Err(error) => return Err(error),
                }
                fail_point::reach("bucket.upload_ended");
            }
        }
    }

    /// Ends what an earlier run left of the uploads of buckets that are gone.
    ///
    /// # Errors
    /// What the engines fail with.
    pub(in crate::store) async fn end_abandoned_uploads(&self) -> Result<(), StoreError> {
        // In this order: a bucket that is made meanwhile is there when it is asked for.
        let with_uploads = self.buckets_with_uploads().await?;
        let there = self.bucket_ids().await?;
        for gone in with_uploads.difference(&there) {
            self.end_uploads_of(*gone).await?;
        }
        Ok(())
    }

    async fn buckets_with_uploads(&self) -> Result<BTreeSet<BucketId>, StoreError> {
        let visit = |found: &mut BTreeSet<BucketId>, key: &[u8], _value: &[u8]| {
            let Some(number) = key.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)) else {
                return Step::Next;
            };
            found.insert(BucketId(number));
            match number.checked_add(1) {
                Some(next) => Step::Seek(Bytes::from(keyspace::bucket_prefix(BucketId(next)))),
                None => Step::Stop,
            }
        };
        let (meta, all) = (self.meta().as_ref(), KeyRange::all());
        Ok(meta::walk(meta, Space::Uploads, all, BTreeSet::new(), visit).await?)
    }

    async fn bucket_ids(&self) -> Result<BTreeSet<BucketId>, StoreError> {
        let visit =
            |found: &mut Result<BTreeSet<BucketId>, StoreError>, _key: &[u8], value: &[u8]| {
                match (
                    decode::<BucketRecord>(value, "a bucket's record"),
                    &mut *found,
                ) {
                    (Ok(record), Ok(ids)) => {
                        ids.insert(record.id);
                        Step::Next
                    }
                    // In doubt nothing is ended.
                    (Err(error), found) => {
                        *found = Err(error);
                        Step::Stop
                    }
                    (Ok(_), Err(_)) => Step::Stop,
                }
            };
        let (meta, all) = (self.meta().as_ref(), KeyRange::all());
        meta::walk(meta, Space::Buckets, all, Ok(BTreeSet::new()), visit).await?
    }
}
