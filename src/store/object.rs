//! Objects: put, found, deleted, each by one batch that asserts what it saw.

use std::borrow::Cow;

use bytes::Bytes;

use super::hook::{Awaited, Consent, Told};
use super::meta::{Batch, Space};
use super::record::Segment;
use super::version::{Current, Edit, VersionRef};
use super::{
    Bucket, ETag, Extras, ObjectHeaders, ObjectRecord, ObjectStore, Origin, Staged, StoreError,
    TRIES_MAX,
};
use crate::checksum::Checksum;
use crate::clock::Timestamp;
use crate::fail_point;
use crate::id::InlineId;
use crate::name::ObjectKey;

/// Bytes of the largest object: 5 TiB.
pub const OBJECT_BYTES_MAX: u64 = 5 << 40;

/// What a new object is given.
#[derive(Debug, Clone)]
pub struct NewObject {
    /// Its headers.
    pub headers: ObjectHeaders,
    /// Its entity tag.
    pub etag: ETag,
    /// Its checksum.
    pub checksum: Option<Checksum>,
    /// Its CRC-64 of OSS.
    pub crc64ecma: Option<u64>,
    /// Who owns it.
    pub owner: String,
    /// What else it is given.
    pub extras: Extras,
}

/// What must hold of the current object for a write to happen.
#[derive(Debug, Clone, Default)]
pub struct WriteCondition {
    /// Its entity tag without quotes, or `*` for any.
    pub if_match: Option<String>,
    /// An entity tag that it must not have, without quotes; `*`: there is none.
    pub if_none_match: Option<String>,
}

/// What must hold of what a deletion deletes. Where there is nothing to delete, anything holds.
#[derive(Debug, Clone, Default)]
pub struct DeleteCondition {
    /// Its entity tag without quotes, or `*` for any.
    pub if_match: Option<String>,
    /// Its length in bytes.
    pub size: Option<u64>,
    /// When it was written, to the second.
    pub modified: Option<Timestamp>,
    /// Retention in governance mode does not count.
    pub bypass_governance: bool,
}

/// An object as it was when it was read.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its key.
    pub key: ObjectKey,
    /// Its record.
    pub record: ObjectRecord,
}

/// What a write made.
#[derive(Debug, Clone)]
pub struct Written {
    /// The new record.
    pub record: ObjectRecord,
    /// What its receiver says to the uploader.
    pub told: Told,
}

/// What a deletion did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// Whether there was an object, or that version of it.
    pub existed: bool,
    /// Whether it left a delete marker, or took one away.
    pub delete_marker: bool,
    /// The delete marker that it left, or the version that it was told to take away.
    pub version: Option<VersionRef>,
}

/// What came of a batch.
#[derive(Debug)]
pub(super) enum Settled {
    /// It is durable; an uploader may wait for its receiver.
    Done(Option<Awaited>),
    /// The race was lost: the change must be decided anew, in the bucket as it is now.
    Lost(Box<Bucket>),
}

impl WriteCondition {
    pub(super) fn check(&self, current: Option<&ObjectRecord>) -> Result<(), StoreError> {
        let unwanted = |tag| current.is_some_and(|current| is_tag_of(tag, current));
        if self.if_none_match.as_deref().is_some_and(unwanted) {
            let condition = "If-None-Match";
            return Err(StoreError::PreconditionFailed { condition });
        }
        let Some(wanted) = &self.if_match else {
            return Ok(());
        };
        let current = current.ok_or(StoreError::NoSuchKey)?;
        if is_tag_of(wanted, current) {
            return Ok(());
        }
        let condition = "If-Match";
        Err(StoreError::PreconditionFailed { condition })
    }
}

impl DeleteCondition {
    /// Whether anything must hold.
    pub(super) const fn is_some(&self) -> bool {
        self.if_match.is_some() || self.size.is_some() || self.modified.is_some()
    }

    pub(super) fn check(&self, old: Option<&ObjectRecord>) -> Result<(), StoreError> {
        let Some(old) = old else {
            return Ok(());
        };
        let tag = self.if_match.as_deref();
        let modified = old.modified.truncated_to_s();
        for (condition, holds) in [
            ("If-Match", tag.is_none_or(|tag| is_tag_of(tag, old))),
            (
                "x-amz-if-match-size",
                self.size.is_none_or(|size| size == old.len),
            ),
            (
                "x-amz-if-match-last-modified-time",
                self.modified
                    .is_none_or(|at| at.truncated_to_s() == modified),
            ),
        ] {
            if !holds {
                return Err(StoreError::PreconditionFailed { condition });
            }
        }
        Ok(())
    }
}

