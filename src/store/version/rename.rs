//! An object gets another key, by one batch that moves none of its bytes.

use std::borrow::Cow;

use bytes::Bytes;

use crate::fail_point;
use crate::name::ObjectKey;
use crate::store::hook::Change;
use crate::store::meta::{Batch, Space};
use crate::store::object::{Settled, next_sequence};
use crate::store::record::Renamed;
use crate::store::version::{Current, Edit};
use crate::store::{
    Bucket, ObjectRecord, ObjectStore, Origin, StoreError, TRIES_MAX, Versioning, Written, keyspace,
};

/// An object's way to another key.
#[derive(Debug, Clone, Copy)]
pub struct Rename<'a> {
    /// The key that it has.
    pub from: &'a ObjectKey,
    /// The key that it gets; the object there goes.
    pub to: &'a ObjectKey,
    /// The client's name for this rename: it happens at most once.
    pub token: Option<&'a str>,
    /// As what it counts that the one key has an object,
    pub created: &'a Origin,
    /// and the other has none.
    pub removed: &'a Origin,
}

impl Rename<'_> {
    /// The object, where this rename has brought it to its key before.
    fn done(&self, there: Option<&ObjectRecord>) -> Result<Option<ObjectRecord>, StoreError> {
        let earlier = there.and_then(|there| Some((there, there.renamed.as_ref()?)));
        match earlier.filter(|(_, earlier)| Some(earlier.token.as_str()) == self.token) {
            None => Ok(None),
            Some((there, earlier)) if earlier.from == self.from.as_str() => Ok(Some(there.clone())),
            Some(_other) => Err(StoreError::TokenReused),
        }
    }
}

impl ObjectStore {
    /// Moves an object to another key of its bucket, which must never have kept versions. It stays
    /// what it is: bytes, headers, tags, owner, and when it was written. `judge` sees the object and
    /// the one that is in its way.
    ///
    /// # Errors
    /// [`StoreError::KeepsVersions`], [`StoreError::SameKey`], [`StoreError::TokenReused`],
    /// [`StoreError::NoSuchKey`] about the source, and what `judge` refuses with.
    pub async fn rename_object<E: From<StoreError>>(
        &self,
        bucket: &Bucket,
        rename: Rename<'_>,
        mut judge: impl FnMut(&ObjectRecord, Option<&ObjectRecord>) -> Result<(), E> + Send,
    ) -> Result<Written, E> {
        if rename.from == rename.to {
            return Err(StoreError::SameKey.into());
        }
        let mut bucket = Cow::Borrowed(bucket);
        for _try in 0..TRIES_MAX {
            if bucket.settings.versioning != Versioning::Off {
                return Err(StoreError::KeepsVersions.into());
            }
            let there = self.current(&bucket, rename.to).await?;
            if let Some(done) = rename.done(there.object())? {
                return Ok(self.written(done, None).await);
            }
            let source = self.current(&bucket, rename.from).await?;
            judge(
                source.object().ok_or(StoreError::NoSuchKey)?,
                there.object(),
            )?;
            let mut edit = Edit::new(&bucket, rename.to, &there, Batch::new());
            let record = self.stage_rename(&mut edit, rename, &source, &there)?;
            fail_point::reach("rename.decided");
            match self.settle(edit).await? {
                Settled::Done(awaited) => return Ok(self.written(record, awaited).await),
                Settled::Lost(now) => bucket = Cow::Owned(*now),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// What becomes true at once: both keys are as they were read, and then they are not.
    fn stage_rename(
        &self,
        edit: &mut Edit<'_>,
        rename: Rename<'_>,
        source: &Current,
        there: &Current,
    ) -> Result<ObjectRecord, StoreError> {
        let now = self.clock().now();
        let old = source.object().ok_or(StoreError::NoSuchKey)?;
        if let Some(gone) = &there.record {
            edit.drop_version(gone, now)?;
        }
        let token = rename.token.map(str::to_owned);
        let mut record = ObjectRecord {
            sequence: next_sequence(now, there.record.as_ref()),
            renamed: token.map(|token| Renamed {
                token,
                from: rename.from.as_str().to_owned(),
            }),
            ..old.clone()
        };
        edit.set_current(&mut record)?;
        let from = Bytes::from(keyspace::object(edit.bucket.id, rename.from.as_str()));
        let batch = &mut edit.batch;
        batch.assert_unchanged(Space::Objects, from.clone(), source.raw.clone());
        batch.delete(Space::Objects, from);
        let removed = Change {
            event: rename.removed.event,
            bucket: edit.bucket,
            key: rename.from,
            object: None,
            version: None,
            sequence: next_sequence(now, Some(old)),
            origin: rename.removed,
            consent: None,
            at: now,
        };
        // Nobody waits to hear that something is gone.
        let _nobody = self.hook().stage(&removed, &mut edit.batch);
        self.announce(edit, Some(&record), None, record.sequence, rename.created);
        Ok(record)
    }
}
