//! An upload's parts become an object.

use std::borrow::Cow;

use super::parts::Parts;
use super::{PART_BYTES_MIN, blobs};
use crate::checksum::{self, Algorithm, Checksum, Coverage};
use crate::id::{InlineId, UploadId};
use crate::name::ObjectKey;
use crate::store::object::{OBJECT_BYTES_MAX, SEGMENTS_IN_ROW, Settled, next_sequence, orphan};
use crate::store::record::{Segment, decode};
use crate::store::{
    Bucket, ETag, ObjectPart, ObjectRecord, ObjectStore, Origin, PartRecord, StoreError, TRIES_MAX,
    UploadRecord, WriteCondition, Written,
};

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

/// What an upload's parts make.
struct Whole {
    len: u64,
    etag: ETag,
    checksum: Option<Checksum>,
    segments: Vec<Segment>,
    parts: Vec<ObjectPart>,
}

impl Parts {
    /// The parts that `claimed` means, in its order.
    fn choose(&self, claimed: &[ClaimedPart]) -> Result<Vec<&PartRecord>, StoreError> {
        if !claimed.is_sorted_by(|a, b| a.number < b.number) {
            return Err(StoreError::InvalidPartOrder);
        }
        let mut chosen = Vec::with_capacity(claimed.len());
        for claim in claimed {
            let number = claim.number;
            let missing = StoreError::InvalidPart { number };
            let Some(part) = self.get(number) else {
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

impl ObjectStore {
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
        let mut bucket = Cow::Borrowed(bucket);
        for _try in 0..TRIES_MAX {
            // Before the object: where the upload is gone, the object that it made is seen.
            let upload_raw = self.upload_row(&bucket, key, id).await?;
            let (raw, current) = self.current(&bucket, key).await?;
            let Some(upload_raw) = upload_raw else {
                let made = current.filter(|current| current.upload == Some(*id));
                let record = made.ok_or(StoreError::NoSuchUpload)?;
                return Ok(Written { record });
            };
            let upload: UploadRecord = decode(&upload_raw, "an upload's record")?;
            let parts = self.parts(id).await?;
            let chosen = match parts.choose(claimed) {
                // The parts go with the upload: what looks like a missing part may be its end.
                Err(_) if self.upload_row(&bucket, key, id).await?.is_none() => continue,
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
            let mut batch = self.end_upload(&bucket, key, id, upload_raw, &parts);
            orphan(&others, &mut batch);
            self.replace(
                &bucket,
                key,
                raw,
                current.as_ref(),
                Some(&record),
                by,
                &mut batch,
            )?;
            match self.settle(&bucket, batch, current.as_ref()).await? {
                Settled::Done => {
                    self.discard(blobs(&others)).await;
                    return Ok(Written { record });
                }
                Settled::Lost(now) => bucket = Cow::Owned(now),
            }
        }
        Err(StoreError::Conflict)
    }
}
