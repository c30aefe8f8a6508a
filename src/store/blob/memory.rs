//! Blobs in memory: for tests of what stands above.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::future::{BoxFuture, ready};
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};

use super::{BlobError, BlobRef, BlobStore, BlobStream, BlobWriter};
use crate::clock::{Clock, SystemClock};
use crate::id::BlobId;

/// A store that forgets everything when its last clone is dropped.
#[derive(Debug, Clone, Default)]
pub struct MemoryBlobs {
    blobs: Arc<Mutex<BTreeMap<BlobId, Bytes>>>,
}

impl MemoryBlobs {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn blobs(&self) -> MutexGuard<'_, BTreeMap<BlobId, Bytes>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, bytes: Bytes) -> BlobRef {
        let blob = BlobRef {
            id: BlobId::new(SystemClock.now()),
            len: bytes.len() as u64,
        };
        self.blobs().insert(blob.id, bytes);
        blob
    }

    fn bytes(&self, id: BlobId) -> Result<Bytes, BlobError> {
        self.blobs()
            .get(&id)
            .cloned()
            .ok_or(BlobError::Missing { id })
    }
}

#[derive(Debug)]
struct MemoryWriter {
    store: MemoryBlobs,
    bytes: BytesMut,
}

impl BlobWriter for MemoryWriter {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        self.bytes.extend_from_slice(&bytes);
        ready(Ok(())).boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<BlobRef, BlobError>> {
        ready(Ok(self.store.insert(self.bytes.freeze()))).boxed()
    }
}

impl BlobStore for MemoryBlobs {
    fn create(
        &self,
        _expected_len: Option<u64>,
    ) -> BoxFuture<'_, Result<Box<dyn BlobWriter>, BlobError>> {
        let writer = MemoryWriter {
            store: self.clone(),
            bytes: BytesMut::new(),
        };
        ready(Ok(Box::new(writer) as Box<dyn BlobWriter>)).boxed()
    }

    fn read(
        &self,
        blob: BlobRef,
        range: Range<u64>,
    ) -> BoxFuture<'_, Result<BlobStream, BlobError>> {
        let bytes = self.bytes(blob.id).map(|bytes| {
            let at = |offset: u64| usize::try_from(offset.min(blob.len)).unwrap_or(usize::MAX);
            let bytes = bytes.slice(at(range.start)..at(range.end));
            stream::iter((!bytes.is_empty()).then_some(Ok(bytes))).boxed()
        });
        ready(bytes).boxed()
    }

    fn link(&self, blobs: Vec<BlobRef>) -> BoxFuture<'_, Result<Vec<BlobRef>, BlobError>> {
        let all = blobs.iter().map(|blob| self.bytes(blob.id));
        let all = all.collect::<Result<Vec<_>, _>>();
        let linked = all.map(|all| all.into_iter().map(|bytes| self.insert(bytes)).collect());
        ready(linked).boxed()
    }

    fn delete(&self, id: BlobId) -> BoxFuture<'_, Result<(), BlobError>> {
        self.blobs().remove(&id);
        ready(Ok(())).boxed()
    }

    fn verify(&self, blob: BlobRef) -> BoxFuture<'_, Result<(), BlobError>> {
        let verdict = self.bytes(blob.id).and_then(|bytes| {
            let reason = || format!("{} bytes instead of {}", bytes.len(), blob.len);
            let whole = bytes.len() as u64 == blob.len;
            if whole {
                Ok(())
            } else {
                Err(BlobError::Corrupt {
                    id: blob.id,
                    reason: reason(),
                })
            }
        });
        ready(verdict).boxed()
    }

    fn list(&self) -> BoxStream<'_, Result<BlobId, BlobError>> {
        let ids: Vec<_> = self.blobs().keys().copied().map(Ok).collect();
        stream::iter(ids).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_keeps_the_contract() {
        super::super::conformance::check(&MemoryBlobs::new()).await;
    }
}
