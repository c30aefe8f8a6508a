//! The blob store's contract: bytes that never change once finished.

pub mod block;
#[cfg(test)]
mod conformance;
pub mod durable;
pub mod fault;
pub mod files;
pub mod memory;
pub mod room;

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::id::BlobId;

/// A finished blob: its name and its length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct BlobRef {
    /// Its name.
    #[n(0)]
    pub id: BlobId,
    /// Its length in bytes.
    #[n(1)]
    pub len: u64,
}

/// What a blob store can fail with.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no such blob. (It may have been deleted since its record was read.)
    #[error("blob {id} is missing")]
    Missing {
        /// Which.
        id: BlobId,
    },
    /// Its bytes are not those that were written: they must not be served.
    #[error("blob {id} is corrupt: {reason}")]
    Corrupt {
        /// Which.
        id: BlobId,
        /// What does not fit.
        reason: String,
    },
    /// The disk is full.
    #[error("no space left for blobs")]
    Full,
    /// A sync failed, after which nothing may be trusted to be durable: no more blobs are taken
    /// until the store is opened anew. Reading goes on.
    #[error("the blob store takes no more after a failed sync: {reason}")]
    Poisoned {
        /// What had failed.
        reason: Arc<str>,
    },
    /// A file operation failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried, on which path.
        doing: String,
        /// The operating system's error.
        source: std::io::Error,
    },
}

/// A blob's bytes, in order.
pub type BlobStream = BoxStream<'static, Result<Bytes, BlobError>>;

/// A blob being written. Dropping it unfinished leaves nothing behind.
pub trait BlobWriter: Debug + Send {
    /// Appends `bytes`. Returns once they are taken over, not once they are on disk: a slow disk
    /// makes this wait, so that memory stays bounded.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), BlobError>>;

    /// Makes the blob durable and gives it its name. Only now does it exist.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<BlobRef, BlobError>>;
}

/// A place for immutable blobs.
pub trait BlobStore: Debug + Send + Sync {
    /// Begins a blob; `expected_len` in bytes, where it is known, lets the place be prepared.
    fn create(
        &self,
        expected_len: Option<u64>,
    ) -> BoxFuture<'_, Result<Box<dyn BlobWriter>, BlobError>>;

    /// The bytes of `range`, each block checked against its checksum before it is given out.
    /// The blob is opened before this returns: a deletion afterwards does not disturb the stream.
    ///
    /// # Errors
    /// [`BlobError::Missing`] where it does not exist.
    fn read(
        &self,
        blob: BlobRef,
        range: Range<u64>,
    ) -> BoxFuture<'_, Result<BlobStream, BlobError>>;

    /// Second, independent blobs with the same bytes, in the same order, without copying them. Durable.
    ///
    /// # Errors
    /// [`BlobError::Missing`] where one of them does not exist; no link is left then.
    fn link(&self, blobs: Vec<BlobRef>) -> BoxFuture<'_, Result<Vec<BlobRef>, BlobError>>;

    /// Deletes the blob; no fault where it is missing.
    fn delete(&self, id: BlobId) -> BoxFuture<'_, Result<(), BlobError>>;

    /// All of the blob's bytes as they lie on the disk, past any memory where that can be; checked
    /// as [`Self::read`] does.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn read_from_disk(&self, blob: BlobRef) -> BoxFuture<'_, Result<BlobStream, BlobError>> {
        self.read(blob, 0..blob.len)
    }

    /// Reads the whole blob and checks it.
    ///
    /// # Errors
    /// [`BlobError::Missing`] or [`BlobError::Corrupt`].
    fn verify(&self, blob: BlobRef) -> BoxFuture<'_, Result<(), BlobError>>;

    /// Whether there is room for `bytes` more, here and beside: what is kept in memory until it is
    /// committed asks too.
    ///
    /// # Errors
    /// [`BlobError::Full`] where there is not.
    fn room(&self, bytes: u64) -> Result<(), BlobError> {
        // Whoever keeps nothing free has room for anything that it can hold.
        (bytes < u64::MAX).then_some(()).ok_or(BlobError::Full)
    }

    /// Whether it still takes blobs, as far as it knows without trying.
    ///
    /// # Errors
    /// [`BlobError::Poisoned`] where only a new start can help.
    fn writable(&self) -> Result<(), BlobError> {
        Ok(())
    }

    /// The names of all finished blobs, in no order; those that come or go meanwhile may be missed.
    fn list(&self) -> BoxStream<'_, Result<BlobId, BlobError>>;
}
