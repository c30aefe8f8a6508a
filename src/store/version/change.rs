//! How a change of a key becomes one batch: a new version, a delete marker, a version gone.

use std::borrow::Cow;
use std::mem;

use bytes::Bytes;

use super::VersionRef;
use super::find::{Current, Noncurrent, Place, readable};
use crate::checksum::Algorithm;
use crate::clock::Timestamp;
use crate::fail_point;
use crate::id::{BlobId, VersionId};
use crate::name::ObjectKey;
use crate::store::hook::{Awaited, Consent, Told};
use crate::store::lock::{apply_default, check_may_go};
use crate::store::meta::{Batch, MetaError, Space};
use crate::store::object::{Settled, next_sequence, orphan};
use crate::store::record::{LayoutOf, encode};
use crate::store::{
    Bucket, Change, DeleteCondition, Deleted, ETag, ObjectRecord, ObjectStore, Origin, StoreError,
    TRIES_MAX, Versioning, Written, keyspace,
};
use crate::trace::{self, Kind};

/// A change of a key on its way into a batch.
#[derive(Debug)]
pub(in crate::store) struct Edit<'a> {
    pub(super) bucket: &'a Bucket,
    key: &'a ObjectKey,
    at: Bytes,
    pub(super) batch: Batch,
    /// Blobs that nothing names once the batch is durable.
    gone: Vec<BlobId>,
    count: i64,
    bytes: i64,
    /// Retention in governance mode does not count.
    bypass: bool,
    /// Who agreed to the change.
    consent: Option<&'a Consent>,
    /// What the uploader waits for once the batch is durable.
    awaited: Option<Awaited>,
}

/// Blobs that are deleted before the answer. More are deleted after it: those of 10,000 parts take
/// seconds.
const GONE_MAX: usize = 64;

fn signed(len: u64) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

/// The version's row, without what lies in a row of its own. The record is as it was afterwards: to copy
/// 10,000 segments only to leave them out would take longer than all the rest.
fn encode_row(record: &mut ObjectRecord) -> Result<Bytes, StoreError> {
    if record.layout.is_none() {
        return encode(record);
    }
    let aside = (mem::take(&mut record.segments), record.parts.take());
    let row = encode(record);
    (record.segments, record.parts) = aside;
    row
}

impl<'a> Edit<'a> {
    /// A change of `key`, which `batch` may go along with, on condition that neither its bucket
    /// nor its current version has changed.
    pub(in crate::store) fn new(
        bucket: &'a Bucket,
        key: &'a ObjectKey,
        current: &Current,
        mut batch: Batch,
    ) -> Self {
        let at = Bytes::from(keyspace::object(bucket.id, key.as_str()));
        bucket.assert_unchanged(&mut batch);
        batch.assert_unchanged(Space::Objects, at.clone(), current.raw.clone());
        Self {
            bucket,
            key,
            at,
            batch,
            gone: Vec::new(),
            count: 0,
            bytes: 0,
            bypass: false,
            consent: None,
            awaited: None,
        }
    }

    /// The same change, to which somebody agreed.
    pub(in crate::store) fn with_consent(self, consent: Option<&'a Consent>) -> Self {
        Self { consent, ..self }
    }

    /// The name of its new version: the one that was agreed to, if that is still its place.
    fn version_id(&self, sequence: u64) -> VersionId {
        let agreed = self.consent.filter(|told| told.sequence == sequence);
        let agreed = agreed.and_then(|told| told.version);
        agreed.unwrap_or_else(|| VersionId::new(sequence))
    }

    /// Blobs of others than the key's versions, which go as well.
    pub(in crate::store) fn also_gone(&mut self, blobs: Vec<BlobId>) {
        self.gone.extend(blobs);
    }

    /// A version that was not there before becomes the current one.
    fn add(&mut self, record: &mut ObjectRecord) -> Result<(), StoreError> {
        if let Some(layout) = record.layout {
            let aside = encode(&LayoutOf {
                segments: &record.segments,
                parts: record.parts.as_deref(),
            })?;
            self.batch
                .put(Space::Layouts, layout.as_bytes().to_vec(), aside);
        }
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(signed(record.len));
        self.set_current(record)
    }

