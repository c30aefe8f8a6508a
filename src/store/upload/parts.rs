//! The parts of an upload: put, listed, taken away with it.

use bytes::Bytes;

use super::{PART_BYTES_MAX, blobs};
use crate::auth::constraint::{Duties, Nonce};
use crate::checksum::Checksum;
use crate::fail_point;
use crate::id::{InlineId, UploadId};
use crate::name::ObjectKey;
use crate::store::meta::{self, Batch, Entry, KeyRange, MetaError, Space};
use crate::store::object::orphan;
use crate::store::record::{Segment, decode, encode};
use crate::store::stage::StagedBytes;
use crate::store::{
    Bucket, ObjectStore, PartRecord, Staged, StoreError, TRIES_MAX, UploadRecord, keyspace,
};

/// What a new part is given.
#[derive(Debug, Clone)]
pub struct NewPart {
    /// The MD5 of its bytes.
    pub etag_md5: [u8; 16],
    /// Its checksum.
    pub checksum: Option<Checksum>,
    /// What it uses up.
    pub once: Option<Nonce>,
    /// Its CRC-64 of OSS.
    pub crc64ecma: Option<u64>,
}

/// Parts by number.
#[derive(Debug, Clone)]
pub struct PartPage {
    /// The upload they belong to.
    pub upload: UploadRecord,
    /// The parts.
    pub parts: Vec<PartRecord>,
    /// The last number, where more follow.
    pub next: Option<u16>,
}

/// Where the bytes of a limited upload's parts are counted, beside the counters of buckets, whose keys
/// are shorter.
pub(super) fn counter(id: &UploadId) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

/// How many bytes more there are, once `len` of them took the place of `old`.
fn growth(len: u64, old: &[Segment]) -> i64 {
    let replaced: u64 = old.iter().map(|old| old.len()).sum();
    let added = i64::try_from(len).unwrap_or(i64::MAX);
    added.saturating_sub_unsigned(replaced)
}

/// The rows of an upload's parts as they were read, by number.
pub(super) struct PartRows(Vec<Entry>);

/// From so many rows on they are taken away as a range. It is only for many that a range is cheaper, and
/// there can never be more than some hundred ranges in memory then, past which reads must look.
const RANGE_ROWS_MIN: usize = 256;

impl PartRows {
    /// Takes the parts away in `batch`, which fails where one was added, changed or removed since:
    /// one look at all of them, which for 10,000 is less than a look at each.
    pub(super) fn take(self, id: &UploadId, batch: &mut Batch) {
        let (range, Self(rows)) = (KeyRange::prefix(id.as_bytes().to_vec()), self);
        match range.end.clone() {
            Some(end) if rows.len() >= RANGE_ROWS_MIN => {
                batch.delete_range(Space::Parts, range.start.clone()..end);
            }
            _ => {
                for Entry { key, .. } in &rows {
                    batch.delete(Space::Parts, key.clone());
                }
            }
        }
        batch.assert_rows(Space::Parts, range, rows);
    }

    /// The parts, read one by one: 10,000 of them together are megabytes.
    pub(super) fn parts(&self) -> impl Iterator<Item = Result<PartRecord, StoreError>> {
        let rows = self.0.iter();
        rows.map(|Entry { value, .. }| decode(value, "a part's record"))
    }

    /// Bytes of all parts.
    fn bytes(&self) -> Result<u64, StoreError> {
        let mut parts = self.parts();
        parts.try_fold(0_u64, |sum, part| Ok(sum.saturating_add(part?.len())))
    }
}

