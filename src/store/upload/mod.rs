//! Multipart uploads: begun, given parts, listed, made an object, given up.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::meta::{self, Batch, Entry, KeyRange, MetaError, Space, Step, after_prefix};
use super::object::{OBJECT_BYTES_MAX, SEGMENTS_IN_ROW, next_sequence, orphan};
use super::record::{Segment, decode, encode};
use super::stage::StagedBytes;
use super::{
    Bucket, ETag, ObjectHeaders, ObjectPart, ObjectRecord, ObjectStore, Origin, PartRecord, Staged,
    StoreError, TRIES_MAX, UploadRecord, WriteCondition, Written, keyspace,
};
use crate::checksum::{self, Algorithm, Checksum, Coverage};
use crate::id::{BlobId, BucketId, InlineId, UploadId};
use crate::name::ObjectKey;

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
}

/// What a new part is given.
#[derive(Debug, Clone)]
pub struct NewPart {
    /// The MD5 of its bytes.
    pub etag_md5: [u8; 16],
    /// Its checksum.
    pub checksum: Option<Checksum>,
}

/// A part as the client names it when it completes an upload.
#[derive(Debug, Clone)]
pub struct ClaimedPart {
    /// Its number.
    pub number: u16,
    /// Its entity tag without quotes.
    pub etag: String,
    /// The digest of its checksum.
    pub checksum: Option<Vec<u8>>,
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

/// An upload's parts as they were read, with the bytes that were read.
struct Parts(BTreeMap<u16, (Bytes, PartRecord)>);

/// What an upload's parts make.
struct Whole {
    len: u64,
    etag: ETag,
    checksum: Option<Checksum>,
    segments: Vec<Segment>,
    parts: Vec<ObjectPart>,
}

impl Parts {
    /// Takes the parts away in `batch`, which fails where one was added, changed or removed since.
    fn take(&self, id: &UploadId, batch: &mut Batch) {
        let mut from = Bytes::copy_from_slice(id.as_bytes());
        for (number, (raw, _part)) in &self.0 {
            let at = Bytes::from(keyspace::part(id, *number));
            let end = Some(at.clone());
            if from < at {
                batch.assert_empty(Space::Parts, KeyRange { start: from, end });
            }
            batch.assert_unchanged(Space::Parts, at.clone(), Some(raw.clone()));
            batch.delete(Space::Parts, at);
            from = keyspace::part(id, number.saturating_add(1)).into();
        }
        let end = after_prefix(id.as_bytes());
        batch.assert_empty(Space::Parts, KeyRange { start: from, end });
    }

    /// The segments of parts that are not among `claimed`.
    fn others(&self, claimed: &[ClaimedPart]) -> Vec<Segment> {
        let kept: std::collections::BTreeSet<_> = claimed.iter().map(|part| part.number).collect();
        let others = self.0.iter().filter(|(number, _)| !kept.contains(number));
        others.map(|(_, (_, part))| part.segment).collect()
    }

