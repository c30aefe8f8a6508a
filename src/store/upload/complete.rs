//! An upload's parts become an object.

use std::borrow::Cow;

use super::parts::PartRows;
use super::{PART_BYTES_MIN, blobs};
use crate::auth::constraint::{Duties, LengthRange};
use crate::checksum::{self, Algorithm, Checksum, Coverage};
use crate::fail_point;
use crate::id::{InlineId, UploadId};
use crate::name::ObjectKey;
use crate::store::hook::Consent;
use crate::store::object::{OBJECT_BYTES_MAX, SEGMENTS_IN_ROW, Settled, agreed_sequence, orphan};
use crate::store::record::{Segment, decode};
use crate::store::version::Edit;
use crate::store::{
    Bucket, ETag, ObjectPart, ObjectRecord, ObjectStore, Origin, PartRecord, StoreError, TRIES_MAX,
    UploadRecord, WriteCondition, Written,
};

/// A part as the client names it when it completes an upload.
#[derive(Debug, Clone)]
pub struct ClaimedPart<'a> {
    /// Its number.
    pub number: u16,
    /// Its entity tag without quotes.
    pub etag: Cow<'a, str>,
    /// The digest of its checksum.
    pub checksum: Option<Vec<u8>>,
}

/// What the client says of the whole when it completes an upload.
#[derive(Debug, Clone, Default)]
pub struct Completion<'a> {
    /// The parts, in order.
    pub parts: Vec<ClaimedPart<'a>>,
    /// The checksum that the whole must have.
    pub checksum: Option<Checksum>,
    /// The length in bytes that it must have.
    pub len: Option<u64>,
}

/// Those of an upload's parts that a completion names, as the object keeps them.
struct Chosen {
    len: u64,
    segments: Vec<Segment>,
    parts: Vec<ObjectPart>,
    md5s: Vec<[u8; 16]>,
    /// Their CRC-64 of OSS, as far as they have one.
    crc64ecmas: Vec<u64>,
    /// Where the bytes of the others are.
    others: Vec<Segment>,
}

/// What an upload's parts make.
struct Whole {
    etag: ETag,
    checksum: Option<Checksum>,
    crc64ecma: Option<u64>,
    chosen: Chosen,
}

impl ClaimedPart<'_> {
    /// Whether `part` is the one that is meant.
    fn fits(&self, part: &PartRecord) -> bool {
        let digest = || part.checksum.as_ref().map(|checksum| &checksum.digest);
        part.number == self.number
            && part.etag().is_written(&self.etag)
            && (self.checksum.is_none() || self.checksum.as_ref() == digest())
    }
}

