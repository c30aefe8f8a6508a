//! Multipart uploads: begun, given parts, listed, made an object, given up.

mod abandoned;
mod complete;
mod listing;
mod parts;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;

use super::meta::{Batch, MetaError, Space};
use super::object::orphan;
use super::record::{Segment, decode, encode};
use super::{
    Bucket, Extras, ObjectHeaders, ObjectStore, StoreError, TRIES_MAX, UploadRecord, keyspace,
};
use crate::auth::constraint::Duties;
use crate::checksum::{Algorithm, Coverage};
use crate::fail_point;
use crate::id::{BlobId, BucketId, UploadId};
use crate::name::ObjectKey;
pub use complete::{ClaimedPart, Completion};
pub use listing::{ListedUpload, UploadMarker, UploadPage, UploadQuery};
pub use parts::{NewPart, PartPage};
use parts::{PartRows, counter};

/// Bytes of the smallest part that is not the last: 5 MiB.
pub const PART_BYTES_MIN: u64 = 5 << 20;
/// Bytes of the largest part: 5 GiB.
pub const PART_BYTES_MAX: u64 = 5 << 30;
/// The highest number of a part.
pub const PART_NUMBER_MAX: u16 = 10_000;

/// What a new upload is given.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// The headers of the object to be.
    pub headers: ObjectHeaders,
    /// Which checksum it will have, and over what.
    pub checksum: Option<(Algorithm, Coverage)>,
    /// Who begins it.
    pub initiator: String,
    /// Who will own the object.
    pub owner: String,
    /// What else it is given.
    pub extras: Extras,
    /// What is demanded of the whole.
    pub duties: Duties,
}

fn blobs(segments: &[Segment]) -> Vec<BlobId> {
    let blobs = segments.iter().filter_map(|segment| segment.blob());
    blobs.map(|blob| blob.id).collect()
}

impl ObjectStore {
    /// Begins an upload.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`] where the bucket was deleted meanwhile.
    pub async fn create_upload(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        new: NewUpload,
    ) -> Result<UploadId, StoreError> {
        let current = self.current(bucket, key).await?;
        let now = self.clock().now();
        let id = UploadId::new(now);
        let record = UploadRecord {
            initiated: now,
            headers: new.headers,
            checksum: new.checksum,
            initiator: new.initiator,
            owner: new.owner,
            extras: new.extras,
            duties: new.duties,
            replaces: current.object().map(|current| current.sequence),
        };
        let at = Bytes::from(keyspace::upload(bucket.id, key.as_str(), &id));
        let is_limited = record.duties.length_range.is_some();
        let record = encode(&record)?;
        let mut bucket = Cow::Borrowed(bucket);
        for _try in 0..TRIES_MAX {
            let mut batch = Batch::new();
            bucket.assert_unchanged(&mut batch);
            batch.put(Space::Uploads, at.clone(), record.clone());
            if is_limited {
                batch.add(Space::Usage, counter(&id), [0, 0]);
            }
            match self.meta().commit(batch).await {
                Ok(()) => {
                    fail_point::reach("upload.begun");
                    return Ok(id);
                }
                Err(MetaError::Conflict) => bucket = Cow::Owned(self.present(&bucket).await?),
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict)
    }

    /// The upload of that id.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`].
    pub async fn upload(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: &UploadId,
    ) -> Result<UploadRecord, StoreError> {
        let raw = self.upload_row(bucket.id, key.as_str(), id).await?;
        decode(&raw.ok_or(StoreError::NoSuchUpload)?, "an upload's record")
    }

    /// Gives the upload up; its parts go.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`].
    pub async fn abort_upload(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: &UploadId,
    ) -> Result<(), StoreError> {
        self.end_without_object(bucket.id, key.as_str(), id).await
    }

    async fn end_without_object(
        &self,
        bucket: BucketId,
        key: &str,
        id: &UploadId,
    ) -> Result<(), StoreError> {
        for _try in 0..TRIES_MAX {
            let raw = self.upload_row(bucket, key, id).await?;
            let raw = raw.ok_or(StoreError::NoSuchUpload)?;
            let rows = self.part_rows(id).await?;
            let segments = rows.parts().map(|part| Ok(part?.segment));
            let all: Vec<_> = segments.collect::<Result<_, StoreError>>()?;
            let mut batch = self.end_upload(bucket, key, id, raw, rows);
            orphan(&all, &mut batch);
            fail_point::reach("end.decided");
            match self.meta().commit(batch).await {
                Ok(()) => {
                    fail_point::reach("end.committed");
                    self.discard(blobs(&all)).await;
                    return Ok(());
                }
                Err(MetaError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict)
    }

    async fn upload_row(
        &self,
        bucket: BucketId,
        key: &str,
        id: &UploadId,
    ) -> Result<Option<Bytes>, StoreError> {
        let at = keyspace::upload(bucket, key, id);
        Ok(self.meta().get(Space::Uploads, &at).await?)
    }

    /// A batch that takes the upload and its parts' rows away, if they are still as they were read.
    #[expect(clippy::unused_self, reason = "one of the steps of an upload's end")]
    fn end_upload(
        &self,
        bucket: BucketId,
        key: &str,
        id: &UploadId,
        raw: Bytes,
        rows: PartRows,
    ) -> Batch {
        let at = Bytes::from(keyspace::upload(bucket, key, id));
        let mut batch = Batch::new();
        batch.assert_unchanged(Space::Uploads, at.clone(), Some(raw));
        batch.delete(Space::Uploads, at);
        batch.delete(Space::Usage, counter(id));
        rows.take(id, &mut batch);
        batch
    }
}
