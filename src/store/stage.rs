//! Bytes on their way in: small ones stay in memory and ride in the batch, larger ones go to a blob.

use bytes::{Bytes, BytesMut};

use super::blob::{BlobRef, BlobWriter};
use super::garbage::in_background;
use super::meta::{Batch, Space};
use super::read::Pinned;
use super::record::{Sealed, Segment, encode};
use super::seal::chunk::sealed_len;
use super::seal::{DataKey, Sealer, SegmentKey};
use super::{ObjectStore, StoreError};
use crate::fail_point;
use crate::id::{BlobId, InlineId};
use crate::trace::{self, Kind};

/// Takes an object's bytes. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct Stager {
    store: ObjectStore,
    expected_len: Option<u64>,
    inline_bytes_max: usize,
    small: BytesMut,
    sealer: Option<(Sealer, Sealed)>,
    writer: Option<Box<dyn BlobWriter>>,
}

/// Bytes that are whole but that no record names yet. Dropping it leaves nothing behind, unless a
/// commit may have named its blob.
#[derive(Debug)]
pub struct Staged(pub(crate) StagedBytes, Guard, Option<Sealed>);

/// Deletes a blob that no batch came to name.
#[derive(Debug)]
struct Guard {
    store: ObjectStore,
    blob: Option<BlobId>,
    held: bool,
    /// Keeps the sweep away, whatever the clock does meanwhile.
    _pinned: Pinned,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (Some(id), false) = (self.blob, self.held) else {
            return;
        };
        let store = self.store.clone();
        in_background(async move {
            // Whatever fails here the sweep finds.
            if let Ok(None) = store.meta().get(Space::Blobs, id.as_bytes()).await
                && let Err(error) = store.blobs().delete(id).await
            {
                tracing::warn!(blob = %id, %error, "a blob stays until the sweep");
            }
            fail_point::reach("guard.deleted");
        });
    }
}

#[derive(Debug)]
pub(crate) enum StagedBytes {
    Inline(Bytes),
    Blob(BlobRef),
}

impl Staged {
    /// Before a commit that names the bytes: from now on they may belong to a record, even where
    /// the commit's outcome is never seen.
    pub(crate) fn hold(&mut self) {
        self.1.held = true;
    }

    /// After a commit that surely changed nothing.
    pub(crate) fn release(&mut self) {
        self.1.held = false;
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        self.2
            .map_or_else(|| self.stored_len(), |sealed| sealed.len)
    }

    fn stored_len(&self) -> u64 {
        match &self.0 {
            StagedBytes::Inline(bytes) => whole(bytes.len()),
            StagedBytes::Blob(blob) => blob.len,
        }
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows that keep these bytes, which `inline` names where they are small.
    pub(super) fn add_to(&self, inline: InlineId, batch: &mut Batch) -> Result<(), StoreError> {
        match &self.0 {
            StagedBytes::Inline(bytes) => {
                batch.put(Space::Inline, inline.as_bytes().to_vec(), bytes.clone())
            }
            StagedBytes::Blob(blob) => {
                batch.put(Space::Blobs, blob.id.as_bytes().to_vec(), encode(blob)?)
            }
        };
        Ok(())
    }

    /// What a record says of these bytes; `inline` is their name where they are small.
    pub(super) fn segment(&self, inline: InlineId) -> Segment {
        match (&self.0, self.2) {
            (StagedBytes::Inline(_bytes), None) => Segment::Inline(inline, self.len()),
            (StagedBytes::Inline(_bytes), Some(sealed)) => Segment::SealedInline(inline, sealed),
            (StagedBytes::Blob(blob), None) => Segment::Blob(*blob),
            (StagedBytes::Blob(blob), Some(sealed)) => Segment::SealedBlob(*blob, sealed),
        }
    }
}

impl ObjectStore {
    /// Whole bytes that no record names yet.
    pub(super) fn staged(&self, bytes: StagedBytes, sealed: Option<Sealed>) -> Staged {
        let blob = match &bytes {
            StagedBytes::Blob(blob) => Some(blob.id),
            StagedBytes::Inline(_bytes) => None,
        };
        let guard = Guard {
            _pinned: Pinned::new(self.clone(), blob.into_iter().collect()),
            store: self.clone(),
            blob,
            held: false,
        };
        Staged(bytes, guard, sealed)
    }

    /// Begins to take bytes that are sealed by `key` before they are kept.
    ///
    /// # Errors
    /// What the cipher refuses.
    pub fn stage_sealed(
        &self,
        expected_len: Option<u64>,
        key: &DataKey,
    ) -> Result<Stager, StoreError> {
        let salt = InlineId::new(self.clock().now());
        let segment = SegmentKey::derive(key, salt.as_bytes());
        let sealer = Sealer::new(segment.map_err(|_cipher| StoreError::corrupt("a data key"))?);
        Ok(Stager {
            sealer: Some((sealer, Sealed { salt, len: 0 })),
            ..self.stage(expected_len.map(sealed_len))
        })
    }