    pub(super) fn set_current(&mut self, record: &mut ObjectRecord) -> Result<(), StoreError> {
        let row = encode_row(record)?;
        self.batch.put(Space::Objects, self.at.clone(), row);
        Ok(())
    }

    /// The current version becomes a noncurrent one.
    fn keep(&mut self, old: &ObjectRecord) -> Result<(), StoreError> {
        let mut row = ObjectRecord {
            null_sequence: None,
            ..old.clone()
        };
        let at = keyspace::version(self.bucket.id, self.key.as_str(), old.sequence);
        self.batch.put(Space::Versions, at, encode_row(&mut row)?);
        Ok(())
    }

    /// A version goes for good, save its own row.
    pub(super) fn drop_version(
        &mut self,
        old: &ObjectRecord,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        check_may_go(old, now, self.bypass)?;
        orphan(&old.segments, &mut self.batch);
        if let Some(layout) = old.layout {
            self.batch
                .delete(Space::Layouts, layout.as_bytes().to_vec());
        }
        let blobs = old.segments.iter().filter_map(|segment| segment.blob());
        self.gone.extend(blobs.map(|blob| blob.id));
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(signed(old.len));
        Ok(())
    }

    /// The row of a noncurrent version goes, if it is still as it was read.
    fn drop_row(&mut self, row: Noncurrent) {
        let Noncurrent { at, raw } = row;
        self.batch
            .assert_unchanged(Space::Versions, at.clone(), Some(raw));
        self.batch.delete(Space::Versions, at);
    }
}

impl ObjectStore {
    /// Makes `new` the key's current version, as the bucket's versioning has it, and uses up what was
    /// good for that once.
    pub(in crate::store) async fn write(
        &self,
        edit: &mut Edit<'_>,
        current: &Current,
        mut new: ObjectRecord,
        by: &Origin,
    ) -> Result<ObjectRecord, StoreError> {
        self.use_up(by.once.as_ref(), &mut edit.batch).await?;
        let enabled = edit.bucket.settings.versioning == Versioning::Enabled;
        new.version = enabled.then(|| edit.version_id(new.sequence));
        if let Some(old) = &current.record {
            let old_is_null = old.version.is_none();
            if enabled || !old_is_null {
                edit.keep(old)?;
            } else {
                edit.drop_version(old, self.clock().now())?;
            }
            if enabled {
                new.null_sequence = old.null_sequence.or(old_is_null.then_some(old.sequence));
            } else if let Some(sequence) = old.null_sequence {
                let null = self.noncurrent(edit.bucket, edit.key, sequence).await?;
                let (row, null) = null.ok_or(StoreError::Superseded)?;
                edit.drop_version(&null, self.clock().now())?;
                edit.drop_row(row);
            }
        }
        apply_default(&edit.bucket.settings, &mut new);
        edit.add(&mut new)?;
        if !new.is_delete_marker() {
            self.check_quota(edit).await?;
        }
        let (sequence, version) = (new.sequence, new.version);
        self.announce(edit, Some(&new), version, sequence, by);
        Ok(new)
    }

    /// Refuses what would make the bucket hold more than it may.
    async fn check_quota(&self, edit: &Edit<'_>) -> Result<(), StoreError> {
        let Some(quota) = edit.bucket.settings.quota else {
            return Ok(());
        };
        let held = self.usage(edit.bucket).await?;
        let growth = [edit.count, edit.bytes];
        if quota.admits([held.objects, held.bytes], growth) {
            return Ok(());
        }
        Err(StoreError::QuotaExceeded)
    }

