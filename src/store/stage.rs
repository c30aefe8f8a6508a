//! Bytes on their way in: small ones stay in memory and ride in the batch, larger ones go to a blob.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::blob::{BlobRef, BlobStore, BlobWriter};
use super::{ObjectStore, StoreError};

/// Takes an object's bytes. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct Stager {
    blobs: Arc<dyn BlobStore>,
    expected_len: Option<u64>,
    inline_bytes_max: usize,
    small: BytesMut,
    writer: Option<Box<dyn BlobWriter>>,
}

/// Bytes that are whole but that no record names yet. A blob that is dropped so is an orphan,
/// which the sweep finds.
#[derive(Debug)]
pub struct Staged(pub(crate) StagedBytes);

#[derive(Debug)]
pub(crate) enum StagedBytes {
    Inline(Bytes),
    Blob(BlobRef),
}

impl Staged {
    /// The length in bytes.
    pub fn len(&self) -> u64 {
        match &self.0 {
            StagedBytes::Inline(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            StagedBytes::Blob(blob) => blob.len,
        }
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ObjectStore {
    /// Begins to take bytes; `expected_len` of them, where that is known.
    pub fn stage(&self, expected_len: Option<u64>) -> Stager {
        Stager {
            blobs: Arc::clone(self.blobs()),
            expected_len,
            inline_bytes_max: self.settings().inline_bytes_max,
            small: BytesMut::new(),
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
        if let Some(writer) = &mut self.writer {
            return Ok(writer.write(bytes).await?);
        }
        if self.small.len().saturating_add(bytes.len()) <= self.inline_bytes_max {
            self.small.extend_from_slice(&bytes);
            return Ok(());
        }
        let mut writer = self.blobs.create(self.expected_len).await?;
        if !self.small.is_empty() {
            writer.write(self.small.split().freeze()).await?;
        }
        writer.write(bytes).await?;
        self.writer = Some(writer);
        Ok(())
    }

    /// Makes the bytes whole; those of a blob are durable then.
    ///
    /// # Errors
    /// What the blob store fails with.
    pub async fn finish(self) -> Result<Staged, StoreError> {
        Ok(Staged(match self.writer {
            Some(writer) => StagedBytes::Blob(writer.finish().await?),
            None => StagedBytes::Inline(self.small.freeze()),
        }))
    }
}