    /// Begins to take bytes; `expected_len` of them, where that is known.
    pub fn stage(&self, expected_len: Option<u64>) -> Stager {
        Stager {
            store: self.clone(),
            expected_len,
            inline_bytes_max: self.settings().inline_bytes_max,
            small: BytesMut::new(),
            sealer: None,
            writer: None,
        }
    }
}

impl Stager {
    /// Appends `bytes`.
    ///
    /// # Errors
    /// What the blob store fails with.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let Some((sealer, sealed)) = &mut self.sealer else {
            return self.keep(bytes).await;
        };
        sealed.len = sealed.len.saturating_add(whole(bytes.len()));
        let chunks = sealer.push(&bytes);
        for chunk in chunks.map_err(|_cipher| StoreError::corrupt("sealed bytes"))? {
            self.keep(chunk).await?;
        }
        Ok(())
    }

    async fn keep(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        if let Some(writer) = &mut self.writer {
            return Ok(writer.write(bytes).await?);
        }
        let len = self.small.len().saturating_add(bytes.len());
        // What is announced as large is not gathered here first.
        if self.expected_len.unwrap_or(0).max(whole(len)) <= whole(self.inline_bytes_max) {
            self.small.extend_from_slice(&bytes);
            return Ok(());
        }
        let mut writer = self.store.blobs().create(self.expected_len).await?;
        if !self.small.is_empty() {
            // All of it: a part that stays empty would keep the memory until the upload's end.
            let small = std::mem::take(&mut self.small);
            writer.write(small.freeze()).await?;
        }
        writer.write(bytes).await?;
        self.writer = Some(writer);
        Ok(())
    }

    /// Makes the bytes whole; those of a blob are durable then.
    ///
    /// # Errors
    /// What the blob store fails with.
    pub async fn finish(mut self) -> Result<Staged, StoreError> {
        let mut sealed = None;
        if let Some((sealer, how)) = self.sealer.take() {
            let last = sealer.finish();
            let last = last.map_err(|_cipher| StoreError::corrupt("sealed bytes"))?;
            self.keep(last).await?;
            sealed = Some(how);
        }
        let bytes = if let Some(writer) = self.writer {
            let _span = trace::span("finish the blob", Kind::Internal);
            StagedBytes::Blob(writer.finish().await?)
        } else {
            self.store.blobs().room(whole(self.small.len()))?;
            StagedBytes::Inline(self.small.freeze())
        };
        Ok(self.store.staged(bytes, sealed))
    }
}

fn whole(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::blob::memory::MemoryBlobs;
    use super::super::meta::memory::MemoryEngine;
    use super::super::{NoHook, StoreSettings};
    use super::*;
    use crate::clock::SystemClock;

    async fn store() -> ObjectStore {
        let (meta, blobs) = (Arc::new(MemoryEngine::new()), Arc::new(MemoryBlobs::new()));
        let settings = StoreSettings {
            inline_bytes_max: 4,
        };
        ObjectStore::open(
            meta,
            blobs,
            Arc::new(SystemClock),
            Arc::new(NoHook),
            settings,
        )
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn what_goes_to_a_blob_keeps_no_memory_that_small_bytes_need() {
        let store = store().await;
        let mut announced = store.stage(Some(5));
        announced.write(Bytes::from_static(b"a")).await.unwrap();
        assert!(announced.writer.is_some(), "it is not gathered first");
        announced.write(Bytes::from_static(b"bcde")).await.unwrap();
        let mut grown = store.stage(None);
        grown.write(Bytes::from_static(b"abcd")).await.unwrap();
        assert!(grown.writer.is_none());
        grown.write(Bytes::from_static(b"e")).await.unwrap();
        for stager in [announced, grown] {
            assert_eq!(stager.small.capacity(), 0);
            let staged = stager.finish().await.unwrap();
            assert!(matches!(&staged.0, StagedBytes::Blob(blob) if blob.len == 5));
        }
    }

    #[tokio::test]
    async fn what_is_small_stays_in_memory_whether_announced_or_not() {
        let store = store().await;
        for len in [Some(4), None] {
            let mut stager = store.stage(len);
            for half in [&b"ab"[..], b"cd"] {
                stager.write(Bytes::from_static(half)).await.unwrap();
            }
            let staged = stager.finish().await.unwrap();
            assert!(matches!(&staged.0, StagedBytes::Inline(bytes) if bytes == "abcd"));
        }
    }
}
