//! Objects: put, found, deleted, each by one batch that asserts what it saw.

use std::borrow::Cow;

use bytes::Bytes;

use super::meta::{Batch, MetaError, Space};
use super::record::{Layout, Segment, decode, encode};
use super::stage::StagedBytes;
use super::{
    Bucket, Change, ETag, ObjectHeaders, ObjectRecord, ObjectStore, Origin, Staged, StoreError,
    TRIES_MAX, keyspace,
};
use crate::checksum::Checksum;
use crate::clock::Timestamp;
use crate::id::InlineId;
use crate::name::ObjectKey;

/// Bytes of the largest object: 5 TiB.
pub const OBJECT_BYTES_MAX: u64 = 5 << 40;

/// What a new object is given.
#[derive(Debug, Clone)]
pub struct NewObject {
    /// Its headers.
    pub headers: ObjectHeaders,
    /// The MD5 of its bytes.
    pub etag_md5: [u8; 16],
    /// Its checksum.
    pub checksum: Option<Checksum>,
    /// Who owns it.
    pub owner: String,
}

/// What must hold of the current object for a write to happen.
#[derive(Debug, Clone, Default)]
pub struct WriteCondition {
    /// Its entity tag without quotes, or `*` for any.
    pub if_match: Option<String>,
    /// `*`: there is none.
    pub if_none_match: Option<String>,
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
}

/// What a deletion did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// Whether there was an object.
    pub existed: bool,
}

/// What came of a batch.
#[derive(Debug)]
pub(super) enum Settled {
    /// It is durable.
    Done,
    /// The race was lost: the change must be decided anew, in the bucket as it is now.
    Lost(Bucket),
}

impl WriteCondition {
    pub(super) fn check(&self, current: Option<&ObjectRecord>) -> Result<(), StoreError> {
        if self.if_none_match.is_some() && current.is_some() {
            let condition = "If-None-Match";
            return Err(StoreError::PreconditionFailed { condition });
        }
        let Some(wanted) = &self.if_match else {
            return Ok(());
        };
        let current = current.ok_or(StoreError::NoSuchKey)?;
        if wanted == "*" || *wanted == current.etag.to_string() {
            return Ok(());
        }
        let condition = "If-Match";
        Err(StoreError::PreconditionFailed { condition })
    }
}

/// Greater than the current object's; after a deletion, only as far as the clock did not go back.
pub(super) fn next_sequence(now: Timestamp, current: Option<&ObjectRecord>) -> u64 {
    let from_clock = u64::try_from(now.unix_ms()).unwrap_or(0) << 16;
    from_clock.max(current.map_or(0, |record| record.sequence.saturating_add(1)))
}

fn signed(len: u64) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

/// The most segments that an object's own row holds.
pub(super) const SEGMENTS_IN_ROW: usize = 16;

/// The object's row; a long list of segments goes to a row of its own.
fn encode_row(record: &ObjectRecord, batch: &mut Batch) -> Result<Bytes, StoreError> {
    let Some(layout) = record.layout else {
        return encode(record);
    };
    let mut row = record.clone();
    let segments = std::mem::take(&mut row.segments);
    let parts = row.parts.take();
    let aside = encode(&Layout { segments, parts })?;
    batch.put(Space::Layouts, layout.as_bytes().to_vec(), aside);
    encode(&row)
}

