//! Lists the uploads of a bucket.

use bytes::Bytes;

use crate::id::{BucketId, UploadId};
use crate::store::meta::{self, KeyRange, Space, Step, after_prefix};
use crate::store::record::decode;
use crate::store::{Bucket, ObjectStore, StoreError, UploadRecord, keyspace};

/// Which uploads to list.
#[derive(Debug, Clone, Default)]
pub struct UploadQuery {
    /// Only keys that begin so.
    pub prefix: String,
    /// Rolls keys up to where this ends.
    pub delimiter: Option<String>,
    /// Only keys behind this one, or the same with [`Self::upload_id_marker`].
    pub key_marker: Option<String>,
    /// Of the marker's key, only uploads behind this one.
    pub upload_id_marker: Option<UploadId>,
    /// At most so many.
    pub limit: usize,
}

/// An item of a listing of uploads.
#[expect(
    clippy::large_enum_variant,
    reason = "a page has at most a thousand, and most are uploads"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedUpload {
    /// An upload.
    Upload {
        /// Its key.
        key: String,
        /// Its id.
        id: UploadId,
        /// Its record.
        record: UploadRecord,
    },
    /// What stands for all keys that begin so.
    CommonPrefix(String),
}

/// Where a listing of uploads goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadMarker {
    /// The last key or common prefix.
    pub key: String,
    /// The last upload of that key.
    pub id: Option<UploadId>,
}

/// Uploads by key, then by age.
#[derive(Debug, Clone, Default)]
pub struct UploadPage {
    /// The items.
    pub items: Vec<ListedUpload>,
    /// Where to go on, where more follow.
    pub next: Option<UploadMarker>,
}

impl ObjectStore {
    /// The bucket's uploads under way.
    ///
    /// # Errors
    /// What the engine fails with.
    pub async fn list_uploads(
        &self,
        bucket: &Bucket,
        q: UploadQuery,
    ) -> Result<UploadPage, StoreError> {
        let mut range = KeyRange::prefix(keyspace::escaped_prefix(bucket.id, &q.prefix));
        if let Some(behind) = behind_marker(bucket.id, &q) {
            range.start = range.start.max(behind);
        }
        let ends = range.end.as_ref().is_some_and(|end| *end <= range.start);
        if q.limit == 0 || ends {
            return Ok(UploadPage::default());
        }
        let id = bucket.id;
        let state = Ok(UploadPage::default());
        let engine = self.meta().as_ref();
        meta::walk(
            engine,
            Space::Uploads,
            range,
            state,
            move |page, row, value| {
                let Ok(seen) = page else { return Step::Stop };
                match see(seen, id, &q, row, value) {
                    Ok(step) => step,
                    Err(error) => {
                        *page = Err(error);
                        Step::Stop
                    }
                }
            },
        )
        .await?
    }
}

/// The common prefix that hides `key`.
fn common_prefix<'k>(key: &'k str, q: &UploadQuery) -> Option<&'k str> {
    let delimiter = q
        .delimiter
        .as_deref()
        .filter(|delimiter| !delimiter.is_empty())?;
    let at = key.strip_prefix(q.prefix.as_str())?.find(delimiter)?;
    key.get(
        ..q.prefix
            .len()
            .saturating_add(at)
            .saturating_add(delimiter.len()),
    )
}

/// The first row behind the query's markers.
fn behind_marker(bucket: BucketId, q: &UploadQuery) -> Option<Bytes> {
    let key = q.key_marker.as_deref().filter(|key| !key.is_empty())?;
    if let Some(id) = &q.upload_id_marker {
        return Some(
            [keyspace::upload(bucket, key, id).as_slice(), &[0]]
                .concat()
                .into(),
        );
    }
    if let Some(prefix) = common_prefix(key, q) {
        return after_prefix(&keyspace::escaped_prefix(bucket, prefix));
    }
    after_prefix(&keyspace::escaped_key(bucket, key))
}

/// Adds a row to the page.
fn see(
    page: &mut UploadPage,
    bucket: BucketId,
    q: &UploadQuery,
    row: &[u8],
    value: &[u8],
) -> Result<Step, StoreError> {
    if page.items.len() >= q.limit {
        page.next = page.items.last().map(|item| match item {
            ListedUpload::Upload { key, id, .. } => UploadMarker {
                key: key.clone(),
                id: Some(*id),
            },
            ListedUpload::CommonPrefix(prefix) => UploadMarker {
                key: prefix.clone(),
                id: None,
            },
        });
        return Ok(Step::Stop);
    }
    let read = keyspace::read_upload(row);
    let (key, id) = read.ok_or_else(|| StoreError::corrupt("an upload's key"))?;
    if let Some(prefix) = common_prefix(&key, q) {
        page.items
            .push(ListedUpload::CommonPrefix(prefix.to_owned()));
        let behind = after_prefix(&keyspace::escaped_prefix(bucket, prefix));
        return Ok(behind.map_or(Step::Stop, Step::Seek));
    }
    let record = decode(value, "an upload's record")?;
    page.items.push(ListedUpload::Upload { key, id, record });
    Ok(Step::Next)
}
