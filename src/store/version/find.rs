//! A version is found by at most two point reads.

use bytes::Bytes;

use super::VersionRef;
use crate::id::InlineId;
use crate::name::ObjectKey;
use crate::store::meta::{self, KeyRange, Space};
use crate::store::record::{Layout, decode};
use crate::store::{Bucket, ObjectRecord, ObjectStore, StoreError, TRIES_MAX, keyspace};

/// A key's row in `objects`, as it was read.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Current {
    pub(in crate::store) raw: Option<Bytes>,
    pub(in crate::store) record: Option<ObjectRecord>,
}

/// A row of a noncurrent version, as it was read.
#[derive(Debug, Clone)]
pub(super) struct Noncurrent {
    pub(super) at: Bytes,
    pub(super) raw: Bytes,
}

/// Where a version was found.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Current,
    Noncurrent(Noncurrent),
}

impl Current {
    /// The object, where the key has one: a delete marker says that it has none.
    pub(in crate::store) fn object(&self) -> Option<&ObjectRecord> {
        let record = self.record.as_ref();
        record.filter(|record| !record.is_delete_marker())
    }
}

impl ObjectStore {
    /// The key's current version.
    pub(in crate::store) async fn current(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
    ) -> Result<Current, StoreError> {
        for _try in 0..TRIES_MAX {
            match self.current_once(bucket, key).await {
                Err(StoreError::Superseded) => {}
                found => return found,
            }
        }
        Err(StoreError::Conflict)
    }

    async fn current_once(&self, bucket: &Bucket, key: &ObjectKey) -> Result<Current, StoreError> {
        let raw = self.current_row(bucket, key).await?;
        let record = match &raw {
            Some(raw) => Some(self.whole(raw).await?),
            None => None,
        };
        Ok(Current { raw, record })
    }

    async fn current_row(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
    ) -> Result<Option<Bytes>, StoreError> {
        let at = keyspace::object(bucket.id, key.as_str());
        Ok(self.meta().get(Space::Objects, &at).await?)
    }

    /// The record of that row, with what lies in a row of its own.
    async fn whole(&self, raw: &[u8]) -> Result<ObjectRecord, StoreError> {
        let record: ObjectRecord = decode(raw, "an object's record")?;
        match record.layout {
            None => Ok(record),
            // Boxed: few have one, and the others' futures are not to have room for it.
            Some(layout) => Box::pin(self.laid_out(record, layout)).await,
        }
    }

    async fn laid_out(
        &self,
        mut record: ObjectRecord,
        layout: InlineId,
    ) -> Result<ObjectRecord, StoreError> {
        // Absent only where the version went since: its row must be read anew.
        let row = self.meta().get(Space::Layouts, layout.as_bytes()).await?;
        let row = row.map(|row| decode::<Layout>(&row, "an object's layout"));
        let Layout { segments, parts } = row.transpose()?.ok_or(StoreError::Superseded)?;
        (record.segments, record.parts) = (segments, parts);
        Ok(record)
    }

    /// The version that `wanted` names; [`StoreError::Superseded`] where the key changed since
    /// `current` was read, so that it must be looked for anew.
    pub(super) async fn locate(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        current: &Current,
        wanted: VersionRef,
    ) -> Result<Option<(Place, ObjectRecord)>, StoreError> {
        let Some(newest) = &current.record else {
            return Ok(None);
        };
        if VersionRef::of(newest) == wanted {
            return Ok(Some((Place::Current, newest.clone())));
        }
        let sequence = match wanted {
            VersionRef::Null => newest.null_sequence,
            VersionRef::Id(id) => Some(id.sequence()),
        };
        let Some(sequence) = sequence else {
            return Ok(None);
        };
        let found = self.noncurrent(bucket, key, sequence).await?;
        let found = found.filter(|(_row, record)| VersionRef::of(record) == wanted);
        if let Some((row, record)) = found {
            return Ok(Some((Place::Noncurrent(row), record)));
        }
        // It may have become the current version between the two reads.
        if self.current_row(bucket, key).await? == current.raw {
            Ok(None)
        } else {
            Err(StoreError::Superseded)
        }
    }

    pub(super) async fn noncurrent(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        sequence: u64,
    ) -> Result<Option<(Noncurrent, ObjectRecord)>, StoreError> {
        let at = Bytes::from(keyspace::version(bucket.id, key.as_str(), sequence));
        let Some(raw) = self.meta().get(Space::Versions, &at).await? else {
            return Ok(None);
        };
        let record = self.whole(&raw).await?;
        Ok(Some((Noncurrent { at, raw }, record)))
    }

    /// The key's newest noncurrent version, as its row has it.
    pub(super) async fn newest_noncurrent(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
    ) -> Result<Option<(Noncurrent, ObjectRecord)>, StoreError> {
        let range = KeyRange::prefix(keyspace::escaped_key(bucket.id, key.as_str()));
        let rows = meta::scan(self.meta().as_ref(), Space::Versions, range, 1).await?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let record = decode(&row.value, "an object's record")?;
        let (at, raw) = (row.key, row.value);
        Ok(Some((Noncurrent { at, raw }, record)))
    }

    /// The version that `wanted` names, or the current one.
    pub(in crate::store) async fn find(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        wanted: Option<&VersionRef>,
    ) -> Result<ObjectRecord, StoreError> {
        if let Some(wanted) = wanted {
            // Boxed: few name one, and the others' futures are not to have room for it.
            return Box::pin(self.find_version(bucket, key, *wanted)).await;
        }
        let current = self.current(bucket, key).await?;
        let record = current.record.ok_or(StoreError::NoSuchKey)?;
        readable(record, false)
    }

    async fn find_version(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        wanted: VersionRef,
    ) -> Result<ObjectRecord, StoreError> {
        for _try in 0..TRIES_MAX {
            let current = self.current(bucket, key).await?;
            match self.locate(bucket, key, &current, wanted).await {
                Ok(Some((_place, record))) => return readable(record, true),
                Ok(None) => return Err(StoreError::NoSuchVersion),
                Err(StoreError::Superseded) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict)
    }
}

/// The version, unless it is a delete marker.
pub(super) fn readable(record: ObjectRecord, named: bool) -> Result<ObjectRecord, StoreError> {
    if !record.is_delete_marker() {
        return Ok(record);
    }
    Err(StoreError::DeleteMarker {
        version: VersionRef::of(&record),
        modified: record.modified,
        named,
    })
}