    /// The parts that `claimed` means, in its order.
    fn choose(&self, claimed: &[ClaimedPart]) -> Result<Vec<&PartRecord>, StoreError> {
        if !claimed.is_sorted_by(|a, b| a.number < b.number) {
            return Err(StoreError::InvalidPartOrder);
        }
        let mut chosen = Vec::with_capacity(claimed.len());
        for claim in claimed {
            let number = claim.number;
            let missing = StoreError::InvalidPart { number };
            let Some((_raw, part)) = self.0.get(&number) else {
                return Err(missing);
            };
            let same_etag = claim.etag.eq_ignore_ascii_case(&part.etag().to_string());
            let digest = part.checksum.as_ref().map(|checksum| &checksum.digest);
            if !same_etag || (claim.checksum.is_some() && claim.checksum.as_ref() != digest) {
                return Err(missing);
            }
            chosen.push(part);
        }
        let Some((_last, before)) = chosen.split_last() else {
            return Err(StoreError::InvalidPart { number: 0 });
        };
        if let Some(part) = before.iter().find(|part| part.len() < PART_BYTES_MIN) {
            let (number, len, min) = (part.number, part.len(), PART_BYTES_MIN);
            return Err(StoreError::PartTooSmall { number, len, min });
        }
        Ok(chosen)
    }
}

impl Whole {
    fn new(
        parts: &[&PartRecord],
        asked: Option<(Algorithm, Coverage)>,
        want: Option<&Checksum>,
    ) -> Result<Self, StoreError> {
        let len = parts
            .iter()
            .fold(0_u64, |sum, part| sum.saturating_add(part.len()));
        if len > OBJECT_BYTES_MAX {
            let max = OBJECT_BYTES_MAX;
            return Err(StoreError::TooLarge { len, max });
        }
        let md5s: Vec<u8> = parts.iter().flat_map(|part| part.etag_md5).collect();
        let md5 = Algorithm::Md5.digest(&md5s).try_into();
        let md5 = md5.map_err(|_ignored| StoreError::corrupt("the MD5 of an upload's parts"))?;
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let made = asked.map(|(algorithm, coverage)| sum_up(parts, algorithm, coverage));
        let checksum = made.transpose()?;
        if let Some(want) = want {
            // Of an upload without a checksum, the parts may have some all the same.
            let full = || sum_up(parts, want.algorithm, Coverage::FullObject).ok();
            let found = checksum.clone().or_else(full);
            let same =
                |found: Checksum| found.algorithm == want.algorithm && found.digest == want.digest;
            if !found.is_some_and(same) {
                return Err(StoreError::ChecksumMismatch);
            }
        }
        let listed = parts.iter().map(|part| ObjectPart {
            number: part.number,
            len: part.len(),
            checksum: part.checksum.clone(),
        });
        Ok(Self {
            len,
            etag: ETag::multipart(md5, count),
            checksum,
            segments: parts.iter().map(|part| part.segment).collect(),
            parts: listed.collect(),
        })
    }
}

/// The whole's checksum from those of its parts, each of which must have one by `algorithm`.
fn sum_up(
    parts: &[&PartRecord],
    algorithm: Algorithm,
    coverage: Coverage,
) -> Result<Checksum, StoreError> {
    let mut digests = Vec::with_capacity(parts.len());
    for part in parts {
        let number = part.number;
        let fit = part
            .checksum
            .as_ref()
            .filter(|checksum| checksum.algorithm == algorithm);
        let fit = fit.ok_or(StoreError::InvalidPart { number })?;
        digests.push((fit.digest.as_slice(), part.len()));
    }
    match coverage {
        Coverage::Composite => Ok(checksum::composite(
            algorithm,
            digests.iter().map(|(digest, _)| *digest),
        )),
        Coverage::FullObject => {
            checksum::combine(algorithm, digests).ok_or(StoreError::ChecksumMismatch)
        }
    }
}

fn blobs(segments: &[Segment]) -> Vec<BlobId> {
    let blobs = segments.iter().filter_map(|segment| match segment {
        Segment::Blob(blob) => Some(blob.id),
        Segment::Inline(..) => None,
    });
    blobs.collect()
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
        let now = self.clock().now();
        let id = UploadId::new(now);
        let record = UploadRecord {
            initiated: now,
            headers: new.headers,
            checksum: new.checksum,
            initiator: new.initiator,
            owner: new.owner,
        };
        let at = keyspace::upload(bucket.id, key.as_str(), &id);
        let mut batch = Batch::new();
        bucket.assert_unchanged(&mut batch);
        batch.put(Space::Uploads, at, encode(&record)?);
        match self.meta().commit(batch).await {
            Ok(()) => Ok(id),
            Err(MetaError::Conflict) => Err(StoreError::NoSuchBucket),
            Err(error) => Err(error.into()),
        }
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
        let raw = self.upload_row(bucket, key, id).await?;
        decode(&raw.ok_or(StoreError::NoSuchUpload)?, "an upload's record")
    }