impl ObjectStore {
    /// Makes `staged` the upload's part of that number, in place of an earlier one.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`], also where the upload ended meanwhile; [`StoreError::TooLarge`]
    /// where the whole would be; [`StoreError::AlreadyUsed`].
    pub async fn put_part(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: &UploadId,
        number: u16,
        part: NewPart,
        staged: Staged,
    ) -> Result<PartRecord, StoreError> {
        let (len, max) = (staged.len(), PART_BYTES_MAX);
        if len > max {
            return Err(StoreError::TooLarge { len, max });
        }
        let inline = InlineId::new(self.clock().now());
        let segment = staged.segment(inline);
        let record = PartRecord {
            number,
            modified: self.clock().now(),
            etag_md5: part.etag_md5,
            checksum: part.checksum,
            segment,
            crc64ecma: part.crc64ecma,
        };
        let at = Bytes::from(keyspace::part(id, number));
        for _try in 0..TRIES_MAX {
            let upload = self.upload_row(bucket.id, key.as_str(), id).await?;
            let upload = upload.ok_or(StoreError::NoSuchUpload)?;
            let whole: UploadRecord = decode(&upload, "an upload's record")?;
            let max = self.room_for_part(id, number, &whole.duties).await?;
            if len > max {
                return Err(StoreError::TooLarge { len, max });
            }
            let old = self.meta().get(Space::Parts, &at).await?;
            let mut batch = Batch::new();
            self.use_up(part.once.as_ref(), &mut batch).await?;
            let upload_at = keyspace::upload(bucket.id, key.as_str(), id);
            batch.assert_unchanged(Space::Uploads, upload_at, Some(upload));
            batch.assert_unchanged(Space::Parts, at.clone(), old.clone());
            batch.put(Space::Parts, at.clone(), encode(&record)?);
            match &staged.0 {
                StagedBytes::Inline(bytes) => {
                    batch.put(Space::Inline, inline.as_bytes().to_vec(), bytes.clone())
                }
                StagedBytes::Blob(blob) => {
                    batch.put(Space::Blobs, blob.id.as_bytes().to_vec(), encode(blob)?)
                }
            };
            let old = old.map(|old| decode::<PartRecord>(&old, "a part's record"));
            let old: Vec<_> = old
                .transpose()?
                .map(|old| old.segment)
                .into_iter()
                .collect();
            if self.counted(id, &whole.duties).await?.is_some() {
                batch.add(Space::Usage, counter(id), [0, growth(len, &old)]);
            }
            orphan(&old, &mut batch);
            fail_point::reach("part.decided");
            match self.meta().commit(batch).await {
                Ok(()) => {
                    fail_point::reach("part.committed");
                    self.discard(blobs(&old)).await;
                    return Ok(record);
                }
                Err(MetaError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict)
    }

    /// How many bytes the part of that number may have, where the whole is limited: what the others
    /// leave. Parts that come at the same moment may go over it together; the completion may not.
    ///
    /// # Errors
    /// What the metadata engine fails with.
    pub async fn room_for_part(
        &self,
        id: &UploadId,
        number: u16,
        whole: &Duties,
    ) -> Result<u64, StoreError> {
        let Some(range) = whole.length_range else {
            return Ok(PART_BYTES_MAX);
        };
        let all = match self.counted(id, whole).await? {
            Some(bytes) => bytes,
            // It began before parts were counted.
            None => self.part_rows(id).await?.bytes()?,
        };
        let own = self.meta().get(Space::Parts, &keyspace::part(id, number));
        let own = own.await?;
        let own = own.map(|own| decode::<PartRecord>(&own, "a part's record"));
        let own = own.transpose()?.map_or(0, |own| own.len());
        let others = all.saturating_sub(own);
        Ok(PART_BYTES_MAX.min(range.max.saturating_sub(others)))
    }

    /// Bytes of all parts of an upload that is limited, without a look at each: the tenth thousand
    /// would read them all ten thousand times. None where they are not counted.
    async fn counted(&self, id: &UploadId, whole: &Duties) -> Result<Option<u64>, StoreError> {
        if whole.length_range.is_none() {
            return Ok(None);
        }
        let row = self.meta().get(Space::Usage, &counter(id)).await?;
        let bytes = row.map(|row| meta::read_counters(&row)[1]);
        Ok(bytes.map(|bytes| u64::try_from(bytes).unwrap_or(0)))
    }

    /// The upload's parts behind number `after`.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`].
    pub async fn list_parts(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: &UploadId,
        after: u16,
        limit: usize,
    ) -> Result<PartPage, StoreError> {
        let upload = self.upload(bucket, key, id).await?;
        let mut range = KeyRange::prefix(id.as_bytes().to_vec());
        range.start = [keyspace::part(id, after).as_slice(), &[0]].concat().into();
        let read = limit.saturating_add(1);
        let rows = meta::scan(self.meta().as_ref(), Space::Parts, range, read).await?;
        let more = rows.len() > limit;
        let mut parts = Vec::new();
        for Entry { value, .. } in rows.iter().take(limit) {
            parts.push(decode::<PartRecord>(value, "a part's record")?);
        }
        let next = parts.last().filter(|_part| more).map(|part| part.number);
        Ok(PartPage {
            upload,
            parts,
            next,
        })
    }

    /// The rows of all parts of the upload.
    pub(super) async fn part_rows(&self, id: &UploadId) -> Result<PartRows, StoreError> {
        let range = KeyRange::prefix(id.as_bytes().to_vec());
        let rows = meta::scan(self.meta().as_ref(), Space::Parts, range, usize::MAX).await?;
        // Their keys end with their numbers: so they come in order.
        Ok(PartRows(rows))
    }
}