impl Chosen {
    /// The parts that `claimed` means. Both are by number, so that nothing is searched for.
    fn of(rows: &PartRows, claimed: &[ClaimedPart<'_>]) -> Result<Self, StoreError> {
        if !claimed.is_sorted_by(|a, b| a.number < b.number) {
            return Err(StoreError::InvalidPartOrder);
        }
        let mut chosen = Self {
            len: 0,
            segments: Vec::with_capacity(claimed.len()),
            parts: Vec::with_capacity(claimed.len()),
            md5s: Vec::with_capacity(claimed.len()),
            crc64ecmas: Vec::new(),
            others: Vec::new(),
        };
        let mut claims = claimed.iter().peekable();
        for part in rows.parts() {
            let part = part?;
            match claims.next_if(|claim| claim.number <= part.number) {
                None => chosen.others.push(part.segment),
                Some(claim) if claim.fits(&part) => chosen.take(part),
                Some(&ClaimedPart { number, .. }) => {
                    return Err(StoreError::InvalidPart { number });
                }
            }
        }
        if let Some(&ClaimedPart { number, .. }) = claims.next() {
            return Err(StoreError::InvalidPart { number });
        }
        chosen.check_sizes()?;
        Ok(chosen)
    }

    fn take(&mut self, part: PartRecord) {
        let len = part.len();
        self.len = self.len.saturating_add(len);
        self.segments.push(part.segment);
        self.md5s.push(part.etag_md5);
        self.crc64ecmas.extend(part.crc64ecma);
        self.parts.push(ObjectPart {
            number: part.number,
            len,
            checksum: part.checksum,
        });
    }

    /// All but the last must be large.
    fn check_sizes(&self) -> Result<(), StoreError> {
        let last = self.parts.split_last();
        let (_last, before) = last.ok_or(StoreError::InvalidPart { number: 0 })?;
        match before.iter().find(|part| part.len < PART_BYTES_MIN) {
            None => Ok(()),
            Some(&ObjectPart { number, len, .. }) => {
                let min = PART_BYTES_MIN;
                Err(StoreError::PartTooSmall { number, len, min })
            }
        }
    }

    /// The whole's checksum from those of its parts, each of which must have one by `algorithm`.
    fn checksum(&self, algorithm: Algorithm, coverage: Coverage) -> Result<Checksum, StoreError> {
        let mut digests = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let number = part.number;
            let fit = part.checksum.as_ref();
            let fit = fit.filter(|checksum| checksum.algorithm == algorithm);
            let fit = fit.ok_or(StoreError::InvalidPart { number })?;
            digests.push((fit.digest.as_slice(), part.len));
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

    /// The whole's CRC-64 of OSS, where each of its parts has one.
    fn crc64ecma(&self) -> Option<u64> {
        if self.crc64ecmas.len() != self.parts.len() {
            return None;
        }
        let digests: Vec<_> = self
            .crc64ecmas
            .iter()
            .map(|crc| crc.to_be_bytes())
            .collect();
        let lens = self.parts.iter().map(|part| part.len);
        let parts = digests.iter().map(<[u8; 8]>::as_slice).zip(lens);
        let whole = checksum::combine(Algorithm::Crc64Ecma, parts)?;
        checksum::as_number(&whole.digest)
    }
}

impl Whole {
    fn new(
        chosen: Chosen,
        asked: Option<(Algorithm, Coverage)>,
        said: &Completion<'_>,
    ) -> Result<Self, StoreError> {
        let len = chosen.len;
        if len > OBJECT_BYTES_MAX {
            let max = OBJECT_BYTES_MAX;
            return Err(StoreError::TooLarge { len, max });
        }
        if let Some(expected) = said.len.filter(|expected| *expected != len) {
            return Err(StoreError::LengthMismatch { len, expected });
        }
        let md5 = Algorithm::Md5.digest(chosen.md5s.as_flattened()).try_into();
        let md5 = md5.map_err(|_ignored| StoreError::corrupt("the MD5 of an upload's parts"))?;
        let count = u32::try_from(chosen.parts.len()).unwrap_or(u32::MAX);
        let checksum = match asked {
            Some((algorithm, coverage)) => Some(chosen.checksum(algorithm, coverage)?),
            // S3's own choice where the client made none; its parts have it too.
            None => chosen
                .checksum(Algorithm::Crc64Nvme, Coverage::FullObject)
                .ok(),
        };
        if let Some(want) = &said.checksum {
            let is_it = |found: &Checksum| {
                found.algorithm == want.algorithm
                    && found.digest == want.digest
                    && (want.parts.is_none() || found.parts == want.parts)
            };
            if !checksum.as_ref().is_some_and(is_it) {
                return Err(StoreError::ChecksumMismatch);
            }
        }
        Ok(Self {
            etag: ETag::multipart(md5, count),
            checksum,
            crc64ecma: chosen.crc64ecma(),
            chosen,
        })
    }
}

/// A condition that holds now, but is about an object that came or went while the upload was under
/// way, is no base for a decision: S3 wants the upload begun anew.
fn check_undisturbed(
    when: &WriteCondition,
    upload: &UploadRecord,
    current: Option<&ObjectRecord>,
) -> Result<(), StoreError> {
    let now = current.map(|current| current.sequence);
    let condition = if when.if_match.is_some() && now != upload.replaces {
        "If-Match"
    } else if when.if_none_match.as_deref() == Some("*") && upload.replaces.is_some() {
        "If-None-Match"
    } else {
        return Ok(());
    };
    Err(StoreError::ChangedDuringUpload { condition })
}

/// The whole is as long as was demanded when the upload began.
fn check_len(len: u64, duties: &Duties) -> Result<(), StoreError> {
    match duties.length_range {
        Some(LengthRange { max, .. }) if len > max => Err(StoreError::TooLarge { len, max }),
        Some(LengthRange { min, .. }) if len < min => Err(StoreError::TooSmall { len, min }),
        _ => Ok(()),
    }
}

impl ObjectStore {
    /// Makes the object of the parts that `said` names; the others go. Done again while the
    /// object is still the key's, it answers the same, save for what a receiver said.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUpload`]; [`StoreError::InvalidPart`], [`StoreError::InvalidPartOrder`],
    /// [`StoreError::PartTooSmall`], [`StoreError::LengthMismatch`] or
    /// [`StoreError::ChecksumMismatch`] where the parts don't fit,
    /// [`StoreError::ChangedDuringUpload`]; [`StoreError::TooLarge`], [`StoreError::TooSmall`] or
    /// [`StoreError::AlreadyUsed`] for what was demanded when the upload began; and what
    /// [`ObjectStore::put_object`] refuses. Where a receiver did not agree, the upload and its parts
    /// are as they were.
    pub async fn complete_upload(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: &UploadId,
        said: &Completion<'_>,
        when: &WriteCondition,
        by: &Origin,
    ) -> Result<Written, StoreError> {
        let mut consent = None;
        let complete = self.complete_agreed(bucket, key, (id, said), when, (by, &mut consent));
        let done = complete.await;
        self.conclude(consent, done).await
    }

    /// The rows of the upload's parts, and what those make of them which `said` names; none where the
    /// upload ended meanwhile.
    async fn rows_and_whole(
        &self,
        (bucket, key, id): (&Bucket, &ObjectKey, &UploadId),
        upload: &UploadRecord,
        said: &Completion<'_>,
    ) -> Result<Option<(PartRows, Whole)>, StoreError> {
        let rows = self.part_rows(id).await?;
        let chosen = match Chosen::of(&rows, &said.parts) {
            Ok(chosen) => chosen,
            // The parts go with the upload: what looks like a missing part may be its end.
            Err(error) => {
                let row = self.upload_row(bucket.id, key.as_str(), id).await?;
                return row.map_or(Ok(None), |_still_there| Err(error));
            }
        };
        let whole = Whole::new(chosen, upload.checksum, said)?;
        check_len(whole.chosen.len, &upload.duties)?;
        Ok(Some((rows, whole)))
    }

    async fn complete_agreed(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        (id, said): (&UploadId, &Completion<'_>),
        when: &WriteCondition,
        (by, consent): (&Origin, &mut Option<Consent>),
    ) -> Result<Written, StoreError> {
        let mut asked = false;
        let mut bucket = Cow::Borrowed(bucket);
        for _try in 0..TRIES_MAX {
            // Before the object: where the upload is gone, the object that it made is seen.
            let upload_raw = self.upload_row(bucket.id, key.as_str(), id).await?;
            let current = self.current(&bucket, key).await?;
            let Some(upload_raw) = upload_raw else {
                let made = current.record.filter(|made| made.upload == Some(*id));
                let record = made.ok_or(StoreError::NoSuchUpload)?;
                if let Some(consent) = consent.take() {
                    // Another completion was faster: what was agreed to here did not make it.
                    self.hook().revoke(&consent).await;
                }
                return Ok(self.written(record, None).await);
            };
            let upload: UploadRecord = decode(&upload_raw, "an upload's record")?;
            let upload_at = (&*bucket, key, id);
            let Some((rows, whole)) = self.rows_and_whole(upload_at, &upload, said).await? else {
                continue;
            };
            let chosen = whole.chosen;
            let by = by.clone().bound_by(&upload.duties);
            when.check(current.object())?;
            check_undisturbed(when, &upload, current.object())?;
            let now = self.clock().now();
            let many = chosen.segments.len() > SEGMENTS_IN_ROW;
            let sequence = agreed_sequence(consent.as_ref(), now, current.record.as_ref());
            let bytes = (chosen.len, chosen.segments);
            let record = ObjectRecord {
                headers: upload.headers,
                extras: upload.extras,
                checksum: whole.checksum,
                crc64ecma: whole.crc64ecma,
                parts: Some(chosen.parts),
                upload: Some(*id),
                layout: many.then(|| InlineId::new(now)),
                ..ObjectRecord::new(upload.owner, now, sequence, whole.etag, bytes)
            };
            let mut batch = self.end_upload(bucket.id, key.as_str(), id, upload_raw, rows);
            orphan(&chosen.others, &mut batch);
            let edit = Edit::new(&bucket, key, &current, batch);
            let mut edit = edit.with_consent(consent.as_ref());
            edit.also_gone(blobs(&chosen.others));
            let record = match self.write(&mut edit, &current, record, &by).await {
                Err(StoreError::Superseded) => continue,
                written => written?,
            };
            if !asked && self.hook().must_agree(&bucket, key.as_str(), &by) {
                asked = true;
                let agreed = self.consult(&edit, &record, &by).await?;
                *consent = agreed;
                continue; // the key may have changed meanwhile
            }
            fail_point::reach("complete.decided");
            match self.settle(edit).await? {
                Settled::Done(awaited) => return Ok(self.written(record, awaited).await),
                Settled::Lost(now) => bucket = Cow::Owned(*now),
            }
        }
        Err(StoreError::Conflict)
    }
}