fn is_tag_of(wanted: &str, record: &ObjectRecord) -> bool {
    wanted == "*" || wanted == record.etag.to_string()
}

/// Greater than the current object's; after a deletion, only as far as the clock did not go back.
pub(super) fn next_sequence(now: Timestamp, current: Option<&ObjectRecord>) -> u64 {
    let from_clock = u64::try_from(now.unix_ms()).unwrap_or(0) << 16;
    from_clock.max(current.map_or(0, |record| record.sequence.saturating_add(1)))
}

/// The sequence that was agreed to, where it is still ahead of the current object's.
pub(super) fn agreed_sequence(
    consent: Option<&Consent>,
    now: Timestamp,
    current: Option<&ObjectRecord>,
) -> u64 {
    let agreed = consent.map(|consent| consent.sequence);
    let agreed = agreed.filter(|agreed| current.is_none_or(|record| record.sequence < *agreed));
    agreed.unwrap_or_else(|| next_sequence(now, current))
}

/// The most segments that an object's own row holds.
pub(super) const SEGMENTS_IN_ROW: usize = 16;

/// Takes `segments` away; blobs wait as garbage until they are deleted.
pub(super) fn orphan(segments: &[Segment], batch: &mut Batch) {
    for segment in segments {
        if let Some((id, _len)) = segment.inline() {
            batch.delete(Space::Inline, id.as_bytes().to_vec());
        }
        if let Some(blob) = segment.blob() {
            let id = blob.id.as_bytes().to_vec();
            batch.delete(Space::Blobs, id.clone());
            batch.put(Space::Garbage, id, Bytes::new());
        }
    }
}

/// An object's bytes on their way into a batch.
struct Pieces {
    staged: Vec<(InlineId, Staged)>,
    segments: Vec<Segment>,
    layout: Option<InlineId>,
    len: u64,
}

impl Pieces {
    fn hold(&mut self) {
        for (_inline, staged) in &mut self.staged {
            staged.hold();
        }
    }

    fn release(&mut self) {
        for (_inline, staged) in &mut self.staged {
            staged.release();
        }
    }
}

impl ObjectStore {
    /// Whether `when` holds now: worth asking before the bytes come. The write asks again.
    ///
    /// # Errors
    /// [`StoreError::PreconditionFailed`] or [`StoreError::NoSuchKey`] where it does not.
    pub async fn check_condition(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        when: &WriteCondition,
    ) -> Result<(), StoreError> {
        if when.if_match.is_none() && when.if_none_match.is_none() {
            return Ok(());
        }
        when.check(self.current(bucket, key).await?.object())
    }

    /// Makes `staged` the key's object.
    ///
    /// # Errors
    /// [`StoreError::PreconditionFailed`] or [`StoreError::NoSuchKey`] where `when` does not hold,
    /// [`StoreError::NoSuchBucket`] where the bucket was deleted meanwhile.
    pub async fn put_object(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        new: NewObject,
        staged: Staged,
        when: &WriteCondition,
        by: &Origin,
    ) -> Result<Written, StoreError> {
        self.put_pieces(bucket, key, new, vec![staged], when, by)
            .await
    }

    /// Makes these `pieces`, one behind the other, the key's object. Where its receiver must agree,
    /// it is asked before anything is changed; where the uploader only waits for its answer, after.
    ///
    /// # Errors
    /// As [`ObjectStore::put_object`]; [`StoreError::Refused`] or [`StoreError::Withdrawn`] where the
    /// receiver did not agree: nothing has changed then.
    pub async fn put_pieces(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        new: NewObject,
        pieces: Vec<Staged>,
        when: &WriteCondition,
        by: &Origin,
    ) -> Result<Written, StoreError> {
        let lens = pieces.iter().map(Staged::len);
        let (len, max) = (lens.fold(0, u64::saturating_add), OBJECT_BYTES_MAX);
        if len > max {
            return Err(StoreError::TooLarge { len, max });
        }
        let now = self.clock().now();
        let name = |piece| (InlineId::new(now), piece);
        let pieces: Vec<(InlineId, Staged)> = pieces.into_iter().map(name).collect();
        let segments: Vec<_> = pieces
            .iter()
            .map(|(inline, staged)| staged.segment(*inline))
            .collect();
        let layout = (segments.len() > SEGMENTS_IN_ROW).then(|| InlineId::new(now));
        let bytes = Pieces {
            staged: pieces,
            segments,
            layout,
            len,
        };
        let mut consent = None;
        let put = self.put_agreed(bucket, key, (&new, bytes), when, (by, &mut consent));
        let done = put.await;
        self.conclude(consent, done).await
    }