    /// Makes `staged` the upload's part of that number, in place of an earlier one.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`], also where the upload ended meanwhile.
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
        };
        let at = Bytes::from(keyspace::part(id, number));
        for _try in 0..TRIES_MAX {
            let upload = self.upload_row(bucket, key, id).await?;
            let upload = upload.ok_or(StoreError::NoSuchUpload)?;
            let old = self.meta().get(Space::Parts, &at).await?;
            let mut batch = Batch::new();
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
            orphan(&old, &mut batch);
            match self.meta().commit(batch).await {
                Ok(()) => {
                    self.discard(blobs(&old)).await;
                    return Ok(record);
                }
                Err(MetaError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict)
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

    /// Makes the object of the parts that `claimed` names; the others go. Done again while the
    /// object is still the key's, it answers the same.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`]; [`StoreError::InvalidPart`], [`StoreError::InvalidPartOrder`],
    /// [`StoreError::PartTooSmall`] or [`StoreError::ChecksumMismatch`] where the parts don't fit,
    /// and what [`ObjectStore::put_object`] refuses.
    #[expect(clippy::too_many_arguments, reason = "what S3's request carries")]
    pub async fn complete_upload(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: &UploadId,
        claimed: &[ClaimedPart],
        want: Option<&Checksum>,
        when: &WriteCondition,
        by: &Origin,
    ) -> Result<Written, StoreError> {
        for _try in 0..TRIES_MAX {
            // Before the object: where the upload is gone, the object that it made is seen.
            let upload_raw = self.upload_row(bucket, key, id).await?;
            let (raw, current) = self.current(bucket, key).await?;
            let Some(upload_raw) = upload_raw else {
                let made = current.filter(|current| current.upload == Some(*id));
                let record = made.ok_or(StoreError::NoSuchUpload)?;
                return Ok(Written { record });
            };
            let upload: UploadRecord = decode(&upload_raw, "an upload's record")?;
            let parts = self.parts(id).await?;
            let chosen = match parts.choose(claimed) {
                // The parts go with the upload: what looks like a missing part may be its end.
                Err(_) if self.upload_row(bucket, key, id).await?.is_none() => continue,
                chosen => chosen?,
            };
            let whole = Whole::new(&chosen, upload.checksum, want)?;
            when.check(current.as_ref())?;
            let now = self.clock().now();
            let many = whole.segments.len() > SEGMENTS_IN_ROW;
            let record = ObjectRecord {
                len: whole.len,
                modified: now,
                etag: whole.etag,
                headers: upload.headers,
                checksum: whole.checksum,
                owner: upload.owner,
                sequence: next_sequence(now, current.as_ref()),
                segments: whole.segments,
                parts: Some(whole.parts),
                upload: Some(*id),
                layout: many.then(|| InlineId::new(now)),
            };
            let others = parts.others(claimed);
            let mut batch = self.end_upload(bucket, key, id, upload_raw, &parts);
            orphan(&others, &mut batch);
            self.replace(
                bucket,
                key,
                raw,
                current.as_ref(),
                Some(&record),
                by,
                &mut batch,
            )?;
            if self.settle(bucket, batch, current.as_ref()).await? {
                self.discard(blobs(&others)).await;
                return Ok(Written { record });
            }
        }
        Err(StoreError::Conflict)
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
        for _try in 0..TRIES_MAX {
            let raw = self.upload_row(bucket, key, id).await?;
            let raw = raw.ok_or(StoreError::NoSuchUpload)?;
            let parts = self.parts(id).await?;
            let all = parts.others(&[]);
            let mut batch = self.end_upload(bucket, key, id, raw, &parts);
            orphan(&all, &mut batch);
            match self.meta().commit(batch).await {
                Ok(()) => {
                    self.discard(blobs(&all)).await;
                    return Ok(());
                }
                Err(MetaError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict)
    }

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

    async fn upload_row(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: &UploadId,
    ) -> Result<Option<Bytes>, StoreError> {
        let at = keyspace::upload(bucket.id, key.as_str(), id);
        Ok(self.meta().get(Space::Uploads, &at).await?)
    }

    async fn parts(&self, id: &UploadId) -> Result<Parts, StoreError> {
        let range = KeyRange::prefix(id.as_bytes().to_vec());
        let rows = meta::scan(self.meta().as_ref(), Space::Parts, range, usize::MAX).await?;
        let mut parts = BTreeMap::new();
        for Entry { value, .. } in rows {
            let part: PartRecord = decode(&value, "a part's record")?;
            parts.insert(part.number, (value, part));
        }
        Ok(Parts(parts))
    }

    /// A batch that takes the upload and its parts' rows away, if they are still as they were read.
    #[expect(clippy::unused_self, reason = "one of the steps of an upload's end")]
    fn end_upload(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: &UploadId,
        raw: Bytes,
        parts: &Parts,
    ) -> Batch {
        let at = Bytes::from(keyspace::upload(bucket.id, key.as_str(), id));
        let mut batch = Batch::new();
        batch.assert_unchanged(Space::Uploads, at.clone(), Some(raw));
        batch.delete(Space::Uploads, at);
        parts.take(id, &mut batch);
        batch
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
    if common_prefix(key, q) == Some(key) {
        return after_prefix(&keyspace::escaped_prefix(bucket, key));
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

#[cfg(test)]
mod tests;