    /// What deleting the key does, where no version is named.
    pub(in crate::store) async fn remove(
        &self,
        edit: &mut Edit<'_>,
        current: &Current,
        when: &DeleteCondition,
        by: &Origin,
    ) -> Result<Option<Deleted>, StoreError> {
        when.check(current.record.as_ref())?;
        let now = self.clock().now();
        if edit.bucket.settings.versioning == Versioning::Off {
            let Some(old) = &current.record else {
                return Ok(None);
            };
            edit.drop_version(old, self.clock().now())?;
            edit.batch.delete(Space::Objects, edit.at.clone());
            self.announce(edit, None, None, next_sequence(now, Some(old)), by);
            return Ok(Some(Deleted {
                existed: true,
                delete_marker: false,
                version: None,
            }));
        }
        if current.record.is_none() && when.is_some() {
            // A condition is about something: where there is nothing, nothing is marked.
            return Ok(None);
        }
        let md5 = Algorithm::Md5.digest(&[]).try_into();
        let etag = ETag::md5(md5.map_err(|_length| StoreError::corrupt("an MD5"))?);
        let sequence = next_sequence(now, current.record.as_ref());
        let owner = edit.bucket.owner.clone();
        let marker = ObjectRecord {
            delete_marker: Some(true),
            ..ObjectRecord::new(owner, now, sequence, etag, (0, Vec::new()))
        };
        let by = Origin {
            event: by.event.with_marker(),
            ..by.clone()
        };
        let marker = self.write(edit, current, marker, &by).await?;
        Ok(Some(Deleted {
            existed: current.object().is_some(),
            delete_marker: true,
            version: Some(VersionRef::of(&marker)),
        }))
    }

    /// What deleting the version `wanted` does: it goes for good, and where it was current the
    /// newest of the others takes its place.
    pub(in crate::store) async fn remove_version(
        &self,
        edit: &mut Edit<'_>,
        current: &Current,
        wanted: VersionRef,
        when: &DeleteCondition,
        by: &Origin,
    ) -> Result<Option<Deleted>, StoreError> {
        let found = self.locate(edit.bucket, edit.key, current, wanted).await?;
        let (Some((place, old)), Some(newest)) = (found, &current.record) else {
            return Ok(None);
        };
        when.check(Some(&old))?;
        edit.bypass = when.bypass_governance;
        edit.drop_version(&old, self.clock().now())?;
        match place {
            Place::Current => self.promote(edit, &old).await?,
            Place::Noncurrent(row) => {
                edit.drop_row(row);
                if wanted == VersionRef::Null {
                    edit.set_current(&mut ObjectRecord {
                        null_sequence: None,
                        ..newest.clone()
                    })?;
                }
            }
        }
        let sequence = next_sequence(self.clock().now(), Some(newest));
        self.announce(edit, None, old.version, sequence, by);
        Ok(Some(Deleted {
            existed: true,
            delete_marker: old.is_delete_marker(),
            version: Some(wanted),
        }))
    }

    /// The newest noncurrent version takes the place of `gone`.
    async fn promote(&self, edit: &mut Edit<'_>, gone: &ObjectRecord) -> Result<(), StoreError> {
        let next = self.newest_noncurrent(edit.bucket, edit.key).await?;
        let Some((row, mut next)) = next else {
            edit.batch.delete(Space::Objects, edit.at.clone());
            return Ok(());
        };
        edit.drop_row(row);
        let null_stays_behind = next.version.is_some();
        next.null_sequence = gone.null_sequence.filter(|_sequence| null_stays_behind);
        edit.set_current(&mut next)
    }

    pub(super) fn announce(
        &self,
        edit: &mut Edit<'_>,
        object: Option<&ObjectRecord>,
        version: Option<VersionId>,
        sequence: u64,
        origin: &Origin,
    ) {
        let change = Change {
            event: origin.event,
            bucket: edit.bucket,
            key: edit.key,
            object,
            version,
            sequence,
            origin,
            consent: edit.consent,
            at: self.clock().now(),
        };
        edit.awaited = self.hook().stage(&change, &mut edit.batch);
    }

    /// Asks who must agree to what `edit` is to do, of which nothing is done yet.
    pub(in crate::store) async fn consult(
        &self,
        edit: &Edit<'_>,
        record: &ObjectRecord,
        origin: &Origin,
    ) -> Result<Option<Consent>, StoreError> {
        let change = Change {
            event: origin.event,
            bucket: edit.bucket,
            key: edit.key,
            object: Some(record),
            version: record.version,
            sequence: record.sequence,
            origin,
            consent: None,
            at: self.clock().now(),
        };
        Ok(self.hook().consult(&change).await?)
    }