    async fn put_agreed(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        (new, mut bytes): (&NewObject, Pieces),
        when: &WriteCondition,
        (by, consent): (&Origin, &mut Option<Consent>),
    ) -> Result<Written, StoreError> {
        let mut asks = self.hook().must_agree(bucket, key.as_str(), by);
        let mut bucket = Cow::Borrowed(bucket);
        for _try in 0..TRIES_MAX {
            let current = self.current(&bucket, key).await?;
            when.check(current.object())?;
            let record = self.new_record(new, &bytes, &current, consent.as_ref());
            let mut batch = Batch::new();
            for (inline, staged) in &bytes.staged {
                staged.add_to(*inline, &mut batch)?;
            }
            let edit = Edit::new(&bucket, key, &current, batch);
            let mut edit = edit.with_consent(consent.as_ref());
            let record = match self.write(&mut edit, &current, record, by).await {
                Err(StoreError::Superseded) => continue,
                written => written?,
            };
            if std::mem::take(&mut asks) {
                let agreed = self.consult(&edit, &record, by).await?;
                *consent = agreed;
                continue; // the key may have changed meanwhile
            }
            bytes.hold();
            fail_point::reach("put.decided");
            match self.settle(edit).await {
                Ok(Settled::Done(awaited)) => return Ok(self.written(record, awaited).await),
                Ok(Settled::Lost(now)) => {
                    bytes.release();
                    bucket = Cow::Owned(*now);
                }
                Err(error @ (StoreError::NoSuchBucket | StoreError::Withdrawn { .. })) => {
                    bytes.release();
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict)
    }

    /// What the uploader is told of a durable object: where it waits for its receiver, after that.
    pub(super) async fn written(&self, record: ObjectRecord, awaited: Option<Awaited>) -> Written {
        let told = match awaited {
            Some(awaited) => self.hook().answer(awaited).await,
            None => Told::Nothing,
        };
        Written { record, told }
    }

    fn new_record(
        &self,
        new: &NewObject,
        bytes: &Pieces,
        current: &Current,
        consent: Option<&Consent>,
    ) -> ObjectRecord {
        let now = self.clock().now();
        let sequence = agreed_sequence(consent, now, current.record.as_ref());
        let (etag, segments) = (new.etag.clone(), bytes.segments.clone());
        ObjectRecord {
            headers: new.headers.clone(),
            extras: new.extras.clone(),
            checksum: new.checksum.clone(),
            crc64ecma: new.crc64ecma,
            layout: bytes.layout,
            ..ObjectRecord::new(
                new.owner.clone(),
                now,
                sequence,
                etag,
                (bytes.len, segments),
            )
        }
    }

    /// The key's object: the current one, or that of `version`.
    ///
    /// # Errors
    /// [`StoreError::NoSuchKey`], [`StoreError::NoSuchVersion`], [`StoreError::DeleteMarker`].
    pub async fn object(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        version: Option<&VersionRef>,
    ) -> Result<Object, StoreError> {
        let record = self.find(bucket, key, version).await?;
        let key = key.clone();
        Ok(Object { key, record })
    }

    /// Deletes the key as the bucket's versioning has it, or `version` of it for good; no fault
    /// where there is nothing to delete.
    ///
    /// # Errors
    /// [`StoreError::PreconditionFailed`] where `when` does not hold.
    pub async fn delete_object(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        version: Option<&VersionRef>,
        when: &DeleteCondition,
        by: &Origin,
    ) -> Result<Deleted, StoreError> {
        let mut bucket = Cow::Borrowed(bucket);
        for _try in 0..TRIES_MAX {
            let current = self.current(&bucket, key).await?;
            let mut edit = Edit::new(&bucket, key, &current, Batch::new());
            let done = match version {
                None => self.remove(&mut edit, &current, when, by).await,
                Some(version) => {
                    self.remove_version(&mut edit, &current, *version, when, by)
                        .await
                }
            };
            let deleted = match done {
                Err(StoreError::Superseded) => continue,
                done => done?,
            };
            let Some(deleted) = deleted else {
                return Ok(Deleted {
                    existed: false,
                    delete_marker: false,
                    version: version.copied(),
                });
            };
            fail_point::reach("delete.decided");
            match self.settle(edit).await? {
                Settled::Done(_awaited) => return Ok(deleted),
                Settled::Lost(now) => bucket = Cow::Owned(*now),
            }
        }
        Err(StoreError::Conflict)
    }
}