/// Takes `segments` away; blobs wait as garbage until they are deleted.
pub(super) fn orphan(segments: &[Segment], batch: &mut Batch) {
    for segment in segments {
        match segment {
            Segment::Inline(id, _len) => batch.delete(Space::Inline, id.as_bytes().to_vec()),
            Segment::Blob(blob) => {
                let id = blob.id.as_bytes().to_vec();
                batch.delete(Space::Blobs, id.clone());
                batch.put(Space::Garbage, id, Bytes::new())
            }
        };
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
        let (_raw, current) = self.current(bucket, key).await?;
        when.check(current.as_ref())
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
        mut staged: Staged,
        when: &WriteCondition,
        by: &Origin,
    ) -> Result<Written, StoreError> {
        let (len, max) = (staged.len(), OBJECT_BYTES_MAX);
        if len > max {
            return Err(StoreError::TooLarge { len, max });
        }
        let inline = InlineId::new(self.clock().now());
        let segment = staged.segment(inline);
        let mut bucket = Cow::Borrowed(bucket);
        for _try in 0..TRIES_MAX {
            let (raw, current) = self.current(&bucket, key).await?;
            when.check(current.as_ref())?;
            let now = self.clock().now();
            let record = ObjectRecord {
                len,
                modified: now,
                etag: ETag::md5(new.etag_md5),
                headers: new.headers.clone(),
                checksum: new.checksum.clone(),
                owner: new.owner.clone(),
                sequence: next_sequence(now, current.as_ref()),
                segments: vec![segment],
                parts: None,
                upload: None,
                layout: None,
            };
            let mut batch = Batch::new();
            match &staged.0 {
                StagedBytes::Inline(bytes) => {
                    batch.put(Space::Inline, inline.as_bytes().to_vec(), bytes.clone())
                }
                StagedBytes::Blob(blob) => {
                    batch.put(Space::Blobs, blob.id.as_bytes().to_vec(), encode(blob)?)
                }
            };
            self.replace(
                &bucket,
                key,
                raw,
                current.as_ref(),
                Some(&record),
                by,
                &mut batch,
            )?;
            staged.hold();
            match self.settle(&bucket, batch, current.as_ref()).await {
                Ok(Settled::Done) => return Ok(Written { record }),
                Ok(Settled::Lost(now)) => {
                    staged.release();
                    bucket = Cow::Owned(now);
                }
                Err(StoreError::NoSuchBucket) => {
                    staged.release();
                    return Err(StoreError::NoSuchBucket);
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict)
    }

    /// The key's object.
    ///
    /// # Errors
    /// [`StoreError::NoSuchKey`].
    pub async fn object(&self, bucket: &Bucket, key: &ObjectKey) -> Result<Object, StoreError> {
        let (_raw, record) = self.current(bucket, key).await?;
        let record = record.ok_or(StoreError::NoSuchKey)?;
        Ok(Object {
            key: key.clone(),
            record,
        })
    }

    /// Takes the key's object away; no fault where there is none.
    ///
    /// # Errors
    /// [`StoreError::PreconditionFailed`] where `when` does not hold.
    pub async fn delete_object(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        when: &WriteCondition,
        by: &Origin,
    ) -> Result<Deleted, StoreError> {
        let mut bucket = Cow::Borrowed(bucket);
        for _try in 0..TRIES_MAX {
            let (raw, current) = self.current(&bucket, key).await?;
            when.check(current.as_ref())?;
            if current.is_none() {
                return Ok(Deleted { existed: false });
            }
            let mut batch = Batch::new();
            self.replace(&bucket, key, raw, current.as_ref(), None, by, &mut batch)?;
            match self.settle(&bucket, batch, current.as_ref()).await? {
                Settled::Done => return Ok(Deleted { existed: true }),
                Settled::Lost(now) => bucket = Cow::Owned(now),
            }
        }
        Err(StoreError::Conflict)
    }

    /// The key's row as it is and as a record.
    pub(super) async fn current(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
    ) -> Result<(Option<Bytes>, Option<ObjectRecord>), StoreError> {
        for _try in 0..TRIES_MAX {
            match self.current_once(bucket, key).await {
                Err(StoreError::Superseded) => {}
                found => return found,
            }
        }
        Err(StoreError::Conflict)
    }

    async fn current_once(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
    ) -> Result<(Option<Bytes>, Option<ObjectRecord>), StoreError> {
        let at = keyspace::object(bucket.id, key.as_str());
        let raw = self.meta().get(Space::Objects, &at).await?;
        let record = raw.as_deref().map(|raw| decode(raw, "an object's record"));
        let mut record: Option<ObjectRecord> = record.transpose()?;
        if let Some(record) = &mut record
            && let Some(layout) = record.layout
        {
            // Absent only where the object was replaced since: its row must be read anew.
            let row = self.meta().get(Space::Layouts, layout.as_bytes()).await?;
            let row = row.map(|row| decode::<Layout>(&row, "an object's layout"));
            let Layout { segments, parts } = row.transpose()?.ok_or(StoreError::Superseded)?;
            (record.segments, record.parts) = (segments, parts);
        }
        Ok((raw, record))
    }

    #[expect(clippy::too_many_arguments, reason = "both sides of one change")]
    pub(super) fn replace(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        raw: Option<Bytes>,
        old: Option<&ObjectRecord>,
        new: Option<&ObjectRecord>,
        origin: &Origin,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let at = Bytes::from(keyspace::object(bucket.id, key.as_str()));
        bucket.assert_unchanged(batch);
        batch.assert_unchanged(Space::Objects, at.clone(), raw);
        match new {
            Some(record) => {
                let row = encode_row(record, batch)?;
                batch.put(Space::Objects, at, row)
            }
            None => batch.delete(Space::Objects, at),
        };
        if let Some(old) = old {
            orphan(&old.segments, batch);
            if let Some(layout) = old.layout {
                batch.delete(Space::Layouts, layout.as_bytes().to_vec());
            }
        }
        let count = i64::from(new.is_some()) - i64::from(old.is_some());
        let bytes = |record: Option<&ObjectRecord>| record.map_or(0, |record| signed(record.len));
        let deltas = [count, bytes(new).saturating_sub(bytes(old))];
        batch.add(Space::Usage, keyspace::bucket_prefix(bucket.id), deltas);
        let now = self.clock().now();
        let sequence = new.map_or_else(|| next_sequence(now, old), |record| record.sequence);
        let (event, object, at) = (origin.event, new, now);
        let change = Change {
            event,
            bucket,
            key,
            object,
            sequence,
            origin,
            at,
        };
        self.hook().stage(&change, batch);
        Ok(())
    }

    /// Commits.
    pub(super) async fn settle(
        &self,
        bucket: &Bucket,
        batch: Batch,
        old: Option<&ObjectRecord>,
    ) -> Result<Settled, StoreError> {
        match self.meta().commit(batch).await {
            Ok(()) => {}
            Err(MetaError::Conflict) => {
                let present = self.present(bucket).await?;
                return Ok(Settled::Lost(present));
            }
            Err(error) => return Err(error.into()),
        }
        self.hook().committed();
        let segments = old.map_or(&[][..], |old| &old.segments);
        let blobs = segments.iter().filter_map(|segment| match segment {
            Segment::Blob(blob) => Some(blob.id),
            Segment::Inline(..) => None,
        });
        self.discard(blobs.collect::<Vec<_>>()).await;
        Ok(Settled::Done)
    }
}