    /// What the uploader is told of a change that was agreed to, which did not come about where
    /// `done` says so.
    pub(in crate::store) async fn conclude(
        &self,
        consent: Option<Consent>,
        done: Result<Written, StoreError>,
    ) -> Result<Written, StoreError> {
        let Some(consent) = consent else {
            return done;
        };
        match done {
            Ok(written) => Ok(Written {
                told: Told::Answer(consent.answer),
                ..written
            }),
            Err(error) => {
                self.hook().revoke(&consent).await;
                Err(error)
            }
        }
    }

    /// Whether what was agreed to may still be made: after a long time it is taken for abandoned.
    async fn check_consent(&self, consent: Option<&Consent>) -> Result<(), StoreError> {
        let Some(consent) = consent else {
            return Ok(());
        };
        let row = self.meta().get(Space::Outbox, &consent.key).await?;
        if row.as_ref() == Some(&consent.value) {
            return Ok(());
        }
        let why = "the upload took too long after its receiver agreed".to_owned();
        Err(StoreError::Withdrawn { why })
    }

    /// Commits.
    pub(in crate::store) async fn settle(&self, edit: Edit<'_>) -> Result<Settled, StoreError> {
        let mut batch = edit.batch;
        let usage = keyspace::bucket_prefix(edit.bucket.id);
        batch.add(Space::Usage, usage, [edit.count, edit.bytes]);
        let span = trace::span("commit", Kind::Internal);
        let committed = self.meta().commit(batch).await;
        drop(span);
        match committed {
            Ok(()) => {}
            Err(MetaError::Conflict) => {
                self.check_consent(edit.consent).await?;
                let present = self.present(edit.bucket).await?;
                return Ok(Settled::Lost(Box::new(present)));
            }
            Err(error) => return Err(error.into()),
        }
        fail_point::reach("change.committed");
        self.hook().committed();
        fail_point::reach("change.told");
        if edit.gone.len() > GONE_MAX {
            self.discard_later(edit.gone);
        } else {
            self.discard(edit.gone).await;
        }
        fail_point::reach("change.discarded");
        Ok(Settled::Done(edit.awaited))
    }

    /// Changes what is recorded of a version, such as its tags: not its bytes, nor what it is.
    ///
    /// # Errors
    /// [`StoreError::NoSuchKey`], [`StoreError::NoSuchVersion`] or [`StoreError::DeleteMarker`],
    /// what `change` refuses with, what the engine fails with.
    pub async fn update_object<E: From<StoreError>>(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        version: Option<&VersionRef>,
        by: Option<&Origin>,
        mut change: impl FnMut(&mut ObjectRecord) -> Result<(), E> + Send,
    ) -> Result<ObjectRecord, E> {
        let mut bucket = Cow::Borrowed(bucket);
        for _try in 0..TRIES_MAX {
            let current = self.current(&bucket, key).await?;
            let newest = current.record.as_ref().ok_or(StoreError::NoSuchKey);
            let wanted = match version {
                Some(version) => *version,
                None => VersionRef::of(newest?),
            };
            let (place, record) = match self.locate(&bucket, key, &current, wanted).await {
                Ok(found) => found.ok_or(StoreError::NoSuchVersion)?,
                Err(StoreError::Superseded) => continue,
                Err(error) => return Err(error.into()),
            };
            let mut record = readable(record, version.is_some())?;
            change(&mut record)?;
            let mut edit = Edit::new(&bucket, key, &current, Batch::new());
            match place {
                Place::Current => edit.set_current(&mut record)?,
                Place::Noncurrent(Noncurrent { at, raw }) => {
                    edit.batch
                        .assert_unchanged(Space::Versions, at.clone(), Some(raw));
                    edit.batch
                        .put(Space::Versions, at, encode_row(&mut record)?);
                }
            }
            if let Some(by) = by {
                let sequence = next_sequence(self.clock().now(), current.record.as_ref());
                self.announce(&mut edit, Some(&record), record.version, sequence, by);
            }
            fail_point::reach("update.decided");
            match self.settle(edit).await? {
                Settled::Done(_awaited) => return Ok(record),
                Settled::Lost(now) => bucket = Cow::Owned(*now),
            }
        }
        Err(StoreError::Conflict.into())
    }
}
